/* akin dedup: groups as text, as JSON, and the summary. */
#include <math.h>
#include <string.h>

#include "cli_dedup.h"

void akin_dedup_path(akin_buf *out, const akin_item_info *item)
{
    const char *path = item->path ? item->path : item->id;
    for (const char *c = path; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte == '\n')
            akin_buf_text(out, "\\n");
        else if (byte < ' ' || byte == 0x7f)
            akin_buf_printf(out, "\\x%02x", byte);
        else
            akin_buf_append(out, c, 1);
    }
}

const char *akin_dedup_evidence(const akin_dupe_group *g, size_t i,
                                char out[120])
{
    static const char *const turns[] = {"",
                                        "",
                                        ", mirrored",
                                        ", turned by 180",
                                        ", flipped",
                                        ", transposed",
                                        ", turned by 90",
                                        ", transversed",
                                        ", turned by 270"};
    const akin_dupe_member *m = &g->members[i];
    char distance[40] = "", cosine[24] = "";
    const char *same = m->beside == i   ? "the others were compared with it"
                       : m->same_bytes  ? "same bytes"
                       : m->same_pixels ? "same pixels"
                                        : NULL;
    if (m->distance != UINT32_MAX)
        snprintf(distance, sizeof distance, ", %u of 255 bits differ",
                 m->distance);
    if (!isnan(m->cosine))
        snprintf(cosine, sizeof cosine, ", cosine %.2f", m->cosine);
    if (same)
        snprintf(out, 120, "%s", same);
    else
        snprintf(out, 120, "%s%s%s%s", akin_level_text(m->level), distance,
                 m->turn <= 8 ? turns[m->turn] : "", cosine);
    return out;
}

static void print_member(const akin_cli *cli, const akin_dupe_group *g,
                         size_t i, bool numbers)
{
    const akin_dupe_member *m = &g->members[i];
    bool keep = i == g->keep, bold = keep && cli->color;
    char size[32], evidence[120];
    akin_buf path = {0};
    akin_dedup_path(&path, &m->item);
    const char *text = akin_buf_cstr(&path);
    if (numbers) printf("%3zu ", i + 1);
    printf("  %s%s %s%s  %u x %u, %s; %s\n", bold ? "\033[1m" : "",
           keep ? "keep" : "drop", text ? text : "?", bold ? "\033[0m" : "",
           m->item.width, m->item.height,
           akin_byte_size(m->item.picture_bytes, size),
           akin_dedup_evidence(g, i, evidence));
    akin_buf_clear(&path);
}

void akin_dedup_print(const akin_cli *cli, const akin_dupe_group *g,
                      bool numbers)
{
    akin_buf why = {0};
    akin_item_info text = {.path = (char *)(uintptr_t)g->why};
    akin_dedup_path(&why, &text); /* a path may be in it */
    const char *words = akin_buf_cstr(&why);
    printf("%s, kept because: %s\n", akin_level_text(g->level),
           words ? words : "?");
    for (size_t i = 0; i < g->n; i++)
        print_member(cli, g, i, numbers);
    printf("\n");
    akin_buf_clear(&why);
}

/* ---- JSON ---------------------------------------------------------------------- */

static json_t *number_or_null(float value)
{
    return isnan(value) ? json_null() : json_real((double)value);
}

static json_t *path_json(const akin_item_info *item)
{
    json_t *text = json_string(item->path ? item->path : item->id);
    return text ? text : json_null(); /* not UTF-8 */
}

static json_t *member_json(const akin_dedup *d, const akin_dupe_group *g,
                           size_t i)
{
    const akin_dupe_member *m = &g->members[i];
    bool centre = m->beside == i;
    json_t *object = json_pack(
        "{s:o, s:b, s:s?, s:I, s:I, s:I, s:s?, s:o, s:s?, s:o, s:o, s:o, s:i}",
        "path", path_json(&m->item), "keep", i == g->keep, "format",
        m->item.format, "width", (json_int_t)m->item.width, "height",
        (json_int_t)m->item.height, "bytes", (json_int_t)m->item.picture_bytes,
        "level", centre ? NULL : akin_level_text(m->level), "beside",
        centre ? json_null() : path_json(&g->members[m->beside].item), "same",
        m->same_bytes    ? "bytes"
        : m->same_pixels ? "pixels"
                         : NULL,
        "distance",
        m->distance == UINT32_MAX ? json_null() : json_integer(m->distance),
        "similarity", number_or_null(m->similarity), "cosine",
        number_or_null(m->cosine), "turn", (int)m->turn);
    if (d->link) json_object_set_new(object, "id", json_string(m->item.id));
    return object;
}

static json_t *groups_json(const akin_dedup *d)
{
    json_t *groups = json_array();
    for (size_t c = 0; c < d->n; c++) {
        const akin_dupe_group *g = d->choices[c].group;
        json_t *files = json_array();
        for (size_t i = 0; i < g->n; i++)
            json_array_append_new(files, member_json(d, g, i));
        json_array_append_new(groups, json_pack("{s:s, s:s, s:o}", "level",
                                                akin_level_text(g->level),
                                                "why", g->why, "files", files));
    }
    return groups;
}

void akin_dedup_json(const akin_dedup *d, bool applied)
{
    uint64_t bytes, files = akin_dedup_count(d, &bytes);
    json_t *failed = json_array();
    for (size_t i = 0; i < d->report.nfailures; i++)
        json_array_append_new(failed,
                              json_pack("{s:s*, s:s*}", "path",
                                        d->report.failures[i].what, "message",
                                        d->report.failures[i].message));
    json_t *root = json_pack(
        "{s:o, s:I, s:I, s:I, s:o}", "groups", groups_json(d), "pictures",
        (json_int_t)d->pictures, "files", (json_int_t)files, "bytes",
        (json_int_t)bytes, "unreadable", failed);
    if (applied) {
        json_object_set_new(root, "done",
                            json_integer((json_int_t)d->work->done));
        json_object_set_new(root, "refused",
                            json_integer((json_int_t)d->work->refused));
    }
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    printf("\n");
    json_decref(root);
}

/* ---- the end ------------------------------------------------------------------- */

void akin_dedup_summary(const akin_dedup *d, bool applied)
{
    static const char *const verbs[] = {"moved to the trash", "linked",
                                        "deleted"};
    const akin_dedup_work *work = d->work;
    uint64_t bytes, files = akin_dedup_count(d, &bytes);
    uint64_t unread = d->report.progress.failed;
    char a[32], b[32], c[32], e[32];
    if (d->cli->quiet) return;
    printf("%s pictures, %s groups of duplicates; %s files, %s could go\n",
           akin_thousands(d->pictures, a), akin_thousands(d->n, b),
           akin_thousands(files, c), akin_byte_size(bytes, e));
    if (unread)
        printf("%s files could not be read; they are listed above\n",
               akin_thousands(unread, a));
    if (applied)
        printf("%s files %s, %s; %s left alone; 'akin dedup --undo' takes it "
               "back%s\n",
               akin_thousands(work->done, a), verbs[work->action],
               akin_byte_size(work->bytes, b), akin_thousands(work->refused, c),
               work->action == AKIN_DEDUP_DELETE
                   ? " where a file with equal bytes is left"
                   : "");
    else if (files)
        printf("nothing was changed; --apply does it, --review asks about "
               "each group, --html FILE shows the pictures\n");
}

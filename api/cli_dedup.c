/* akin dedup: duplicates of folders, straight from the files. It opens a data
 * directory of its own in this process (no server: what it does is about files
 * of this machine), reads what is new, and prints, reports or applies what the
 * engine says. Each set of paths has a collection of its own there; embeddings
 * are shared between them by the files' bytes. */
#include "cli_dedup.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_BYTES  4096
#define MOST_PREFER 64

/* ---- options --------------------------------------------------------------------- */

static bool read_level(const akin_cli *cli, akin_level *out)
{
    return akin_level_parse(akin_cli_value(cli, "level", "near"), out);
}

int akin_cli_dedup_check(akin_cli *cli)
{
    akin_level level;
    bool undo = akin_cli_has(cli, "undo"), apply = akin_cli_has(cli, "apply");
    int ways = akin_cli_has(cli, "trash") + akin_cli_has(cli, "hardlink") +
               akin_cli_has(cli, "delete");
    akin_error err;
    if (!read_level(cli, &level))
        return akin_cli_usage(cli, "--level is exact, near or similar");
    if (akin_keep_check(akin_cli_value(cli, "keep", NULL), &err))
        return akin_cli_usage(cli, "--keep: %s", err.message);
    if (undo ? cli->argc || apply : !cli->argc)
        return akin_cli_usage(cli, undo ? "--undo takes no path"
                                        : "expected PATH ...");
    if (ways > 1)
        return akin_cli_usage(cli, "one of --trash, --hardlink and --delete");
    if ((akin_cli_has(cli, "hardlink") || akin_cli_has(cli, "delete")) &&
        !apply)
        return akin_cli_usage(cli, "--hardlink and --delete go with --apply");
    if (apply && level == AKIN_LEVEL_SIMILAR)
        return akin_cli_usage(cli, "similar pictures are not duplicates; "
                                   "--apply wants --level near or exact");
    for (int i = 0; i < cli->argc; i++)
        if (access(cli->argv[i], R_OK))
            return akin_cli_fail(AKIN_EXIT_CANNOT, "cannot read '%s': %s",
                                 cli->argv[i], strerror(errno));
    return AKIN_EXIT_OK;
}

/* A directory of the user: variable/akin, or ~/below/akin. */
static char *user_dir(const char *variable, const char *below)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    if (base && *base == '/') return akin_format("%s/akin", base);
    return akin_format("%s/%s/akin", home ? home : ".", below);
}

/* Where the index is, and where journal and trash are: both in --data, or the
 * one in the cache, which may be emptied, and the others not. */
static bool find_places(const akin_cli *cli, char **data, akin_dedup_work *work)
{
    char text[TEXT_BYTES];
    akin_config_text(cli->config, "data", text, sizeof text);
    char *share = user_dir("XDG_DATA_HOME", ".local/share");
    char *cache = user_dir("XDG_CACHE_HOME", ".cache");
    const char *trash = akin_cli_value(cli, "trash", NULL);
    if (*text) {
        *data = akin_strdup(text);
        work->dir = akin_format("%s/dedup", text);
    } else if (share && cache) {
        *data = akin_format("%s/dedup", cache);
        work->dir = akin_format("%s/dedup", share);
    }
    if (trash)
        work->trash = akin_strdup(trash);
    else if (work->dir)
        work->trash = akin_format("%s/trash", work->dir);
    akin_free(share);
    akin_free(cache);
    work->action = akin_cli_has(cli, "hardlink") ? AKIN_DEDUP_HARDLINK
                   : akin_cli_has(cli, "delete") ? AKIN_DEDUP_DELETE
                                                 : AKIN_DEDUP_TRASH;
    return *data && work->dir && work->trash;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The collection of these paths: a name made from them. */
static akin_status collection_of(const akin_cli *cli, char out[32],
                                 akin_error *err)
{
    uint8_t digest[AKIN_SHA256_BYTES];
    akin_buf text = {0};
    char **real = akin_calloc((size_t)cli->argc, sizeof *real);
    if (!real) return akin_fail(err, AKIN_NOMEM, "no memory for the paths");
    for (int i = 0; i < cli->argc; i++) {
        char *path = realpath(cli->argv[i], NULL);
        real[i] = akin_strdup(path ? path : cli->argv[i]);
        free(path);
        if (!real[i]) text.failed = true;
    }
    if (!text.failed)
        qsort(real, (size_t)cli->argc, sizeof *real, compare_texts);
    for (int i = 0; i < cli->argc; i++) {
        if (real[i]) akin_buf_append(&text, real[i], strlen(real[i]) + 1);
        akin_free(real[i]);
    }
    akin_buf_printf(&text, "%d%d", akin_cli_has(cli, "flat"),
                    akin_cli_has(cli, "hidden"));
    akin_status rc =
        text.failed
            ? akin_fail(err, AKIN_NOMEM, "no memory for the paths")
            : akin_sha256_of((akin_span){text.data, text.size}, digest, err);
    if (!rc) {
        memcpy(out, "dedup-", 6);
        akin_hex(digest, 8, out + 6);
    }
    akin_free(real);
    akin_buf_clear(&text);
    return rc;
}

/* ---- reading ------------------------------------------------------------------------ */

static bool show_progress(void *user, const akin_progress *p)
{
    akin_bar_show(user, p, false);
    return !akin_cli_interrupted();
}

static akin_status read_files(const akin_cli *cli, akin_engine *engine,
                              const char *collection, akin_dedup *out,
                              akin_error *err)
{
    akin_bar bar;
    akin_ingest what = {.paths = (const char *const *)cli->argv,
                        .npaths = (size_t)cli->argc,
                        .flat = akin_cli_has(cli, "flat"),
                        .hidden = akin_cli_has(cli, "hidden"),
                        .captions = AKIN_CAPTION_NONE,
                        .prune = true,
                        .whole_paths = true};
    akin_bar_init(&bar, cli, "reading");
    akin_status rc = akin_engine_ingest(engine, collection, &what,
                                        show_progress, &bar, &out->report, err);
    akin_bar_show(&bar, &out->report.progress, true);
    for (size_t i = 0; i < out->report.nfailures; i++)
        fprintf(stderr, "%s: %s\n", out->report.failures[i].what,
                out->report.failures[i].message);
    return rc;
}

static void count_group(akin_dedup *out, const akin_dupe_group *g)
{
    out->groups++;
    for (size_t i = 0; i < g->n; i++) {
        if (i == g->keep) continue;
        out->files++;
        out->bytes += g->members[i].item.picture_bytes;
    }
}

/* Pictures that were not looked at yet are first: no page is read before. */
static akin_status read_pages(const akin_cli *cli, akin_engine *engine,
                              const char *collection, akin_dedup *out,
                              akin_error *err)
{
    const char *prefer[MOST_PREFER];
    akin_dupe_query query = {.count = 500,
                             .prefer = prefer,
                             .keep = akin_cli_value(cli, "keep", NULL)};
    akin_bar bar;
    akin_status rc = AKIN_OK;

    if (!read_level(cli, &query.level)) query.level = AKIN_LEVEL_NEAR;
    for (size_t i = 0; i < cli->ngiven && query.nprefer < MOST_PREFER; i++)
        if (!strcmp(cli->given[i].name, "prefer"))
            prefer[query.nprefer++] = cli->given[i].value;
    akin_bar_init(&bar, cli, "comparing");
    for (bool more = true; more && !rc;) {
        akin_dupe_page page;
        rc = akin_grow(&out->pages, &out->capacity, out->npages + 1,
                       sizeof *out->pages, err);
        if (!rc && akin_cli_interrupted())
            rc = akin_fail(err, AKIN_CANCELLED, "interrupted");
        if (!rc) rc = akin_engine_dupes(engine, collection, &query, &page, err);
        if (rc) break;
        if (page.pending) {
            akin_progress p = {.phase = "comparing, left:",
                               .done = page.pending,
                               .seconds_left = -1};
            akin_bar_show(&bar, &p, false);
            akin_dupe_page_clear(&page);
            continue;
        }
        query.cursor = page.cursor;
        more = page.cursor != 0;
        out->pages[out->npages++] = page;
    }
    AKIN_DEDUP_EACH_GROUP(out, g)
    {
        count_group(out, g);
    }
    return rc;
}

/* ---- printing ------------------------------------------------------------------------ */

const char *akin_dedup_evidence(const akin_dupe_member *m, bool centre,
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
    char distance[40] = "", cosine[24] = "";
    const char *same = centre           ? "the others were compared with it"
                       : m->same_bytes  ? "same bytes"
                       : m->same_pixels ? "same pixels"
                                        : NULL;
    if (same) {
        snprintf(out, 120, "%s", same);
        return out;
    }
    if (m->distance != UINT32_MAX)
        snprintf(distance, sizeof distance, ", %u of 255 bits differ",
                 m->distance);
    if (!isnan(m->cosine))
        snprintf(cosine, sizeof cosine, ", cosine %.2f", m->cosine);
    snprintf(out, 120, "%s%s%s%s", akin_level_text(m->level), distance,
             m->turn <= 8 ? turns[m->turn] : "", cosine);
    return out;
}

static void print_group(const akin_cli *cli, const akin_dupe_group *g)
{
    const char *bold = cli->color ? "\033[1m" : "";
    const char *plain = cli->color ? "\033[0m" : "";
    char size[32], evidence[120];
    printf("%s, kept because: %s\n", akin_level_text(g->level), g->why);
    for (size_t i = 0; i < g->n; i++) {
        const akin_dupe_member *m = &g->members[i];
        bool keep = i == g->keep;
        printf("  %s%s %s%s  %u x %u, %s; %s\n", keep ? bold : "",
               keep ? "keep" : "drop", m->item.path ? m->item.path : m->item.id,
               keep ? plain : "", m->item.width, m->item.height,
               akin_byte_size(m->item.picture_bytes, size),
               akin_dedup_evidence(m, m->beside == i, evidence));
    }
    printf("\n");
}

static json_t *number_or_null(float value)
{
    return isnan(value) ? json_null() : json_real((double)value);
}

static json_t *path_json(const akin_item_info *item)
{
    json_t *text = json_string(item->path ? item->path : item->id);
    return text ? text : json_null(); /* not UTF-8 */
}

static json_t *member_json(const akin_dupe_group *g, size_t i)
{
    const akin_dupe_member *m = &g->members[i];
    bool centre = m->beside == i;
    return json_pack(
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
}

static void print_json(const akin_dedup *found, const akin_dedup_work *work,
                       bool applied)
{
    json_t *groups = json_array(), *failed = json_array();
    AKIN_DEDUP_EACH_GROUP(found, g)
    {
        json_t *files = json_array();
        for (size_t i = 0; i < g->n; i++)
            json_array_append_new(files, member_json(g, i));
        json_array_append_new(groups, json_pack("{s:s, s:s, s:o}", "level",
                                                akin_level_text(g->level),
                                                "why", g->why, "files", files));
    }
    for (size_t i = 0; i < found->report.nfailures; i++)
        json_array_append_new(
            failed,
            json_pack("{s:s*, s:s*}", "path", found->report.failures[i].what,
                      "message", found->report.failures[i].message));
    json_t *root =
        json_pack("{s:o, s:I, s:I, s:I, s:o}", "groups", groups, "pictures",
                  (json_int_t)found->report.progress.done, "files",
                  (json_int_t)found->files, "bytes", (json_int_t)found->bytes,
                  "unreadable", failed);
    if (applied) {
        json_object_set_new(root, "done", json_integer((json_int_t)work->done));
        json_object_set_new(root, "refused",
                            json_integer((json_int_t)work->refused));
    }
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    printf("\n");
    json_decref(root);
}

static void print_summary(const akin_cli *cli, const akin_dedup *found,
                          const akin_dedup_work *work, bool applied)
{
    static const char *const verbs[] = {"moved to the trash", "linked",
                                        "deleted"};
    char a[32], b[32], c[32], d[32];
    if (cli->quiet) return;
    printf("%s pictures, %s groups of duplicates; %s files, %s could go\n",
           akin_thousands(found->report.progress.done, a),
           akin_thousands(found->groups, b), akin_thousands(found->files, c),
           akin_byte_size(found->bytes, d));
    if (applied)
        printf("%s files %s, %s; %s left alone; 'akin dedup --undo' takes it "
               "back%s\n",
               akin_thousands(work->done, a), verbs[work->action],
               akin_byte_size(work->bytes, b), akin_thousands(work->refused, c),
               work->action == AKIN_DEDUP_DELETE
                   ? " where a file with equal bytes is left"
                   : "");
    else if (found->files)
        printf("nothing was changed; --apply does it, --html FILE shows the "
               "pictures\n");
}

/* ---- the command ----------------------------------------------------------------------- */

static int act(akin_cli *cli, akin_dedup *found, akin_dedup_work *work)
{
    const char *page = akin_cli_value(cli, "html", NULL);
    bool apply = akin_cli_has(cli, "apply");
    int code = found->groups ? AKIN_EXIT_OK : AKIN_EXIT_NOTHING;
    int page_code = page ? akin_dedup_html(cli, found, page) : AKIN_EXIT_OK;
    if (page_code) return page_code;
    if (!cli->json && !cli->quiet) AKIN_DEDUP_EACH_GROUP(found, g)
        {
            print_group(cli, g);
        }
    fflush(stdout);
    if (apply && found->groups) code = akin_dedup_apply(cli, found, work);
    if (cli->json)
        print_json(found, work, apply);
    else
        print_summary(cli, found, work, apply);
    return code;
}

static int find_and_act(akin_cli *cli, const char *data, akin_dedup_work *work)
{
    akin_engine_options options = {.data_dir = data, .config = cli->config};
    akin_engine *engine = NULL;
    akin_dedup found = {0};
    akin_error err;
    char collection[32];
    akin_status rc = akin_cli_default_model(cli->config, &err);
    int code = AKIN_EXIT_OK;

    if (!rc) rc = akin_engine_open(&options, &engine, &err);
    if (rc) return akin_cli_status(&err);
    akin_cli_catch_interrupt();
    rc = collection_of(cli, collection, &err);
    if (!rc) rc = read_files(cli, engine, collection, &found, &err);
    if (!rc) rc = read_pages(cli, engine, collection, &found, &err);
    akin_engine_close(engine);
    if (rc == AKIN_CANCELLED)
        code = akin_cli_fail(AKIN_EXIT_INTERRUPTED,
                             "stopped; the same command goes on from here");
    else
        code = rc ? akin_cli_status(&err) : act(cli, &found, work);
    for (size_t i = 0; i < found.npages; i++)
        akin_dupe_page_clear(&found.pages[i]);
    akin_free(found.pages);
    akin_report_clear(&found.report);
    return code;
}

int akin_cli_dedup(akin_cli *cli)
{
    akin_dedup_work work = {.action = AKIN_DEDUP_TRASH};
    char *data = NULL;
    int code;

    if (!find_places(cli, &data, &work))
        code = akin_cli_fail(AKIN_EXIT_CANNOT, "no memory");
    else if (akin_cli_has(cli, "undo"))
        code = akin_dedup_undo(cli, &work);
    else
        code = find_and_act(cli, data, &work);
    akin_free(data);
    akin_free(work.dir);
    akin_free(work.trash);
    return code;
}

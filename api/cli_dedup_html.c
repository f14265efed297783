/* The page of akin dedup --html: each group a row of pictures, the one that is
 * kept first. They are read from their files when the page is shown; of formats
 * that browsers do not show the thumbnail is in the page. */
#include <string.h>

#include "cli_dedup.h"
#include "cli_question.h"

static bool browsers_show(const char *format)
{
    static const char *const known[] = {"jpeg", "png", "webp", "gif",
                                        "avif", "svg", "bmp"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (format && !strcmp(format, known[i])) return true;
    return false;
}

/* Appended to out; empty: none. */
static void read_thumbnail(const akin_dedup *d, const char *id, akin_buf *out)
{
    redisReply *reply = NULL;
    akin_span words[] = {akin_span_of("AKIN.THUMB"),
                         akin_span_of(d->collection), akin_span_of(id)};
    if (d->engine) {
        if (akin_engine_thumbnail(d->engine, d->collection, akin_span_of(id),
                                  out, NULL))
            out->size = 0;
        return;
    }
    if (!akin_link_call(d->link, words, 3, &reply, NULL) &&
        reply->type == REDIS_REPLY_STRING)
        akin_buf_append(out, reply->str, (size_t)reply->len);
    freeReplyObject(reply);
}

static void picture(akin_buf *page, const akin_dedup *d,
                    const akin_item_info *item)
{
    akin_buf thumb = {0};
    if (!item->path || !browsers_show(item->format))
        read_thumbnail(d, item->id, &thumb);
    if (thumb.size)
        akin_html_picture(page, (akin_span){thumb.data, thumb.size});
    else
        akin_html_link(page, item->path ? item->path : item->id);
    akin_buf_clear(&thumb);
}

static void figure(akin_buf *page, const akin_dedup *d,
                   const akin_dupe_group *g, size_t i)
{
    const akin_dupe_member *m = &g->members[i];
    char size[32], evidence[120];
    akin_buf path = {0};
    akin_dedup_path(&path, &m->item);
    const char *text = akin_buf_cstr(&path);

    akin_buf_text(page, "<figure><div class=\"pic\">");
    picture(page, d, &m->item);
    akin_buf_printf(page,
                    "</div><figcaption><div class=\"score\">%s</div>"
                    "<div>%u x %u, %s, %s</div><div class=\"about\">",
                    i == g->keep ? "keep" : "drop", m->item.width,
                    m->item.height, m->item.format ? m->item.format : "?",
                    akin_byte_size(m->item.picture_bytes, size));
    akin_html_text(page, akin_dedup_evidence(g, i, evidence));
    akin_buf_text(page, "</div><div class=\"id\">");
    akin_html_text(page, text ? text : "?");
    akin_buf_text(page, "</div></figcaption></figure>\n");
    akin_buf_clear(&path);
}

static void section(akin_buf *page, const akin_dedup *d,
                    const akin_dupe_group *g)
{
    akin_buf_printf(page, "<section><h2><span>%s <small>kept because: ",
                    akin_level_text(g->level));
    akin_html_text(page, g->why);
    akin_buf_text(page, "</small></span></h2>\n<div class=\"grid\">");
    figure(page, d, g, g->keep);
    for (size_t i = 0; i < g->n; i++)
        if (i != g->keep) figure(page, d, g, i);
    akin_buf_text(page, "</div></section>\n");
}

int akin_dedup_html(const akin_dedup *d, const akin_dupe_group *one,
                    const char *path)
{
    akin_buf page = {0};
    char subtitle[160], groups[32], files[32], size[32];
    uint64_t bytes, n = akin_dedup_count(d, &bytes);

    snprintf(subtitle, sizeof subtitle, "%s groups; %s files, %s, could go",
             akin_thousands(d->n, groups), akin_thousands(n, files),
             akin_byte_size(bytes, size));
    akin_html_begin(&page, "Duplicates", one ? NULL : subtitle);
    if (one) section(&page, d, one);
    for (size_t c = 0; c < d->n && !one; c++)
        section(&page, d, d->choices[c].group);
    akin_html_end(&page);
    return akin_html_save(&page, path);
}

/* Contact sheets: one page that stands alone, pictures as data: URIs, all text
 * escaped, light and dark. */
#include <stdlib.h>
#include <string.h>

#include "cli_question.h"

static const char style[] =
    ":root{color-scheme:light dark;--back:#f6f6f4;--card:#fff;--ink:#1d1d1b;"
    "--soft:#6b6b66;--line:#e2e2dd;--mark:#2f6fde}"
    "@media(prefers-color-scheme:dark){:root{--back:#161618;--card:#222225;"
    "--ink:#ececea;--soft:#9c9c98;--line:#34343a;--mark:#7aa7ff}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--back);color:var(--ink);"
    "font:15px/1.45 system-ui,sans-serif}"
    "header,section{max-width:1180px;margin:0 auto;padding:0 24px}"
    "header{padding-top:36px}h1{font-size:26px;margin:0}"
    "header p{color:var(--soft);margin:4px 0 0}"
    "section{padding-top:28px}section:last-of-type{padding-bottom:48px}"
    "h2{font-size:19px;font-weight:600;margin:0 0 12px;display:flex;gap:12px;"
    "align-items:center}"
    "h2 img{width:64px;height:64px;object-fit:contain;background:#fff;"
    "border:2px solid var(--mark);border-radius:8px}"
    "h2 small{color:var(--soft);font-weight:400;font-size:13px}"
    ".grid{display:grid;gap:14px;"
    "grid-template-columns:repeat(auto-fill,minmax(max(140px,"
    "calc((100% - 56px)/5)),1fr))}"
    "figure{margin:0;background:var(--card);border:1px solid var(--line);"
    "border-radius:10px;overflow:hidden}"
    ".pic{background:#fff;aspect-ratio:1;display:flex;align-items:center;"
    "justify-content:center}"
    ".pic img{width:100%;height:100%;object-fit:contain;display:block}"
    ".pic span{color:#999;font-size:12px;padding:10px;overflow-wrap:anywhere}"
    "figcaption{padding:8px 10px 10px;border-top:1px solid var(--line);"
    "font-size:12.5px}"
    ".score{font-weight:600;font-variant-numeric:tabular-nums}"
    ".bar{height:3px;background:var(--line);border-radius:2px;margin:4px 0 6px}"
    ".bar i{display:block;height:100%;background:var(--mark);"
    "border-radius:2px}"
    ".id{color:var(--soft);overflow-wrap:anywhere}"
    ".about{display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:"
    "vertical;overflow:hidden}";

void akin_html_text(akin_buf *page, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<': akin_buf_text(page, "&lt;"); break;
        case '>': akin_buf_text(page, "&gt;"); break;
        case '&': akin_buf_text(page, "&amp;"); break;
        case '"': akin_buf_text(page, "&quot;"); break;
        case '\'': akin_buf_text(page, "&#39;"); break;
        default: akin_buf_append(page, text, 1);
        }
}

static void base64(akin_buf *page, const uint8_t *s, size_t n)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t three = (uint32_t)s[i] << 16;
        if (i + 1 < n) three |= (uint32_t)s[i + 1] << 8;
        if (i + 2 < n) three |= s[i + 2];
        char four[4] = {letters[three >> 18], letters[three >> 12 & 63],
                        i + 1 < n ? letters[three >> 6 & 63] : '=',
                        i + 2 < n ? letters[three & 63] : '='};
        akin_buf_append(page, four, 4);
    }
}

static const char *media_type(akin_span picture)
{
    const uint8_t *s = picture.data;
    if (picture.size > 12 && !memcmp(s, "\x89PNG", 4)) return "image/png";
    if (picture.size > 12 && !memcmp(s, "RIFF", 4)) return "image/webp";
    if (picture.size > 12 && !memcmp(s, "GIF8", 4)) return "image/gif";
    if (picture.size > 12 && (s[0] == '<' || s[0] == 0xef))
        return "image/svg+xml";
    return "image/jpeg";
}

void akin_html_picture(akin_buf *page, akin_span picture)
{
    akin_buf_printf(page, "<img alt=\"\" src=\"data:%s;base64,",
                    media_type(picture));
    base64(page, picture.data, picture.size);
    akin_buf_text(page, "\">");
}

/* file:// with everything odd as %XX; what is not absolute as it is. */
void akin_html_link(akin_buf *page, const char *path)
{
    akin_buf_printf(page, "<img loading=\"lazy\" alt=\"\" src=\"%s",
                    *path == '/' ? "file://" : "");
    for (const unsigned char *c = (const unsigned char *)path; *c; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || strchr("/-_.~", *c);
        akin_buf_printf(page, plain ? "%c" : "%%%02X", *c);
    }
    akin_buf_text(page, "\">");
}

/* The picture of an item: its thumbnail, or a link to its file. */
static void item_picture(akin_buf *page, const akin_cli *cli, const char *id,
                         bool link)
{
    redisReply *reply =
        link ? akin_link_ask(cli->link, "AKIN.GET", cli->collection, id)
             : akin_link_ask(cli->link, "AKIN.THUMB", cli->collection, id);
    const char *path = link ? akin_field_text(reply, "path") : "";
    if (*path) {
        akin_html_link(page, path);
    } else if (reply && reply->type == REDIS_REPLY_STRING) {
        akin_html_picture(page, (akin_span){reply->str, (size_t)reply->len});
    } else {
        akin_buf_text(page, "<span>");
        akin_html_text(page, id);
        akin_buf_text(page, "</span>");
    }
    if (reply) freeReplyObject(reply);
}

void akin_html_begin(akin_buf *page, const char *title, const char *subtitle)
{
    akin_buf_text(page, "<!doctype html>\n<html lang=\"en\"><meta charset="
                        "\"utf-8\"><meta name=\"viewport\" content="
                        "\"width=device-width,initial-scale=1\">\n<title>");
    akin_html_text(page, title);
    akin_buf_printf(page, "</title>\n<style>%s</style>\n<header><h1>", style);
    akin_html_text(page, title);
    akin_buf_text(page, "</h1>");
    if (subtitle) {
        akin_buf_text(page, "<p>");
        akin_html_text(page, subtitle);
        akin_buf_text(page, "</p>");
    }
    akin_buf_text(page, "</header>\n");
}

static void figure(akin_buf *page, const akin_cli *cli, const redisReply *match,
                   bool link)
{
    const char *id = akin_field_text(match, "id");
    double score = akin_field_real(match, "score");
    akin_buf about = {0};
    akin_match_line(match, &about);
    const char *line = akin_buf_cstr(&about);

    akin_buf_text(page, "<figure title=\"");
    akin_html_text(page, id);
    akin_buf_text(page, "\"><div class=\"pic\">");
    item_picture(page, cli, id, link);
    if (!(score >= 0)) score = 0;
    if (score > 1) score = 1;
    akin_buf_printf(page,
                    "</div><figcaption><div class=\"score\">%.3f</div>"
                    "<div class=\"bar\"><i style=\"width:%.1f%%\"></i></div>",
                    score, score * 100);
    if (line && *line) {
        akin_buf_text(page, "<div class=\"about\">");
        akin_html_text(page, line);
        akin_buf_text(page, "</div>");
    }
    akin_buf_text(page, "<div class=\"id\">");
    akin_html_text(page, id);
    akin_buf_text(page, "</div></figcaption></figure>\n");
    akin_buf_clear(&about);
}

void akin_html_section(akin_buf *page, const akin_cli *cli, const char *heading,
                       akin_span picture, const redisReply *answer, bool link)
{
    const redisReply *matches = akin_reply_field(answer, "matches");
    size_t n =
        matches && matches->type == REDIS_REPLY_ARRAY ? matches->elements : 0;
    akin_buf_text(page, "<section><h2>");
    if (picture.data && picture.size) akin_html_picture(page, picture);
    akin_buf_text(page, "<span>");
    akin_html_text(page, heading);
    akin_buf_printf(page,
                    " <small>%s</small></span></h2>\n<div class=\"grid\">",
                    n ? "" : "nothing found");
    for (size_t i = 0; i < n; i++)
        figure(page, cli, matches->element[i], link);
    akin_buf_text(page, "</div></section>\n");
}

void akin_html_end(akin_buf *page)
{
    akin_buf_text(page, "</html>\n");
}

int akin_html_save(akin_buf *page, const char *path)
{
    akin_error err;
    akin_status rc = page->failed
                         ? akin_fail(&err, AKIN_NOMEM, "no memory for the page")
                         : akin_file_replace(
                               path, (akin_span){page->data, page->size}, &err);
    akin_buf_clear(page);
    return rc ? akin_cli_status(&err) : AKIN_EXIT_OK;
}

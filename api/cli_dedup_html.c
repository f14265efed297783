/* The page of akin dedup --html: each group a row of pictures, read from their
 * files when the page is shown. */
#include "cli_dedup.h"
#include "cli_question.h"

static void figure(akin_buf *page, const akin_dupe_group *g, size_t i)
{
    const akin_dupe_member *m = &g->members[i];
    const char *path = m->item.path ? m->item.path : m->item.id;
    char size[32], evidence[120];

    akin_buf_text(page, "<figure><div class=\"pic\">");
    akin_html_link(page, path);
    akin_buf_printf(page,
                    "</div><figcaption><div class=\"score\">%s</div>"
                    "<div>%u x %u, %s</div><div class=\"about\">",
                    i == g->keep ? "keep" : "drop", m->item.width,
                    m->item.height,
                    akin_byte_size(m->item.picture_bytes, size));
    akin_html_text(page, akin_dedup_evidence(m, m->beside == i, evidence));
    akin_buf_text(page, "</div><div class=\"id\">");
    akin_html_text(page, path);
    akin_buf_text(page, "</div></figcaption></figure>\n");
}

int akin_dedup_html(const akin_cli *cli, const akin_dedup *found,
                    const char *path)
{
    akin_buf page = {0};
    char subtitle[160], groups[32], files[32], size[32];
    (void)cli;

    snprintf(subtitle, sizeof subtitle, "%s groups; %s files, %s, could go",
             akin_thousands(found->groups, groups),
             akin_thousands(found->files, files),
             akin_byte_size(found->bytes, size));
    akin_html_begin(&page, "Duplicates", subtitle);
    AKIN_DEDUP_EACH_GROUP(found, g)
    {
        akin_buf_printf(&page, "<section><h2><span>%s <small>kept because: ",
                        akin_level_text(g->level));
        akin_html_text(&page, g->why);
        akin_buf_text(&page, "</small></span></h2>\n<div class=\"grid\">");
        figure(&page, g, g->keep);
        for (size_t i = 0; i < g->n; i++)
            if (i != g->keep) figure(&page, g, i);
        akin_buf_text(&page, "</div></section>\n");
    }
    akin_html_end(&page);
    return akin_html_save(&page, path);
}

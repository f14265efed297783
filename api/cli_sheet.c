/* akin sheet: one page for several queries. */
#include <string.h>

#include "cli.h"
#include "cli_question.h"

typedef enum { BY_TEXT, BY_ITEM, BY_FILE } query_kind;

/* Asks one query and appends its section. */
static bool one_section(akin_cli *cli, akin_buf *page, query_kind kind,
                        const char *what)
{
    akin_question q = {0};
    redisReply *answer = NULL, *thumb = NULL;
    akin_span picture = {0};
    bool ok = true;

    akin_question_begin(&q, cli);
    if (kind == BY_TEXT) {
        akin_question_text(&q, what);
    } else if (kind == BY_ITEM) {
        akin_question_item(&q, what);
        thumb = akin_link_ask(cli->link, "AKIN.THUMB", cli->collection, what);
        if (thumb && thumb->type == REDIS_REPLY_STRING)
            picture = (akin_span){thumb->str, (size_t)thumb->len};
    } else {
        ok = akin_question_picture(&q, what);
        if (ok) picture = q.words.argv[q.words.n - 1];
    }
    ok = ok && akin_question_options(&q, cli);
    if (ok) {
        akin_words_add(&q.words, "NOSELF");
        answer = akin_question_ask(&q, cli);
    }
    if (answer)
        akin_html_section(page, cli, what, picture, answer,
                          akin_cli_has(cli, "link"));
    ok = answer != NULL;
    if (answer) freeReplyObject(answer);
    if (thumb) freeReplyObject(thumb);
    akin_question_clear(&q);
    return ok;
}

static bool all_sections(akin_cli *cli, akin_buf *page)
{
    for (int i = 0; i < cli->argc; i++)
        if (!one_section(cli, page, BY_TEXT, cli->argv[i])) return false;
    for (size_t i = 0; i < cli->ngiven; i++) {
        const char *name = cli->given[i].name;
        query_kind kind = !strcmp(name, "like") ? BY_ITEM : BY_FILE;
        if (strcmp(name, "like") && strcmp(name, "image")) continue;
        if (!one_section(cli, page, kind, cli->given[i].value)) return false;
    }
    return true;
}

int akin_cli_sheet(akin_cli *cli)
{
    const char *out = akin_cli_value(cli, "out", "sheet.html");
    const char *title = akin_cli_value(cli, "title", "akin");
    akin_buf page = {0};
    char items[32], subtitle[200];

    if (!cli->argc && !akin_cli_has(cli, "like") && !akin_cli_has(cli, "image"))
        return akin_cli_usage(cli, "expected queries: words, --like ID, "
                                   "--image FILE");
    redisReply *count = akin_link_ask(cli->link, "AKIN.COUNT", cli->collection);
    if (!count) return AKIN_EXIT_CANNOT;
    snprintf(subtitle, sizeof subtitle, "%s items in %.100s",
             akin_thousands((uint64_t)count->integer, items), cli->collection);
    freeReplyObject(count);
    akin_html_begin(&page, title, subtitle);
    if (!all_sections(cli, &page)) {
        akin_buf_clear(&page);
        return AKIN_EXIT_CANNOT;
    }
    akin_html_end(&page);
    int code = akin_html_save(&page, out);
    if (!code && !cli->quiet) printf("%s\n", out);
    return code;
}

/* akin search, akin similar. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "cli_question.h"

#define MAX_FILE (64u << 20)

/* ---- the question ------------------------------------------------------------------ */

void akin_question_begin(akin_question *q, const akin_cli *cli)
{
    akin_words_add(&q->words, "AKIN.SEARCH");
    akin_words_add(&q->words, cli->collection);
}

void akin_question_text(akin_question *q, const char *words)
{
    akin_words_add(&q->words, "TEXT");
    akin_words_add(&q->words, words);
    q->nterms++;
}

void akin_question_item(akin_question *q, const char *id)
{
    akin_words_add(&q->words, "ELE");
    akin_words_add(&q->words, id);
    q->nterms++;
}

bool akin_question_picture(akin_question *q, const char *path)
{
    akin_error err;
    uint8_t *data = NULL;
    size_t size;
    if (q->nfiles == sizeof q->files / sizeof *q->files) {
        akin_cli_fail(0, "too many pictures in one query");
        return false;
    }
    if (akin_file_read(path, MAX_FILE, &data, &size, &err)) {
        q->code = akin_cli_status(&err);
        return false;
    }
    q->files[q->nfiles++] = data;
    akin_words_add(&q->words, "IMAGE");
    akin_words_bytes(&q->words, data, size);
    q->nterms++;
    return true;
}

void akin_question_weight(akin_question *q, double weight)
{
    akin_words_add(&q->words, "WEIGHT");
    akin_words_printf(&q->words, "%.9g", weight);
}

bool akin_question_options(akin_question *q, const akin_cli *cli)
{
    const char *filter = akin_cli_value(cli, "filter", NULL);
    const char *space = akin_cli_value(cli, "space", NULL);
    const char *score = akin_cli_value(cli, "min-score", NULL);
    int64_t limit, offset;
    double least;
    if (!akin_cli_number(cli, "limit", 1, AKIN_QUERY_MAX_K, 10, &limit) ||
        !akin_cli_number(cli, "offset", 0, AKIN_QUERY_MAX_K, 0, &offset))
        return false;
    akin_words_add(&q->words, "COUNT");
    akin_words_printf(&q->words, "%lld", (long long)limit);
    if (offset) {
        akin_words_add(&q->words, "OFFSET");
        akin_words_printf(&q->words, "%lld", (long long)offset);
    }
    if (filter) {
        akin_words_add(&q->words, "FILTER");
        akin_words_add(&q->words, filter);
    }
    if (space) {
        akin_words_add(&q->words, "SPACE");
        akin_words_add(&q->words, space);
    }
    if (score) {
        if (!akin_span_double(akin_span_of(score), &least) || least < 0 ||
            least >= 1) {
            akin_cli_usage(cli, "--min-score wants a number from 0 to 1");
            return false;
        }
        akin_words_add(&q->words, "EPSILON");
        akin_words_printf(&q->words, "%.9g", 1 - least);
    }
    if (akin_cli_has(cli, "exact")) akin_words_add(&q->words, "TRUTH");
    akin_words_add(&q->words, "WITHCAPTIONS");
    return true;
}

redisReply *akin_question_ask(akin_question *q, const akin_cli *cli)
{
    return akin_words_ask(cli->link, &q->words);
}

void akin_question_clear(akin_question *q)
{
    for (size_t i = 0; i < q->nfiles; i++)
        akin_free(q->files[i]);
    akin_words_clear(&q->words);
    *q = (akin_question){0};
}

/* ---- the answer -------------------------------------------------------------------- */

void akin_match_line(const redisReply *match, akin_buf *out)
{
    const char *attributes = akin_field_text(match, "attributes");
    const char *caption = akin_field_text(match, "words");
    akin_buf_text(out, caption);
    if (*attributes) {
        akin_buf text = {0};
        akin_print_attributes(&text, attributes);
        const char *line = akin_buf_cstr(&text);
        if (line) akin_buf_printf(out, "%s%s", *caption ? "  " : "", line);
        akin_buf_clear(&text);
    }
}

static void print_table(const akin_cli *cli, const redisReply *matches,
                        int64_t first)
{
    static const akin_column columns[] = {{"#", AKIN_RIGHT, false},
                                          {"score", AKIN_RIGHT, false},
                                          {"id", AKIN_LEFT, true},
                                          {"about", AKIN_LEFT, true}};
    akin_table *table = akin_table_new(columns, 4);
    for (size_t i = 0; i < matches->elements; i++) {
        const redisReply *match = matches->element[i];
        akin_buf about = {0};
        akin_match_line(match, &about);
        const char *line = akin_buf_cstr(&about);
        akin_table_cell(table, "%lld", (long long)(first + (int64_t)i + 1));
        akin_table_cell(table, "%.4f", akin_field_real(match, "score"));
        akin_table_cell(table, "%s", akin_field_text(match, "id"));
        akin_table_cell(table, "%s", line ? line : "");
        akin_buf_clear(&about);
    }
    akin_table_print(table, cli);
    akin_table_free(table);
}

static json_t *real_or_null(const redisReply *map, const char *key)
{
    double value = akin_field_real(map, key);
    return isnan(value) ? json_null() : json_real(value);
}

static json_t *text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

static json_t *attributes_json(const char *text)
{
    json_t *object = *text ? json_loads(text, 0, NULL) : NULL;
    return object ? object : text_or_null(text);
}

static void print_json(const redisReply *answer, const redisReply *matches)
{
    json_t *list = json_array();
    for (size_t i = 0; i < matches->elements; i++) {
        const redisReply *m = matches->element[i];
        json_array_append_new(
            list,
            json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "id",
                      akin_field_text(m, "id"), "score",
                      real_or_null(m, "score"), "image",
                      real_or_null(m, "image"), "caption",
                      real_or_null(m, "caption"), "words",
                      text_or_null(akin_field_text(m, "words")), "attributes",
                      attributes_json(akin_field_text(m, "attributes"))));
    }
    json_t *root = json_pack("{s:o, s:b, s:b, s:I}", "matches", list, "exact",
                             (int)akin_field_int(answer, "exact"), "fused",
                             (int)akin_field_int(answer, "fused"), "considered",
                             (json_int_t)akin_field_int(answer, "considered"));
    if (root) json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    printf("\n");
    json_decref(root);
}

static void remark(const akin_cli *cli, const redisReply *answer)
{
    char items[32];
    if (cli->quiet || !akin_terminal_width(stdout)) return;
    fprintf(
        stderr, "%s of %s items, %.1f ms\n",
        akin_field_int(answer, "exact") ? "the best" : "the likely best",
        akin_thousands((uint64_t)akin_field_int(answer, "considered"), items),
        (double)(akin_field_int(answer, "embed_us") +
                 akin_field_int(answer, "search_us") +
                 akin_field_int(answer, "fetch_us")) /
            1000);
}

static int show(akin_cli *cli, const redisReply *answer, const char *heading,
                akin_span picture)
{
    const redisReply *matches = akin_reply_field(answer, "matches");
    const char *html = akin_cli_value(cli, "html", NULL);
    int64_t offset = 0;
    int code = AKIN_EXIT_OK;
    if (!matches || matches->type != REDIS_REPLY_ARRAY)
        return akin_cli_fail(AKIN_EXIT_CANNOT, "the answer is malformed");
    akin_cli_number(cli, "offset", 0, AKIN_QUERY_MAX_K, 0, &offset);
    if (html) {
        akin_buf page = {0};
        akin_html_begin(&page, heading, NULL);
        akin_html_section(&page, cli, heading, picture, answer, false);
        akin_html_end(&page);
        code = akin_html_save(&page, html);
    }
    if (cli->json) {
        print_json(answer, matches);
    } else if (akin_cli_has(cli, "ids")) {
        for (size_t i = 0; i < matches->elements; i++)
            printf("%s\n", akin_field_text(matches->element[i], "id"));
    } else if (matches->elements) {
        print_table(cli, matches, offset);
        remark(cli, answer);
    } else if (!cli->quiet) {
        akin_cli_fail(0, "nothing found");
    }
    if (code) return code;
    return matches->elements ? AKIN_EXIT_OK : AKIN_EXIT_NOTHING;
}

/* ---- search --------------------------------------------------------------------------- */

/* The operands are one term, those of options come before it. */
typedef struct {
    akin_question *question;
    double words, option; /* weights: of the operands, of the last option's */
    double *last;         /* of what stands last; NULL: nothing yet */
    bool negative;        /* the option is a --not */
} terms;

/* Says the weight of the last option's term, now that no --weight can follow. */
static void end_term(terms *t)
{
    double weight = t->negative ? -t->option : t->option;
    if (weight != 1) akin_question_weight(t->question, weight);
    t->option = 1;
    t->negative = false;
}

/* Adds the term that an option names, if it names one; false: said why not. */
static bool add_term(terms *t, const char *name, const char *value)
{
    static const struct {
        const char *name;
        enum { WORDS, ITEM, PICTURE } kind;
        bool negative;
    } names[] = {{"text", WORDS, false},    {"not", WORDS, true},
                 {"like", ITEM, false},     {"not-like", ITEM, true},
                 {"image", PICTURE, false}, {"not-image", PICTURE, true}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i].name) != 0) continue;
        end_term(t);
        t->negative = names[i].negative;
        t->last = &t->option;
        if (names[i].kind == PICTURE)
            return akin_question_picture(t->question, value);
        if (names[i].kind == ITEM)
            akin_question_item(t->question, value);
        else
            akin_question_text(t->question, value);
    }
    return true;
}

static bool weigh(const akin_cli *cli, terms *t, const char *text)
{
    if (!t->last) {
        akin_cli_usage(cli, "--weight stands behind what it weighs");
        return false;
    }
    if (akin_span_double(akin_span_of(text), t->last) && *t->last != 0)
        return true;
    akin_cli_usage(cli, "--weight wants a number other than 0, got '%s'", text);
    return false;
}

static bool collect_terms(akin_cli *cli, akin_question *q, const char *words)
{
    terms t = {.question = q, .words = 1, .option = 1};
    int operands = 0;
    for (size_t i = 0; i < cli->ngiven; i++) {
        const char *name = cli->given[i].name, *value = cli->given[i].value;
        if (*words && cli->given[i].operands > operands) t.last = &t.words;
        operands = cli->given[i].operands;
        if (!strcmp(name, "weight") ? !weigh(cli, &t, value)
                                    : !add_term(&t, name, value))
            return false;
    }
    end_term(&t);
    if (*words) {
        akin_question_text(q, words);
        if (t.words != 1) akin_question_weight(q, t.words);
    }
    if (q->nterms) return true;
    akin_cli_usage(cli, "what to search for? give words, --image FILE or "
                        "--like ID");
    return false;
}

int akin_cli_search(akin_cli *cli)
{
    akin_question q = {0};
    char *words = akin_cli_joined(cli);
    redisReply *answer = NULL;
    int code = AKIN_EXIT_USAGE;

    if (!words) return akin_cli_fail(AKIN_EXIT_CANNOT, "no memory");
    akin_question_begin(&q, cli);
    if (collect_terms(cli, &q, words) && akin_question_options(&q, cli)) {
        akin_words_add(&q.words, "NOSELF");
        answer = akin_question_ask(&q, cli);
        code = answer ? show(cli, answer, *words ? words : "search",
                             (akin_span){0})
                      : AKIN_EXIT_CANNOT;
    } else if (q.code) {
        code = q.code;
    }
    if (answer) freeReplyObject(answer);
    akin_question_clear(&q);
    akin_free(words);
    return code;
}

/* ---- similar ---------------------------------------------------------------------------- */

/* Whether the operand is a picture file: told so, or there is no such item and
 * there is such a file. */
static bool means_file(akin_cli *cli, const char *operand)
{
    if (akin_cli_has(cli, "file")) return true;
    if (access(operand, F_OK)) return false;
    redisReply *there =
        akin_link_ask(cli->link, "VISMEMBER", cli->collection, operand);
    bool file = there && there->type == REDIS_REPLY_INTEGER && !there->integer;
    if (there) freeReplyObject(there);
    return file;
}

int akin_cli_similar(akin_cli *cli)
{
    akin_question q = {0};
    redisReply *answer = NULL;
    int code = AKIN_EXIT_CANNOT;

    bool file = means_file(cli, cli->argv[0]);
    akin_question_begin(&q, cli);
    if (file ? akin_question_picture(&q, cli->argv[0])
             : (akin_question_item(&q, cli->argv[0]), true)) {
        code = AKIN_EXIT_USAGE;
        if (akin_question_options(&q, cli)) {
            akin_words_add(&q.words, "NOSELF");
            answer = akin_question_ask(&q, cli);
            code = answer ? show(cli, answer, cli->argv[0], (akin_span){0})
                          : AKIN_EXIT_CANNOT;
        }
    }
    if (answer) freeReplyObject(answer);
    akin_question_clear(&q);
    return code;
}

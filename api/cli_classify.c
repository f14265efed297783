/* akin classify: which of some labels a picture shows (zero-shot). Each label is
 * put into the templates, and the mean of their vectors is the label's; the
 * probabilities are a softmax over the cosines times the model's own scale, as
 * CLIP was trained. Vectors come from AKIN.EMBED; a few pictures are on their
 * way at a time. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define MAX_FILE       (64u << 20)
#define MOST_LABELS    10000
#define MOST_TEMPLATES 64
#define WINDOW         8 /* pictures, and texts, that are on their way */
#define SHOWN          5

typedef struct {
    float cosine, probability;
    size_t label;
} guess;

typedef struct {
    akin_cli *cli;
    char **labels;
    size_t n, capacity;
    const char *templates[MOST_TEMPLATES];
    size_t ntemplates;
    float *vectors; /* (n, dim) of the labels */
    guess *guesses; /* (n) of the picture at hand, best first */
    uint32_t dim;
    float scale;
    size_t shown;
    char *window[WINDOW];  /* names of pictures whose vectors are awaited */
    size_t first, waiting; /* of window */
    akin_bar bar;
    akin_progress progress;
    akin_table *table;
    json_t *list; /* with --json */
} classifying;

/* ---- options ----------------------------------------------------------------- */

static akin_status add_label(classifying *k, const char *text, size_t n,
                             akin_error *err)
{
    while (n && strchr(" \t\r", text[n - 1]))
        n--;
    while (n && strchr(" \t", *text))
        text++, n--;
    for (size_t i = 0; i < k->n; i++)
        if (strlen(k->labels[i]) == n && !memcmp(k->labels[i], text, n))
            return AKIN_OK;
    if (!n) return AKIN_OK;
    if (k->n == MOST_LABELS)
        return akin_fail(err, AKIN_INVALID, "more than %d labels", MOST_LABELS);
    akin_status rc =
        akin_grow(&k->labels, &k->capacity, k->n + 1, sizeof *k->labels, err);
    if (rc) return rc;
    k->labels[k->n] = akin_strndup(text, n);
    if (!k->labels[k->n]) return akin_fail(err, AKIN_NOMEM, "no memory");
    k->n++;
    return AKIN_OK;
}

/* Those between separators. */
static akin_status add_labels(classifying *k, const char *text,
                              const char *separator, akin_error *err)
{
    akin_status rc = AKIN_OK;
    while (!rc && *text) {
        size_t n = strcspn(text, separator);
        rc = add_label(k, text, n, err);
        text += n + (text[n] != 0);
    }
    return rc;
}

static akin_status read_labels(classifying *k, akin_error *err)
{
    const akin_cli *cli = k->cli;
    akin_status rc = AKIN_OK;

    for (size_t i = 0; !rc && i < cli->ngiven; i++) {
        const char *name = cli->given[i].name, *value = cli->given[i].value;
        uint8_t *text = NULL;
        size_t size;
        if (!strcmp(name, "labels")) {
            rc = add_labels(k, value, ",", err);
        } else if (!strcmp(name, "labels-file")) {
            rc = akin_file_read(value, MAX_FILE, &text, &size, err);
            if (!rc) rc = add_labels(k, (const char *)text, "\n", err);
            akin_free(text);
        } else if (!strcmp(name, "template") &&
                   k->ntemplates < MOST_TEMPLATES) {
            k->templates[k->ntemplates++] = value;
        }
    }
    if (!k->ntemplates) k->templates[k->ntemplates++] = AKIN_TEMPLATE;
    return rc;
}

int akin_cli_template_check(const akin_cli *cli)
{
    for (size_t i = 0; i < cli->ngiven; i++)
        if (!strcmp(cli->given[i].name, "template") &&
            !strstr(cli->given[i].value, "{}"))
            return akin_cli_usage(
                cli, "--template wants {} where the label goes, got '%s'",
                cli->given[i].value);
    return AKIN_EXIT_OK;
}

void akin_template_fill(akin_buf *out, const char *template, const char *label)
{
    const char *hole = strstr(template, "{}");
    akin_buf_append(out, template, (size_t)(hole - template));
    akin_buf_text(out, label);
    akin_buf_text(out, hole + 2);
}

int akin_cli_classify_check(akin_cli *cli)
{
    int64_t limit;
    if (!akin_cli_has(cli, "labels") && !akin_cli_has(cli, "labels-file"))
        return akin_cli_usage(cli, "which labels? give --labels cat,dog,... "
                                   "or --labels-file FILE");
    if (!akin_cli_number(cli, "limit", 1, MOST_LABELS, SHOWN, &limit))
        return AKIN_EXIT_USAGE;
    for (int i = 0; i < cli->argc; i++)
        if (strcmp(cli->argv[i], "-") != 0 && access(cli->argv[i], R_OK))
            return akin_cli_fail(AKIN_EXIT_CANNOT, "cannot read '%s': %s",
                                 cli->argv[i], strerror(errno));
    return akin_cli_template_check(cli);
}

/* ---- embedding ------------------------------------------------------------------ */

static akin_status send_embed(classifying *k, const char *kind, akin_span data,
                              akin_error *err)
{
    akin_words words = {0};
    akin_words_add(&words, "AKIN.EMBED");
    akin_words_add(&words, kind);
    akin_words_bytes(&words, data.data, data.size);
    akin_words_add(&words, "FP32");
    akin_model_words(k->cli, &words);
    akin_status rc =
        words.failed ? akin_fail(err, AKIN_NOMEM, "no memory for a command")
                     : akin_link_send(k->cli->link, words.argv, words.n, err);
    akin_words_clear(&words);
    return rc;
}

/* The next vector. AKIN_BAD_DATA: a reply, but no vector; err says why. Anything
 * else ends it all. */
static akin_status receive_vector(classifying *k, redisReply **out,
                                  akin_error *err)
{
    akin_status rc = akin_link_receive(k->cli->link, out, err);
    if (rc) return rc;
    const redisReply *reply = *out;
    if (reply->type == REDIS_REPLY_ERROR)
        rc = akin_fail(err, AKIN_BAD_DATA, "%s",
                       reply->str + (strncmp(reply->str, "ERR ", 4) ? 0 : 4));
    else if (reply->type != REDIS_REPLY_STRING ||
             reply->len != k->dim * sizeof(float))
        rc = akin_fail(err, AKIN_BAD_DATA, "the answer is malformed");
    if (!rc) return AKIN_OK;
    freeReplyObject(*out);
    *out = NULL;
    return rc;
}

/* Text number i: label i / ntemplates in template i % ntemplates. */
static akin_status send_text(classifying *k, size_t i, akin_error *err)
{
    akin_buf words = {0};
    akin_template_fill(&words, k->templates[i % k->ntemplates],
                       k->labels[i / k->ntemplates]);
    akin_status rc =
        words.failed
            ? akin_fail(err, AKIN_NOMEM, "no memory")
            : send_embed(k, "TEXT", (akin_span){words.data, words.size}, err);
    akin_buf_clear(&words);
    return rc;
}

static akin_status take_text(classifying *k, size_t i, akin_error *err)
{
    float *sum = k->vectors + i / k->ntemplates * k->dim;
    redisReply *reply = NULL;
    float value;
    akin_status rc = receive_vector(k, &reply, err);
    if (rc) return rc;
    for (uint32_t d = 0; d < k->dim; d++) {
        memcpy(&value, reply->str + d * sizeof value, sizeof value);
        sum[d] += value;
    }
    freeReplyObject(reply);
    return AKIN_OK;
}

static akin_status embed_labels(classifying *k, akin_error *err)
{
    size_t n = k->n * k->ntemplates, sent = 0;
    akin_progress p = {.total = n, .seconds_left = -1};
    akin_bar bar;
    akin_status rc = AKIN_OK;

    k->vectors = akin_calloc(k->n * k->dim, sizeof *k->vectors);
    k->guesses = akin_calloc(k->n, sizeof *k->guesses);
    if (!k->vectors || !k->guesses)
        return akin_fail(err, AKIN_NOMEM, "no memory for %zu labels", k->n);
    akin_bar_init(&bar, k->cli, "embedding labels");
    for (size_t i = 0; !rc && i < n; i++) {
        for (; !rc && sent < n && sent < i + WINDOW; sent++)
            rc = send_text(k, sent, err);
        if (!rc) rc = take_text(k, i, err);
        p.done = i + 1;
        akin_bar_show(&bar, &p, false);
        if (!rc && akin_cli_interrupted())
            rc = akin_fail(err, AKIN_CANCELLED, "interrupted");
    }
    akin_bar_show(&bar, &p, true);
    for (size_t i = 0; !rc && i < k->n; i++)
        if (!akin_normalize(k->vectors + i * k->dim, k->dim))
            rc = akin_fail(err, AKIN_INVALID, "no direction for '%.100s'",
                           k->labels[i]);
    return rc;
}

/* ---- one picture ----------------------------------------------------------------- */

static int likelier(const void *a, const void *b)
{
    const guess *x = a, *y = b;
    if (x->cosine != y->cosine) return x->cosine > y->cosine ? -1 : 1;
    return x->label < y->label ? -1 : 1;
}

static void guess_labels(classifying *k, const float *picture)
{
    double sum = 0;
    for (size_t i = 0; i < k->n; i++) {
        const float *label = k->vectors + i * k->dim;
        double cosine = 0;
        for (uint32_t d = 0; d < k->dim; d++)
            cosine += (double)label[d] * picture[d];
        k->guesses[i] = (guess){.cosine = (float)cosine, .label = i};
    }
    qsort(k->guesses, k->n, sizeof *k->guesses, likelier);
    for (size_t i = 0; i < k->n; i++) {
        guess *g = &k->guesses[i];
        /* the best one's logit is taken off all: no overflow */
        g->probability = expf(k->scale * (g->cosine - k->guesses[0].cosine));
        sum += (double)g->probability;
    }
    for (size_t i = 0; i < k->n; i++)
        k->guesses[i].probability /= (float)sum;
}

static bool keep_answer(classifying *k, const char *name)
{
    json_t *labels = k->list ? json_array() : NULL;
    for (size_t i = 0; i < k->n && i < k->shown; i++) {
        const guess *g = &k->guesses[i];
        const char *label = k->labels[g->label];
        if (k->list) {
            json_array_append_new(
                labels,
                json_pack("{s:s, s:f, s:f}", "label", label, "probability",
                          (double)g->probability, "cosine", (double)g->cosine));
            continue;
        }
        akin_table_cell(k->table, "%s", i ? "" : name);
        akin_table_cell(k->table, "%.4f", (double)g->probability);
        akin_table_cell(k->table, "%.4f", (double)g->cosine);
        akin_table_cell(k->table, "%s", label);
    }
    return !k->list ||
           !json_array_append_new(k->list, json_pack("{s:s, s:o}", "picture",
                                                     name, "labels", labels));
}

static void failed(classifying *k, const char *name, const char *why)
{
    k->progress.done++;
    k->progress.failed++;
    fprintf(stderr, "%s%s: %s\n",
            k->bar.terminal && k->bar.drawn ? "\r\033[K" : "", name, why);
}

static akin_status take_picture(classifying *k, akin_error *err)
{
    char *name = k->window[k->first];
    redisReply *reply = NULL;
    akin_status rc = receive_vector(k, &reply, err);

    if (!rc) {
        /* hiredis gives bytes where they happen to lie */
        float *vector = akin_alloc(k->dim * sizeof *vector);
        if (vector) {
            memcpy(vector, reply->str, k->dim * sizeof *vector);
            guess_labels(k, vector);
            if (keep_answer(k, name))
                k->progress.done++;
            else
                failed(k, name, "its name is not UTF-8, as JSON wants it");
        } else {
            rc = akin_fail(err, AKIN_NOMEM, "no memory for a vector");
        }
        akin_free(vector);
        freeReplyObject(reply);
    } else if (rc == AKIN_BAD_DATA) {
        failed(k, name, err->message);
        rc = AKIN_OK;
    }
    akin_free(name);
    k->first = (k->first + 1) % WINDOW;
    k->waiting--;
    akin_bar_show(&k->bar, &k->progress, false);
    return rc;
}

static akin_status send_picture(classifying *k, const char *name,
                                akin_span bytes, akin_error *err)
{
    akin_status rc = AKIN_OK;
    if (k->waiting == WINDOW) rc = take_picture(k, err);
    if (!rc) rc = send_embed(k, "IMAGE", bytes, err);
    if (!rc) rc = akin_link_flush(k->cli->link, err);
    if (rc) return rc;
    char *copy = akin_strdup(name);
    if (!copy) return akin_fail(err, AKIN_NOMEM, "no memory for a name");
    k->window[(k->first + k->waiting++) % WINDOW] = copy;
    return AKIN_OK;
}

/* ---- all pictures ------------------------------------------------------------------ */

static akin_status read_stdin(classifying *k, akin_error *err)
{
    akin_buf bytes = {.limit = MAX_FILE};
    char piece[65536];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, stdin)) > 0)
        akin_buf_append(&bytes, piece, n);
    akin_status rc = AKIN_OK;
    if (ferror(stdin))
        rc = akin_fail_errno(err, errno, "cannot read standard input");
    else if (bytes.failed)
        failed(k, "-", "more than 64 MB");
    else
        rc = send_picture(k, "-", (akin_span){bytes.data, bytes.size}, err);
    akin_buf_clear(&bytes);
    return rc;
}

static akin_status read_files(classifying *k, akin_source *source,
                              akin_error *err)
{
    akin_status rc = AKIN_OK;
    while (!rc && !akin_cli_interrupted()) {
        akin_source_item it;
        akin_error why;
        uint8_t *data = NULL;
        size_t size = 0;
        akin_status read = akin_source_next(source, &it, &why);
        if (read && !it.label) {
            if (read == AKIN_NOT_FOUND) break;
            *err = why;
            return read;
        }
        if (!read && !it.file)
            read = akin_fail(&why, AKIN_NOT_FOUND, "there is no picture");
        if (!read) read = akin_file_read(it.file, MAX_FILE, &data, &size, &why);
        if (read)
            failed(k, it.label, why.message);
        else
            rc = send_picture(k, it.file, (akin_span){data, size}, err);
        akin_free(data);
    }
    return rc;
}

/* "-" anywhere among the operands is standard input. */
static akin_status read_all(classifying *k, akin_error *err)
{
    const akin_cli *cli = k->cli;
    const char **paths = akin_calloc((size_t)cli->argc, sizeof *paths);
    akin_ingest what = {.paths = paths,
                        .flat = akin_cli_has(cli, "flat"),
                        .hidden = akin_cli_has(cli, "hidden")};
    akin_source *source = NULL;
    const akin_failure *failures = NULL;
    size_t n = 0;

    if (!paths) return akin_fail(err, AKIN_NOMEM, "no memory");
    for (int i = 0; i < cli->argc; i++)
        if (strcmp(cli->argv[i], "-") != 0) paths[what.npaths++] = cli->argv[i];
    bool input = what.npaths < (size_t)cli->argc;
    akin_status rc = AKIN_OK;
    if (what.npaths)
        rc = akin_source_open(&what, &source, &k->progress.total, err);
    k->progress.total += input;
    if (!rc && input) rc = read_stdin(k, err);
    if (!rc && source) rc = read_files(k, source, err);
    while (!rc && k->waiting)
        rc = take_picture(k, err);
    if (source) failures = akin_source_failures(source, &n);
    for (size_t i = 0; i < n; i++)
        failed(k, failures[i].what, failures[i].message);
    akin_bar_show(&k->bar, &k->progress, true);
    akin_source_close(source);
    akin_free(paths);
    return rc;
}

/* ---- the command --------------------------------------------------------------------- */

static int ask_model(classifying *k)
{
    redisReply *model = akin_model_ask(k->cli);
    if (!model) return AKIN_EXIT_CANNOT;
    k->dim = (uint32_t)akin_field_int(model, "dim");
    k->scale = (float)akin_field_real(model, "logit_scale");
    freeReplyObject(model);
    if (k->dim && k->dim <= 65536 && k->scale > 0) return AKIN_EXIT_OK;
    return akin_cli_fail(AKIN_EXIT_CANNOT, "the answer is malformed");
}

static void print_answers(const classifying *k)
{
    if (k->list) {
        json_dumpf(k->list, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        printf("\n");
    } else if (k->progress.done > k->progress.failed) {
        akin_table_print(k->table, k->cli);
    }
}

static int run(classifying *k)
{
    static const akin_column columns[] = {{"picture", AKIN_LEFT, true},
                                          {"probability", AKIN_RIGHT, false},
                                          {"cosine", AKIN_RIGHT, false},
                                          {"label", AKIN_LEFT, true}};
    akin_error err;
    int code = ask_model(k);
    if (code) return code;
    k->table = akin_table_new(columns, 4);
    if (k->cli->json) k->list = json_array();
    akin_bar_init(&k->bar, k->cli, "classifying");
    k->progress.seconds_left = -1;
    akin_status rc = embed_labels(k, &err);
    if (!rc) rc = read_all(k, &err);
    bool broke = rc && rc != AKIN_CANCELLED;
    if (!broke || k->progress.done > k->progress.failed) print_answers(k);
    if (broke) return akin_cli_status(&err);
    if (rc || akin_cli_interrupted()) return AKIN_EXIT_INTERRUPTED;
    if (!k->progress.done)
        return akin_cli_fail(AKIN_EXIT_NOTHING, "there are no pictures");
    return k->progress.failed ? AKIN_EXIT_NOTHING : AKIN_EXIT_OK;
}

static void clear(classifying *k)
{
    for (; k->waiting; k->waiting--) {
        akin_free(k->window[k->first]);
        k->first = (k->first + 1) % WINDOW;
    }
    for (size_t i = 0; i < k->n; i++)
        akin_free(k->labels[i]);
    akin_free(k->labels);
    akin_free(k->vectors);
    akin_free(k->guesses);
    akin_table_free(k->table);
    json_decref(k->list);
}

int akin_cli_classify(akin_cli *cli)
{
    classifying k = {.cli = cli};
    char *scratch = NULL;
    int64_t shown = SHOWN;
    akin_error err;
    int code;

    akin_cli_catch_interrupt();
    akin_cli_number(cli, "limit", 1, MOST_LABELS, SHOWN, &shown);
    k.shown = (size_t)shown;
    akin_status rc = read_labels(&k, &err);
    if (!rc && k.n < 2) {
        code = akin_cli_usage(cli, "expected two labels or more, got %zu", k.n);
        clear(&k);
        return code;
    }
    if (!rc) rc = akin_model_link_open(cli, &scratch, &err);
    code = rc ? akin_cli_status(&err) : run(&k);
    akin_model_link_close(cli, scratch);
    clear(&k);
    return code;
}

/* akin bench retrieval: how well a model finds the pictures of a labelled
 * folder, of a catalogue, or of a collection that is there. A folder is read
 * into a data directory of its own that goes when we end. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "retrieval.h"

#define TEXT_BYTES     4096
#define PAGE           1000
#define MOST_TEMPLATES 64
#define MOST_PICTURES  100000

/* Distinct texts, numbered in the order in which they came. */
typedef struct {
    char **texts;
    size_t n, capacity;
    json_t *numbers; /* text -> number */
} names;

typedef struct {
    akin_cli *cli;
    akin_engine *engine;
    const char *collection;
    char *own; /* the directory we made; NULL: none */
    akin_collection_info info;
    akin_report report;
    char label[AKIN_NAME_BYTES]; /* attribute; empty: there is none */
    size_t n, capacity, vector_capacity, label_capacity, caption_capacity;
    float *vectors; /* (n, dim) */
    uint32_t *labels, *captions;
    names label_names, caption_names;
    float *label_vectors, *caption_vectors; /* (names, dim) */
    bool *asks; /* (n) whether it is a query too, not only in the pool */
    size_t ask_capacity, n_asks;
} bench;

/* ---- names ------------------------------------------------------------------------ */

/* The number of a text; AKIN_RETRIEVAL_NONE for none. */
static akin_status number_of(names *list, const char *text, uint32_t *out,
                             akin_error *err)
{
    *out = AKIN_RETRIEVAL_NONE;
    if (!text || !*text) return AKIN_OK;
    if (!list->numbers) list->numbers = json_object();
    const json_t *known = json_object_get(list->numbers, text);
    if (known) {
        *out = (uint32_t)json_integer_value(known);
        return AKIN_OK;
    }
    akin_status rc = akin_grow(&list->texts, &list->capacity, list->n + 1,
                               sizeof *list->texts, err);
    if (rc) return rc;
    char *copy = akin_strdup(text);
    if (!copy || json_object_set_new(list->numbers, text,
                                     json_integer((json_int_t)list->n))) {
        akin_free(copy);
        return akin_fail(err, AKIN_NOMEM, "no memory for the texts");
    }
    *out = (uint32_t)list->n;
    list->texts[list->n++] = copy;
    return AKIN_OK;
}

static void names_clear(names *list)
{
    for (size_t i = 0; i < list->n; i++)
        akin_free(list->texts[i]);
    akin_free(list->texts);
    json_decref(list->numbers);
}

/* ---- options ------------------------------------------------------------------------ */

static bool read_captions(const akin_cli *cli, akin_caption_from *out)
{
    static const char *const words[] = {"metadata", "filename", "none"};
    const char *given = akin_cli_value(cli, "captions", words[0]);
    for (int i = 0; i < 3; i++)
        if (!strcmp(given, words[i])) {
            *out = (akin_caption_from)i;
            return true;
        }
    return false;
}

int akin_cli_bench_check(akin_cli *cli)
{
    akin_caption_from captions;
    int64_t sample;
    if (strcmp(cli->argv[0], "retrieval") != 0)
        return akin_cli_usage(cli, "expected 'retrieval', got '%s'",
                              cli->argv[0]);
    if (!read_captions(cli, &captions))
        return akin_cli_usage(cli, "--captions is metadata, filename or none");
    int code = akin_cli_template_check(cli);
    if (code) return code;
    if (!akin_cli_number(cli, "sample", 1, MOST_PICTURES, 10000, &sample))
        return AKIN_EXIT_USAGE;
    if (cli->argc == 2 && access(cli->argv[1], R_OK))
        return akin_cli_fail(AKIN_EXIT_CANNOT, "cannot read '%s'",
                             cli->argv[1]);
    return AKIN_EXIT_OK;
}

/* ---- reading -------------------------------------------------------------------------- */

static bool show_progress(void *user, const akin_progress *p)
{
    akin_bar_show(user, p, false);
    return !akin_cli_interrupted();
}

static akin_status read_pictures(bench *b, akin_error *err)
{
    const char *path = b->cli->argv[1];
    akin_bar bar;
    akin_ingest what = {.paths = &path, .npaths = 1};
    if (!read_captions(b->cli, &what.captions))
        what.captions = AKIN_CAPTION_METADATA;
    akin_bar_init(&bar, b->cli, "reading");
    akin_status rc = akin_engine_ingest(b->engine, b->collection, &what,
                                        show_progress, &bar, &b->report, err);
    akin_bar_show(&bar, &b->report.progress, true);
    for (size_t i = 0; i < b->report.nfailures; i++)
        fprintf(stderr, "%s: %s\n", b->report.failures[i].what,
                b->report.failures[i].message);
    return rc;
}

/* The value of the label's attribute as text, for json_decref; NULL: none. Of a
 * folder, the name of the innermost. */
static json_t *label_of(const char *attribute, const char *attributes)
{
    json_t *root = attributes ? json_loads(attributes, 0, NULL) : NULL;
    const json_t *value = json_object_get(root, attribute);
    json_t *out = NULL;
    if (json_is_string(value)) {
        const char *text = json_string_value(value), *slash;
        slash = !strcmp(attribute, "folder") ? strrchr(text, '/') : NULL;
        out = json_string(slash ? slash + 1 : text);
    } else if (json_is_number(value) || json_is_boolean(value)) {
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        out = json_string(text ? text : "");
        free(text);
    }
    json_decref(root);
    return out;
}

/* Which attribute holds the labels, when --label does not say: the first of
 * these that an item has. */
static void choose_label(bench *b, const akin_item_info *item)
{
    static const char *const usual[] = {"label", "class", "category", "folder"};
    for (size_t i = 0; !b->label[0] && i < sizeof usual / sizeof *usual; i++) {
        json_t *label = label_of(usual[i], item->attributes);
        if (label) snprintf(b->label, sizeof b->label, "%s", usual[i]);
        json_decref(label);
    }
}

static akin_status one_picture(bench *b, akin_span id, bool asks,
                               akin_error *err)
{
    akin_item_info item = {0};
    float *vector = NULL;
    uint32_t dim = 0;
    json_t *label = NULL;
    akin_status rc = akin_engine_get(b->engine, b->collection, id, &item, err);
    if (rc || !item.has_image) goto done;
    rc = akin_engine_vector(b->engine, b->collection, id, AKIN_QUERY_IMAGE,
                            &vector, &dim, NULL, err);
    if (!rc)
        rc = akin_grow(&b->vectors, &b->vector_capacity, (b->n + 1) * dim,
                       sizeof *b->vectors, err);
    if (!rc)
        rc = akin_grow(&b->labels, &b->label_capacity, b->n + 1,
                       sizeof *b->labels, err);
    if (!rc)
        rc = akin_grow(&b->captions, &b->caption_capacity, b->n + 1,
                       sizeof *b->captions, err);
    if (!rc)
        rc = akin_grow(&b->asks, &b->ask_capacity, b->n + 1, sizeof *b->asks,
                       err);
    if (rc) goto done;
    memcpy(b->vectors + b->n * dim, vector, dim * sizeof *vector);
    choose_label(b, &item);
    label = label_of(b->label, item.attributes);
    rc = number_of(&b->label_names, json_string_value(label), &b->labels[b->n],
                   err);
    if (!rc)
        rc =
            number_of(&b->caption_names, item.caption, &b->captions[b->n], err);
    b->n_asks += asks;
    b->asks[b->n++] = asks;
done:
    json_decref(label);
    akin_free(vector);
    akin_item_info_clear(&item);
    return rc;
}

static bool contains(const akin_ids *sorted, const char *id)
{
    size_t low = 0, high = sorted->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(sorted->ids[middle], id);
        if (!order) return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Every item, or every so-manieth, in the order of ids. */
static akin_status collect(bench *b, akin_error *err)
{
    int64_t sample = 0;
    uint64_t count = 0;
    akin_filter queries = {
        .text = akin_span_of(akin_cli_value(b->cli, "queries", NULL))};
    char *last = NULL;
    akin_status rc = akin_engine_count(b->engine, b->collection,
                                       (akin_filter){0}, &count, err);
    if (!akin_cli_number(b->cli, "sample", 1, MOST_PICTURES, 10000, &sample))
        sample = 10000;
    uint64_t step = (count + (uint64_t)sample - 1) / (uint64_t)sample, at = 0;
    for (bool more = true; more && !rc;) {
        akin_range range = {
            .start = akin_span_of(last), .after_start = true, .limit = PAGE};
        akin_ids page = {0}, asking = {0};
        rc = akin_engine_range(b->engine, b->collection, &range, &page, err);
        more = !rc && page.n == PAGE;
        if (!rc && page.n && queries.text.size) {
            akin_range same = {.start = akin_span_of(page.ids[0]),
                               .end = akin_span_of(page.ids[page.n - 1]),
                               .limit = PAGE,
                               .filter = queries};
            rc = akin_engine_range(b->engine, b->collection, &same, &asking,
                                   err);
        }
        for (size_t i = 0; i < page.n && !rc; i++)
            if (at++ % step == 0)
                rc = one_picture(
                    b, akin_span_of(page.ids[i]),
                    !queries.text.size || contains(&asking, page.ids[i]), err);
        akin_free(last);
        last = more ? akin_strdup(page.ids[page.n - 1]) : NULL;
        if (more && !last) rc = akin_fail(err, AKIN_NOMEM, "no memory");
        if (!rc && akin_cli_interrupted())
            rc = akin_fail(err, AKIN_CANCELLED, "interrupted");
        akin_ids_clear(&asking);
        akin_ids_clear(&page);
    }
    akin_free(last);
    return rc;
}

/* ---- texts ------------------------------------------------------------------------------ */

/* Adds the embedding of the template with the label in it. */
static akin_status add_text(bench *b, const char *template, const char *text,
                            float *sum, akin_error *err)
{
    akin_buf words = {0};
    float *vector = NULL;
    uint32_t dim = 0;
    akin_template_fill(&words, template, text);
    akin_status rc =
        words.failed
            ? akin_fail(err, AKIN_NOMEM, "no memory")
            : akin_engine_embed_text(b->engine, b->collection,
                                     (akin_span){words.data, words.size},
                                     &vector, &dim, err);
    for (uint32_t i = 0; i < dim && !rc; i++)
        sum[i] += vector[i];
    akin_free(vector);
    akin_buf_clear(&words);
    return rc;
}

/* Vectors of all names: of each, the mean over the templates. */
static akin_status embed_names(bench *b, const names *list,
                               const char *const *templates, size_t n,
                               const char *verb, float **out, akin_error *err)
{
    akin_bar bar;
    akin_progress p = {.total = list->n, .seconds_left = -1};
    akin_status rc = AKIN_OK;
    *out = akin_calloc(list->n * b->info.dim + 1, sizeof **out);
    if (!*out) return akin_fail(err, AKIN_NOMEM, "no memory for the texts");
    akin_bar_init(&bar, b->cli, verb);
    for (size_t i = 0; i < list->n && !rc; i++) {
        float *vector = *out + i * b->info.dim;
        for (size_t t = 0; t < n && !rc; t++)
            rc = add_text(b, templates[t], list->texts[i], vector, err);
        if (!rc && !akin_normalize(vector, b->info.dim))
            rc = akin_fail(err, AKIN_BAD_DATA, "no direction for '%.100s'",
                           list->texts[i]);
        p.done = i + 1;
        if (!rc && !show_progress(&bar, &p))
            rc = akin_fail(err, AKIN_CANCELLED, "interrupted");
    }
    akin_bar_show(&bar, &p, true);
    return rc;
}

static akin_status embed_texts(bench *b, akin_error *err)
{
    static const char *const as_is[] = {"{}"};
    const char *templates[MOST_TEMPLATES] = {AKIN_TEMPLATE};
    const akin_cli *cli = b->cli;
    size_t n = 0;
    for (size_t i = 0; i < cli->ngiven && n < MOST_TEMPLATES; i++)
        if (!strcmp(cli->given[i].name, "template"))
            templates[n++] = cli->given[i].value;
    akin_status rc =
        embed_names(b, &b->caption_names, as_is, 1, "embedding captions",
                    &b->caption_vectors, err);
    if (!rc)
        rc = embed_names(b, &b->label_names, templates, n ? n : 1,
                         "embedding labels", &b->label_vectors, err);
    return rc;
}

/* ---- measuring ---------------------------------------------------------------------------- */

enum { BY_CAPTION, TO_CAPTION, BY_LABEL, SAME_LABEL, SECTIONS };

static const struct {
    const char *title, *key;
} sections[SECTIONS] = {{"caption -> picture", "caption_to_picture"},
                        {"picture -> caption", "picture_to_caption"},
                        {"label -> picture", "label_to_picture"},
                        {"picture -> same label", "picture_to_same_label"}};

typedef struct {
    akin_retrieval of[SECTIONS];
    akin_classification classes;
} results;

/* The pictures that ask, with their places in the pool. For akin_free: vectors,
 * groups of both kinds, self. */
typedef struct {
    float *vectors;
    uint32_t *labels, *captions, *self;
    size_t n;
} askers;

static akin_status gather_askers(const bench *b, askers *out, akin_error *err)
{
    uint32_t dim = b->info.dim;
    out->vectors = akin_calloc(b->n_asks * dim + 1, sizeof *out->vectors);
    out->labels = akin_calloc(b->n_asks + 1, sizeof *out->labels);
    out->captions = akin_calloc(b->n_asks + 1, sizeof *out->captions);
    out->self = akin_calloc(b->n_asks + 1, sizeof *out->self);
    if (!out->vectors || !out->labels || !out->captions || !out->self)
        return akin_fail(err, AKIN_NOMEM, "no memory for %zu queries",
                         b->n_asks);
    for (size_t i = 0; i < b->n; i++) {
        if (!b->asks[i]) continue;
        memcpy(out->vectors + out->n * dim, b->vectors + i * dim,
               dim * sizeof *out->vectors);
        out->labels[out->n] = b->labels[i];
        out->captions[out->n] = b->captions[i];
        out->self[out->n++] = (uint32_t)i;
    }
    return AKIN_OK;
}

static akin_status measure(const bench *b, results *out, akin_error *err)
{
    uint32_t dim = b->info.dim, threads = akin_cpu_count();
    size_t most = b->caption_names.n > b->label_names.n ? b->caption_names.n
                                                        : b->label_names.n;
    uint32_t *number = akin_calloc(most + 1, sizeof *number);
    askers ask = {0};
    akin_status rc = number ? gather_askers(b, &ask, err)
                            : akin_fail(err, AKIN_NOMEM, "no memory");
    for (size_t i = 0; number && i < most; i++)
        number[i] = (uint32_t)i;
    const akin_retrieval_set by_caption = {b->vectors, b->captions, b->n},
                             by_label = {b->vectors, b->labels, b->n},
                             captions = {b->caption_vectors, number,
                                         b->caption_names.n},
                             labels = {b->label_vectors, number,
                                       b->label_names.n},
                             ask_caption = {ask.vectors, ask.captions, ask.n},
                             ask_label = {ask.vectors, ask.labels, ask.n};
    const struct {
        const akin_retrieval_set *queries, *pool;
        const uint32_t *self;
    } pairs[SECTIONS] = {{&captions, &by_caption, NULL},
                         {&ask_caption, &captions, NULL},
                         {&labels, &by_label, NULL},
                         {&ask_label, &by_label, ask.self}};
    for (int i = 0; i < SECTIONS && !rc; i++)
        rc = akin_retrieval_measure(pairs[i].queries, pairs[i].pool, dim,
                                    pairs[i].self, threads, &out->of[i], err);
    if (!rc)
        rc = akin_retrieval_classify(&ask_label, b->label_vectors,
                                     (uint32_t)b->label_names.n, dim,
                                     &out->classes, err);
    akin_free(ask.vectors);
    akin_free(ask.labels);
    akin_free(ask.captions);
    akin_free(ask.self);
    akin_free(number);
    return rc;
}

/* ---- printing ------------------------------------------------------------------------------- */

static void print_people(const bench *b, const results *r)
{
    static const akin_column columns[] = {
        {"", AKIN_LEFT, false},         {"queries", AKIN_RIGHT, false},
        {"pool", AKIN_RIGHT, false},    {"R@1", AKIN_RIGHT, false},
        {"R@5", AKIN_RIGHT, false},     {"R@10", AKIN_RIGHT, false},
        {"P@10", AKIN_RIGHT, false},    {"nDCG@10", AKIN_RIGHT, false},
        {"by chance", AKIN_LEFT, false}};
    const akin_classification *c = &r->classes;
    char a[32], z[32], l[32];
    printf("%s pictures, %s captions, %s labels%s%s; model %s, %u numbers\n\n",
           akin_thousands(b->n, a), akin_thousands(b->caption_names.n, z),
           akin_thousands(b->label_names.n, l),
           b->label_names.n ? " from ." : "", b->label_names.n ? b->label : "",
           b->info.model_name, b->info.dim);
    akin_table *table = akin_table_new(columns, 9);
    for (int i = 0; i < SECTIONS; i++) {
        const akin_retrieval *m = &r->of[i];
        if (!m->queries) continue;
        akin_table_cell(table, "%s", sections[i].title);
        akin_table_cell(table, "%s", akin_thousands(m->queries, a));
        akin_table_cell(table, "%s", akin_thousands(m->pool, a));
        for (int k = 0; k < AKIN_RETRIEVAL_CUTS; k++)
            akin_table_cell(table, "%.1f", 100 * m->recall[k]);
        akin_table_cell(table, "%.1f", 100 * m->precision);
        akin_table_cell(table, "%.1f", 100 * m->ndcg);
        akin_table_cell(table, "R@1 %.1f, R@10 %.1f, P@10 %.1f",
                        100 * m->chance[0], 100 * m->chance[2],
                        100 * m->precision_chance);
    }
    akin_table_print(table, b->cli);
    akin_table_free(table);
    if (c->queries && c->classes > 1)
        printf("\nlabel of a picture (zero-shot, %u labels, %s pictures): "
               "%.1f%% right, %.1f%% among the\nfirst five, %.1f%% as the mean "
               "over labels; always the largest label: %.1f%%\n",
               c->classes, akin_thousands(c->queries, a), 100 * c->accuracy,
               100 * c->accuracy5, 100 * c->balanced, 100 * c->majority);
}

static json_t *at_cuts(const double *values)
{
    return json_pack("{s:f, s:f, s:f}", "1", values[0], "5", values[1], "10",
                     values[2]);
}

static void print_json(const bench *b, const results *r)
{
    const akin_classification *c = &r->classes;
    json_t *root = json_pack(
        "{s:s, s:s, s:i, s:I, s:I, s:I, s:o}", "model", b->info.model_name,
        "fingerprint", b->info.fingerprint, "dim", (int)b->info.dim, "pictures",
        (json_int_t)b->n, "captions", (json_int_t)b->caption_names.n, "labels",
        (json_int_t)b->label_names.n, "label",
        b->label_names.n ? json_string(b->label) : json_null());
    for (int i = 0; i < SECTIONS; i++) {
        const akin_retrieval *m = &r->of[i];
        if (!m->queries) continue;
        json_object_set_new(root, sections[i].key,
                            json_pack("{s:I, s:I, s:o, s:o, s:f, s:f, s:f}",
                                      "queries", (json_int_t)m->queries, "pool",
                                      (json_int_t)m->pool, "recall",
                                      at_cuts(m->recall), "chance",
                                      at_cuts(m->chance), "precision10",
                                      m->precision, "precision_chance",
                                      m->precision_chance, "ndcg10", m->ndcg));
    }
    if (c->queries && c->classes > 1)
        json_object_set_new(
            root, "zero_shot",
            json_pack("{s:I, s:i, s:f, s:f, s:f, s:f}", "queries",
                      (json_int_t)c->queries, "classes", (int)c->classes,
                      "accuracy", c->accuracy, "accuracy5", c->accuracy5,
                      "balanced", c->balanced, "majority", c->majority));
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    printf("\n");
    json_decref(root);
}

/* ---- the command --------------------------------------------------------------------------- */

/* Opens the directory that is there, or one of our own for the folder. */
static akin_status open_engine(bench *b, akin_error *err)
{
    akin_engine_options options = {.read_only = true, .config = b->cli->config};
    char data[TEXT_BYTES];
    b->collection = b->cli->collection;
    if (b->cli->argc == 2) {
        akin_status made = akin_dir_temporary("akin", &b->own, err);
        if (made) return made;
        options.read_only = false;
        options.data_dir = b->own;
    } else {
        options.data_dir = akin_cli_data_dir(b->cli->config, data, sizeof data);
    }
    akin_status rc = akin_cli_default_model(b->cli->config, err);
    return rc ? rc : akin_engine_open(&options, &b->engine, err);
}

static akin_status run(bench *b, results *out, akin_error *err)
{
    akin_status rc = open_engine(b, err);
    if (!rc && b->own) rc = read_pictures(b, err);
    if (!rc) rc = akin_engine_info(b->engine, b->collection, &b->info, err);
    if (!rc) rc = collect(b, err);
    if (!rc && !b->n)
        rc = akin_fail(err, AKIN_NOT_FOUND, "there are no pictures in '%s'",
                       b->own ? b->cli->argv[1] : b->collection);
    if (!rc) rc = embed_texts(b, err);
    return rc ? rc : measure(b, out, err);
}

static void clear(bench *b)
{
    akin_engine_close(b->engine);
    if (b->own) (void)akin_dir_remove(b->own, NULL);
    akin_free(b->own);
    names_clear(&b->label_names);
    names_clear(&b->caption_names);
    akin_free(b->vectors);
    akin_free(b->labels);
    akin_free(b->captions);
    akin_free(b->asks);
    akin_free(b->label_vectors);
    akin_free(b->caption_vectors);
    akin_report_clear(&b->report);
}

int akin_cli_bench(akin_cli *cli)
{
    bench b = {.cli = cli};
    results r = {0};
    akin_error err;
    int code = AKIN_EXIT_OK;

    snprintf(b.label, sizeof b.label, "%s", akin_cli_value(cli, "label", ""));
    akin_cli_catch_interrupt();
    akin_status rc = run(&b, &r, &err);
    if (rc == AKIN_CANCELLED)
        code = akin_cli_fail(AKIN_EXIT_INTERRUPTED, "stopped");
    else if (rc)
        code = akin_cli_status(&err);
    else if (cli->json)
        print_json(&b, &r);
    else
        print_people(&b, &r);
    if (!code && !cli->quiet && !b.caption_names.n)
        akin_cli_fail(0, "no captions, so nothing about them; a catalogue or "
                         "--captions filename gives some");
    clear(&b);
    return code;
}

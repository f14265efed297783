/* A random history of puts, changes of attributes and removals, with IVF-PQ
 * indexes trained and merged in between, in a process that is killed again and
 * again: everything acknowledged is there afterwards, nothing else is, and
 * answers, filtered or not, are those of a naive model. Each operation follows from its number, so that parent and child
 * need to agree only on how many were acknowledged. */
#include "harness.h"

#include <signal.h>
#include <sys/wait.h>

enum { IDS = 450, DIM = 8, ROUNDS = 5, SEED = 77 };

typedef struct {
    bool here;
    float vector[DIM];
    int n;
} entry;

typedef struct {
    enum { FILL, PUT, ATTRIBUTES, REMOVE, BUILD } kind;
    int id, n;
    float vector[DIM];
} operation;

static operation make_operation(unsigned number)
{
    operation op;
    uint64_t x = (uint64_t)(number + 1) * 0x9e3779b97f4a7c15u + SEED;
    unsigned roll;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 32;
    roll = (unsigned)(x % 100);
    op.kind = roll < 60   ? PUT
              : roll < 75 ? ATTRIBUTES
              : roll < 97 ? REMOVE
                          : BUILD;
    if (!number) op.kind = FILL;
    op.id = (int)(x >> 8) & 0x7fffffff;
    op.id %= IDS;
    op.n = (int)(x >> 40) % 1000;
    for (int i = 0; i < DIM; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        op.vector[i] = (float)(x >> 40) / 8388608.0f - 1;
    }
    return op;
}

/* The vector and n that FILL gives an id. */
static operation filling(int id)
{
    return make_operation(2000000 + (unsigned)id);
}

static void apply_to_model(entry *model, unsigned number)
{
    operation op = make_operation(number);
    entry *e = &model[op.id];
    for (int i = 0; i < IDS && op.kind == FILL; i++) {
        operation one = filling(i);
        model[i] = (entry){.here = true, .n = one.n};
        memcpy(model[i].vector, one.vector, sizeof model[i].vector);
    }
    if (op.kind == PUT) {
        e->here = true;
        e->n = op.n;
        memcpy(e->vector, op.vector, sizeof e->vector);
    } else if (op.kind == ATTRIBUTES && e->here) {
        e->n = op.n;
    } else if (op.kind == REMOVE) {
        e->here = false;
    }
}

static akin_engine *open_history(const char *dir)
{
    static akin_config *config; /* one a process */
    akin_engine *engine;
    if (!config) {
        must(akin_config_open(&config, err));
        must(akin_config_set(config, "index.exact-below", "50", err));
    }
    akin_engine_options options = {
        .data_dir = dir, .model_dir = "", .config = config};
    must(akin_engine_open(&options, &engine, err));
    return engine;
}

static void fill(akin_engine *engine)
{
    static operation ops[IDS];
    static char ids[IDS][16], json[IDS][32];
    static akin_item_input items[IDS];
    static akin_put_result results[IDS];
    for (int i = 0; i < IDS; i++) {
        ops[i] = filling(i);
        snprintf(ids[i], sizeof ids[i], "id%d", i);
        snprintf(json[i], sizeof json[i], "{\"n\":%d}", ops[i].n);
        items[i] = (akin_item_input){.id = akin_span_of(ids[i]),
                                     .vector = ops[i].vector,
                                     .dim = DIM,
                                     .attributes = akin_span_of(json[i])};
    }
    must(akin_engine_put(engine, "h", items, IDS,
                         &(akin_put_options){.create = true}, results, err));
}

static void apply_to_engine(akin_engine *engine, unsigned number)
{
    operation op = make_operation(number);
    char id[16], json[32];
    akin_error error;
    size_t removed;
    akin_put_result result = {0};

    snprintf(id, sizeof id, "id%d", op.id);
    snprintf(json, sizeof json, "{\"n\":%d}", op.n);
    akin_span span = akin_span_of(id);
    akin_item_input item = {.id = span,
                            .vector = op.vector,
                            .dim = DIM,
                            .attributes = akin_span_of(json)};
    switch (op.kind) {
    case FILL: fill(engine); break;
    case PUT:
        must(akin_engine_put(engine, "h", &item, 1,
                             &(akin_put_options){.create = true}, &result,
                             err));
        assert_int_equal(result.status, AKIN_OK);
        break;
    case ATTRIBUTES: {
        akin_status rc = akin_engine_set_attributes(engine, "h", span,
                                                    item.attributes, &error);
        assert_true(!rc || rc == AKIN_NOT_FOUND);
        break;
    }
    case REMOVE: {
        akin_status rc =
            akin_engine_remove(engine, "h", &span, 1, &removed, &error);
        assert_true(!rc || rc == AKIN_NOT_FOUND); /* no collection yet */
        break;
    }
    case BUILD: {
        akin_status rc = akin_engine_rebuild(engine, "h", NULL, NULL, &error);
        assert_true(!rc || rc == AKIN_NOT_FOUND);
        break;
    }
    }
}

/* Whether the store is what the model says. */
static bool same_items(akin_engine *engine, const entry *model)
{
    for (int i = 0; i < IDS; i++) {
        char id[16];
        akin_item_info info;
        snprintf(id, sizeof id, "id%d", i);
        akin_status rc =
            akin_engine_get(engine, "h", akin_span_of(id), &info, NULL);
        if (rc == AKIN_NOT_FOUND && !model[i].here) continue;
        if (rc || !model[i].here) {
            if (!rc) akin_item_info_clear(&info);
            return false;
        }
        char json[32];
        snprintf(json, sizeof json, "{\"n\":%d}", model[i].n);
        bool same = !strcmp(info.attributes, json);
        akin_item_info_clear(&info);
        if (!same) return false;
        float *vector, norm;
        uint32_t dim;
        must(akin_engine_vector(engine, "h", akin_span_of(id), AKIN_QUERY_IMAGE,
                                &vector, &dim, &norm, err));
        for (int j = 0; j < DIM; j++)
            same &= fabsf(vector[j] * norm - model[i].vector[j]) < 2e-3f;
        akin_free(vector);
        if (!same) return false;
    }
    return true;
}

static float cosine(const float *a, const float *b)
{
    double dot = 0, aa = 0, bb = 0;
    for (int i = 0; i < DIM; i++) {
        dot += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return (float)(dot / sqrt(aa * bb));
}

/* Searches, with and without a filter, exact and through the lists, against the
 * model: as many results as there can be, true cosines, and none better left
 * out of an exact one. */
static void same_answers(akin_engine *engine, const entry *model)
{
    for (unsigned q = 0; q < 40; q++) {
        operation op = make_operation(1000000 + q);
        akin_query_term term = {.kind = AKIN_TERM_VECTOR,
                                .weight = 1,
                                .vector = op.vector,
                                .dim = DIM};
        akin_query query = one_term(&term, 10);
        akin_results found;
        query.exact = q < 20;
        if (q >= 30) query.nprobe = 1 + q % 3; /* too few lists for k */
        if (q % 2) query.filter.text = akin_span_of(".n < 500");
        must(akin_engine_search(engine, "h", &query, &found, err));
        size_t pass = 0;
        for (int i = 0; i < IDS; i++)
            pass += model[i].here && (!(q % 2) || model[i].n < 500);
        assert_int_equal(found.n, pass < 10 ? pass : 10);
        for (size_t j = 0; j < found.n; j++) {
            const entry *e = &model[strtol(found.matches[j].id + 2, NULL, 10)];
            assert_true(e->here && (!(q % 2) || e->n < 500));
            assert_true(fabsf(cosine(op.vector, e->vector) -
                              found.matches[j].score) < 2e-3f);
            size_t better = 0;
            for (int i = 0; i < IDS; i++)
                better += model[i].here && (!(q % 2) || model[i].n < 500) &&
                          cosine(op.vector, model[i].vector) >
                              found.matches[j].score + 4e-3f;
            assert_true(!found.exact || better <= j);
        }
        akin_results_clear(&found);
    }
}

static bool has_lists(akin_engine *engine)
{
    akin_tuning tuning;
    must(akin_engine_tuning(engine, "h", &tuning, err));
    return strcmp(tuning.image.current, "exact") != 0;
}

static pid_t start_child(const char *dir, unsigned from, int out)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid) return pid;
    akin_engine *engine = open_history(dir);
    for (unsigned i = from;; i++) {
        apply_to_engine(engine, i);
        if (write(out, &i, sizeof i) != sizeof i) _exit(3);
    }
}

static void what_was_acknowledged_survives_kill(void **state)
{
    (void)state;
    static entry model[IDS];
    char *dir = scratch_make();
    unsigned done = 0, lists = 0;
    print_message("seed %d\n", SEED);
    for (int round = 0; round < ROUNDS; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = start_child(dir, done, ends[1]);
        close(ends[1]);
        usleep(400000 + 70000 * (useconds_t)round);
        kill(pid, SIGKILL);
        for (unsigned number;
             read(ends[0], &number, sizeof number) == (ssize_t)sizeof number;)
            assert_int_equal(number, done++);
        close(ends[0]);
        waitpid(pid, NULL, 0);
        static unsigned applied;
        for (; applied < done; applied++)
            apply_to_model(model, applied);

        akin_engine *engine = open_history(dir);
        if (done && !same_items(engine, model)) {
            /* the operation under way may be there, whole */
            apply_to_model(model, done);
            if (!same_items(engine, model))
                fail_msg("after operation %u the store is another", done);
        }
        if (done) {
            lists += has_lists(engine);
            same_answers(engine, model);
            must_be_clean(engine);
        }
        akin_engine_close(engine);
    }
    print_message("%u operations, lists in %u of %d rounds\n", done, lists,
                  ROUNDS);
    assert_true(done > 50);
    scratch_remove(dir);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_survives_kill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

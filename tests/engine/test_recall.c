/* Recall that is asked for: pictures and words have curves of their own, each
 * reaches its target, and a build that was killed goes on. */
#include "harness.h"

#include <signal.h>
#include <sys/wait.h>

enum { N = 1200, QUERIES = 100, K = 10 };

static const char *const adjectives[] = {"red",   "blue",  "green", "small",
                                         "large", "old",   "wet",   "round",
                                         "sharp", "quiet", "happy", "bright"};
static const char *const nouns[] = {"boat", "dog",   "tree",  "house", "flower",
                                    "bird", "chair", "apple", "star",  "shoe"};
static const char *const places[] = {
    "on a hill",     "at night",   "in snow", "on a table", "by the sea",
    "under a cloud", "in a frame", "",        "of glass",   "made of wood"};

static void caption_of(unsigned i, char *out, size_t size)
{
    snprintf(out, size, "%s %s %s", adjectives[i % 12], nouns[i / 12 % 10],
             places[i / 120 % 10]);
}

static akin_config *config; /* of the engine that is open */

static akin_engine *open_small(const char *dir, const char *automatic)
{
    akin_engine *engine;
    must(akin_config_open(&config, err));
    must(akin_config_set(config, "index.exact-below", "300", err));
    must(akin_config_set(config, "index.auto", automatic, err));
    akin_engine_options options = {
        .data_dir = dir, .model_dir = STARTER, .config = config};
    must(akin_engine_open(&options, &engine, err));
    return engine;
}

static void shut(akin_engine *engine)
{
    akin_engine_close(engine);
    akin_config_close(config);
}

/* Captions, and for a picture's vector one that lies near the caption's of a
 * related item and off to one side, as pictures do. */
static void fill(akin_engine *engine)
{
    static char ids[N][12], captions[N][64];
    static akin_item_input items[N];
    static akin_put_result results[N];
    float *vectors = NULL;
    uint32_t dim = 0;
    must(akin_engine_create(engine, "c",
                            &(akin_collection_options){.recall = 0.92f}, err));
    for (unsigned i = 0; i < N; i++) {
        float *one;
        caption_of(i, captions[i], sizeof captions[i]);
        must(akin_engine_embed_text(engine, "c", akin_span_of(captions[i]),
                                    &one, &dim, err));
        if (!vectors) vectors = calloc((size_t)N * dim, sizeof *vectors);
        for (uint32_t d = 0; d < dim; d++)
            vectors[(size_t)i * dim + d] =
                one[d] + 0.06f * sinf((float)(i * 31 + d * 7)) +
                0.04f * cosf((float)d);
        akin_free(one);
        snprintf(ids[i], sizeof ids[i], "%u", i);
        items[i] = (akin_item_input){.id = akin_span_of(ids[i]),
                                     .vector = vectors + (size_t)i * dim,
                                     .dim = dim,
                                     .caption = akin_span_of(captions[i])};
    }
    must(akin_engine_put(engine, "c", items, N, NULL, results, err));
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(results[i].status, AKIN_OK);
    free(vectors);
}

static akin_results ask(akin_engine *engine, const akin_query_term *term,
                        bool exact)
{
    akin_query query = one_term(term, K);
    akin_results found;
    query.space = AKIN_QUERY_IMAGE;
    query.exact = exact;
    must(akin_engine_search(engine, "c", &query, &found, err));
    return found;
}

/* Mean recall@10 in the picture space, of words or of items. */
static double recall(akin_engine *engine, bool words)
{
    size_t right = 0;
    for (unsigned i = 0; i < QUERIES; i++) {
        char text[64];
        caption_of(i * 11 + 5, text, sizeof text);
        if (!words) snprintf(text, sizeof text, "%u", i * 11 + 5);
        akin_query_term term = words ? text_term(text) : item_term(text);
        akin_results truth = ask(engine, &term, true);
        akin_results found = ask(engine, &term, false);
        assert_int_equal(truth.n, K);
        assert_int_equal(found.n, K);
        for (size_t j = 0; j < K; j++)
            right += found.matches[j].score >= truth.matches[K - 1].score;
        akin_results_clear(&truth);
        akin_results_clear(&found);
    }
    return (double)right / (QUERIES * K);
}

static void check_curve(akin_engine *engine, bool text)
{
    static akin_recall curve;
    must(akin_engine_recall(engine, "c", AKIN_QUERY_IMAGE, text, 200, NULL,
                            NULL, &curve, err));
    assert_false(curve.exact);
    assert_true(fabsf(curve.target - 0.92f) < 1e-4f);
    assert_true(curve.npoints > 0 && curve.queries >= 64);
    for (size_t i = 0; i < curve.npoints; i++) {
        const akin_recall_point *p = &curve.points[i];
        print_message("%s: nprobe %u, %u candidates: %.3f +- %.3f\n",
                      text ? "words" : "items", p->nprobe, p->candidates,
                      (double)p->recall, (double)p->error);
        assert_true(p->error > 0 && p->qps > 0);
        assert_true(!i || p->recall > p[-1].recall);
    }
}

static void words_and_items_reach_their_target(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_small(dir, "no");
    akin_tuning tuning;
    akin_collection_info *info = calloc(1, sizeof *info);
    fill(engine);
    must(akin_engine_rebuild(engine, "c", NULL, NULL, err));
    check_curve(engine, false);
    check_curve(engine, true);
    double items = recall(engine, false), words = recall(engine, true);
    print_message("items %.3f, words %.3f\n", items, words);
    assert_true(items >= 0.89);
    assert_true(words >= 0.89);

    must(akin_engine_tuning(engine, "c", &tuning, err));
    assert_string_equal(tuning.image.current, tuning.image.chosen);
    assert_string_equal(tuning.image.current, "IVF30,PQ48");
    assert_int_equal(tuning.image.vectors, N);
    assert_int_equal(tuning.caption.vectors, N);
    for (int text = 0; text < 2; text++)
        if (tuning.image.needs[text].nprobe)
            assert_true(tuning.image.needs[text].recall >= 0.92f);
    must(akin_engine_info(engine, "c", info, err));
    assert_true(fabsf(info->recall - 0.92f) < 1e-4f);
    free(info);
    shut(engine);
    scratch_remove(dir);
    akin_free(dir);
}

static akin_engine_job_info only_job(akin_engine *engine)
{
    akin_engine_job_info *list, info;
    size_t n;
    must(akin_engine_job_list(engine, &list, &n, err));
    assert_int_equal(n, 1);
    info = list[0];
    akin_free(list);
    return info;
}

/* Accepted, and killed before or while it runs: the next process does it. */
static void a_killed_rebuild_goes_on(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_small(dir, "no");
    akin_engine_job_info info;
    akin_tuning tuning;
    int ends[2];
    char byte;
    fill(engine);
    shut(engine);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        akin_engine_job_request request = {.kind = AKIN_ENGINE_JOB_REBUILD,
                                           .collection = "c",
                                           .index = "IVF20,PQ16"};
        uint64_t id;
        engine = open_small(dir, "no");
        must(akin_engine_job_start(engine, &request, &id, err));
        if (write(ends[1], "x", 1) != 1) _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ends[0]);
    close(ends[1]);

    engine = open_small(dir, "yes");
    info = only_job(engine);
    for (int i = 0; i < 1200 && info.state != AKIN_ENGINE_JOB_DONE; i++) {
        usleep(50000); /* the maintenance thread takes it up */
        info = only_job(engine);
    }
    assert_int_equal(info.state, AKIN_ENGINE_JOB_DONE);
    must(akin_engine_tuning(engine, "c", &tuning, err));
    assert_string_equal(tuning.image.current, "IVF20,PQ16");
    assert_string_equal(tuning.caption.current, "IVF20,PQ16");
    shut(engine);
    scratch_remove(dir);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_items_reach_their_target),
        cmocka_unit_test(a_killed_rebuild_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Work in the background: progress, order, cancel, resume, after the process
 * ended too. */
#include "harness.h"

#include "internal.h"

#include <signal.h>
#include <sys/wait.h>

static uint64_t start_ingest(akin_engine *engine, const char *folder)
{
    uint64_t id = 0;
    akin_ingest source = {.paths = &folder, .npaths = 1};
    akin_engine_job_request request = {
        .kind = AKIN_ENGINE_JOB_INGEST, .collection = "c", .ingest = &source};
    must(akin_engine_job_start(engine, &request, &id, err));
    return id;
}

static akin_engine_job_info wait_for(akin_engine *engine, uint64_t id)
{
    akin_engine_job_info info;
    must(akin_engine_job_wait(engine, id, 60000, &info, err));
    return info;
}

static void jobs_of_a_collection_run_in_order(void **state)
{
    (void)state;
    enum { N = 60 };
    char *dir = scratch_make();
    char *folder = akin_format("%s/pictures", dir);
    char *data = akin_format("%s/data", dir);
    char path[512];
    make_folder(folder, N);
    snprintf(path, sizeof path, "%s/bad.png", folder);
    write_file(path, "x", 1);
    akin_engine *engine = open_engine(data, STARTER);
    uint64_t first = start_ingest(engine, folder);
    uint64_t second = start_ingest(engine, folder);
    akin_engine_job_info info = wait_for(engine, second);
    assert_int_equal(info.state, AKIN_ENGINE_JOB_DONE);
    assert_int_equal(info.progress.skipped, N); /* the first had done it */
    info = wait_for(engine, first);
    assert_int_equal(info.state, AKIN_ENGINE_JOB_DONE);
    assert_int_equal(info.progress.added, N);
    assert_int_equal(info.progress.failed, 1);
    assert_non_null(strstr(info.what, "/pictures"));
    assert_true(info.ended_ms >= info.started_ms && info.started_ms > 0);

    akin_report report;
    must(akin_engine_job_report(engine, first, &report, err));
    assert_int_equal(report.nfailures, 1);
    assert_non_null(strstr(report.failures[0].what, "bad.png"));
    akin_report_clear(&report);
    akin_error error;
    assert_int_equal(akin_engine_job_get(engine, 99, &info, &error),
                     AKIN_NOT_FOUND);
    assert_int_equal(akin_engine_job_cancel(engine, first, &error),
                     AKIN_INVALID);
    assert_int_equal(akin_engine_job_resume(engine, first, &error),
                     AKIN_INVALID);
    uint64_t id;
    akin_engine_job_request request = {.kind = AKIN_ENGINE_JOB_REBUILD,
                                       .collection = "nowhere"};
    must(akin_engine_job_start(engine, &request, &id, err));
    info = wait_for(engine, id);
    assert_int_equal(info.state, AKIN_ENGINE_JOB_FAILED);
    assert_non_null(strstr(info.message, "nowhere"));
    akin_engine_close(engine);

    engine = open_engine(data, STARTER); /* the list outlives the process */
    akin_engine_job_info *list;
    size_t n;
    must(akin_engine_job_list(engine, &list, &n, err));
    assert_int_equal(n, 3);
    assert_int_equal(list[2].id, first);
    assert_int_equal(list[2].progress.added, N);
    assert_int_equal(list[2].kind, AKIN_ENGINE_JOB_INGEST);
    assert_string_equal(list[2].collection, "c");
    assert_int_equal(list[0].state, AKIN_ENGINE_JOB_FAILED);
    akin_free(list);
    must(akin_engine_job_report(engine, first, &report, err));
    assert_int_equal(report.nfailures, 1);
    assert_non_null(strstr(report.failures[0].what, "bad.png"));
    akin_report_clear(&report);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(folder);
    akin_free(data);
    akin_free(dir);
}

static void a_cancelled_job_is_resumed(void **state)
{
    (void)state;
    enum { N = 500 };
    char *dir = scratch_make();
    char *folder = akin_format("%s/pictures", dir);
    char *data = akin_format("%s/data", dir);
    make_folder(folder, N);
    akin_engine *engine = open_engine(data, STARTER);
    uint64_t id = start_ingest(engine, folder);
    uint64_t waiting = start_ingest(engine, folder);
    must(akin_engine_job_cancel(engine, waiting, err));
    (void)akin_engine_job_cancel(engine, id, NULL);
    akin_engine_job_info info = wait_for(engine, id);
    assert_true(info.state == AKIN_ENGINE_JOB_CANCELLED ||
                info.state == AKIN_ENGINE_JOB_DONE);
    info = wait_for(engine, waiting);
    assert_int_equal(info.state, AKIN_ENGINE_JOB_CANCELLED);
    must(akin_engine_job_resume(engine, waiting, err));
    info = wait_for(engine, waiting);
    assert_int_equal(info.state, AKIN_ENGINE_JOB_DONE);
    assert_int_equal(count_items(engine, "c"), N);

    /* dropping a collection ends its jobs */
    uint64_t last = start_ingest(engine, folder);
    must(akin_engine_drop(engine, "c", err));
    info = wait_for(engine, last);
    assert_true(info.state != AKIN_ENGINE_JOB_RUNNING);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(folder);
    akin_free(data);
    akin_free(dir);
}

static void a_killed_job_is_interrupted_and_resumed(void **state)
{
    (void)state;
    enum { N = 400 };
    char *dir = scratch_make();
    char *folder = akin_format("%s/pictures", dir);
    char *data = akin_format("%s/data", dir);
    make_folder(folder, N);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        akin_engine *engine = open_engine(data, STARTER);
        start_ingest(engine, folder);
        for (;;)
            pause();
    }
    usleep(300000);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    akin_engine *engine = open_engine(data, STARTER);
    akin_engine_job_info *list;
    size_t n;
    must(akin_engine_job_list(engine, &list, &n, err));
    assert_true(n <= 1);
    if (n && list[0].state != AKIN_ENGINE_JOB_DONE) {
        assert_int_equal(list[0].state, AKIN_ENGINE_JOB_INTERRUPTED);
        must(akin_engine_job_resume(engine, list[0].id, err));
        akin_engine_job_info info = wait_for(engine, list[0].id);
        assert_int_equal(info.state, AKIN_ENGINE_JOB_DONE);
        assert_int_equal(count_items(engine, "c"), N);
    }
    akin_free(list);
    must_be_clean(engine);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(folder);
    akin_free(data);
    akin_free(dir);
}

/* What it is given is kept: ids were whole paths, and are when it goes on. */
static void a_resumed_job_gives_the_same_ids(void **state)
{
    (void)state;
    char *dir = scratch_make();
    char *folder = akin_format("%s/pictures", dir);
    char *data = akin_format("%s/data", dir);
    akin_engine *engine = open_engine(data, STARTER);
    const char *const path = folder;
    akin_ingest source = {.paths = &path, .npaths = 1, .whole_paths = true};
    akin_engine_job_request request = {
        .kind = AKIN_ENGINE_JOB_INGEST, .collection = "c", .ingest = &source};
    akin_range range = {.limit = 10};
    akin_ids ids;
    uint64_t id;

    must(akin_engine_job_start(engine, &request, &id, err));
    assert_int_equal(wait_for(engine, id).state, AKIN_ENGINE_JOB_FAILED);
    make_folder(folder, 3); /* it was not there */
    must(akin_engine_job_resume(engine, id, err));
    assert_int_equal(wait_for(engine, id).state, AKIN_ENGINE_JOB_DONE);
    must(akin_engine_range(engine, "c", &range, &ids, err));
    assert_int_equal(ids.n, 3);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_equal(strncmp(ids.ids[i], folder, strlen(folder)), 0);
    akin_ids_clear(&ids);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(folder);
    akin_free(data);
    akin_free(dir);
}

static bool take_state(void *user, const akin_job_info *row)
{
    *(akin_job_state *)user = row->state;
    return false;
}

static akin_job_state stored_state(akin_engine *engine, uint64_t id)
{
    akin_job_state state = AKIN_JOB_DONE;
    must(akin_storage_jobs(engine->storage, id, 1, take_state, &state, err));
    return state;
}

/* While it waited its row was that of a job that failed long ago: a new one made
 * the store forget it. */
static void a_resumed_job_is_stored_as_one_that_runs(void **state)
{
    (void)state;
    char *dir = scratch_make();
    char *missing = akin_format("%s/missing", dir);
    char *folder = akin_format("%s/pictures", dir);
    char *data = akin_format("%s/data", dir);
    akin__collection *c;

    make_folder(folder, 1);
    akin_engine *engine = open_engine(data, STARTER);
    must(akin_engine_create(engine, "c", NULL, err));
    uint64_t failed = start_ingest(engine, missing);
    assert_int_equal(wait_for(engine, failed).state, AKIN_ENGINE_JOB_FAILED);
    assert_int_equal(stored_state(engine, failed), AKIN_JOB_FAILED);

    must(akin__collection_find(engine, "c", &c, err));
    akin__freeze(c); /* the other one does not end */
    uint64_t other = start_ingest(engine, folder);
    must(akin_engine_job_resume(engine, failed, err));
    assert_int_equal(stored_state(engine, failed), AKIN_JOB_RUNNING);
    akin__thaw(c);
    assert_int_equal(wait_for(engine, other).state, AKIN_ENGINE_JOB_DONE);
    assert_int_equal(wait_for(engine, failed).state, AKIN_ENGINE_JOB_FAILED);
    assert_int_equal(stored_state(engine, failed), AKIN_JOB_FAILED);
    akin__collection_release(c);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(missing);
    akin_free(folder);
    akin_free(data);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_job_is_interrupted_and_resumed),
        cmocka_unit_test(jobs_of_a_collection_run_in_order),
        cmocka_unit_test(a_cancelled_job_is_resumed),
        cmocka_unit_test(a_resumed_job_gives_the_same_ids),
        cmocka_unit_test(a_resumed_job_is_stored_as_one_that_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

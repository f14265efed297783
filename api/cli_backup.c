/* akin backup, akin restore. A backup is a snapshot (engine/snapshot.c) with its
 * digest beside it, as sha256sum writes and checks it. Of a directory that no
 * server has open the engine writes it where it is wanted; a server makes it in
 * its own directory, and its bytes come over the connection. It is written as
 * FILE.part and gets its name when it is whole and on disk. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define TEXT_BYTES 4096
#define PIECE      (1 << 20)
#define PIECES     4 /* asked for ahead */
#define WAIT_MS    100

typedef struct {
    akin_cli *cli;
    const char *collection; /* NULL: all */
    char *path, *part, *beside;
    int fd;           /* of part, locked */
    akin_link *other; /* to a server, for words while the first one waits */
    akin_snapshot_info made;
    akin_bar bar;
    char phase[24];
    uint64_t phase_ns; /* began */
} backup;

/* ---- progress ---------------------------------------------------------------- */

static bool show(void *user, const akin_progress *progress)
{
    backup *b = user;
    akin_progress p = *progress;
    uint64_t now = akin_mono_ns();

    if (strcmp(p.phase, b->phase) != 0) {
        snprintf(b->phase, sizeof b->phase, "%s", p.phase);
        b->phase_ns = now;
    }
    double seconds = (double)(now - b->phase_ns) / 1e9;
    p.seconds_left = p.done && p.total >= p.done && seconds > 1
                         ? seconds * (double)(p.total - p.done) / (double)p.done
                         : -1;
    b->bar.bytes = strcmp(p.phase, "copying") != 0;
    akin_bar_show(&b->bar, &p, false);
    return !akin_cli_interrupted();
}

static void end_bar(backup *b)
{
    akin_progress p = {
        .seconds_left = -1, .done = b->made.size, .total = b->made.size};
    snprintf(p.phase, sizeof p.phase, "%s", b->phase);
    b->bar.bytes = true;
    akin_bar_show(&b->bar, &p, true);
}

/* ---- where to ------------------------------------------------------------------ */

static bool is_folder(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* name: what it is called in a folder. */
static akin_status set_paths(backup *b, const char *name, akin_error *err)
{
    const char *target = b->cli->argv[0];
    size_t n = strlen(target);

    b->path = !is_folder(target)          ? akin_strdup(target)
              : n && target[n - 1] == '/' ? akin_format("%s%s", target, name)
                                          : akin_format("%s/%s", target, name);
    b->part = b->path ? akin_format("%s.part", b->path) : NULL;
    b->beside = b->path ? akin_format("%s.sha256", b->path) : NULL;
    if (!b->part || !b->beside) return akin_fail(err, AKIN_NOMEM, "no memory");
    if (!access(b->path, F_OK) && !akin_cli_has(b->cli, "force"))
        return akin_fail(err, AKIN_EXISTS, "%s exists; --force replaces it",
                         b->path);
    b->fd = open(b->part, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (b->fd < 0)
        return akin_fail_errno(err, errno, "cannot write %s", b->part);
    if (flock(b->fd, LOCK_EX | LOCK_NB)) {
        close(b->fd);
        b->fd = -1;
        return akin_fail(err, AKIN_BUSY, "another backup writes %s", b->path);
    }
    return AKIN_OK;
}

/* The folder of a path, for akin_free. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return akin_strdup(".");
    return akin_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* The old digest goes before the new file comes, and the new one comes last: a
 * file never has another's. */
static akin_status finish(backup *b, akin_error *err)
{
    const char *slash = strrchr(b->path, '/');
    char *folder = folder_of(b->path);
    akin_buf line = {0};
    akin_status rc = folder ? AKIN_OK : akin_fail(err, AKIN_NOMEM, "no memory");

    if (!rc && unlink(b->beside) && errno != ENOENT)
        rc = akin_fail_errno(err, errno, "cannot replace %s", b->beside);
    if (!rc && rename(b->part, b->path))
        rc = akin_fail_errno(err, errno, "cannot name %s", b->path);
    if (!rc) rc = akin_dir_sync(folder, err);
    akin_buf_printf(&line, "%s  %s\n", b->made.sha256,
                    slash ? slash + 1 : b->path);
    if (!rc)
        rc = akin_file_replace(b->beside, (akin_span){line.data, line.size},
                               err);
    akin_buf_clear(&line);
    akin_free(folder);
    return rc;
}

/* ---- from a directory ------------------------------------------------------------ */

static akin_status write_here(backup *b, akin_engine *engine, akin_error *err)
{
    char name[256] = "";
    const char *target = b->cli->argv[0];
    akin_status rc = is_folder(target)
                         ? akin_engine_snapshot_name(engine, b->collection,
                                                     target, name, err)
                         : AKIN_OK;

    if (!rc) rc = set_paths(b, name, err);
    if (!rc)
        rc = akin_engine_snapshot_write(engine, b->collection, b->part, show, b,
                                        &b->made, err);
    return rc;
}

/* ---- from a server ----------------------------------------------------------------- */

static void add_verb(akin_words *words, const char *verb)
{
    akin_words_add(words, "AKIN.SNAPSHOT");
    akin_words_add(words, verb);
}

static void add_collection(const backup *b, akin_words *words)
{
    if (!b->collection) return;
    akin_words_add(words, "COLLECTION");
    akin_words_add(words, b->collection);
}

static akin_status send_words(akin_link *link, akin_words *words,
                              akin_error *err)
{
    akin_status rc = words->failed
                         ? akin_fail(err, AKIN_NOMEM, "no memory")
                         : akin_link_send(link, words->argv, words->n, err);
    akin_words_clear(words);
    return rc;
}

/* The next reply; an error is one of ours. */
static akin_status receive(akin_link *link, redisReply **out, akin_error *err)
{
    akin_status rc = akin_link_receive(link, out, err);
    if (rc || (*out)->type != REDIS_REPLY_ERROR) return rc;
    const char *text = (*out)->str;
    rc = akin_fail(err, AKIN_INVALID, "%s",
                   text + (strncmp(text, "ERR ", 4) ? 0 : 4));
    freeReplyObject(*out);
    *out = NULL;
    return rc;
}

/* One look over the other connection, best effort. */
static void look(backup *b, bool *cancelled)
{
    akin_span argv[] = {akin_span_of("AKIN.SNAPSHOT"),
                        akin_span_of("PROGRESS")};
    akin_progress p = {.seconds_left = -1};
    redisReply *reply = NULL;

    if (!akin_link_call(b->other, argv, 2, &reply, NULL) &&
        reply->type == REDIS_REPLY_ARRAY) {
        snprintf(p.phase, sizeof p.phase, "%s",
                 akin_field_text(reply, "phase"));
        p.done = (uint64_t)akin_field_int(reply, "done");
        p.total = (uint64_t)akin_field_int(reply, "total");
        if (*p.phase) show(b, &p);
    }
    freeReplyObject(reply);
    if (!akin_cli_interrupted() || *cancelled) return;
    *cancelled = true;
    argv[1] = akin_span_of("CANCEL");
    reply = NULL;
    (void)!akin_link_call(b->other, argv, 2, &reply, NULL);
    freeReplyObject(reply);
}

/* The server makes one; b->made says what. */
static akin_status make_there(backup *b, akin_error *err)
{
    akin_link *link = b->cli->link;
    akin_words words = {0};
    redisReply *reply = NULL;
    bool cancelled = false;

    add_verb(&words, "CREATE");
    add_collection(b, &words);
    akin_status rc = send_words(link, &words, err);
    if (!rc) rc = akin_link_flush(link, err);
    while (!rc && !akin_link_wait(link, WAIT_MS))
        look(b, &cancelled);
    if (!rc) rc = receive(link, &reply, err);
    if (rc) return cancelled ? akin_fail(err, AKIN_CANCELLED, "stopped") : rc;
    snprintf(b->made.name, sizeof b->made.name, "%s",
             akin_field_text(reply, "name"));
    snprintf(b->made.sha256, sizeof b->made.sha256, "%s",
             akin_field_text(reply, "sha256"));
    b->made.size = (uint64_t)akin_field_int(reply, "bytes");
    freeReplyObject(reply);
    if (!akin_snapshot_name_ok(b->made.name) || strlen(b->made.sha256) != 64)
        rc = akin_fail(err, AKIN_BAD_DATA, "the server's answer is malformed");
    return rc;
}

static akin_status ask_piece(backup *b, uint64_t offset, akin_error *err)
{
    akin_words words = {0};

    add_verb(&words, "READ");
    akin_words_add(&words, b->made.name);
    akin_words_printf(&words, "%" PRIu64, offset);
    akin_words_printf(&words, "%d", PIECE);
    add_collection(b, &words);
    return send_words(b->cli->link, &words, err);
}

static akin_status write_all(const backup *b, const char *data, size_t size,
                             akin_error *err)
{
    while (size) {
        ssize_t n = write(b->fd, data, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            return akin_fail_errno(err, errno, "cannot write %s", b->part);
        data += n;
        size -= (size_t)n;
    }
    return AKIN_OK;
}

static akin_status take_piece(backup *b, akin_sha256 *hash, uint64_t *got,
                              akin_error *err)
{
    uint64_t left = b->made.size - *got;
    redisReply *reply = NULL;
    akin_status rc = receive(b->cli->link, &reply, err);

    if (rc) return rc;
    if (reply->type != REDIS_REPLY_STRING ||
        reply->len != (left < PIECE ? left : PIECE))
        rc = akin_fail(err, AKIN_IO, "the server sent %zu bytes, expected %zu",
                       reply->len, (size_t)(left < PIECE ? left : PIECE));
    if (!rc) {
        akin_sha256_add(hash, reply->str, reply->len);
        *got += reply->len;
        rc = write_all(b, reply->str, reply->len, err);
    }
    freeReplyObject(reply);
    return rc;
}

static akin_status fetch(backup *b, akin_error *err)
{
    akin_progress p = {.phase = "fetching", .total = b->made.size};
    akin_sha256 *hash = akin_sha256_begin();
    uint8_t digest[AKIN_SHA256_BYTES];
    char hex[2 * AKIN_SHA256_BYTES + 1];
    uint64_t asked = 0, got = 0;
    akin_status rc =
        hash ? AKIN_OK : akin_fail(err, AKIN_NOMEM, "no memory for a digest");

    while (!rc && got < b->made.size) {
        for (; !rc && asked < b->made.size &&
               asked < got + (uint64_t)PIECES * PIECE;
             asked += PIECE)
            rc = ask_piece(b, asked, err);
        if (!rc) rc = take_piece(b, hash, &got, err);
        p.done = got;
        if (!rc && !show(b, &p)) rc = akin_fail(err, AKIN_CANCELLED, "stopped");
    }
    if (!hash) return rc;
    akin_sha256_finish(hash, digest);
    akin_hex(digest, sizeof digest, hex);
    if (!rc && strcmp(hex, b->made.sha256) != 0)
        rc = akin_fail(err, AKIN_BAD_DATA,
                       "what came is not what was made: its SHA-256 is %s, "
                       "expected %s",
                       hex, b->made.sha256);
    if (!rc && fsync(b->fd))
        rc = akin_fail_errno(err, errno, "cannot write %s", b->part);
    return rc;
}

static void drop_there(const backup *b)
{
    akin_words words = {0};
    add_verb(&words, "DELETE");
    akin_words_add(&words, b->made.name);
    add_collection(b, &words);
    freeReplyObject(akin_words_ask(b->other, &words));
    akin_words_clear(&words);
}

static akin_status copy_from_server(backup *b, akin_error *err)
{
    const char *target = b->cli->argv[0];
    akin_status rc = AKIN_OK;

    if (is_folder(target) && access(target, W_OK))
        rc = akin_fail_errno(err, errno, "cannot write into %s", target);
    if (!rc && !is_folder(target)) rc = set_paths(b, "", err);
    if (!rc) rc = akin_cli_connect(b->cli, &b->other, err);
    if (rc) return rc;
    rc = make_there(b, err);
    if (rc) return rc;
    if (!b->path) rc = set_paths(b, b->made.name, err);
    if (!rc && ftruncate(b->fd, 0))
        rc = akin_fail_errno(err, errno, "cannot write %s", b->part);
    if (!rc) rc = fetch(b, err);
    drop_there(b);
    return rc;
}

/* ---- backup ------------------------------------------------------------------------ */

static void print_backup(const backup *b)
{
    char size[32];

    if (b->cli->json) {
        json_t *root = json_pack("{s:s, s:I, s:s, s:s?}", "file", b->path,
                                 "bytes", (json_int_t)b->made.size, "sha256",
                                 b->made.sha256, "collection", b->collection);
        json_dumpf(root, stdout, JSON_COMPACT);
        json_decref(root);
        printf("\n");
    } else if (!b->cli->quiet) {
        printf("%s: %s\n", b->path, akin_byte_size(b->made.size, size));
    }
}

int akin_cli_backup(akin_cli *cli)
{
    backup b = {.cli = cli, .fd = -1};
    akin_engine *engine = akin_link_engine(cli->link);
    akin_error err;
    int code = AKIN_EXIT_OK;

    if (akin_cli_has(cli, "collection")) b.collection = cli->collection;
    akin_bar_init(&b.bar, cli, "copying");
    akin_cli_catch_interrupt();
    akin_status rc =
        engine ? write_here(&b, engine, &err) : copy_from_server(&b, &err);
    if (!rc) rc = finish(&b, &err);
    end_bar(&b);
    if (rc && b.fd >= 0) unlink(b.part);
    if (rc == AKIN_CANCELLED)
        code = akin_cli_fail(AKIN_EXIT_INTERRUPTED, "stopped; nothing is left");
    else if (rc)
        code = akin_cli_status(&err);
    else
        print_backup(&b);
    if (b.fd >= 0) close(b.fd);
    akin_link_close(b.other);
    akin_free(b.path);
    akin_free(b.part);
    akin_free(b.beside);
    return code;
}

/* ---- restore ----------------------------------------------------------------------- */

static void print_restore(const akin_cli *cli, const char *dir,
                          const akin_restored *r)
{
    char items[32], collections[32];

    if (cli->json) {
        json_t *root = json_pack("{s:s, s:I, s:I, s:b, s:s?}", "directory", dir,
                                 "items", (json_int_t)r->items, "collections",
                                 (json_int_t)r->collections, "digest",
                                 (int)r->compared, "kept", r->kept);
        json_dumpf(root, stdout, JSON_COMPACT);
        json_decref(root);
        printf("\n");
        return;
    }
    if (cli->quiet) return;
    printf("restored %s items in %s collection%s to %s\n",
           akin_thousands(r->items, items),
           akin_thousands(r->collections, collections),
           r->collections == 1 ? "" : "s", dir);
    if (r->kept) printf("what was there is in %s\n", r->kept);
    if (!r->compared)
        akin_cli_fail(0,
                      "there is no %s.sha256: the contents were checked, the "
                      "digest was not",
                      cli->argv[0]);
}

int akin_cli_restore(akin_cli *cli)
{
    backup b = {.cli = cli};
    akin_restored restored = {0};
    char dir[TEXT_BYTES];
    akin_error err;
    int code = AKIN_EXIT_OK;

    if (akin_cli_has(cli, "connect"))
        return akin_cli_usage(cli, "restore makes a data directory here; "
                                   "--connect does not go with it");
    akin_cli_data_dir(cli->config, dir, sizeof dir);
    akin_bar_init(&b.bar, cli, "unpacking");
    akin_cli_catch_interrupt();
    akin_status rc =
        akin_snapshot_restore(cli->argv[0], dir, akin_cli_has(cli, "force"),
                              show, &b, &restored, &err);
    if (b.bar.drawn) {
        struct stat st;
        if (!stat(cli->argv[0], &st)) b.made.size = (uint64_t)st.st_size;
        end_bar(&b);
    }
    if (rc == AKIN_CANCELLED)
        code = akin_cli_fail(AKIN_EXIT_INTERRUPTED, "stopped; nothing is left");
    else if (rc == AKIN_EXISTS)
        code = akin_cli_fail(AKIN_EXIT_CANNOT,
                             "%s; --data names another place, --force keeps "
                             "what is there under another name",
                             err.message);
    else if (rc)
        code = akin_cli_status(&err);
    else
        print_restore(cli, dir, &restored);
    akin_free(restored.kept);
    return code;
}

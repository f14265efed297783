/* akin backup. A backup is a snapshot (engine/snapshot.c) with its
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

#include "cli_backup.h"

#define PIECES 4 /* asked for ahead */

typedef struct {
    akin_cli *cli;
    const char *collection; /* NULL: all */
    char *path, *part, *beside;
    int fd; /* of part, locked */
    akin_snapshot_info made;
    akin_watch watch;
} backup;

/* ---- where to ------------------------------------------------------------------ */

static bool is_folder(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* Whether FILE.part is the file we opened: who had it before us may have named
 * or removed it meanwhile, and so may we. */
static bool holds_part(const backup *b)
{
    struct stat ours, named;
    return !fstat(b->fd, &ours) && !stat(b->part, &named) &&
           ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
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
    if (flock(b->fd, LOCK_EX | LOCK_NB) || !holds_part(b)) {
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
        rc = akin_engine_snapshot_write(engine, b->collection, b->part,
                                        akin_watch_show, &b->watch, &b->made,
                                        err);
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

/* The server makes one; b->made says what. */
static akin_status make_there(backup *b, akin_error *err)
{
    akin_words words = {0};
    redisReply *reply;

    add_verb(&words, "CREATE");
    add_collection(b, &words);
    akin_status rc = akin_watch_call(&b->watch, &words, &reply, err);
    if (rc) return rc;
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
    akin_words_printf(&words, "%d", AKIN_PIECE);
    add_collection(b, &words);
    return akin_watch_send(b->cli->link, &words, err);
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
    akin_status rc = akin_watch_receive(b->cli->link, &reply, err);

    if (rc) return rc;
    if (reply->type != REDIS_REPLY_STRING ||
        reply->len != (left < AKIN_PIECE ? left : AKIN_PIECE))
        rc = akin_fail(err, AKIN_IO, "the server sent %zu bytes, expected %zu",
                       reply->len,
                       (size_t)(left < AKIN_PIECE ? left : AKIN_PIECE));
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
               asked < got + (uint64_t)PIECES * AKIN_PIECE;
             asked += AKIN_PIECE)
            rc = ask_piece(b, asked, err);
        if (!rc) rc = take_piece(b, hash, &got, err);
        p.done = got;
        if (!rc && !akin_watch_show(&b->watch, &p))
            rc = akin_fail(err, AKIN_CANCELLED, "stopped");
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
    freeReplyObject(akin_words_ask(b->watch.other, &words));
    akin_words_clear(&words);
}

static akin_status copy_from_server(backup *b, akin_error *err)
{
    const char *target = b->cli->argv[0];
    akin_status rc = AKIN_OK;

    if (is_folder(target) && access(target, W_OK))
        rc = akin_fail_errno(err, errno, "cannot write into %s", target);
    if (!rc && !is_folder(target)) rc = set_paths(b, "", err);
    if (!rc) rc = make_there(b, err);
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
    akin_status rc = akin_watch_open(&b.watch, cli, "copying", &err);
    if (!rc)
        rc = engine ? write_here(&b, engine, &err) : copy_from_server(&b, &err);
    if (!rc) rc = finish(&b, &err);
    akin_watch_end(&b.watch, !rc);
    if (rc && b.fd >= 0 && holds_part(&b)) unlink(b.part);
    if (rc)
        code = akin_watch_code(rc, &err);
    else
        print_backup(&b);
    if (b.fd >= 0) close(b.fd);
    akin_watch_close(&b.watch);
    akin_free(b.path);
    akin_free(b.part);
    akin_free(b.beside);
    return code;
}

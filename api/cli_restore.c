/* akin restore: a backup becomes a data directory (engine/restore.c), or, with
 * -c, a collection of a directory or a server: its bytes are sent there, and the
 * collection is replaced when they are whole. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "cli_backup.h"

#define TEXT_BYTES 4096
#define PIECES     4 /* on their way */

int akin_cli_restore_check(akin_cli *cli)
{
    if (akin_cli_has(cli, "connect") && !akin_cli_has(cli, "collection"))
        return akin_cli_usage(cli,
                              "a whole backup becomes a data directory here; "
                              "--connect goes with -c COLLECTION");
    return AKIN_EXIT_OK;
}

static void no_digest(const akin_cli *cli)
{
    if (!cli->quiet && !cli->json)
        akin_cli_fail(0,
                      "there is no %s.sha256: the contents were checked, the "
                      "digest was not",
                      cli->argv[0]);
}

/* ---- a directory --------------------------------------------------------------- */

static void print_directory(const akin_cli *cli, const char *dir,
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
    if (!r->compared) no_digest(cli);
}

static int restore_directory(akin_cli *cli)
{
    akin_restored restored = {0};
    char dir[TEXT_BYTES];
    akin_watch watch;
    akin_error err;
    int code = AKIN_EXIT_OK;

    akin_cli_data_dir(cli->config, dir, sizeof dir);
    akin_status rc = akin_watch_open(&watch, cli, "unpacking", &err);
    if (!rc)
        rc =
            akin_snapshot_restore(cli->argv[0], dir, akin_cli_has(cli, "force"),
                                  akin_watch_show, &watch, &restored, &err);
    akin_watch_end(&watch, !rc);
    if (rc == AKIN_EXISTS)
        code = akin_cli_fail(AKIN_EXIT_CANNOT,
                             "%s; --data names another place, --force keeps "
                             "what is there under another name",
                             err.message);
    else if (rc)
        code = akin_watch_code(rc, &err);
    else
        print_directory(cli, dir, &restored);
    akin_watch_close(&watch);
    akin_free(restored.kept);
    return code;
}

/* ---- a collection ---------------------------------------------------------------- */

typedef struct {
    akin_cli *cli;
    akin_watch watch;
    FILE *file;
    akin_sha256 *hash;
    uint64_t size, sent;
    size_t waiting; /* replies */
    uint8_t *piece;
    char hex[2 * AKIN_SHA256_BYTES + 1];
} sending;

/* Before all is sent; RECOVER looks again and has the last word. */
static akin_status check_collection(const akin_cli *cli, akin_error *err)
{
    akin_span argv[] = {akin_span_of("AKIN.INFO"),
                        akin_span_of(cli->collection)};
    redisReply *info = NULL;

    if (akin_cli_has(cli, "force")) return AKIN_OK;
    akin_status rc = akin_link_call(cli->link, argv, 2, &info, err);
    if (rc == AKIN_INVALID) return AKIN_OK; /* its reply: there is none */
    if (rc) return rc;
    freeReplyObject(info);
    return akin_fail(err, AKIN_EXISTS,
                     "there is a collection '%s'; --force replaces it",
                     cli->collection);
}

static akin_status send_piece(sending *s, uint64_t offset, size_t n,
                              akin_error *err)
{
    akin_words words = {0};

    akin_words_add(&words, "AKIN.SNAPSHOT");
    akin_words_add(&words, "WRITE");
    akin_words_printf(&words, "%" PRIu64, offset);
    akin_words_bytes(&words, s->piece, n);
    akin_status rc = akin_watch_send(s->cli->link, &words, err);
    if (!rc) s->waiting++;
    return rc;
}

static akin_status take_reply(sending *s, akin_error *err)
{
    redisReply *reply;

    s->waiting--;
    akin_status rc = akin_watch_receive(s->cli->link, &reply, err);
    if (!rc) freeReplyObject(reply);
    return rc;
}

static akin_status send_file(sending *s, akin_error *err)
{
    akin_progress p = {.phase = "sending", .total = s->size};
    akin_status rc = AKIN_OK;

    while (!rc && s->sent < s->size) {
        size_t n = fread(s->piece, 1, AKIN_PIECE, s->file);
        if (!n)
            return akin_fail(err, AKIN_IO, "cannot read %s: it has changed",
                             s->cli->argv[0]);
        akin_sha256_add(s->hash, s->piece, n);
        rc = send_piece(s, s->sent, n, err);
        s->sent += n;
        if (!rc && s->waiting == PIECES) rc = take_reply(s, err);
        p.done = s->sent;
        if (!rc && !akin_watch_show(&s->watch, &p))
            rc = akin_fail(err, AKIN_CANCELLED, "stopped");
    }
    while (!rc && s->waiting)
        rc = take_reply(s, err);
    return rc;
}

static akin_status compare(const sending *s, bool *compared, akin_error *err)
{
    char noted[65];

    akin_snapshot_digest(s->cli->argv[0], noted);
    *compared = noted[0];
    if (!*noted || !strcmp(noted, s->hex)) return AKIN_OK;
    return akin_fail(err, AKIN_BAD_DATA,
                     "the backup is damaged: its SHA-256 is %s, expected %s",
                     s->hex, noted);
}

static akin_status open_file(sending *s, akin_error *err)
{
    const char *path = s->cli->argv[0];
    struct stat st;

    s->file = fopen(path, "rb");
    if (!s->file || fstat(fileno(s->file), &st))
        return akin_fail_errno(err, errno, "cannot open %s", path);
    if (!S_ISREG(st.st_mode) || !st.st_size)
        return akin_fail(err, AKIN_INVALID, "%s is no backup", path);
    s->size = (uint64_t)st.st_size;
    s->hash = akin_sha256_begin();
    s->piece = akin_alloc(AKIN_PIECE);
    return s->hash && s->piece ? AKIN_OK
                               : akin_fail(err, AKIN_NOMEM, "no memory");
}

static akin_status recover(sending *s, akin_error *err)
{
    akin_words words = {0};
    redisReply *reply;

    akin_words_add(&words, "AKIN.SNAPSHOT");
    akin_words_add(&words, "RECOVER");
    akin_words_add(&words, s->cli->collection);
    akin_words_add(&words, s->hex);
    if (akin_cli_has(s->cli, "force")) akin_words_add(&words, "REPLACE");
    akin_status rc = akin_watch_call(&s->watch, &words, &reply, err);
    if (!rc) freeReplyObject(reply);
    return rc;
}

/* What was sent goes, if it is still there; best effort. */
static void drop_upload(sending *s)
{
    akin_error err;
    while (s->waiting)
        (void)!take_reply(s, &err);
    if (!send_piece(s, 0, 0, &err)) (void)!take_reply(s, &err);
}

static akin_status send_all(sending *s, bool *compared, akin_error *err)
{
    uint8_t digest[AKIN_SHA256_BYTES];

    akin_status rc = open_file(s, err);
    if (!rc) rc = check_collection(s->cli, err);
    if (rc) return rc;
    rc = send_file(s, err);
    akin_sha256_finish(s->hash, digest);
    s->hash = NULL;
    akin_hex(digest, sizeof digest, s->hex);
    if (!rc) rc = compare(s, compared, err);
    if (!rc) rc = recover(s, err);
    if (rc) drop_upload(s);
    return rc;
}

static int restore_collection(akin_cli *cli)
{
    sending s = {.cli = cli};
    bool compared = false;
    akin_error err;
    int code = AKIN_EXIT_OK;

    akin_status rc = akin_cli_connect(cli, true, &cli->link, &err);
    if (rc) return akin_cli_status(&err);
    rc = akin_watch_open(&s.watch, cli, "sending", &err);
    if (!rc) rc = send_all(&s, &compared, &err);
    akin_watch_end(&s.watch, !rc);
    if (rc) {
        code = akin_watch_code(rc, &err);
    } else if (cli->json) {
        json_t *root = json_pack("{s:s, s:b}", "restored", cli->collection,
                                 "digest", (int)compared);
        json_dumpf(root, stdout, JSON_COMPACT);
        json_decref(root);
        printf("\n");
    } else if (!cli->quiet) {
        printf("restored %s\n", cli->collection);
        if (!compared) no_digest(cli);
    }
    if (s.hash) akin_sha256_finish(s.hash, NULL);
    if (s.file) fclose(s.file);
    akin_free(s.piece);
    akin_watch_close(&s.watch);
    akin_link_close(cli->link);
    cli->link = NULL;
    return code;
}

int akin_cli_restore(akin_cli *cli)
{
    return akin_cli_has(cli, "collection") ? restore_collection(cli)
                                           : restore_directory(cli);
}

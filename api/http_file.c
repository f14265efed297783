/* Sending a file that is too large to hold: pieces are read by libuv's own
 * threads, the connection sleeping meanwhile, so that a slow disk never holds
 * the loop. Loop thread. */
#include "http_internal.h"

#include <string.h>
#include <unistd.h>

#define PIECE_BYTES (256u << 10)

typedef struct {
    uv_fs_t read; /* first */
    akin_http *http;
    struct MHD_Connection *connection;
    int fd;
    uint64_t from; /* where the reply begins in the file */
    uint64_t at;   /* where the piece begins in the reply */
    size_t size;   /* of the piece */
    bool reading, failed, gone;
    char piece[PIECE_BYTES];
} sending;

static void free_sending(sending *s)
{
    close(s->fd);
    akin_free(s);
}

static void piece_read(uv_fs_t *read)
{
    sending *s = (sending *)read;
    akin_http *http = s->http;

    s->reading = false;
    s->failed = read->result <= 0; /* or the file was cut */
    s->size = s->failed ? 0 : (size_t)read->result;
    uv_fs_req_cleanup(read);
    http->stats.in_flight--;
    if (s->gone)
        free_sending(s);
    else
        MHD_resume_connection(s->connection);
    akin__http_pump(http);
}

static ssize_t read_on(void *user, uint64_t at, char *out, size_t room)
{
    sending *s = user;
    uv_buf_t piece = uv_buf_init(s->piece, PIECE_BYTES);

    if (s->failed) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (at >= s->at && at < s->at + s->size) {
        size_t skip = (size_t)(at - s->at), left = s->size - skip;
        size_t n = left < room ? left : room;
        memcpy(out, s->piece + skip, n);
        return (ssize_t)n;
    }
    s->at = at;
    s->size = 0;
    if (uv_fs_read(akin_server_loop(s->http->service->server), &s->read, s->fd,
                   &piece, 1, (int64_t)(s->from + at), piece_read))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    s->reading = true;
    s->http->stats.in_flight++;
    MHD_suspend_connection(s->connection);
    return 0;
}

static void sent(void *user)
{
    sending *s = user;

    if (s->reading)
        s->gone = true; /* piece_read frees it */
    else
        free_sending(s);
}

struct MHD_Response *akin__http_file(akin_http_call *call, uint64_t from,
                                     uint64_t size)
{
    sending *s = akin_alloc(sizeof *s);

    if (!s) return NULL;
    memset(s, 0, offsetof(sending, piece));
    s->http = call->http;
    s->connection = call->connection;
    s->from = from;
    s->fd = call->file;
    struct MHD_Response *response =
        MHD_create_response_from_callback(size, 64u << 10, read_on, s, sent);
    if (response)
        call->file = -1; /* is the response's */
    else
        akin_free(s);
    return response;
}

/* What a browser loads: the gallery's files, which the build put into the
 * program (api/gallery/embed.cmake), and thumbnails. All have an ETag. */
#include "http_gallery.h"

#include "http_handlers.h"

#include <string.h>

/* The REST interface that these replies follow; Qdrant's clients compare it with
 * their own. */
#define QDRANT_VERSION "1.18.0"

static akin_status send_file(akin_http_call *call, const char *name,
                             akin_error *err)
{
    size_t n;
    const akin_gallery_file *files = akin__gallery_files(&n);

    for (size_t i = 0; i < n; i++)
        if (!strcmp(files[i].name, name)) {
            call->constant = (akin_span){files[i].data, files[i].size};
            call->type = files[i].type;
            call->cache = "no-cache";
            snprintf(call->etag, sizeof call->etag, "\"%s\"", files[i].hash);
            return AKIN_OK;
        }
    return akin_fail(err, AKIN_NOT_FOUND, "the gallery has no such file");
}

akin_status akin__http_root(akin_http_call *call, akin_error *err)
{
    if (call->html) return send_file(call, "index.html", err);
    akin_buf_printf(&call->out,
                    "{\"title\":\"akin - vector search for images and text\","
                    "\"version\":\"" QDRANT_VERSION
                    "\",\"akin_version\":\"%s\"}",
                    AKIN_VERSION);
    return AKIN_OK;
}

akin_status akin__http_gallery_file(akin_http_call *call, akin_error *err)
{
    return send_file(call, call->params[0], err);
}

static const char *picture_type(const akin_buf *bytes)
{
    static const uint8_t png[] = {0x89, 'P', 'N', 'G'};

    if (bytes->size >= 4 && !memcmp(bytes->data, png, 4)) return "image/png";
    if (bytes->size >= 12 && !memcmp(bytes->data + 8, "WEBP", 4))
        return "image/webp";
    return "image/jpeg";
}

akin_status akin__http_thumbnail(akin_http_call *call, akin_error *err)
{
    uint8_t hash[AKIN_SHA256_BYTES];
    char text[2 * AKIN_SHA256_BYTES + 1];

    akin__http_id_fold(call->params[1]);
    akin_status rc =
        akin_engine_thumbnail(call->engine, call->params[0],
                              akin_span_of(call->params[1]), &call->out, err);
    if (!rc)
        rc = akin_sha256_of((akin_span){call->out.data, call->out.size}, hash,
                            err);
    if (rc) return rc;
    akin_hex(hash, 16, text);
    snprintf(call->etag, sizeof call->etag, "\"%s\"", text);
    call->type = picture_type(&call->out);
    call->cache = "private, max-age=300";
    return AKIN_OK;
}

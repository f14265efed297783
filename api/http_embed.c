/* POST /v1/embeddings, as OpenAI's and Jina's clients send it:
 *
 *     {"input": "text" | ["text", {"text": ...}, {"image": "<base64>"}],
 *      "model": "...", "encoding_format": "float" | "base64"}
 *
 * The model is the server's, whatever name is asked for. */
#include "http_handlers.h"
#include "http_query.h"

#include <string.h>

#define INPUTS 512

static akin_status embed(akin_http_call *call, const json_t *input, float **out,
                         uint32_t *dim, akin_error *err)
{
    const json_t *text = json_object_get(input, "text");
    const json_t *image = json_object_get(input, "image");
    akin_buf bytes = {0};

    if (json_is_string(input)) text = input;
    if (json_is_string(text))
        return akin_engine_embed_text(
            call->engine, NULL,
            (akin_span){json_string_value(text), json_string_length(text)}, out,
            dim, err);
    if (!image)
        return akin_fail(err, AKIN_INVALID,
                         "`input`: expected texts, {\"text\": ...} or "
                         "{\"image\": ...}, got %s",
                         akin_json_kind(input));
    akin_status rc = akin__http_picture_read(image, &bytes, err);
    if (!rc)
        rc = akin_engine_embed_picture(call->engine, NULL,
                                       (akin_span){bytes.data, bytes.size}, out,
                                       dim, err);
    akin_buf_clear(&bytes);
    return rc;
}

static void write_base64(akin_buf *out, const void *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq"
                                 "rstuvwxyz0123456789+/";
    const uint8_t *p = data;

    akin_buf_text(out, "\"");
    for (size_t i = 0; i < size; i += 3) {
        size_t n = size - i < 3 ? size - i : 3;
        uint32_t bits = (uint32_t)p[i] << 16 | (n > 1 ? p[i + 1] << 8 : 0) |
                        (n > 2 ? p[i + 2] : 0);
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                        n > 1 ? digits[bits >> 6 & 63] : '=',
                        n > 2 ? digits[bits & 63] : '='};
        akin_buf_append(out, four, 4);
    }
    akin_buf_text(out, "\"");
}

static akin_status embed_one(akin_http_call *call, const json_t *input,
                             size_t i, bool base64, akin_error *err)
{
    float *v = NULL;
    uint32_t dim;
    akin_status rc = embed(call, input, &v, &dim, err);

    if (rc) return akin_fail_prefix(err, rc, "input %zu", i);
    akin_buf_printf(&call->out,
                    "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":",
                    i ? "," : "", i);
    if (base64)
        write_base64(&call->out, v, dim * sizeof *v);
    else
        akin_json_floats(&call->out, v, dim);
    akin_buf_text(&call->out, "}");
    akin_free(v);
    return AKIN_OK;
}

akin_status akin__http_embeddings(akin_http_call *call, akin_error *err)
{
    const json_t *input = json_object_get(call->json, "input");
    const char *format = "float", *model = "akin";
    size_t n = json_is_array(input) ? json_array_size(input) : 1;

    akin_status rc =
        akin_json_get_text(call->json, "encoding_format", &format, err);
    if (!rc) rc = akin_json_get_text(call->json, "model", &model, err);
    if (!rc && (!n || n > INPUTS))
        rc = akin_fail(err, AKIN_INVALID,
                       "`input`: expected 1 to %d inputs, got %zu", INPUTS, n);
    if (!rc && strcmp(format, "float") && strcmp(format, "base64"))
        rc = akin_fail(err, AKIN_INVALID,
                       "`encoding_format`: expected float or base64");
    if (!rc) akin_buf_text(&call->out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; !rc && i < n; i++)
        rc = embed_one(call,
                       json_is_array(input) ? json_array_get(input, i) : input,
                       i, !strcmp(format, "base64"), err);
    akin_buf_text(&call->out, "],\"model\":");
    akin_json_text(&call->out, model);
    akin_buf_text(&call->out,
                  ",\"usage\":{\"prompt_tokens\":0,\"total_tokens\":0}}");
    return rc;
}

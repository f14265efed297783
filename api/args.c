/* Reading arguments, for all handlers. */
#include "commands.h"

#include <math.h>
#include <string.h>

#define MAX_DIM 32768 /* as Redis; the engine has the same bound */

akin_args akin_args_of(const akin_call *call, size_t from)
{
    return (akin_args){call->argv, call->argc, from};
}

bool akin_args_word(akin_args *args, const char *word)
{
    if (args->at >= args->n || !akin_span_is(args->argv[args->at], word))
        return false;
    args->at++;
    return true;
}

akin_status akin_args_next(akin_args *args, const char *what, akin_span *out,
                           akin_error *err)
{
    if (args->at >= args->n)
        return akin_fail(err, AKIN_INVALID, "syntax error: expected %s", what);
    *out = args->argv[args->at++];
    return AKIN_OK;
}

akin_status akin_args_int(akin_args *args, const char *what, int64_t min,
                          int64_t max, int64_t *out, akin_error *err)
{
    akin_span text;
    akin_status rc = akin_args_next(args, what, &text, err);
    if (rc) return rc;
    if (!akin_span_int(text, out) || *out < min || *out > max)
        return akin_fail(err, AKIN_INVALID,
                         "invalid %s: expected a whole number from %lld to "
                         "%lld, got '%.*s'",
                         what, (long long)min, (long long)max,
                         AKIN_SHOWN(text));
    return AKIN_OK;
}

akin_status akin_args_double(akin_args *args, const char *what, double min,
                             double max, double *out, akin_error *err)
{
    akin_span text;
    akin_status rc = akin_args_next(args, what, &text, err);
    if (rc) return rc;
    if (!akin_span_double(text, out) || *out < min || *out > max)
        return akin_fail(err, AKIN_INVALID,
                         "invalid %s: expected a number from %g to %g, got "
                         "'%.*s'",
                         what, min, max, AKIN_SHOWN(text));
    return AKIN_OK;
}

static akin_status bad_vector(akin_error *err, const char *why)
{
    return akin_fail(err, AKIN_INVALID, "invalid vector specification: %s",
                     why);
}

akin_status akin_args_fp32(akin_args *args, float **out, uint32_t *dim,
                           akin_error *err)
{
    akin_span blob = {0};
    *out = NULL;
    if (akin_args_next(args, "vector", &blob, NULL))
        return bad_vector(err, "FP32 wants the bytes of the vector");
    if (!blob.size || blob.size % sizeof(float))
        return bad_vector(err, "FP32 wants 4 bytes a component");
    if (blob.size / sizeof(float) > MAX_DIM)
        return bad_vector(err, "more than 32768 components");
    float *v = akin_alloc(blob.size);
    if (!v) return akin_fail(err, AKIN_NOMEM, "no memory for a vector");
    memcpy(v, blob.data,
           blob.size); /* little-endian, as the machines we run on;
                                        the bytes may be unaligned */
    *dim = (uint32_t)(blob.size / sizeof(float));
    for (uint32_t i = 0; i < *dim; i++)
        if (!isfinite(v[i])) {
            akin_free(v);
            return bad_vector(err, "a component is not a finite number");
        }
    *out = v;
    return AKIN_OK;
}

akin_status akin_args_values(akin_args *args, float **out, uint32_t *dim,
                             akin_error *err)
{
    int64_t n;
    akin_span text = {0};
    *out = NULL;
    if (akin_args_next(args, "dimension", &text, NULL) ||
        !akin_span_int(text, &n) || n < 1 || n > MAX_DIM)
        return bad_vector(err, "VALUES wants how many come, 1 to 32768");
    if ((uint64_t)n > args->n - args->at)
        return bad_vector(err, "fewer values than announced");
    float *v = akin_alloc((size_t)n * sizeof *v);
    if (!v) return akin_fail(err, AKIN_NOMEM, "no memory for a vector");
    for (int64_t i = 0; i < n; i++) {
        if (!akin_span_float(args->argv[args->at++], &v[i])) {
            akin_free(v);
            return bad_vector(err, "a value is not a finite number");
        }
    }
    *out = v;
    *dim = (uint32_t)n;
    return AKIN_OK;
}

akin_status akin_collection_name(akin_span text, char out[AKIN_NAME_BYTES + 1],
                                 akin_error *err)
{
    if (!text.size || text.size > AKIN_NAME_BYTES ||
        memchr(text.data, 0, text.size))
        return akin_fail(err, AKIN_INVALID,
                         "a collection's name has 1 to %d bytes and no NUL",
                         AKIN_NAME_BYTES);
    memcpy(out, text.data, text.size);
    out[text.size] = 0;
    return AKIN_OK;
}

akin_status akin_args_captions(akin_args *args, akin_caption_from *out,
                               akin_error *err)
{
    if (akin_args_word(args, "METADATA"))
        *out = AKIN_CAPTION_METADATA;
    else if (akin_args_word(args, "FILENAME"))
        *out = AKIN_CAPTION_FILENAME;
    else if (akin_args_word(args, "NONE"))
        *out = AKIN_CAPTION_NONE;
    else
        return akin_fail(err, AKIN_INVALID,
                         "CAPTIONS is metadata, filename or none");
    return AKIN_OK;
}

const char *akin_lower_name(const char *name, char out[AKIN_COMMAND_BYTES])
{
    size_t n = 0;
    for (; n < AKIN_COMMAND_BYTES - 1 && name[n]; n++)
        out[n] =
            (char)(name[n] >= 'A' && name[n] <= 'Z' ? name[n] | 32 : name[n]);
    out[n] = 0;
    return out;
}

akin_status akin_bad_option(akin_span option, akin_error *err)
{
    return akin_fail(err, AKIN_INVALID, "syntax error near '%.*s'",
                     AKIN_SHOWN(option));
}

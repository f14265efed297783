/* Encoders: options, memory, threads; splits calls into batches. */
#include "akin_embed.h"

#include <string.h>

static const char *const precision_names[] = {
    [AKIN_PRECISION_AUTO] = "auto",
    [AKIN_PRECISION_F32] = "f32",
    [AKIN_PRECISION_BF16] = "bf16",
    [AKIN_PRECISION_INT8] = "int8",
};

const char *akin_precision_name(akin_precision precision)
{
    return precision_names[precision];
}

bool akin_precision_parse(const char *name, akin_precision *out)
{
    for (int i = AKIN_PRECISION_AUTO; i <= AKIN_PRECISION_INT8; i++) {
        if (strcmp(name, precision_names[i]) == 0) {
            *out = (akin_precision)i;
            return true;
        }
    }
    return false;
}

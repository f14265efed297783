#ifndef AKIN_BENCH_ENCODE_PEAK_H
#define AKIN_BENCH_ENCODE_PEAK_H

#include "akin_embed.h"

/* Multiplications (with their additions) a second of one thread in the products
 * of the library that a precision uses: 1024 x 1024 x 1024, packed weights, best
 * of several. 0 when the library refuses. */
double gemm_peak(akin_precision precision);

#endif

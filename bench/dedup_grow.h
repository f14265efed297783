/* Duplicates in a library that grows (bench/dedup.c). */
#ifndef AKIN_BENCH_DEDUP_GROW_H
#define AKIN_BENCH_DEDUP_GROW_H

#include <stdint.h>

/* Prints the rate of each 10,000 of n pictures put into a fresh data directory, and
 * what pages of groups take. Ends the program when something fails. */
int dedup_grow(const char *out, const char *model, uint64_t n);

#endif

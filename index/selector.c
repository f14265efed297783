/* akin_selector: a bitmap over labels. */
#include "internal.h"

#include <string.h>

static akin_status selector_room(akin_selector *selector, uint64_t label,
                                 akin_error *err)
{
    size_t n_words, capacity = selector->n_words;
    if (label > AKIN_INDEX_MAX_LABEL)
        return akin_fail(err, AKIN_INVALID, "label %llu is too large",
                         (unsigned long long)label);
    n_words = (size_t)(label / 64) + 1;
    if (n_words <= selector->n_words) return AKIN_OK;
    akin_status rc =
        akin_grow(&selector->words, &capacity, n_words, sizeof(uint64_t), err);
    if (rc) return rc;
    memset(selector->words + selector->n_words, 0,
           (capacity - selector->n_words) * sizeof(uint64_t));
    selector->n_words = capacity;
    return AKIN_OK;
}

akin_status akin_selector_init(akin_selector *selector, uint64_t max_label,
                               akin_error *err)
{
    memset(selector, 0, sizeof *selector);
    return selector_room(selector, max_label, err);
}

akin_status akin_selector_set(akin_selector *selector, uint64_t label,
                              akin_error *err)
{
    uint64_t bit = (uint64_t)1 << (label % 64);
    akin_status rc = selector_room(selector, label, err);
    if (rc) return rc;
    selector->count += !(selector->words[label / 64] & bit);
    selector->words[label / 64] |= bit;
    return AKIN_OK;
}

bool akin_selector_has(const akin_selector *selector, uint64_t label)
{
    return label / 64 < selector->n_words && akin__bit(selector->words, label);
}

uint64_t akin_selector_count(akin_selector *selector)
{
    uint64_t count = 0;
    for (size_t i = 0; i < selector->n_words; i++)
        count += (uint64_t)__builtin_popcountll(selector->words[i]);
    return selector->count = count;
}

void akin_selector_clear(akin_selector *selector)
{
    akin_free(selector->words);
    memset(selector, 0, sizeof *selector);
}

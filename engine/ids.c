/* Ids of items by their numbers, remembered: reading ten of them from SQLite
 * takes a fifth of a query. An item's id never changes and a number is never
 * given again, so what is remembered is never wrong; whether an item still is
 * there is for the index to say.
 *
 * A table of 64-byte slots, the number's lowest bits choosing the slot; numbers
 * are given in a row, so a collection of a million items fills it without two in
 * one place. Its memory comes in parts of 16 KiB as they are used, 64 MiB at
 * most. */
#include "internal.h"

#include <string.h>

#define SLOTS      (1u << 20)
#define PART_SLOTS 256u
#define PARTS      (SLOTS / PART_SLOTS)
#define LOCKS      64u

typedef struct {
    uint64_t num; /* 0: empty */
    uint8_t size;
    char id[AKIN__SHORT_ID];
} slot;

struct akin__ids {
    pthread_mutex_t locks[LOCKS]; /* of the parts, by part % LOCKS */
    slot *parts[PARTS];           /* (PART_SLOTS) each, or NULL */
};

static uint32_t part_of(uint64_t num)
{
    return (uint32_t)(num % SLOTS) / PART_SLOTS;
}

static slot *slot_of(const akin__ids *ids, uint64_t num)
{
    slot *part = ids->parts[part_of(num)];
    return part ? &part[num % PART_SLOTS] : NULL;
}

akin_status akin__ids_open(akin__ids **out, akin_error *err)
{
    akin__ids *ids = akin_calloc(1, sizeof *ids);
    if (!ids) return akin__nomem(err);
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_init(&ids->locks[i], NULL);
    *out = ids;
    return AKIN_OK;
}

void akin__ids_close(akin__ids *ids)
{
    if (!ids) return;
    for (uint32_t i = 0; i < PARTS; i++)
        akin_free(ids->parts[i]);
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&ids->locks[i]);
    akin_free(ids);
}

size_t akin__ids_get(akin__ids *ids, uint64_t num, char out[AKIN__SHORT_ID + 1])
{
    pthread_mutex_t *lock = &ids->locks[part_of(num) % LOCKS];
    size_t size = 0;
    pthread_mutex_lock(lock);
    const slot *s = slot_of(ids, num);
    if (s && s->num == num) {
        size = s->size;
        memcpy(out, s->id, size);
    }
    pthread_mutex_unlock(lock);
    out[size] = 0;
    return size;
}

void akin__ids_put(akin__ids *ids, uint64_t num, akin_span id)
{
    pthread_mutex_t *lock = &ids->locks[part_of(num) % LOCKS];
    if (!num || !id.size || id.size > AKIN__SHORT_ID) return;
    pthread_mutex_lock(lock);
    if (!ids->parts[part_of(num)])
        ids->parts[part_of(num)] = akin_calloc(PART_SLOTS, sizeof(slot));
    slot *s = slot_of(ids, num);
    if (s) {
        s->num = num;
        s->size = (uint8_t)id.size;
        memcpy(s->id, id.data, id.size);
    }
    pthread_mutex_unlock(lock);
}

void akin__ids_forget(akin__ids *ids, uint64_t num)
{
    pthread_mutex_t *lock = &ids->locks[part_of(num) % LOCKS];
    pthread_mutex_lock(lock);
    slot *s = slot_of(ids, num);
    if (s && s->num == num) s->num = 0;
    pthread_mutex_unlock(lock);
}

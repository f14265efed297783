/* How recall curves lie in a generation's file. The head has those of k up to
 * 100: items, texts, items under the two filters, then items and texts with the
 * larger k. Those of the levels beyond follow the head, under a digest of their
 * own. */
#include "internal.h"

#include <string.h>

/* Where a kind's curve of a level lies in the head. */
static size_t head_place(int kind, int level)
{
    size_t wide = AKIN__KINDS + AKIN__FILTERED;
    size_t a_kind = AKIN__HEAD_LEVELS - 1;
    return level ? wide + (size_t)kind * a_kind + (size_t)level - 1
                 : (size_t)kind;
}

static akin_status digest_of(const akin__far *far, uint8_t *out,
                             akin_error *err)
{
    return akin_sha256_of((akin_span){far, offsetof(akin__far, digest)}, out,
                          err);
}

/* The best of a curve's points, as many as there is room for: the ones left
 * out reach less than anybody asks for. */
static void pack_far(const akin_curve *from, uint32_t *n_points,
                     akin_curve_point *points)
{
    uint32_t n = from->n_points;
    if (n > AKIN__FAR_POINTS) n = AKIN__FAR_POINTS;
    memcpy(points, from->points + (from->n_points - n), n * sizeof *points);
    *n_points = n;
}

akin_status akin__curves_pack(const akin__curve_set *set, akin__head *head,
                              akin__far *far, akin_error *err)
{
    memset(far, 0, sizeof *far);
    for (int kind = 0; kind < AKIN__KINDS; kind++)
        for (int level = 0; level < AKIN__LEVELS; level++) {
            const akin_curve *from = &set->level[kind][level];
            int beyond = level - AKIN__HEAD_LEVELS;
            if (beyond < 0) {
                head->curves[head_place(kind, level)] = *from;
                continue;
            }
            far->curves[kind][beyond].n_queries = from->n_queries;
            pack_far(from, &far->curves[kind][beyond].n_points,
                     far->curves[kind][beyond].points);
        }
    memcpy(&head->curves[AKIN__KINDS], set->filtered, sizeof set->filtered);
    return digest_of(far, far->digest, err);
}

static bool too_many(const akin_curve *curves, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (curves[i].n_points > AKIN_CURVE_POINTS) return true;
    return false;
}

akin_status akin__curves_unpack(const akin__head *head, const uint8_t *file,
                                akin__curve_set *set, akin_error *err)
{
    akin__far far;
    uint8_t digest[AKIN_SHA256_BYTES];
    akin_status rc;
    memset(set, 0, sizeof *set);
    if (too_many(head->curves, AKIN__HEAD_CURVES))
        return akin_fail(err, AKIN_CORRUPT,
                         "a recall curve of more than %d points",
                         AKIN_CURVE_POINTS);
    for (int kind = 0; kind < AKIN__KINDS; kind++)
        for (int level = 0; level < AKIN__HEAD_LEVELS; level++)
            set->level[kind][level] = head->curves[head_place(kind, level)];
    memcpy(set->filtered, &head->curves[AKIN__KINDS], sizeof set->filtered);
    memcpy(&far, file + sizeof *head, sizeof far);
    rc = digest_of(&far, digest, err);
    if (rc) return rc;
    if (memcmp(digest, far.digest, sizeof digest) != 0)
        return akin_fail(err, AKIN_CORRUPT, "the recall curves are damaged");
    for (int kind = 0; kind < AKIN__KINDS; kind++)
        for (int i = 0; i < AKIN__FAR_LEVELS; i++) {
            akin_curve *to = &set->level[kind][AKIN__HEAD_LEVELS + i];
            to->n_points = far.curves[kind][i].n_points;
            to->n_queries = far.curves[kind][i].n_queries;
            if (to->n_points > AKIN__FAR_POINTS)
                return akin_fail(err, AKIN_CORRUPT,
                                 "a recall curve of %u points", to->n_points);
            memcpy(to->points, far.curves[kind][i].points,
                   sizeof far.curves[kind][i].points);
        }
    return AKIN_OK;
}

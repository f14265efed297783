/* Storing, changing and removing items.
 *
 * A put has two halves: everything that can be wrong with it is found first,
 * against what is stored (then it fails alone and leaves no trace), and only
 * then does it write. The half-open state between them is `putting`. */
#include "internal.h"

#include <string.h>

#define MAX_FORMAT_BYTES 64

typedef struct {
    akin__writing *w;
    const akin_write *op;
    akin__item_reader reader; /* collection, spaces of the current model */
    bool exists;
    akin_item old;
    char *plain;        /* attributes as they are stored, when rewritten */
    akin_item_data now; /* what will be stored: data NULL or size 0: none */
    bool columns_changed, attributes_changed, caption_changed;
    bool set[AKIN_SPACES], drop[AKIN_SPACES]; /* vectors */
} putting;

uint64_t akin__next_seq(akin__writing *w)
{
    return ++w->storage->write.seq;
}

/* ---- checks -------------------------------------------------------------- */

static akin_status check_id(akin_span id, akin_error *err)
{
    if (id.data && id.size >= 1 && id.size <= AKIN_MAX_ID_BYTES) return AKIN_OK;
    return akin_fail(err, id.size ? AKIN_TOO_LARGE : AKIN_INVALID,
                     "id of %zu bytes, expected 1 to %d", id.size,
                     AKIN_MAX_ID_BYTES);
}

/* Paths are bytes, whatever their encoding. */
static akin_status check_source(akin_span source, akin_error *err)
{
    if (source.size > AKIN_MAX_PATH_BYTES)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "source of %zu bytes, expected at most %d",
                         source.size, AKIN_MAX_PATH_BYTES);
    if (source.size && memchr(source.data, 0, source.size))
        return akin_fail(err, AKIN_INVALID, "source contains a NUL byte");
    return AKIN_OK;
}

static akin_status check_data(akin__conn *conn, const akin_item_data *d,
                              akin_error *err)
{
    akin_status rc = check_id(d->id, err);
    if (!rc) rc = check_source(d->source, err);
    if (!rc)
        rc = akin__check_text(d->caption, AKIN_MAX_CAPTION_BYTES, "caption",
                              err);
    if (!rc) rc = akin__check_text(d->format, MAX_FORMAT_BYTES, "format", err);
    if (!rc && d->attributes.size)
        rc = akin__check_object(conn, d->attributes, AKIN_MAX_ATTRIBUTES_BYTES,
                                "attributes", err);
    for (int i = 0; !rc && i < AKIN_SPACES; i++)
        if (d->vectors[i].data) rc = akin__check_vector(&d->vectors[i], err);
    if (rc) return rc;
    if (d->phash_count > AKIN_MAX_PHASHES)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "%u perceptual hashes, expected at most %d",
                         d->phash_count, AKIN_MAX_PHASHES);
    if (d->thumb.size > AKIN_MAX_THUMB_BYTES)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "thumbnail of %zu bytes, expected at most %d",
                         d->thumb.size, AKIN_MAX_THUMB_BYTES);
    return AKIN_OK;
}

static void hex8(const uint8_t *hash, char out[20])
{
    akin_hex(hash, 8, out);
}

static akin_status check_model(const akin__collection *c, int slot,
                               const akin_vector *v, akin_error *err)
{
    char want[20], got[20];

    if (c->present[slot] && memcmp(c->model[slot], v->model, AKIN_HASH_BYTES)) {
        hex8(c->model[slot], want);
        hex8(v->model, got);
        return akin_fail(err, AKIN_WRONG_MODEL,
                         "collection %u has vectors of model %s, got one of %s",
                         c->collection, want, got);
    }
    if (c->dim[slot] && c->dim[slot] != v->dim)
        return akin_fail(err, AKIN_INVALID, "expected %u dimensions, got %u",
                         c->dim[slot], v->dim);
    return AKIN_OK;
}

/* Several vectors of one put into an empty collection must agree, too. */
static akin_status check_vectors(putting *p, akin_error *err)
{
    const akin_vector *v = p->op->item->vectors;
    akin_status rc = AKIN_OK;

    for (int i = 0; !rc && i < AKIN_SPACES; i++)
        if (v[i].data) rc = check_model(&p->reader.collection, 0, &v[i], err);
    if (rc || !v[0].data || !v[1].data) return rc;
    if (v[0].dim != v[1].dim || memcmp(v[0].model, v[1].model, AKIN_HASH_BYTES))
        return akin_fail(err, AKIN_WRONG_MODEL,
                         "image and caption vectors of different models");
    return AKIN_OK;
}

/* ---- what is there, what will be ----------------------------------------- */

static akin_status check_seq(const akin_write *op, uint64_t num, uint64_t seq,
                             akin_error *err)
{
    if (seq == op->if_seq) return AKIN_OK;
    return akin_fail(err, AKIN_CANCELLED,
                     "item %llu has changed: expected change %llu, is %llu",
                     (unsigned long long)num, (unsigned long long)op->if_seq,
                     (unsigned long long)seq);
}

static akin_status load_old(putting *p, akin_error *err)
{
    akin__conn *conn = p->w->conn;
    sqlite3_stmt *stmt;
    akin_span id = p->op->item->id;

    akin_status rc =
        akin__query(conn, &stmt, err,
                    "SELECT " AKIN__ITEM_COLUMNS
                    " FROM items WHERE collection = ?1 AND id = ?2",
                    "ub", (uint64_t)p->op->collection, id);
    if (!rc) rc = akin__step(conn, stmt, &p->exists, err);
    if (!rc && p->exists) rc = akin__item_fill(&p->reader, stmt, &p->old, err);
    akin__release(conn, stmt);
    if (rc) return rc;
    int shown = (int)(id.size < 200 ? id.size : 200);
    if (p->exists && (p->op->flags & AKIN_PUT_CREATE_ONLY))
        return akin_fail(err, AKIN_EXISTS, "item \"%.*s\" exists", shown,
                         (const char *)id.data);
    if (!p->exists && (p->op->flags & AKIN_PUT_UPDATE_ONLY))
        return akin_fail(err, AKIN_NOT_FOUND, "no item \"%.*s\"", shown,
                         (const char *)id.data);
    return p->op->if_seq ? check_seq(p->op, p->old.num, p->old.seq, err)
                         : AKIN_OK;
}

static bool same_bytes(const void *a, size_t a_size, const void *b,
                       size_t b_size)
{
    return a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

static bool same_hash(const uint8_t *a, const uint8_t *b)
{
    return (!a && !b) || (a && b && memcmp(a, b, AKIN_HASH_BYTES) == 0);
}

/* What of one span remains: the new one, or the old one if it is kept. Sets
 * *changed when that is another than the old one. */
static akin_span merge(akin_span given, akin_span old, bool keep, bool *changed)
{
    akin_span none = {NULL, 0};
    akin_span now = given.data ? given : keep ? old : none;
    if (now.size == 0) now = none;
    if (!same_bytes(now.data, now.size, old.data, old.size)) *changed = true;
    return now;
}

static akin_status plain_attributes(putting *p, akin_error *err)
{
    akin_span in = p->op->item->attributes;
    p->now.attributes = in;
    if (!in.size || !memchr(in.data, '\\', in.size)) return AKIN_OK;
    p->plain = akin_alloc(in.size);
    if (!p->plain) return akin_fail(err, AKIN_NOMEM, "out of memory");
    p->now.attributes.data = p->plain;
    p->now.attributes.size = akin__json_plain(in, p->plain);
    return AKIN_OK;
}

static void merge_picture(putting *p, bool keep)
{
    const akin_item_data *in = p->op->item;
    const akin_item *old = &p->old;
    akin_item_data *now = &p->now;
    bool *changed = &p->columns_changed;

    /* The hash says whose embedding the vector is: one given by hand has none, or
     * every item with this picture would get it. */
    bool by_hand = in->vectors[AKIN_SPACE_IMAGE].data && !in->content_hash;
    now->content_hash = in->content_hash   ? in->content_hash
                        : keep && !by_hand ? old->content_hash
                                           : NULL;
    bool same = same_hash(now->content_hash, old->content_hash);
    if (!same) *changed = true;
    /* What is known of the old picture does not describe another one. */
    bool keep_facts = keep && (same || !old->content_hash);
    now->pixel_hash = in->pixel_hash ? in->pixel_hash
                      : keep_facts   ? old->pixel_hash
                                     : NULL;
    if (!same_hash(now->pixel_hash, old->pixel_hash)) *changed = true;
    if (!in->phashes && keep_facts) {
        now->phashes = old->phashes;
        now->phash_count = old->phash_count;
    }
    if (!same_bytes(now->phashes, now->phash_count * sizeof(uint64_t),
                    old->phashes, old->phash_count * sizeof(uint64_t)))
        *changed = true;
    if (!in->width && keep_facts) now->width = old->width;
    if (!in->height && keep_facts) now->height = old->height;
    if (now->width != old->width || now->height != old->height) *changed = true;
    now->format = merge(in->format, old->format, keep_facts, changed);
    if (!in->vectors[AKIN_SPACE_IMAGE].data && p->exists && !keep_facts)
        p->drop[AKIN_SPACE_IMAGE] = true;
}

static void merge_all(putting *p)
{
    const akin_item_data *in = p->op->item;
    const akin_item *old = &p->old;
    akin_item_data *now = &p->now;
    bool keep = !(p->op->flags & AKIN_PUT_REPLACE);

    now->attributes =
        merge(now->attributes, old->attributes, keep, &p->attributes_changed);
    now->source = merge(in->source, old->source, keep, &p->columns_changed);
    if (!in->source.data && keep) {
        now->source_mtime_ns = old->source_mtime_ns;
        now->source_size = old->source_size;
    }
    if (now->source_mtime_ns != old->source_mtime_ns ||
        now->source_size != old->source_size)
        p->columns_changed = true;
    now->caption = merge(in->caption, old->caption, keep, &p->caption_changed);
    merge_picture(p, keep);
    if (p->exists && !in->vectors[AKIN_SPACE_CAPTION].data &&
        (p->caption_changed || (!keep && old->vectors[1].data)))
        p->drop[AKIN_SPACE_CAPTION] = true;
    for (int i = 0; i < AKIN_SPACES; i++) {
        const akin_vector *v = &in->vectors[i], *o = &old->vectors[i];
        float norm = v->norm > 0 ? v->norm : 1.0f;
        p->set[i] = v->data &&
                    !(o->data && o->norm == norm &&
                      same_bytes(v->data, v->dim * 2u, o->data, o->dim * 2u));
        if (p->exists && !v->data && p->op->drop & 1u << i) p->drop[i] = true;
        /* A drop counts as a change only if there is something to drop. */
        p->drop[i] = p->drop[i] && (o->data || p->reader.collection.present[1]);
    }
}

/* ---- writing ------------------------------------------------------------- */

static akin_status store_row(putting *p, uint64_t *num, uint64_t seq,
                             akin_error *err)
{
    static const char insert[] =
        "INSERT INTO items(seq, attributes, changed, source, mtime, size,"
        " content_hash, pixel_hash, phashes, width, height, format,"
        " collection, id, created)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
        " ?14, ?3)";
    static const char update[] =
        "UPDATE items SET seq = ?1, attributes = ?2, changed = ?3, source = ?4,"
        " mtime = ?5, size = ?6, content_hash = ?7, pixel_hash = ?8,"
        " phashes = ?9, width = ?10, height = ?11, format = ?12"
        " WHERE num = ?13";
    const akin_item_data *d = &p->now;
    akin__conn *conn = p->w->conn;
    akin_span phashes = {d->phash_count ? d->phashes : NULL,
                         d->phash_count * sizeof(uint64_t)};
    akin_status rc = akin__run(
        conn, err, p->exists ? update : insert,
        p->exists ? "utitiihhbuutu" : "utitiihhbuutub", seq, d->attributes,
        p->w->now_ms, d->source, d->source_mtime_ns, d->source_size,
        d->content_hash, d->pixel_hash, phashes, (uint64_t)d->width,
        (uint64_t)d->height, d->format,
        p->exists ? p->old.num : (uint64_t)p->op->collection, p->op->item->id);
    if (rc) return rc;
    *num =
        p->exists ? p->old.num : (uint64_t)sqlite3_last_insert_rowid(conn->db);
    if (*num > AKIN_MAX_NUM)
        return akin_fail(err, AKIN_TOO_LARGE, "no item numbers are left");
    return AKIN_OK;
}

/* The first vector of a collection without a model sets it. */
static akin_status adopt_model(putting *p, akin_error *err)
{
    akin__collection *c = &p->reader.collection;
    const akin_vector *v = p->op->item->vectors;

    if (!v[0].data) v++;
    if (!v->data || (c->present[0] && c->dim[0])) return AKIN_OK;
    return akin__run(p->w->conn, err,
                     "UPDATE collections SET model = ?1, dim = ?2"
                     " WHERE collection = ?3",
                     "huu", v->model, (uint64_t)v->dim,
                     (uint64_t)c->collection);
}

static akin_status store_vectors(putting *p, uint64_t num, uint64_t seq,
                                 akin_error *err)
{
    akin__conn *conn = p->w->conn;
    akin_status rc = adopt_model(p, err);

    for (int i = 0; !rc && i < AKIN_SPACES; i++) {
        const akin_vector *v = &p->op->item->vectors[i];
        akin_space kind = (akin_space)i;
        if (p->exists && (p->set[i] || p->drop[i]))
            rc = akin__vectors_drop(conn, p->op->collection, kind, num, seq,
                                    p->set[i] ? v->model : NULL, err);
        if (!rc && p->set[i])
            rc = akin__vector_set(conn, p->op->collection, kind, num, seq, v,
                                  err);
    }
    return rc;
}

static akin_status store_tags(putting *p, uint64_t num, akin_error *err)
{
    akin_status rc = AKIN_OK;
    if (!p->reader.collection.fields || !p->attributes_changed) return AKIN_OK;
    if (p->exists)
        rc = akin__tags_remove(p->w->conn, p->op->collection, num,
                               p->old.attributes, err);
    return rc ? rc
              : akin__tags_add(p->w->conn, p->op->collection, num,
                               p->now.attributes, err);
}

static akin_status touch(akin__writing *w, uint32_t collection, uint64_t seq,
                         int64_t items, akin_error *err)
{
    return akin__run(w->conn, err,
                     "UPDATE collections SET seq = ?1, items = items + ?2"
                     " WHERE collection = ?3",
                     "uiu", seq, items, (uint64_t)collection);
}

static akin_status store(putting *p, akin_write_result *result, akin_error *err)
{
    uint64_t num = 0, seq = akin__next_seq(p->w);
    akin_status rc = store_row(p, &num, seq, err);

    if (!rc && p->caption_changed)
        rc = akin__caption_set(p->w->conn, p->op->collection,
                               p->reader.collection.captions, p->exists, num,
                               p->now.caption, err);
    if (!rc) rc = store_tags(p, num, err);
    if (!rc && p->op->item->sketch)
        rc = akin__sketch_set(p->w->conn, num, p->op->item->sketch, err);
    if (!rc) rc = store_vectors(p, num, seq, err);
    if (!rc) rc = touch(p->w, p->op->collection, seq, p->exists ? 0 : 1, err);
    result->num = num;
    result->seq = seq;
    result->outcome = p->exists ? AKIN_UPDATED : AKIN_CREATED;
    return rc;
}

akin_status akin__op_put(akin__writing *w, const akin_write *op,
                         akin_write_result *result, akin_error *err)
{
    putting p = {.w = w, .op = op};

    if (!op->item) return akin_fail(err, AKIN_INVALID, "put without an item");
    p.now = *op->item;
    akin_status rc = check_data(w->conn, op->item, err);
    if (!rc)
        rc = akin__item_reader_init(&p.reader, w->conn, op->collection,
                                    AKIN_WITH_VECTORS | AKIN_WITH_CAPTION, err);
    if (!rc) rc = check_vectors(&p, err);
    if (!rc) rc = load_old(&p, err);
    if (!rc) rc = plain_attributes(&p, err);
    if (rc) goto done;

    merge_all(&p);
    if (p.exists && !p.columns_changed && !p.attributes_changed &&
        !p.caption_changed && !p.set[0] && !p.set[1] && !p.drop[0] &&
        !p.drop[1]) {
        result->num = p.old.num;
        result->outcome = AKIN_UNCHANGED;
        goto done;
    }
    rc = store(&p, result, err);
done:
    akin_free(p.plain);
    akin_item_clear(&p.old);
    return rc;
}

akin_status akin__op_remove(akin__writing *w, const akin_write *op,
                            akin_write_result *result, akin_error *err)
{
    putting p = {.w = w, .op = op};

    if (!op->item) return akin_fail(err, AKIN_INVALID, "remove without an id");
    akin_status rc = check_id(op->item->id, err);
    if (!rc)
        rc = akin__item_reader_init(&p.reader, w->conn, op->collection, 0, err);
    akin_write update = *op; /* so that load_old fails when it is not there */
    update.flags = AKIN_PUT_UPDATE_ONLY;
    p.op = &update;
    if (!rc) rc = load_old(&p, err);
    if (rc) goto done;

    uint64_t seq = akin__next_seq(w), num = p.old.num;
    for (int i = 0; !rc && i < AKIN_SPACES; i++)
        rc = akin__vectors_drop(w->conn, op->collection, (akin_space)i, num,
                                seq, NULL, err);
    if (!rc && p.reader.collection.captions)
        rc = akin__caption_remove(w->conn, op->collection, num, err);
    if (!rc && p.reader.collection.fields)
        rc = akin__tags_remove(w->conn, op->collection, num, p.old.attributes,
                               err);
    if (!rc)
        rc = akin__run(w->conn, err, "DELETE FROM items WHERE num = ?1", "u",
                       num);
    if (!rc) rc = touch(w, op->collection, seq, -1, err);
    result->num = num;
    result->seq = seq;
    result->outcome = AKIN_UPDATED;
done:
    akin_item_clear(&p.old);
    return rc;
}

akin_status akin__op_vector(akin__writing *w, const akin_write *op,
                            akin_write_result *result, akin_error *err)
{
    akin__collection c;
    int64_t seq;
    bool found;

    if ((unsigned)op->space >= AKIN_SPACES || !op->vector.data)
        return akin_fail(err, AKIN_INVALID, "no vector, or no such space");
    akin_status rc = akin__check_vector(&op->vector, err);
    if (!rc) rc = akin__collection_row(w->conn, op->collection, &c, err);
    if (rc) return rc;
    int slot =
        c.present[1] && !memcmp(c.model[1], op->vector.model, AKIN_HASH_BYTES);
    if (!c.present[slot])
        return akin_fail(err, AKIN_WRONG_MODEL, "collection %u has no model",
                         c.collection);
    rc = check_model(&c, slot, &op->vector, err);
    if (!rc)
        rc = akin__one(w->conn, &seq, &found, err,
                       "SELECT seq FROM items WHERE num = ?1 AND"
                       " collection = ?2",
                       "uu", op->num, (uint64_t)op->collection);
    if (rc) return rc;
    if (!found)
        return akin_fail(err, AKIN_NOT_FOUND, "no item number %llu",
                         (unsigned long long)op->num);
    rc = check_seq(op, op->num, (uint64_t)seq, err);
    if (rc) return rc;
    result->num = op->num;
    result->seq = akin__next_seq(w);
    result->outcome = AKIN_UPDATED;
    rc = akin__vector_set(w->conn, op->collection, op->space, op->num,
                          result->seq, &op->vector, err);
    return rc ? rc : touch(w, op->collection, result->seq, 0, err);
}

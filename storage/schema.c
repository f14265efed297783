/* The tables, and how an older file becomes a newer one.
 *
 * Layout decisions:
 *   - A vector's key is (space << 40 | num), so that one space lies together in
 *     the file (a rebuild reads it front to back) and one item's vector is one
 *     lookup. A space is (collection, kind, model): two models never share one.
 *   - Vectors are rows of their own: a filter that reads all items does not
 *     drag them along. Pages of 8 KiB hold 7 vectors of 512 float16.
 *   - Captions live in a full text table per collection, captions_N, made with
 *     the first caption: ranks do not depend on other collections.
 *   - Counts are kept in rows, for count(*) reads a million rows. */
#include "internal.h"

const char *const akin__schema[] = {
    "CREATE TABLE counters("
    "  name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO counters VALUES('seq', 0);"

    /* name NULL: dropped, its rows being removed. other_*: the model before or
     * after the current one. */
    "CREATE TABLE collections("
    "  collection INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE,"
    "  settings TEXT NOT NULL, seq INTEGER NOT NULL,"
    "  trimmed INTEGER NOT NULL DEFAULT 0, items INTEGER NOT NULL DEFAULT 0,"
    "  captions INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL,"
    "  model BLOB, dim INTEGER NOT NULL DEFAULT 0, model_path TEXT,"
    "  other_model BLOB, other_dim INTEGER NOT NULL DEFAULT 0,"
    "  other_path TEXT);"

    /* collection NULL: dropped. */
    "CREATE TABLE spaces("
    "  space INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  collection INTEGER REFERENCES collections(collection),"
    "  kind INTEGER NOT NULL, model BLOB NOT NULL, dim INTEGER NOT NULL,"
    "  count INTEGER NOT NULL DEFAULT 0, UNIQUE(collection, kind, model));"

    "CREATE TABLE items("
    "  num INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  collection INTEGER NOT NULL REFERENCES collections(collection),"
    "  id BLOB NOT NULL, seq INTEGER NOT NULL, attributes TEXT,"
    "  created INTEGER NOT NULL, changed INTEGER NOT NULL,"
    "  source TEXT, mtime INTEGER, size INTEGER,"
    "  content_hash BLOB, pixel_hash BLOB, phashes BLOB,"
    "  width INTEGER NOT NULL DEFAULT 0, height INTEGER NOT NULL DEFAULT 0,"
    "  format TEXT);"
    "CREATE UNIQUE INDEX items_id ON items(collection, id);"
    "CREATE INDEX items_collection ON items(collection);"
    "CREATE INDEX items_content ON items(content_hash)"
    "  WHERE content_hash IS NOT NULL;"
    "CREATE INDEX items_pixels ON items(pixel_hash)"
    "  WHERE pixel_hash IS NOT NULL;"
    "CREATE INDEX items_source ON items(collection, source)"
    "  WHERE source IS NOT NULL;"

    "CREATE TABLE vectors("
    "  key INTEGER PRIMARY KEY, space INTEGER NOT NULL, seq INTEGER NOT NULL,"
    "  norm REAL NOT NULL, vector BLOB NOT NULL);"
    "CREATE INDEX vectors_seq ON vectors(space, seq);"

    "CREATE TABLE removals("
    "  space INTEGER NOT NULL, seq INTEGER NOT NULL, num INTEGER NOT NULL,"
    "  PRIMARY KEY(space, seq, num)) WITHOUT ROWID;"

    "CREATE TABLE fields("
    "  field INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  collection INTEGER NOT NULL REFERENCES collections(collection),"
    "  path TEXT NOT NULL, type TEXT NOT NULL, UNIQUE(collection, path));"
    "CREATE TABLE tags("
    "  field INTEGER NOT NULL, value NOT NULL, num INTEGER NOT NULL,"
    "  PRIMARY KEY(field, value, num)) WITHOUT ROWID;"

    "CREATE TABLE jobs("
    "  job INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
    "  collection INTEGER NOT NULL, state INTEGER NOT NULL,"
    "  parameters TEXT NOT NULL, progress TEXT NOT NULL,"
    "  message TEXT NOT NULL, errors INTEGER NOT NULL DEFAULT 0,"
    "  created INTEGER NOT NULL, changed INTEGER NOT NULL);"
    "CREATE INDEX jobs_running ON jobs(state) WHERE state = 0;"
    "CREATE TABLE job_errors("
    "  job INTEGER NOT NULL REFERENCES jobs(job), n INTEGER NOT NULL,"
    "  item BLOB NOT NULL, message TEXT NOT NULL,"
    "  PRIMARY KEY(job, n)) WITHOUT ROWID;",

    /* Duplicates. dupe_queue: items to be looked at; triggers fill it, so that
     * no way of storing or removing an item forgets it. Neighbours of what goes
     * are looked at again, for they may have been joined over it. Edges have
     * a < b. dismissed: "h" and the content hash, or "i" and the id; a <= b. */
    "CREATE TABLE dupe_queue("
    "  num INTEGER PRIMARY KEY, collection INTEGER NOT NULL);"
    "CREATE INDEX dupe_queue_collection ON dupe_queue(collection);"
    "CREATE TABLE sketches(num INTEGER PRIMARY KEY, sketch BLOB NOT NULL);"
    "CREATE TABLE dupe_edges("
    "  a INTEGER NOT NULL, b INTEGER NOT NULL, collection INTEGER NOT NULL,"
    "  level INTEGER NOT NULL, same INTEGER NOT NULL, distance INTEGER,"
    "  similarity REAL, cosine REAL, turn INTEGER NOT NULL,"
    "  PRIMARY KEY(a, b)) WITHOUT ROWID;"
    "CREATE INDEX dupe_edges_b ON dupe_edges(b);"
    "CREATE INDEX dupe_edges_first ON dupe_edges(collection, a, level);"
    "CREATE TABLE dupe_dismissed("
    "  collection INTEGER NOT NULL, a BLOB NOT NULL, b BLOB NOT NULL,"
    "  created INTEGER NOT NULL, PRIMARY KEY(collection, a, b)) WITHOUT ROWID;"
    "CREATE TRIGGER dupe_added AFTER INSERT ON items"
    " WHEN new.content_hash IS NOT NULL BEGIN"
    "  INSERT INTO dupe_queue VALUES(new.num, new.collection);"
    " END;"
    "CREATE TRIGGER dupe_changed AFTER UPDATE OF content_hash ON items"
    " WHEN old.content_hash IS NOT new.content_hash BEGIN"
    "  INSERT OR IGNORE INTO dupe_queue SELECT b, collection FROM dupe_edges"
    "   WHERE a = new.num;"
    "  INSERT OR IGNORE INTO dupe_queue SELECT a, collection FROM dupe_edges"
    "   WHERE b = new.num;"
    "  DELETE FROM dupe_edges WHERE a = new.num;"
    "  DELETE FROM dupe_edges WHERE b = new.num;"
    "  DELETE FROM sketches WHERE num = new.num;"
    "  DELETE FROM dupe_queue WHERE num = new.num;"
    "  INSERT INTO dupe_queue SELECT new.num, new.collection"
    "   WHERE new.content_hash IS NOT NULL;"
    " END;"
    "CREATE TRIGGER dupe_removed AFTER DELETE ON items"
    " WHEN old.content_hash IS NOT NULL BEGIN"
    "  INSERT OR IGNORE INTO dupe_queue SELECT b, collection FROM dupe_edges"
    "   WHERE a = old.num;"
    "  INSERT OR IGNORE INTO dupe_queue SELECT a, collection FROM dupe_edges"
    "   WHERE b = old.num;"
    "  DELETE FROM dupe_edges WHERE a = old.num;"
    "  DELETE FROM dupe_edges WHERE b = old.num;"
    "  DELETE FROM sketches WHERE num = old.num;"
    "  DELETE FROM dupe_queue WHERE num = old.num;"
    " END;"
    "CREATE TRIGGER dupe_dropped AFTER DELETE ON collections BEGIN"
    "  DELETE FROM dupe_dismissed WHERE collection = old.collection;"
    " END;"
    "INSERT INTO dupe_queue SELECT num, collection FROM items"
    " WHERE content_hash IS NOT NULL;",

    "CREATE TABLE aliases("
    "  alias TEXT PRIMARY KEY, collection INTEGER NOT NULL"
    "  REFERENCES collections(collection)) WITHOUT ROWID;",

    "CREATE TABLE audit("
    "  n INTEGER PRIMARY KEY AUTOINCREMENT, first INTEGER NOT NULL,"
    "  last INTEGER NOT NULL, times INTEGER NOT NULL, who TEXT NOT NULL,"
    "  what TEXT NOT NULL, detail TEXT NOT NULL);",

    "DROP INDEX IF EXISTS items_source;", /* which no question used */
};
const uint32_t akin__schema_steps = sizeof akin__schema / sizeof *akin__schema;

const char *const akin__thumbs_schema[] = {
    "CREATE TABLE thumbs(num INTEGER PRIMARY KEY, picture BLOB NOT NULL);",
};
const uint32_t akin__thumbs_schema_steps =
    sizeof akin__thumbs_schema / sizeof *akin__thumbs_schema;

/* An empty file has neither id nor tables; any other without our id is not
 * ours to write into. */
static akin_status check_owner(akin__conn *conn, const char *path,
                               akin_error *err)
{
    int64_t id, tables;
    akin_status rc;

    rc = akin__one(conn, &id, NULL, err, "PRAGMA application_id", "");
    if (!rc)
        rc = akin__one(conn, &tables, NULL, err,
                       "SELECT count(*) FROM sqlite_schema", "");
    if (rc) return akin_fail_prefix(err, rc, "%s", path);
    if (id != AKIN__APPLICATION_ID && (id != 0 || tables != 0))
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "%s is a database of another program "
                         "(application id %lld, expected %d)",
                         path, (long long)id, AKIN__APPLICATION_ID);
    return AKIN_OK;
}

static akin_status climb(akin__conn *conn, const char *const *schema,
                         uint32_t from, uint32_t to, akin_error *err)
{
    char text[100];
    akin_status rc = akin__exec(conn, "BEGIN IMMEDIATE", err);

    for (uint32_t i = from; !rc && i < to; i++)
        rc = akin__exec(conn, schema[i], err);
    sqlite3_snprintf((int)sizeof text, text,
                     "PRAGMA application_id = %d; PRAGMA user_version = %u;",
                     AKIN__APPLICATION_ID, to);
    if (!rc) rc = akin__exec(conn, text, err);
    if (!rc) rc = akin__exec(conn, "COMMIT", err);
    if (rc) sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

akin_status akin__migrate(akin__conn *conn, const char *const *schema,
                          uint32_t steps, const char *path, bool read_only,
                          akin_error *err)
{
    int64_t version;
    akin_status rc = check_owner(conn, path, err);

    if (!rc)
        rc = akin__one(conn, &version, NULL, err, "PRAGMA user_version", "");
    if (rc) return rc;
    if (version < 0 || version > steps)
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "%s is of a newer akin: its schema has version %lld, "
                         "this program reads up to %u",
                         path, (long long)version, steps);
    if (version == steps) return AKIN_OK;
    if (read_only)
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "%s has schema version %lld, expected %u; open it "
                         "for writing once",
                         path, (long long)version, steps);
    rc = climb(conn, schema, (uint32_t)version, steps, err);
    return rc ? akin_fail_prefix(err, rc, "%s: to schema version %u", path,
                                 steps)
              : AKIN_OK;
}

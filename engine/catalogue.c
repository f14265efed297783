/* Catalogues: CSV and TSV (RFC 4180: quotes, doubled quotes, line ends inside
 * quotes), JSONL. Read row by row from a stream, so their size does not matter.
 *
 * Columns: id; image (picture, file, path, filename, image_path); the first of
 * caption, title, text that is there; vector (JSONL: a list of numbers; looked at
 * where there is no image); all others become attributes. In CSV a cell that is written like a JSON number,
 * true or false becomes one; an empty cell is absent; 007 stays text. */
#include "internal.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_COLUMNS   1024
#define MAX_ROW_BYTES (4u << 20)

typedef enum { ID, IMAGE, CAPTION, VECTOR, ATTRIBUTE } role;

struct akin__catalogue {
    FILE *file;
    char separator; /* 0: JSONL */
    uint64_t line;
    akin_buf row;               /* CSV: cells, each with its NUL */
    size_t starts[MAX_COLUMNS]; /* of cells in row */
    size_t cells;
    char *names[MAX_COLUMNS];
    role roles[MAX_COLUMNS];
    size_t columns;
};

static const char *extension(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : "";
}

bool akin__is_catalogue(const char *path)
{
    const char *e = extension(path);
    return !strcasecmp(e, "csv") || !strcasecmp(e, "tsv") ||
           !strcasecmp(e, "jsonl") || !strcasecmp(e, "ndjson");
}

/* Which of `words` the name is; -1: none. */
static int word_of(const char *name, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (!strcasecmp(name, words[i])) return i;
    return -1;
}

static const char *const image_words[] = {
    "image", "picture", "file", "image_path", "filename", "path", NULL};
static const char *const caption_words[] = {"caption", "title", "text", NULL};

/* ---- CSV --------------------------------------------------------------------------- */

static akin_status row_fail(const akin__catalogue *c, akin_error *err,
                            const char *reason)
{
    return akin_fail(err, AKIN_BAD_DATA, "line %llu: %s",
                     (unsigned long long)c->line, reason);
}

/* Passes over what is left of a row that is too large. */
static void skip_line(akin__catalogue *c)
{
    for (int ch; (ch = getc(c->file)) != EOF && ch != '\n';)
        ;
}

/* Reads one row into c->row. AKIN_NOT_FOUND: the end. */
static akin_status read_cells(akin__catalogue *c, akin_error *err)
{
    bool quoted = false, was_quoted = false, any = false;
    c->row.size = 0;
    c->row.limit = MAX_ROW_BYTES;
    c->row.failed = false;
    c->cells = 1;
    c->starts[0] = 0;
    c->line++;
    for (;;) {
        int ch = getc(c->file);
        if (ch == EOF) {
            if (!any) return AKIN_NOT_FOUND;
            if (quoted) return row_fail(c, err, "a quote has no end");
            break;
        }
        any = true;
        if (quoted) {
            if (ch == '\n') c->line++;
            if (ch == '"') {
                int next = getc(c->file);
                if (next != '"') {
                    quoted = false;
                    ungetc(next, c->file);
                    continue;
                }
            }
        } else if (ch == '\n') {
            break;
        } else if (ch == '\r') {
            continue;
        } else if (ch == '"' && !was_quoted &&
                   c->row.size == c->starts[c->cells - 1]) {
            quoted = was_quoted = true;
            continue;
        } else if (ch == c->separator) {
            if (c->cells == MAX_COLUMNS) {
                skip_line(c);
                return row_fail(c, err, "too many columns");
            }
            akin_buf_append(&c->row, "", 1);
            c->starts[c->cells++] = c->row.size;
            was_quoted = false;
            continue;
        }
        char byte = (char)ch;
        akin_buf_append(&c->row, &byte, 1);
        if (c->row.failed) {
            skip_line(c);
            return row_fail(c, err, "the row is too long");
        }
    }
    akin_buf_append(&c->row, "", 1);
    return c->row.failed ? row_fail(c, err, "the row is too long") : AKIN_OK;
}

static const char *cell(const akin__catalogue *c, size_t i)
{
    return (const char *)c->row.data + c->starts[i];
}

static void give_roles(akin__catalogue *c)
{
    size_t caption = SIZE_MAX, image = SIZE_MAX;
    int caption_rank = INT32_MAX, image_rank = INT32_MAX;

    for (size_t i = 0; i < c->columns; i++) {
        int rank = word_of(c->names[i], caption_words);
        c->roles[i] = strcasecmp(c->names[i], "id") ? ATTRIBUTE : ID;
        if (rank >= 0 && rank < caption_rank) {
            caption = i;
            caption_rank = rank;
        }
        rank = word_of(c->names[i], image_words);
        if (rank >= 0 && rank < image_rank) {
            image = i;
            image_rank = rank;
        }
    }
    if (caption != SIZE_MAX) c->roles[caption] = CAPTION;
    if (image != SIZE_MAX) c->roles[image] = IMAGE;
}

static akin_status read_header(akin__catalogue *c, akin_error *err)
{
    akin_status rc = read_cells(c, err);
    if (rc == AKIN_NOT_FOUND)
        return akin_fail(err, AKIN_BAD_DATA, "the file is empty");
    for (size_t i = 0; i < c->cells && !rc; i++) {
        const char *name = cell(c, i);
        if (!i && !strncmp(name, "\xef\xbb\xbf", 3)) name += 3; /* BOM */
        c->names[i] = akin_strdup(name);
        if (!c->names[i]) return akin__nomem(err);
        c->columns++;
    }
    if (!rc) give_roles(c);
    return rc;
}

/* A cell as JSON: numbers and booleans as such. */
static json_t *typed(const char *text)
{
    json_t *value = NULL;
    if (!strcasecmp(text, "true")) return json_true();
    if (!strcasecmp(text, "false")) return json_false();
    if (strchr("-0123456789", *text))
        value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (json_is_number(value)) return value;
    json_decref(value);
    return json_string(text);
}

/* ---- a row's memory -------------------------------------------------------------------- */

/* Copies the parts into one block. */
static akin_status fill_row(akin__row *row, const char *id, const char *image,
                            const char *caption, const char *attributes,
                            const json_t *vector, akin_error *err)
{
    const char *texts[] = {id, image, caption, attributes};
    akin_span *spans[] = {&row->id, &row->image, &row->caption,
                          &row->attributes};
    size_t n = json_array_size(vector), bytes = n * sizeof(float);

    for (int i = 0; i < 4; i++)
        bytes += texts[i] ? strlen(texts[i]) + 1 : 0;
    row->memory = akin_alloc(bytes);
    if (!row->memory) return akin__nomem(err);
    if (n) row->vector = (float *)(void *)row->memory;
    row->dim = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(vector, i);
        row->vector[i] = json_is_number(x) ? (float)json_number_value(x) : NAN;
    }
    char *at = row->memory + n * sizeof(float);
    for (int i = 0; i < 4; i++) {
        if (!texts[i]) continue;
        size_t size = strlen(texts[i]);
        memcpy(at, texts[i], size + 1);
        *spans[i] = (akin_span){at, size};
        at += size + 1;
    }
    return AKIN_OK;
}

static akin_status finish_row(akin__row *row, const char *id, const char *image,
                              const char *caption, json_t *attributes,
                              const json_t *vector, akin_error *err)
{
    bool any = json_object_size(attributes) > 0;
    char *text = any ? json_dumps(attributes, JSON_COMPACT) : NULL;
    if (!id) id = image; /* a catalogue of files alone */
    akin_status rc = text || !any
                         ? fill_row(row, id, image, caption, text, vector, err)
                         : akin__nomem(err);
    free(text);
    return rc;
}

static akin_status next_csv(akin__catalogue *c, akin__row *row, akin_error *err)
{
    const char *parts[ATTRIBUTE] = {0};
    akin_status rc;

    do {
        rc = read_cells(c, err);
        row->line = c->line;
        if (rc) return rc;
    } while (c->cells == 1 && !*cell(c, 0)); /* empty lines */
    if (c->cells > c->columns)
        return row_fail(c, err, "more cells than the header has");

    json_t *attributes = json_object();
    if (!attributes) return akin__nomem(err);
    for (size_t i = 0; i < c->cells && !rc; i++) {
        const char *text = cell(c, i);
        if (!*text) continue;
        if (c->roles[i] != ATTRIBUTE)
            parts[c->roles[i]] = text;
        else if (json_object_set_new(attributes, c->names[i], typed(text)))
            rc = row_fail(c, err, "a cell is not UTF-8");
    }
    if (!rc)
        rc = finish_row(row, parts[ID], parts[IMAGE], parts[CAPTION],
                        attributes, NULL, err);
    json_decref(attributes);
    return rc;
}

/* ---- JSONL -------------------------------------------------------------------------------- */

/* One line without its end, in c->row. */
static akin_status read_line(akin__catalogue *c, akin_error *err)
{
    c->row.size = 0;
    c->row.limit = MAX_ROW_BYTES;
    c->row.failed = false;
    c->line++;
    for (int ch; (ch = getc(c->file)) != '\n';) {
        if (ch == EOF) return c->row.size ? AKIN_OK : AKIN_NOT_FOUND;
        char byte = (char)ch;
        akin_buf_append(&c->row, &byte, 1);
        if (c->row.failed) {
            skip_line(c);
            return row_fail(c, err, "the row is too long");
        }
    }
    return AKIN_OK;
}

/* Takes the first of the words that is a text out of the object; held by the
 * caller. */
static json_t *take_text(json_t *object, const char *const *words)
{
    for (int i = 0; words[i]; i++) {
        json_t *value = json_object_get(object, words[i]);
        if (!json_is_string(value)) continue;
        json_incref(value);
        json_object_del(object, words[i]);
        return value;
    }
    return NULL;
}

/* An id may be written as a number. */
static json_t *take_id(json_t *object)
{
    json_t *value = json_object_get(object, "id");
    char digits[32];
    if (json_is_string(value)) {
        json_incref(value);
    } else if (json_is_integer(value)) {
        snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT,
                 json_integer_value(value));
        value = json_string(digits);
    } else {
        return NULL;
    }
    json_object_del(object, "id");
    return value;
}

static akin_status next_json(akin__catalogue *c, akin__row *row,
                             akin_error *err)
{
    json_error_t error;
    akin_status rc;

    do {
        rc = read_line(c, err);
        row->line = c->line;
        if (rc) return rc;
    } while (!c->row.size || (c->row.size == 1 && c->row.data[0] == '\r'));
    json_t *object =
        json_loadb((const char *)c->row.data, c->row.size, 0, &error);
    if (!json_is_object(object)) {
        rc = row_fail(c, err, object ? "expected a JSON object" : error.text);
        json_decref(object);
        return rc;
    }
    json_t *id = take_id(object);
    json_t *image = take_text(object, image_words);
    json_t *caption = take_text(object, caption_words);
    json_t *vector = json_incref(json_object_get(object, "vector"));
    if (json_is_array(vector)) json_object_del(object, "vector");
    rc = finish_row(row, json_string_value(id), json_string_value(image),
                    json_string_value(caption), object, vector, err);
    json_decref(id);
    json_decref(image);
    json_decref(caption);
    json_decref(vector);
    json_decref(object);
    return rc;
}

/* ---- the whole file ------------------------------------------------------------------------- */

akin_status akin__catalogue_open(const char *path, akin__catalogue **out,
                                 akin_error *err)
{
    akin__catalogue *c = akin_calloc(1, sizeof *c);
    akin_status rc = AKIN_OK;
    if (!c) return akin__nomem(err);
    c->file = fopen(path, "rbe");
    if (!c->file) {
        int e = errno;
        akin_free(c);
        return akin_fail_errno(err, e, "cannot open %s", path);
    }
    if (!strcasecmp(extension(path), "csv")) c->separator = ',';
    if (!strcasecmp(extension(path), "tsv")) c->separator = '\t';
    if (c->separator) rc = read_header(c, err);
    if (rc) {
        akin__catalogue_close(c);
        return akin_fail_prefix(err, rc, "%s", path);
    }
    *out = c;
    return AKIN_OK;
}

void akin__catalogue_close(akin__catalogue *c)
{
    if (!c) return;
    fclose(c->file);
    for (size_t i = 0; i < c->columns; i++)
        akin_free(c->names[i]);
    akin_buf_clear(&c->row);
    akin_free(c);
}

akin_status akin__catalogue_next(akin__catalogue *c, akin__row *row,
                                 akin_error *err)
{
    memset(row, 0, sizeof *row);
    return c->separator ? next_csv(c, row, err) : next_json(c, row, err);
}

/* CLIP's tokenizer, id for id what transformers' CLIPTokenizer gives (the steps
 * are those of the reference's README): cut the raw text at special tokens; in
 * the rest NFC, white space, lower case; pieces; bytes; merges; BOS and EOS.
 * Files: tokenizer.json, else vocab.json + merges.txt; tokenizer_config.json
 * only tells where a special token is searched. */
#include "internal.h"

#include <jansson.h>
#include <string.h>

#define FILE_LIMIT  (64u << 20)
#define MAX_ADDED   64u
#define MAX_ID      (1 << 24)
#define BOS_CONTENT "<|startoftext|>"
#define EOS_CONTENT "<|endoftext|>"

typedef struct {
    char *text;
    size_t size;
    int32_t id;
    bool normalized; /* searched after lower-casing, not in the raw text */
} added_token;

struct akin__tokenizer {
    akin__bpe *bpe;
    added_token added[MAX_ADDED];
    size_t added_count;
    int32_t bos, eos, max_id;
};

/* ---- files ----------------------------------------------------------------- */

static akin_status load_json(const char *path, json_t **out, akin_error *err)
{
    uint8_t *text = NULL;
    size_t size = 0;
    json_error_t bad;
    akin_status rc = akin_file_read(path, FILE_LIMIT, &text, &size, err);

    *out = NULL;
    if (rc) return rc;
    *out = json_loadb((const char *)text, size, JSON_REJECT_DUPLICATES, &bad);
    if (!json_is_object(*out)) {
        rc = akin_fail(err, AKIN_CORRUPT, "%s: line %d: %s", path, bad.line,
                       *out ? "not an object" : bad.text);
        json_decref(*out);
        *out = NULL;
    }
    akin_free(text);
    return rc;
}

static akin_status add_vocab(akin__tokenizer *t, const json_t *vocab,
                             akin_error *err)
{
    const char *token;
    json_t *value;
    akin_status rc;

    if (!json_is_object(vocab))
        return akin_fail(err, AKIN_CORRUPT, "no vocabulary");
    json_object_foreach((json_t *)vocab, token, value)
    {
        json_int_t id = json_integer_value(value);

        if (!json_is_integer(value) || id < 0 || id > MAX_ID)
            return akin_fail(err, AKIN_CORRUPT, "token %.40s: not a valid id",
                             token);
        rc = akin__bpe_add_token(t->bpe, token, (int32_t)id, err);
        if (rc) return rc;
        if (id > t->max_id) t->max_id = (int32_t)id;
    }
    return AKIN_OK;
}

static akin_status add_pair(akin__tokenizer *t, const char *text, size_t size,
                            akin_error *err)
{
    const char *space = memchr(text, ' ', size);
    size_t left = space ? (size_t)(space - text) : 0;

    if (!space || memchr(space + 1, ' ', size - left - 1))
        return akin_fail(err, AKIN_CORRUPT, "merge %.*s: not two parts",
                         (int)(size < 60 ? size : 60), text);
    return akin__bpe_add_merge(t->bpe, (akin_span){text, left},
                               (akin_span){space + 1, size - left - 1}, err);
}

/* Each merge is "a b" in older files and ["a", "b"] in newer ones. */
static akin_status add_merges(akin__tokenizer *t, const json_t *merges,
                              akin_error *err)
{
    if (!json_is_array(merges))
        return akin_fail(err, AKIN_CORRUPT, "no merges");
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const json_t *item = json_array_get(merges, i);
        const json_t *a = json_array_get(item, 0), *b = json_array_get(item, 1);
        akin_status rc;

        if (json_is_string(item))
            rc = add_pair(t, json_string_value(item), json_string_length(item),
                          err);
        else if (json_array_size(item) == 2 && json_is_string(a) &&
                 json_is_string(b))
            rc = akin__bpe_add_merge(
                t->bpe,
                (akin_span){json_string_value(a), json_string_length(a)},
                (akin_span){json_string_value(b), json_string_length(b)}, err);
        else
            rc = akin_fail(err, AKIN_CORRUPT, "merge %zu: not two strings", i);
        if (rc) return rc;
    }
    return AKIN_OK;
}

static akin_status add_special(akin__tokenizer *t, const char *text, int32_t id,
                               bool normalized, akin_error *err)
{
    added_token *a = &t->added[t->added_count];

    if (t->added_count == MAX_ADDED)
        return akin_fail(err, AKIN_UNSUPPORTED, "more than %u added tokens",
                         MAX_ADDED);
    *a = (added_token){akin_strdup(text), strlen(text), id, normalized};
    if (!a->text) return akin_fail(err, AKIN_NOMEM, "out of memory");
    t->added_count++;
    if (id > t->max_id) t->max_id = id;
    return AKIN_OK;
}

static akin_status read_added(akin__tokenizer *t, const json_t *list,
                              akin_error *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *text = json_string_value(json_object_get(item, "content"));
        const json_t *number = json_object_get(item, "id");
        json_int_t id = json_integer_value(number);
        akin_status rc;

        if (!text || !*text || !json_is_integer(number) || id < 0 ||
            id > MAX_ID)
            return akin_fail(err, AKIN_CORRUPT, "added token %zu is malformed",
                             i);
        if (json_is_true(json_object_get(item, "lstrip")) ||
            json_is_true(json_object_get(item, "rstrip")) ||
            json_is_true(json_object_get(item, "single_word")))
            return akin_fail(err, AKIN_UNSUPPORTED,
                             "added token %.40s: lstrip, rstrip and "
                             "single_word are not supported",
                             text);
        rc =
            add_special(t, text, (int32_t)id,
                        json_is_true(json_object_get(item, "normalized")), err);
        if (rc) return rc;
    }
    return AKIN_OK;
}

static akin_status read_tokenizer_json(akin__tokenizer *t, const json_t *root,
                                       akin_error *err)
{
    const json_t *model = json_object_get(root, "model");
    const char *type = json_string_value(json_object_get(model, "type"));
    const char *suffix =
        json_string_value(json_object_get(model, "end_of_word_suffix"));
    akin_status rc;

    if ((type && strcmp(type, "BPE") != 0) || !suffix ||
        strcmp(suffix, "</w>") != 0)
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "not CLIP's kind of tokenizer (BPE with </w>)");
    rc = add_vocab(t, json_object_get(model, "vocab"), err);
    if (!rc) rc = add_merges(t, json_object_get(model, "merges"), err);
    if (!rc) rc = read_added(t, json_object_get(root, "added_tokens"), err);
    return rc;
}

/* merges.txt: a line "#version: ..." first, then one merge a line. */
static akin_status read_merges_txt(akin__tokenizer *t, const char *path,
                                   akin_error *err)
{
    uint8_t *text = NULL;
    size_t size = 0, at = 0, line = 0;
    akin_status rc = akin_file_read(path, FILE_LIMIT, &text, &size, err);

    while (!rc && at < size) {
        const char *start = (const char *)text + at;
        const char *end = memchr(start, '\n', size - at);
        size_t length = end ? (size_t)(end - start) : size - at;

        at += length + 1;
        if (length > 0 && start[length - 1] == '\r') length--;
        if (length > 0 && !(line == 0 && memcmp(start, "#", 1) == 0))
            rc = add_pair(t, start, length, err);
        line++;
    }
    if (rc && rc != AKIN_NOT_FOUND) akin_fail_prefix(err, rc, "%s", path);
    akin_free(text);
    return rc;
}

/* "normalized" of a special token in tokenizer_config.json, false if unsaid. */
static bool config_normalized(const json_t *config, const char *content)
{
    const json_t *table = json_object_get(config, "added_tokens_decoder");
    const char *key;
    json_t *item;

    json_object_foreach((json_t *)table, key, item)
    {
        const char *text = json_string_value(json_object_get(item, "content"));

        if (text && strcmp(text, content) == 0)
            return json_is_true(json_object_get(item, "normalized"));
    }
    return false;
}

static akin_status add_default_specials(akin__tokenizer *t, const char *dir,
                                        akin_error *err)
{
    static const char *const contents[] = {BOS_CONTENT, EOS_CONTENT};
    char *path = akin_format("%s/tokenizer_config.json", dir);
    json_t *config = NULL;
    akin_status rc;

    if (!path) return akin_fail(err, AKIN_NOMEM, "out of memory");
    rc = load_json(path, &config, err);
    if (rc == AKIN_NOT_FOUND) rc = AKIN_OK;
    for (size_t i = 0; i < 2 && !rc; i++) {
        int32_t id = akin__bpe_find(t->bpe, akin_span_of(contents[i]));

        if (id >= 0)
            rc = add_special(t, contents[i], id,
                             config_normalized(config, contents[i]), err);
    }
    json_decref(config);
    akin_free(path);
    return rc;
}

static akin_status read_vocab_and_merges(akin__tokenizer *t, const char *dir,
                                         akin_error *err)
{
    char *vocab_path = akin_format("%s/vocab.json", dir);
    char *merges_path = akin_format("%s/merges.txt", dir);
    json_t *vocab = NULL;
    akin_status rc;

    if (!vocab_path || !merges_path) {
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
        goto done;
    }
    rc = load_json(vocab_path, &vocab, err);
    if (rc) goto done;
    rc = add_vocab(t, vocab, err);
    if (rc) {
        akin_fail_prefix(err, rc, "%s", vocab_path);
        goto done;
    }
    rc = read_merges_txt(t, merges_path, err);
    if (rc == AKIN_NOT_FOUND)
        rc = akin_fail(err, AKIN_CORRUPT, "%s: missing beside vocab.json",
                       merges_path);
    if (!rc) rc = add_default_specials(t, dir, err);
done:
    json_decref(vocab);
    akin_free(vocab_path);
    akin_free(merges_path);
    return rc;
}

/* Ids of BOS and EOS, by their spelling. */
static akin_status find_ends(akin__tokenizer *t, akin_error *err)
{
    t->bos = akin__bpe_find(t->bpe, akin_span_of(BOS_CONTENT));
    t->eos = akin__bpe_find(t->bpe, akin_span_of(EOS_CONTENT));
    for (size_t i = 0; i < t->added_count; i++) {
        if (strcmp(t->added[i].text, BOS_CONTENT) == 0) t->bos = t->added[i].id;
        if (strcmp(t->added[i].text, EOS_CONTENT) == 0) t->eos = t->added[i].id;
    }
    if (t->bos < 0 || t->eos < 0)
        return akin_fail(err, AKIN_CORRUPT, "no token %s",
                         t->bos < 0 ? BOS_CONTENT : EOS_CONTENT);
    return akin__bpe_finish(t->bpe, t->eos, err);
}

akin_status akin__tokenizer_open(const char *dir, akin__tokenizer **out,
                                 akin_error *err)
{
    akin__tokenizer *t = akin_calloc(1, sizeof *t);
    char *path = akin_format("%s/tokenizer.json", dir);
    json_t *root = NULL;
    akin_status rc;

    *out = NULL;
    if (!t || !path) {
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
        goto done;
    }
    rc = akin__bpe_open(&t->bpe, err);
    if (rc) goto done;
    rc = load_json(path, &root, err);
    if (rc == AKIN_NOT_FOUND) {
        rc = read_vocab_and_merges(t, dir, err);
        if (rc == AKIN_NOT_FOUND) { /* no tokenizer at all: not an error */
            rc = AKIN_OK;
            goto done;
        }
    } else if (!rc) {
        rc = read_tokenizer_json(t, root, err);
        if (rc) akin_fail_prefix(err, rc, "%s", path);
    }
    if (!rc) {
        rc = find_ends(t, err);
        if (rc) akin_fail_prefix(err, rc, "tokenizer in %s", dir);
    }
    if (!rc) {
        *out = t;
        t = NULL;
    }
done:
    json_decref(root);
    akin_free(path);
    akin__tokenizer_close(t);
    return rc;
}

void akin__tokenizer_close(akin__tokenizer *tokenizer)
{
    if (!tokenizer) return;
    for (size_t i = 0; i < tokenizer->added_count; i++)
        akin_free(tokenizer->added[i].text);
    akin__bpe_close(tokenizer->bpe);
    akin_free(tokenizer);
}

int32_t akin__tokenizer_max_id(const akin__tokenizer *tokenizer)
{
    return tokenizer->max_id;
}

/* ---- encoding --------------------------------------------------------------- */

typedef struct {
    const akin__tokenizer *t;
    akin_buf *ids;
    size_t enough; /* bytes of ids after which nothing more is needed */
    akin_error *err;
} encoding;

static bool is_enough(const encoding *e)
{
    return e->ids->size >= e->enough;
}

static void put_utf8(akin_buf *out, int32_t c)
{
    uint8_t b[4];
    size_t n = 0;

    if (c < 0x80) {
        b[n++] = (uint8_t)c;
    } else if (c < 0x800) {
        b[n++] = (uint8_t)(0xc0 | c >> 6);
        b[n++] = (uint8_t)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        b[n++] = (uint8_t)(0xe0 | c >> 12);
        b[n++] = (uint8_t)(0x80 | (c >> 6 & 63));
        b[n++] = (uint8_t)(0x80 | (c & 63));
    } else {
        b[n++] = (uint8_t)(0xf0 | c >> 18);
        b[n++] = (uint8_t)(0x80 | (c >> 12 & 63));
        b[n++] = (uint8_t)(0x80 | (c >> 6 & 63));
        b[n++] = (uint8_t)(0x80 | (c & 63));
    }
    akin_buf_append(out, b, n);
}

/* Length of the piece that starts at c[0], which is not white space:
 *   's|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+ */
static size_t piece_length(const int32_t *c, size_t n)
{
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    akin__class class = akin__char_class(c[0]);
    size_t length = 1;

    for (size_t i = 0; c[0] == '\'' && i < 7; i++) {
        size_t size = strlen(endings[i]);

        if (size < n && c[1] == endings[i][0] &&
            (size == 1 || c[2] == endings[i][1]))
            return size + 1;
    }
    if (class == AKIN__NUMBER) return 1;
    while (length < n && akin__char_class(c[length]) == class)
        length++;
    return length;
}

/* Normalised characters without special tokens. */
static akin_status encode_plain(encoding *e, const int32_t *c, size_t n)
{
    akin_buf word = {0};
    akin_status rc = AKIN_OK;
    size_t i = 0;

    while (i < n && !rc && !is_enough(e)) {
        size_t length;

        if (c[i] == ' ') {
            i++;
            continue;
        }
        length = piece_length(c + i, n - i);
        word.size = 0;
        for (size_t k = 0; k < length; k++)
            put_utf8(&word, c[i + k]);
        if (word.failed)
            rc = akin_fail(e->err, AKIN_NOMEM, "out of memory");
        else
            rc = akin__bpe_encode(e->t->bpe, (akin_span){word.data, word.size},
                                  e->ids, e->err);
        i += length;
    }
    akin_buf_clear(&word);
    return rc;
}

/* The added token at text[0], raw or normalised; the longest if several. */
static const added_token *special_at(const akin__tokenizer *t,
                                     const uint8_t *text, size_t size)
{
    const added_token *best = NULL;

    for (size_t i = 0; i < t->added_count; i++) {
        const added_token *a = &t->added[i];

        if (!a->normalized && a->size <= size &&
            (!best || a->size > best->size) &&
            memcmp(text, a->text, a->size) == 0)
            best = a;
    }
    return best;
}

static const added_token *normal_special_at(const akin__tokenizer *t,
                                            const int32_t *c, size_t n)
{
    const added_token *best = NULL;

    for (size_t i = 0; i < t->added_count; i++) {
        const added_token *a = &t->added[i];
        size_t k = 0;

        if (!a->normalized || a->size > n || (best && best->size >= a->size))
            continue;
        while (k < a->size && c[k] == (uint8_t)a->text[k])
            k++;
        if (k == a->size) best = a;
    }
    return best;
}

/* Raw text without the special tokens that are searched in raw text. */
static akin_status encode_segment(encoding *e, akin_span text)
{
    akin_buf normal = {0};
    const int32_t *c;
    size_t n, start = 0;
    akin_status rc = akin__normalize_text(text, &normal, e->err);

    c = (const int32_t *)(const void *)normal.data;
    n = normal.size / sizeof *c;
    for (size_t i = 0; i < n && !rc; i++) {
        const added_token *a = normal_special_at(e->t, c + i, n - i);

        if (!a) continue;
        rc = encode_plain(e, c + start, i - start);
        akin_buf_append(e->ids, &a->id, sizeof a->id);
        start = i + a->size;
        i = start - 1;
    }
    if (!rc && start < n) rc = encode_plain(e, c + start, n - start);
    akin_buf_clear(&normal);
    return rc;
}

akin_status akin__tokenizer_encode(const akin__tokenizer *tokenizer,
                                   akin_span text, uint32_t limit,
                                   akin_buf *ids, akin_error *err)
{
    const uint8_t *p = text.data;
    encoding e = {tokenizer, ids, limit * sizeof(int32_t), err};
    size_t start = 0;
    akin_status rc = AKIN_OK;

    ids->size = 0;
    akin_buf_append(ids, &tokenizer->bos, sizeof tokenizer->bos);
    for (size_t i = 0; i < text.size && !rc && !is_enough(&e); i++) {
        const added_token *a = special_at(tokenizer, p + i, text.size - i);

        if (!a) continue;
        rc = encode_segment(&e, (akin_span){p + start, i - start});
        akin_buf_append(ids, &a->id, sizeof a->id);
        start = i + a->size;
        i = start - 1;
    }
    if (!rc && start < text.size && !is_enough(&e))
        rc = encode_segment(&e, (akin_span){p + start, text.size - start});
    if (rc) return rc;
    if (ids->size > (limit - 1) * sizeof(int32_t))
        ids->size = (limit - 1) * sizeof(int32_t);
    akin_buf_append(ids, &tokenizer->eos, sizeof tokenizer->eos);
    return ids->failed ? akin_fail(err, AKIN_NOMEM, "out of memory") : AKIN_OK;
}

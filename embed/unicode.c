/* What the tokenizer needs of Unicode: NFC, lower case one character at a time,
 * and the classes letter, number, white space. utf8proc has the tables, but
 * Debian's (2.8, Unicode 15) lag behind those of the tokenizers that models are
 * used with (Unicode 16 classes, some lower case of 17). The two short tables
 * below hold what is missing; they were made by comparing utf8proc with every
 * line of the reference's tokens/codepoints.tsv, and test_tokenizer compares
 * them again. A newer utf8proc gives the same answers. */
#include "internal.h"

#include <string.h>
#include <utf8proc.h>

static const struct {
    int32_t first, last;
    akin__class class;
} newer_classes[] = {
    {0x1c89, 0x1c8a, AKIN__LETTER},   {0xa7cb, 0xa7cd, AKIN__LETTER},
    {0xa7da, 0xa7dc, AKIN__LETTER},   {0x105c0, 0x105f3, AKIN__LETTER},
    {0x10d40, 0x10d49, AKIN__NUMBER}, {0x10d4a, 0x10d65, AKIN__LETTER},
    {0x10d6f, 0x10d85, AKIN__LETTER}, {0x10ec2, 0x10ec4, AKIN__LETTER},
    {0x11380, 0x11389, AKIN__LETTER}, {0x1138b, 0x1138b, AKIN__LETTER},
    {0x1138e, 0x1138e, AKIN__LETTER}, {0x11390, 0x113b5, AKIN__LETTER},
    {0x113b7, 0x113b7, AKIN__LETTER}, {0x113d1, 0x113d1, AKIN__LETTER},
    {0x113d3, 0x113d3, AKIN__LETTER}, {0x116d0, 0x116e3, AKIN__NUMBER},
    {0x11bc0, 0x11be0, AKIN__LETTER}, {0x11bf0, 0x11bf9, AKIN__NUMBER},
    {0x13460, 0x143fa, AKIN__LETTER}, {0x16100, 0x1611d, AKIN__LETTER},
    {0x16130, 0x16139, AKIN__NUMBER}, {0x16d40, 0x16d6c, AKIN__LETTER},
    {0x16d70, 0x16d79, AKIN__NUMBER}, {0x18cff, 0x18cff, AKIN__LETTER},
    {0x1ccf0, 0x1ccf9, AKIN__NUMBER}, {0x1e5d0, 0x1e5ed, AKIN__LETTER},
    {0x1e5f0, 0x1e5f0, AKIN__LETTER}, {0x1e5f1, 0x1e5fa, AKIN__NUMBER},
    {0x2ebf0, 0x2ee5d, AKIN__LETTER},
};

static const struct {
    int32_t first, last, lower_first;
} newer_lower[] = {
    {0x1c89, 0x1c89, 0x1c8a},    {0xa7cb, 0xa7cb, 0x264},
    {0xa7cc, 0xa7cc, 0xa7cd},    {0xa7ce, 0xa7ce, 0xa7cf},
    {0xa7d2, 0xa7d2, 0xa7d3},    {0xa7d4, 0xa7d4, 0xa7d5},
    {0xa7da, 0xa7da, 0xa7db},    {0xa7dc, 0xa7dc, 0x19b},
    {0x10d50, 0x10d65, 0x10d70}, {0x16ea0, 0x16eb8, 0x16ebb},
};

akin__class akin__char_class(int32_t codepoint)
{
    if ((codepoint >= 9 && codepoint <= 13) || codepoint == 0x85)
        return AKIN__SPACE;
    switch (utf8proc_category(codepoint)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return AKIN__LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return AKIN__NUMBER;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return AKIN__SPACE;
    case UTF8PROC_CATEGORY_CN: break; /* unassigned, as far as it knows */
    default: return AKIN__OTHER_CHAR;
    }
    for (size_t i = 0; i < sizeof newer_classes / sizeof newer_classes[0];
         i++) {
        if (codepoint >= newer_classes[i].first &&
            codepoint <= newer_classes[i].last)
            return newer_classes[i].class;
    }
    return AKIN__OTHER_CHAR;
}

static int32_t lower(int32_t codepoint)
{
    int32_t known = utf8proc_tolower(codepoint);

    if (known != codepoint || codepoint < newer_lower[0].first) return known;
    for (size_t i = 0; i < sizeof newer_lower / sizeof newer_lower[0]; i++) {
        if (codepoint >= newer_lower[i].first &&
            codepoint <= newer_lower[i].last)
            return newer_lower[i].lower_first + codepoint -
                   newer_lower[i].first;
    }
    return codepoint;
}

static void append(akin_buf *out, int32_t codepoint)
{
    akin_buf_append(out, &codepoint, sizeof codepoint);
}

/* Bytes of text at p that are the longest prefix of a character (at least 1):
 * what one U+FFFD stands for, as Python and Rust do it. */
static size_t broken_length(const uint8_t *p, size_t size)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t want;

    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        want = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        want = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        want = 4;
    else
        return 1;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < want; i++) {
        if (i >= size || p[i] < low || p[i] > high) return i;
        low = 0x80;
        high = 0xbf;
    }
    return want;
}

/* Canonical decomposition of every character. */
static void decompose(akin_span text, akin_buf *out)
{
    const uint8_t *p = text.data;
    size_t left = text.size;

    while (left > 0) {
        utf8proc_int32_t c, parts[8];
        utf8proc_ssize_t n,
            used =
                utf8proc_iterate(p, left > 4 ? 4 : (utf8proc_ssize_t)left, &c);

        if (used <= 0) {
            c = 0xfffd;
            used = (utf8proc_ssize_t)broken_length(p, left);
        }
        n = utf8proc_decompose_char(c, parts, 8,
                                    UTF8PROC_STABLE | UTF8PROC_COMPOSE, NULL);
        if (n < 1 || n > 8) { /* no canonical decomposition is so long */
            parts[0] = c;
            n = 1;
        }
        akin_buf_append(out, parts, (size_t)n * sizeof *parts);
        p += used;
        left -= (size_t)used;
    }
}

/* Stable sort by combining class, in time proportional to n: utf8proc's own
 * takes n * n steps, which a megabyte of accents would use. */
static bool sort_marks(int32_t *marks, size_t n)
{
    size_t place[256] = {0}, sum = 0;
    int32_t *copy = akin_alloc(n * sizeof *copy);

    if (!copy) return false;
    memcpy(copy, marks, n * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        place[utf8proc_get_property(copy[i])->combining_class & 255]++;
    for (size_t i = 0; i < 256; i++) {
        size_t count = place[i];

        place[i] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        marks[place[utf8proc_get_property(copy[i])->combining_class & 255]++] =
            copy[i];
    akin_free(copy);
    return true;
}

static bool order_marks(int32_t *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t end = i;

        while (end < n && utf8proc_get_property(text[end])->combining_class)
            end++;
        if (end - i > 1 && !sort_marks(text + i, end - i)) return false;
        if (end > i) i = end - 1;
    }
    return true;
}

akin_status akin__normalize_text(akin_span text, akin_buf *out, akin_error *err)
{
    akin_buf work = {0};
    utf8proc_ssize_t n = 0;
    akin_status rc = AKIN_OK;
    int32_t *c;

    decompose(text, &work);
    c = (int32_t *)(void *)work.data;
    if (work.failed || (work.size && !order_marks(c, work.size / sizeof *c))) {
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
        goto done;
    }
    if (work.size)
        n = utf8proc_normalize_utf32(c, (utf8proc_ssize_t)(work.size / 4),
                                     UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        if (c[i] < 0x80 && c[i] > ' ') {
            append(out, c[i] >= 'A' && c[i] <= 'Z' ? c[i] + 32 : c[i]);
        } else if (akin__char_class(c[i]) == AKIN__SPACE) {
            append(out, ' ');
        } else if (c[i] == 0x130) { /* the one that becomes two */
            append(out, 'i');
            append(out, 0x307);
        } else {
            append(out, lower(c[i]));
        }
    }
    if (out->failed) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
done:
    akin_buf_clear(&work);
    return rc;
}

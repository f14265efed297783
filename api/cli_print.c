/* What people read: aligned tables, thousands, sizes, dates. Widths are columns
 * of the terminal, not bytes. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>

#include "cli.h"

#define MAX_COLUMNS 12
#define GAP         2 /* blanks between columns */
#define LEAST       8 /* columns that a shrinking cell keeps */

struct akin_table {
    akin_column columns[MAX_COLUMNS];
    size_t n;
    char **cells; /* row by row */
    size_t ncells, capacity;
};

/* ---- text ------------------------------------------------------------------------- */

/* Reads one character; *columns is what it takes. Gives its bytes, at least 1. */
static size_t one_character(const char *text, size_t *columns)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &c);
    if (n <= 0) {
        *columns = 1; /* a stray byte */
        return 1;
    }
    int width = utf8proc_charwidth(c);
    *columns = width > 0 ? (size_t)width : 0;
    return (size_t)n;
}

size_t akin_text_width(const char *text)
{
    size_t width = 0, columns;
    while (*text) {
        text += one_character(text, &columns);
        width += columns;
    }
    return width;
}

/* Bytes of text that fit into `room` columns. */
static size_t bytes_within(const char *text, size_t room)
{
    size_t at = 0, used = 0, columns;
    while (text[at]) {
        size_t n = one_character(text + at, &columns);
        if (used + columns > room) break;
        used += columns;
        at += n;
    }
    return at;
}

size_t akin_terminal_width(FILE *stream)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    int64_t n;
    if (!isatty(fileno(stream))) return 0;
    if (columns && akin_span_int(akin_span_of(columns), &n) && n >= 20 &&
        n < 10000)
        return (size_t)n;
    if (!ioctl(fileno(stream), TIOCGWINSZ, &size) && size.ws_col >= 20)
        return size.ws_col;
    return 80;
}

/* ---- tables ----------------------------------------------------------------------- */

akin_table *akin_table_new(const akin_column *columns, size_t n)
{
    akin_table *t = akin_calloc(1, sizeof *t);
    if (!t) abort(); /* the program has nothing left to do */
    t->n = n < MAX_COLUMNS ? n : MAX_COLUMNS;
    memcpy(t->columns, columns, t->n * sizeof *columns);
    return t;
}

void akin_table_cell(akin_table *t, const char *fmt, ...)
{
    akin_buf text = {0};
    va_list args;
    va_start(args, fmt);
    akin_buf_vprintf(&text, fmt, args);
    va_end(args);
    const char *cell = akin_buf_cstr(&text);
    if (!cell || akin_grow(&t->cells, &t->capacity, t->ncells + 1,
                           sizeof *t->cells, NULL))
        abort();
    for (char *c = (char *)text.data; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127) *c = ' ';
    t->cells[t->ncells++] = (char *)text.data;
}

void akin_table_free(akin_table *t)
{
    if (!t) return;
    for (size_t i = 0; i < t->ncells; i++)
        akin_free(t->cells[i]);
    akin_free(t->cells);
    akin_free(t);
}

/* Takes from the columns that shrink, the widest first, until all fit. */
static void shrink(const akin_table *t, size_t *widths, size_t room)
{
    size_t all = GAP * (t->n - 1);
    for (size_t i = 0; i < t->n; i++)
        all += widths[i];
    while (all > room) {
        size_t widest = t->n;
        for (size_t i = 0; i < t->n; i++)
            if (t->columns[i].shrinks && widths[i] > LEAST &&
                (widest == t->n || widths[i] > widths[widest]))
                widest = i;
        if (widest == t->n) return;
        widths[widest]--;
        all--;
    }
}

/* One cell; *owed are the blanks to print before whatever follows on the line,
 * so that none end it. */
static void print_cell(const char *text, akin_align align, size_t width,
                       size_t *owed)
{
    size_t own = akin_text_width(text), bytes = strlen(text);
    bool cut = own > width;
    if (cut) {
        bytes = bytes_within(text, width - 1);
        char *kept = akin_strndup(text, bytes);
        own = kept ? akin_text_width(kept) + 1 : width;
        akin_free(kept);
    }
    size_t pad = width > own ? width - own : 0;
    if (align == AKIN_RIGHT) *owed += pad;
    if (bytes) {
        printf("%*s%.*s%s", (int)*owed, "", (int)bytes, text, cut ? "…" : "");
        *owed = 0;
    }
    if (align == AKIN_LEFT) *owed += pad;
    *owed += GAP;
}

void akin_table_print(const akin_table *t, const akin_cli *cli)
{
    size_t widths[MAX_COLUMNS], room = akin_terminal_width(stdout), owed = 0;
    for (size_t i = 0; i < t->n; i++)
        widths[i] = akin_text_width(t->columns[i].title);
    for (size_t i = 0; i < t->ncells; i++) {
        size_t width = akin_text_width(t->cells[i]);
        if (width > widths[i % t->n]) widths[i % t->n] = width;
    }
    if (room) shrink(t, widths, room);
    if (cli->color) printf("\033[1m");
    for (size_t i = 0; i < t->n; i++)
        print_cell(t->columns[i].title, t->columns[i].align, widths[i], &owed);
    printf(cli->color ? "\033[0m\n" : "\n");
    for (size_t i = 0; i < t->ncells; i++) {
        if (i % t->n == 0) owed = 0;
        print_cell(t->cells[i], t->columns[i % t->n].align, widths[i % t->n],
                   &owed);
        if (i % t->n + 1 == t->n) printf("\n");
    }
}

void akin_print_field(const akin_cli *cli, const char *name, const char *fmt,
                      ...)
{
    va_list args;
    if (cli->color)
        printf("\033[1m%-12s\033[0m ", name);
    else
        printf("%-12s ", name);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
}

/* ---- values ----------------------------------------------------------------------- */

const char *akin_thousands(uint64_t n, char out[32])
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%" PRIu64, n), at = 0;
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0) out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
    return out;
}

const char *akin_byte_size(uint64_t n, char out[32])
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double value = (double)n;
    int unit = 0;
    while (value >= 1000 && unit < 4) {
        value /= 1000;
        unit++;
    }
    snprintf(out, 32, unit && value < 10 ? "%.1f %s" : "%.0f %s", value,
             units[unit]);
    return out;
}

const char *akin_when(int64_t ms, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    if (!ms || !localtime_r(&seconds, &tm) ||
        !strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm))
        snprintf(out, 32, "-");
    return out;
}

/* What `add` writes about every file; a table has no room for it. */
static bool about_the_file(const char *key)
{
    static const char *const keys[] = {"path",   "folder", "width",   "height",
                                       "format", "bytes",  "modified"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(key, keys[i])) return true;
    return false;
}

void akin_print_attributes(akin_buf *out, const char *json)
{
    json_t *object = json_loads(json, 0, NULL), *value;
    const char *key;
    if (!json_is_object(object)) {
        akin_buf_text(out, json);
        json_decref(object);
        return;
    }
    json_object_foreach(object, key, value)
    {
        if (about_the_file(key)) continue;
        char *text = json_is_string(value)
                         ? NULL
                         : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT |
                                                 JSON_REAL_PRECISION(6));
        akin_buf_printf(out, "%s%s=%s", out->size ? "  " : "", key,
                        text ? text : json_string_value(value));
        free(text);
    }
    json_decref(object);
}

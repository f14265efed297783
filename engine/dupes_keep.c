/* Which picture of a group to keep: a list of rules, of which the first that
 * tells two pictures apart decides. What a person asks for comes first, the
 * rules of DEFAULTS that were not named after it; the last one, the path, always
 * decides. */
#include "dupes.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define DEFAULTS   "raw,resolution,size,format,oldest,name"
#define MOST_RULES 128

typedef enum {
    PATH,
    AVOID,
    RAW,
    RESOLUTION,
    SIZE,
    SMALL,
    FORMAT,
    OLDEST,
    NEWEST,
    SHORT,
    NAME
} kind;

/* In the order of `kind`. Without `value` no value may be given; one in brackets
 * may be left out. */
static const akin_keep_rule table[] = {
    {"path", "TEXT",
     "its path begins with TEXT, or, with * or ? in it, is like TEXT"},
    {"avoid", "TEXT", "its path does not begin with TEXT, or is not like it"},
    {"raw", NULL, "the raw file of a camera, by the ending of its name"},
    {"resolution", NULL, "more pixels"},
    {"size", NULL, "the larger file"},
    {"small", NULL, "the smaller file"},
    {"format", "[FORMAT]",
     "that format (jpeg, png, webp, gif, tiff, heic, avif, svg, bmp, ppm); "
     "without one: a format that loses nothing (tiff, png, bmp, ppm, svg)"},
    {"oldest", NULL, "the file that was changed longest ago"},
    {"newest", NULL, "the file that was changed last"},
    {"short", NULL, "the shorter path"},
    {"name", NULL, "the path that sorts first"},
};

typedef struct {
    kind kind;
    const char *value; /* NULL: none */
    bool literal;      /* PATH: * and ? mean themselves */
} rule;

struct akin__keep {
    rule rules[MOST_RULES];
    size_t n;
    char *text; /* values point into it */
};

const akin_keep_rule *akin_keep_rules(size_t *n)
{
    *n = sizeof table / sizeof *table;
    return table;
}

/* ---- reading rules ----------------------------------------------------------- */

static bool has_rule(const akin__keep *keep, kind k)
{
    for (size_t i = 0; i < keep->n; i++)
        if (keep->rules[i].kind == k && k != PATH && k != AVOID) return true;
    return false;
}

static akin_status add_rule(akin__keep *keep, rule r, akin_error *err)
{
    if (keep->n == MOST_RULES)
        return akin_fail(err, AKIN_INVALID, "more than %d rules to keep by",
                         MOST_RULES);
    keep->rules[keep->n++] = r;
    return AKIN_OK;
}

static akin_status read_rule(akin__keep *keep, char *word, akin_error *err)
{
    size_t n = sizeof table / sizeof *table, k = 0;
    char *value = strchr(word, ':');
    if (value) *value++ = 0;
    while (k < n && strcmp(word, table[k].name) != 0)
        k++;
    if (k == n)
        return akin_fail(err, AKIN_INVALID,
                         "no rule to keep by is called '%s'; there are path, "
                         "avoid, raw, resolution, size, small, format, oldest, "
                         "newest, short, name",
                         word);
    if (value && !*value) value = NULL;
    if (value ? !table[k].value : table[k].value && *table[k].value != '[')
        return akin_fail(err, AKIN_INVALID,
                         value ? "the rule '%s' takes no value"
                               : "the rule '%s' wants a value, as in %s:/home",
                         word, word);
    return add_rule(keep, (rule){.kind = (kind)k, .value = value}, err);
}

static akin_status read_rules(akin__keep *keep, char *text, akin_error *err)
{
    char *rest;
    akin_status rc = AKIN_OK;
    for (char *word = strtok_r(text, ",", &rest); word && !rc;
         word = strtok_r(NULL, ",", &rest))
        rc = read_rule(keep, word, err);
    return rc;
}

static akin_status add_defaults(akin__keep *keep, akin_error *err)
{
    akin__keep defaults = {.n = 0};
    char text[] = DEFAULTS;
    akin_status rc = read_rules(&defaults, text, err);
    for (size_t i = 0; i < defaults.n && !rc; i++) {
        kind k = defaults.rules[i].kind;
        bool said = has_rule(keep, k) || (k == SIZE && has_rule(keep, SMALL)) ||
                    (k == OLDEST && has_rule(keep, NEWEST));
        if (!said) rc = add_rule(keep, (rule){.kind = k}, err);
    }
    return rc;
}

akin_status akin__keep_open(const akin_dupe_query *query, akin__keep **out,
                            akin_error *err)
{
    akin_status rc = AKIN_OK;
    akin__keep *keep = akin_calloc(1, sizeof *keep);
    *out = keep;
    if (!keep) return akin__nomem(err);
    for (size_t i = 0; i < query->nprefer && !rc; i++)
        rc = add_rule(keep, (rule){.value = query->prefer[i], .literal = true},
                      err);
    if (query->keep && !rc) {
        keep->text = akin_strdup(query->keep);
        rc = keep->text ? read_rules(keep, keep->text, err) : akin__nomem(err);
    }
    return rc ? rc : add_defaults(keep, err);
}

void akin__keep_close(akin__keep *keep)
{
    if (!keep) return;
    akin_free(keep->text);
    akin_free(keep);
}

akin_status akin_keep_check(const char *text, akin_error *err)
{
    akin_dupe_query query = {.keep = text};
    akin__keep *keep;
    akin_status rc = akin__keep_open(&query, &keep, err);
    akin__keep_close(keep);
    return rc;
}

/* ---- comparing two ----------------------------------------------------------- */

static const char *place(const akin_item_info *item)
{
    return item->path ? item->path : item->id;
}

static bool is_pattern(const rule *r)
{
    return !r->literal && strpbrk(r->value, "*?");
}

static bool fits(const rule *r, const akin_item_info *item)
{
    return is_pattern(r) ? !fnmatch(r->value, place(item), FNM_NOESCAPE)
                         : !strncmp(place(item), r->value, strlen(r->value));
}

static bool one_of(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n && text; i++)
        if (!strcasecmp(text, words[i])) return true;
    return false;
}

static bool is_raw(const akin_item_info *item)
{
    static const char *const endings[] = {
        "3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf",
        "iiq", "kdc", "mrw", "nef", "nrw", "orf", "pef", "raf",
        "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"};
    const char *dot = strrchr(place(item), '.');
    return dot && one_of(dot + 1, endings, sizeof endings / sizeof *endings);
}

static bool right_format(const rule *r, const akin_item_info *item)
{
    static const char *const lossless[] = {"tiff", "png", "bmp", "ppm", "svg"};
    if (r->value) return one_of(item->format, &r->value, 1);
    return one_of(item->format, lossless, sizeof lossless / sizeof *lossless);
}

static uint64_t pixels(const akin_item_info *item)
{
    return (uint64_t)item->width * item->height;
}

/* Above 0: a is better by this rule. */
static int compare(const rule *r, const akin_item_info *a,
                   const akin_item_info *b)
{
#define SIGN(x, y) ((x) > (y) ? 1 : (x) < (y) ? -1 : 0)
    bool times = a->modified_ms && b->modified_ms; /* 0 says nothing */
    switch (r->kind) {
    case PATH: return fits(r, a) - fits(r, b);
    case AVOID: return fits(r, b) - fits(r, a);
    case RAW: return is_raw(a) - is_raw(b);
    case RESOLUTION: return SIGN(pixels(a), pixels(b));
    case SIZE: return SIGN(a->picture_bytes, b->picture_bytes);
    case SMALL: return SIGN(b->picture_bytes, a->picture_bytes);
    case FORMAT: return right_format(r, a) - right_format(r, b);
    case OLDEST: return times ? SIGN(b->modified_ms, a->modified_ms) : 0;
    case NEWEST: return times ? SIGN(a->modified_ms, b->modified_ms) : 0;
    case SHORT: return SIGN(strlen(place(b)), strlen(place(a)));
    case NAME: return -strcmp(place(a), place(b));
    }
#undef SIGN
    return 0;
}

/* *by: the rule that decided. */
static int better(const akin__keep *keep, const akin_item_info *a,
                  const akin_item_info *b, const rule **by)
{
    int order = 0;
    for (size_t i = 0; i < keep->n && !order; i++) {
        *by = &keep->rules[i];
        order = compare(*by, a, b);
    }
    return order;
}

/* ---- in words ---------------------------------------------------------------- */

static void size_text(uint64_t n, char out[32])
{
    static const char *const units[] = {"KB", "MB", "GB", "TB"};
    double value = (double)n / 1000;
    size_t unit = 0;
    for (; value >= 999.95 && unit < 3; unit++)
        value /= 1000;
    if (n < 1000)
        snprintf(out, 32, "%" PRIu64 " bytes", n);
    else
        snprintf(out, 32, "%.1f %s", value, units[unit]);
}

typedef enum { DAYS, SECONDS, MILLISECONDS } precision;

static void time_text(int64_t ms, precision to, char out[32])
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    size_t n = 0;
    *out = 0;
    if (localtime_r(&t, &tm))
        n = strftime(out, 32, to ? "%Y-%m-%d %H:%M:%S" : "%Y-%m-%d", &tm);
    if (to == MILLISECONDS)
        snprintf(out + n, 32 - n, ".%03d", (int)(ms % 1000));
}

static void explain_size(const char *word, const akin_item_info *a,
                         const akin_item_info *b, char *out, size_t size)
{
    char x[32], y[32];
    size_text(a->picture_bytes, x);
    size_text(b->picture_bytes, y);
    if (!strcmp(x, y)) { /* the difference is in what was rounded away */
        snprintf(x, sizeof x, "%" PRIu64 " bytes", a->picture_bytes);
        snprintf(y, sizeof y, "%" PRIu64 " bytes", b->picture_bytes);
    }
    snprintf(out, size, "%s file, %s against %s", word, x, y);
}

static void explain_age(const char *word, const akin_item_info *a,
                        const akin_item_info *b, char *out, size_t size)
{
    char x[32], y[32];
    precision to = DAYS;
    do { /* as far as they differ */
        time_text(a->modified_ms, to, x);
        time_text(b->modified_ms, to, y);
    } while (!strcmp(x, y) && to++ < MILLISECONDS);
    snprintf(out, size, "%s, %s against %s", word, x, y);
}

static void explain(const rule *r, const akin_item_info *a,
                    const akin_item_info *b, char *out, size_t size)
{
    switch (r->kind) {
    case PATH:
        snprintf(out, size,
                 is_pattern(r) ? "its path is like %s"
                               : "its path begins with %s",
                 r->value);
        break;
    case AVOID:
        snprintf(out, size,
                 is_pattern(r) ? "its path is not like %s"
                               : "its path does not begin with %s",
                 r->value);
        break;
    case RAW: snprintf(out, size, "the camera's raw file"); break;
    case RESOLUTION:
        snprintf(out, size, "larger, %u x %u against %u x %u", a->width,
                 a->height, b->width, b->height);
        break;
    case SIZE: explain_size("larger", a, b, out, size); break;
    case SMALL: explain_size("smaller", a, b, out, size); break;
    case FORMAT:
        snprintf(out, size,
                 r->value ? "%s, not %s" : "%s loses nothing, %s does",
                 a->format, b->format ? b->format : "the other");
        break;
    case OLDEST: explain_age("older", a, b, out, size); break;
    case NEWEST: explain_age("newer", a, b, out, size); break;
    case SHORT: snprintf(out, size, "its path is shorter"); break;
    case NAME: snprintf(out, size, "its path sorts first"); break;
    }
}

/* Cuts what snprintf cut inside a character back to whole ones. */
static void end_at_character(char *text, size_t size)
{
    size_t n = strlen(text);
    if (n + 1 < size) return;
    while (n && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
        n--;
    if (n && (unsigned char)text[n - 1] >= 0xc0) n--;
    text[n] = 0;
}

void akin__keep_choose(const akin__keep *keep, akin_dupe_group *g)
{
    const rule *by = NULL;
    size_t second = SIZE_MAX;

    g->keep = 0;
    for (size_t i = 1; i < g->n; i++)
        if (better(keep, &g->members[i].item, &g->members[g->keep].item, &by) >
            0)
            g->keep = i;
    for (size_t i = 0; i < g->n; i++) {
        if (i == g->keep) continue;
        if (second == SIZE_MAX || better(keep, &g->members[i].item,
                                         &g->members[second].item, &by) > 0)
            second = i;
    }
    if (second == SIZE_MAX) return;
    (void)better(keep, &g->members[g->keep].item, &g->members[second].item,
                 &by);
    explain(by, &g->members[g->keep].item, &g->members[second].item, g->why,
            sizeof g->why);
    end_at_character(g->why, sizeof g->why);
}

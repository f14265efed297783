/* Options. One table says everything about each: config file, environment,
 * flags and AKIN.CONFIG read the same row, so a new option is a row here and
 * its use. Values are kept as checked text beside the parsed number; a lock
 * makes live changes safe against readers, who take a copy. */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

extern char **environ;

#define K 1024.0
#define M (1024.0 * 1024.0)
#define G (1024.0 * 1024.0 * 1024.0)

#define BOOL(n, d, live, help)                                                 \
    {                                                                          \
        n, AKIN_OPTION_BOOL, d, 0, 1, NULL, live, help                         \
    }
#define UINT(n, d, lo, hi, live, help)                                         \
    {                                                                          \
        n, AKIN_OPTION_UINT, d, lo, hi, NULL, live, help                       \
    }
#define REAL(n, d, lo, hi, live, help)                                         \
    {                                                                          \
        n, AKIN_OPTION_REAL, d, lo, hi, NULL, live, help                       \
    }
#define TEXT(n, d, live, help)                                                 \
    {                                                                          \
        n, AKIN_OPTION_TEXT, d, 0, TEXT_BYTES - 1, NULL, live, help            \
    }
#define CHOICE(n, d, words, live, help)                                        \
    {                                                                          \
        n, AKIN_OPTION_CHOICE, d, 0, 0, words, live, help                      \
    }

#define TEXT_BYTES 4096
#define RESTART    false
#define LIVE       true

static const akin_option table[] = {
    TEXT("data", "", RESTART, "data directory"),
    TEXT("model", "", RESTART, "model directory of new collections"),
    UINT("threads", "0", 0, 256, RESTART,
         "threads that encode, decode and search; 0: one a processor"),
    CHOICE("encoder.precision", "auto", "auto,f32,bf16,int8", RESTART,
           "what the encoder computes in"),
    UINT("encoder.batch", "32", 1, 1024, RESTART,
         "most pictures in one pass of the encoder"),
    UINT("encoder.wait-ms", "2", 0, 1000, LIVE,
         "how long a batch waits to be filled by other calls"),
    UINT("picture.max-bytes", "256M", 64 * K, 16 * G, LIVE,
         "largest picture file"),
    UINT("picture.max-pixels", "400M", 1 * M, 64 * G, LIVE,
         "most pixels of a picture, width x height"),
    UINT("thumbnail.size", "256", 0, 1024, LIVE,
         "longest side of stored thumbnails; 0: none are stored"),
    UINT("ingest.batch", "64", 1, 1024, LIVE, "items in one transaction"),
    UINT("index.exact-below", "20000", 0, 1e9, RESTART,
         "spaces of fewer vectors are searched exactly, without an index"),
    REAL("index.recall", "0.95", 0.5, 1, LIVE,
         "recall that approximate searches aim at, whatever k"),
    UINT("index.memory", "2G", 64 * M, 1024 * G, LIVE,
         "memory that building an index may take"),
    BOOL("index.auto", "yes", LIVE, "build indexes in the background"),
    REAL("fuse.image", "0.5", 0, 100, LIVE,
         "weight of the picture space when rankings are fused"),
    REAL("fuse.caption", "0.5", 0, 100, LIVE, "weight of the caption space"),
    REAL("fuse.text", "1", 0, 100, LIVE, "weight of words found in captions"),
    UINT("query.cache", "4096", 0, 1e6, RESTART,
         "embeddings of query texts that are remembered"),
    TEXT("bind", "127.0.0.1", RESTART,
         "address that the server listens on; empty: only the Unix socket"),
    UINT("port", "7801", 0, 65535, RESTART, "TCP port; 0: any free one"),
    TEXT("unix", "", RESTART,
         "path of the Unix socket; default: akin.sock in the data directory"),
    TEXT("requirepass", "", RESTART,
         "password that clients must give; also what the command line gives"),
    BOOL("protected-mode", "yes", RESTART,
         "listen beyond this machine only with a password"),
    UINT("max-clients", "1000", 1, 100000, RESTART, "connections at a time"),
    UINT("idle-timeout", "0", 0, 31536000, RESTART,
         "seconds after which a silent connection is closed; 0: never"),
    UINT("max-request", "64M", 16 * K, 1 * G, RESTART,
         "largest request, pictures in it included"),
    UINT("max-output", "8M", 64 * K, 1 * G, RESTART,
         "replies waiting for a client beyond which its requests wait"),
    UINT("max-request-memory", "1G", 1 * M, 1024 * G, RESTART,
         "requests of all clients together"),
    UINT("workers", "0", 0, 256, RESTART,
         "threads that run commands; 0: by processors"),
    BOOL("http", "yes", RESTART, "serve HTTP and the gallery, too"),
    UINT("http.port", "7802", 0, 65535, RESTART,
         "port of HTTP, on the same address; 0: any free one"),
    UINT("http.max-body", "64M", 64 * K, 4 * G, RESTART,
         "largest body of an HTTP request"),
    UINT("http.connections", "512", 1, 65535, RESTART,
         "HTTP connections at a time"),
    UINT("http.idle-timeout", "60", 1, 86400, RESTART,
         "seconds after which a silent HTTP connection is closed"),
    UINT("http.query-timeout", "30000", 1, 3600e3, RESTART,
         "milliseconds that the searches of one HTTP request may take"),
    REAL("slow-log", "1000", 0, 3600e3, LIVE,
         "milliseconds from which a request is logged, and kept for SLOWLOG; "
         "0: none is"),
    CHOICE("log-level", "warn", "error,warn,info,debug", RESTART,
           "what the server reports on standard error"),
};

#define NOPTIONS (sizeof table / sizeof *table)

typedef struct {
    char *text;
    double real;
    uint64_t uint;
    bool set;
} value;

struct akin_config {
    pthread_mutex_t lock;
    value values[NOPTIONS];
};

const akin_option *akin_options(size_t *n)
{
    *n = NOPTIONS;
    return table;
}

static bool is_separator(char c)
{
    return c == '.' || c == '-' || c == '_';
}

/* "index.nprobe", "index-nprobe", "INDEX_NPROBE" are the same option. */
static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        if (is_separator(*a) && is_separator(*b)) continue;
        if ((*a | 32) != (*b | 32)) return false;
    }
    return !*a && !*b;
}

const akin_option *akin_option_find(const char *name)
{
    if (!strncasecmp(name, "AKIN_", 5)) name += 5;
    for (size_t i = 0; i < NOPTIONS; i++)
        if (same_name(table[i].name, name)) return &table[i];
    return NULL;
}

/* ---- parsing one value --------------------------------------------------- */

static bool word_in(const char *word, const char *list)
{
    size_t n = strlen(word);
    for (const char *p = list; p && *p;) {
        const char *comma = strchr(p, ',');
        size_t len = comma ? (size_t)(comma - p) : strlen(p);
        if (len == n && !strncasecmp(p, word, n)) return true;
        p = comma ? comma + 1 : NULL;
    }
    return false;
}

static akin_status parse_bool(const akin_option *o, const char *text, value *v,
                              akin_error *err)
{
    if (word_in(text, "yes,true,on,1"))
        v->uint = 1;
    else if (word_in(text, "no,false,off,0"))
        v->uint = 0;
    else
        return akin_fail(err, AKIN_INVALID,
                         "%s: expected yes or no, got \"%s\"", o->name, text);
    v->text = akin_strdup(v->uint ? "yes" : "no");
    return v->text ? AKIN_OK : akin_fail(err, AKIN_NOMEM, "out of memory");
}

/* 1024-based suffix; 0 when there is none that we know. */
static double suffix(const char *s)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = {{"", 1},   {"k", K}, {"kb", K}, {"m", M},
                 {"mb", M}, {"g", G}, {"gb", G}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcasecmp(s, units[i].name)) return units[i].factor;
    return 0;
}

static akin_status parse_number(const akin_option *o, const char *text,
                                value *v, akin_error *err)
{
    char *end;
    bool whole = o->type == AKIN_OPTION_UINT;

    errno = 0;
    double x = strtod(text, &end);
    double factor = whole ? suffix(end) : (*end ? 0 : 1);
    if (end == text || errno || factor == 0 || !isfinite(x * factor) ||
        (whole && x * factor != floor(x * factor)))
        return akin_fail(err, AKIN_INVALID, "%s: expected a %s, got \"%s\"",
                         o->name, whole ? "whole number" : "number", text);
    x *= factor;
    if (x < o->min || x > o->max)
        return akin_fail(err, AKIN_INVALID,
                         "%s: expected %.10g to %.10g, got %s", o->name, o->min,
                         o->max, text);
    v->real = x;
    v->uint = whole ? (uint64_t)x : 0;
    v->text = akin_strdup(text);
    return v->text ? AKIN_OK : akin_fail(err, AKIN_NOMEM, "out of memory");
}

static akin_status parse(const akin_option *o, const char *text, value *v,
                         akin_error *err)
{
    switch (o->type) {
    case AKIN_OPTION_BOOL: return parse_bool(o, text, v, err);
    case AKIN_OPTION_UINT:
    case AKIN_OPTION_REAL: return parse_number(o, text, v, err);
    case AKIN_OPTION_CHOICE:
        if (!word_in(text, o->choices))
            return akin_fail(err, AKIN_INVALID,
                             "%s: expected one of %s, got \"%s\"", o->name,
                             o->choices, text);
        break;
    case AKIN_OPTION_TEXT:
        if ((double)strlen(text) > o->max)
            return akin_fail(err, AKIN_INVALID,
                             "%s: expected at most %.0f bytes", o->name,
                             o->max);
        break;
    }
    v->text = akin_strdup(text);
    return v->text ? AKIN_OK : akin_fail(err, AKIN_NOMEM, "out of memory");
}

/* ---- setting -------------------------------------------------------------- */

akin_status akin_config_open(akin_config **out, akin_error *err)
{
    akin_config *config = akin_calloc(1, sizeof *config);
    if (!config) return akin_fail(err, AKIN_NOMEM, "out of memory");
    pthread_mutex_init(&config->lock, NULL);
    for (size_t i = 0; i < NOPTIONS; i++) {
        akin_status rc =
            parse(&table[i], table[i].fallback, &config->values[i], err);
        if (rc) {
            akin_config_close(config);
            return rc;
        }
    }
    *out = config;
    return AKIN_OK;
}

void akin_config_close(akin_config *config)
{
    if (!config) return;
    for (size_t i = 0; i < NOPTIONS; i++)
        akin_free(config->values[i].text);
    pthread_mutex_destroy(&config->lock);
    akin_free(config);
}

/* Edit distance of two short names, cut off at 63 characters. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], n = strnlen(b, 63);

    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; i < 63 && a[i]; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t best = corner + (a[i] != b[j]);
            corner = row[j + 1];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (corner + 1 < best) best = corner + 1;
            row[j + 1] = best;
        }
    }
    return row[n];
}

static akin_status unknown(const char *name, akin_error *err)
{
    const akin_option *near = table;
    for (size_t i = 1; i < NOPTIONS; i++)
        if (distance(name, table[i].name) < distance(name, near->name))
            near = &table[i];
    return akin_fail(err, AKIN_NOT_FOUND,
                     "no option \"%.64s\"; did you mean \"%s\"?", name,
                     near->name);
}

static akin_status set(akin_config *config, const akin_option *o,
                       const char *text, akin_error *err)
{
    value v = {.set = true};
    akin_status rc = parse(o, text, &v, err);
    if (rc) return rc;

    value *slot = &config->values[o - table];
    pthread_mutex_lock(&config->lock);
    char *old = slot->text;
    *slot = v;
    pthread_mutex_unlock(&config->lock);
    akin_free(old);
    return AKIN_OK;
}

akin_status akin_config_set(akin_config *config, const char *name,
                            const char *text, akin_error *err)
{
    const akin_option *o = akin_option_find(name);
    return o ? set(config, o, text, err) : unknown(name, err);
}

akin_status akin_config_set_live(akin_config *config, const char *name,
                                 const char *text, akin_error *err)
{
    const akin_option *o = akin_option_find(name);
    if (!o) return unknown(name, err);
    if (!o->live)
        return akin_fail(err, AKIN_DENIED,
                         "%s can only be set when the program starts", o->name);
    return set(config, o, text, err);
}

/* ---- where values come from ------------------------------------------------ */

/* Cuts white space off both ends, in place. */
static char *trim(char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    size_t n = strlen(s);
    while (n && strchr(" \t\r", s[n - 1]))
        s[--n] = 0;
    return s;
}

static akin_status load_line(akin_config *config, char *line, akin_error *err)
{
    char *name = trim(line);
    if (!*name || *name == '#') return AKIN_OK;

    char *equal = strchr(name, '=');
    if (!equal)
        return akin_fail(err, AKIN_INVALID,
                         "expected \"name = value\", got \"%.64s\"", name);
    *equal = 0;
    char *text = trim(equal + 1);
    size_t n = strlen(text);
    if (n >= 2 && text[0] == '"' && text[n - 1] == '"') {
        text[n - 1] = 0;
        text++;
    }
    return akin_config_set(config, trim(name), text, err);
}

akin_status akin_config_load(akin_config *config, const char *path,
                             akin_error *err)
{
    uint8_t *bytes = NULL;
    size_t size;
    akin_status rc = akin_file_read(path, 1 << 20, &bytes, &size, err);
    if (rc) return rc;

    unsigned number = 0;
    for (char *line = (char *)bytes; !rc && line;) {
        char *end = strchr(line, '\n');
        if (end) *end = 0;
        number++;
        rc = load_line(config, line, err);
        line = end ? end + 1 : NULL;
    }
    if (rc) akin_fail_prefix(err, rc, "%s:%u", path, number);
    akin_free(bytes);
    return rc;
}

akin_status akin_config_environment(akin_config *config, akin_error *err)
{
    for (char **e = environ; *e; e++) {
        char name[128];
        const char *equal = strchr(*e, '=');
        if (strncmp(*e, "AKIN_", 5) || !equal ||
            (size_t)(equal - *e) >= sizeof name)
            continue;
        memcpy(name, *e, (size_t)(equal - *e));
        name[equal - *e] = 0;
        const akin_option *o = akin_option_find(name);
        if (!o) continue;
        akin_status rc = set(config, o, equal + 1, err);
        if (rc) return akin_fail_prefix(err, rc, "environment");
    }
    return AKIN_OK;
}

/* One argument: how many of argv it took, 0 when it is none of ours. */
static akin_status take_arg(akin_config *config, char **argv, int left,
                            int *taken, akin_error *err)
{
    char name[128];

    *taken = 0;
    if (strncmp(argv[0], "--", 2) != 0) return AKIN_OK;
    const char *arg = argv[0] + 2, *equal = strchr(arg, '=');
    size_t n = equal ? (size_t)(equal - arg) : strlen(arg);
    if (!n || n >= sizeof name) return AKIN_OK;
    memcpy(name, arg, n);
    name[n] = 0;

    const akin_option *o = akin_option_find(name);
    if (!o && !equal && !strncmp(name, "no-", 3)) {
        o = akin_option_find(name + 3);
        if (!o || o->type != AKIN_OPTION_BOOL) return AKIN_OK;
        *taken = 1;
        return set(config, o, "no", err);
    }
    if (!o) return AKIN_OK;
    *taken = 1;
    if (equal) return set(config, o, equal + 1, err);
    if (o->type == AKIN_OPTION_BOOL) return set(config, o, "yes", err);
    if (left < 2)
        return akin_fail(err, AKIN_INVALID, "--%s needs a value", name);
    *taken = 2;
    return set(config, o, argv[1], err);
}

akin_status akin_config_args(akin_config *config, int *argc, char **argv,
                             akin_error *err)
{
    int kept = 0, i = 0;

    while (i < *argc) {
        int taken = 0;
        if (!strcmp(argv[i], "--")) break;
        akin_status rc = take_arg(config, argv + i, *argc - i, &taken, err);
        if (rc) return rc;
        if (!taken) {
            argv[kept++] = argv[i];
            taken = 1;
        }
        i += taken;
    }
    while (i < *argc)
        argv[kept++] = argv[i++];
    *argc = kept;
    argv[kept] = NULL;
    return AKIN_OK;
}

/* ---- reading ---------------------------------------------------------------- */

/* A copy of the value, its text left out. */
static value read_value(const akin_config *config, const char *name)
{
    const akin_option *o = akin_option_find(name);
    assert(o);
    akin_config *c = (akin_config *)config;
    pthread_mutex_lock(&c->lock);
    value v = c->values[o - table];
    pthread_mutex_unlock(&c->lock);
    v.text = NULL;
    return v;
}

bool akin_config_bool(const akin_config *config, const char *name)
{
    return read_value(config, name).uint != 0;
}

uint64_t akin_config_uint(const akin_config *config, const char *name)
{
    return read_value(config, name).uint;
}

double akin_config_real(const akin_config *config, const char *name)
{
    return read_value(config, name).real;
}

bool akin_config_is_set(const akin_config *config, const char *name)
{
    return read_value(config, name).set;
}

const char *akin_config_text(const akin_config *config, const char *name,
                             char *out, size_t size)
{
    const akin_option *o = akin_option_find(name);
    assert(o && size);
    akin_config *c = (akin_config *)config;
    pthread_mutex_lock(&c->lock);
    const char *text = c->values[o - table].text;
    size_t n = strnlen(text, size - 1);
    memcpy(out, text, n);
    out[n] = 0;
    pthread_mutex_unlock(&c->lock);
    return out;
}

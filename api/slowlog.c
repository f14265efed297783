/* A ring of the last slow requests under one lock. The words of an entry lie
 * one behind another in one piece of memory, each with its NUL. */
#include "slowlog.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define WORDS      32  /* of an entry; the last one tells how many more */
#define WORD_BYTES 128 /* of a word; what is longer ends with how much more */
#define LINE_BYTES 400 /* of the words in the log */

typedef struct {
    uint64_t id;
    int64_t time_ms;
    uint64_t us;
    size_t argc;
    akin_buf words;
    char address[96], client[64];
} entry;

struct akin_slowlog {
    pthread_mutex_t lock;
    uint64_t noted;
    size_t n;                      /* of entries, in use */
    entry entries[AKIN_SLOW_KEPT]; /* number i at i % AKIN_SLOW_KEPT */
};

akin_status akin_slowlog_open(akin_slowlog **out, akin_error *err)
{
    *out = akin_calloc(1, sizeof **out);
    if (!*out) return akin_fail(err, AKIN_NOMEM, "no memory for the slow log");
    pthread_mutex_init(&(*out)->lock, NULL);
    return AKIN_OK;
}

void akin_slowlog_close(akin_slowlog *log)
{
    if (!log) return;
    for (size_t i = 0; i < AKIN_SLOW_KEPT; i++)
        akin_buf_clear(&log->entries[i].words);
    pthread_mutex_destroy(&log->lock);
    akin_free(log);
}

/* Text is UTF-8, more or less: what matters is that it can be printed. */
static bool is_text(akin_span word)
{
    const unsigned char *s = word.data;
    for (size_t i = 0; i < word.size; i++)
        if (s[i] < ' ' && s[i] != '\t' && s[i] != '\n' && s[i] != '\r')
            return false;
    return true;
}

/* The first bytes that end no character in its middle. */
static size_t cut(akin_span word)
{
    const unsigned char *s = word.data;
    size_t n = WORD_BYTES;
    while (n && (s[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static void add_word(akin_buf *out, akin_span word)
{
    akin_span head = {word.data, word.size < 512 ? word.size : 512};
    if (!is_text(head)) {
        akin_buf_printf(out, "(%zu bytes)", word.size);
    } else if (word.size <= WORD_BYTES) {
        akin_buf_append(out, word.data, word.size);
    } else {
        size_t n = cut(word);
        akin_buf_append(out, word.data, n);
        akin_buf_printf(out, "... (%zu more bytes)", word.size - n);
    }
    akin_buf_append(out, "", 1);
}

static size_t write_words(akin_buf *out, const akin_span *argv, size_t argc)
{
    size_t n = argc > WORDS ? WORDS - 1 : argc;
    for (size_t i = 0; i < n; i++)
        add_word(out, argv[i]);
    if (argc <= WORDS) return n;
    akin_buf_printf(out, "... (%zu more arguments)", argc - n);
    akin_buf_append(out, "", 1);
    return WORDS;
}

/* The words in one line, without what would break it. */
static void log_line(const entry *e)
{
    char line[LINE_BYTES + 1];
    size_t n = e->words.size < LINE_BYTES ? e->words.size : LINE_BYTES;
    const char *words = (const char *)e->words.data;
    for (size_t i = 0; i < n; i++)
        line[i] = (unsigned char)words[i] < ' ' ? ' ' : words[i];
    line[n] = 0;
    akin_log(AKIN_LOG_WARN, "slow: %.3f ms%s%s: %s", (double)e->us / 1e3,
             e->address[0] ? " for " : "", e->address, line);
}

void akin_slowlog_note(akin_slowlog *log, uint64_t ns, const akin_span *argv,
                       size_t argc, const char *address, const char *client)
{
    entry e = {.time_ms = akin_now_ms(), .us = ns / 1000};
    e.argc = write_words(&e.words, argv, argc);
    snprintf(e.address, sizeof e.address, "%s", address);
    snprintf(e.client, sizeof e.client, "%s", client);
    if (e.words.failed) {
        akin_buf_clear(&e.words);
        return;
    }
    log_line(&e);
    pthread_mutex_lock(&log->lock);
    e.id = log->noted++;
    entry *slot = &log->entries[e.id % AKIN_SLOW_KEPT];
    akin_buf old = slot->words;
    *slot = e;
    if (log->n < AKIN_SLOW_KEPT) log->n++;
    pthread_mutex_unlock(&log->lock);
    akin_buf_clear(&old);
}

static void reply_entry(const entry *e, akin_reply *reply)
{
    const char *word = (const char *)e->words.data;
    akin_reply_array(reply, 6);
    akin_reply_int(reply, (int64_t)e->id);
    akin_reply_int(reply, e->time_ms / 1000);
    akin_reply_int(reply, (int64_t)e->us);
    akin_reply_array(reply, e->argc);
    for (size_t i = 0; i < e->argc; i++, word += strlen(word) + 1)
        akin_reply_text(reply, word);
    akin_reply_text(reply, e->address);
    akin_reply_text(reply, e->client);
}

void akin_slowlog_reply(akin_slowlog *log, size_t count, akin_reply *reply)
{
    pthread_mutex_lock(&log->lock);
    if (count > log->n) count = log->n;
    akin_reply_array(reply, count);
    for (size_t i = 1; i <= count; i++)
        reply_entry(&log->entries[(log->noted - i) % AKIN_SLOW_KEPT], reply);
    pthread_mutex_unlock(&log->lock);
}

size_t akin_slowlog_length(akin_slowlog *log)
{
    pthread_mutex_lock(&log->lock);
    size_t n = log->n;
    pthread_mutex_unlock(&log->lock);
    return n;
}

void akin_slowlog_reset(akin_slowlog *log)
{
    pthread_mutex_lock(&log->lock);
    log->n = 0;
    pthread_mutex_unlock(&log->lock);
}

uint64_t akin_slowlog_noted(akin_slowlog *log)
{
    pthread_mutex_lock(&log->lock);
    uint64_t n = log->noted;
    pthread_mutex_unlock(&log->lock);
    return n;
}

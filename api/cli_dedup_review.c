/* akin dedup --review: group by group on a terminal. One key decides; nothing is
 * touched before the end, but for "not duplicates", which is remembered at once
 * (and taken back with the same key). The terminal reads single keys only while
 * a question is open. */
#include "cli_dedup.h"

#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define LOOK_UP_MS 200

typedef enum {
    OPEN,
    TAKEN,    /* the others may go */
    SKIPPED,  /* left as it is */
    DISMISSED /* no duplicates */
} state;

typedef struct {
    akin_dedup *d;
    struct termios before; /* of the terminal */
    state *decisions;      /* (d->n) */
    size_t at, shown;      /* groups; shown SIZE_MAX: none */
    bool quit, apply;
} review;

/* ---- keys ------------------------------------------------------------------------ */

/* The next key; 0: there is none any more, or Ctrl-C. */
static int read_key(const review *r)
{
    struct termios raw = r->before;
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    unsigned char key = 0;
    ssize_t n = 0;

    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    fflush(stdout); /* the prompt: from now on a key is a key */
    /* Ctrl-C may come to another thread, or just before the waiting begins. */
    int ready = 0;
    while (ready <= 0 && !akin_cli_interrupted())
        ready = poll(&in, 1, LOOK_UP_MS);
    if (ready > 0) n = read(STDIN_FILENO, &key, 1);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &r->before);
    return n == 1 && !akin_cli_interrupted() ? key : 0;
}

/* A number 1..most that begins with `key`, which is written; more digits and
 * Enter follow only where they may. 0: none. */
static size_t read_number(const review *r, int key, size_t most)
{
    size_t number = 0;
    while (key >= '0' && key <= '9' && number * 10 <= most) {
        number = number * 10 + (size_t)(key - '0');
        printf("%c", key);
        if (number * 10 > most) break;
        key = read_key(r);
    }
    printf("\n");
    return number <= most ? number : 0;
}

/* ---- showing ----------------------------------------------------------------------- */

static const char keys[] =
    "Enter take it   1-9 keep that one   d no duplicates   n that one is none\n"
    "s skip   b back   v view   a apply now   q quit, change nothing   ? "
    "this\n";

static void show(const review *r)
{
    static const char *const states[] = {"", " (taken)", " (skipped)",
                                         " (no duplicates)"};
    const akin_dupe_group *g = r->d->choices[r->at].group;
    printf("\n%zu of %zu%s: ", r->at + 1, r->d->n, states[r->decisions[r->at]]);
    akin_dedup_print(r->d->cli, g, true);
}

/* A page of the group beside the journal, for a browser. */
static void view(const review *r)
{
    char *path = akin_format("%s/group.html", r->d->work->dir);
    akin_error err;
    if (!path || akin_dir_make(r->d->work->dir, &err))
        printf("cannot write the page\n");
    else if (!akin_dedup_html(r->d, r->d->choices[r->at].group, path))
        printf("file://%s\n", path);
    akin_free(path);
}

/* ---- deciding ---------------------------------------------------------------------- */

static void decide(review *r, state what)
{
    static const char *const words[] = {"", "taken", "skipped",
                                        "no duplicates; remembered"};
    printf("%s\n", words[what]);
    r->decisions[r->at] = what;
    r->at++;
}

static void keep_other(review *r, int key)
{
    akin_dupe_group *g = r->d->choices[r->at].group;
    size_t number = read_number(r, key, g->n);
    if (!number) {
        printf("there is no such picture\n");
        return;
    }
    g->keep = number - 1;
    snprintf(g->why, sizeof g->why, "you chose it");
    show(r);
}

/* Members of the group at hand are no duplicates; an exit code. */
static int dismiss(review *r, const size_t *members, size_t n, bool undo)
{
    akin_error err;
    return akin_dedup_dismiss(r->d, r->d->choices[r->at].group, members, n,
                              undo, &err)
               ? akin_cli_status(&err)
               : AKIN_EXIT_OK;
}

static int dismiss_all(review *r)
{
    const akin_dupe_group *g = r->d->choices[r->at].group;
    bool undo = r->decisions[r->at] == DISMISSED;
    size_t *members = akin_calloc(g->n, sizeof *members);
    if (!members) return akin_cli_fail(AKIN_EXIT_CANNOT, "no memory");
    for (size_t i = 0; i < g->n; i++)
        members[i] = i;
    int code = dismiss(r, members, g->n, undo);
    akin_free(members);
    if (code || !undo) {
        if (!code) decide(r, DISMISSED);
        return code;
    }
    r->decisions[r->at] = OPEN;
    printf("they may be duplicates again\n");
    return AKIN_EXIT_OK;
}

static bool same_members(const akin_dupe_group *a, const akin_dupe_group *b)
{
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->members[i].item.id, b->members[i].item.id) != 0)
            return false;
    return true;
}

/* What is left of a group may be grouped otherwise: all groups are asked for
 * again, and what was decided is carried over to those that are the same. */
static int ask_again(review *r)
{
    akin_dedup old = *r->d;
    state *decisions = r->decisions;
    size_t at = 0;
    akin_error err;

    r->d->pages = NULL;
    r->d->choices = NULL;
    r->d->npages = r->d->page_capacity = r->d->n = r->d->choice_capacity = 0;
    memset(&old.report, 0, sizeof old.report); /* stays with r->d */
    akin_status rc = akin_dedup_find(r->d, &err);
    r->decisions = akin_calloc(r->d->n + 1, sizeof *r->decisions);
    if (!rc && !r->decisions) rc = akin_fail(&err, AKIN_NOMEM, "no memory");
    for (size_t i = 0; i < r->d->n && !rc; i++) {
        akin_dupe_group *g = r->d->choices[i].group;
        for (size_t j = 0; j < old.n; j++) {
            const akin_dupe_group *was = old.choices[j].group;
            if (!same_members(g, was)) continue;
            r->decisions[i] = decisions[j];
            g->keep = was->keep;
            memcpy(g->why, was->why, sizeof g->why);
        }
    }
    while (at < r->d->n && !rc && r->decisions[at] != OPEN)
        at++;
    r->at = at;
    r->shown = SIZE_MAX;
    akin_dedup_clear(&old);
    akin_free(decisions);
    return rc ? akin_cli_status(&err) : AKIN_EXIT_OK;
}

static int dismiss_one(review *r)
{
    const akin_dupe_group *g = r->d->choices[r->at].group;
    if (g->n == 2) return dismiss_all(r);
    printf("which one is no duplicate of the others? ");
    size_t number = read_number(r, read_key(r), g->n);
    if (!number) {
        printf("there is no such picture\n");
        return AKIN_EXIT_OK;
    }
    for (size_t i = 0; i < g->n; i++) {
        const size_t pair[] = {number - 1, i};
        int code = i == number - 1 ? AKIN_EXIT_OK : dismiss(r, pair, 2, false);
        if (code) return code;
    }
    return ask_again(r);
}

/* ---- the end ------------------------------------------------------------------------- */

/* What is not taken is skipped from here on. */
static void mark(const review *r)
{
    for (size_t i = 0; i < r->d->n; i++)
        r->d->choices[i].skip = r->decisions[i] != TAKEN;
}

static void confirm(review *r)
{
    static const char *const verbs[] = {"move", "link", "delete"};
    static const char *const where[] = {" to the trash", "", " for good"};
    akin_dedup_action action = r->d->work->action;
    char files[32], size[32];
    uint64_t bytes, n;
    mark(r);
    n = akin_dedup_count(r->d, &bytes);
    if (!n) {
        printf("nothing was taken\n");
        return;
    }
    printf("%s %s files (%s)%s? y/n ", verbs[action], akin_thousands(n, files),
           akin_byte_size(bytes, size), where[action]);
    int key = read_key(r);
    r->apply = key == 'y' || key == 'Y';
    printf("%s\n", r->apply ? "yes" : "no");
}

/* One key. Gives an exit code: something failed. */
static int answer(review *r, int key)
{
    switch (key) {
    case '\r':
    case '\n': decide(r, TAKEN); break;
    case 's': decide(r, SKIPPED); break;
    case 'd': return dismiss_all(r);
    case 'n': return dismiss_one(r);
    case 'b':
        printf("back\n");
        if (r->at) r->at--;
        break;
    case 'v': view(r); break;
    case 'a':
        confirm(r);
        r->quit = r->apply;
        break;
    case 0:
    case 'q': r->quit = true; break;
    case '?': printf("%s", keys); break;
    default:
        if (key >= '1' && key <= '9') keep_other(r, key);
    }
    return AKIN_EXIT_OK;
}

int akin_dedup_review(akin_dedup *d, bool *apply)
{
    review r = {.d = d, .shown = SIZE_MAX};
    int code = AKIN_EXIT_OK;

    *apply = false;
    r.decisions = akin_calloc(d->n + 1, sizeof *r.decisions);
    if (!r.decisions || tcgetattr(STDIN_FILENO, &r.before)) {
        akin_free(r.decisions);
        return akin_cli_fail(AKIN_EXIT_CANNOT, "cannot ask on the terminal");
    }
    printf("%s", keys);
    while (!r.quit && !code && r.at < d->n) {
        if (r.shown != r.at) show(&r);
        r.shown = r.at;
        printf("> ");
        code = answer(&r, read_key(&r));
    }
    printf("\n");
    if (!r.quit && !code) confirm(&r);
    if (!r.apply)
        for (size_t i = 0; i < d->n; i++)
            d->choices[i].skip = r.decisions[i] == DISMISSED;
    akin_free(r.decisions);
    *apply = r.apply;
    if (akin_cli_interrupted()) return AKIN_EXIT_INTERRUPTED;
    return code;
}

/* Duplicates: groups of links, and the whole way from files to groups. */
#include "../../engine/dupes.h"
#include "place.h"

/* ---- grouping ------------------------------------------------------------------ */

enum { MOST = 40 };

typedef struct {
    akin__dupe_link links[400];
    size_t n, nlinks;
    bool apart[MOST][MOST];
} links;

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static bool are_apart(void *user, size_t a, size_t b)
{
    const links *l = user;
    return l->apart[a][b] || l->apart[b][a];
}

static bool linked(const links *l, size_t a, size_t b, bool exact)
{
    for (size_t i = 0; i < l->nlinks; i++)
        if ((!exact || l->links[i].exact) &&
            ((l->links[i].a == a && l->links[i].b == b) ||
             (l->links[i].a == b && l->links[i].b == a)))
            return true;
    return false;
}

/* Everything that exact links join to `from`. */
static void identical(const links *l, size_t from, bool out[MOST])
{
    out[from] = true;
    for (size_t i = 0; i < l->n; i++)
        if (!out[i] && linked(l, from, i, true)) identical(l, i, out);
}

static void check_groups(const links *l, bool forbid, const size_t *group,
                         const size_t *centres, size_t ngroups)
{
    size_t sizes[MOST] = {0};
    for (size_t i = 0; i < l->n; i++) {
        bool same[MOST] = {false}, fits = false;
        identical(l, i, same);
        for (size_t j = 0; j < l->n; j++)
            if (same[j]) assert_int_equal(group[i], group[j]);
        if (group[i] == SIZE_MAX) continue;
        assert_true(group[i] < ngroups);
        sizes[group[i]]++;
        bool middle[MOST] = {false};
        identical(l, centres[group[i]], middle);
        for (size_t j = 0; j < l->n && !fits; j++)
            for (size_t m = 0; m < l->n && !fits; m++)
                fits = middle[i] ||
                       (same[j] && middle[m] && linked(l, j, m, false));
        assert_true(fits); /* it, or its twin, is linked to the centre */
        for (size_t j = 0; j < i && forbid; j++)
            if (group[j] == group[i] && !same[j])
                assert_false(are_apart((void *)l, i, j));
    }
    for (size_t g = 0; g < ngroups; g++)
        assert_true(sizes[g] > 1 && group[centres[g]] == g);
}

static void random_links(links *l, uint32_t *seed)
{
    memset(l, 0, sizeof *l);
    l->n = 2 + next_random(seed) % (MOST - 2);
    size_t want = next_random(seed) % (2 * l->n);
    for (size_t i = 0; i < want; i++) {
        akin__dupe_link k = {.a = next_random(seed) % l->n,
                             .b = next_random(seed) % l->n,
                             .weight = 1 + next_random(seed) % 255,
                             .exact = next_random(seed) % 4 == 0};
        if (k.a == k.b || linked(l, k.a, k.b, false)) continue;
        l->links[l->nlinks++] = k;
        if (!k.exact && next_random(seed) % 8 == 0) l->apart[k.a][k.b] = true;
    }
}

static void test_random_groups(void **state)
{
    (void)state;
    uint32_t seed = 20261123;
    print_message("seed %u\n", seed);
    for (int round = 0; round < 400; round++) {
        links l;
        size_t group[MOST], again[MOST], centres[MOST], ngroups, nagain;
        bool forbid = round % 2;
        random_links(&l, &seed);
        must(akin__dupes_group(l.n, l.links, l.nlinks,
                               forbid ? are_apart : NULL, &l, group, centres,
                               &ngroups, err));
        check_groups(&l, forbid, group, centres, ngroups);

        /* another order, other directions */
        for (size_t i = 0; i < l.nlinks; i++) {
            size_t j = next_random(&seed) % l.nlinks;
            akin__dupe_link k = l.links[i];
            l.links[i] = l.links[j];
            l.links[j] = (akin__dupe_link){k.b, k.a, k.weight, k.exact};
        }
        must(akin__dupes_group(l.n, l.links, l.nlinks,
                               forbid ? are_apart : NULL, &l, again, centres,
                               &nagain, err));
        assert_int_equal(ngroups, nagain);
        assert_memory_equal(group, again, l.n * sizeof *group);
    }
}

/* A hundred items, each like the next: groups stay small. */
static void test_chain(void **state)
{
    (void)state;
    akin__dupe_link chain[99];
    size_t group[100], centres[100], sizes[100] = {0}, n;
    for (size_t i = 0; i < 99; i++)
        chain[i] = (akin__dupe_link){i, i + 1, 200, false};
    must(
        akin__dupes_group(100, chain, 99, NULL, NULL, group, centres, &n, err));
    for (size_t i = 0; i < 100; i++)
        if (group[i] != SIZE_MAX) assert_true(++sizes[group[i]] <= 3);
    assert_true(n > 20);
}

/* ---- hashes ---------------------------------------------------------------------- */

typedef struct {
    uint64_t num;
    uint32_t distance;
    bool found;
} wanted;

static bool is_wanted(void *user, uint64_t num, uint32_t distance)
{
    wanted *w = user;
    if (num != w->num) return true;
    w->found = true;
    w->distance = distance;
    return false;
}

/* z and y were told apart. x is a copy of z that looks like y as well. */
static void test_apart(void **state)
{
    (void)state;
    enum { Z, Y, X, W };
    for (uint32_t far = 1; far <= 3; far++) {
        akin__dupe_link link[] = {{Z, X, 240, false}, {X, Z, 240, false},
                                  {X, Y, 200, false}, {Y, X, 200, false},
                                  {Y, W, 230, false}, {W, Y, 230, false},
                                  {X, W, 0, false},   {W, X, 0, false}};
        akin__dupe_apart apart = {0};
        size_t n = far == 1 ? 6 : 8, group[4], centres[4], ngroups;
        link[6].weight = link[7].weight = far == 2 ? 210 : 250;
        must(akin__dupes_tell_apart(&apart, Y, Z, err));
        must(akin__dupes_spread(&apart, link, &n, err));
        must(akin__dupes_group(4, link, n, akin__dupes_are_apart, &apart, group,
                               centres, &ngroups, err));
        assert_true(akin__dupes_are_apart(&apart, Z, Y));
        assert_true(akin__dupes_are_apart(&apart, Y, X));
        assert_int_not_equal(group[X], group[Y]);
        /* w goes with y, unless it is closer to x */
        assert_int_equal(group[W], group[far == 3 ? X : Y]);
        if (far != 3) assert_int_equal(group[X], group[Z]);
        akin_free(apart.pairs);
    }
}

/* Whatever 11 of the bits that count were changed, and however it was turned. */
static void test_hashes(void **state)
{
    (void)state;
    uint32_t seed = 7;
    akin__hashes *hashes;
    must(akin__hashes_open(&hashes, err));
    akin_picture_phash hash[300];
    for (uint64_t i = 0; i < 300; i++) {
        for (int w = 0; w < 4; w++)
            hash[i].word[w] = (uint64_t)next_random(&seed) << 40 ^
                              (uint64_t)next_random(&seed) << 20 ^
                              next_random(&seed);
        must(akin__hashes_add(hashes, i, &hash[i], err));
    }
    for (uint64_t i = 0; i < 300; i++) {
        akin_picture_phash changed = hash[i];
        for (int bit = 0; bit < 11; bit++) {
            uint32_t r = next_random(&seed); /* an even row and column */
            changed.word[r % 4] ^= UINT64_C(1)
                                   << (8 * (r / 4 % 4 * 2) + r / 16 % 4 * 2);
        }
        changed = akin_picture_turned(&changed, 1 + (uint32_t)i % 8);
        wanted w = {.num = i};
        akin__hashes_find(hashes, &changed, 44, is_wanted, &w);
        assert_true(w.found);
        assert_true(w.distance <= 11);
    }
    akin__hashes_close(hashes);
}

static bool find_num(akin__hashes *hashes, uint64_t num,
                     const akin_picture_phash *hash)
{
    wanted w = {.num = num};
    akin__hashes_find(hashes, hash, 0, is_wanted, &w);
    return w.found;
}

/* More than a question visits were before an item and are gone: it is found. */
static void test_hashes_of_what_is_gone(void **state)
{
    (void)state;
    enum { ALIKE = 450000, KEPT = 1000 };
    akin__hashes *hashes;
    akin_picture_phash alike = {{0x0123456789abcdef, 2, 3, 4}}, own;
    must(akin__hashes_open(&hashes, err));
    must(akin__hashes_add(hashes, 1, &alike, err));
    for (uint64_t num = 2; num <= ALIKE; num++)
        must(akin__hashes_add(hashes, num, &alike, err));
    assert_false(find_num(hashes, 1, &alike));
    for (uint64_t num = ALIKE; num > KEPT; num--)
        akin__hashes_remove(hashes, num);
    akin__hashes_remove(hashes, ALIKE + 1); /* has none */
    for (uint64_t num = 1; num <= KEPT; num++)
        assert_true(find_num(hashes, num, &alike));
    assert_false(find_num(hashes, KEPT + 1, &alike));

    own = alike;
    own.word[0] ^= 1;
    must(akin__hashes_add(hashes, 7, &own, err));
    assert_true(find_num(hashes, 7, &alike) && find_num(hashes, 7, &own));
    akin__hashes_remove(hashes, 7); /* both */
    assert_false(find_num(hashes, 7, &alike) || find_num(hashes, 7, &own));
    must(akin__hashes_add(hashes, 7, &own, err));
    assert_true(find_num(hashes, 7, &own));
    akin__hashes_close(hashes);
}

/* ---- from pictures to groups ------------------------------------------------------ */

static int setup(void **state)
{
    return place_open(state, STARTER);
}

static void put_bytes(place *p, const char *id, const void *data, size_t size)
{
    akin_item_input item = {.id = akin_span_of(id), .picture = {data, size}};
    akin_put_options options = {.create = true};
    akin_put_result result;
    must(akin_engine_put(p->engine, "c", &item, 1, &options, &result, err));
    if (result.status) fail_msg("%s: %s", id, result.message);
}

static void put_photo(place *p, const char *id, const char *name)
{
    char path[512];
    uint8_t *data;
    size_t size;
    snprintf(path, sizeof path, "%s/data/pictures/%s", AKIN_TESTS, name);
    must(akin_file_read(path, 1u << 24, &data, &size, err));
    put_bytes(p, id, data, size);
    akin_free(data);
}

static akin_dupe_page page_of(place *p, akin_level level)
{
    akin_dupe_query query = {.level = level, .count = 100};
    akin_dupe_page page;
    must(akin_engine_dupes(p->engine, "c", &query, &page, err));
    assert_int_equal(page.pending, 0);
    assert_int_equal(page.cursor, 0);
    return page;
}

/* The photograph as a PPM, perhaps mirrored, and brighter. */
static void put_changed(place *p, const char *id, const char *name, bool mirror,
                        int brighter)
{
    char path[512];
    uint8_t *data;
    size_t size;
    akin_picture picture;
    akin_buf out = {0};
    snprintf(path, sizeof path, "%s/data/pictures/%s", AKIN_TESTS, name);
    must(akin_file_read(path, 1u << 24, &data, &size, err));
    must(akin_picture_decode((akin_span){data, size}, NULL, &picture, err));
    akin_buf_printf(&out, "P6\n%u %u\n255\n", picture.width, picture.height);
    for (uint32_t y = 0; y < picture.height; y++)
        for (uint32_t i = 0; i < picture.width; i++) {
            uint32_t x = mirror ? picture.width - 1 - i : i;
            const uint8_t *rgb =
                picture.pixels + ((size_t)y * picture.width + x) * 3;
            uint8_t more[3];
            for (int c = 0; c < 3; c++)
                more[c] =
                    (uint8_t)(rgb[c] > 255 - brighter ? 255
                                                      : rgb[c] + brighter);
            akin_buf_append(&out, more, 3);
        }
    put_bytes(p, id, out.data, out.size);
    akin_buf_clear(&out);
    akin_picture_clear(&picture);
    akin_free(data);
}

static void put_mirrored(place *p, const char *id, const char *name)
{
    put_changed(p, id, name, true, 15);
}

static void test_levels(void **state)
{
    place *p = *state;
    put_photo(p, "hat", "photos/hat-1.jpg");
    put_photo(p, "other hat", "photos/hat-2.jpg");
    put_photo(p, "shoes", "photos/shoes-1.jpg");
    put_photo(p, "hat again", "photos/hat-1.jpg");
    put_mirrored(p, "hat mirrored", "photos/hat-1.jpg");

    akin_dupe_page page = page_of(p, AKIN_LEVEL_EXACT);
    assert_int_equal(page.n, 1);
    assert_int_equal(page.groups[0].n, 2);
    assert_true(page.groups[0].members[1].same_bytes);
    akin_dupe_page_clear(&page);

    page = page_of(p, AKIN_LEVEL_NEAR);
    assert_int_equal(page.n, 1);
    akin_dupe_group *g = &page.groups[0];
    assert_int_equal(g->n, 3);
    assert_int_equal(g->level, AKIN_LEVEL_NEAR);
    assert_string_equal(g->members[2].item.id, "hat mirrored");
    assert_int_equal(g->members[2].turn, 2);
    assert_true(g->members[2].distance <= 44);
    assert_true(g->why[0] != 0);
    akin_dupe_page_clear(&page);

    /* Dismissed stays dismissed, for the copy and for who comes again. */
    akin_span pair[] = {akin_span_of("hat mirrored"), akin_span_of("hat")};
    must(akin_engine_dismiss(p->engine, "c", pair, 2, false, err));
    page = page_of(p, AKIN_LEVEL_NEAR);
    assert_int_equal(page.n, 1);
    assert_int_equal(page.groups[0].n, 2);
    akin_dupe_page_clear(&page);
    put_mirrored(p, "mirrored again", "photos/hat-1.jpg");
    page = page_of(p, AKIN_LEVEL_NEAR);
    assert_int_equal(page.n, 2); /* the two hats; the two mirrored ones */
    akin_dupe_page_clear(&page);
    must(akin_engine_dismiss(p->engine, "c", pair, 2, true, err));
    page = page_of(p, AKIN_LEVEL_NEAR);
    assert_int_equal(page.n, 1);
    assert_int_equal(page.groups[0].n, 4);
    akin_dupe_page_clear(&page);

    /* What hung together over a removed item is found again. */
    akin_span gone = akin_span_of("hat");
    size_t removed;
    must(akin_engine_remove(p->engine, "c", &gone, 1, &removed, err));
    page = page_of(p, AKIN_LEVEL_NEAR);
    assert_int_equal(page.n, 1);
    assert_int_equal(page.groups[0].n, 3);
    akin_dupe_page_clear(&page);
    must_be_clean(p->engine);
}

static void put_white(place *p, const char *id, const char *comment)
{
    akin_buf out = {0};
    akin_buf_printf(&out, "P6\n# %s\n64 64\n255\n", comment);
    for (int i = 0; i < 64 * 64; i++)
        akin_buf_append(&out, "\xff\xff\xff", 3);
    put_bytes(p, id, out.data, out.size);
    akin_buf_clear(&out);
}

/* Two drawings that draw nothing here are not one drawing: only equal bytes
 * count. */
static void test_blank(void **state)
{
    place *p = *state;
    put_white(p, "a", "duck");
    put_white(p, "b", "penguin");
    akin_dupe_page page = page_of(p, AKIN_LEVEL_NEAR);
    assert_int_equal(page.n, 0);
    akin_dupe_page_clear(&page);
    put_white(p, "c", "duck");
    page = page_of(p, AKIN_LEVEL_NEAR);
    assert_int_equal(page.n, 1);
    assert_int_equal(page.groups[0].n, 2);
    akin_dupe_page_clear(&page);
}

/* "Not duplicates" for a and b; what is added later, close to both, does not
 * bring b in again. */
static void test_dismissed_later(void **state)
{
    place *p = *state;
    put_mirrored(p, "b", "photos/hat-1.jpg");
    put_photo(p, "a", "photos/hat-1.jpg");
    akin_span pair[] = {akin_span_of("a"), akin_span_of("b")};
    must(akin_engine_dismiss(p->engine, "c", pair, 2, false, err));
    akin_dupe_page page = page_of(p, AKIN_LEVEL_NEAR);
    assert_int_equal(page.n, 0);
    akin_dupe_page_clear(&page);

    put_changed(p, "a again", "photos/hat-1.jpg", false, 4);
    put_photo(p, "a copied", "photos/hat-1.jpg");
    put_changed(p, "a as pixels", "photos/hat-1.jpg", false, 0);
    page = page_of(p, AKIN_LEVEL_NEAR);
    assert_int_equal(page.n, 1);
    assert_int_equal(page.groups[0].n, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_not_equal(page.groups[0].members[i].item.id, "b");
    akin_dupe_page_clear(&page);

    put_changed(p, "b again", "photos/hat-1.jpg", true, 18);
    page = page_of(p, AKIN_LEVEL_NEAR);
    assert_int_equal(page.n, 2);
    assert_int_equal(page.groups[0].n + page.groups[1].n, 6);
    akin_dupe_page_clear(&page);
    must(akin_engine_dismiss(p->engine, "c", pair, 2, true, err));
    page = page_of(p, AKIN_LEVEL_NEAR);
    assert_int_equal(page.n, 1);
    assert_int_equal(page.groups[0].n, 6);
    akin_dupe_page_clear(&page);
}

static void test_pages(void **state)
{
    place *p = *state;
    uint8_t picture[PICTURE_BYTES];
    char id[16];
    size_t groups = 0, pages = 0;
    for (unsigned i = 0; i < 24; i++) { /* pairs of equal bytes */
        snprintf(id, sizeof id, "%02u", i);
        put_bytes(p, id, picture,
                  make_picture(100 + i % 12, picture, sizeof picture));
    }
    akin_dupe_query query = {.level = AKIN_LEVEL_EXACT, .count = 5};
    do {
        akin_dupe_page page;
        must(akin_engine_dupes(p->engine, "c", &query, &page, err));
        for (size_t i = 0; i < page.n; i++)
            assert_int_equal(page.groups[i].n, 2);
        groups += page.n;
        pages++;
        query.cursor = page.cursor;
        akin_dupe_page_clear(&page);
    } while (query.cursor);
    assert_int_equal(groups, 12);
    assert_int_equal(pages, 3);
}

/* Keeps by these rules; which one, and why. */
static void keeps(akin_dupe_group *g, const char *rules, size_t keep,
                  const char *why)
{
    const char *const prefer[] = {"/best/", "/good/"};
    bool preferred = !strcmp(rules, "PREFER");
    akin_dupe_query query = {.prefer = prefer,
                             .nprefer = preferred ? 2 : 0,
                             .keep = preferred || !*rules ? NULL : rules};
    akin__keep *k;
    assert_int_equal(akin__keep_open(&query, &k, NULL), AKIN_OK);
    akin__keep_choose(k, g);
    if (g->keep != keep || strcmp(g->why, why) != 0)
        fail_msg("'%s' keeps %zu because: %s", rules, g->keep, g->why);
    akin__keep_close(k);
}

static void test_keep(void **state)
{
    (void)state;
    akin_dupe_member m[] = {
        {.item = {.path = (char *)"/x/b.jpg",
                  .format = (char *)"jpeg",
                  .width = 20,
                  .height = 10,
                  .picture_bytes = 500,
                  .modified_ms = 86400000 * INT64_C(9) + 3600000 * 12}},
        {.item = {.path = (char *)"/x/a.jpg",
                  .format = (char *)"jpeg",
                  .width = 10,
                  .height = 20,
                  .picture_bytes = 500,
                  .modified_ms = 86400000 * INT64_C(5) + 3600000 * 12}},
        {.item = {.path = (char *)"/good/c.png",
                  .format = (char *)"png",
                  .width = 5,
                  .height = 5,
                  .picture_bytes = 91234,
                  .modified_ms = 86400000 * INT64_C(1) + 3600000 * 12}}};
    akin_dupe_group g = {.members = m, .n = 3};

    /* two are largest, and one of them is older */
    keeps(&g, "", 1, "older, 1970-01-06 against 1970-01-10");
    keeps(&g, "PREFER", 2, "its path begins with /good/");
    keeps(&g, "newest", 0, "newer, 1970-01-10 against 1970-01-06");
    keeps(&g, "oldest", 2, "older, 1970-01-02 against 1970-01-06");
    keeps(&g, "size", 2, "larger file, 91.2 KB against 500 bytes");
    keeps(&g, "small,name", 1, "its path sorts first");
    keeps(&g, "small,newest", 0, "newer, 1970-01-10 against 1970-01-06");
    keeps(&g, "format", 2, "png loses nothing, jpeg does");
    keeps(&g, "format:jpeg,newest", 0, "newer, 1970-01-10 against 1970-01-06");
    keeps(&g, "format:PNG", 2, "png, not jpeg");
    keeps(&g, "path:/good/", 2, "its path begins with /good/");
    keeps(&g, "path:*/b.*", 0, "its path is like */b.*");
    keeps(&g, "avoid:/x/", 2, "its path does not begin with /x/");
    keeps(&g, "short", 1, "older, 1970-01-06 against 1970-01-10");
    m[0].item.width = 21;
    keeps(&g, "", 0, "larger, 21 x 10 against 10 x 20");
    m[0].item.modified_ms = m[1].item.modified_ms + 7000;
    m[2].item.path = (char *)"/good/c.CR2"; /* its preview is small */
    keeps(&g, "", 2, "the camera's raw file");
    keeps(&g, "avoid:*.CR2,newest", 0,
          "newer, 1970-01-06 12:00:07 against 1970-01-06 12:00:00");
    m[0].item.modified_ms = m[1].item.modified_ms + 7;
    keeps(&g, "avoid:*.CR2,newest", 0,
          "newer, 1970-01-06 12:00:00.007 against 1970-01-06 12:00:00.000");
    m[2].item.path = (char *)"/x/c.png";
    m[2].item.picture_bytes = 499;
    keeps(&g, "path:/x/,small", 2, "smaller file, 499 bytes against 500 bytes");

    static const char *const bad[] = {"best", "path", "size:3", "avoid:"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(akin_keep_check(bad[i], NULL), AKIN_INVALID);
    assert_int_equal(akin_keep_check("", NULL), AKIN_OK);
}

/* A reason that does not fit ends with a whole character. */
static void test_keep_long(void **state)
{
    (void)state;
    char path[256] = "/";
    for (size_t i = 1; i + 3 < sizeof path; i += 2)
        snprintf(path + i, sizeof path - i, "\xc3\xa4");
    for (int shift = 0; shift < 2; shift++) {
        akin_dupe_member m[] = {{.item = {.path = path + !shift}},
                                {.item = {.path = (char *)"b"}}};
        akin_dupe_group g = {.members = m, .n = 2};
        const char *const prefer[] = {path + !shift};
        akin_dupe_query query = {.prefer = prefer, .nprefer = 1};
        akin__keep *k;
        assert_int_equal(akin__keep_open(&query, &k, NULL), AKIN_OK);
        akin__keep_choose(k, &g);
        size_t n = strlen(g.why);
        assert_true(n > 100 && n < sizeof g.why);
        assert_memory_equal(g.why + n - 2, "\xc3\xa4", 2);
        akin__keep_close(k);
    }
}

static bool is_in_table(place *p, uint64_t num, const akin_picture_phash *hash)
{
    akin__collection *c;
    must(akin__collection_find(p->engine, "c", &c, err));
    wanted w = {.num = num};
    /* what is taken in was scaled */
    akin__hashes_find(c->dupes->hashes, hash, 8, is_wanted, &w);
    akin__collection_release(c);
    return w.found;
}

/* Once the hashes of pictures that were removed, or changed into others, stayed
 * until the collection was closed. */
static void test_hashes_follow_the_items(void **state)
{
    place *p = *state;
    static const char *const names[] = {"photos/hat-1.jpg",
                                        "photos/shoes-1.jpg"};
    akin_picture_hashes hashes[2];
    akin_span hat = akin_span_of("1");
    size_t removed;
    for (int i = 0; i < 2; i++) {
        char path[512];
        uint8_t *data;
        size_t size;
        akin_picture picture;
        snprintf(path, sizeof path, "%s/data/pictures/%s", AKIN_TESTS,
                 names[i]);
        must(akin_file_read(path, 1u << 24, &data, &size, err));
        must(akin_picture_decode((akin_span){data, size}, NULL, &picture, err));
        must(akin_picture_hash(&picture, &hashes[i], err));
        akin_picture_clear(&picture);
        akin_free(data);
    }
    put_photo(p, "1", names[0]);
    put_photo(p, "2", names[0]);
    put_photo(p, "3", names[1]);
    assert_true(is_in_table(p, 1, &hashes[0].whole));
    assert_true(is_in_table(p, 2, &hashes[0].whole));
    assert_true(is_in_table(p, 3, &hashes[1].whole));
    put_photo(p, "2", names[1]);
    must(akin_engine_remove(p->engine, "c", &hat, 1, &removed, err));
    for (uint64_t num = 1; num <= 3; num++) {
        assert_false(is_in_table(p, num, &hashes[0].whole));
        assert_int_equal(is_in_table(p, num, &hashes[1].whole), num > 1);
    }
    akin_dupe_page page = page_of(p, AKIN_LEVEL_EXACT);
    assert_int_equal(page.n, 1);
    assert_int_equal(page.groups[0].n, 2);
    akin_dupe_page_clear(&page);

    /* nor are those of an item that is given a vector, or nothing, instead */
    akin_collection_info info;
    akin_put_result result;
    float vector[1024] = {1};
    must(akin_engine_info(p->engine, "c", &info, err));
    assert_in_range(info.dim, 1, 1024);
    akin_item_input item = {.id = akin_span_of("2"),
                            .attributes = akin_span_of("{}")};
    must(akin_engine_put(p->engine, "c", &item, 1, NULL, &result, err));
    assert_true(is_in_table(p, 2, &hashes[1].whole));
    item.vector = vector;
    item.dim = info.dim;
    must(akin_engine_put(p->engine, "c", &item, 1, NULL, &result, err));
    assert_int_equal(result.outcome, AKIN_PUT_UPDATED);
    assert_false(is_in_table(p, 2, &hashes[1].whole));
    assert_true(is_in_table(p, 3, &hashes[1].whole));
    item = (akin_item_input){.id = akin_span_of("3"),
                             .attributes = akin_span_of("{\"a\":1}")};
    must(akin_engine_put(p->engine, "c", &item, 1,
                         &(akin_put_options){.replace = true}, &result, err));
    assert_int_equal(result.outcome, AKIN_PUT_UPDATED);
    assert_false(is_in_table(p, 3, &hashes[1].whole));
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_groups),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_apart),
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_hashes_of_what_is_gone),
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_keep_long),
        cmocka_unit_test_setup_teardown(test_levels, setup, place_close),
        cmocka_unit_test_setup_teardown(test_dismissed_later, setup,
                                        place_close),
        cmocka_unit_test_setup_teardown(test_blank, setup, place_close),
        cmocka_unit_test_setup_teardown(test_hashes_follow_the_items, setup,
                                        place_close),
        cmocka_unit_test_setup_teardown(test_pages, setup, place_close)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

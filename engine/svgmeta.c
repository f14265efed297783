/* What a drawing says about itself: Dublin Core metadata inside the SVG
 * (dc:title, and dc:subject as keywords in rdf:li), as Inkscape and the Open
 * Clip Art Library write it. Read with expat, which streams, needs no memory to
 * speak of and limits entity expansion by itself; we define no entities anyway.
 *
 * Only the metadata of the work itself counts: publisher, creator and rights
 * carry a dc:title of their own (the agent's name). */
#include "internal.h"

#include <expat.h>
#include <limits.h>
#include <string.h>

#define MAX_CAPTION  2000 /* bytes; some drawings carry whole paragraphs */
#define MAX_KEYWORDS 64

#define DC  "http://purl.org/dc/elements/1.1/"
#define RDF "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

typedef enum { NOTHING, TITLE, KEYWORD } field;

typedef struct {
    XML_Parser parser;
    unsigned depth;       /* elements open */
    unsigned other_depth; /* of the publisher, creator ... we are in; 0: none */
    unsigned subject_depth;
    field field;
    unsigned field_depth;
    akin_buf text;    /* of the field */
    akin_buf caption; /* so far */
    unsigned keywords;
} reading;

static bool is(const XML_Char *name, const char *space, const char *local)
{
    size_t n = strlen(space);
    return !strncmp(name, space, n) && name[n] == ' ' &&
           !strcmp(name + n + 1, local);
}

static void XMLCALL on_start(void *user, const XML_Char *name,
                             const XML_Char **attributes)
{
    reading *r = user;
    (void)attributes;
    r->depth++;
    if (r->depth > 1000) XML_StopParser(r->parser, XML_FALSE);
    if (r->other_depth || r->field) return;
    if (is(name, DC, "publisher") || is(name, DC, "creator") ||
        is(name, DC, "rights") || is(name, DC, "contributor"))
        r->other_depth = r->depth;
    else if (is(name, DC, "subject"))
        r->subject_depth = r->depth;
    else if (is(name, DC, "title"))
        r->field = TITLE;
    else if (is(name, RDF, "li") && r->subject_depth)
        r->field = KEYWORD;
    if (!r->field) return;
    r->field_depth = r->depth;
    r->text.size = 0;
}

/* Appends the field's text with white space joined to single blanks. */
static void add_field(reading *r)
{
    const char *p = (const char *)r->text.data;
    size_t begin = r->caption.size;

    for (size_t i = 0; i < r->text.size; i++) {
        bool blank = strchr(" \t\r\n", p[i]) != NULL;
        bool at_start = r->caption.size == begin;
        if (blank && (at_start || r->caption.data[r->caption.size - 1] == ' '))
            continue;
        if (at_start && begin) {
            akin_buf_text(&r->caption, ", ");
            begin += 2;
        }
        akin_buf_append(&r->caption, blank ? " " : p + i, 1);
    }
    while (r->caption.size > begin &&
           r->caption.data[r->caption.size - 1] == ' ')
        r->caption.size--;
}

static void XMLCALL on_end(void *user, const XML_Char *name)
{
    reading *r = user;
    (void)name;
    if (r->field && r->depth == r->field_depth) {
        /* the title stands first; a second one is of something else */
        if (r->field == TITLE ? !r->caption.size : r->keywords < MAX_KEYWORDS)
            add_field(r);
        if (r->field == KEYWORD) r->keywords++;
        r->field = NOTHING;
    }
    if (r->depth == r->other_depth) r->other_depth = 0;
    if (r->depth == r->subject_depth) r->subject_depth = 0;
    r->depth--;
}

static void XMLCALL on_text(void *user, const XML_Char *text, int n)
{
    reading *r = user;
    if (r->field && r->text.size < MAX_CAPTION)
        akin_buf_append(&r->text, text, (size_t)n);
}

/* Cut to MAX_CAPTION without splitting a character. */
static char *finish(akin_buf *caption)
{
    size_t n = caption->size;
    if (caption->failed || !n) return NULL;
    if (n > MAX_CAPTION) {
        n = MAX_CAPTION;
        while (n && (caption->data[n] & 0xc0) == 0x80)
            n--;
    }
    return akin_strndup((const char *)caption->data, n);
}

char *akin__svg_caption(akin_span bytes)
{
    char *caption = NULL;
    reading r = {.parser = XML_ParserCreateNS(NULL, ' ')};

    if (!r.parser || bytes.size > INT_MAX) goto done;
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    /* A drawing that is damaged further on may still say what it is. */
    (void)XML_Parse(r.parser, bytes.data, (int)bytes.size, XML_TRUE);
    caption = finish(&r.caption);
done:
    if (r.parser) XML_ParserFree(r.parser);
    akin_buf_clear(&r.text);
    akin_buf_clear(&r.caption);
    return caption;
}

char *akin__filename_caption(const char *path)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    const char *dot = strrchr(name, '.');
    size_t n = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    char *caption = akin_strndup(name, n);
    for (size_t i = 0; caption && i < n; i++)
        if (strchr("_-.+", caption[i])) caption[i] = ' ';
    return caption;
}

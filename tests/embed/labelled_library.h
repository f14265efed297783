/* A labelled library of duplicates, made from real pictures: originals, copies
 * of them changed in known ways at known strengths, and beside them the other
 * pictures of the same folders (another photograph of the same thing, a drawing
 * of the same kind) that must not be taken for duplicates. */
#ifndef LABELLED_LIBRARY_H
#define LABELLED_LIBRARY_H

#include "akin_embed.h"

typedef struct {
    const char *source; /* a folder, looked through with those in it */
    size_t changed;     /* so many of its pictures, spread evenly, get copies */
    size_t most;        /* pictures taken, spread evenly; 0: all */
} labelled_source;

/* The kinds of copies, their folders' names; 0 is "copy", the same bytes. */
size_t labelled_changes(void);
const char *labelled_change_name(size_t change);

/* Writes OUT/original/NAME and OUT/CHANGE/NAME: pictures of JPEG, PNG and WebP
 * files as they are, drawings (SVG) rendered into PNG files of 512 pixels. NAME
 * is the source's folder and the path in it, '/' as '+'. Each changed picture gets `each` of
 * the kinds, all kinds equally often. Pictures that are pixel for pixel another
 * one, blank or unreadable are left out. false: what went wrong is on stderr. */
bool labelled_library_make(const labelled_source *sources, size_t n,
                           size_t each, const char *out);

#endif

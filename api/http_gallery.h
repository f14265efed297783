/* The gallery's files as the build embeds them (gallery_files.c, made by
 * api/gallery/embed.cmake). */
#ifndef AKIN_API_HTTP_GALLERY_H
#define AKIN_API_HTTP_GALLERY_H

#include <stddef.h>

typedef struct {
    const char *name, *type;
    const char *hash; /* of the contents, hex */
    const unsigned char *data;
    size_t size;
} akin_gallery_file;

const akin_gallery_file *akin__gallery_files(size_t *n);

#endif

/* A query put together from the command line, and its answer; shared by search,
 * similar and sheet. */
#ifndef AKIN_API_CLI_QUESTION_H
#define AKIN_API_CLI_QUESTION_H

#include "cli.h"

/* AKIN.SEARCH being written; files are kept until clear. Start from {0}. */
typedef struct {
    akin_words words;
    uint8_t *files[64];
    size_t nfiles, nterms;
    int code; /* of a failure that is not the command line's fault, or 0 */
} akin_question;

/* The command's name and collection. */
void akin_question_begin(akin_question *q, const akin_cli *cli);
void akin_question_text(akin_question *q, const char *words);
void akin_question_item(akin_question *q, const char *id);
/* Reads the file; false: said why not. */
bool akin_question_picture(akin_question *q, const char *path);
void akin_question_weight(akin_question *q, double weight);
/* --limit, --filter and the like; false: a wrong one, said so. */
bool akin_question_options(akin_question *q, const akin_cli *cli);
/* Asks; NULL: it failed, said so. For freeReplyObject. */
redisReply *akin_question_ask(akin_question *q, const akin_cli *cli);
void akin_question_clear(akin_question *q);

/* One line that says what matched, for tables and pages: caption and
 * attributes. Appended to out. */
void akin_match_line(const redisReply *match, akin_buf *out);

/* ---- pages (cli_html.c) ------------------------------------------------------- */

void akin_html_begin(akin_buf *page, const char *title, const char *subtitle);
/* A heading (escaped), the picture asked with (bytes, or NULL), the matches of
 * an AKIN.SEARCH reply, with their thumbnails fetched through the link. link:
 * refer to the files instead. */
void akin_html_section(akin_buf *page, const akin_cli *cli, const char *heading,
                       akin_span picture, const redisReply *answer, bool link);
void akin_html_end(akin_buf *page);
/* Text, escaped; a picture that is read from its path when the page is shown. */
void akin_html_text(akin_buf *page, const char *text);
void akin_html_link(akin_buf *page, const char *path);
/* A picture in the page itself. */
void akin_html_picture(akin_buf *page, akin_span bytes);
/* Writes it; gives an exit code and frees the page's memory. */
int akin_html_save(akin_buf *page, const char *path);

#endif

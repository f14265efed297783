/* AKIN.MODEL: what the model is that embeds, and what its card says of it. */
#include <stdio.h>
#include <string.h>

#include "commands.h"

#define CARD_BYTES (1 << 20)

/* "license: cc-by-4.0" among the lines between "---" and "---" that a card on
 * Hugging Face begins with; out "": not said. */
static void find_licence(const char *card, char *out, size_t size)
{
    static const char key[] = "\nlicense:";
    const char *end, *at;

    out[0] = 0;
    if (strncmp(card, "---\n", 4) || !(end = strstr(card + 3, "\n---"))) return;
    at = strstr(card + 3, key);
    if (!at || at > end) return;
    at += sizeof key - 1;
    at += strspn(at, " \"'");
    snprintf(out, size, "%.*s", (int)strcspn(at, "\"'\r\n"), at);
}

/* The model's README.md, if it has one; path "": none. */
static void find_card(const char *dir, char *path, size_t size, char *licence,
                      size_t licence_size)
{
    uint8_t *text = NULL;
    size_t n;

    licence[0] = 0;
    snprintf(path, size, "%s/README.md", dir);
    if (akin_file_read(path, CARD_BYTES, &text, &n, NULL))
        path[0] = 0;
    else
        find_licence((const char *)text, licence, licence_size);
    akin_free(text);
}

static void write_model(akin_reply *r, const akin_engine_model *m)
{
    char card[sizeof m->dir + 16], licence[64];
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"parameters", m->parameters},
                  {"dim", m->dim},
                  {"image_size", m->image_size},
                  {"patch", m->patch},
                  {"vision_layers", m->vision_layers},
                  {"vision_width", m->vision_width},
                  {"vision_heads", m->vision_heads},
                  {"context", m->context},
                  {"vocab", m->vocab},
                  {"text_layers", m->text_layers},
                  {"text_width", m->text_width},
                  {"text_heads", m->text_heads}};
    const size_t n = sizeof counts / sizeof *counts;

    find_card(m->dir, card, sizeof card, licence, sizeof licence);
    akin_reply_map(r, n + 11);
    akin_reply_row_text(r, "name", m->name);
    akin_reply_row_text(r, "directory", m->dir);
    akin_reply_row_text(r, "architecture", m->architecture);
    akin_reply_row_text(r, "weights", m->weights);
    for (size_t i = 0; i < n; i++)
        akin_reply_row_int(r, counts[i].name, counts[i].value);
    akin_reply_text(r, "tokenizer");
    akin_reply_bool(r, m->has_tokenizer);
    akin_reply_text(r, "logit_scale");
    akin_reply_double(r, (double)m->logit_scale);
    akin_reply_row_text(r, "precision", m->precision);
    akin_reply_text(r, "cosine");
    if (m->precision[0])
        akin_reply_double(r, (double)m->cosine);
    else
        akin_reply_null(r);
    akin_reply_row_text(r, "fingerprint", m->fingerprint);
    akin_reply_row_text(r, "card", card);
    akin_reply_row_text(r, "licence", licence);
}

akin_status akin_cmd_model(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_args args = akin_args_of(c, 1);
    akin_span collection = {0};
    akin_engine_model model;
    akin_status rc = AKIN_OK;

    if (akin_args_word(&args, "COLLECTION"))
        rc = akin_args_next(&args, "a collection", &collection, err);
    if (!rc && args.at < args.n) rc = akin_bad_option(args.argv[args.at], err);
    if (!rc && collection.data)
        rc = akin_collection_name(collection, name, err);
    if (!rc)
        rc = akin_engine_model_info(c->service->engine,
                                    collection.data ? name : NULL, &model, err);
    if (!rc) write_model(c->reply, &model);
    return rc;
}

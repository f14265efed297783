/* akin model: what a model directory holds, as read by the encoder; so also
 * whether it can be read. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cli.h"

int akin_cli_model_check(akin_cli *cli)
{
    akin_error err;
    if (!cli->argc) return AKIN_EXIT_OK;
    if (akin_cli_has(cli, "collection") || akin_cli_has(cli, "connect"))
        return akin_cli_usage(cli, "DIR is read here; it does not go with "
                                   "--collection and --connect");
    if (akin_config_set(cli->config, "model", cli->argv[0], &err))
        return akin_cli_status(&err);
    return AKIN_EXIT_OK;
}

/* An encoder is opened, and its precision chosen, when something is embedded. */
static redisReply *ask(const akin_cli *cli)
{
    akin_words words = {0};
    redisReply *warm, *model = akin_model_ask(cli);

    if (!model || *akin_field_text(model, "precision") ||
        !akin_field_int(model, "tokenizer"))
        return model;
    akin_words_add(&words, "AKIN.EMBED");
    akin_words_add(&words, "TEXT");
    akin_words_add(&words, "a");
    akin_model_words(cli, &words);
    warm = akin_words_ask(cli->link, &words);
    akin_words_clear(&words);
    freeReplyObject(model);
    if (!warm) return NULL;
    freeReplyObject(warm);
    return akin_model_ask(cli);
}

static void print_model(const akin_cli *cli, const redisReply *m)
{
    static const char *const texts[] = {"licence", "card", "fingerprint"};
    const char *precision = akin_field_text(m, "precision");
    int64_t side = akin_field_int(m, "image_size");
    double cosine = akin_field_real(m, "cosine");
    char number[32];

    akin_print_field(cli, "name", "%s", akin_field_text(m, "name"));
    akin_print_field(cli, "directory", "%s", akin_field_text(m, "directory"));
    akin_print_field(
        cli, "kind", "%s, %s parameters in %s",
        akin_field_text(m, "architecture"),
        akin_thousands((uint64_t)akin_field_int(m, "parameters"), number),
        akin_field_text(m, "weights"));
    akin_print_field(
        cli, "pictures",
        "%" PRId64 " x %" PRId64 " in patches of %" PRId64 ", %" PRId64
        " layers of width %" PRId64 ", %" PRId64 " heads",
        side, side, akin_field_int(m, "patch"),
        akin_field_int(m, "vision_layers"), akin_field_int(m, "vision_width"),
        akin_field_int(m, "vision_heads"));
    if (akin_field_int(m, "tokenizer"))
        akin_print_field(
            cli, "words",
            "%" PRId64 " tokens, of %s; %" PRId64 " layers of width %" PRId64
            ", %" PRId64 " heads",
            akin_field_int(m, "context"),
            akin_thousands((uint64_t)akin_field_int(m, "vocab"), number),
            akin_field_int(m, "text_layers"), akin_field_int(m, "text_width"),
            akin_field_int(m, "text_heads"));
    else
        akin_print_field(cli, "words", "none: its tokenizer is not read");
    akin_print_field(cli, "embedding", "%" PRId64 " numbers",
                     akin_field_int(m, "dim"));
    akin_print_field(cli, "logit scale", "%.2f",
                     akin_field_real(m, "logit_scale"));
    if (*precision)
        akin_print_field(cli, "computes in",
                         "%s, lowest cosine to float32 %.4f", precision,
                         isnan(cosine) ? 1 : cosine);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (*akin_field_text(m, texts[i]))
            akin_print_field(cli, texts[i], "%s", akin_field_text(m, texts[i]));
}

int akin_cli_model(akin_cli *cli)
{
    char *scratch = NULL;
    akin_error err;
    int code = AKIN_EXIT_OK;

    if (akin_model_link_open(cli, &scratch, &err)) {
        code = akin_cli_status(&err);
    } else {
        redisReply *model = ask(cli);
        if (model && cli->json)
            akin_reply_print_json(model, "tokenizer", "logit_scale,cosine");
        else if (model)
            print_model(cli, model);
        else
            code = AKIN_EXIT_CANNOT;
        freeReplyObject(model);
    }
    akin_model_link_close(cli, scratch);
    return code;
}

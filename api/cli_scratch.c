/* A data directory that is there while a command runs: for what needs a model
 * and no data. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* ---- a model and nothing else ------------------------------------------------ */

bool akin_model_is_elsewhere(const akin_cli *cli)
{
    const char *connect = getenv("AKIN_CONNECT");
    return akin_cli_has(cli, "collection") || akin_cli_has(cli, "connect") ||
           (connect && *connect);
}

akin_status akin_model_link_open(akin_cli *cli, char **scratch, akin_error *err)
{
    akin_link_options options = {.config = cli->config, .write = true};

    *scratch = NULL;
    if (akin_model_is_elsewhere(cli))
        return akin_cli_connect(cli, false, &cli->link, err);
    akin_status rc = akin_dir_temporary("akin", scratch, err);
    options.data = *scratch;
    return rc ? rc : akin_link_open(&options, &cli->link, err);
}

void akin_model_link_close(akin_cli *cli, char *scratch)
{
    akin_link_close(cli->link);
    cli->link = NULL;
    if (scratch) (void)akin_dir_remove(scratch, NULL);
    akin_free(scratch);
}

void akin_model_words(const akin_cli *cli, akin_words *words)
{
    if (!akin_cli_has(cli, "collection")) return;
    akin_words_add(words, "COLLECTION");
    akin_words_add(words, cli->collection);
}

redisReply *akin_model_ask(const akin_cli *cli)
{
    akin_words words = {0};
    akin_words_add(&words, "AKIN.MODEL");
    akin_model_words(cli, &words);
    redisReply *model = akin_words_ask(cli->link, &words);
    akin_words_clear(&words);
    return model;
}

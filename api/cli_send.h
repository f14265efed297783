/* Sending pictures to a server; used by akin add. */
#ifndef AKIN_API_CLI_SEND_H
#define AKIN_API_CLI_SEND_H

#include "cli.h"

/* Sends what ingesting `what` here would read; *out gets its progress. Prints
 * what failed. Gives an exit code. */
int akin_cli_send(akin_cli *cli, const akin_ingest *what, akin_report *out);

#endif

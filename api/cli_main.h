/* What main calls. */
#ifndef AKIN_API_CLI_MAIN_H
#define AKIN_API_CLI_MAIN_H

/* Runs one command line and gives the exit code. Prints. */
int akin_cli_main(int argc, char **argv);

#endif

/* The program akin. */
#include <locale.h>
#include <signal.h>

#include "cli_main.h"

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* numbers stay as C writes them */
    signal(SIGPIPE, SIG_IGN);
    return akin_cli_main(argc, argv);
}

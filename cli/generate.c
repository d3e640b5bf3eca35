/*
 * Writes what is made from the table of commands and from the schema of the configuration to
 * standard output: turnpikectl-reference bash | zsh | fish, or man PAGE, a page of scdoc see
 * manual.h. The build runs it.
 */
#include <stdio.h>
#include <string.h>

#include "cli/completions.h"
#include "cli/manual.h"

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int r = 0;
    if (strcmp(what, "bash") == 0) {
        completions_write_bash(stdout);
    } else if (strcmp(what, "zsh") == 0) {
        completions_write_zsh(stdout);
    } else if (strcmp(what, "fish") == 0) {
        completions_write_fish(stdout);
    } else if (strcmp(what, "man") == 0 && argc == 3) {
        r = manual_write(stdout, argv[2]);
    } else {
        fputs("usage: turnpikectl-reference bash | zsh | fish | man PAGE\n", stderr);
        return 2;
    }
    if (r < 0) {
        fprintf(stderr, "turnpikectl-reference: %s: %s\n", argv[argc - 1], strerror(-r));
    }
    return r < 0 || fflush(stdout) != 0;
}

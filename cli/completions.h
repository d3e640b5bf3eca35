/* What shells complete, made from the table of commands. */
#ifndef CLI_COMPLETIONS_H
#define CLI_COMPLETIONS_H

#include <stdio.h>

/* A file for /usr/share/bash-completion/completions, zsh's site-functions (as _turnpikectl), and
 * fish's vendor_completions.d. */
void completions_write_bash(FILE *out);
void completions_write_zsh(FILE *out);
void completions_write_fish(FILE *out);

#endif

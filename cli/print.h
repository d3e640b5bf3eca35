/* Text of others, made fit for a terminal. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* The string, in `width` columns at least, and at most where `cut`. What a terminal would obey or
 * not show is escaped. */
void cli_print_text(FILE *out, const json_t *json, size_t width, bool cut);

#endif

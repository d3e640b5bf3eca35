/* Allocations, a page at a time, as /api/v1/sessions gives them. */
#ifndef CLI_SESSION_PAGES_H
#define CLI_SESSION_PAGES_H

#include <jansson.h>

#include "cli/command.h"

/*
 * The page at the `cursor` of `asked`, the question's object, which it moves on. CLI_GOES_ON: there
 * is another; CLI_DONE: that was the last; else the exit code, with the line said. *sessions is an
 * array, the caller's, with the first two only.
 */
int cli_session_page(const struct cli_options *options, json_t *asked, json_t **sessions);

#endif

/* Asks for the pages of /api/v1/sessions. Called by sessions.c and top.c. */
#include "cli/session_pages.h"

#include <stdio.h>
#include <stdlib.h>

/* Takes the body. */
static int read_page(char *text, json_t *asked, json_t **sessions)
{
    json_t *page = json_loads(text, JSON_ALLOW_NUL, NULL);
    json_t *next = json_object_get(page, "next"), *list = json_object_get(page, "sessions");
    const bool last = json_is_null(next);
    int code = CLI_UNREACHABLE;
    free(text);
    if (!json_is_array(list) ||
        !(last || (json_is_integer(next) && !json_equal(next, json_object_get(asked, "cursor"))))) {
        fputs("turnpikectl: what answers there is not turnpike\n", stderr);
    } else if (!last && json_object_set(asked, "cursor", next) < 0) {
        fputs("turnpikectl: out of memory\n", stderr);
        code = CLI_REFUSED;
    } else {
        *sessions = json_incref(list);
        code = last ? CLI_DONE : CLI_GOES_ON;
    }
    json_decref(page);
    return code;
}

int cli_session_page(const struct cli_options *options, json_t *asked, json_t **sessions)
{
    char *body = json_dumps(asked, JSON_COMPACT), *text;
    if (!body) {
        fputs("turnpikectl: out of memory\n", stderr);
        return CLI_REFUSED;
    }
    const int code = cli_post(options, "/api/v1/sessions", slice_of_string(body), &text);
    free(body);
    return code == CLI_DONE ? read_page(text, asked, sessions) : code;
}

/*
 * Problem details. Handlers go on to write one line of text and return a status; what clients get
 * is made of it here. There are no problem types of our own: the status and the line say
 * everything. Called by server.c.
 */
#include "admin/problem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The phrases of RFC 9110 section 15, and of RFC 4918 section 11.5 (507) and RFC 6585 section 4
 * (429). */
const char *admin_problem_title(unsigned status)
{
    static const struct {
        unsigned status;
        const char *title;
    } known[] = {{400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"},
        {404, "Not Found"}, {405, "Method Not Allowed"}, {409, "Conflict"},
        {413, "Content Too Large"}, {415, "Unsupported Media Type"}, {422, "Unprocessable Content"},
        {429, "Too Many Requests"}, {500, "Internal Server Error"}, {501, "Not Implemented"},
        {503, "Service Unavailable"}, {507, "Insufficient Storage"}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].status == status) {
            return known[i].title;
        }
    }
    return "Error";
}

char *admin_problem_take(unsigned status, char *line, size_t *len)
{
    size_t first = 0;
    while (line && first < *len && line[first] != '\n') {
        first++;
    }
    char *text = NULL;
    size_t text_len = 0;
    FILE *out = open_memstream(&text, &text_len);
    json_t *json = json_pack("{s:s, s:s, s:i}", "type", "about:blank", "title",
        admin_problem_title(status), "status", (int)status);
    if (first > 0) {
        /* NULL, of what is no UTF-8, is not set. */
        (void)json_object_set_new(json, "detail", json_stringn(line, first));
    }
    bool good = json && out && json_dumpf(json, out, JSON_INDENT(2)) == 0 && fputc('\n', out) > 0;
    json_decref(json);
    free(line);
    good = out && fclose(out) == 0 && good;
    if (!good) {
        free(text);
        text = NULL;
    }
    *len = text ? text_len : 0;
    return text;
}

/* What handlers that speak JSON share: answers at once and later, and the object of a body. Control
 * thread. */
#ifndef ADMIN_JSON_ANSWER_H
#define ADMIN_JSON_ANSWER_H

#include <jansson.h>

#include "admin/route.h"

/* Bytes of a name: "fewer than 509 bytes" (RFC 8489 section 14.3), "as long as 763 bytes when
 * decoding" (section 14.9). */
#define ADMIN_USER_MAX  508
#define ADMIN_REALM_MAX 763

/* Takes `json`; NULL: memory was too short for it. Returns the status, 200 or 500. */
unsigned admin_json_write(json_t *json, FILE *out);
/* Why not, in one line of text. Returns `status`. */
unsigned admin_json_refuse(FILE *out, unsigned status, const char *why);
/* The same for an answer that comes later, which this is. */
void admin_json_answer(struct admin_later *l, json_t *json);
void admin_json_answer_compact(struct admin_later *l, json_t *json); /* in one line */
void admin_json_answer_refused(struct admin_later *l, unsigned status, const char *why);

/* As admin_handler_fn, with the object that the body is. */
typedef unsigned admin_json_fn(const struct admin_request *request, const json_t *json, FILE *out);
/* Has it served, or says 400. */
unsigned admin_json_serve(const struct admin_request *request, FILE *out, admin_json_fn *serve);

#endif

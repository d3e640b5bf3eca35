/*
 * The resources of the admin server: one row each, one file each. Who may ask for what is decided
 * here and nowhere else. Pure: no sockets, no library.
 */
#ifndef ADMIN_ROUTE_H
#define ADMIN_ROUTE_H

#include <stdio.h>

#include "admin/ops.h"
#include "base/secret.h"

enum admin_method { ADMIN_GET, ADMIN_HEAD, ADMIN_POST, ADMIN_OTHER_METHOD };

/* A request as it came in; everything borrowed. */
struct admin_question {
    enum admin_method method;
    struct slice path;          /* decoded, without arguments */
    struct slice host;          /* empty: none, or too long to be one of ours */
    struct slice authorization; /* likewise */
    bool has_body;
    bool local;   /* over the unix socket */
    bool trusted; /* of a local one: its process runs as root or as we do */
};

struct admin_request {
    const struct admin_ops *ops;
    const struct admin_question *question;
};

/* Writes the body; returns the HTTP status. */
typedef unsigned admin_handler_fn(const struct admin_request *request, FILE *out);

struct admin_route {
    enum admin_method method; /* HEAD is answered where GET is */
    const char *path;
    bool needs_token; /* over TCP: a bearer token, and a Host that is a name of this machine */
    const char *type; /* of the body */
    admin_handler_fn *handle;
};

extern const struct admin_route admin_routes[];
extern const size_t admin_route_count;

/*
 * 200 with *route the row to serve; or the status to refuse with: 404, 405, 413 (no resource takes
 * a body yet), 403, 401. The token is compared in constant time; an empty one lets nobody in.
 */
unsigned admin_route_judge(
    const struct admin_question *q, const struct secret *token, const struct admin_route **route);
/* A line for people: why a status was given. */
const char *admin_status_text(unsigned status);

/* metrics.c, health.c, status.c */
admin_handler_fn admin_get_metrics, admin_get_live, admin_get_ready, admin_get_status;

#endif

/*
 * The resources of the admin server: one row each, one file each. Who may ask for what is decided
 * here and nowhere else. Pure: no sockets, no library.
 */
#ifndef ADMIN_ROUTE_H
#define ADMIN_ROUTE_H

#include <stdio.h>

#include "admin/later.h"
#include "admin/ops.h"
#include "admin/peer.h"
#include "base/secret.h"

enum admin_method { ADMIN_GET, ADMIN_HEAD, ADMIN_POST, ADMIN_OTHER_METHOD };

/* A request as it came in; everything borrowed. */
struct admin_question {
    enum admin_method method;
    struct slice path;          /* decoded, without arguments */
    struct slice host;          /* empty: none, or too long to be one of ours */
    struct slice authorization; /* likewise */
    struct slice content_type;  /* likewise */
    bool has_body;
    size_t body_len; /* as Content-Length says; 0: it says nothing that is a number */
    struct admin_peer peer;
};

/* What of the configuration decides who may ask over TCP. Borrowed. */
struct admin_access {
    const struct secret *token; /* empty: none lets anybody in */
    char *const *hosts; /* DNS names, or addresses without brackets, beside this machine's */
    size_t host_count;
};

/* Of all bodies; they are read whole before a handler sees them. */
#define ADMIN_BODY_MAX 8192

struct admin_request {
    const struct admin_ops *ops;
    struct slice body; /* borrowed, and wiped when the handler has returned */
    /* Where `answers_later`: of this request; else NULL. */
    struct admin_later *later;
};

/* What a handler returns that will call admin_later_answer, or has done so. */
#define ADMIN_LATER 0
/* Writes the body, an error's as one line of text; returns the HTTP status. */
typedef unsigned admin_handler_fn(const struct admin_request *request, FILE *out);

struct admin_route {
    enum admin_method method; /* HEAD is answered where GET is */
    const char *path;
    bool needs_token; /* over TCP: a bearer token or a client certificate, and a Host of ours */
    const char *type; /* of the answer's body */
    admin_handler_fn *handle;
    bool takes_body;    /* JSON, and of 1 byte at least */
    bool answers_later; /* admin_request.later is set */
    bool secrets;       /* the answer holds credentials: to a secure peer only */
};

extern const struct admin_route admin_routes[];
extern const size_t admin_route_count;

/*
 * 200 with *route the row to serve; or the status to refuse with: 404, 405, 403, 401, 415 (a body
 * that does not say it is JSON: a page that a browser shows cannot say so without asking first),
 * 400 (no length), 413 (too long, or not wanted). The token is compared in constant time.
 */
unsigned admin_route_judge(const struct admin_question *q, const struct admin_access *access,
    const struct admin_route **route);
/* The part of it that asks who is there: 200, 401 or 403. */
unsigned admin_route_judge_peer(const struct admin_question *q, const struct admin_access *access,
    const struct admin_route *route);
/* A bearer token was sent, whatever it is. */
bool admin_route_has_token(struct slice authorization);
/* The path is of the API, whose refusals are problem details. */
bool admin_route_is_api(struct slice path);
/* What a 405 for this path allows, for its header. */
const char *admin_route_allowed(struct slice path);
/* A line for people: why a status was given. */
const char *admin_status_text(unsigned status);

/* metrics.c, health.c, status.c, revocations.c, explain.c, limits.c, srtp_keys.c, sessions.c,
 * kick.c, configuration.c, log_level.c, credentials.c, openapi.c */
admin_handler_fn admin_get_metrics, admin_get_live, admin_get_ready, admin_get_status;
admin_handler_fn admin_post_revocations, admin_post_explain, admin_post_limits;
admin_handler_fn admin_post_srtp_keys, admin_post_sessions, admin_post_kick;
admin_handler_fn admin_get_config, admin_get_log_level, admin_post_log_level;
admin_handler_fn admin_post_credentials, admin_get_openapi;
admin_handler_fn admin_post_reload, admin_get_drain, admin_post_drain;

#endif

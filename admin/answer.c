/*
 * How an answer is written. It goes to the socket whole, says that nobody is to keep it, and that
 * the connection ends with it. Called by server.c.
 */
#include "admin/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"

#define HEAD_MAX 1024

static int add_header(
    struct lws *wsi, const char *name, const char *value, uint8_t **p, uint8_t *end)
{
    return lws_add_http_header_by_name(
        wsi, (const uint8_t *)name, (const uint8_t *)value, (int)strlen(value), p, end);
}

/* "All challenges … MUST use the auth-scheme value "Bearer". This scheme MUST be followed by one or
 * more auth-param values." "If the request lacks any authentication information …, the resource
 * server SHOULD NOT include an error code" (RFC 6750 section 3). */
static const char *challenge(const struct admin_answer *a)
{
    return a->token_refused ? "Bearer realm=\"turnpike\", error=\"invalid_token\""
                            : "Bearer realm=\"turnpike\"";
}

static int add_headers(struct lws *wsi, const struct admin_answer *a, uint8_t **p, uint8_t *end)
{
    char length[24], date[CLOCK_UTC_MAX];
    snprintf(length, sizeof(length), "%zu", a->len);
    /* "An origin server with a clock … MUST generate a Date header field in all 2xx (Successful),
     * 3xx (Redirection), and 4xx (Client Error) responses" (RFC 9110 section 6.6.1). */
    return lws_add_http_header_status(wsi, a->status, p, end) ||
           add_header(wsi, "date:", clock_http_text(a->wall_s, date), p, end) ||
           add_header(wsi, "content-type:", a->type, p, end) ||
           add_header(wsi, "content-length:", length, p, end) ||
           add_header(wsi, "cache-control:", "no-store", p, end) ||
           add_header(wsi, "x-content-type-options:", "nosniff", p, end) ||
           (a->status == 401 && add_header(wsi, "www-authenticate:", challenge(a), p, end)) ||
           (a->again && add_header(wsi, "retry-after:", "1", p, end)) ||
           (a->status == 405 && add_header(wsi, "allow:", a->allowed, p, end)) ||
           add_header(wsi, "connection:", "close", p, end) || lws_finalize_http_header(wsi, p, end);
}

int admin_answer_send(struct lws *wsi, const struct admin_answer *a)
{
    uint8_t *room = malloc(LWS_PRE + HEAD_MAX + a->len);
    if (!room) {
        return -1;
    }
    uint8_t *start = room + LWS_PRE, *p = start;
    int r = add_headers(wsi, a, &p, start + HEAD_MAX) ? -1 : 0;
    if (r == 0 && !a->headers_only && a->len > 0) {
        memcpy(p, a->body, a->len);
        p += a->len;
    }
    if (r == 0 && lws_write(wsi, start, (size_t)(p - start), LWS_WRITE_HTTP) < (int)(p - start)) {
        r = -1;
    }
    secret_cleanse(room, LWS_PRE + HEAD_MAX + a->len); /* it may hold a password */
    free(room);
    return r;
}

void admin_answer_discard_input(struct lws *wsi)
{
    char room[4096];
    for (int i = 0; i < 16 && read(lws_get_socket_fd(wsi), room, sizeof(room)) > 0; i++) {
    }
}

/*
 * HTTP/1.1 over libwebsockets, which joins the control thread's loop and does not listen: accepted
 * connections are handed to it. One request a connection. Control thread.
 */
#ifndef ADMIN_SERVER_H
#define ADMIN_SERVER_H

#include <uv.h>

#include "admin/route.h"

/* Open at once; over it the oldest that has not asked yet is closed for the new one. */
#define ADMIN_TCP_CONNECTIONS   64
#define ADMIN_LOCAL_CONNECTIONS 16
/* From accepting to the whole request, and from the answer to its last byte. */
#define ADMIN_REQUEST_S  5
#define ADMIN_RESPONSE_S 10
/* For an answer that is made elsewhere, to the second that the clock ticks in; then it is 503. */
#define ADMIN_LATER_S 3
/* Bytes of all headers together. */
#define ADMIN_HEADERS_MAX 4096

struct admin_server;

/*
 * `ops` and `access` are borrowed for life; what `access` says may change between requests. 0;
 * -ENOMEM; -EMFILE and the like; -ENOSYS: the library cannot use libuv (on Debian its package
 * libwebsockets-evlib-uv is missing), or has no memory to load it. Where *out is made nevertheless
 * it has to be closed and freed as any other.
 */
int admin_server_new(struct admin_server **out, uv_loop_t *loop, const struct admin_ops *ops,
    const struct admin_access *access);
/* Takes `fd` over, in clear. `since_us`: its deadline is counted from there. */
void admin_server_accept(
    struct admin_server *s, int fd, const struct admin_peer *peer, uint64_t since_us);
/* Closes what is late. Once a second. */
void admin_server_tick(struct admin_server *s, uint64_t now_us);
/* Closes everything; the loop must run on until nothing is left in it. */
void admin_server_close(struct admin_server *s);
/* After that, before the loop is closed. NULL is fine. */
void admin_server_free(struct admin_server *s);
/* Instead of it, where something is left in the loop and it will not run again. NULL is fine. */
void admin_server_leave(struct admin_server *s);

#endif

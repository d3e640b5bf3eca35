/*
 * Where admin clients come in: one TCP socket, one unix socket. Control thread. Nothing
 * here knows HTTP.
 */
#ifndef ADMIN_LISTEN_H
#define ADMIN_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <uv.h>

#include "admin/peer.h"

struct admin_listen;

/* An accepted connection, non-blocking; the callee owns `fd`. `peer` is borrowed, in clear and
 * without a certificate. */
typedef void admin_accept_fn(void *ctx, int fd, const struct admin_peer *peer);

struct admin_listen_on {
    uv_loop_t *loop;
    admin_accept_fn *accept;
    void *ctx;
    /* See admin_ops. */
    int (*given)(void *ctx, const struct addr *addr, const char *path);
    void *given_ctx;
};

/* A TCP listener; one that was given is taken as it is. 0, or -errno. */
int admin_listen_tcp(
    struct admin_listen **out, const struct admin_listen_on *on, const struct addr *addr);
/*
 * A unix socket of mode 0660; one that was given keeps its mode, and its file. Else a file that
 * nobody listens behind is left over and replaced; it goes again at the end. 0; -EADDRINUSE:
 * another process listens there; -ENAMETOOLONG; -ENOTSOCK: the path is something else; or -errno.
 */
int admin_listen_unix(
    struct admin_listen **out, const struct admin_listen_on *on, const char *path);
/* Polls again after accepting has failed, for want of descriptors mostly: once a second. */
void admin_listen_resume(struct admin_listen *l);
/* Stops at once; memory is freed when the loop has run the close callback. NULL is fine. */
void admin_listen_close(struct admin_listen *l);

#endif

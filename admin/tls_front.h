/*
 * TLS in front of the admin server: each connection is unsealed here, with the policy of tls/, and
 * handed on in clear through a pair of sockets once its handshake is complete. libwebsockets never
 * sees a key: for a server it takes no SSL_CTX of ours (only `provided_client_ssl_ctx`, for its
 * client). Control thread.
 */
#ifndef ADMIN_TLS_FRONT_H
#define ADMIN_TLS_FRONT_H

#include <uv.h>

#include "admin/peer.h"
#include "base/counters.h"
#include "tls/context.h"

/* At once, in their handshake: over it the oldest of the /24 or /64 that has most of them is closed
 * for the new one. So is, over the smaller number, the oldest of its own. */
#define ADMIN_TLS_HANDSHAKES            64
#define ADMIN_TLS_HANDSHAKES_OF_NETWORK 32
/* Of all kinds. */
#define ADMIN_TLS_CONNECTIONS 160
/* Descriptors of them all, beside those of the plain server: both ends of what it unseals between.
 */
#define ADMIN_TLS_FILES (2 * ADMIN_TLS_CONNECTIONS)
/* A client that has been told the end has so long to say so too. */
#define ADMIN_TLS_LINGER_S 2

struct admin_tls_front;

struct admin_tls_front_on {
    uv_loop_t *loop;
    struct counters *own;
    /* The plain end of a connection whose handshake is complete; the callee owns `fd`. Its deadline
     * counts from `since_us`, when it was accepted. */
    void (*open)(void *ctx, int fd, const struct admin_peer *peer, uint64_t since_us);
    void *ctx;
};

/* What holds for one connection. */
struct admin_tls_terms {
    struct tls_context *context; /* a reference is taken */
    bool clients_known, clients_required;
};

/* NULL: no memory. */
struct admin_tls_front *admin_tls_front_new(const struct admin_tls_front_on *on);
/* Takes `fd` over. */
void admin_tls_front_accept(struct admin_tls_front *f, int fd, const struct admin_peer *peer,
    const struct admin_tls_terms *terms, uint64_t now_us);
/* Closes what is late. Once a second. */
void admin_tls_front_tick(struct admin_tls_front *f, uint64_t now_us);
/* Closes everything; the loop must run on until nothing is left in it. NULL is fine. */
void admin_tls_front_close(struct admin_tls_front *f);
/* After that. NULL is fine. */
void admin_tls_front_free(struct admin_tls_front *f);

#endif

/* One TLS connection of the admin server. Internal to tls_front.c. */
#ifndef ADMIN_TLS_LINK_H
#define ADMIN_TLS_LINK_H

#include "admin/tls_front.h"

/* In the order in which a connection goes through them; any may be the last. */
enum admin_tls_state {
    ADMIN_TLS_SHAKING, /* nothing of it is handed on yet */
    ADMIN_TLS_OPEN,    /* the server has the plain end */
    ADMIN_TLS_ENDING,  /* what is left is sent, then close_notify and FIN */
    ADMIN_TLS_LINGERING
};

struct admin_tls_link;

/* Called once, when the link is gone for its owner; its memory goes with the loop. */
typedef void admin_tls_gone_fn(void *ctx, struct admin_tls_link *link);

struct admin_tls_link_on {
    const struct admin_tls_front_on *front; /* borrowed for life */
    admin_tls_gone_fn *gone;
    void *ctx;
};

/* Takes `fd` over in any case. NULL: no memory. */
struct admin_tls_link *admin_tls_link_new(const struct admin_tls_link_on *on, int fd,
    const struct admin_peer *peer, const struct admin_tls_terms *terms, uint64_t now_us);
enum admin_tls_state admin_tls_link_state(const struct admin_tls_link *l);
const struct admin_peer *admin_tls_link_peer(const struct admin_tls_link *l);
/* When its state began, or its answer. */
uint64_t admin_tls_link_since(const struct admin_tls_link *l);
/* True while an answer is on its way that the client does not read. */
bool admin_tls_link_answering(const struct admin_tls_link *l);
/* At once, without a word to the client. */
void admin_tls_link_drop(struct admin_tls_link *l);

#endif

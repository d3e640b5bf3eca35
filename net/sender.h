/* The outbox's way out: each entry to what carries its transport. */
#ifndef NET_SENDER_H
#define NET_SENDER_H

#include "net/connections.h"
#include "net/dtls_sessions.h"
#include "net/udp_out.h"

/* All borrowed for life. */
struct sender {
    struct io *io;
    struct udp_out *udp;             /* peers, and clients over UDP */
    struct connections *connections; /* clients over TCP and TLS */
    struct dtls_sessions *dtls;      /* clients over DTLS */
};

/* The outbox's `send`, with a struct sender as ctx. Every entry is counted once: sent, or dropped
 * with its reason. */
void sender_send(void *ctx, struct outbox *outbox);

#endif

/*
 * A client's connection to a listener, over any transport: whole messages out and in. Blocks, up to
 * the time that each call is given. Certificates are not judged here.
 */
#ifndef CLI_TURN_LINK_H
#define CLI_TURN_LINK_H

#include "base/addr.h"
#include "base/slice.h"
#include "base/transport.h"

struct turn_link;

/* Connects, with the TLS or DTLS handshake. 0 with *out to be freed; -errno; -EPROTO: the handshake
 * failed. */
int turn_link_new(
    struct turn_link **out, enum transport transport, const struct addr *to, unsigned timeout_ms);
void turn_link_free(struct turn_link *link);
enum transport turn_link_transport(const struct turn_link *link);

/* One whole message, padded here where the transport is a stream. 0 or -errno. */
int turn_link_send(struct turn_link *link, struct slice message, unsigned timeout_ms);
/* The next whole message, borrowed until the next call. 0; -ETIMEDOUT; -ECONNRESET: the other side
 * ended; -EPROTO: what came is none; another -errno. */
int turn_link_receive(struct turn_link *link, struct slice *message, unsigned timeout_ms);

#endif

/*
 * One connection to Redis as bytes: looks the name up, tries every address, or a unix socket,
 * speaks TLS if it is to, writes in batches. Never blocks: names are looked up in libuv's threads.
 * One thread, that of the loop.
 */
#ifndef FLEET_REDIS_STREAM_H
#define FLEET_REDIS_STREAM_H

#include <uv.h>

#include "base/addr.h"
#include "base/slice.h"
#include "tls/connector.h"

struct redis_stream;

/* None is called from within redis_stream_new, and none after redis_stream_close. */
struct redis_stream_hooks {
    void (*opened)(void *ctx);                       /* connected, and TLS is established */
    void (*received)(void *ctx, struct slice bytes); /* borrowed for the call */
    void (*closed)(void *ctx, const char *cause);    /* the last; `cause` for logs, until close */
    void *ctx;
};

struct redis_stream_options {
    const char *path; /* of a unix socket; empty: host and port. All copied */
    const char *host;
    uint16_t port;
    struct tls_connector *connector; /* a reference is taken; NULL: no TLS */
    uint32_t connect_ms;             /* for each address */
    uint32_t handshake_ms;           /* for TLS */
    struct redis_stream_hooks hooks;
};

/* Begins with the next turn of the loop. NULL: out of memory. */
struct redis_stream *redis_stream_new(uv_loop_t *loop, const struct redis_stream_options *options);
/*
 * Ends it at once: what waits to be written is forgotten. The loop has to run on for its memory to
 * be freed, until a lookup that is under way ends by itself.
 */
void redis_stream_close(struct redis_stream *s); /* NULL: nothing happens */

/* Queues bytes: they leave at the end of the loop's turn, in one write. 0, or -ENOMEM. Only after
 * `opened`. */
int redis_stream_write(struct redis_stream *s, struct slice bytes);
/* Begins to write what is queued at once. `closed` may be called from within. */
void redis_stream_flush(struct redis_stream *s);
size_t redis_stream_queued(const struct redis_stream *s);  /* bytes that the kernel has not taken */
uint64_t redis_stream_taken(const struct redis_stream *s); /* bytes that it has */

/* The server's address; family ADDR_NONE: a unix socket, or not connected. */
struct addr redis_stream_peer(const struct redis_stream *s);

#endif

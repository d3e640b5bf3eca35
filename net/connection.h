/*
 * One TCP or TLS connection, as the files connection*.c share it. Private to them. What has ended
 * is marked and stays in memory until connections_reap, so that no pointer dies within a flush.
 */
#ifndef NET_CONNECTION_H
#define NET_CONNECTION_H

#include "base/container.h"
#include "base/slab.h"
#include "base/wheel.h"
#include "net/connections.h"
#include "net/write_queue.h"
#include "tls/stream.h"
#include "wire/stream_frame.h"

/* Bytes of one recv: one a wake-up, so that every connection has its turn. */
#define CONNECTION_RECEIVE 16384
/* Plain text that is sealed at once: a full TLS record. */
#define CONNECTION_RECORD 16384
#define CONNECTION_PARTS  3 /* of a message: header, body, padding */

enum connection_state {
    CONNECTION_PROXY,     /* waits for the PROXY header */
    CONNECTION_CHOOSE,    /* TLS listener: the first bytes say what it is */
    CONNECTION_HANDSHAKE, /* TLS */
    CONNECTION_FIRST,     /* waits for the first message, or answers an HTTP request */
    CONNECTION_OPEN
};

/* The front of something that has not come whole; no memory while there is none. */
struct connection_partial {
    uint8_t *data; /* owned */
    size_t len, cap;
    uint64_t since_us; /* its first byte came */
};

struct connection {
    uv_poll_t poll;
    struct connections *set;
    struct flow flow;   /* flow.connection is the handle */
    int fd;             /* -1: closed, waits for libuv's close callback */
    uint8_t state;      /* enum connection_state */
    uint8_t events;     /* that are polled */
    enum reason ending; /* REASON_NONE: it lives */
    struct connection_charge charge;
    struct tls_stream *tls; /* owned; NULL: plain, or not yet */
    struct write_queue queue;
    struct connection_partial partial;
    struct connection_times {
        struct wheel_timer timer;
        uint64_t state_us;   /* the handshake, or the wait for the first message, began */
        uint64_t message_us; /* last message */
        uint64_t record_us;  /* the TLS record that has not come whole began; 0: there is none */
    } times;
    struct connection_flush {
        struct connection *next; /* in the list of those that this flush writes to */
        unsigned first, last;    /* its entries, chained by connections.next_entry */
        bool listed;
    } flush;
    struct connection *next_ending;
};

struct connections {
    struct connections_options options;
    struct io *io;
    struct slab *slab;
    struct wheel *wheel;
    const struct net_snapshot *snapshot;
    struct connection *flushing, *ending;
    struct instant now; /* of the tick: timers read it */
    unsigned next_entry[OUTBOX_ENTRIES];
    struct iovec parts[OUTBOX_ENTRIES * CONNECTION_PARTS];
    uint8_t record[CONNECTION_RECORD]; /* plain text about to be sealed */
    uint8_t input[CONNECTION_RECEIVE]; /* what is no plain text yet, or not known to be */
};

/* Marks it: it is deaf from now on, and closed by the next connections_reap. The first reason
 * stands. */
void connection_end(struct connection *c, enum reason why);
/* Arms its deadline where that is earlier than what is armed. Call after a change of state and when
 * a partial message has begun. */
void connection_arm(struct connection *c);
void connection_poll(struct connection *c, int events);
const struct net_listener *connection_listener(const struct connection *c);

/* connection.c: from the socket to packets. */
void connection_start(struct connection *c); /* in CONNECTION_PROXY, _CHOOSE or _FIRST */
void connection_receive(struct connection *c);
/* Plain text of the client. `in_ring`: it lies at the ring's end and is not kept yet. */
void connection_plain(struct connection *c, struct slice bytes, bool in_ring);
void connection_assemble(struct connection *c); /* the same of what was put aside */

/* connection_first.c: what comes before messages: PROXY header, choice of TLS, HTTP. */
void connection_input(struct connection *c, struct slice bytes);
/* In CONNECTION_FIRST: true where the bytes may go on as messages; else more are waited for, or it
 * has ended. */
bool connection_first_bytes(struct connection *c, struct slice stream);
void connection_bad_bytes(struct connection *c, struct slice stream); /* ends it */

/* connection_partial.c */
bool connection_partial_add(struct connection *c, struct slice bytes); /* false: ended, no memory */
void connection_partial_take(struct connection *c, size_t len);
void connection_partial_clear(struct connection *c);

/* connection_out.c: bytes to the socket, or into its queue. */
void connection_send(struct connection *c, struct slice bytes);
void connection_drain(struct connection *c); /* the socket takes bytes again */

/* connection_tls.c */
void connection_tls_start(struct connection *c);
void connection_tls_input(struct connection *c, struct slice ciphertext);

#endif

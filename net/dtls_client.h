/*
 * One DTLS session of a client, as the files dtls_*.c share it. Private to them. What has ended is
 * marked, found by nobody any more, and stays in memory until dtls_sessions_reap.
 */
#ifndef NET_DTLS_CLIENT_H
#define NET_DTLS_CLIENT_H

#include "base/container.h"
#include "base/slab.h"
#include "base/table.h"
#include "base/wheel.h"
#include "net/dtls_sessions.h"
#include "tls/dtls.h"

/* RFC 6347 section 4.1.1: a record's plain text has at most 2^14 bytes. */
#define DTLS_MESSAGE_MAX 16384
/* Plain text that the outbox borrows; it is flushed when this is full. */
#define DTLS_PLAIN (8 * DTLS_MESSAGE_MAX)

#define DTLS_RECORD_HEADER 13
#define DTLS_RANDOM_LEN    32

struct dtls_client {
    struct dtls_sessions *set;
    const struct udp_listener *via; /* lives as long as the worker */
    struct flow flow;               /* flow.connection is the handle */
    struct dtls_session *tls;       /* owned */
    struct connection_charge charge;
    enum reason ending;              /* REASON_NONE: it lives */
    bool established;                /* counted in set->established */
    bool spoken;                     /* relay/ has seen a message */
    uint8_t handshake_datagrams;     /* of the client */
    uint8_t random[DTLS_RANDOM_LEN]; /* of its ClientHello: tells a repetition from a new one */
    uint64_t sent;                   /* datagrams */
    struct dtls_client_times {
        struct wheel_timer timer;
        uint64_t begun_us;
        uint64_t message_us; /* last message, or the end of the handshake */
        uint64_t resend_us;  /* when to look for a flight to send again; UINT64_MAX: never */
    } times;
    struct dtls_client_place {
        struct dtls_client *pending; /* a handshake on the same 5-tuple, which may take its place */
        struct dtls_client *front;   /* of a pending one: whose place it may take */
        struct dtls_client *next_ending;
    } place;
};

struct dtls_sessions {
    struct dtls_sessions_options options;
    struct io *io;
    struct slab *slab;
    struct table *table; /* addresses → slot, of those that are no pending ones */
    struct wheel *wheel;
    struct dtls_listener *listener;
    const struct net_snapshot *snapshot;
    struct dtls_client *ending;
    struct instant now; /* of the tick: timers read it */
    uint32_t established;
    struct dtls_sessions_out {
        uint8_t tos;     /* to send with */
        int error;       /* of the last datagram: 0 or an errno */
        size_t bytes;    /* of the last datagram */
        uint8_t *record; /* DTLS_MESSAGE_MAX bytes: plain text about to be sealed */
    } out;
    uint8_t *plain; /* DTLS_PLAIN bytes, which the outbox borrows */
    size_t plain_used;
    uint8_t key[16];
};

/* dtls_sessions.c. The session of this 5-tuple that is no pending one, or NULL. */
struct dtls_client *dtls_client_find(const struct dtls_sessions *set, const struct flow *flow);
/* A new one for the flow, charged to the counts and linked nowhere; or NULL with *why. */
struct dtls_client *dtls_client_new(struct dtls_sessions *set, const struct udp_listener *l,
    const struct flow *flow, enum reason *why);
void dtls_client_discard(struct dtls_client *c); /* as if it had not been made */
/* It holds a session now: gives it its place, in which an unfinished handshake gives way. */
void dtls_client_begin(struct dtls_client *c);
/* Its handshake is complete: what stood in its place ends. */
void dtls_client_establish(struct dtls_client *c);
/* Marks it; it is deaf, and found by nobody, from now on. The first reason stands. */
void dtls_client_end(struct dtls_client *c, enum reason why);
/* Arms its timer where something is due earlier than what is armed. */
void dtls_client_arm(struct dtls_client *c);
void dtls_client_log_closed(const struct flow *flow, enum reason why);

/* dtls_hello.c: true where the datagram begins with a whole ClientHello's head. */
bool dtls_hello_is(struct slice datagram);
/* Deals with one, and counts it. `c`: the session of its 5-tuple, or NULL. */
void dtls_hello_receive(struct dtls_sessions *set, const struct udp_listener *l,
    const struct packet *p, struct dtls_client *c);

/* dtls_out.c: one datagram to the client, from the address that it speaks to. */
void dtls_out_datagram(struct dtls_sessions *set, const struct udp_listener *via,
    const struct flow *flow, struct slice datagram);
/* A dtls_send_fn; ctx is a struct dtls_client. */
void dtls_out_send(void *ctx, struct slice datagram);

#endif

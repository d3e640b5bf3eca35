/*
 * Thousands of TURN clients with long-term credentials behind one endpoint, told apart by the
 * address they send from. A session is one client: it walks from Allocate to a bound channel, one
 * transaction at a time, and repeats what is not answered.
 */
#ifndef BENCH_TURN_CLIENT_H
#define BENCH_TURN_CLIENT_H

#include "bench/endpoint.h"
#include "bench/options.h"

#define SESSION_CHANNEL   0x4000 /* of every session */
#define SESSION_NONCE_MAX 160

enum session_state {
    SESSION_NEW,
    SESSION_CHALLENGE, /* Allocate without credentials was sent, to draw 401 */
    SESSION_ALLOCATE,
    SESSION_PEER, /* ChannelBind or CreatePermission was sent */
    SESSION_READY,
    SESSION_RELEASE, /* Refresh with lifetime 0 was sent */
    SESSION_DONE,
    SESSION_BINDING,
    SESSION_FAILED
};

struct session {
    struct in_addr ip;
    enum session_state state;
    uint16_t error; /* code that ended it; 0: none, or no answer */
    uint8_t repeats;
    uint8_t nonce_len;
    uint32_t serial;  /* of the transaction it waits for */
    uint64_t sent_ns; /* CLOCK_MONOTONIC */
    struct sockaddr_in relayed;
    uint8_t nonce[SESSION_NONCE_MAX];
};

struct turn_client;

struct turn_client_settings {
    const struct target *target;
    const struct place *place;
    struct sockaddr_in peer;
    bool indications;    /* a permission instead of a channel */
    bool challenge_only; /* READY as soon as there is a nonce */
    bool binding_only;   /* READY as soon as a Binding request was answered */
};

/* NULL after one line on stderr. `settings` and what it points to must outlive the client. */
struct turn_client *turn_client_new(const struct turn_client_settings *settings, unsigned sessions);
void turn_client_free(struct turn_client *c);

struct endpoint *turn_client_endpoint(struct turn_client *c);
struct session *turn_client_session(struct turn_client *c, unsigned index);
/* The route from the session to the server. */
struct endpoint_route turn_client_route(const struct turn_client *c, const struct session *s);

/* Takes a fresh start from the n-th client address, over a connection of its own. */
void session_reset(struct turn_client *c, struct session *s, unsigned address);
/* Sends the request that leads to `state`: CHALLENGE, ALLOCATE, PEER, RELEASE or BINDING. */
void session_request(struct turn_client *c, struct session *s, enum session_state state);
/* Repeats what has not been answered for too long; a session that repeats too often fails. */
void session_repeat(struct turn_client *c, struct session *s, uint64_t now_ns);

/* Reads a datagram. The session that it moved on, or NULL: it was no answer to a request that
 * waits. The new state is that after the answer: CHALLENGE goes to ALLOCATE, ALLOCATE to PEER, each
 * with the next request already in the batch; PEER ends in READY, RELEASE and BINDING in DONE. */
struct session *turn_client_receive(struct turn_client *c, struct slice bytes);

/* Brings all sessions to READY, some at a time. 0, or -EIO after one line on stderr. */
int turn_client_establish(struct turn_client *c);

/* An Allocate request of the session whose integrity cannot be right, with its nonce. Returns its
 * length. */
size_t session_wrong_password(struct turn_client *c, struct session *s, uint8_t *out, size_t cap);
/* An Allocate request without credentials. */
size_t session_unauthenticated(struct turn_client *c, struct session *s, uint8_t *out, size_t cap);
/* Requests that were sent again so far. */
uint64_t turn_client_repeats(const struct turn_client *c);

#endif

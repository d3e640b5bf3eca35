/*
 * A whole relay in one process under a fake clock, with fake sockets and a seeded generator: one to
 * four workers, their outboxes and mailboxes, and a network that records what was sent. What one
 * relay socket sends to another relay socket of the same world is delivered there. Invariants that
 * must hold in every scenario are checked where things pass (invariants.c); a broken one prints
 * what it was and aborts, so that the fuzz target finds it too.
 */
#ifndef TESTS_SCENARIO_WORLD_H
#define TESTS_SCENARIO_WORLD_H

#include "base/slab.h"
#include "relay/relay.h"

#define WORLD_WORKERS_MAX   4
#define WORLD_LISTENER_PORT 3478
#define WORLD_LISTENERS     2

/* Realms of every world, by id. */
enum {
    REALM_PLAIN,  /* "example.org": alice, bob, dave with clear passwords: SHA-256 and USERHASH are
                     offered */
    REALM_STORED, /* "stored.example": carol, whose MD5 key is stored: neither SHA-256 nor a
                     password */
    REALM_REST,   /* "rest.example": two shared secrets: no USERHASH */
    REALM_REDIS,  /* "redis.example": users in the store, which knows erin */
    REALM_TOKENS, /* "tokens.example": access tokens, of "key-1" and of keys in the store; and a
                     user of that name */
    WORLD_REALMS
};

#define WORLD_STORED_USER       "erin"
#define WORLD_STORED_PASSWORD   "eureka"
#define WORLD_SERVER_NAME       "turn.tokens.example" /* in THIRD-PARTY-AUTHORIZATION */
#define WORLD_KID               "key-1"
#define WORLD_STORED_KID        "key-2"       /* known to the store only */
#define WORLD_NAMESAKE_PASSWORD "not a token" /* of the user whose name is WORLD_KID */

struct world_settings {
    unsigned workers;
    uint64_t seed;
    struct instant start;      /* mono_us 0: as good as any */
    uint32_t first_generation; /* of sockets' handles */
    struct relay_settings relay;
    struct ratelimit_settings limits;
    uint32_t max_allocations; /* of a worker */
    uint32_t mailbox;         /* messages that a mailbox holds */
    uint32_t nonce_lifetime_s, max_ttl_s;
    bool password_sha256;
    bool no_store, lockout;     /* nobody can be asked for keys; guesses are counted */
    bool retired;               /* of REALM_REST's secrets the second, "south" */
    bool no_tokens;             /* REALM_TOKENS has its user alone */
    const char *alice_password; /* NULL: the user does not exist */
    const char *nonce_secret, *nonce_secret_old;           /* old NULL: none */
    const struct quota_limits *realm_quotas[WORLD_REALMS]; /* NULL: those of `limits` */
    const struct realm_rates *realm_rates[WORLD_REALMS];   /* likewise */
    uint8_t guard;                                         /* enum srtp_guard_level */
    struct srtp_policy srtp;
    const uint8_t *realm_guards[WORLD_REALMS];       /* NULL: `guard` */
    const uint8_t *listener_guards[WORLD_LISTENERS]; /* by flow.listener; NULL: what the realm says
                                                      */
    struct addr server_ipv4;                         /* the listener */
    struct usage_ring *usage[WORLD_WORKERS_MAX];     /* the test's; NULL: no records */
    uint32_t usage_every_s;
    struct relay_drain drain;
};

/* One worker, IPv4 and IPv6 relayed addresses, generous limits, the recommended peer policy. */
struct world_settings world_settings_default(void);

struct sent {
    enum outbox_target target;
    bool media, dont_fragment;
    uint8_t tos;
    unsigned worker;
    struct addr from, to;
    struct flow flow; /* target OUTBOX_TO_CLIENT */
    uint8_t *bytes;   /* exactly `len` bytes */
    size_t len;
    bool taken;
};

struct fake_socket {
    bool open, in_parcel;
    unsigned worker;
    uint32_t generation;
    struct addr local;
    uint64_t owner;
};

/* Sockets of all workers of a world. */
struct fake_sockets {
    struct world *world;
    struct fake_socket *slots;
    uint32_t used, cap;
    struct addr occupied[16]; /* ports of "other programs" */
    unsigned occupied_count;
    unsigned fail_open_in, fail_adopt_in; /* 1: the next call fails, 0: none does */
    int fail_open_with, fail_adopt_with;  /* -errno */
    uint64_t opened, closed;
    struct {
        struct addr ip;
        uint32_t *slot_of_port; /* slot + 1 */
    } index[RELAY_ADDRESSES_MAX];
};

struct world_worker {
    struct world *world;
    unsigned number;
    struct relay *relay;
    struct outbox outbox;
    struct counters counters;
    struct crypto *crypto;
    struct relay_message *mail;
    uint32_t mail_count;
    void **borrowed; /* datagrams handed in since the last flush */
    size_t borrowed_count, borrowed_cap;
};

/* A permission that a client was granted, kept apart from the relay's own books. */
struct grant {
    struct addr client, peer; /* peer: port 0 */
    uint64_t at_us;
};

struct hop; /* a datagram between two relay sockets of the world */

enum world_store_mode {
    WORLD_STORE_PROMPT, /* answers as soon as the worker has done its turn */
    WORLD_STORE_HELD,   /* answers when told, or never */
    WORLD_STORE_FULL    /* takes no question */
};

#define WORLD_STORE_USERS 8

/* The store of keys, as workers see it. */
struct world_store {
    enum world_store_mode mode;
    bool unreachable; /* what is answered */
    struct world_question *questions;
    size_t count, cap;
    uint64_t asked;
    struct {
        uint32_t realm;
        char name[64];
        struct auth_key key;
    } users[WORLD_STORE_USERS];
};

/* Allocations for which workers have asked for keys of media. */
struct world_wants {
    bool full; /* nobody can be asked */
    struct srtp_wanted *list;
    size_t count, cap;
};

struct world {
    struct world_settings settings;
    struct instant now;
    struct random_source random;
    uint64_t random_state;
    bool random_fails;
    struct relay_shared shared;
    struct fake_sockets sockets;
    struct world_worker worker[WORLD_WORKERS_MAX];
    struct auth *auth;
    struct peer_policy *policy;
    struct relay_snapshot snapshot;
    struct addr server_ipv4, server_ipv6;
    struct crypto *crypto; /* the clients' */
    bool hold_mail;        /* messages stay in the mailboxes */
    bool hold_outbox;      /* nothing is flushed but by the relay itself, or by world_flush */
    bool forget;           /* what is sent is counted and checked, not recorded */
    bool no_hops;          /* what is sent to a relay socket is recorded only */
    struct world_store store;
    struct world_wants wants;
    bool blind; /* the outbox was held: grants are not known, media is not checked against them */
    uint64_t replies, media_to_peer, media_to_client, reports;
    uint64_t woken; /* times that a worker had something to tell other instances */
    struct sent **sent;
    size_t sent_count, sent_cap;
    struct hop *hops, **hops_end;
    struct grant *grants;
    size_t grant_count, grant_cap;
    /* What is being handed in at the moment, for the invariants. */
    struct slice current;
    const struct flow *current_flow;
    uint64_t current_replies;
};

/* Aborts when anything cannot be had: a test cannot go on without its world. */
struct world *world_new(const struct world_settings *settings);
/* Checks, delivers what is on its way, ends every relay and checks that sockets, ports and quotas
 * have come back. */
void world_free(struct world *w);
/* received = relayed + consumed + Σ dropped; a claimed port for each socket; live ports are those
 * that have an owner. */
void world_check(struct world *w);
/* A new snapshot for all workers. Worlds keep their relayed addresses' maps. */
void world_reload(struct world *w, const struct world_settings *settings);

/* Moves the clock forward, with a tick of every worker at least once a second and at its end. */
void world_advance_ms(struct world *w, uint64_t ms);
void world_advance(struct world *w, uint64_t seconds);
/* Moves the clock forward in one step, with one tick: as after a machine's sleep. */
void world_jump(struct world *w, uint64_t seconds);

struct world_datagram {
    unsigned worker;
    struct flow flow;
    uint32_t realm;
    uint64_t realms; /* 0: the listener serves `realm` alone */
    uint8_t tos;
    struct slice bytes;
};
void world_from_client(struct world *w, const struct world_datagram *d);
/* A datagram from `peer` to the relayed address that clients know (public or local). False: no
 * socket is there. */
bool world_from_peer(struct world *w, const struct addr *peer, const struct addr *relayed,
    struct slice bytes, uint8_t tos);
/* An ICMP error about a datagram from `relayed` to `destination`. False: no socket is there. */
bool world_icmp(struct world *w, const struct addr *relayed, const struct addr *destination,
    const uint8_t type_code[2], uint32_t mtu);
void world_flush(struct world *w);
/* Flushes, delivers hops and mail until nothing is under way. */
void world_run(struct world *w);
/* Hands the oldest message of a worker's mailbox over. False: none. */
bool world_deliver_mail(struct world *w, unsigned worker);

/* The oldest entry that was not taken, or NULL; valid until world_clear. */
const struct sent *world_take_to_peer(struct world *w);
const struct sent *world_take_to_client(struct world *w, const struct addr *client);
void world_clear(struct world *w);

uint64_t world_metric(const struct world *w, enum metric m);
uint64_t world_dropped(const struct world *w, enum reason r);
uint64_t world_refused(const struct world *w, enum reason r);
uint32_t world_allocations(const struct world *w);
/* Sockets that wait for the client with their token, or are under way to its worker. */
uint32_t world_reservations(const struct world *w);
uint32_t world_ports_claimed(const struct world *w);
uint32_t world_sockets_open(const struct world *w);

_Noreturn void world_fail(const char *what);
uint64_t world_random(struct world *w);

/* world_sockets.c */
void fake_sockets_init(struct fake_sockets *s, struct world *w);
void fake_sockets_deinit(struct fake_sockets *s);
struct relay_sockets fake_sockets_interface(struct world_worker *worker);
/* The socket bound to the address (a public one stands for its local one), or NULL. */
struct fake_socket *fake_sockets_at(struct fake_sockets *s, const struct addr *local);
struct fake_socket *fake_sockets_get(struct fake_sockets *s, uint64_t handle);
uint64_t fake_socket_handle(const struct fake_sockets *s, const struct fake_socket *socket);

/* world_store.c */
int world_store_ask(void *worker, const struct store_question *question);
int world_want_keys(void *worker, const struct srtp_wanted *wanted);
/* Answers the oldest question, which it then forgets. False: none. */
bool world_store_answer(struct world *w);
/* Forgets every question. */
void world_store_lose(struct world *w);
/* password NULL: the user is gone. */
void world_store_set_user(struct world *w, uint32_t realm, const char *name, const char *password);
/* The key that access tokens of this kid are sealed with in tests. */
struct store_oauth_key world_oauth_key(const char *kid);
void world_revoke(struct world *w, enum revocation_kind kind, uint32_t realm, const char *id);
/* As if it had never been made. */
void world_take_back(struct world *w, enum revocation_kind kind, uint32_t realm, const char *id);

/* world_settings.c */
const char *world_realm_name(uint32_t realm);
void world_build_snapshot(struct world *w);

/* world_net.c */
void world_send_outbox(void *ctx, struct outbox *outbox);
bool world_deliver_hop(struct world *w);
void world_net_deinit(struct world *w);

/* invariants.c */
void invariant_begin_client(struct world *w, const struct world_datagram *d);
void invariant_end_client(struct world *w);
void invariant_reply(struct world *w, const struct outbox_entry *e, struct slice reply);
void invariant_media(struct world *w, const struct outbox_entry *e, const struct addr *peer,
    const struct addr *client);
void invariant_sockets(struct world *w);

/* Addresses that are nobody's special purpose. n: 0–255. */
struct addr world_peer(unsigned n, uint16_t port);
struct addr world_peer6(unsigned n, uint16_t port);
struct addr world_client_addr(unsigned n, uint16_t port);
struct addr world_client_addr6(unsigned n, uint16_t port);

#endif

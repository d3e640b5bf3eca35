/*
 * A TURN client for tests: builds requests with any mix of attributes, signs them as it is told,
 * keeps realm and nonce, and takes answers apart. An answer is accepted only if its transaction,
 * its integrity and its way back are right.
 */
#ifndef TESTS_SCENARIO_CLIENT_H
#define TESTS_SCENARIO_CLIENT_H

#include "auth/oauth.h"
#include "tests/scenario/world.h"
#include "wire/stun_writer.h"

enum client_auth {
    CLIENT_MD5,    /* USERNAME, MESSAGE-INTEGRITY, no PASSWORD-ALGORITHM: a client of RFC 5389 */
    CLIENT_SHA256, /* PASSWORD-ALGORITHMS echoed, PASSWORD-ALGORITHM SHA-256,
                      MESSAGE-INTEGRITY-SHA256 */
    CLIENT_MD5_LISTED, /* PASSWORD-ALGORITHMS echoed, PASSWORD-ALGORITHM MD5,
                          MESSAGE-INTEGRITY-SHA256 */
    CLIENT_NONE        /* no credentials at all */
};

/* An access token (RFC 7635); len 0: none. It is sent in Allocate and Refresh, as section 9 says,
 * and its mac_key is the key of all requests. */
struct client_token {
    uint8_t bytes[OAUTH_TOKEN_MAX];
    size_t len;
    struct auth_key mac_key;
    char id[OAUTH_ID_LEN + 1];
};

struct client {
    struct world *world;
    unsigned worker;
    struct addr addr, server;
    uint8_t transport;   /* enum transport */
    uint64_t connection; /* of a stream */
    uint32_t realm_id;   /* of the listener that it speaks to */
    uint64_t realms;     /* that the listener serves; 0: that one alone */
    uint8_t tos;
    uint16_t listener; /* net's index of it */
    enum client_auth auth;
    bool userhash, fingerprint;
    char user[STUN_USERNAME_MAX + 8];
    char password[64];
    struct client_token token; /* instead of a password */
    /* Learned from challenges. */
    uint8_t realm[STUN_REALM_MAX + 1], nonce[STUN_NONCE_MAX + 1], algorithms[64];
    size_t realm_len, nonce_len, algorithms_len;
    uint64_t transactions;
};

/* A client of REALM_PLAIN as alice, over IPv4, with MD5; fields may be changed afterwards. */
void client_init(struct client *c, struct world *w, unsigned n);
void client_set_user(struct client *c, const char *user, const char *password);
/* The user name "<expiry>:<name>" of REALM_REST and its password by the secret. */
void client_set_rest(struct client *c, const char *name, int64_t expires_in, const char *secret);
/* A user of the store: erin of REALM_REDIS. */
void client_set_stored(struct client *c);
/* An access token of this kid, from now on for `lifetime` seconds, sealed by world_oauth_key. */
void client_set_token(struct client *c, const char *kid, uint32_t lifetime);
/* Speaks from an IPv6 address to the IPv6 listener. */
void client_set_ipv6(struct client *c, unsigned n);

#define REQUEST_MAX 8192

struct request {
    struct stun_writer w;
    uint8_t bytes[REQUEST_MAX];
    size_t len; /* after request_finish */
    uint16_t method;
    uint8_t transaction[STUN_TRANSACTION_LEN];
};

void request_begin(struct request *r, struct client *c, enum stun_class class, uint16_t method);
void request_transport(struct request *r, uint8_t protocol);
void request_family(struct request *r, uint16_t type, uint8_t family);
void request_even_port(struct request *r, bool reserve);
void request_channel(struct request *r, uint16_t number);
void request_peer(struct request *r, const struct addr *peer);
void request_empty(struct request *r, uint16_t type);
/* USERNAME or USERHASH, REALM, NONCE, PASSWORD-ALGORITHM(S): what the client's `auth` says. */
void request_credentials(struct request *r, struct client *c);
void request_integrity(struct request *r, struct client *c, bool sha256);
/* Credentials, integrity and FINGERPRINT as the client's settings say. */
void request_finish(struct request *r, struct client *c);
/* The end, without any of them. */
void request_close(struct request *r);
/* The key of the client's user, by its `auth`. Returns its length. */
size_t client_key(struct client *c, uint8_t key[AUTH_KEY_MAX]);

#define RESPONSE_UNKNOWN_MAX 16

struct response {
    int code;             /* 0: no answer; 200: success; else the ERROR-CODE */
    const uint8_t *bytes; /* valid until world_clear */
    size_t len;
    struct stun_msg msg;
    bool integrity, sha256; /* verified with the client's key */
    bool challenged;        /* carries REALM and NONCE */
    struct addr mapped, relayed[2];
    unsigned relayed_count;
    struct slice third_party;
    bool has_lifetime, has_token, has_address_error, has_algorithms, has_software;
    uint32_t lifetime;
    uint8_t token[8];
    enum addr_family address_error_family;
    int address_error_code;
    uint16_t unknown[RESPONSE_UNKNOWN_MAX];
    unsigned unknown_count;
};

/* Sends the finished request and takes its answer. Returns out->code. The client keeps a
 * challenge's realm and nonce. */
int client_send(struct client *c, const struct request *r, struct response *out);
struct flow client_flow(const struct client *c);
/* Its connection has closed. */
void client_close(struct client *c);
void client_send_raw(struct client *c, const void *bytes, size_t len);
/* Takes the answer to a transaction that was sent before. Returns out->code, 0 when there is none.
 */
int client_answer(
    struct client *c, const uint8_t transaction[STUN_TRANSACTION_LEN], struct response *out);

/* Whole exchanges; each returns the code. `out` may be NULL. */
int client_challenge(struct client *c); /* an Allocate without credentials */
int client_binding(struct client *c, struct response *out);
int client_allocate(struct client *c,
    struct response *out); /* UDP, IPv4; challenged first when there is no nonce */
int client_refresh(struct client *c, uint32_t lifetime, struct response *out);
int client_permit(struct client *c, const struct addr *peer);
int client_bind(struct client *c, uint16_t channel, const struct addr *peer);

/* An attribute as it lies on the wire; `value` need not be text. */
struct raw_attr {
    uint16_t type;
    uint16_t len;
    const void *value;
};
/* A request of these attributes in this order, then credentials and integrity. Returns the code. */
int client_ask(struct client *c, uint16_t method, const struct raw_attr *attrs, size_t count,
    struct response *out);
#define CLIENT_ASK(client, method, out, ...)                                                       \
    client_ask((client), (method), (const struct raw_attr[]){__VA_ARGS__},                         \
        sizeof((const struct raw_attr[]){__VA_ARGS__}) / sizeof(struct raw_attr), (out))
#define ATTR_UDP                                                                                   \
    {                                                                                              \
        STUN_ATTR_REQUESTED_TRANSPORT, 4, "\x11\0\0"                                               \
    }
#define ATTR_FAMILY4                                                                               \
    {                                                                                              \
        STUN_ATTR_REQUESTED_ADDRESS_FAMILY, 4, "\x01\0\0"                                          \
    }
#define ATTR_FAMILY6                                                                               \
    {                                                                                              \
        STUN_ATTR_REQUESTED_ADDRESS_FAMILY, 4, "\x02\0\0"                                          \
    }
#define ATTR_BOTH                                                                                  \
    {                                                                                              \
        STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY, 4, "\x02\0\0"                                         \
    }
#define ATTR_EVEN                                                                                  \
    {                                                                                              \
        STUN_ATTR_EVEN_PORT, 1, "\0"                                                               \
    }
#define ATTR_EVEN_PAIR                                                                             \
    {                                                                                              \
        STUN_ATTR_EVEN_PORT, 1, "\x80"                                                             \
    }
#define ATTR_TOKEN(t)                                                                              \
    {                                                                                              \
        STUN_ATTR_RESERVATION_TOKEN, 8, (t)                                                        \
    }
#define ATTR_LIFETIME(b)                                                                           \
    {                                                                                              \
        STUN_ATTR_LIFETIME, 4, (b)                                                                 \
    }

/* Media towards a peer. */
void client_indicate(struct client *c, const struct addr *peer, const void *data, size_t len);
void client_channel_data(struct client *c, uint16_t channel, const void *data, size_t len);

struct received {
    bool channel, icmp;
    uint16_t number;  /* channel */
    struct addr peer; /* Data indication */
    struct slice data;
    uint8_t icmp_value[8];
    uint8_t tos;
};
/* The next media or ICMP report for the client. False: none. Answers are left alone. */
bool client_receive(struct client *c, struct received *out);

/* A new world's client that has an allocation; aborts if it cannot. Returns the relayed address. */
struct addr client_start(struct client *c, struct world *w, unsigned n);

#endif

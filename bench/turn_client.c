/*
 * The client's side of the transactions. The transaction id carries session and serial number, so
 * that an answer finds its session without a table and a late answer to a repeated request is
 * recognised.
 *
 * exception: the integrity of answers is not verified. The generator measures servers that it
 * started itself, and an HMAC an answer is time that it does not have.
 *
 * Called by the rows, from one thread.
 */
#include "bench/turn_client.h"

#include "base/crypto.h"
#include "bench/usage.h"
#include "wire/stun.h"
#include "wire/stun_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REQUEST_MAX      1200
#define REALM_MAX        128
#define REPEAT_NS        250000000u
#define CONNECTED_NS     1000000000u /* nothing is lost there, but a handshake may take time */
#define REPEATS_MAX      8
#define AT_ONCE          32 /* sessions that are set up at the same time */
#define UDP_PROTOCOL     17
#define LIFETIME_S       600
#define POLL_NS          20000
#define ALLOCATE_REFUSED 401
#define STALE_NONCE      438

struct turn_client {
    struct turn_client_settings settings;
    struct endpoint *endpoint;
    struct crypto *crypto;
    struct session *sessions;
    unsigned session_count;
    uint32_t run; /* differs between runs: a late answer to another run is none of ours */
    uint64_t repeats;
    size_t realm_len;
    uint8_t realm[REALM_MAX];
    uint8_t key[CRYPTO_MD5_LEN];
};

static struct endpoint *new_endpoint(const struct target *target, unsigned sessions)
{
    const struct connections_settings settings = {.transport = target->transport,
        .resume = target->resume,
        .server = target->address,
        .count = sessions};

    return target->transport == TRANSPORT_UDP
               ? endpoint_new((struct in_addr){htonl(INADDR_ANY)}, NULL)
               : endpoint_new_connected(&settings);
}

struct turn_client *turn_client_new(const struct turn_client_settings *settings, unsigned sessions)
{
    struct turn_client *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        return NULL;
    }
    c->settings = *settings;
    c->endpoint = new_endpoint(settings->target, sessions);
    c->crypto = crypto_new();
    c->sessions = calloc(sessions, sizeof(*c->sessions));
    c->session_count = sessions;
    c->run = (uint32_t)(realtime_ns() >> 10);
    if (c->endpoint == NULL || c->crypto == NULL || c->sessions == NULL) {
        fputs("turnpike-bench: cannot make the clients\n", stderr);
        turn_client_free(c);
        return NULL;
    }
    for (unsigned i = 0; i < sessions; i++) {
        session_reset(c, &c->sessions[i], i);
    }
    return c;
}

void turn_client_free(struct turn_client *c)
{
    if (c == NULL) {
        return;
    }
    endpoint_free(c->endpoint);
    crypto_free(c->crypto);
    free(c->sessions);
    free(c);
}

struct endpoint *turn_client_endpoint(struct turn_client *c)
{
    return c->endpoint;
}

struct session *turn_client_session(struct turn_client *c, unsigned index)
{
    return &c->sessions[index];
}

uint64_t turn_client_repeats(const struct turn_client *c)
{
    return c->repeats;
}

struct endpoint_route turn_client_route(const struct turn_client *c, const struct session *s)
{
    return (struct endpoint_route){.to = c->settings.target->address,
        .from = s->ip,
        .connection = (unsigned)(s - c->sessions)};
}

void session_reset(struct turn_client *c, struct session *s, unsigned address)
{
    const struct place *place = c->settings.place;

    endpoint_restart(c->endpoint, (unsigned)(s - c->sessions));
    *s = (struct session){.serial = s->serial + 1,
        .ip.s_addr = htonl(place->first_client + address % place->clients)};
}

static void write_transaction(
    const struct turn_client *c, const struct session *s, uint8_t out[STUN_TRANSACTION_LEN])
{
    struct writer w;

    writer_init(&w, out, STUN_TRANSACTION_LEN);
    writer_u32(&w, STUN_MAGIC_COOKIE);
    writer_u32(&w, c->run);
    writer_u32(&w, (uint32_t)(s - c->sessions));
    writer_u32(&w, s->serial);
}

/* What a request with credentials adds at its end. */
static void write_credentials(
    struct turn_client *c, const struct session *s, struct stun_writer *w, struct slice key)
{
    stun_write_attr(w, STUN_ATTR_USERNAME, slice_of_string(c->settings.target->user));
    stun_write_attr(w, STUN_ATTR_REALM, slice_of(c->realm, c->realm_len));
    stun_write_attr(w, STUN_ATTR_NONCE, slice_of(s->nonce, s->nonce_len));
    stun_write_integrity(w, c->crypto, key, false);
}

static void write_begin(struct turn_client *c, const struct session *s, struct stun_writer *w,
    uint8_t *buffer, uint16_t method)
{
    uint8_t transaction[STUN_TRANSACTION_LEN];

    write_transaction(c, s, transaction);
    stun_write_begin(w, buffer, REQUEST_MAX, STUN_REQUEST, method, transaction);
}

static void write_allocate(
    struct turn_client *c, const struct session *s, struct stun_writer *w, uint8_t *buffer)
{
    write_begin(c, s, w, buffer, STUN_ALLOCATE);
    stun_write_u32(w, STUN_ATTR_REQUESTED_TRANSPORT, (uint32_t)UDP_PROTOCOL << 24);
}

static void write_peer(
    struct turn_client *c, const struct session *s, struct stun_writer *w, uint8_t *buffer)
{
    struct addr peer;

    addr_from_sockaddr(&peer, (const struct sockaddr *)&c->settings.peer);
    write_begin(
        c, s, w, buffer, c->settings.indications ? STUN_CREATE_PERMISSION : STUN_CHANNEL_BIND);
    if (!c->settings.indications) {
        stun_write_u32(w, STUN_ATTR_CHANNEL_NUMBER, (uint32_t)SESSION_CHANNEL << 16);
    }
    stun_write_xor_addr(w, STUN_ATTR_XOR_PEER_ADDRESS, &peer);
}

static size_t write_request(
    struct turn_client *c, const struct session *s, enum session_state state, uint8_t *buffer)
{
    struct stun_writer w;

    switch (state) {
    case SESSION_CHALLENGE:
    case SESSION_ALLOCATE:
        write_allocate(c, s, &w, buffer);
        break;
    case SESSION_PEER:
        write_peer(c, s, &w, buffer);
        break;
    case SESSION_RELEASE:
        write_begin(c, s, &w, buffer, STUN_REFRESH);
        stun_write_u32(&w, STUN_ATTR_LIFETIME, 0);
        break;
    default:
        write_begin(c, s, &w, buffer, STUN_BINDING);
        break;
    }
    if (state != SESSION_CHALLENGE && state != SESSION_BINDING) {
        write_credentials(c, s, &w, slice_of(c->key, sizeof(c->key)));
    }
    return stun_write_end(&w);
}

static void send_request(struct turn_client *c, struct session *s)
{
    uint8_t buffer[REQUEST_MAX];
    struct endpoint_route route = turn_client_route(c, s);
    size_t len = write_request(c, s, s->state, buffer);

    s->sent_ns = monotonic_ns();
    memcpy(endpoint_append(c->endpoint, &route, len, 0), buffer, len);
}

void session_request(struct turn_client *c, struct session *s, enum session_state state)
{
    s->state = state;
    s->serial++;
    s->repeats = 0;
    send_request(c, s);
}

static bool session_waits(const struct session *s)
{
    return (s->state >= SESSION_CHALLENGE && s->state <= SESSION_PEER) ||
           s->state == SESSION_RELEASE || s->state == SESSION_BINDING;
}

void session_repeat(struct turn_client *c, struct session *s, uint64_t now_ns)
{
    bool connected = c->settings.target->transport != TRANSPORT_UDP;

    if (!session_waits(s) || now_ns < s->sent_ns + (connected ? CONNECTED_NS : REPEAT_NS)) {
        return;
    }
    if (s->repeats == REPEATS_MAX) {
        s->state = SESSION_FAILED;
        return;
    }
    s->repeats++;
    c->repeats++;
    send_request(c, s);
}

/* Realm and key are those of the first challenge: one server, one realm. */
static bool take_realm(struct turn_client *c, struct slice realm)
{
    const struct target *t = c->settings.target;
    const struct slice parts[] = {slice_of_string(t->user), slice_of_string(":"), realm,
        slice_of_string(":"), slice_of_string(t->password)};

    if (c->realm_len != 0) {
        return slice_equal(realm, slice_of(c->realm, c->realm_len));
    }
    if (realm.len == 0 || realm.len > sizeof(c->realm) ||
        crypto_digest(c->crypto, CRYPTO_MD5, parts, 5, c->key) < 0) {
        return false;
    }
    memcpy(c->realm, realm.data, realm.len);
    c->realm_len = realm.len;
    return true;
}

static bool take_nonce(struct session *s, const struct stun_msg *msg)
{
    struct slice nonce;

    if (!stun_find(msg, STUN_ATTR_NONCE, &nonce) || nonce.len > sizeof(s->nonce)) {
        return false;
    }
    memcpy(s->nonce, nonce.data, nonce.len);
    s->nonce_len = (uint8_t)nonce.len;
    return true;
}

static uint16_t error_code(const struct stun_msg *msg)
{
    struct slice value;

    if (!stun_find(msg, STUN_ATTR_ERROR_CODE, &value) || value.len < 4) {
        return 0;
    }
    return (uint16_t)((value.data[2] & 7) * 100 + value.data[3]);
}

static void on_error(struct turn_client *c, struct session *s, const struct stun_msg *msg)
{
    struct slice realm;
    uint16_t code = error_code(msg);
    bool expected = s->state == SESSION_CHALLENGE && code == ALLOCATE_REFUSED;

    if ((expected || code == STALE_NONCE) && stun_find(msg, STUN_ATTR_REALM, &realm) &&
        take_realm(c, realm) && take_nonce(s, msg)) {
        if (c->settings.challenge_only) {
            s->state = SESSION_READY;
        } else {
            session_request(c, s, expected ? SESSION_ALLOCATE : s->state);
        }
        return;
    }
    s->error = code;
    s->state = SESSION_FAILED;
}

static void on_success(struct turn_client *c, struct session *s, const struct stun_msg *msg)
{
    struct slice value;
    struct addr relayed;
    struct sockaddr_storage sa;

    switch (s->state) {
    case SESSION_ALLOCATE:
        if (!stun_find(msg, STUN_ATTR_XOR_RELAYED_ADDRESS, &value) ||
            !stun_read_xor_addr(msg, value, &relayed) || relayed.family != ADDR_IPV4) {
            s->state = SESSION_FAILED;
            return;
        }
        addr_to_sockaddr(&relayed, &sa);
        memcpy(&s->relayed, &sa, sizeof(s->relayed));
        session_request(c, s, SESSION_PEER);
        return;
    case SESSION_PEER:
        s->state = SESSION_READY;
        return;
    case SESSION_BINDING:
        s->state = c->settings.binding_only ? SESSION_READY : SESSION_DONE;
        return;
    case SESSION_RELEASE:
        s->state = SESSION_DONE;
        return;
    default:
        s->state = SESSION_FAILED;
        return;
    }
}

/* The session that waits for the answer, or NULL. */
static struct session *find_session(struct turn_client *c, const struct stun_msg *msg)
{
    struct cursor id;

    cursor_init(&id, slice_of(msg->transaction + 4, STUN_TRANSACTION_LEN - 4));
    uint32_t run = cursor_u32(&id), index = cursor_u32(&id), serial = cursor_u32(&id);
    if (run != c->run || index >= c->session_count || c->sessions[index].serial != serial ||
        !session_waits(&c->sessions[index])) {
        return NULL;
    }
    return &c->sessions[index];
}

struct session *turn_client_receive(struct turn_client *c, struct slice bytes)
{
    struct stun_msg msg;

    if (stun_parse(&msg, bytes) != REASON_NONE ||
        (msg.class != STUN_SUCCESS && msg.class != STUN_ERROR)) {
        return NULL;
    }
    struct session *s = find_session(c, &msg);
    if (s == NULL) {
        return NULL;
    }
    if (msg.class == STUN_SUCCESS) {
        on_success(c, s, &msg);
    } else {
        on_error(c, s, &msg);
    }
    return s;
}

static void receive_answer(void *ctx, struct slice bytes, uint64_t arrived_ns)
{
    turn_client_receive(ctx, bytes);
}

/* Looks after the sessions from *done on: starts new ones, repeats, and moves *done behind those
 * that are ready. False when one has failed. */
static bool advance(struct turn_client *c, unsigned *done, unsigned *begun)
{
    uint64_t now = monotonic_ns();
    enum session_state first = c->settings.binding_only ? SESSION_BINDING : SESSION_CHALLENGE;

    while (*done < c->session_count && c->sessions[*done].state == SESSION_READY) {
        (*done)++;
    }
    for (unsigned i = *done; i < *begun; i++) {
        session_repeat(c, &c->sessions[i], now);
        if (c->sessions[i].state == SESSION_FAILED) {
            fprintf(stderr,
                "turnpike-bench: session %u was not set up: error %u after %u repeats\n", i,
                c->sessions[i].error, c->sessions[i].repeats);
            return false;
        }
    }
    while (*begun < c->session_count && *begun < *done + AT_ONCE) {
        session_request(c, &c->sessions[(*begun)++], first);
    }
    endpoint_flush(c->endpoint);
    return true;
}

int turn_client_establish(struct turn_client *c)
{
    const struct endpoint_reader reader = {receive_answer, c};
    const struct timespec pause = {.tv_nsec = POLL_NS};
    unsigned done = 0, begun = 0;

    while (done < c->session_count) {
        endpoint_receive(c->endpoint, &reader);
        if (!advance(c, &done, &begun)) {
            return -EIO;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

size_t session_wrong_password(struct turn_client *c, struct session *s, uint8_t *out, size_t cap)
{
    uint8_t buffer[REQUEST_MAX], key[CRYPTO_MD5_LEN];
    struct stun_writer w;

    memcpy(key, c->key, sizeof(key));
    key[0] ^= 1;
    s->serial++;
    write_allocate(c, s, &w, buffer);
    write_credentials(c, s, &w, slice_of(key, sizeof(key)));
    size_t len = stun_write_end(&w);
    if (len > cap) {
        return 0;
    }
    memcpy(out, buffer, len);
    return len;
}

size_t session_unauthenticated(struct turn_client *c, struct session *s, uint8_t *out, size_t cap)
{
    uint8_t buffer[REQUEST_MAX];

    s->serial++;
    size_t len = write_request(c, s, SESSION_CHALLENGE, buffer);
    if (len > cap) {
        return 0;
    }
    memcpy(out, buffer, len);
    return len;
}

/*
 * Requests and what answers them. Nothing is believed that does not verify, as a client must not.
 * Called by probe.c.
 */
#include "cli/turn_client.h"

#include <errno.h>
#include <stdio.h>

#include "auth/long_term.h"
#include "auth/opaque_string.h"
#include "base/clock.h"
#include "base/secret.h"
#include "wire/channel_data.h"
#include "wire/stun_writer.h"

#define MESSAGE_MAX   2048
#define RETRANSMIT_MS 500 /* RFC 8489 section 6.2.1: the initial RTO */
#define PROTOCOL_UDP  (17u << 24)
#define LIFETIME_S    60

struct question {
    enum stun_method method;
    enum addr_family family; /* of Allocate */
    const struct addr *peer; /* of CreatePermission and ChannelBind */
    uint16_t channel;        /* of ChannelBind */
    uint8_t transaction[STUN_TRANSACTION_LEN];
};

static bool sha256(const struct turn_client *c)
{
    return c->algorithms_len > 0;
}

static void write_question(struct stun_writer *s, const struct question *q)
{
    switch (q->method) {
    case STUN_ALLOCATE:
        stun_write_u32(s, STUN_ATTR_REQUESTED_TRANSPORT, PROTOCOL_UDP);
        stun_write_u32(s, STUN_ATTR_LIFETIME, LIFETIME_S);
        if (q->family == ADDR_IPV6) {
            stun_write_u32(s, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, 2u << 24);
        }
        break;
    case STUN_REFRESH:
        stun_write_u32(s, STUN_ATTR_LIFETIME, 0);
        break;
    case STUN_CHANNEL_BIND:
        stun_write_u32(s, STUN_ATTR_CHANNEL_NUMBER, (uint32_t)q->channel << 16);
        stun_write_xor_addr(s, STUN_ATTR_XOR_PEER_ADDRESS, q->peer);
        break;
    default:
        stun_write_xor_addr(s, STUN_ATTR_XOR_PEER_ADDRESS, q->peer);
    }
}

/* RFC 8489 section 9.2.3.2; PASSWORD-ALGORITHMS goes back as it came. */
static void write_credentials(struct stun_writer *s, struct turn_client *c)
{
    const struct slice key = slice_of(c->key.bytes, c->key.len);
    stun_write_attr(s, STUN_ATTR_USERNAME, slice_of_string(c->user));
    stun_write_attr(s, STUN_ATTR_REALM, slice_of_string(c->realm));
    stun_write_attr(s, STUN_ATTR_NONCE, slice_of(c->nonce, c->nonce_len));
    if (sha256(c)) {
        stun_write_attr(
            s, STUN_ATTR_PASSWORD_ALGORITHMS, slice_of(c->algorithms, c->algorithms_len));
        stun_write_u32(s, STUN_ATTR_PASSWORD_ALGORITHM, (uint32_t)STUN_PASSWORD_SHA256 << 16);
    }
    stun_write_integrity(s, c->crypto, key, sha256(c));
}

/* The length, or 0. */
static size_t write_request(struct turn_client *c, const struct question *q, uint8_t *out)
{
    struct stun_writer s;
    stun_write_begin(&s, out, MESSAGE_MAX, STUN_REQUEST, q->method, q->transaction);
    write_question(&s, q);
    if (c->key.len > 0) {
        write_credentials(&s, c);
    }
    stun_write_fingerprint(&s);
    return stun_write_end(&s);
}

static int make_transaction(struct turn_client *c, uint8_t out[STUN_TRANSACTION_LEN])
{
    struct writer w;
    writer_init(&w, out, STUN_TRANSACTION_LEN);
    writer_u32(&w, STUN_MAGIC_COOKIE);
    return random_fill(c->random, out + 4, STUN_TRANSACTION_LEN - 4);
}

/* Whether it answers the question. */
static bool answers(const struct stun_msg *msg, const struct question *q)
{
    return (msg->class == STUN_SUCCESS || msg->class == STUN_ERROR) && msg->method == q->method &&
           memcmp(msg->transaction, q->transaction, STUN_TRANSACTION_LEN) == 0;
}

/* 0 with *msg, borrowed from the link. What comes in between is data, and not waited for. */
static int ask(struct turn_client *c, struct question *q, struct stun_msg *msg)
{
    const uint64_t deadline = clock_now().mono_us + c->timeout_ms * US_PER_MS;
    const bool again = turn_link_transport(c->link) == TRANSPORT_UDP;
    uint8_t request[MESSAGE_MAX];
    int r = make_transaction(c, q->transaction);
    const size_t len = r == 0 ? write_request(c, q, request) : 0;
    unsigned patience = again ? RETRANSMIT_MS : c->timeout_ms;
    if (len == 0) {
        return -EIO;
    }
    r = turn_link_send(c->link, slice_of(request, len), c->timeout_ms);
    while (r >= 0) {
        struct slice bytes;
        const uint64_t now = clock_now().mono_us;
        const uint64_t left = now < deadline ? (deadline - now) / US_PER_MS : 0;
        if (left == 0) {
            return -ETIMEDOUT;
        }
        r = turn_link_receive(c->link, &bytes, left < patience ? (unsigned)left : patience);
        if (r == 0 && stun_parse(msg, bytes) == REASON_NONE && answers(msg, q)) {
            return 0;
        }
        if (r == -ETIMEDOUT && again) {
            patience *= 2;
            r = turn_link_send(c->link, slice_of(request, len), c->timeout_ms);
        }
    }
    return r;
}

/* The code of an error response; 0 where it has none. */
static int error_code(const struct stun_msg *msg)
{
    struct slice value;
    if (!stun_find(msg, STUN_ATTR_ERROR_CODE, &value) || value.len < 4) {
        return 0;
    }
    return (value.data[2] & 7) * 100 + value.data[3];
}

static int keep_nonce(struct turn_client *c, const struct stun_msg *msg)
{
    struct slice nonce;
    if (!stun_find(msg, STUN_ATTR_NONCE, &nonce) || nonce.len > sizeof(c->nonce)) {
        return -EBADMSG;
    }
    memcpy(c->nonce, nonce.data, nonce.len);
    c->nonce_len = nonce.len;
    return 0;
}

static bool offers_sha256(struct slice algorithms)
{
    struct cursor cursor;
    cursor_init(&cursor, algorithms);
    while (cursor_left(&cursor) >= 4) {
        const uint16_t algorithm = cursor_u16(&cursor), len = cursor_u16(&cursor);
        if (algorithm == STUN_PASSWORD_SHA256) {
            return true;
        }
        cursor_skip(&cursor, (len + 3u) & ~3u);
    }
    return false;
}

/* Whoever answers names the realm, and a terminal shows it. It "MUST have been processed using the
 * OpaqueString profile" (RFC 8489 section 14.9), which leaves nothing that a terminal obeys. */
static int keep_challenge(struct turn_client *c, const struct stun_msg *msg)
{
    struct slice realm, algorithms;
    if (!stun_find(msg, STUN_ATTR_REALM, &realm) || realm.len > STUN_REALM_MAX ||
        !opaque_string_admits(realm) || keep_nonce(c, msg) < 0) {
        return -EBADMSG;
    }
    memcpy(c->realm, realm.data, realm.len);
    c->realm[realm.len] = '\0';
    c->algorithms_len = 0;
    if (stun_find(msg, STUN_ATTR_PASSWORD_ALGORITHMS, &algorithms) &&
        algorithms.len <= sizeof(c->algorithms) && offers_sha256(algorithms)) {
        memcpy(c->algorithms, algorithms.data, algorithms.len);
        c->algorithms_len = algorithms.len;
    }
    return 0;
}

int turn_client_challenge(struct turn_client *c, enum addr_family family)
{
    struct question q = {.method = STUN_ALLOCATE, .family = family};
    struct stun_msg msg;
    turn_client_wipe(c);
    const int r = ask(c, &q, &msg);
    if (r < 0) {
        return r;
    }
    const int code = error_code(&msg);
    if (msg.class == STUN_SUCCESS || code == 0) {
        return -EBADMSG; /* nobody may allocate without credentials */
    }
    return code == 401 ? keep_challenge(c, &msg) : code;
}

int turn_client_login(struct turn_client *c, struct slice user, struct slice password)
{
    const struct slice parts[3] = {user, slice_of_string(c->realm), password};
    if (user.len == 0 || user.len > STUN_USERNAME_MAX) {
        return -EINVAL;
    }
    memcpy(c->user, user.data, user.len);
    c->user[user.len] = '\0';
    return long_term_key(
        &c->key, c->crypto, sha256(c) ? STUN_PASSWORD_SHA256 : STUN_PASSWORD_MD5, parts);
}

void turn_client_wipe(struct turn_client *c)
{
    secret_cleanse(&c->key, sizeof(c->key));
    c->key = (struct auth_key){0};
}

/* RFC 8656 section 6.3.1: 438 comes with a new nonce, with which the request is made once more. */
static int request(struct turn_client *c, struct question *q, struct stun_msg *msg)
{
    for (int tries = 0; tries < 2; tries++) {
        const int r = ask(c, q, msg);
        if (r < 0) {
            return r;
        }
        const int code = msg->class == STUN_ERROR ? error_code(msg) : 0;
        if (msg->class == STUN_ERROR && code != 438) {
            return code > 0 ? code : -EBADMSG;
        }
        if (code == 438 && keep_nonce(c, msg) < 0) {
            return -EBADMSG;
        }
        if (code == 0) {
            const int bad =
                stun_verify_integrity(msg, c->crypto, slice_of(c->key.bytes, c->key.len));
            return bad ? -EBADMSG : 0;
        }
    }
    return 438;
}

int turn_client_allocate(struct turn_client *c, enum addr_family family)
{
    struct question q = {.method = STUN_ALLOCATE, .family = family};
    struct stun_msg msg;
    struct slice relayed, mapped;
    const int r = request(c, &q, &msg);
    if (r != 0) {
        return r;
    }
    if (!stun_find(&msg, STUN_ATTR_XOR_RELAYED_ADDRESS, &relayed) ||
        !stun_find(&msg, STUN_ATTR_XOR_MAPPED_ADDRESS, &mapped) ||
        !stun_read_xor_addr(&msg, relayed, &c->relayed) ||
        !stun_read_xor_addr(&msg, mapped, &c->mapped)) {
        return -EBADMSG;
    }
    return 0;
}

int turn_client_permit(struct turn_client *c, const struct addr *peer)
{
    struct question q = {.method = STUN_CREATE_PERMISSION, .peer = peer};
    struct stun_msg msg;
    return request(c, &q, &msg);
}

int turn_client_bind(struct turn_client *c, const struct addr *peer, uint16_t channel)
{
    struct question q = {.method = STUN_CHANNEL_BIND, .peer = peer, .channel = channel};
    struct stun_msg msg;
    return request(c, &q, &msg);
}

int turn_client_release(struct turn_client *c)
{
    struct question q = {.method = STUN_REFRESH};
    struct stun_msg msg;
    return request(c, &q, &msg);
}

int turn_client_send_channel(struct turn_client *c, uint16_t channel, struct slice data)
{
    uint8_t message[MESSAGE_MAX];
    if (data.len > sizeof(message) - CHANNEL_HEADER_LEN) {
        return -EMSGSIZE;
    }
    channel_data_header(message, channel, (uint16_t)data.len);
    memcpy(message + CHANNEL_HEADER_LEN, data.data, data.len);
    return turn_link_send(c->link, slice_of(message, CHANNEL_HEADER_LEN + data.len), c->timeout_ms);
}

int turn_client_send_to(struct turn_client *c, const struct addr *peer, struct slice data)
{
    uint8_t message[MESSAGE_MAX], transaction[STUN_TRANSACTION_LEN];
    struct stun_writer s;
    if (make_transaction(c, transaction) < 0) {
        return -EIO;
    }
    stun_write_begin(&s, message, sizeof(message), STUN_INDICATION, STUN_SEND, transaction);
    stun_write_xor_addr(&s, STUN_ATTR_XOR_PEER_ADDRESS, peer);
    stun_write_attr(&s, STUN_ATTR_DATA, data);
    const size_t len = stun_write_end(&s);
    return len ? turn_link_send(c->link, slice_of(message, len), c->timeout_ms) : -EMSGSIZE;
}

int turn_client_receive(struct turn_client *c, struct slice *data)
{
    const uint64_t deadline = clock_now().mono_us + c->timeout_ms * US_PER_MS;
    for (;;) {
        struct slice bytes;
        struct channel_data channel;
        struct stun_msg msg;
        const uint64_t now = clock_now().mono_us;
        const int r = now >= deadline ? -ETIMEDOUT
                                      : turn_link_receive(c->link, &bytes,
                                            (unsigned)((deadline - now) / US_PER_MS) + 1);
        if (r < 0) {
            return r;
        }
        if (channel_data_parse(&channel, bytes) == REASON_NONE && (bytes.data[0] & 0xc0) == 0x40) {
            *data = channel.payload;
            return 0;
        }
        if (stun_parse(&msg, bytes) == REASON_NONE && msg.class == STUN_INDICATION &&
            msg.method == STUN_DATA && stun_find(&msg, STUN_ATTR_DATA, data)) {
            return 0;
        }
    }
}

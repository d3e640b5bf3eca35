/*
 * The whole relay as a state machine: the input is a list of operations over a world of
 * tests/scenario — requests that are nearly right, raw datagrams, peers, ICMP, time, failing
 * sockets, full mailboxes, reloads, a store that answers late or never, tokens, revocations. The
 * invariants of that world hold at each step, the books balance, and at the end every port, socket
 * and quota has come back. make_relay_corpus.py writes such lists.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/scenario/client.h"

#include <errno.h>

#define CLIENTS        4u
#define OPERATIONS_MAX 400u
#define DATA_MAX       2000u

/* REASON_NONE: media was relayed both ways in one input. */
static const enum reason expected[] = {REASON_NONE, REASON_EMPTY_DATAGRAM, REASON_NOT_STUN,
    REASON_STUN_TRUNCATED, REASON_STUN_NO_COOKIE, REASON_STUN_BAD_FINGERPRINT,
    REASON_STUN_NOT_A_REQUEST, REASON_STUN_UNKNOWN_METHOD, REASON_CHANNEL_TRUNCATED,
    REASON_SOURCE_IS_OURS, REASON_ANSWER_BUDGET, REASON_NO_INTEGRITY, REASON_STALE_NONCE,
    REASON_FOREIGN_NONCE, REASON_UNKNOWN_USER, REASON_WRONG_PASSWORD, REASON_UNKNOWN_ATTRIBUTE,
    REASON_MALFORMED_ATTRIBUTE, REASON_MISSING_ATTRIBUTE, REASON_CONFLICTING_ATTRIBUTES,
    REASON_ALLOCATION_EXISTS, REASON_NO_ALLOCATION, REASON_WRONG_USER, REASON_TRANSPORT_UNSUPPORTED,
    REASON_FAMILY_UNSUPPORTED, REASON_FAMILY_MISMATCH, REASON_PEER_FORBIDDEN,
    REASON_CHANNEL_CONFLICT, REASON_CHANNEL_OUT_OF_RANGE, REASON_RESERVATION_UNKNOWN,
    REASON_PORTS_EXHAUSTED, REASON_FILES_EXHAUSTED, REASON_PERMISSION_CAP, REASON_CHANNEL_CAP,
    REASON_QUOTA_USER, REASON_PARKED_DUPLICATE, REASON_PARKING_TIMEOUT, REASON_NO_PERMISSION,
    REASON_NO_CHANNEL, REASON_PEER_DENIED, REASON_PEER_PORT_NOT_LIVE, REASON_SEND_MALFORMED,
    REASON_NO_ALLOCATION_MEDIA, REASON_ICMP_TYPE, REASON_MAILBOX_FULL, REASON_PARKING_FULL,
    REASON_FLOW_GONE, REASON_STORE_UNREACHABLE, REASON_REVOKED, REASON_GUESS_LOCKOUT,
    REASON_CREDENTIAL_EXPIRED, REASON_KID_UNKNOWN, REASON_REALM_DIFFERS};

struct fuzz_reasons fuzz_reasons = {
    .expected = expected, .count = sizeof(expected) / sizeof(expected[0])};

struct play {
    struct cursor in;
    struct world *w;
    struct world_settings settings;
    struct prefix_rule deny;
    struct client c[CLIENTS];
    struct addr relayed[CLIENTS];
    struct request last[CLIENTS];
    uint8_t token[8];
};

static struct client *pick_client(struct play *p, unsigned *index)
{
    *index = cursor_u8(&p->in) % CLIENTS;
    return &p->c[*index];
}

static struct addr pick_peer(struct play *p)
{
    const uint8_t which = cursor_u8(&p->in);
    struct addr peer;
    switch (which % 12) {
    case 0:
    case 1:
    case 2:
    case 3:
        peer = p->relayed[which % CLIENTS];
        return peer.family == ADDR_NONE ? world_peer(1, 5000) : peer;
    case 4:
        return addr_ipv4(10, 0, 0, 1, 5000);
    case 5:
        return p->w->server_ipv4;
    case 6: /* our own address, a port that may be dead */
        peer = p->settings.relay.addresses[0].public;
        peer.port = (uint16_t)(50000 + which / 12);
        return peer;
    case 7:
        peer = p->settings.relay.addresses[0].local;
        peer.port = p->relayed[which / 12 % CLIENTS].port;
        return peer;
    case 8:
    case 9:
        return world_peer6(1 + which / 12 % 4, 5000);
    default:
        return world_peer(1 + which / 12 % 8, (uint16_t)(5000 + which / 96));
    }
}

static const uint16_t types[] = {STUN_ATTR_REQUESTED_TRANSPORT, STUN_ATTR_LIFETIME,
    STUN_ATTR_XOR_PEER_ADDRESS, STUN_ATTR_CHANNEL_NUMBER, STUN_ATTR_EVEN_PORT,
    STUN_ATTR_RESERVATION_TOKEN, STUN_ATTR_REQUESTED_ADDRESS_FAMILY,
    STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY, STUN_ATTR_DONT_FRAGMENT, STUN_ATTR_DATA,
    STUN_ATTR_SOFTWARE, STUN_ATTR_USERNAME, STUN_ATTR_REALM, STUN_ATTR_NONCE, STUN_ATTR_USERHASH,
    STUN_ATTR_PASSWORD_ALGORITHM, STUN_ATTR_PASSWORD_ALGORITHMS, STUN_ATTR_MESSAGE_INTEGRITY,
    STUN_ATTR_MESSAGE_INTEGRITY_SHA256, STUN_ATTR_FINGERPRINT, STUN_ATTR_ERROR_CODE, STUN_ATTR_ICMP,
    STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY_DRAFT, 0x7777, 0xc777};
#define TYPES (sizeof(types) / sizeof(types[0]))

/* An attribute of the right form with a byte of the input in it, or of any form. */
static void write_attribute(struct play *p, struct request *q)
{
    const uint8_t kind = cursor_u8(&p->in);
    const uint16_t type = types[kind % TYPES];
    if (kind >= 128) {
        const struct slice value = cursor_bytes(&p->in, cursor_u8(&p->in) % 80);
        stun_write_attr(&q->w, type, value);
        return;
    }
    if (type == STUN_ATTR_XOR_PEER_ADDRESS) {
        const struct addr peer = pick_peer(p);
        request_peer(q, &peer);
    } else if (type == STUN_ATTR_RESERVATION_TOKEN) {
        stun_write_attr(&q->w, type, slice_of(p->token, 8));
    } else if (type == STUN_ATTR_EVEN_PORT) {
        request_even_port(q, cursor_u8(&p->in) & 1);
    } else if (type == STUN_ATTR_CHANNEL_NUMBER) {
        request_channel(q, (uint16_t)(0x4000 + (cursor_u8(&p->in) << 4)));
    } else if (type == STUN_ATTR_LIFETIME) {
        stun_write_u32(&q->w, type, cursor_u8(&p->in) * 15u);
    } else if (type == STUN_ATTR_DONT_FRAGMENT) {
        request_empty(q, type);
    } else {
        stun_write_u32(&q->w, type, (uint32_t)cursor_u8(&p->in) << 24);
    }
}

static void note_answer(struct play *p, unsigned i, const struct response *r)
{
    if (r->code == 200 && r->relayed_count > 0)
        p->relayed[i] = r->relayed[0];
    if (r->has_token)
        memcpy(p->token, r->token, 8);
}

/* How a request is signed: bits 0–1 who, 2–3 with which algorithm, 4 FINGERPRINT, 5 something
 * behind it, 6 a flipped bit, 7 lost. */
static void finish(struct play *p, struct client *c, struct request *q, uint8_t how)
{
    struct client as = *c;
    as.auth = (how >> 2 & 3) == 3 ? CLIENT_NONE : (enum client_auth)(how >> 2 & 3);
    as.fingerprint = how >> 4 & 1;
    if ((how & 3) == 1)
        client_set_user(&as, c->user, "not the password");
    if ((how & 3) == 2)
        client_set_user(&as, strcmp(c->user, "bob") ? "bob" : "alice",
            strcmp(c->user, "bob") ? "builder" : "wonderland");
    if ((how & 3) == 3)
        client_set_user(&as, "nobody", "wonderland");
    if (as.auth != CLIENT_NONE) {
        request_credentials(q, &as);
        request_integrity(q, &as, as.auth != CLIENT_MD5);
    }
    if (how & 32)
        write_attribute(p, q);
    if (as.fingerprint)
        stun_write_fingerprint(&q->w);
    request_close(q);
}

static void do_request(struct play *p)
{
    static const uint16_t methods[] = {STUN_ALLOCATE, STUN_REFRESH, STUN_CREATE_PERMISSION,
        STUN_CHANNEL_BIND, STUN_BINDING, STUN_SEND, STUN_DATA, 0x00e};
    unsigned i;
    struct client *c = pick_client(p, &i);
    const uint8_t method = cursor_u8(&p->in), how = cursor_u8(&p->in);
    struct request *q = &p->last[i];
    request_begin(q, c, method >> 3 & 1 ? STUN_INDICATION : STUN_REQUEST, methods[method % 8]);
    for (unsigned count = method >> 5; count > 0; count--)
        write_attribute(p, q);
    finish(p, c, q, how);
    if (how & 64) {
        const uint16_t bit = cursor_u16(&p->in);
        q->bytes[bit / 8 % q->len] ^= (uint8_t)(1u << bit % 8);
    }
    if (how & 128)
        return;
    client_send_raw(c, q->bytes, q->len);
    /* The answer's key is that of whoever signed: only the client itself looks into it. */
    struct response r;
    const enum client_auth auth = c->auth;
    c->auth = (how >> 2 & 3) == 3 ? CLIENT_NONE : (enum client_auth)(how >> 2 & 3);
    if ((how & 3) == 0 && client_answer(c, q->transaction, &r))
        note_answer(p, i, &r);
    c->auth = auth;
}

/* The usual requests, right in all: so that little input comes far. */
static void do_usual(struct play *p)
{
    unsigned i;
    struct client *c = pick_client(p, &i);
    const uint8_t what = cursor_u8(&p->in);
    const struct addr peer = pick_peer(p);
    const struct raw_attr plain[] = {ATTR_UDP, ATTR_FAMILY6}, dual[] = {ATTR_UDP, ATTR_BOTH},
                          pair[] = {ATTR_UDP, ATTR_EVEN_PAIR},
                          token[] = {ATTR_UDP, ATTR_TOKEN(p->token)};
    struct response r = {.code = 0};
    switch (what % 10) {
    case 0:
        client_challenge(c);
        return;
    case 1:
        client_allocate(c, &r);
        break;
    case 2:
        client_ask(c, STUN_ALLOCATE, plain, 2, &r);
        break;
    case 3:
        client_ask(c, STUN_ALLOCATE, dual, 2, &r);
        break;
    case 4:
        client_ask(c, STUN_ALLOCATE, pair, 2, &r);
        break;
    case 5:
        client_ask(c, STUN_ALLOCATE, token, 2, &r);
        break;
    case 6:
        client_refresh(c, what >= 128 ? 0 : what * 30u, &r);
        break;
    case 7:
        client_permit(c, &peer);
        return;
    case 8:
        client_bind(c, (uint16_t)(0x4000 + what / 10), &peer);
        return;
    default:
        client_binding(c, &r);
    }
    note_answer(p, i, &r);
}

static void do_retransmit(struct play *p)
{
    unsigned i;
    struct client *c = pick_client(p, &i);
    if (p->last[i].len == 0) {
        request_begin(&p->last[i], c, STUN_REQUEST, STUN_ALLOCATE);
        request_transport(&p->last[i], 17);
        stun_write_attr(&p->last[i].w, STUN_ATTR_RESERVATION_TOKEN, slice_of(p->token, 8));
        request_finish(&p->last[i], c);
    }
    client_send_raw(c, p->last[i].bytes, p->last[i].len);
}

static void do_raw(struct play *p)
{
    unsigned i;
    struct client *c = pick_client(p, &i);
    const struct slice bytes = cursor_bytes(&p->in, cursor_u8(&p->in));
    client_send_raw(c, bytes.data, bytes.len);
}

static void do_media(struct play *p)
{
    static const uint8_t data[DATA_MAX] = {'m', 'e', 'd', 'i', 'a'};
    unsigned i;
    struct client *c = pick_client(p, &i);
    const uint8_t how = cursor_u8(&p->in);
    const size_t len = (size_t)cursor_u8(&p->in) * 7 % DATA_MAX;
    const struct addr peer = pick_peer(p);
    c->tos = how;
    if (how & 1)
        client_indicate(c, &peer, data, len);
    else
        client_channel_data(c, (uint16_t)(0x4000 + how / 8), data, len);
}

static void do_peer(struct play *p)
{
    unsigned i;
    pick_client(p, &i);
    const struct addr peer = pick_peer(p);
    const uint8_t how = cursor_u8(&p->in);
    if (p->relayed[i].family == ADDR_NONE)
        return;
    if (how & 1) {
        const uint8_t type_code[2] = {cursor_u8(&p->in), cursor_u8(&p->in)};
        if (peer.family == p->relayed[i].family)
            world_icmp(p->w, &p->relayed[i], &peer, type_code, how);
        return;
    }
    const struct slice bytes = cursor_bytes(&p->in, how / 2);
    if (peer.family == p->relayed[i].family)
        world_from_peer(p->w, &peer, &p->relayed[i], bytes, how);
}

static void do_time(struct play *p)
{
    const uint8_t how = cursor_u8(&p->in);
    if (how < 200)
        world_advance(p->w, how);
    else
        world_jump(p->w, (uint64_t)(how - 200) * 100);
}

static void do_reload(struct play *p)
{
    const uint8_t how = cursor_u8(&p->in);
    struct world_settings *s = &p->settings;
    s->relay.policy.deny = &p->deny;
    s->relay.policy.deny_count = how & 1;
    s->relay.port_max = how & 2 ? 50003 : 50063;
    s->relay.address_count = how & 4 ? 1 : 2;
    s->relay.permissions_per_allocation = how & 8 ? 2 : 16;
    s->relay.channels_per_allocation = how & 8 ? 2 : 16;
    s->limits.quota.allocations_per_user = how & 16 ? 2 : 0;
    s->alice_password = how & 32 ? "another" : "wonderland";
    s->relay.rfc5766_channels = how >> 6 & 1;
    s->limits.unauthenticated_per_address =
        (struct rate){.count = how & 128 ? 3 : 0, .period_s = 1, .burst = 3};
    world_reload(p->w, s);
}

static void do_trouble(struct play *p)
{
    const uint8_t how = cursor_u8(&p->in);
    struct fake_sockets *s = &p->w->sockets;
    switch (how % 8) {
    case 0:
        s->fail_open_in = 1 + how / 8 % 4;
        s->fail_open_with = how & 64 ? -EMFILE : -EACCES;
        return;
    case 1:
        s->fail_adopt_in = 1;
        s->fail_adopt_with = -ENOMEM;
        return;
    case 2:
        p->w->random_fails = !p->w->random_fails;
        return;
    case 3:
        p->w->hold_mail = !p->w->hold_mail;
        return;
    case 4:
        world_deliver_mail(p->w, how / 8 % p->settings.workers);
        return;
    case 5:
        p->w->hold_outbox = !p->w->hold_outbox;
        return;
    case 6:
        s->occupied[s->occupied_count % 16] = p->settings.relay.addresses[0].local;
        s->occupied[s->occupied_count % 16].port = (uint16_t)(50000 + how / 8);
        s->occupied_count += s->occupied_count < 16;
        return;
    default: /* another source: a relayed address of ours, or another port */
        p->c[how / 8 % CLIENTS].addr = world_client_addr(how, how);
        if (how & 64 && p->relayed[how / 8 % CLIENTS].family != ADDR_NONE)
            p->c[(how / 8 + 1) % CLIENTS].addr = p->relayed[how / 8 % CLIENTS];
    }
}

static void revoke(struct play *p, const struct client *c, uint8_t how)
{
    const bool token = how & 16 && c->token.len > 0;
    const enum revocation_kind kind = token ? REVOKE_TOKEN : how & 32 ? REVOKE_SECRET : REVOKE_USER;
    const char *id = token ? c->token.id : c->user;
    (how & 64 ? world_take_back : world_revoke)(p->w, kind, c->realm_id, id);
}

/* Bit 6: the listener serves REALM_PLAIN besides; bit 7: that is its home, and the client names its
 * own realm there all the same. */
static void visit(struct client *c, uint8_t how)
{
    const uint32_t own = c->realm_id;
    c->realms = how & 64 ? 1ull << REALM_PLAIN | 1ull << own : 0;
    c->realm_id = how & 128 ? REALM_PLAIN : own;
    client_challenge(c);
    if (how & 128)
        c->realm_len =
            (size_t)snprintf((char *)c->realm, sizeof(c->realm), "%s", world_realm_name(own));
}

/* The store, and what depends on it; a client that has become somebody else begins anew. */
static void do_store(struct play *p)
{
    static const char *const kids[] = {WORLD_KID, WORLD_STORED_KID, "key-9"};
    unsigned i;
    struct client *c = pick_client(p, &i);
    const uint8_t how = cursor_u8(&p->in);
    struct world *w = p->w;
    switch (how % 8) {
    case 0:
        w->store.mode = (enum world_store_mode)(how / 8 % 3);
        return;
    case 1:
        world_store_answer(w);
        world_run(w);
        return;
    case 2:
        w->store.unreachable = !w->store.unreachable;
        return;
    case 3:
        client_set_stored(c);
        break;
    case 4:
        client_set_token(c, kids[how / 8 % 3], 1u + how);
        break;
    case 5:
        revoke(p, c, how);
        return;
    case 6:
        world_store_set_user(
            w, REALM_REDIS, WORLD_STORED_USER, how & 8 ? NULL : WORLD_STORED_PASSWORD);
        return;
    default:
        client_close(c);
        return;
    }
    visit(c, how);
}

static void begin(struct play *p)
{
    const uint8_t how = cursor_u8(&p->in);
    const char *why;
    p->settings = world_settings_default();
    FUZZ_REQUIRE(prefix_rule_parse(&p->deny, "45.45.0.0/24", &why) == 0);
    p->settings.workers = 1 + how % 3;
    p->settings.mailbox = how & 4 ? 1 : 8;
    if (how & 8)
        p->settings.relay.addresses[0].local = addr_ipv4(10, 0, 0, 20, 0);
    p->settings.relay.port_min = 50000;
    p->settings.relay.port_max = 50063;
    p->settings.max_allocations = 8;
    p->settings.relay.max_allocations = 64;
    p->settings.lockout = true;
    p->settings.limits.guesses_per_source = (struct rate){.count = 10, .period_s = 60, .burst = 10};
    p->w = world_new(&p->settings);
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_init(&p->c[i], p->w, i + 1);
        p->c[i].auth = how >> 4 & 1 ? CLIENT_SHA256 : CLIENT_MD5;
    }
    client_set_user(&p->c[2], "bob", "builder");
    client_set_ipv6(&p->c[3], 4);
}

static void end(struct play *p)
{
    static const enum reason never[] = {
        REASON_SEND_WOULD_BLOCK, REASON_SEND_FAILED, REASON_SEND_TOO_BIG};
    struct world *w = p->w;
    w->hold_mail = w->hold_outbox = w->random_fails = false;
    w->store.mode = WORLD_STORE_PROMPT;
    world_check(w);
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        FUZZ_REQUIRE(world_dropped(w, never[i]) + world_refused(w, never[i]) == 0);
    for (size_t i = 1; i < fuzz_reasons.count; i++)
        if (world_dropped(w, expected[i]) + world_refused(w, expected[i]) > 0)
            fuzz_note(expected[i]);
    if (w->media_to_peer > 0 && w->media_to_client > 0)
        fuzz_note(REASON_NONE);
    world_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const operations[])(struct play *) = {do_usual, do_request, do_media, do_peer,
        do_time, do_raw, do_retransmit, do_reload, do_trouble, do_store};
    static struct play play;
    memset(&play, 0, sizeof(play));
    cursor_init(&play.in, slice_of(data, size));
    begin(&play);
    for (unsigned i = 0; i < OPERATIONS_MAX && cursor_left(&play.in) > 0; i++) {
        operations[cursor_u8(&play.in) % (sizeof(operations) / sizeof(operations[0]))](&play);
        if (i % 16 == 0 && !play.w->hold_outbox && !play.w->hold_mail)
            world_check(play.w);
        world_clear(play.w);
    }
    end(&play);
    return 0;
}

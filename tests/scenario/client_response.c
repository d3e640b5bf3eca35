/*
 * Answers and media as the test client takes them apart. What always holds: an answer counts only
 * with the right transaction, a verified integrity if it has one, and through the addresses of the
 * request. Called by client.c and the tests.
 */
#include "tests/scenario/client.h"

#include "wire/channel_data.h"

#include <stdio.h>

static bool entry_is_for(const struct client *c, const struct sent *s)
{
    return !s->taken && s->target == OUTBOX_TO_CLIENT && addr_equal(&s->to, &c->addr);
}

static struct sent *find_answer(
    struct client *c, const uint8_t transaction[STUN_TRANSACTION_LEN], struct stun_msg *msg)
{
    struct world *w = c->world;
    for (size_t i = 0; i < w->sent_count; i++) {
        struct sent *s = w->sent[i];
        if (!entry_is_for(c, s) || s->media ||
            stun_parse(msg, slice_of(s->bytes, s->len)) != REASON_NONE)
            continue;
        if (msg->class >= STUN_SUCCESS &&
            memcmp(msg->transaction, transaction, STUN_TRANSACTION_LEN) == 0) {
            s->taken = true;
            return s;
        }
    }
    return NULL;
}

static void keep(struct slice value, uint8_t *to, size_t *len, size_t cap)
{
    if (value.len > cap)
        world_fail("an attribute is longer than the RFC allows");
    memcpy(to, value.data, value.len);
    *len = value.len;
}

static void read_challenge(struct client *c, struct response *out)
{
    struct slice realm, nonce, algorithms;
    out->has_algorithms = stun_find(&out->msg, STUN_ATTR_PASSWORD_ALGORITHMS, &algorithms);
    if (!stun_find(&out->msg, STUN_ATTR_REALM, &realm) ||
        !stun_find(&out->msg, STUN_ATTR_NONCE, &nonce))
        return;
    out->challenged = true;
    keep(realm, c->realm, &c->realm_len, STUN_REALM_MAX);
    keep(nonce, c->nonce, &c->nonce_len, STUN_NONCE_MAX);
    c->algorithms_len = 0;
    if (out->has_algorithms)
        keep(algorithms, c->algorithms, &c->algorithms_len, sizeof(c->algorithms));
}

static int read_code(const struct stun_msg *msg)
{
    struct slice value;
    if (msg->class == STUN_SUCCESS)
        return 200;
    if (!stun_find(msg, STUN_ATTR_ERROR_CODE, &value) || value.len < 4)
        world_fail("an error response without ERROR-CODE");
    /* RFC 8489 section 14.8: "The Class represents the hundreds digit", the number is modulo 100.
     */
    if ((value.data[2] & 7) < 3 || (value.data[2] & 7) > 6 || value.data[3] > 99)
        world_fail("an ERROR-CODE out of range");
    return (value.data[2] & 7) * 100 + value.data[3];
}

static void read_addresses(struct response *out)
{
    struct slice value;
    unsigned at = 0;
    if (stun_find(&out->msg, STUN_ATTR_XOR_MAPPED_ADDRESS, &value) &&
        !stun_read_xor_addr(&out->msg, value, &out->mapped))
        world_fail("an XOR-MAPPED-ADDRESS that cannot be read");
    if (stun_find(&out->msg, STUN_ATTR_MAPPED_ADDRESS, &value) &&
        !stun_read_addr(value, &out->mapped))
        world_fail("a MAPPED-ADDRESS that cannot be read");
    while (stun_next(&out->msg, STUN_ATTR_XOR_RELAYED_ADDRESS, &at, &value)) {
        if (out->relayed_count == 2 ||
            !stun_read_xor_addr(&out->msg, value, &out->relayed[out->relayed_count]))
            world_fail("XOR-RELAYED-ADDRESS: too many, or one that cannot be read");
        out->relayed_count++;
    }
}

static void read_details(struct response *out)
{
    struct slice value;
    out->has_lifetime =
        stun_find(&out->msg, STUN_ATTR_LIFETIME, &value) && stun_read_u32(value, &out->lifetime);
    out->has_token = stun_find(&out->msg, STUN_ATTR_RESERVATION_TOKEN, &value) &&
                     stun_read_token(value, out->token);
    out->has_software = stun_has(&out->msg, STUN_ATTR_SOFTWARE);
    stun_find(&out->msg, STUN_ATTR_THIRD_PARTY_AUTHORIZATION, &out->third_party);
    /* RFC 8656 section 18.12: family, 13 reserved bits, class, number. */
    if (stun_find(&out->msg, STUN_ATTR_ADDRESS_ERROR_CODE, &value) && value.len >= 4) {
        out->has_address_error = true;
        out->address_error_family = value.data[0] == 1   ? ADDR_IPV4
                                    : value.data[0] == 2 ? ADDR_IPV6
                                                         : ADDR_NONE;
        out->address_error_code = (value.data[2] & 7) * 100 + value.data[3];
    }
    if (stun_find(&out->msg, STUN_ATTR_UNKNOWN_ATTRIBUTES, &value))
        for (size_t i = 0; i + 2 <= value.len && out->unknown_count < RESPONSE_UNKNOWN_MAX; i += 2)
            out->unknown[out->unknown_count++] = (uint16_t)(value.data[i] << 8 | value.data[i + 1]);
}

static void read_integrity(struct client *c, struct response *out)
{
    if (out->msg.integrity_offset == 0 && out->msg.integrity256_offset == 0)
        return;
    uint8_t key[AUTH_KEY_MAX];
    const size_t len = client_key(c, key);
    if (stun_verify_integrity(&out->msg, c->world->crypto, slice_of(key, len)) != 0)
        world_fail("an answer whose integrity does not verify");
    out->integrity = true;
    out->sha256 = out->msg.integrity256_offset != 0;
    if (out->sha256 && out->msg.integrity_offset != 0)
        world_fail("an answer with both integrity attributes");
}

int client_answer(
    struct client *c, const uint8_t transaction[STUN_TRANSACTION_LEN], struct response *out)
{
    memset(out, 0, sizeof(*out));
    const struct sent *s = find_answer(c, transaction, &out->msg);
    if (!s)
        return 0;
    if (!addr_equal(&s->from, &c->server))
        world_fail("an answer from another address than the request went to");
    out->bytes = s->bytes;
    out->len = s->len;
    out->code = read_code(&out->msg);
    read_integrity(c, out);
    read_addresses(out);
    read_details(out);
    read_challenge(c, out);
    return out->code;
}

static void read_indication(const struct stun_msg *msg, struct received *out)
{
    struct slice value;
    if (msg->class != STUN_INDICATION || msg->method != STUN_DATA)
        world_fail("media for a client that is no Data indication");
    if (!stun_find(msg, STUN_ATTR_XOR_PEER_ADDRESS, &value) ||
        !stun_read_xor_addr(msg, value, &out->peer))
        world_fail("a Data indication without XOR-PEER-ADDRESS");
    if (stun_find(msg, STUN_ATTR_ICMP, &value)) {
        if (value.len != sizeof(out->icmp_value))
            world_fail("an ICMP attribute of another length than 8");
        out->icmp = true;
        memcpy(out->icmp_value, value.data, value.len);
    } else if (!stun_find(msg, STUN_ATTR_DATA, &out->data)) {
        world_fail("a Data indication without DATA");
    }
}

bool client_receive(struct client *c, struct received *out)
{
    struct world *w = c->world;
    for (size_t i = 0; i < w->sent_count; i++) {
        struct sent *s = w->sent[i];
        if (!entry_is_for(c, s))
            continue;
        struct stun_msg msg;
        struct channel_data data;
        const struct slice bytes = slice_of(s->bytes, s->len);
        memset(out, 0, sizeof(*out));
        out->tos = s->tos;
        if (channel_data_parse(&data, bytes) == REASON_NONE && bytes.data[0] >= 0x40) {
            out->channel = true;
            out->number = data.number;
            out->data = data.payload;
        } else if (stun_parse(&msg, bytes) == REASON_NONE) {
            if (msg.class != STUN_INDICATION)
                continue;
            read_indication(&msg, out);
        } else {
            world_fail("a client is sent what is neither STUN nor ChannelData");
        }
        s->taken = true;
        return true;
    }
    return false;
}

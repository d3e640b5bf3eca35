/*
 * THREATS row 7: what stands behind an integrity attribute is not covered by it, and means nothing
 * (RFC 8489 section 9: "agents MUST ignore all attributes that follow MESSAGE-INTEGRITY", but for
 * MESSAGE-INTEGRITY-SHA256 and FINGERPRINT).
 */
#include "tests/scenario/fixture.h"

/* 45.45.0.2:5000 under XOR with the cookie. */
#define PEER2 "\x00\x01\x32\x9a\x0c\x3f\xa4\x40"

#define TOKEN64 "\x00\x0cthe shortest token that any key could open has sixty of them."

/* Every known attribute but the two exceptions, with values that would change what a request means,
 * and some unknown ones. */
static const struct raw_attr appended[] = {
    {STUN_ATTR_MAPPED_ADDRESS, 8, PEER2},
    {STUN_ATTR_USERNAME, 3, "bob"},
    {STUN_ATTR_ERROR_CODE, 4, "\0\0\4\0"},
    {STUN_ATTR_UNKNOWN_ATTRIBUTES, 2, "\x77\x77"},
    {STUN_ATTR_CHANNEL_NUMBER, 4, "\x40\1\0"},
    {STUN_ATTR_LIFETIME, 4, "\0\0\0"},
    {STUN_ATTR_LIFETIME, 4, "\0\0\x0e\x10"},
    {STUN_ATTR_XOR_PEER_ADDRESS, 8, PEER2},
    {STUN_ATTR_XOR_PEER_ADDRESS, 3, "bad"},
    {STUN_ATTR_DATA, 4, "data"},
    {STUN_ATTR_REALM, 14, "stored.example"},
    {STUN_ATTR_NONCE, 5, "nonce"},
    {STUN_ATTR_XOR_RELAYED_ADDRESS, 8, PEER2},
    {STUN_ATTR_REQUESTED_ADDRESS_FAMILY, 4, "\2\0\0"},
    {STUN_ATTR_EVEN_PORT, 1, "\x80"},
    {STUN_ATTR_REQUESTED_TRANSPORT, 4, "\6\0\0"},
    {STUN_ATTR_DONT_FRAGMENT, 0, ""},
    {STUN_ATTR_ACCESS_TOKEN, 64, TOKEN64},
    {STUN_ATTR_PASSWORD_ALGORITHM, 4, "\0\2\0"},
    {STUN_ATTR_USERHASH, 32, "0123456789abcdef0123456789abcdef"},
    {STUN_ATTR_XOR_MAPPED_ADDRESS, 8, PEER2},
    {STUN_ATTR_RESERVATION_TOKEN, 8, "12345678"},
    {STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY, 4, "\2\0\0"},
    {STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY_DRAFT, 4, "\2\0\0"},
    {STUN_ATTR_ADDRESS_ERROR_CODE, 4, "\1\0\4\0"},
    {STUN_ATTR_PASSWORD_ALGORITHMS, 4, "\0\1\0"},
    {STUN_ATTR_ICMP, 8, "\0\0\3\3\0\0\0"},
    {STUN_ATTR_SOFTWARE, 4, "evil"},
    {STUN_ATTR_ALTERNATE_SERVER, 8, PEER2},
    {STUN_ATTR_ALTERNATE_DOMAIN, 4, "evil"},
    {STUN_ATTR_THIRD_PARTY_AUTHORIZATION, 4, "evil"},
    {0x7777, 4, "what"}, /* unknown and comprehension-required: no 420 */
    {0xc777, 4, "what"},
};
#define APPENDED (sizeof(appended) / sizeof(appended[0]))

struct outcome {
    int code;
    unsigned relayed_count;
    uint32_t lifetime;
    bool token, allocated, permitted, bound;
    size_t len;
};

/* Sends the method's plain request, with an attribute behind its integrity if there is one, and
 * looks at everything. */
static struct outcome try(
    struct fixture *f, uint16_t method, const struct raw_attr *behind, bool fingerprint)
{
    struct client *c = &f->a;
    struct request q;
    struct response r;
    const struct addr peer = world_peer(1, 5000), other = world_peer(2, 5000);
    c->nonce_len ? (void)0 : (void)client_challenge(c);
    if (method != STUN_ALLOCATE)
        fixture_allocate(c);
    request_begin(&q, c, STUN_REQUEST, method);
    if (method == STUN_ALLOCATE)
        request_transport(&q, 17);
    if (method == STUN_CHANNEL_BIND)
        request_channel(&q, 0x4000);
    if (method == STUN_CREATE_PERMISSION || method == STUN_CHANNEL_BIND)
        request_peer(&q, &peer);
    request_credentials(&q, c);
    request_integrity(&q, c, c->auth != CLIENT_MD5);
    if (behind)
        stun_write_attr(&q.w, behind->type, slice_of(behind->value, behind->len));
    if (fingerprint)
        stun_write_fingerprint(&q.w);
    request_close(&q);
    client_send(c, &q, &r);
    struct outcome o = {.code = r.code,
        .relayed_count = r.relayed_count,
        .lifetime = r.lifetime,
        .token = r.has_token,
        .allocated = world_allocations(f->w) == 1,
        .len = r.len - (r.msg.has_fingerprint ? 8 : 0)};
    client_indicate(c, &other, "x", 1);
    o.permitted = world_take_to_peer(f->w) != NULL;
    client_channel_data(c, 0x4001, "x", 1);
    o.bound = world_take_to_peer(f->w) != NULL;
    client_refresh(c, 0, NULL);
    world_clear(f->w);
    return o;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return a->code == b->code && a->relayed_count == b->relayed_count &&
           a->lifetime == b->lifetime && a->token == b->token && a->allocated == b->allocated &&
           a->permitted == b->permitted && a->bound == b->bound && a->len == b->len;
}

static void compare(struct fixture *f, uint16_t method)
{
    const struct outcome plain = try(f, method, NULL, false);
    assert_int_equal(plain.code, 200);
    assert_false(plain.permitted || plain.bound);
    for (size_t i = 0; i < APPENDED; i++) {
        for (unsigned fingerprint = 0; fingerprint < 2; fingerprint++) {
            const struct outcome o = try(f, method, &appended[i], fingerprint);
            if (!same(&o, &plain))
                fail_msg("method %u: attribute 0x%04x behind the integrity had an effect (%d)",
                    method, appended[i].type, o.code);
        }
    }
}

static void test_attributes_behind_sha1_mean_nothing(void **state)
{
    struct fixture *f = *state;
    compare(f, STUN_ALLOCATE);
    compare(f, STUN_REFRESH);
    compare(f, STUN_CREATE_PERMISSION);
    compare(f, STUN_CHANNEL_BIND);
}

static void test_attributes_behind_sha256_mean_nothing(void **state)
{
    struct fixture *f = *state;
    f->a.auth = CLIENT_SHA256;
    compare(f, STUN_ALLOCATE);
    compare(f, STUN_REFRESH);
    compare(f, STUN_CREATE_PERMISSION);
    compare(f, STUN_CHANNEL_BIND);
}

static void test_attributes_between_the_two_integrities_mean_nothing(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_REFRESH);
    request_credentials(&q, &f->a);
    request_integrity(&q, &f->a, false);
    stun_write_u32(&q.w, STUN_ATTR_LIFETIME, 0);
    request_integrity(&q, &f->a, true);
    request_close(&q);
    const int code = client_send(&f->a, &q, NULL);
    assert_true(code == 200 || code == 401);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_what_a_request_needs_is_missing_when_it_stands_behind(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_credentials(&q, &f->a);
    request_integrity(&q, &f->a, false);
    request_transport(&q, 17);
    request_close(&q);
    assert_int_equal(client_send(&f->a, &q, NULL), 400);
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    request_integrity(&q, &f->a, false);
    request_credentials(&q, &f->a);
    request_close(&q);
    assert_int_equal(client_send(&f->a, &q, NULL), 400);
    assert_int_equal(world_allocations(f->w), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_attributes_behind_sha1_mean_nothing),
        SCENARIO(test_attributes_behind_sha256_mean_nothing),
        SCENARIO(test_attributes_between_the_two_integrities_mean_nothing),
        SCENARIO(test_what_a_request_needs_is_missing_when_it_stands_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

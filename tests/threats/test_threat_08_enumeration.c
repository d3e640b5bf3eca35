/*
 * THREATS row 8: nobody learns from the answers, or from what they cost, which users there are.
 * Byte-identical answers but for transaction and nonce, and as many HMACs for a user that is known
 * as for one that is not.
 */
#include "tests/scenario/fixture.h"

#include <stdio.h>

struct observed {
    uint8_t bytes[256];
    size_t len;
    uint64_t hmacs;
};

static void mask(struct observed *o, const struct stun_msg *msg)
{
    struct slice nonce;
    memset(o->bytes + 8, 0, 12);
    if (stun_find(msg, STUN_ATTR_NONCE, &nonce))
        memset(o->bytes + (nonce.data - msg->bytes.data), 0, nonce.len);
}

static struct observed guess(
    struct world *w, const struct client *as, const char *user, uint16_t method)
{
    struct client c = *as;
    struct response r;
    struct request q;
    struct observed o = {0};
    client_set_user(&c, user, "a guess");
    c.nonce_len = 0;
    assert_int_equal(client_challenge(&c), 401);
    const uint64_t before = crypto_hmac_count(w->worker[c.worker].crypto);
    request_begin(&q, &c, STUN_REQUEST, method);
    request_transport(&q, 17);
    request_finish(&q, &c);
    assert_int_equal(client_send(&c, &q, &r), 401);
    o.hmacs = crypto_hmac_count(w->worker[c.worker].crypto) - before;
    assert_true(r.len <= sizeof(o.bytes));
    memcpy(o.bytes, r.bytes, o.len = r.len);
    mask(&o, &r.msg);
    return o;
}

static void expect_same(
    struct fixture *f, const struct client *as, const char *known, const char *unknown)
{
    const uint16_t methods[] = {
        STUN_ALLOCATE, STUN_REFRESH, STUN_CREATE_PERMISSION, STUN_CHANNEL_BIND};
    for (unsigned i = 0; i < 4; i++) {
        const struct observed a = guess(f->w, as, known, methods[i]),
                              b = guess(f->w, as, unknown, methods[i]);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.bytes, b.bytes, a.len);
        assert_int_equal(a.hmacs, b.hmacs);
        assert_true(a.hmacs >= 2); /* the nonce, and the message or its dummy */
    }
}

static void test_users_by_name_cannot_be_told_apart(void **state)
{
    struct fixture *f = *state;
    for (unsigned auth = CLIENT_MD5; auth <= CLIENT_MD5_LISTED; auth++) {
        f->a.auth = auth;
        expect_same(f, &f->a, "alice", "nobody");
        expect_same(f, &f->a, "bob", "a name that is much longer than any other name");
        f->a.fingerprint = true;
        expect_same(f, &f->a, "dave", "");
        f->a.fingerprint = false;
    }
    assert_true(world_refused(f->w, REASON_UNKNOWN_USER) > 0);
    assert_true(world_refused(f->w, REASON_WRONG_PASSWORD) > 0);
}

static void test_users_by_hash_cannot_be_told_apart(void **state)
{
    struct fixture *f = *state;
    f->a.userhash = true;
    for (unsigned auth = CLIENT_MD5; auth <= CLIENT_MD5_LISTED; auth++) {
        f->a.auth = auth;
        expect_same(f, &f->a, "alice", "nobody");
    }
}

static void test_users_of_stored_keys_cannot_be_told_apart(void **state)
{
    struct fixture *f = *state;
    f->a.realm_id = REALM_STORED;
    expect_same(f, &f->a, "carol", "nobody");
}

static void test_rest_users_cannot_be_told_apart(void **state)
{
    /* Every name with a time to come is known there; one without is not. */
    struct fixture *f = *state;
    char known[64];
    f->a.realm_id = REALM_REST;
    snprintf(known, sizeof(known), "%lld:x", (long long)f->w->now.wall_s + 1000);
    expect_same(f, &f->a, known, "not-a-time:x");
    snprintf(known, sizeof(known), "%lld:x", (long long)f->w->now.wall_s - 1000);
    expect_same(f, &f->a, known, "not-a-time:x");
}

static void test_users_over_another_ones_allocation_cannot_be_told_apart(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    expect_same(f, &f->a, "bob", "nobody");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_users_by_name_cannot_be_told_apart),
        SCENARIO(test_users_by_hash_cannot_be_told_apart),
        SCENARIO(test_users_of_stored_keys_cannot_be_told_apart),
        SCENARIO(test_rest_users_cannot_be_told_apart),
        SCENARIO(test_users_over_another_ones_allocation_cannot_be_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

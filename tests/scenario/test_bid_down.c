/*
 * Bid-down protection (RFC 8489 sections 9.2.1 and 9.2.4): every mix of PASSWORD-ALGORITHMS and
 * PASSWORD-ALGORITHM under a nonce that promised them, and nonces whose feature bits were changed
 * on the way.
 */
#include "tests/scenario/fixture.h"

#define SHA256_MD5 "\x00\x02\x00\x00\x00\x01\x00\x00"
#define MD5_SHA256 "\x00\x01\x00\x00\x00\x02\x00\x00"
#define ONLY_MD5   "\x00\x01\x00\x00"
#define ONLY_SHA   "\x00\x02\x00\x00"
#define SHA_OTHER  "\x00\x02\x00\x00\x00\x09\x00\x00"
#define OTHER      "\x00\x09\x00\x00"

struct mix {
    const char *list, *one; /* values of PASSWORD-ALGORITHMS and PASSWORD-ALGORITHM; NULL: absent */
    uint8_t list_len, one_len;
    enum client_auth key;
    bool sha256; /* integrity of the request */
    int code;
};

static const struct mix mixes[] = {
    /* "contains neither …, then the request is processed as though PASSWORD-ALGORITHM were MD5" */
    {NULL, NULL, 0, 0, CLIENT_MD5, false, 200},
    {NULL, NULL, 0, 0, CLIENT_MD5, true, 200},
    {NULL, NULL, 0, 0, CLIENT_SHA256, true, 401},
    {SHA256_MD5, ONLY_SHA, 8, 4, CLIENT_SHA256, true, 200},
    {SHA256_MD5, ONLY_MD5, 8, 4, CLIENT_MD5, true, 200},
    {SHA256_MD5, ONLY_MD5, 8, 4, CLIENT_SHA256, true, 401},
    {SHA256_MD5, ONLY_SHA, 8, 4, CLIENT_MD5, true, 401},
    /* "unless (1) PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS are both present" */
    {NULL, ONLY_SHA, 0, 4, CLIENT_SHA256, true, 400},
    {NULL, ONLY_MD5, 0, 4, CLIENT_MD5, true, 400},
    {SHA256_MD5, NULL, 8, 0, CLIENT_MD5, true, 400},
    /* "(2) PASSWORD-ALGORITHMS matches the value sent in the response that sent this NONCE" */
    {MD5_SHA256, ONLY_SHA, 8, 4, CLIENT_SHA256, true, 400},
    {ONLY_MD5, ONLY_MD5, 4, 4, CLIENT_MD5, true, 400},
    {ONLY_SHA, ONLY_SHA, 4, 4, CLIENT_SHA256, true, 400},
    {SHA_OTHER, ONLY_SHA, 8, 4, CLIENT_SHA256, true, 400},
    {"", ONLY_MD5, 0, 4, CLIENT_MD5, true, 400},
    {SHA256_MD5, ONLY_SHA, 7, 4, CLIENT_SHA256, true, 400},
    /* "(3) PASSWORD-ALGORITHM matches one of the entries" */
    {SHA256_MD5, OTHER, 8, 4, CLIENT_MD5, true, 400},
    {SHA256_MD5, "", 8, 0, CLIENT_MD5, true, 400},
    {SHA256_MD5, ONLY_SHA, 8, 3, CLIENT_SHA256, true, 400},
    {SHA256_MD5, SHA256_MD5, 8, 8, CLIENT_SHA256, true, 400},
};

static int send_mix(struct client *c, const struct mix *m)
{
    struct request q;
    c->auth = m->key;
    request_begin(&q, c, STUN_REQUEST, STUN_REFRESH);
    stun_write_attr(&q.w, STUN_ATTR_USERNAME, slice_of_string(c->user));
    stun_write_attr(&q.w, STUN_ATTR_REALM, slice_of(c->realm, c->realm_len));
    stun_write_attr(&q.w, STUN_ATTR_NONCE, slice_of(c->nonce, c->nonce_len));
    if (m->list)
        stun_write_attr(&q.w, STUN_ATTR_PASSWORD_ALGORITHMS, slice_of(m->list, m->list_len));
    if (m->one)
        stun_write_attr(&q.w, STUN_ATTR_PASSWORD_ALGORITHM, slice_of(m->one, m->one_len));
    request_integrity(&q, c, m->sha256);
    request_close(&q);
    return client_send(c, &q, NULL);
}

static void test_bid_down_matrix_draws_the_codes_of_the_rfc(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    assert_memory_equal(f->a.algorithms, SHA256_MD5, 8);
    for (size_t i = 0; i < sizeof(mixes) / sizeof(mixes[0]); i++) {
        const int code = send_mix(&f->a, &mixes[i]);
        if (code != mixes[i].code)
            fail_msg("mix %zu: %d, not %d", i, code, mixes[i].code);
        f->a.auth = CLIENT_MD5;
    }
    assert_true(world_refused(f->w, REASON_BID_DOWN) >= 8);
}

static void test_bid_down_of_the_nonce_is_found(void **state)
{
    /* An attacker takes the features out of the nonce cookie: the nonce is no longer ours. */
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    memcpy(f->a.nonce, "obMatJos2AAAA", 13);
    struct response r;
    assert_int_equal(client_allocate(&f->a, &r), 438);
    assert_memory_equal(f->a.nonce, "obMatJos2wAAA", 13);
    assert_int_equal(world_refused(f->w, REASON_FOREIGN_NONCE), 1);
}

static void test_bid_down_stored_keys_refuse_sha256(void **state)
{
    /* Nothing was offered, so the pair is not looked at as an offer; the key is MD5's whatever is
     * named. */
    struct fixture *f = *state;
    f->a.realm_id = REALM_STORED;
    client_set_user(&f->a, "carol", "chorus");
    assert_int_equal(client_challenge(&f->a), 401);
    f->a.auth = CLIENT_SHA256;
    memcpy(f->a.algorithms, SHA256_MD5, f->a.algorithms_len = 8);
    const int code = client_allocate(&f->a, NULL);
    assert_true(code == 400 || code == 401);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_bid_down_switched_off_offers_nothing(void **state)
{
    struct fixture *f = *state;
    f->settings.password_sha256 = false;
    fixture_restart(f);
    struct response r;
    assert_int_equal(client_challenge(&f->a), 401);
    assert_int_equal(f->a.algorithms_len, 0);
    assert_memory_equal(f->a.nonce, "obMatJos2QAAA", 13);
    assert_int_equal(client_allocate(&f->a, &r), 200);
    assert_false(r.sha256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_bid_down_matrix_draws_the_codes_of_the_rfc),
        SCENARIO(test_bid_down_of_the_nonce_is_found),
        SCENARIO(test_bid_down_stored_keys_refuse_sha256),
        SCENARIO(test_bid_down_switched_off_offers_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * THREATS row 10: access tokens of impossible length or content. Lengths are checked before AEAD,
 * claims are used only after it: whatever a stranger sends in ACCESS-TOKEN is answered with 401,
 * costs at most one opening, and changes nothing; and the world hands it in as a copy of exactly
 * its length, so that the sanitizers see what goes beyond.
 */
#include "tests/scenario/fixture.h"

/* The worker's answers are under verified nonces, so that none is held back. */
static void begin(struct fixture *f)
{
    client_set_token(&f->a, WORLD_KID, 3600);
    client_challenge(&f->a);
}

static uint64_t opened(const struct fixture *f)
{
    return crypto_open_count(f->w->worker[0].crypto);
}

/* An Allocate with this as its token; signed with the right mac_key. */
static int try(struct fixture *f, struct slice token)
{
    static uint8_t message[65536];
    struct stun_writer w;
    struct response r;
    uint8_t transaction[STUN_TRANSACTION_LEN] = {0x21, 0x12, 0xa4, 0x42, 7};
    const uint64_t n = ++f->a.transactions;
    memcpy(transaction + 8, &n, sizeof(n));
    stun_write_begin(&w, message, sizeof(message), STUN_REQUEST, STUN_ALLOCATE, transaction);
    stun_write_u32(&w, STUN_ATTR_REQUESTED_TRANSPORT, 17u << 24);
    stun_write_attr(&w, STUN_ATTR_USERNAME, slice_of_string(WORLD_KID));
    stun_write_attr(&w, STUN_ATTR_REALM, slice_of(f->a.realm, f->a.realm_len));
    stun_write_attr(&w, STUN_ATTR_NONCE, slice_of(f->a.nonce, f->a.nonce_len));
    stun_write_attr(&w, STUN_ATTR_ACCESS_TOKEN, token);
    const struct auth_key *key = &f->a.token.mac_key;
    stun_write_integrity(&w, f->w->crypto, slice_of(key->bytes, key->len), false);
    const size_t len = stun_write_end(&w);
    assert_int_not_equal(len, 0);
    client_send_raw(&f->a, message, len);
    return client_answer(&f->a, transaction, &r);
}

static void assert_refused(struct fixture *f, struct slice token, uint64_t openings)
{
    const uint64_t before = opened(f);
    assert_int_equal(try(f, token), 401);
    assert_true(opened(f) - before == openings);
    assert_int_equal(world_allocations(f->w), 0);
}

static void still_works(struct fixture *f)
{
    assert_int_equal(try(f, slice_of(f->a.token.bytes, f->a.token.len)), 200);
    assert_int_equal(world_allocations(f->w), 1);
    world_check(f->w);
}

static void test_tokens_of_impossible_length_are_refused_unopened(void **state)
{
    static uint8_t token[65536];
    struct fixture *f = *state;
    begin(f);
    memcpy(token, f->a.token.bytes, f->a.token.len);
    for (size_t len = 0; len < 300; len++) {
        const bool framed = len >= OAUTH_TOKEN_MIN && len <= OAUTH_TOKEN_MAX;
        if (len != f->a.token.len)
            assert_refused(f, slice_of(token, len), framed);
    }
    for (size_t len = 511; len < 65000; len = 2 * len + 1)
        assert_refused(f, slice_of(token, len), 0);
    assert_refused(f, slice_of(token, 65300), 0);
    still_works(f);
}

static void test_tokens_with_nonces_of_impossible_length_are_refused_unopened(void **state)
{
    struct fixture *f = *state;
    begin(f);
    struct client_token token = f->a.token;
    for (unsigned len = 0; len <= UINT16_MAX; len += len < 256 || len > 65500 ? 1 : 251) {
        token.bytes[0] = (uint8_t)(len >> 8);
        token.bytes[1] = (uint8_t)len;
        if (len != OAUTH_NONCE_LEN)
            assert_refused(f, slice_of(token.bytes, token.len), 0);
    }
    still_works(f);
}

static void test_tokens_with_any_bit_changed_are_refused(void **state)
{
    struct fixture *f = *state;
    begin(f);
    struct client_token token = f->a.token;
    for (size_t bit = 16; bit < 8 * token.len; bit++) {
        token.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_refused(f, slice_of(token.bytes, token.len), 1);
        token.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    still_works(f);
}

/* Who has the key can seal anything; a length of its own may not lead out of the block. */
static void test_tokens_whose_key_length_lies_are_refused(void **state)
{
    struct fixture *f = *state;
    begin(f);
    const struct store_oauth_key key = world_oauth_key(WORLD_KID);
    const struct crypto_aead how = {.cipher = CRYPTO_AES256_GCM,
        .key = slice_of(key.key, key.key_len),
        .nonce = slice_of(f->a.token.bytes + 2, OAUTH_NONCE_LEN),
        .associated = slice_of_string(WORLD_SERVER_NAME)};
    for (unsigned said = 0; said <= UINT16_MAX; said += said < 300 || said > 65400 ? 1 : 257) {
        for (size_t len = 30; len <= 78; len += 16) {
            uint8_t block[78] = {(uint8_t)(said >> 8), (uint8_t)said};
            uint8_t token[OAUTH_TOKEN_MAX];
            memcpy(token, f->a.token.bytes, 14);
            assert_int_equal(crypto_seal(f->w->crypto, &how, slice_of(block, len), token + 14), 0);
            assert_refused(f, slice_of(token, 14 + len + CRYPTO_GCM_TAG_LEN), 1);
        }
    }
    still_works(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_tokens_of_impossible_length_are_refused_unopened),
        SCENARIO(test_tokens_with_nonces_of_impossible_length_are_refused_unopened),
        SCENARIO(test_tokens_with_any_bit_changed_are_refused),
        SCENARIO(test_tokens_whose_key_length_lies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

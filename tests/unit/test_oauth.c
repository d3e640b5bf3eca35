/* Access tokens: the samples of RFC 7635, forged and cut ones, their time, and the keys of a realm.
 * THREATS row 10. */
#include "auth/oauth.h"

#include "base/cursor.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* RFC 7635 appendix A */
#define SERVER_NAME     "blackdow.carleon.gov"
#define LONG_TERM_KEY   "HGkj32KJGiuy098sdfaqbNjOiaz71923"
#define MAC_KEY         "ZksjpweoixXmvn67534m"
#define NONCE           "h4j3k2l2n4b5"
#define TOKEN_TIMESTAMP 92470300704768ull
#define TOKEN_LIFETIME  3600u

static const uint8_t sample256[64] = {0x00, 0x0c, 0x68, 0x34, 0x6a, 0x33, 0x6b, 0x32, 0x6c, 0x32,
    0x6e, 0x34, 0x62, 0x35, 0x61, 0x7e, 0xf1, 0x34, 0xa3, 0xd5, 0xe4, 0x4e, 0x9a, 0x19, 0xcc, 0x7d,
    0xc1, 0x04, 0xb0, 0xc0, 0x3d, 0x03, 0xb2, 0xa5, 0x51, 0xd8, 0xfd, 0xf5, 0xcd, 0x3b, 0x6d, 0xca,
    0x6f, 0x10, 0xcf, 0xb7, 0x7e, 0x5b, 0x2d, 0xde, 0xc8, 0x4d, 0x29, 0x3a, 0x5c, 0x50, 0x49, 0x93,
    0x59, 0xf0, 0xc2, 0xe2, 0x6f, 0x76};
static const uint8_t sample128[64] = {0x00, 0x0c, 0x68, 0x34, 0x6a, 0x33, 0x6b, 0x32, 0x6c, 0x32,
    0x6e, 0x34, 0x62, 0x35, 0x7f, 0xb9, 0xe9, 0x9f, 0x08, 0x27, 0xbe, 0x3d, 0xf1, 0xe1, 0xbd, 0x65,
    0x14, 0x93, 0xd3, 0x03, 0x1d, 0x36, 0xdf, 0x57, 0x07, 0x97, 0x84, 0xae, 0xe5, 0xea, 0xcb, 0x65,
    0xfa, 0xd4, 0xf2, 0x7f, 0xab, 0x1a, 0x3f, 0x97, 0x97, 0x4b, 0x69, 0xf8, 0x51, 0xb2, 0x4b, 0xf5,
    0xaf, 0x09, 0xed, 0xa3, 0x57, 0xe0};

struct fixture {
    struct crypto *crypto;
    struct store_oauth_key keys[2]; /* by enum auth_oauth_algorithm */
    struct oauth_claims claims;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.crypto = crypto_new()};
    for (uint8_t i = 0; i < 2; i++) {
        f.keys[i].algorithm = i;
        f.keys[i].key_len = (uint8_t)oauth_key_len(i);
        memcpy(f.keys[i].key, LONG_TERM_KEY, f.keys[i].key_len);
    }
    memcpy(f.claims.mac_key.bytes, MAC_KEY, 20);
    f.claims.mac_key.len = 20;
    f.claims.timestamp = TOKEN_TIMESTAMP;
    f.claims.lifetime_s = TOKEN_LIFETIME;
    *state = &f;
    return f.crypto ? 0 : -1;
}

static int teardown(void **state)
{
    crypto_free(((struct fixture *)*state)->crypto);
    return 0;
}

static struct oauth_seal seal_of(const struct fixture *f, uint8_t algorithm)
{
    return (struct oauth_seal){f->crypto, &f->keys[algorithm], slice_of_string(SERVER_NAME)};
}

static const uint8_t *nonce(void)
{
    return (const uint8_t *)NONCE;
}

/* From memory of exactly its length, so that a sanitizer sees any byte read too far. */
static int open_exact(
    const struct oauth_seal *seal, const uint8_t *token, size_t len, struct oauth_claims *out)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, token, len);
    const int rc = oauth_token_open(seal, slice_of(copy, len), out);
    free(copy);
    return rc;
}

static void assert_refused(const struct oauth_seal *seal, const uint8_t *token, size_t len)
{
    static const struct oauth_claims untouched = {.lifetime_s = 7};
    struct oauth_claims out = untouched;
    assert_int_equal(open_exact(seal, token, len, &out), 1);
    assert_memory_equal(&out, &untouched, sizeof(out));
}

static void test_oauth_token_samples_of_the_rfc_open_and_are_made(void **state)
{
    struct fixture *f = *state;
    const uint8_t *const samples[] = {sample256, sample128};
    for (uint8_t i = 0; i < 2; i++) {
        const struct oauth_seal seal = seal_of(f, i);
        struct oauth_claims claims;
        struct oauth_token token;
        assert_int_equal(open_exact(&seal, samples[i], 64, &claims), 0);
        assert_int_equal(claims.mac_key.len, 20);
        assert_memory_equal(claims.mac_key.bytes, MAC_KEY, 20);
        assert_true(claims.timestamp == TOKEN_TIMESTAMP);
        assert_int_equal(claims.lifetime_s, TOKEN_LIFETIME);
        assert_int_equal(oauth_token_seal(&seal, &f->claims, nonce(), &token), 0);
        assert_int_equal(token.len, 64);
        assert_memory_equal(token.bytes, samples[i], 64);
    }
}

static void test_oauth_token_mac_keys_of_every_length_come_back(void **state)
{
    struct fixture *f = *state;
    for (unsigned len = 0; len <= UINT8_MAX; len++) {
        const struct oauth_seal seal = seal_of(f, len % 2);
        struct oauth_claims claims = f->claims, again;
        struct oauth_token token;
        claims.mac_key.len = (uint8_t)len;
        for (size_t i = 0; i < sizeof(claims.mac_key.bytes); i++)
            claims.mac_key.bytes[i] = (uint8_t)(i + len);
        const int rc = oauth_token_seal(&seal, &claims, nonce(), &token);
        assert_int_equal(rc, len >= 16 && len <= 64 ? 0 : -EINVAL);
        if (rc < 0)
            continue;
        assert_int_equal(token.len, OAUTH_TOKEN_LEN(len));
        assert_true(oauth_token_is_framed(slice_of(token.bytes, token.len)));
        assert_int_equal(open_exact(&seal, token.bytes, token.len, &again), 0);
        assert_int_equal(again.mac_key.len, len);
        assert_memory_equal(again.mac_key.bytes, claims.mac_key.bytes, len);
        assert_true(again.timestamp == claims.timestamp && again.lifetime_s == claims.lifetime_s);
    }
}

static void test_oauth_token_cut_or_lengthened_is_refused(void **state)
{
    struct fixture *f = *state;
    for (unsigned mac_key_len = 16; mac_key_len <= 64; mac_key_len += 12) {
        const struct oauth_seal seal = seal_of(f, 0);
        struct oauth_token token;
        uint8_t longer[OAUTH_TOKEN_MAX + 64] = {0};
        f->claims.mac_key.len = (uint8_t)mac_key_len;
        assert_int_equal(oauth_token_seal(&seal, &f->claims, nonce(), &token), 0);
        memcpy(longer, token.bytes, token.len);
        for (size_t len = 0; len <= sizeof(longer); len++) {
            if (len != token.len)
                assert_refused(&seal, longer, len);
        }
    }
}

static void test_oauth_token_any_bit_changed_is_refused(void **state)
{
    struct fixture *f = *state;
    for (uint8_t i = 0; i < 2; i++) {
        const struct oauth_seal seal = seal_of(f, i);
        uint8_t token[64];
        memcpy(token, i == 0 ? sample256 : sample128, sizeof(token));
        for (size_t bit = 0; bit < 8 * sizeof(token); bit++) {
            token[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_refused(&seal, token, sizeof(token));
            token[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

static void test_oauth_token_for_another_server_or_of_another_key_is_refused(void **state)
{
    struct fixture *f = *state;
    struct oauth_seal seal = seal_of(f, 0);
    static const char *const names[] = {"", "b", "blackdow.carleon.go", "blackdow.carleon.govv",
        "Blackdow.carleon.gov", "blackdow.carleon.gow"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        seal.server_name = slice_of_string(names[i]);
        assert_refused(&seal, sample256, sizeof(sample256));
    }
    seal = seal_of(f, 1);
    assert_refused(&seal, sample256, sizeof(sample256));
    f->keys[0].key[31] ^= 1;
    seal = seal_of(f, 0);
    assert_refused(&seal, sample256, sizeof(sample256));
}

static void test_oauth_token_impossible_lengths_are_refused_before_aead(void **state)
{
    struct fixture *f = *state;
    static uint8_t big[65536];
    const struct oauth_seal seal = seal_of(f, 0);
    memcpy(big, sample256, sizeof(sample256));
    const uint64_t opened = crypto_open_count(f->crypto);
    static const size_t lens[] = {0, 1, 2, 13, 14, 30, OAUTH_TOKEN_MIN - 1, OAUTH_TOKEN_MAX + 1,
        255, 256, 257, 512, 4096, 32767, 32768, 65519, 65520, 65532, 65533, 65534, 65535, 65536};
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        assert_false(oauth_token_is_framed(slice_of(big, lens[i])));
        assert_refused(&seal, big, lens[i]);
    }
    for (unsigned nonce_len = 0; nonce_len <= UINT16_MAX; nonce_len++) {
        big[0] = (uint8_t)(nonce_len >> 8);
        big[1] = (uint8_t)nonce_len;
        if (nonce_len != OAUTH_NONCE_LEN)
            assert_int_equal(oauth_token_is_framed(slice_of(big, 64)), false);
        if (nonce_len != OAUTH_NONCE_LEN && (nonce_len < 70 || nonce_len > 65500))
            assert_refused(&seal, big, 64);
    }
    assert_true(crypto_open_count(f->crypto) == opened);
}

/* Sealed with the right key: only somebody who has it could say this, and it may not hurt either.
 */
static void test_oauth_token_key_length_that_lies_is_refused_after_aead(void **state)
{
    struct fixture *f = *state;
    const struct crypto_aead how = {.cipher = CRYPTO_AES256_GCM,
        .key = slice_of(LONG_TERM_KEY, 32),
        .nonce = slice_of(NONCE, OAUTH_NONCE_LEN),
        .associated = slice_of_string(SERVER_NAME)};
    const struct oauth_seal seal = seal_of(f, 0);
    for (size_t block_len = 30; block_len <= 78; block_len++) {
        for (unsigned lie = 0; lie <= UINT16_MAX; lie += lie < 100 || lie > 65400 ? 1 : 61) {
            uint8_t block[78] = {(uint8_t)(lie >> 8), (uint8_t)lie}, token[OAUTH_TOKEN_MAX];
            memcpy(token, sample256, 14);
            assert_int_equal(
                crypto_seal(f->crypto, &how, slice_of(block, block_len), token + 14), 0);
            const size_t len = 14 + block_len + CRYPTO_GCM_TAG_LEN;
            const uint64_t opened = crypto_open_count(f->crypto);
            struct oauth_claims claims;
            if (lie == block_len - 14)
                assert_int_equal(open_exact(&seal, token, len, &claims), 0);
            else
                assert_refused(&seal, token, len);
            assert_true(crypto_open_count(f->crypto) == opened + 1);
        }
    }
}

static void test_oauth_token_id_is_the_beginning_of_its_sha256(void **state)
{
    struct fixture *f = *state;
    char id[OAUTH_ID_LEN + 1];
    /* printf %s abc | sha256sum */
    assert_int_equal(oauth_token_id(f->crypto, slice_of("abc", 3), id), 0);
    assert_string_equal(id, "ba7816bf8f01cfea");
}

/* Seconds and microseconds from the token's time stamp on. */
static struct instant at(int64_t s, uint32_t us)
{
    return (struct instant){.wall_s = (int64_t)(TOKEN_TIMESTAMP >> 16) + s, .wall_us = us};
}

static void test_oauth_claims_are_fresh_within_lifetime_and_delta_both_ways(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int64_t s;
        uint32_t us;
        bool fresh;
        int64_t expires; /* after the time stamp */
    } row[] = {{0, 0, true, 3600}, {1, 0, true, 3601}, {5, 0, true, 3605}, {6, 0, true, 3605},
        {3599, 0, true, 3605}, {3604, 999999, true, 3605}, {3605, 0, false, 3605},
        {3605, 1, false, 3605}, {4000, 0, false, 3605}, {-1, 0, true, 3599}, {-6, 0, true, 3593},
        {-3604, 0, true, -3603}, {-3605, 1, true, -3605}, {-3605, 0, false, -3605},
        {-10000, 0, false, -10000}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        const struct instant now = at(row[i].s, row[i].us);
        const struct oauth_life life = oauth_claims_life(&f->claims, &now);
        assert_int_equal(life.fresh, row[i].fresh);
        assert_int_equal(life.expires_at - (int64_t)(TOKEN_TIMESTAMP >> 16), row[i].expires);
    }
}

static void test_oauth_claims_fractions_of_the_time_stamp_count(void **state)
{
    struct fixture *f = *state;
    f->claims.lifetime_s = 10;
    f->claims.timestamp = TOKEN_TIMESTAMP | 32000; /* half a second later */
    struct instant now = at(15, 499999);
    assert_true(oauth_claims_life(&f->claims, &now).fresh);
    now = at(15, 500000);
    assert_false(oauth_claims_life(&f->claims, &now).fresh);
    now = at(0, 500000);
    assert_true(oauth_timestamp(&now) == f->claims.timestamp);
    now = at(0, 999999);
    assert_true(oauth_timestamp(&now) == (TOKEN_TIMESTAMP | 63999));
}

static void test_oauth_claims_extreme_times_do_not_overflow(void **state)
{
    struct fixture *f = *state;
    static const uint64_t stamps[] = {0, 1, 0xffff, 0x10000, UINT64_MAX, UINT64_MAX - 0xffff,
        (uint64_t)INT64_MAX, (uint64_t)INT64_MAX + 1, (uint64_t)1 << 56, TOKEN_TIMESTAMP};
    static const uint32_t lifetimes[] = {0, 1, 3600, UINT32_MAX};
    for (size_t i = 0; i < sizeof(stamps) / sizeof(stamps[0]); i++) {
        for (size_t j = 0; j < 4; j++) {
            const struct instant now = at(0, 999999);
            f->claims.timestamp = stamps[i];
            f->claims.lifetime_s = lifetimes[j];
            const struct oauth_life life = oauth_claims_life(&f->claims, &now);
            const int64_t distance = llabs((int64_t)(stamps[i] >> 16) - now.wall_s);
            assert_int_equal(life.fresh, distance < (int64_t)lifetimes[j] + OAUTH_DELTA_S);
            assert_true(life.expires_at <= now.wall_s + lifetimes[j] + 1);
        }
    }
}

static void test_oauth_key_covers_what_was_issued_within_its_time(void **state)
{
    struct fixture *f = *state;
    const int64_t issued = (int64_t)(TOKEN_TIMESTAMP >> 16);
    static const struct {
        int64_t not_before, not_after; /* from when it was issued; 0 there: INT64_MIN here */
        int64_t now;
        bool covered;
    } row[] = {
        {INT64_MIN, INT64_MIN, 0, true}, {0, INT64_MIN, 0, true}, {1, INT64_MIN, 5, false},
        {-1, INT64_MIN, 0, true}, {INT64_MIN, 0, 0, true},
        {INT64_MIN, 0, 3000, true}, /* its lifetime ends it, not the key's */
        {INT64_MIN, -1, 0, false}, {-10, 10, 0, true}, {0, 10, -5, true},
        {0, 10, -6, false}, /* a time stamp from the future, with a key from the future */
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        const struct instant now = {.wall_s = issued + row[i].now};
        struct store_oauth_key key = f->keys[0];
        key.not_before = row[i].not_before == INT64_MIN ? 0 : issued + row[i].not_before;
        key.not_after = row[i].not_after == INT64_MIN ? 0 : issued + row[i].not_after;
        assert_int_equal(oauth_key_covers(&key, &f->claims, &now), row[i].covered);
    }
}

/* Settings of one realm with two keys, good as they are. */
static void settings_begin(
    struct auth_realm_settings *realm, struct auth_oauth_key_settings list[2])
{
    static char kid0[] = "north", kid1[] = "south", name[] = "r", server[] = SERVER_NAME;
    memset(list, 0, 2 * sizeof(*list));
    list[0].kid = kid0;
    list[1] = (struct auth_oauth_key_settings){
        .kid = kid1, .algorithm = AUTH_OAUTH_A128GCM, .not_before = 5, .not_after = 6};
    assert_int_equal(secret_set(&list[0].key, slice_of(LONG_TERM_KEY, 32)), 0);
    assert_int_equal(secret_set(&list[1].key, slice_of(LONG_TERM_KEY, 16)), 0);
    *realm = (struct auth_realm_settings){
        .name = name, .oauth_server_name = server, .oauth_keys = list, .oauth_key_count = 2};
}

static void settings_end(struct auth_oauth_key_settings list[2])
{
    secret_wipe(&list[0].key);
    secret_wipe(&list[1].key);
}

static void test_oauth_init_keys_are_found_by_kid(void **state)
{
    struct auth_oauth_key_settings list[2];
    struct auth_realm_settings realm;
    struct oauth oauth;
    char error[128];
    settings_begin(&realm, list);
    assert_int_equal(oauth_init(&oauth, &realm, error, sizeof(error)), 0);
    settings_end(list);
    assert_true(slice_equal(secret_slice(&oauth.server_name), slice_of_string(SERVER_NAME)));
    const struct store_oauth_key *key = oauth_find(&oauth, slice_of_string("south"));
    assert_non_null(key);
    assert_int_equal(key->algorithm, AUTH_OAUTH_A128GCM);
    assert_int_equal(key->key_len, 16);
    assert_memory_equal(key->key, LONG_TERM_KEY, 16);
    assert_true(key->not_before == 5 && key->not_after == 6);
    assert_ptr_equal(oauth_find(&oauth, slice_of_string("north")), &oauth.list[0].key);
    assert_null(oauth_find(&oauth, slice_of_string("nort")));
    assert_null(oauth_find(&oauth, slice_of_string("northh")));
    assert_null(oauth_find(&oauth, slice_of("north\0", 6)));
    assert_null(oauth_find(&oauth, slice_of_string("")));
    char longest[OAUTH_KID_MAX + 2] = {0};
    memset(longest, 'k', sizeof(longest));
    assert_null(oauth_find(&oauth, slice_of(longest, sizeof(longest))));
    oauth_deinit(&oauth);
    assert_null(oauth.list);
    assert_int_equal(oauth.server_name.len, 0);
}

static void test_oauth_init_without_server_name_is_empty(void **state)
{
    struct oauth oauth;
    char error[128], name[] = "r";
    const struct auth_realm_settings realm = {.name = name};
    assert_int_equal(oauth_init(&oauth, &realm, error, sizeof(error)), 0);
    assert_int_equal(oauth.server_name.len, 0);
    assert_null(oauth_find(&oauth, slice_of_string("north")));
    oauth_deinit(&oauth);
}

enum fault {
    KID_MISSING,
    KID_EMPTY,
    KID_LONG,
    KID_TWICE,
    KEY_EMPTY,
    KEY_SHORT,
    KEY_OF_OTHER,
    ALGORITHM,
    TIME,
    SERVER_EMPTY,
    SERVER_LONG,
    SERVER_MISSING,
    TOO_MANY,
    FAULTS
};

static const char *const texts[FAULTS] = {
    "realm \"r\": OAuth key \"\": a kid has 1 to 127 bytes",
    "realm \"r\": OAuth key \"\": a kid has 1 to 127 bytes",
    ("realm \"r\": OAuth key \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\": "
     "a kid has 1 to 127 bytes"),
    "realm \"r\": OAuth key \"north\": the kid is there twice",
    "realm \"r\": OAuth key \"south\": a key has 32 bytes (A256GCM) or 16 (A128GCM)",
    "realm \"r\": OAuth key \"south\": a key has 32 bytes (A256GCM) or 16 (A128GCM)",
    "realm \"r\": OAuth key \"south\": a key has 32 bytes (A256GCM) or 16 (A128GCM)",
    "realm \"r\": OAuth key \"south\": a key has 32 bytes (A256GCM) or 16 (A128GCM)",
    "realm \"r\": OAuth key \"south\": its time ends before it begins",
    "realm \"r\": the server name of its access tokens has 1 to 255 bytes",
    "realm \"r\": the server name of its access tokens has 1 to 255 bytes",
    "realm \"r\": there are keys for access tokens, but no server name",
    "realm \"r\": a realm has at most 64 keys for access tokens",
};

static void spoil(enum fault fault, struct auth_realm_settings *realm)
{
    static char empty[] = "", long_name[257], kid[] = "north";
    struct auth_oauth_key_settings *second = &realm->oauth_keys[1];
    memset(long_name, 'x', 256);
    char *const kids[] = {NULL, empty, long_name, kid};
    if (fault <= KID_TWICE)
        second->kid = kids[fault];
    else if (fault <= KEY_SHORT)
        second->key.len = fault == KEY_EMPTY ? 0 : 15;
    else if (fault <= ALGORITHM)
        second->algorithm = fault == ALGORITHM ? 2 : AUTH_OAUTH_A256GCM;
    else if (fault == TIME)
        second->not_after = second->not_before;
    else if (fault <= SERVER_MISSING)
        realm->oauth_server_name = fault == SERVER_MISSING ? NULL
                                   : fault == SERVER_EMPTY ? empty
                                                           : long_name;
    else
        realm->oauth_key_count = OAUTH_KEYS_MAX + 1;
}

static void test_oauth_init_unfit_settings_are_refused_with_text(void **state)
{
    for (enum fault fault = 0; fault < FAULTS; fault++) {
        struct auth_oauth_key_settings list[2];
        struct auth_realm_settings realm;
        struct oauth oauth = {.count = 7};
        char error[160] = "";
        settings_begin(&realm, list);
        spoil(fault, &realm);
        assert_int_equal(oauth_init(&oauth, &realm, error, sizeof(error)), -EINVAL);
        assert_string_equal(error, texts[fault]);
        assert_int_equal(oauth.count, 7);
        settings_end(list);
    }
}

#define OAUTH_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OAUTH_TEST(test_oauth_token_samples_of_the_rfc_open_and_are_made),
        OAUTH_TEST(test_oauth_token_mac_keys_of_every_length_come_back),
        OAUTH_TEST(test_oauth_token_cut_or_lengthened_is_refused),
        OAUTH_TEST(test_oauth_token_any_bit_changed_is_refused),
        OAUTH_TEST(test_oauth_token_for_another_server_or_of_another_key_is_refused),
        OAUTH_TEST(test_oauth_token_impossible_lengths_are_refused_before_aead),
        OAUTH_TEST(test_oauth_token_key_length_that_lies_is_refused_after_aead),
        OAUTH_TEST(test_oauth_token_id_is_the_beginning_of_its_sha256),
        OAUTH_TEST(test_oauth_claims_are_fresh_within_lifetime_and_delta_both_ways),
        OAUTH_TEST(test_oauth_claims_fractions_of_the_time_stamp_count),
        OAUTH_TEST(test_oauth_claims_extreme_times_do_not_overflow),
        OAUTH_TEST(test_oauth_key_covers_what_was_issued_within_its_time),
        OAUTH_TEST(test_oauth_init_keys_are_found_by_kid),
        OAUTH_TEST(test_oauth_init_without_server_name_is_empty),
        OAUTH_TEST(test_oauth_init_unfit_settings_are_refused_with_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Nonces: form, binding, age, rotation of the keys, one spelling. THREATS rows 4, 6, 17. */
#include "auth/nonce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define HOUR       3600
#define LIFETIME_S 600

static struct crypto *crypto;
static struct nonce_keys keys;
static const struct slice secret = {(const uint8_t *)"sixteen bytes ok", 16};
static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int setup(void **state)
{
    memset(&keys, 0, sizeof(keys));
    crypto = crypto_new();
    return crypto ? 0 : -1;
}

static int teardown(void **state)
{
    crypto_free(crypto);
    return 0;
}

static struct instant at(int64_t wall_s)
{
    return (struct instant){.mono_us = 1, .wall_s = wall_s};
}

static struct addr client(void)
{
    return addr_ipv4(192, 0, 2, 7, 40000);
}

static void mint(uint8_t out[NONCE_LEN], uint32_t features, int64_t wall_s)
{
    struct addr c = client();
    struct instant now = at(wall_s);
    assert_int_equal(nonce_mint(out, &keys, crypto, secret, 1, features, &c, &now), 0);
}

static enum nonce_verdict check_by(
    struct nonce_keys *k, const uint8_t *nonce, size_t len, int64_t wall_s)
{
    struct addr c = client();
    struct instant now = at(wall_s);
    struct nonce_facts facts;
    return nonce_check(slice_of(nonce, len), k, crypto, secret, 1, LIFETIME_S, &c, &now, &facts);
}

static enum nonce_verdict check(const uint8_t nonce[NONCE_LEN], int64_t wall_s)
{
    return check_by(&keys, nonce, NONCE_LEN, wall_s);
}

static void test_nonce_mint_any_writes_cookie_and_features(void **state)
{
    static const struct {
        uint32_t features;
        const char *text;
    } row[] = {{0, "obMatJos2AAAA"}, {NONCE_FEATURE_PASSWORD_ALGORITHMS, "obMatJos2gAAA"},
        {NONCE_FEATURE_USERNAME_ANONYMITY, "obMatJos2QAAA"},
        {NONCE_FEATURE_PASSWORD_ALGORITHMS | NONCE_FEATURE_USERNAME_ANONYMITY, "obMatJos2wAAA"},
        {1, "obMatJos2AAAB"}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        uint8_t nonce[NONCE_LEN + 1] = {0};
        mint(nonce, row[i].features, 1000 * HOUR);
        assert_memory_equal(nonce, row[i].text, 13);
        assert_int_equal(strspn((char *)nonce, base64), NONCE_LEN);
        struct addr c = client();
        struct instant now = at(1000 * HOUR);
        struct nonce_facts facts = {0};
        assert_int_equal(nonce_check(slice_of(nonce, NONCE_LEN), &keys, crypto, secret, 1,
                             LIFETIME_S, &c, &now, &facts),
            NONCE_OK);
        assert_int_equal(facts.features, row[i].features);
    }
}

static void test_nonce_check_age_limits_judged_to_the_second(void **state)
{
    /* 30 s into an hour and half-way: the first needs the epoch before. */
    static const int64_t minted[] = {1000 * HOUR + 30, 1000 * HOUR + 1800, 1000 * HOUR + 3599, 0,
        UINT32_MAX - 10ll, (1ll << 32) - 1, (1ll << 33) + 12345};
    for (size_t i = 0; i < sizeof(minted) / sizeof(minted[0]); i++) {
        uint8_t nonce[NONCE_LEN];
        mint(nonce, 0, minted[i]);
        assert_int_equal(check(nonce, minted[i]), NONCE_OK);
        assert_int_equal(check(nonce, minted[i] + LIFETIME_S), NONCE_OK);
        assert_int_equal(check(nonce, minted[i] + LIFETIME_S + 1), NONCE_STALE);
        assert_int_equal(check(nonce, minted[i] + HOUR), NONCE_STALE);
        assert_int_equal(check(nonce, minted[i] + 2 * HOUR), NONCE_FOREIGN);
        /* The low 32 bits of the time come back: still not ours. */
        assert_int_equal(check(nonce, minted[i] + (1ll << 32)), NONCE_FOREIGN);
    }
}

static void test_nonce_check_clock_skew_five_seconds_accepted(void **state)
{
    uint8_t nonce[NONCE_LEN];
    mint(nonce, 0,
        1000 * HOUR); /* the first second of an epoch: the checker is in the epoch before */
    assert_int_equal(check(nonce, 1000 * HOUR - NONCE_CLOCK_SKEW_S), NONCE_OK);
    assert_int_equal(check(nonce, 1000 * HOUR - NONCE_CLOCK_SKEW_S - 1), NONCE_FOREIGN);
}

static void test_nonce_check_key_rotated_old_epoch_overlaps(void **state)
{
    uint8_t before[NONCE_LEN], after[NONCE_LEN];
    mint(before, 0, 1000 * HOUR - 1);
    mint(after, 0, 1000 * HOUR + 1);
    /* Both keys at once, and by an instance that has minted neither. */
    struct nonce_keys other = {0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(check(before, 1000 * HOUR + 2), NONCE_OK);
        assert_int_equal(check(after, 1000 * HOUR + 2), NONCE_OK);
        assert_int_equal(check_by(&other, before, NONCE_LEN, 1000 * HOUR + 2), NONCE_OK);
        assert_int_equal(check_by(&other, after, NONCE_LEN, 1000 * HOUR + 2), NONCE_OK);
    }
    /* The retired key is refused, not merely stale. */
    assert_int_equal(check(before, 1001 * HOUR), NONCE_FOREIGN);
}

static void test_nonce_check_three_epochs_in_use_keeps_three_keys(void **state)
{
    uint8_t before[NONCE_LEN], now[NONCE_LEN], next[NONCE_LEN];
    mint(before, 0, 999 * HOUR + 3599);
    mint(now, 0, 1000 * HOUR + 3590);
    mint(next, 0, 1001 * HOUR + 1);
    assert_int_equal(check(next, 1000 * HOUR + 3598), NONCE_OK);
    assert_int_equal(check(now, 1000 * HOUR + 3598), NONCE_OK);
    assert_int_equal(check(before, 1000 * HOUR + 3598), NONCE_STALE);
    for (int i = 0; i < 3; i++)
        assert_true(keys.slot[i].valid);
}

static void test_nonce_check_other_client_realm_or_secret_foreign(void **state)
{
    uint8_t nonce[NONCE_LEN];
    struct instant now = at(5000 * HOUR + 100);
    mint(nonce, 0, now.wall_s);
    struct addr c = client(), other_port = c, other_ip = c, other_family = c;
    other_port.port++;
    other_ip.ip[3]++;
    other_family.family = ADDR_IPV6;
    const struct addr *const clients[] = {&other_port, &other_ip, &other_family};
    struct nonce_facts facts = {.features = 0xdead};
    for (int i = 0; i < 3; i++)
        assert_int_equal(nonce_check(slice_of(nonce, NONCE_LEN), &keys, crypto, secret, 1,
                             LIFETIME_S, clients[i], &now, &facts),
            NONCE_FOREIGN);
    assert_int_equal(nonce_check(slice_of(nonce, NONCE_LEN), &keys, crypto, secret, 2, LIFETIME_S,
                         &c, &now, &facts),
        NONCE_FOREIGN);
    struct nonce_keys fresh = {0};
    assert_int_equal(nonce_check(slice_of(nonce, NONCE_LEN), &fresh, crypto,
                         slice_of("sixteen bytes OK", 16), 1, LIFETIME_S, &c, &now, &facts),
        NONCE_FOREIGN);
    assert_int_equal(facts.features, 0xdead);
}

static void test_nonce_check_any_changed_character_foreign(void **state)
{
    uint8_t nonce[NONCE_LEN], changed[NONCE_LEN];
    mint(nonce, NONCE_FEATURE_PASSWORD_ALGORITHMS, 1000 * HOUR + 5);
    unsigned tried = 0;
    for (size_t i = 0; i < NONCE_LEN; i++) {
        for (int v = 0; v < 256; v++) {
            memcpy(changed, nonce, NONCE_LEN);
            changed[i] = (uint8_t)v;
            if (changed[i] == nonce[i])
                continue;
            assert_int_equal(check(changed, 1000 * HOUR + 5), NONCE_FOREIGN);
            tried++;
        }
    }
    assert_int_equal(tried, NONCE_LEN * 255);
}

static void test_nonce_check_other_spelling_of_last_character_foreign(void **state)
{
    /* Two bits of the last character carry nothing; lax decoders take four spellings for one. */
    for (int64_t t = 0; t < 50; t++) {
        uint8_t nonce[NONCE_LEN];
        mint(nonce, 0, 1000 * HOUR + t);
        int v = (int)(strchr(base64, nonce[NONCE_LEN - 1]) - base64);
        assert_int_equal(v & 3, 0);
        for (int low = 1; low < 4; low++) {
            nonce[NONCE_LEN - 1] = (uint8_t)base64[v | low];
            assert_int_equal(check(nonce, 1000 * HOUR + t), NONCE_FOREIGN);
        }
    }
}

static void test_nonce_check_wrong_length_foreign_without_hmac(void **state)
{
    uint8_t nonce[NONCE_LEN + 1] = {0};
    mint(nonce, 0, 1000 * HOUR);
    uint64_t before = crypto_hmac_count(crypto);
    for (size_t len = 0; len <= NONCE_LEN + 1; len++)
        if (len != NONCE_LEN)
            assert_int_equal(check_by(&keys, nonce, len, 1000 * HOUR), NONCE_FOREIGN);
    assert_int_equal(crypto_hmac_count(crypto), before);
}

static void test_nonce_check_right_form_costs_one_hmac(void **state)
{
    uint8_t good[NONCE_LEN], bad[NONCE_LEN];
    mint(good, 0, 1000 * HOUR);
    memcpy(bad, good, NONCE_LEN);
    bad[25] = bad[25] == 'A' ? 'B' : 'A'; /* in the MAC */
    uint64_t before = crypto_hmac_count(crypto);
    assert_int_equal(check(good, 1000 * HOUR), NONCE_OK);
    assert_int_equal(crypto_hmac_count(crypto), before + 1);
    assert_int_equal(check(bad, 1000 * HOUR), NONCE_FOREIGN);
    assert_int_equal(crypto_hmac_count(crypto), before + 2);
}

/* What `k` says about a nonce, so many milliseconds after it was made. */
static struct nonce_facts facts_after(struct nonce_keys *k, const uint8_t nonce[NONCE_LEN],
    int64_t made_ms, int64_t ms, enum nonce_verdict expected)
{
    const int64_t now_ms = made_ms + ms;
    struct addr c = client();
    struct instant now = {.wall_s = now_ms / 1000, .wall_us = (uint32_t)(now_ms % 1000) * 1000};
    struct nonce_facts facts = {.age_ms = -1};
    assert_int_equal(
        nonce_check(slice_of(nonce, NONCE_LEN), k, crypto, secret, 1, LIFETIME_S, &c, &now, &facts),
        expected);
    return facts;
}

static void test_nonce_check_age_is_told_to_the_millisecond(void **state)
{
    /* In the middle of an epoch, at its ends, and so that the check falls into the next one. */
    static const int64_t into_ms[] = {0, 1, 1234567, 3599000, 3599999};
    for (size_t i = 0; i < sizeof(into_ms) / sizeof(into_ms[0]); i++) {
        const int64_t made_ms = 1000ll * HOUR * 1000 + into_ms[i];
        struct instant made = {
            .wall_s = made_ms / 1000, .wall_us = (uint32_t)(made_ms % 1000) * 1000 + 999};
        struct addr c = client();
        uint8_t nonce[NONCE_LEN];
        assert_int_equal(nonce_mint(nonce, &keys, crypto, secret, 1, 0, &c, &made), 0);
        for (int64_t ms = 0; ms < 5000; ms += 37)
            assert_int_equal(facts_after(&keys, nonce, made_ms, ms, NONCE_OK).age_ms, ms);
        assert_int_equal(facts_after(&keys, nonce, made_ms, -5000, NONCE_OK).age_ms, -5000);
        assert_int_equal(facts_after(&keys, nonce, made_ms, -5001, NONCE_FOREIGN).age_ms, -1);
        assert_int_equal(
            facts_after(&keys, nonce, made_ms, 1000 * LIFETIME_S, NONCE_OK).age_ms, 600000);
        assert_int_equal(
            facts_after(&keys, nonce, made_ms, 1000 * LIFETIME_S + 1, NONCE_STALE).age_ms, 600001);
    }
}

static void test_nonce_check_another_origin_is_good_and_not_own(void **state)
{
    uint8_t nonce[NONCE_LEN];
    struct nonce_keys high = {.origin = 0x00ff}, low = {.origin = 0xff00},
                      same = {.origin = 0xffff};
    keys.origin = 0xffff;
    mint(nonce, 0, 1000 * HOUR);
    assert_true(facts_after(&keys, nonce, 1000ll * HOUR * 1000, 3, NONCE_OK).own);
    assert_true(facts_after(&same, nonce, 1000ll * HOUR * 1000, 3, NONCE_OK).own);
    assert_false(facts_after(&high, nonce, 1000ll * HOUR * 1000, 3, NONCE_OK).own);
    assert_false(facts_after(&low, nonce, 1000ll * HOUR * 1000, 3, NONCE_OK).own);
}

static void test_nonce_check_tag_tells_nonces_apart(void **state)
{
    uint8_t a[NONCE_LEN], b[NONCE_LEN];
    mint(a, 0, 1000 * HOUR);
    mint(b, 0, 1000 * HOUR + 1);
    const uint32_t tag = facts_after(&keys, a, 1000ll * HOUR * 1000, 1, NONCE_OK).tag;
    assert_int_equal(facts_after(&keys, a, 1000ll * HOUR * 1000, 99, NONCE_OK).tag, tag);
    assert_int_not_equal(facts_after(&keys, b, 1000ll * HOUR * 1000, 1001, NONCE_OK).tag, tag);
}

static void test_nonce_mint_same_second_other_port_other_nonce(void **state)
{
    uint8_t a[NONCE_LEN], b[NONCE_LEN];
    struct addr c = client();
    struct instant now = at(77 * HOUR);
    assert_int_equal(nonce_mint(a, &keys, crypto, secret, 1, 0, &c, &now), 0);
    c.port++;
    assert_int_equal(nonce_mint(b, &keys, crypto, secret, 1, 0, &c, &now), 0);
    assert_memory_not_equal(a, b, NONCE_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_nonce_mint_any_writes_cookie_and_features, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_nonce_check_age_limits_judged_to_the_second, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_nonce_check_clock_skew_five_seconds_accepted, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_nonce_check_key_rotated_old_epoch_overlaps, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_nonce_check_three_epochs_in_use_keeps_three_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_nonce_check_other_client_realm_or_secret_foreign, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_nonce_check_any_changed_character_foreign, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_nonce_check_other_spelling_of_last_character_foreign, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_nonce_check_wrong_length_foreign_without_hmac, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_nonce_check_right_form_costs_one_hmac, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_nonce_check_age_is_told_to_the_millisecond, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_nonce_check_another_origin_is_good_and_not_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonce_check_tag_tells_nonces_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_nonce_mint_same_second_other_port_other_nonce, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

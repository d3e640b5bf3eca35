/* Deposits that wait for their allocations: found for whom they are, replaced, bounded, wiped. */
#include "srtp/key_store.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW 1795500000

/* Freed memory is looked into: what of it is a key? */
void __real_free(void *p);
void __wrap_free(void *p);
static unsigned leaks, frees;

void __wrap_free(void *p)
{
    static const uint8_t canary[8] = {0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5};
    if (p) {
        frees++;
        leaks += memmem(p, malloc_usable_size(p), canary, sizeof(canary)) != NULL;
    }
    __real_free(p);
}

static const uint8_t hash_key[16] = "sixteen bytes...";
static struct key_store *store;

static struct srtp_deposit of_allocation(uint64_t id, uint8_t direction, int64_t until)
{
    struct srtp_deposit d = {.binding = {.allocation = id, .direction = direction}, .until = until};
    d.keys.count = 1;
    memset(d.keys.masters[0].key_and_salt, 0xa5, 30);
    return d;
}

static struct srtp_deposit of_user(uint32_t realm, const char *user, uint32_t ssrc)
{
    struct srtp_deposit d = of_allocation(0, SRTP_TO_PEER, NOW + 100);
    d.binding.realm = realm;
    d.binding.has_ssrc = true;
    d.binding.ssrc = ssrc;
    d.binding.user_len = (uint16_t)strlen(user);
    memcpy(d.binding.user, user, strlen(user));
    return d;
}

static int put(const struct srtp_deposit *d)
{
    return key_store_put(store, d, NOW);
}

static struct {
    unsigned count;
    uint64_t ssrcs; /* their sum */
    struct srtp_deposit last;
} found;

static void on_found(void *ctx, const struct srtp_deposit *d)
{
    assert_ptr_equal(ctx, &found);
    found.count++;
    found.ssrcs += d->binding.ssrc;
    found.last = *d;
}

static unsigned find_at(const struct srtp_wanted *w, int64_t now_s)
{
    memset(&found, 0, sizeof(found));
    key_store_find(store, w, now_s, on_found, &found);
    return found.count;
}

static unsigned find(const struct srtp_wanted *w)
{
    return find_at(w, NOW);
}

static struct srtp_wanted wanted(
    uint64_t allocation, uint32_t realm, const char *user, const char *account)
{
    struct srtp_wanted w = {.allocation = allocation,
        .realm = realm,
        .user_len = (uint16_t)strlen(user),
        .account_len = (uint16_t)strlen(account)};
    memcpy(w.user, user, strlen(user));
    memcpy(w.account, account, strlen(account));
    return w;
}

static void test_key_store_finds_for_whom_they_are(void **state)
{
    const struct srtp_deposit rows[] = {of_allocation(5, SRTP_TO_PEER, NOW + 100),
        of_allocation(5, SRTP_TO_CLIENT, NOW + 100), of_user(1, "17:alice", 1),
        of_user(1, "alice", 2), of_user(2, "alice", 4), of_user(1, "bob", 8)};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(put(&rows[i]), 0);
    assert_int_equal(key_store_count(store), 6);
    struct srtp_wanted w = wanted(5, 1, "17:alice", "alice");
    assert_int_equal(find(&w), 4);
    assert_int_equal(found.ssrcs, 3);
    w = wanted(6, 1, "17:alice", "");
    assert_int_equal(find(&w), 1);
    assert_int_equal(found.ssrcs, 1);
    /* Where account and name are one, each is found once. */
    w = wanted(6, 2, "alice", "alice");
    assert_int_equal(find(&w), 1);
    assert_int_equal(found.ssrcs, 4);
    w = wanted(6, 3, "alice", "alic");
    assert_int_equal(find(&w), 0);
    w = wanted(0, 1, "", "");
    assert_int_equal(find(&w), 0);
    w = wanted(5, 7, "", "");
    assert_int_equal(find(&w), 2);
}

static void test_key_store_same_binding_is_replaced(void **state)
{
    struct srtp_deposit d = of_allocation(5, SRTP_TO_PEER, NOW + 100);
    const struct srtp_wanted w = wanted(5, 0, "", "");
    assert_int_equal(put(&d), 0);
    d.keys.masters[0].key_and_salt[0] = 7;
    d.until = NOW + 50;
    assert_int_equal(put(&d), 0);
    assert_int_equal(key_store_count(store), 1);
    assert_int_equal(find(&w), 1);
    assert_int_equal(found.last.keys.masters[0].key_and_salt[0], 7);
    assert_int_equal(found.last.until, NOW + 50);
    /* With an SSRC it is another binding. */
    d.binding.has_ssrc = true;
    assert_int_equal(put(&d), 0);
    assert_int_equal(find(&w), 2);
}

static void test_key_store_past_takes_back(void **state)
{
    struct srtp_deposit d = of_allocation(5, SRTP_TO_PEER, NOW + 100);
    const struct srtp_wanted w = wanted(5, 0, "", "");
    assert_int_equal(put(&d), 0);
    d.binding.direction = SRTP_TO_CLIENT;
    d.until = NOW;
    assert_int_equal(put(&d), -ESTALE);
    assert_int_equal(find(&w), 1);
    d.binding.direction = SRTP_TO_PEER;
    assert_int_equal(put(&d), 0);
    assert_int_equal(find(&w), 0);
    assert_int_equal(key_store_count(store), 0);
    assert_int_equal(put(&d), -ESTALE);
}

static void test_key_store_what_has_ended_is_not_found_and_goes(void **state)
{
    const struct srtp_deposit rows[] = {of_allocation(5, SRTP_TO_PEER, NOW + 10),
        of_allocation(5, SRTP_TO_CLIENT, NOW + 20), of_allocation(6, SRTP_TO_CLIENT, NOW + 20)};
    const struct srtp_wanted w = wanted(5, 0, "", "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(put(&rows[i]), 0);
    assert_int_equal(find_at(&w, NOW + 9), 2);
    assert_int_equal(find_at(&w, NOW + 10), 1);
    key_store_tick(store, NOW + 9);
    assert_int_equal(key_store_count(store), 3);
    key_store_tick(store, NOW + 10);
    assert_int_equal(key_store_count(store), 2);
    key_store_tick(store, NOW + 20);
    assert_int_equal(key_store_count(store), 0);
    key_store_tick(store, NOW + 1000);
}

static void test_key_store_place_is_bounded(void **state)
{
    struct srtp_deposit d = of_user(1, "alice", 0);
    for (uint32_t i = 0; i < KEY_STORE_PER_PLACE; i++) {
        d.binding.ssrc = i;
        d.until = NOW + 100 + (i == 3 ? 0 : 1);
        assert_int_equal(put(&d), 0);
    }
    d.binding.ssrc = KEY_STORE_PER_PLACE;
    assert_int_equal(put(&d), -ENOSPC);
    /* One that is there is replaced, and another place has room. */
    d.binding.ssrc = 3;
    assert_int_equal(put(&d), 0);
    d = of_user(2, "alice", KEY_STORE_PER_PLACE);
    assert_int_equal(put(&d), 0);
    d = of_user(1, "alice", 3);
    d.until = NOW;
    assert_int_equal(put(&d), 0);
    d = of_user(1, "alice", KEY_STORE_PER_PLACE);
    assert_int_equal(put(&d), 0);
    /* What has ended takes no room. */
    d.binding.ssrc++;
    assert_int_equal(key_store_put(store, &d, NOW + 50), -ENOSPC);
    d.until = NOW + 500;
    assert_int_equal(key_store_put(store, &d, NOW + 101), 0);
    assert_int_equal(key_store_count(store), 1);
}

/* Full, so that chains hold several places. */
static void test_key_store_is_bounded(void **state)
{
    struct srtp_deposit d = of_user(0, "alice", 1);
    for (uint32_t i = 0; i < KEY_STORE_MAX; i++) {
        d.binding.realm = i;
        assert_int_equal(put(&d), 0);
    }
    for (uint32_t i = 0; i < KEY_STORE_MAX; i += 16) {
        const struct srtp_wanted w = wanted(5, i, "alice", "");
        assert_int_equal(find(&w), 1);
        assert_int_equal(found.last.binding.realm, i);
    }
    d.binding.realm = KEY_STORE_MAX;
    assert_int_equal(put(&d), -ENOSPC);
    d.binding.realm = 77;
    d.until = NOW + 200;
    assert_int_equal(put(&d), 0);
    assert_int_equal(key_store_count(store), KEY_STORE_MAX);
    key_store_tick(store, NOW + 100);
    assert_int_equal(key_store_count(store), 1);
}

/* A long run of puts, takings back and time against the same in a plain list. */
static void test_key_store_is_what_a_list_would_be(void **state)
{
    static struct srtp_deposit list[64];
    bool there[64] = {false};
    uint32_t seed = 7;
    for (int64_t step = 0, now = NOW; step < 20000; step++) {
        seed = seed * 1664525 + 1013904223;
        const unsigned at = seed >> 26;
        struct srtp_deposit d = at % 2 ? of_allocation(1 + at / 4, at / 2 % 2, 0)
                                       : of_user(at / 16, at / 8 % 2 ? "alice" : "bob", at / 2 % 4);
        d.until = now + (seed >> 8) % 20 - 2;
        now += seed >> 16 & 1;
        const bool live = there[at] && list[at].until > now;
        const int rc = key_store_put(store, &d, now);
        assert_int_equal(rc, d.until > now || live ? 0 : -ESTALE);
        there[at] = d.until > now;
        list[at] = d;
        size_t count = 0;
        for (size_t i = 0; i < 64; i++)
            count += there[i] && list[i].until > now;
        assert_int_equal(key_store_count(store), count);
    }
}

static void test_key_store_what_goes_is_wiped(void **state)
{
    struct srtp_deposit d = of_allocation(1, SRTP_TO_PEER, NOW + 1), *copy;
    leaks = frees = 0;
    for (uint64_t i = 1; i <= 4; i++) {
        d.binding.allocation = i;
        assert_int_equal(put(&d), 0);
    }
    d.until = NOW; /* one taken back, two replaced, of which one has ended; the rest is freed */
    assert_int_equal(put(&d), 0);
    for (uint64_t i = 1; i <= 2; i++) {
        d = of_allocation(i, SRTP_TO_PEER, NOW + (int64_t)i * 10);
        assert_int_equal(put(&d), 0);
    }
    key_store_tick(store, NOW + 10);
    assert_int_equal(key_store_count(store), 1);
    assert_int_equal(frees, 3);
    key_store_free(store);
    store = key_store_new(hash_key);
    copy = srtp_deposit_copy(&d);
    assert_non_null(copy);
    srtp_deposit_free(copy);
    srtp_deposit_free(NULL);
    assert_int_equal(frees, 3 + 2 + 1);
    assert_int_equal(leaks, 0);
}

static int set_up(void **state)
{
    store = key_store_new(hash_key);
    return store ? 0 : -1;
}

static int tear_down(void **state)
{
    key_store_free(store);
    return 0;
}

static void test_key_store_free_of_nothing(void **state)
{
    key_store_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_key_store_finds_for_whom_they_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_store_same_binding_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_store_past_takes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_key_store_what_has_ended_is_not_found_and_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_store_place_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_store_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_store_is_what_a_list_would_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_store_what_goes_is_wiped, set_up, tear_down),
        cmocka_unit_test(test_key_store_free_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

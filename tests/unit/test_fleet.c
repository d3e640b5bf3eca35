/* Fleets against a real redis-server: what they share, with the rights that are documented. */
#include "fleet/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/fleet/fleet_fixture.h"
#include "tests/fleet/sharers.h"

static struct test_fleet a, b;

static const char *url(void)
{
    static char text[64];
    snprintf(text, sizeof(text), "redis://127.0.0.1:%u", (unsigned)redis.port);
    return text;
}

static void test_fleet_revocation_reaches_the_other_within_seconds(void **state)
{
    const int64_t until = in_an_hour();
    fleet_begin(&a);
    fleet_begin(&b);
    const uint64_t begun = clock_now().mono_us;
    assert_int_equal(test_fleet_revoke(&a, 2, "mallory", until), 0);
    assert_true(test_fleet_revoked(&b, &l, 1, 4000));
    assert_in_range(clock_now().mono_us - begun, 0, 4000000);
    assert_true(test_fleet_revoked(&a, &l, 1, 4000)); /* its own */
    assert_revoked(&a, 0, "mallory", until);
    assert_revoked(&b, 0, "mallory", until);
    assert_int_equal(b.revoked[0].realm, 2);
    linked_sleep(&l, 2500);
    assert_int_equal(a.revoked_told, 1); /* once */
    assert_int_equal(b.revoked_told, 1);
    fleets_end(&a, &b);
}

/* The same server, emptied: only the set itself tells. */
static void test_fleet_redis_flushed_learns_again(void **state)
{
    const int64_t until = in_an_hour();
    fleet_begin(&a);
    assert_int_equal(test_fleet_revoke(&a, 1, "eve", until), 0);
    assert_true(test_fleet_revoked(&a, &l, 1, 4000));
    linked_sleep(&l, 1100);
    assert_true(test_redis_says(&redis, "FLUSHALL", "+OK"));
    linked_sleep(&l, 2500);
    fleet_begin(&b);
    assert_true(test_fleet_revoked(&b, &l, 1, 4000));
    assert_revoked(&b, 0, "eve", until);
    assert_int_equal(a.ups, 1);
    fleets_end(&a, &b);
}

/* Two processes have two loops. */
static void test_fleet_two_loops_share_what_is_revoked(void **state)
{
    struct linked other = {.random = &linked_hurry};
    fleet_begin(&a);
    test_fleet_begin(&b, &other, url());
    assert_true(test_fleet_up(&b, &other, 1));
    const uint64_t begun = clock_now().mono_us;
    assert_int_equal(test_fleet_revoke(&a, 1, "mallory", in_an_hour()), 0);
    while (b.revoked_told == 0 && clock_now().mono_us - begun < 5 * US_PER_S) {
        linked_sleep(&l, 5);
        linked_sleep(&other, 5);
    }
    assert_int_equal(b.revoked_told, 1);
    assert_in_range(clock_now().mono_us - begun, 0, 5 * US_PER_S);
    test_fleet_end(&b);
    linked_end(&other);
    fleets_end(&a, &b);
}

static bool was_answered(struct linked *linked, void *ctx)
{
    return ((struct shared *)ctx)->calls == 1;
}

static bool is_answered(int issued, struct shared *said)
{
    return issued == 0 && linked_run(&l, was_answered, said, 2000) && said->answered;
}

/* All that is asked of limits: true if each was answered. */
static bool share_limits(struct test_fleet *f)
{
    const struct share share = fleet_share(f->fleet);
    const struct rate_debit item = {
        .name = 0x1f, .count = 1, .cost_us = 1000, .tau_us = 2000, .cap_us = 3000};
    const struct quota_lease held = {.name = 0x1f, .held = 1}, none = {.name = 0x1f};
    struct shared said[4] = {{.count = 1}, {.count = 1}, {.count = 1}, {.count = 1}};
    bool good = is_answered(share.debit(share.ctx, &item, 1, shared_debited, &said[0]), &said[0]);
    good = is_answered(share.look(share.ctx, &item, 1, shared_found, &said[1]), &said[1]) && good;
    good = is_answered(share.lease(share.ctx, &held, 1, shared_leased, &said[2]), &said[2]) && good;
    return is_answered(share.lease(share.ctx, &none, 1, shared_leased, &said[3]), &said[3]) && good;
}

static bool has_counted(struct linked *linked, void *ctx)
{
    return ((struct test_fleet *)ctx)->instances_told > 0;
}

static bool was_forgotten(struct linked *linked, void *ctx)
{
    return ((struct test_fleet *)ctx)->forgotten == 1;
}

static bool has_heard(struct linked *linked, void *ctx)
{
    return ((struct test_fleet *)ctx)->srtp_deposited == 1;
}

static bool has_found(struct linked *linked, void *ctx)
{
    return ((struct test_fleet *)ctx)->srtp_found == 1;
}

/* Keys of media are heard of, and found. */
static bool find_keys(struct test_fleet *f)
{
    fleet_srtp_use(f->fleet, true);
    linked_sleep(&l, 50);
    return test_redis_says(&redis, "HSET turnpike/srtp/user/r/u to_peer v", ":1") &&
           test_redis_says(&redis, "XADD turnpike/srtp/deposits * place user/r/u", "$") &&
           linked_run(&l, has_heard, f, 2000) &&
           fleet_srtp_ask(f->fleet, slice_of_string("user/r/u")) == 0 &&
           linked_run(&l, has_found, f, 2000) && f->srtp_fields == 1;
}

/* The line of docs/redis.md, as it stands there. */
static void test_fleet_documented_rights_suffice(void **state)
{
    char path[512], line[1024], with_user[128], *rest = line;
    const char *words[64] = {"ACL", "SETUSER"};
    struct slice argv[64];
    size_t argc = 2;
    snprintf(path, sizeof(path), "%s/docs/redis.md", getenv("TURNPIKE_SOURCE_ROOT"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    do
        assert_non_null(fgets(line, sizeof(line), file));
    while (strncmp(line, "user turnpike on ", 17) != 0);
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
    strtok_r(line, " ", &rest);
    for (char *word; (word = strtok_r(NULL, " ", &rest)) != NULL;)
        words[argc++] = word;
    for (size_t i = 0; i < argc; i++)
        argv[i] = slice_of_string(words[i]);
    assert_true(test_redis_command(&redis, argv, argc, "+OK"));
    assert_true(test_redis_says(&redis, "SADD turn/realm/example.org/secret one", ":1"));
    assert_true(test_redis_says(&redis,
        "SET turn/realm/example.org/user/alice/key 543e1aec5d3614f03141652d6ada51b2", "+OK"));
    snprintf(with_user, sizeof(with_user), "redis://turnpike:PASSWORD@127.0.0.1:%u/0",
        (unsigned)redis.port);
    l.settings.limits = true;
    test_fleet_begin(&a, &l, with_user);
    assert_true(test_fleet_up(&a, &l, 1));
    assert_true(linked_run(&l, has_counted, &a, 2000));
    assert_true(share_limits(&a));
    assert_true(find_keys(&a));
    assert_true(test_fleet_secrets(&a, &l, 1, 2000));
    assert_int_equal(a.secrets.count, 1);
    assert_int_equal(test_fleet_question(&a, &l, STORE_USER, "alice").answer.verdict, STORE_FOUND);
    assert_int_equal(
        test_fleet_question(&a, &l, STORE_OAUTH_KEY, "kid").answer.verdict, STORE_NOT_FOUND);
    assert_int_equal(test_fleet_revoke(&a, 1, "eve", in_an_hour()), 0);
    assert_true(test_fleet_revoked(&a, &l, 1, 4000));
    assert_int_equal(test_fleet_revoke(&a, 1, "eve", 0), 0);
    assert_true(test_fleet_revoked(&a, &l, 2, 4000));
    fleets_end(&a, &b);
    assert_true(test_redis_says(&redis, "ZCARD turnpike/{limits-0}alive", ":0")); /* it left */
    assert_true(test_redis_says(&redis, "ACL DELUSER turnpike", ":1"));
}

static void test_fleet_limits_are_shared_if_they_are_to_be(void **state)
{
    char prefix[] = "their own";
    fleet_begin(&b); /* without */
    assert_false(share_limits(&b));
    l.settings = (struct redis_settings){.limits = true, .fleet_size = 3};
    fleet_begin(&a);
    assert_true(linked_run(&l, has_counted, &a, 2000));
    assert_int_equal(a.instances, 3);
    assert_true(share_limits(&a));
    assert_true(test_redis_says(&redis, "EXISTS turnpike/{limits-f}epoch", ":1"));
    assert_int_equal(b.instances_told, 0);
    test_fleet_end(&a);
    l.settings.prefix = prefix + 6;
    fleet_begin(&a);
    assert_true(share_limits(&a));
    assert_true(test_redis_says(&redis, "EXISTS own/{limits-f}epoch", ":1"));
    assert_true(test_redis_says(&redis, "FLUSHALL", "+OK"));
    assert_true(linked_run(&l, was_forgotten, &a, 7000)); /* a heartbeat finds it out */
    assert_int_equal(b.forgotten, 0);
    fleets_end(&a, &b);
}

static void test_fleet_prefix_that_parts_hash_tags_is_refused(void **state)
{
    char url[] = "redis://127.0.0.1:1", prefix[] = "{x}", error[200] = "";
    const struct redis_settings settings = {.url = url, .prefix = prefix, .limits = true};
    const struct fleet_hooks hooks = {0};
    struct fleet *fleet = NULL;
    linked_loop(&l);
    assert_int_equal(
        fleet_new(&fleet, &l.loop, &settings, random_system(), &hooks, error, sizeof(error)),
        -EINVAL);
    assert_int_equal(strncmp(error, "redis.prefix: ", 14), 0);
    linked_end(&l);
}

/* Of the sanitizer's allocator, where that is linked in. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t allocated(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    return mallinfo2().uordblks;
}

/* Asks for many, and revokes the same again and again. */
static void use(unsigned first, unsigned count)
{
    struct test_asked asked[100];
    char name[32];
    for (unsigned n = first; n < first + count; n++) {
        for (unsigned i = 0; i < 100; i++) {
            snprintf(name, sizeof(name), "user%u-%u", n, i);
            test_fleet_ask(&a, STORE_USER, 1, slice_of_string(name), &asked[i]);
        }
        for (unsigned i = 0; i < 100; i++)
            assert_true(test_fleet_answered(&l, &asked[i], 2000));
        assert_int_equal(test_fleet_revoke(&a, 1, "same", in_an_hour() + n), 0);
        assert_true(test_fleet_revoked(&a, &l, n + 1, 4000));
    }
}

static void test_fleet_memory_stays_flat(void **state)
{
    fleet_begin(&a);
    use(0, 20);
    const size_t before = allocated();
    use(20, 60);
    const size_t after = allocated();
    assert_in_range(after < before ? 0 : after - before, 0, 32768);
    assert_true(test_redis_says(&redis, "HLEN turnpike/revocations/entries", ":1\r\n"));
    fleets_end(&a, &b);
}

static void test_fleet_revocation_of_nobody_is_refused(void **state)
{
    struct revocation v = {.kind = REVOKE_USER, .realm = 3, .id_len = 1};
    fleet_begin(&a);
    assert_int_equal(fleet_revoke(a.fleet, &v), -EINVAL);
    v = (struct revocation){.kind = 0, .realm = 1, .id_len = 1};
    assert_int_equal(fleet_revoke(a.fleet, &v), -EINVAL);
    v = (struct revocation){.kind = REVOKE_TOKEN, .realm = 1, .id_len = 0};
    assert_int_equal(fleet_revoke(a.fleet, &v), -EINVAL);
    fleets_end(&a, &b);
}

static void test_fleet_realm_that_comes_later_is_told(void **state)
{
    const struct fleet_realm more[] = {{1, slice_of_string("example.org"), true},
        {2, slice_of_string("other.example"), false}, {7, slice_of_string("third"), false}};
    fleet_begin(&a);
    fleet_begin(&b);
    assert_int_equal(fleet_set_realms(a.fleet, more, 3), 0);
    assert_int_equal(test_fleet_revoke(&a, 7, "dave", in_an_hour()), 0);
    assert_int_equal(test_fleet_revoke(&a, 1, "dora", in_an_hour()), 0);
    assert_true(test_fleet_revoked(&b, &l, 1, 4000));
    assert_int_equal(b.revoked[0].realm, 1);
    linked_sleep(&l, 1200);
    assert_int_equal(b.revoked_told, 1);
    assert_int_equal(fleet_set_realms(b.fleet, more, 3), 0);
    assert_int_equal(b.revoked_told, 2);
    assert_int_equal(b.revoked[1].realm, 7);
    fleets_end(&a, &b);
}

/* A new connection reads everything anew. */
static void reconnect(unsigned ups)
{
    assert_true(test_redis_says(&redis, "CLIENT KILL TYPE normal SKIPME yes", ":"));
    assert_true(test_fleet_up(&a, &l, ups));
    linked_sleep(&l, 200);
}

static void test_fleet_secrets_are_told_at_first_and_when_they_change(void **state)
{
    assert_true(test_redis_says(&redis, "SADD turn/realm/example.org/secret two one", ":2"));
    fleet_begin(&a);
    assert_true(test_fleet_secrets(&a, &l, 1, 2000));
    assert_int_equal(a.secrets.realm, 1);
    assert_int_equal(a.secrets.count, 2);
    assert_true(slice_equal(secret_slice(&a.secrets.list[0]), slice_of_string("one")));
    assert_true(slice_equal(secret_slice(&a.secrets.list[1]), slice_of_string("two")));
    assert_true(test_redis_says(&redis, "SREM turn/realm/example.org/secret one", ":1"));
    assert_true(test_fleet_secrets(&a, &l, 2, 12000));
    assert_int_equal(a.secrets.count, 1);
    /* What cannot be read changes nothing, and what is the same is not told. */
    assert_true(test_redis_says(&redis, "RENAME turn/realm/example.org/secret kept", "+OK"));
    assert_true(test_redis_says(&redis, "SET turn/realm/example.org/secret x", "+OK"));
    reconnect(2);
    assert_true(test_redis_says(&redis, "RENAME kept turn/realm/example.org/secret", "+OK"));
    reconnect(3);
    assert_int_equal(a.secrets_told, 2);
    assert_true(test_redis_says(&redis, "DEL turn/realm/example.org/secret", ":1"));
    reconnect(4);
    assert_int_equal(a.secrets_told, 3);
    assert_int_equal(a.secrets.count, 0);
    fleets_end(&a, &b);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fleet_revocation_reaches_the_other_within_seconds, redis_reset),
        cmocka_unit_test_setup(test_fleet_redis_flushed_learns_again, redis_reset),
        cmocka_unit_test_setup(test_fleet_two_loops_share_what_is_revoked, redis_reset),
        cmocka_unit_test_setup(test_fleet_documented_rights_suffice, redis_reset),
        cmocka_unit_test_setup(test_fleet_limits_are_shared_if_they_are_to_be, redis_reset),
        cmocka_unit_test_setup(test_fleet_prefix_that_parts_hash_tags_is_refused, redis_reset),
        cmocka_unit_test_setup(test_fleet_memory_stays_flat, redis_reset),
        cmocka_unit_test_setup(test_fleet_revocation_of_nobody_is_refused, redis_reset),
        cmocka_unit_test_setup(test_fleet_realm_that_comes_later_is_told, redis_reset),
        cmocka_unit_test_setup(
            test_fleet_secrets_are_told_at_first_and_when_they_change, redis_reset),
    };
    return cmocka_run_group_tests(tests, redis_set_up, redis_tear_down);
}

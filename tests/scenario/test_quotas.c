/*
 * What users, realms, prefixes and the instance may hold: allocations, permissions, channels, over
 * all workers, and given back whole.
 */
#include "tests/scenario/fixture.h"

static void client_nth(
    struct client *c, struct world *w, unsigned n, const char *user, const char *password)
{
    client_init(c, w, n);
    client_set_user(c, user, password);
}

static void test_quota_of_a_user_counts_over_all_workers(void **state)
{
    struct fixture *f = *state;
    f->settings.workers = 3;
    f->settings.limits.quota.allocations_per_user = 4;
    fixture_restart(f);
    struct client c[6];
    unsigned given = 0, refused = 0;
    for (unsigned i = 0; i < 6; i++) {
        client_nth(&c[i], f->w, 20 + i, "alice", "wonderland");
        const int code = client_allocate(&c[i], NULL);
        given += code == 200;
        refused += code == 486;
    }
    assert_int_equal(given, 4);
    assert_int_equal(refused, 2);
    fixture_allocate(&f->b);
}

static void test_quota_of_a_realm_is_486(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.allocations_per_realm = 1;
    fixture_restart(f);
    fixture_allocate(&f->a);
    assert_int_equal(client_allocate(&f->b, NULL), 486);
    assert_int_equal(world_refused(f->w, REASON_QUOTA_REALM), 1);
    f->b.realm_id = REALM_STORED;
    f->b.nonce_len = 0;
    client_set_user(&f->b, "carol", "chorus");
    fixture_allocate(&f->b);
}

static void test_quota_of_the_instance_is_508(void **state)
{
    struct fixture *f = *state;
    f->settings.workers = 2;
    f->settings.limits.quota.allocations_total = 1;
    fixture_restart(f);
    fixture_allocate(&f->a);
    assert_int_equal(client_allocate(&f->b, NULL), 508);
    assert_int_equal(world_refused(f->w, REASON_QUOTA_INSTANCE), 1);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    fixture_allocate(&f->b);
}

static void test_quota_comes_back_at_expiry(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.allocations_per_user = 1;
    fixture_restart(f);
    fixture_allocate(&f->a);
    struct client second;
    client_init(&second, f->w, 9);
    assert_int_equal(client_allocate(&second, NULL), 486);
    world_advance(f->w, 601);
    assert_int_equal(client_challenge(&second), 401);
    assert_int_equal(client_allocate(&second, NULL), 200);
}

static void test_quota_of_rest_users_is_by_their_name(void **state)
{
    /* "it SHOULD define it based on the username used to authenticate the request" */
    struct fixture *f = *state;
    f->settings.limits.quota.allocations_per_user = 1;
    fixture_restart(f);
    client_set_rest(&f->a, "alice", 3600, "north");
    fixture_allocate(&f->a);
    client_set_rest(&f->b, "alice", 3600, "north");
    assert_int_equal(client_allocate(&f->b, NULL), 486);
}

static unsigned permits(struct client *c, unsigned from, unsigned count)
{
    unsigned given = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct addr peer = world_peer(from + i, 5000);
        const int code = client_permit(c, &peer);
        assert_true(code == 200 || code == 508);
        given += code == 200;
    }
    return given;
}

static void test_permissions_of_a_user_are_capped_over_its_allocations(void **state)
{
    struct fixture *f = *state;
    f->settings.workers = 2;
    f->settings.limits.quota.permissions_per_user = 10;
    fixture_restart(f);
    struct client second;
    client_nth(&second, f->w, 30, "alice", "wonderland");
    fixture_allocate(&f->a);
    fixture_allocate(&second);
    fixture_allocate(&f->b);
    assert_int_equal(permits(&f->a, 1, 6), 6);
    assert_int_equal(permits(&second, 1, 6), 4);
    assert_int_equal(permits(&f->b, 1, 6), 6);
    /* What ends gives back. */
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(permits(&second, 20, 10), 6);
}

static void test_permissions_that_expire_are_given_back(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.permissions_per_user = 5;
    fixture_restart(f);
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_LIFETIME("\0\0\x0e\x10")), 200);
    for (unsigned round = 0; round < 5; round++) {
        client_challenge(&f->a);
        assert_int_equal(permits(&f->a, 1 + 20 * round, 8), 5);
        world_advance(f->w, 302);
    }
}

static void test_permissions_of_a_prefix_are_capped_over_its_users(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.permissions_per_prefix = 5;
    fixture_restart(f);
    fixture_allocate(&f->a);
    fixture_allocate(&f->b); /* the same /24 */
    struct client far;
    client_nth(&far, f->w, 30, "dave", "diver");
    far.addr.ip[2]++;
    fixture_allocate(&far);
    assert_int_equal(permits(&f->a, 1, 4), 4);
    assert_int_equal(permits(&f->b, 1, 4), 1);
    assert_int_equal(permits(&far, 1, 5), 5);
}

static void test_channels_are_capped_by_user_and_prefix(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.channels_per_user = 2;
    f->settings.limits.quota.channels_per_prefix = 3;
    fixture_restart(f);
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    const int expected_a[3] = {200, 200, 508}, expected_b[2] = {200, 508};
    for (uint16_t i = 0; i < 3; i++) {
        const struct addr peer = world_peer(i + 1u, 5000);
        assert_int_equal(client_bind(&f->a, (uint16_t)(0x4000 + i), &peer), expected_a[i]);
        /* Its own channel again is no new one. */
        if (i == 0)
            assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    }
    for (uint16_t i = 0; i < 2; i++) {
        const struct addr peer = world_peer(i + 1u, 5000);
        assert_int_equal(client_bind(&f->b, (uint16_t)(0x4000 + i), &peer), expected_b[i]);
    }
    assert_int_equal(world_refused(f->w, REASON_CHANNEL_CAP), 2);
}

static void test_refused_channel_keeps_no_permission_charge(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.channels_per_user = 1;
    f->settings.limits.quota.permissions_per_user = 2;
    fixture_restart(f);
    fixture_allocate(&f->a);
    const struct addr first = world_peer(1, 5000);
    assert_int_equal(client_bind(&f->a, 0x4000, &first), 200);
    for (unsigned i = 0; i < 5; i++) {
        const struct addr peer = world_peer(10 + i, 5000);
        assert_int_equal(client_bind(&f->a, 0x4001, &peer), 508);
    }
    assert_int_equal(permits(&f->a, 30, 3), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_quota_of_a_user_counts_over_all_workers),
        SCENARIO(test_quota_of_a_realm_is_486),
        SCENARIO(test_quota_of_the_instance_is_508),
        SCENARIO(test_quota_comes_back_at_expiry),
        SCENARIO(test_quota_of_rest_users_is_by_their_name),
        SCENARIO(test_permissions_of_a_user_are_capped_over_its_allocations),
        SCENARIO(test_permissions_that_expire_are_given_back),
        SCENARIO(test_permissions_of_a_prefix_are_capped_over_its_users),
        SCENARIO(test_channels_are_capped_by_user_and_prefix),
        SCENARIO(test_refused_channel_keeps_no_permission_charge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

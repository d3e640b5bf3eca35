/*
 * A new snapshot in the middle of everything: policy and limits count at once, allocations go on
 * with what they have, and the old snapshot is never looked at again (its memory is poisoned and
 * freed).
 */
#include "tests/scenario/fixture.h"

static struct prefix_rule rule(const char *text)
{
    struct prefix_rule r;
    const char *why = "";
    if (prefix_rule_parse(&r, text, &why) != 0)
        world_fail(why);
    return r;
}

static void test_reload_keeps_allocations_permissions_and_channels(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    for (unsigned i = 0; i < 3; i++) {
        world_reload(f->w, &f->settings);
        assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "out"));
        assert_true(fixture_from_peer(&f->a, &peer, &relayed, "in"));
        assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    }
}

static void test_reload_denies_peers_from_now_on(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    struct prefix_rule deny = rule("45.45.0.0/24");
    f->settings.relay.policy.deny = &deny;
    f->settings.relay.policy.deny_count = 1;
    world_reload(f->w, &f->settings);
    assert_false(fixture_channel_to_peer(&f->a, 0x4000, &peer, "no"));
    assert_false(fixture_to_peer(&f->a, &peer, "no"));
    assert_false(fixture_from_peer(&f->a, &peer, &relayed, "no"));
    assert_int_equal(world_dropped(f->w, REASON_PEER_DENIED), 3);
    assert_int_equal(client_permit(&f->a, &peer), 403);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 403);
    f->settings.relay.policy.deny_count = 0;
    world_reload(f->w, &f->settings);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "again"));
}

static void test_reload_with_port_rule_is_judged_at_the_send(void **state)
{
    struct fixture *f = *state;
    const struct addr dns = world_peer(1, 53), peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    struct prefix_rule deny = rule("45.45.0.0/24:53");
    f->settings.relay.policy.deny = &deny;
    f->settings.relay.policy.deny_count = 1;
    world_reload(f->w, &f->settings);
    assert_int_equal(client_permit(&f->a, &dns), 200);
    assert_true(fixture_to_peer(&f->a, &peer, "yes"));
    assert_false(fixture_to_peer(&f->a, &dns, "no"));
    assert_false(fixture_from_peer(&f->a, &dns, &relayed, "no"));
    assert_int_equal(world_dropped(f->w, REASON_PEER_DENIED), 2);
}

static void test_reload_that_changes_a_password_spares_live_allocations(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    f->settings.alice_password = "another";
    world_reload(f->w, &f->settings);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    struct client second;
    client_init(&second, f->w, 9);
    assert_int_equal(client_allocate(&second, NULL), 401);
    client_set_user(&second, "alice", "another");
    assert_int_equal(client_allocate(&second, NULL), 200);
}

static void test_reload_that_removes_a_user_refuses_new_allocations(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    f->settings.alice_password = NULL;
    world_reload(f->w, &f->settings);
    struct client second;
    client_init(&second, f->w, 9);
    assert_int_equal(client_allocate(&second, NULL), 401);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
}

static void test_reload_keeps_nonces_good(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    world_reload(f->w, &f->settings);
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, NULL), 200);
}

static void test_reload_of_the_port_range_counts_for_new_allocations(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr old = fixture_allocate(&f->a);
    f->settings.relay.port_min = 20000;
    f->settings.relay.port_max = 20009;
    world_reload(f->w, &f->settings);
    const struct addr next = fixture_allocate(&f->b);
    assert_in_range(next.port, 20000, 20009);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_true(fixture_from_peer(&f->a, &peer, &old, "in"));
}

static void test_reload_that_removes_a_relayed_address_keeps_its_allocations(void **state)
{
    struct fixture *f = *state;
    struct response r;
    const struct addr peer = world_peer(1, 5000);
    const struct addr old = fixture_allocate(&f->a);
    f->settings.relay.addresses[0].public = f->settings.relay.addresses[0].local =
        addr_ipv4(198, 51, 100, 77, 0);
    world_reload(f->w, &f->settings);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_true(fixture_from_peer(&f->a, &peer, &old, "in"));
    assert_true(fixture_to_peer(&f->a, &peer, "out"));
    assert_int_equal(client_allocate(&f->b, &r), 200);
    assert_true(addr_equal_ip(&r.relayed[0], &f->settings.relay.addresses[0].public));
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(client_refresh(&f->b, 0, NULL), 200);
}

static void test_reload_of_caps_counts_for_new_permissions(void **state)
{
    struct fixture *f = *state;
    struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    f->settings.limits.quota.permissions_per_user = 1;
    world_reload(f->w, &f->settings);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    peer = world_peer(2, 5000);
    assert_int_equal(client_permit(&f->a, &peer), 508);
}

static void test_reload_under_all_workers_and_reservations(void **state)
{
    struct fixture *f = *state;
    f->settings.workers = 2;
    fixture_restart(f);
    struct response r;
    f->a.worker = 0;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    world_reload(f->w, &f->settings);
    struct client second;
    client_init(&second, f->w, 9);
    second.worker = 1;
    assert_int_equal(CLIENT_ASK(&second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(r.token)), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_reload_keeps_allocations_permissions_and_channels),
        SCENARIO(test_reload_denies_peers_from_now_on),
        SCENARIO(test_reload_with_port_rule_is_judged_at_the_send),
        SCENARIO(test_reload_that_changes_a_password_spares_live_allocations),
        SCENARIO(test_reload_that_removes_a_user_refuses_new_allocations),
        SCENARIO(test_reload_keeps_nonces_good),
        SCENARIO(test_reload_of_the_port_range_counts_for_new_allocations),
        SCENARIO(test_reload_that_removes_a_relayed_address_keeps_its_allocations),
        SCENARIO(test_reload_of_caps_counts_for_new_permissions),
        SCENARIO(test_reload_under_all_workers_and_reservations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

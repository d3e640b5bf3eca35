/*
 * Credentials that are no longer good: by user, by access token, by the secret or key that made
 * them. What they have made ends at once on every worker, what waits is refused when it runs
 * again, and nobody else notices.
 */
#include "tests/scenario/fixture.h"

#include <stdio.h>

static void test_revoked_user_ends_on_every_worker_at_once(void **state)
{
    struct fixture *f = *state;
    struct client c[6];
    f->settings.workers = 3;
    fixture_restart(f);
    for (unsigned i = 0; i < 6; i++) {
        client_init(&c[i], f->w, 20 + i);
        fixture_allocate(&c[i]);
    }
    fixture_allocate(&f->b);
    world_revoke(f->w, REVOKE_USER, REALM_PLAIN, "alice");
    assert_int_equal(world_allocations(f->w), 1);
    assert_int_equal(world_sockets_open(f->w), 1);
    assert_int_equal(world_ports_claimed(f->w), 1);
    assert_int_equal(world_metric(f->w, METRIC_ALLOCATIONS_REVOKED), 6);
    assert_int_equal(world_metric(f->w, METRIC_END_REVOKED), 6);
    assert_int_equal(client_refresh(&c[0], 600, NULL), 401);
    assert_int_equal(client_allocate(&c[1], NULL), 401);
    assert_int_equal(world_refused(f->w, REASON_REVOKED), 2);
    assert_int_equal(client_refresh(&f->b, 600, NULL), 200);
}

static void test_media_of_a_revoked_user_stops(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_true(fixture_to_peer(&f->a, &peer, "before"));
    world_revoke(f->w, REVOKE_USER, REALM_PLAIN, "alice");
    assert_false(fixture_to_peer(&f->a, &peer, "after"));
    assert_int_equal(world_dropped(f->w, REASON_NO_ALLOCATION_MEDIA), 1);
    assert_false(world_from_peer(f->w, &peer, &relayed, slice_of_string("in"), 0));
}

static void test_revocation_is_for_its_realm(void **state)
{
    struct fixture *f = *state;
    world_store_set_user(f->w, REALM_REDIS, "alice", "wonderland");
    fixture_allocate(&f->a);
    f->b.realm_id = REALM_REDIS;
    client_set_user(&f->b, "alice", "wonderland");
    fixture_allocate(&f->b);
    world_revoke(f->w, REVOKE_USER, REALM_REDIS, "alice");
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_taking_back_what_nobody_knows_ends_nothing(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    world_take_back(f->w, REVOKE_USER, REALM_PLAIN, "alice");
    world_advance(f->w, 2);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    assert_int_equal(world_metric(f->w, METRIC_ALLOCATIONS_REVOKED), 0);
}

static void test_revocation_that_is_taken_back_lets_in_again(void **state)
{
    struct fixture *f = *state;
    world_revoke(f->w, REVOKE_USER, REALM_PLAIN, "alice");
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    world_take_back(f->w, REVOKE_USER, REALM_PLAIN, "alice");
    fixture_allocate(&f->a);
}

static void test_revocation_ends_by_itself(void **state)
{
    struct fixture *f = *state;
    world_revoke(f->w, REVOKE_USER, REALM_PLAIN, "alice");
    world_advance(f->w, 3601);
    fixture_allocate(&f->a);
}

static void test_revoked_rest_user_is_so_under_every_name(void **state)
{
    struct fixture *f = *state;
    struct client other;
    client_set_rest(&f->a, "alice", 3600, "north");
    fixture_allocate(&f->a);
    client_set_rest(&f->b, "bob", 3600, "north");
    fixture_allocate(&f->b);
    world_revoke(f->w, REVOKE_USER, REALM_REST, "alice");
    assert_int_equal(world_allocations(f->w), 1);
    client_init(&other, f->w, 3);
    client_set_rest(&other, "alice", 7200, "south"); /* a fresh credential is no way around */
    assert_int_equal(client_allocate(&other, NULL), 401);
    assert_int_equal(world_refused(f->w, REASON_REVOKED), 1);
}

static void test_revoked_secret_ends_what_it_has_signed(void **state)
{
    struct fixture *f = *state;
    client_set_rest(&f->a, "alice", 3600, "north"); /* the secret "new" */
    fixture_allocate(&f->a);
    client_set_rest(&f->b, "bob", 3600, "south");
    fixture_allocate(&f->b);
    world_revoke(f->w, REVOKE_SECRET, REALM_REST, "new");
    assert_int_equal(world_allocations(f->w), 1);
    assert_int_equal(client_refresh(&f->b, 600, NULL), 200);
    assert_int_equal(client_allocate(&f->a, NULL), 401);
}

static void test_revoked_token_ends_its_allocations_only(void **state)
{
    struct fixture *f = *state;
    client_set_token(&f->a, WORLD_KID, 3600);
    client_set_token(&f->b, WORLD_KID, 3600);
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    world_revoke(f->w, REVOKE_TOKEN, REALM_TOKENS, f->a.token.id);
    assert_int_equal(world_allocations(f->w), 1);
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(world_refused(f->w, REASON_REVOKED), 1);
    assert_int_equal(client_refresh(&f->b, 600, NULL), 200);
}

static void test_revoked_kid_ends_all_its_tokens(void **state)
{
    struct fixture *f = *state;
    struct client other;
    client_set_token(&f->a, WORLD_KID, 3600);
    client_set_token(&f->b, WORLD_KID, 3600);
    client_init(&other, f->w, 3);
    client_set_token(&other, WORLD_STORED_KID, 3600);
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    fixture_allocate(&other);
    world_revoke(f->w, REVOKE_SECRET, REALM_TOKENS, WORLD_KID);
    assert_int_equal(world_allocations(f->w), 1);
    assert_int_equal(client_refresh(&other, 600, NULL), 200);
}

static void test_reserved_port_of_a_revoked_user_is_given_back(void **state)
{
    struct fixture *f = *state;
    struct response of_a, of_b;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &of_a, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, &of_b, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    /* The allocation is gone already; the port still waits for its token. */
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(world_reservations(f->w), 2);
    world_revoke(f->w, REVOKE_USER, REALM_PLAIN, "alice");
    assert_int_equal(world_reservations(f->w), 1);
    assert_int_equal(world_ports_claimed(f->w), 2);
    world_take_back(f->w, REVOKE_USER, REALM_PLAIN, "alice");
    struct client second;
    client_init(&second, f->w, 7);
    assert_int_equal(
        CLIENT_ASK(&second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(of_a.token)), 508);
}

static void test_port_on_its_way_to_a_revoked_user_is_given_back(void **state)
{
    struct fixture *f = *state;
    struct response made;
    struct client second;
    f->settings.workers = 2;
    fixture_restart(f);
    f->a.worker = 0;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &made, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    client_init(&second, f->w, 9);
    second.worker = 1;
    assert_int_equal(client_challenge(&second), 401);
    f->w->hold_mail = true;
    assert_int_equal(CLIENT_ASK(&second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(made.token)), 0);
    assert_true(world_deliver_mail(f->w, 0));
    world_revoke(f->w, REVOKE_USER, REALM_PLAIN, "alice");
    f->w->hold_mail = false;
    world_run(f->w);
    assert_int_equal(world_refused(f->w, REASON_REVOKED), 1);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(world_sockets_open(f->w), 0);
}

static void test_request_that_waits_for_a_revoked_users_key_is_refused(void **state)
{
    struct fixture *f = *state;
    f->w->store.mode = WORLD_STORE_HELD;
    client_set_stored(&f->a);
    assert_int_equal(client_allocate(&f->a, NULL), 0);
    world_revoke(f->w, REVOKE_USER, REALM_REDIS, WORLD_STORED_USER);
    assert_true(world_store_answer(f->w));
    world_run(f->w);
    assert_int_equal(world_refused(f->w, REASON_REVOKED), 1);
    assert_int_equal(world_allocations(f->w), 0);
}

/* An instance that was cut off learns of all of them together. */
static void test_many_revocations_at_once_are_all_in_force_within_a_tick(void **state)
{
    struct fixture *f = *state;
    char name[16];
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "user-%u", i);
        world_revoke(f->w, REVOKE_USER, REALM_PLAIN, i == 1500 ? "alice" : name);
    }
    world_advance_ms(f->w, 100);
    assert_int_equal(world_allocations(f->w), 1);
    assert_int_equal(client_refresh(&f->b, 600, NULL), 200);
    assert_int_equal(client_allocate(&f->a, NULL), 401);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_revoked_user_ends_on_every_worker_at_once),
        SCENARIO(test_media_of_a_revoked_user_stops),
        SCENARIO(test_revocation_is_for_its_realm),
        SCENARIO(test_taking_back_what_nobody_knows_ends_nothing),
        SCENARIO(test_revocation_that_is_taken_back_lets_in_again),
        SCENARIO(test_revocation_ends_by_itself),
        SCENARIO(test_revoked_rest_user_is_so_under_every_name),
        SCENARIO(test_revoked_secret_ends_what_it_has_signed),
        SCENARIO(test_revoked_token_ends_its_allocations_only),
        SCENARIO(test_revoked_kid_ends_all_its_tokens),
        SCENARIO(test_reserved_port_of_a_revoked_user_is_given_back),
        SCENARIO(test_port_on_its_way_to_a_revoked_user_is_given_back),
        SCENARIO(test_request_that_waits_for_a_revoked_users_key_is_refused),
        SCENARIO(test_many_revocations_at_once_are_all_in_force_within_a_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

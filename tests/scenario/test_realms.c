/*
 * Several realms on one listener: the challenge names its home, a request may name any that the
 * listener serves, and who is let in belongs to the realm that was named: quotas, reservations,
 * allocations.
 */
#include "tests/scenario/fixture.h"

#include <stdio.h>

#define SERVED(realm) (1ull << (realm))

/* A client of a listener with home REALM_PLAIN that serves these as well, and who names `realm`. */
static void guest_nth(
    struct client *c, struct world *w, unsigned n, uint64_t served, uint32_t realm)
{
    client_init(c, w, n);
    c->realms = SERVED(REALM_PLAIN) | served;
    assert_int_equal(client_challenge(c), 401);
    assert_int_equal(c->realm_len, strlen(world_realm_name(REALM_PLAIN)));
    c->realm_len =
        (size_t)snprintf((char *)c->realm, sizeof(c->realm), "%s", world_realm_name(realm));
}

/* As client_set_rest, at the listener that the client speaks to. */
static void set_rest(struct client *c, const char *name, const char *secret)
{
    client_set_rest(c, name, 3600, secret);
    c->realm_id = REALM_PLAIN;
}

static void test_request_may_name_another_realm_of_the_listener(void **state)
{
    struct fixture *f = *state;
    guest_nth(&f->a, f->w, 1, SERVED(REALM_REST), REALM_REST);
    set_rest(&f->a, "alice", "north");
    fixture_allocate(&f->a);
    const struct addr peer = world_peer(1, 5000);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    /* The home realm's users are there as ever. */
    guest_nth(&f->b, f->w, 2, SERVED(REALM_REST), REALM_PLAIN);
    fixture_allocate(&f->b);
}

static void test_request_may_not_name_a_realm_of_other_listeners(void **state)
{
    struct fixture *f = *state;
    guest_nth(&f->a, f->w, 1, SERVED(REALM_REDIS), REALM_REST);
    set_rest(&f->a, "alice", "north");
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(world_refused(f->w, REASON_REALM_DIFFERS), 1);
    guest_nth(&f->a, f->w, 1, SERVED(REALM_REST), REALM_REDIS);
    client_set_user(&f->a, WORLD_STORED_USER, WORLD_STORED_PASSWORD);
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(f->w->store.asked, 0);
}

static void test_user_of_one_realm_is_nobody_in_another(void **state)
{
    struct fixture *f = *state;
    guest_nth(&f->a, f->w, 1, SERVED(REALM_REDIS), REALM_PLAIN);
    client_set_user(&f->a, WORLD_STORED_USER, WORLD_STORED_PASSWORD);
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(f->w->store.asked, 0);
    guest_nth(&f->b, f->w, 2, SERVED(REALM_REDIS), REALM_REDIS);
    client_set_user(&f->b, "alice", "wonderland");
    assert_int_equal(client_allocate(&f->b, NULL), 401);
    assert_int_equal(f->w->store.asked, 1);
}

static void test_challenge_offers_what_all_realms_of_the_listener_can(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    assert_true(f->a.algorithms_len > 0);
    /* A user in the store has a key of MD5 alone, so nobody here is offered SHA-256. */
    guest_nth(&f->b, f->w, 2, SERVED(REALM_REDIS), REALM_PLAIN);
    assert_int_equal(f->b.algorithms_len, 0);
    assert_memory_equal(f->b.nonce, "obMatJos2AAAA", 13);
}

static void test_quota_is_that_of_the_users_realm(void **state)
{
    struct fixture *f = *state;
    const struct quota_limits one = {.allocations_per_realm = 1};
    f->settings.realm_quotas[REALM_REST] = &one;
    f->settings.limits.quota.allocations_per_user = 1;
    fixture_restart(f);
    struct client guests[2], home[2];
    for (unsigned i = 0; i < 2; i++) {
        guest_nth(&guests[i], f->w, 10 + i, SERVED(REALM_REST), REALM_REST);
        set_rest(&guests[i], i ? "bob" : "alice", "north");
        guest_nth(&home[i], f->w, 20 + i, SERVED(REALM_REST), REALM_PLAIN);
    }
    fixture_allocate(&guests[0]);
    assert_int_equal(client_allocate(&guests[1], NULL), 486);
    assert_int_equal(world_refused(f->w, REASON_QUOTA_REALM), 1);
    /* alice of the home realm is another alice, under limits of her own. */
    fixture_allocate(&home[0]);
    assert_int_equal(client_allocate(&home[1], NULL), 486);
    assert_int_equal(world_refused(f->w, REASON_QUOTA_USER), 1);
}

static void test_permissions_and_channels_are_those_of_the_users_realm(void **state)
{
    struct fixture *f = *state;
    const struct quota_limits few = {.permissions_per_user = 2, .channels_per_user = 1};
    f->settings.realm_quotas[REALM_REST] = &few;
    fixture_restart(f);
    guest_nth(&f->a, f->w, 1, SERVED(REALM_REST), REALM_REST);
    set_rest(&f->a, "alice", "north");
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    static const int guest[3] = {200, 200, 508}, guest_channels[2] = {200, 508};
    for (uint16_t i = 0; i < 3; i++) {
        const struct addr peer = world_peer(1u + i, 5000);
        assert_int_equal(client_permit(&f->a, &peer), guest[i]);
        assert_int_equal(client_permit(&f->b, &peer), 200);
    }
    for (uint16_t i = 0; i < 2; i++) {
        const struct addr peer = world_peer(1u + i, 5000);
        assert_int_equal(client_bind(&f->a, (uint16_t)(0x4000 + i), &peer), guest_channels[i]);
        assert_int_equal(client_bind(&f->b, (uint16_t)(0x4000 + i), &peer), 200);
    }
}

static void test_limits_of_the_instance_hold_for_every_realm(void **state)
{
    struct fixture *f = *state;
    const struct quota_limits none = {0};
    f->settings.realm_quotas[REALM_REST] = &none;
    f->settings.limits.quota.allocations_total = 1;
    f->settings.limits.quota.permissions_per_prefix = 1;
    fixture_restart(f);
    client_set_rest(&f->a, "alice", 3600, "north");
    fixture_allocate(&f->a);
    const struct addr first = world_peer(1, 5000), second = world_peer(2, 5000);
    assert_int_equal(client_permit(&f->a, &first), 200);
    assert_int_equal(client_permit(&f->a, &second), 508);
    client_set_rest(&f->b, "bob", 3600, "north");
    assert_int_equal(client_allocate(&f->b, NULL), 508);
    assert_int_equal(world_refused(f->w, REASON_QUOTA_INSTANCE), 1);
}

static void test_reservation_is_its_users_in_his_realm(void **state)
{
    struct fixture *f = *state;
    struct response made;
    world_store_set_user(f->w, REALM_REDIS, "alice", "wonderland");
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &made, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    guest_nth(&f->b, f->w, 2, SERVED(REALM_REDIS), REALM_REDIS);
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(made.token)), 508);
    assert_int_equal(world_refused(f->w, REASON_RESERVATION_UNKNOWN), 1);
    struct client own;
    client_init(&own, f->w, 3);
    assert_int_equal(CLIENT_ASK(&own, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(made.token)), 200);
}

static void test_allocation_belongs_to_its_user_in_his_realm(void **state)
{
    struct fixture *f = *state;
    world_store_set_user(f->w, REALM_REDIS, "alice", "wonderland");
    guest_nth(&f->a, f->w, 1, SERVED(REALM_REDIS), REALM_PLAIN);
    fixture_allocate(&f->a);
    struct client other = f->a;
    other.realm_len = (size_t)snprintf(
        (char *)other.realm, sizeof(other.realm), "%s", world_realm_name(REALM_REDIS));
    assert_int_equal(client_refresh(&other, 0, NULL), 441);
    assert_int_equal(world_refused(f->w, REASON_WRONG_USER), 1);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
}

static void test_listener_that_serves_tokens_says_so(void **state)
{
    struct fixture *f = *state;
    struct request q;
    struct response r;
    const uint64_t served[3] = {0, SERVED(REALM_TOKENS), SERVED(REALM_REST)};
    for (unsigned i = 0; i < 3; i++) {
        f->a.realms = SERVED(REALM_PLAIN) | served[i];
        request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
        request_close(&q);
        assert_int_equal(client_send(&f->a, &q, &r), 401);
        assert_true(slice_equal(r.third_party, slice_of_string(i == 1 ? WORLD_SERVER_NAME : "")));
    }
}

static void test_token_of_another_realm_of_the_listener_lets_in(void **state)
{
    struct fixture *f = *state;
    guest_nth(&f->a, f->w, 1, SERVED(REALM_TOKENS), REALM_TOKENS);
    client_set_token(&f->a, WORLD_KID, 3600);
    f->a.realm_id = REALM_PLAIN;
    fixture_allocate(&f->a);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_request_may_name_another_realm_of_the_listener),
        SCENARIO(test_request_may_not_name_a_realm_of_other_listeners),
        SCENARIO(test_user_of_one_realm_is_nobody_in_another),
        SCENARIO(test_challenge_offers_what_all_realms_of_the_listener_can),
        SCENARIO(test_quota_is_that_of_the_users_realm),
        SCENARIO(test_permissions_and_channels_are_those_of_the_users_realm),
        SCENARIO(test_limits_of_the_instance_hold_for_every_realm),
        SCENARIO(test_reservation_is_its_users_in_his_realm),
        SCENARIO(test_allocation_belongs_to_its_user_in_his_realm),
        SCENARIO(test_listener_that_serves_tokens_says_so),
        SCENARIO(test_token_of_another_realm_of_the_listener_lets_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

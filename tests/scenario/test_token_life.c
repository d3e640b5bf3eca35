/*
 * How long an access token (RFC 7635) carries an allocation: to its own end and not a moment
 * longer, unless a newer one of the same kid takes its place.
 */
#include "tests/scenario/fixture.h"

#define HOUR 3600u

static uint32_t lifetime_of(const struct response *r)
{
    assert_true(r->has_lifetime);
    return r->lifetime;
}

static void test_lifetime_of_a_long_token_is_as_ever(void **state)
{
    struct fixture *f = *state;
    struct response r;
    client_set_token(&f->a, WORLD_KID, 10 * HOUR);
    assert_int_equal(client_allocate(&f->a, &r), 200);
    assert_int_equal(lifetime_of(&r), 600);
    assert_int_equal(client_refresh(&f->a, 10 * HOUR, &r), 200);
    assert_int_equal(lifetime_of(&r), HOUR);
}

static void test_fraction_of_a_second_is_no_longer_life(void **state)
{
    /* The token ends with a second of the wall clock; the allocation not after it. */
    struct fixture *f = *state;
    world_advance_ms(f->w, 900);
    client_set_token(&f->a, WORLD_KID, 60);
    fixture_allocate(&f->a);
    world_advance_ms(f->w, 59000);
    assert_int_equal(world_allocations(f->w), 1);
    world_advance_ms(f->w, 200);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_newer_token_carries_the_allocation_on(void **state)
{
    struct fixture *f = *state;
    struct response r;
    const struct addr peer = world_peer(1, 5000);
    client_set_token(&f->a, WORLD_KID, 300);
    fixture_allocate(&f->a);
    world_advance(f->w, 250);
    const struct client_token old = f->a.token;
    client_set_token(&f->a, WORLD_KID, HOUR);
    assert_int_equal(client_refresh(&f->a, 1800, &r), 200);
    assert_int_equal(lifetime_of(&r), 1800);
    world_advance(f->w, 300);
    assert_int_equal(world_allocations(f->w), 1);
    /* From now on its mac_key is the key, and its id is what a revocation names. */
    assert_int_equal(client_permit(&f->a, &peer), 200);
    struct client late = f->a;
    late.token = old;
    assert_int_equal(client_permit(&late, &peer), 401);
    world_revoke(f->w, REVOKE_TOKEN, REALM_TOKENS, old.id);
    world_advance(f->w, 1);
    assert_int_equal(world_allocations(f->w), 1);
    world_revoke(f->w, REVOKE_TOKEN, REALM_TOKENS, f->a.token.id);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_token_that_has_ended_carries_nothing_on(void **state)
{
    struct fixture *f = *state;
    client_set_token(&f->a, WORLD_KID, 300);
    fixture_allocate(&f->a);
    struct client other = f->a;
    client_set_token(&other, WORLD_KID, 20);
    world_advance(f->w, 60);
    assert_int_equal(client_refresh(&other, 600, NULL), 401);
    assert_int_equal(world_refused(f->w, REASON_CREDENTIAL_EXPIRED), 1);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
}

static void test_kid_that_nobody_knows_is_401(void **state)
{
    struct fixture *f = *state;
    client_set_token(&f->a, "key-9", HOUR);
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(world_refused(f->w, REASON_KID_UNKNOWN), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_lifetime_of_a_long_token_is_as_ever),
        SCENARIO(test_fraction_of_a_second_is_no_longer_life),
        SCENARIO(test_newer_token_carries_the_allocation_on),
        SCENARIO(test_token_that_has_ended_carries_nothing_on),
        SCENARIO(test_kid_that_nobody_knows_is_401),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * LIFETIME in Allocate and Refresh (RFC 8656 sections 7.2 and 8.2): min(asked, maximum), never less
 * than the default, zero ends; an allocation ends when its time is over, and at max_allocation_age
 * whatever is refreshed.
 */
#include "tests/scenario/fixture.h"

static const struct {
    uint32_t asked, given;
} lifetimes[] = {{1, 600}, {599, 600}, {600, 600}, {601, 601}, {1234, 1234}, {3599, 3599},
    {3600, 3600}, {3601, 3600}, {86400, 3600}, {UINT32_MAX, 3600}};
#define LIFETIMES (sizeof(lifetimes) / sizeof(lifetimes[0]))

static int ask_lifetime(struct client *c, uint16_t method, uint32_t lifetime, struct response *r)
{
    struct request q;
    if (c->nonce_len == 0)
        client_challenge(c);
    request_begin(&q, c, STUN_REQUEST, method);
    if (method == STUN_ALLOCATE)
        request_transport(&q, 17);
    stun_write_u32(&q.w, STUN_ATTR_LIFETIME, lifetime);
    request_finish(&q, c);
    return client_send(c, &q, r);
}

static void test_lifetime_of_allocate_follows_the_rule(void **state)
{
    struct fixture *f = *state;
    struct response r;
    for (size_t i = 0; i < LIFETIMES; i++) {
        assert_int_equal(ask_lifetime(&f->a, STUN_ALLOCATE, lifetimes[i].asked, &r), 200);
        assert_true(r.has_lifetime);
        assert_int_equal(r.lifetime, lifetimes[i].given);
        assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    }
    /* Zero is no deletion here: "Otherwise, the server uses the default lifetime." */
    assert_int_equal(ask_lifetime(&f->a, STUN_ALLOCATE, 0, &r), 200);
    assert_int_equal(r.lifetime, 600);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_lifetime_of_refresh_follows_the_rule(void **state)
{
    struct fixture *f = *state;
    struct response r;
    fixture_allocate(&f->a);
    for (size_t i = 0; i < LIFETIMES; i++) {
        assert_int_equal(client_refresh(&f->a, lifetimes[i].asked, &r), 200);
        assert_true(r.has_lifetime);
        assert_int_equal(r.lifetime, lifetimes[i].given);
    }
}

static void test_lifetime_absent_from_refresh_is_the_default(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(ask_lifetime(&f->a, STUN_ALLOCATE, 3600, &r), 200);
    assert_int_equal(client_ask(&f->a, STUN_REFRESH, NULL, 0, &r), 200);
    assert_int_equal(r.lifetime, 600);
    world_advance(f->w, 601);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_lifetime_over_ends_the_allocation(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    world_advance(f->w, 400);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    world_advance(f->w, 199);
    assert_int_equal(world_allocations(f->w), 1);
    assert_true(fixture_to_peer(&f->a, &peer, "in time"));
    world_advance(f->w, 2);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(world_sockets_open(f->w), 0);
    assert_int_equal(world_ports_claimed(f->w), 0);
    assert_int_equal(world_metric(f->w, METRIC_ALLOCATIONS_EXPIRED), 1);
    assert_int_equal(world_metric(f->w, METRIC_END_EXPIRED), 1);
    assert_false(fixture_to_peer(&f->a, &peer, "too late"));
    assert_int_equal(world_dropped(f->w, REASON_NO_ALLOCATION_MEDIA), 1);
    assert_false(world_from_peer(f->w, &peer, &relayed, slice_of_string("too late"), 0));
}

static void test_lifetime_is_not_refreshed_by_media_or_permissions(void **state)
{
    /* "Allocations can only be refreshed using the Refresh request; sending data to a peer does not
     * refresh an allocation." */
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    for (unsigned i = 0; i < 6; i++) {
        world_advance(f->w, 99);
        const int code = client_permit(&f->a, &peer);
        if (code == 438)
            assert_int_equal(client_permit(&f->a, &peer), 200);
        assert_true(fixture_to_peer(&f->a, &peer, "out"));
        assert_true(fixture_from_peer(&f->a, &peer, &relayed, "in"));
    }
    world_advance(f->w, 8);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_lifetime_jumped_over_ends_the_allocation(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    world_jump(f->w, 100000);
    assert_int_equal(world_allocations(f->w), 0);
}

/* Refreshes as a client does, every 1000 s, until it is refused or `until_s` have passed. */
static uint32_t keep_alive(struct fixture *f, uint64_t seconds)
{
    struct response r;
    uint32_t lifetime = 0;
    for (uint64_t t = 0; t < seconds; t += 1000) {
        world_jump(f->w, 1000);
        int code = client_refresh(&f->a, 3600, &r);
        if (code == 438)
            code = client_refresh(&f->a, 3600, &r);
        if (code != 200)
            return 0;
        lifetime = r.lifetime;
        world_clear(f->w);
    }
    return lifetime;
}

static void test_lifetime_ends_at_the_age_of_allocations(void **state)
{
    struct fixture *f = *state;
    const uint32_t age = 20000;
    f->settings.relay.max_allocation_age_s = age;
    fixture_restart(f);
    struct response r;
    assert_int_equal(ask_lifetime(&f->a, STUN_ALLOCATE, 3600, &r), 200);
    assert_int_equal(keep_alive(f, 16000), 3600);
    /* 16000 s old: what is given may not reach over the age. */
    const uint32_t rest = keep_alive(f, 2000);
    assert_true(rest > 0 && rest <= 2000);
    world_advance(f->w, 1990);
    assert_int_equal(world_allocations(f->w), 1);
    world_advance(f->w, 12);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(world_metric(f->w, METRIC_END_MAX_AGE), 1);
    assert_int_equal(world_metric(f->w, METRIC_ALLOCATIONS_EXPIRED), 1);
}

static void test_lifetime_settings_of_the_reloaded_configuration_count(void **state)
{
    struct fixture *f = *state;
    struct response r;
    fixture_allocate(&f->a);
    f->settings.relay.max_lifetime_s = 900;
    f->settings.relay.default_lifetime_s = 300;
    world_reload(f->w, &f->settings);
    assert_int_equal(client_refresh(&f->a, 3600, &r), 200);
    assert_int_equal(r.lifetime, 900);
    assert_int_equal(client_refresh(&f->a, 1, &r), 200);
    assert_int_equal(r.lifetime, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_lifetime_of_allocate_follows_the_rule),
        SCENARIO(test_lifetime_of_refresh_follows_the_rule),
        SCENARIO(test_lifetime_absent_from_refresh_is_the_default),
        SCENARIO(test_lifetime_over_ends_the_allocation),
        SCENARIO(test_lifetime_is_not_refreshed_by_media_or_permissions),
        SCENARIO(test_lifetime_jumped_over_ends_the_allocation),
        SCENARIO(test_lifetime_ends_at_the_age_of_allocations),
        SCENARIO(test_lifetime_settings_of_the_reloaded_configuration_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

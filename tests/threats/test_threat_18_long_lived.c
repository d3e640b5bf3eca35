/*
 * THREATS row 18: what was once let in does not stay for months. Credentials end at their time and
 * cannot be made for longer than the ceiling; secrets can be retired; users and secrets can be
 * revoked, which ends what they have; allocations have an age that no Refresh moves. Each refusal
 * has a name, and only who has the secret brings it about.
 */
#include "tests/scenario/fixture.h"

#define HOUR_S 3600ll
#define DAY_S  86400ll

/* The code of an Allocate by a REST credential that ends in so many seconds; what it makes is
 * deleted. */
static int allocate_for(struct client *c, int64_t expires_in, const char *secret)
{
    client_set_rest(c, "alice", expires_in, secret);
    const int code = client_allocate(c, NULL);
    if (code == 200)
        assert_int_equal(client_refresh(c, 0, NULL), 200);
    return code;
}

static void expect_refusal(
    struct fixture *f, int64_t expires_in, const char *secret, enum reason reason)
{
    const uint64_t before = world_refused(f->w, reason);
    assert_int_equal(allocate_for(&f->a, expires_in, secret), 401);
    if (world_refused(f->w, reason) != before + 1)
        print_error("%lld s, %s: not %s\n", (long long)expires_in, secret, reason_name(reason));
    assert_int_equal(world_refused(f->w, reason), before + 1);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_expired_credentials_are_refused_by_name(void **state)
{
    struct fixture *f = *state;
    const int64_t ago[] = {1, 2, 59, HOUR_S, 2 * DAY_S, 400 * DAY_S};
    for (int sha256 = 0; sha256 < 2; sha256++) {
        f->a.auth = sha256 ? CLIENT_SHA256 : CLIENT_MD5;
        for (size_t i = 0; i < sizeof(ago) / sizeof(ago[0]); i++)
            expect_refusal(f, -ago[i], i % 2 ? "north" : "south", REASON_CREDENTIAL_EXPIRED);
        expect_refusal(f, -f->w->now.wall_s, "north", REASON_CREDENTIAL_EXPIRED);
    }
    assert_int_equal(allocate_for(&f->a, 0, "north"), 200);
}

static void test_credential_ends_while_its_nonce_is_good(void **state)
{
    struct fixture *f = *state;
    client_set_rest(&f->a, "alice", 300, "north");
    assert_int_equal(client_allocate(&f->a, NULL), 200);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    world_advance(f->w, 301);
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(world_refused(f->w, REASON_CREDENTIAL_EXPIRED), 1);
    assert_int_equal(world_refused(f->w, REASON_STALE_NONCE), 0);
}

static void test_credentials_over_the_ceiling_are_refused_by_name(void **state)
{
    struct fixture *f = *state;
    const int64_t over[] = {1, 60, HOUR_S, 30 * DAY_S, 3650 * DAY_S};
    for (int sha256 = 0; sha256 < 2; sha256++) {
        f->a.auth = sha256 ? CLIENT_SHA256 : CLIENT_MD5;
        for (size_t i = 0; i < sizeof(over) / sizeof(over[0]); i++)
            expect_refusal(
                f, 2 * DAY_S + over[i], i % 2 ? "north" : "south", REASON_CREDENTIAL_LIFETIME);
        expect_refusal(f, 99999999999 - f->w->now.wall_s, "north", REASON_CREDENTIAL_LIFETIME);
    }
    assert_int_equal(allocate_for(&f->a, 2 * DAY_S, "north"), 200);
}

static void test_ceiling_follows_the_configuration(void **state)
{
    struct fixture *f = *state;
    f->settings.max_ttl_s = HOUR_S;
    world_reload(f->w, &f->settings);
    expect_refusal(f, HOUR_S + 1, "north", REASON_CREDENTIAL_LIFETIME);
    assert_int_equal(allocate_for(&f->a, HOUR_S, "north"), 200);
    /* What is over the ceiling today is good once it is near enough. */
    client_set_rest(&f->a, "alice", HOUR_S + 100, "north");
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    world_advance(f->w, 100);
    assert_int_equal(client_allocate(&f->a, NULL), 200);
}

static void test_time_is_named_only_to_who_has_a_secret(void **state)
{
    struct fixture *f = *state;
    expect_refusal(f, -HOUR_S, "east", REASON_SECRET_UNKNOWN);
    expect_refusal(f, 30 * DAY_S, "east", REASON_SECRET_UNKNOWN);
    expect_refusal(f, HOUR_S, "east", REASON_SECRET_UNKNOWN);
    assert_int_equal(world_refused(f->w, REASON_CREDENTIAL_EXPIRED), 0);
    assert_int_equal(world_refused(f->w, REASON_CREDENTIAL_LIFETIME), 0);
}

static void test_retired_secret_makes_nothing_new(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(allocate_for(&f->a, HOUR_S, "south"), 200);
    client_set_rest(&f->b, "bob", HOUR_S, "south");
    fixture_allocate(&f->b);
    f->settings.retired = true;
    world_reload(f->w, &f->settings);
    const uint64_t before = world_refused(f->w, REASON_SECRET_RETIRED);
    for (int sha256 = 0; sha256 < 2; sha256++) {
        f->a.auth = sha256 ? CLIENT_SHA256 : CLIENT_MD5;
        client_set_rest(&f->a, "alice", HOUR_S, "south");
        assert_int_equal(client_allocate(&f->a, NULL), 401);
        client_set_rest(&f->a, "alice", -HOUR_S, "south");
        assert_int_equal(client_allocate(&f->a, NULL), 401);
    }
    assert_int_equal(world_refused(f->w, REASON_SECRET_RETIRED), before + 4);
    assert_int_equal(world_allocations(f->w), 1);
    /* The other secret is as good as before, and a call that was let in goes on. */
    assert_int_equal(allocate_for(&f->a, HOUR_S, "north"), 200);
    assert_int_equal(client_refresh(&f->b, 600, NULL), 200);
}

/* Refreshes every 1000 s as a client does, however often it is told of a stale nonce. */
static int refresh_until(struct fixture *f, uint64_t seconds)
{
    int code = 200;
    for (uint64_t t = 0; t < seconds && code == 200; t += 1000) {
        world_jump(f->w, 1000);
        code = client_refresh(&f->a, 3600, NULL);
        if (code == 438)
            code = client_refresh(&f->a, 3600, NULL);
        world_clear(f->w);
    }
    return code;
}

static void test_allocation_of_an_old_credential_ends_at_its_age(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    client_set_rest(&f->a, "alice", HOUR_S, "north");
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 200);
    /* Two days, of which the credential was good for an hour. */
    assert_int_equal(refresh_until(f, 172000), 200);
    assert_int_equal(world_allocations(f->w), 1);
    world_advance(f->w, 801);
    assert_int_equal(world_allocations(f->w), 0);
    assert_false(world_from_peer(f->w, &peer, &relayed, slice_of_string("late"), 0));
    assert_int_equal(client_refresh(&f->a, 600, NULL) == 200, 0);
    client_challenge(&f->a);
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(world_refused(f->w, REASON_CREDENTIAL_EXPIRED) > 0, 1);
}

static void test_end_on_expiry_ends_it_with_the_credential(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.end_on_expiry = true;
    fixture_restart(f);
    client_set_rest(&f->a, "alice", HOUR_S, "north");
    fixture_allocate(&f->a);
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 200);
    assert_int_equal(refresh_until(f, 3000), 200);
    assert_int_equal(refresh_until(f, 1000), 401);
    assert_int_equal(world_refused(f->w, REASON_CREDENTIAL_EXPIRED), 1);
    /* What was given before the end was at most the longest lifetime. */
    world_advance(f->w, 3600);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_revoked_user_is_out_at_once_and_stays_out(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    client_set_rest(&f->a, "alice", HOUR_S, "north");
    client_set_rest(&f->b, "bob", HOUR_S, "north");
    const struct addr relayed = fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    world_revoke(f->w, REVOKE_USER, REALM_REST, "alice");
    assert_int_equal(world_allocations(f->w), 1);
    assert_false(world_from_peer(f->w, &peer, &relayed, slice_of_string("late"), 0));
    assert_false(fixture_to_peer(&f->a, &peer, "late"));
    /* Nor by a fresh credential of hers, of whichever secret. */
    for (int i = 0; i < 4; i++) {
        const uint64_t before = world_refused(f->w, REASON_REVOKED);
        f->a.auth = i % 2 ? CLIENT_SHA256 : CLIENT_MD5;
        client_set_rest(&f->a, "alice", HOUR_S + i, i < 2 ? "north" : "south");
        assert_int_equal(client_allocate(&f->a, NULL), 401);
        assert_int_equal(world_refused(f->w, REASON_REVOKED), before + 1);
    }
    /* Her neighbour does not notice, and who only knows her name learns nothing. */
    assert_int_equal(client_refresh(&f->b, 600, NULL), 200);
    client_set_rest(&f->a, "alice", HOUR_S, "east");
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(world_refused(f->w, REASON_REVOKED), 4);
}

static void test_revoked_secret_ends_what_it_has_signed(void **state)
{
    struct fixture *f = *state;
    client_set_rest(&f->a, "alice", HOUR_S, "south");
    client_set_rest(&f->b, "bob", HOUR_S, "north");
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    world_revoke(f->w, REVOKE_SECRET, REALM_REST, "old");
    assert_int_equal(world_allocations(f->w), 1);
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(world_refused(f->w, REASON_REVOKED), 1);
    assert_int_equal(client_refresh(&f->b, 0, NULL), 200);
    assert_int_equal(allocate_for(&f->a, HOUR_S, "north"), 200);
}

static void test_revocation_ends_or_is_taken_back(void **state)
{
    struct fixture *f = *state;
    world_revoke(f->w, REVOKE_USER, REALM_REST, "alice");
    expect_refusal(f, HOUR_S, "north", REASON_REVOKED);
    world_take_back(f->w, REVOKE_USER, REALM_REST, "alice");
    assert_int_equal(allocate_for(&f->a, HOUR_S, "north"), 200);
    world_revoke(f->w, REVOKE_USER, REALM_REST, "alice");
    expect_refusal(f, HOUR_S, "north", REASON_REVOKED);
    /* In another realm she is somebody else. */
    world_revoke(f->w, REVOKE_USER, REALM_REST, "bob");
    client_set_user(&f->b, "bob", "builder");
    assert_int_equal(client_allocate(&f->b, NULL), 200);
    world_jump(f->w, HOUR_S + 1);
    client_challenge(&f->a);
    assert_int_equal(allocate_for(&f->a, HOUR_S, "north"), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_expired_credentials_are_refused_by_name),
        SCENARIO(test_credential_ends_while_its_nonce_is_good),
        SCENARIO(test_credentials_over_the_ceiling_are_refused_by_name),
        SCENARIO(test_ceiling_follows_the_configuration),
        SCENARIO(test_time_is_named_only_to_who_has_a_secret),
        SCENARIO(test_retired_secret_makes_nothing_new),
        SCENARIO(test_allocation_of_an_old_credential_ends_at_its_age),
        SCENARIO(test_end_on_expiry_ends_it_with_the_credential),
        SCENARIO(test_revoked_user_is_out_at_once_and_stays_out),
        SCENARIO(test_revoked_secret_ends_what_it_has_signed),
        SCENARIO(test_revocation_ends_or_is_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * REST credentials: "<expiry>:<name>" and a password made of a shared secret. Their expiry and
 * ceiling are judged at Allocate; a live allocation goes on with the key that it has, unless
 * `end_on_expiry` says otherwise.
 */
#include "tests/scenario/fixture.h"

static void test_rest_credential_of_either_secret_allocates(void **state)
{
    struct fixture *f = *state;
    client_set_rest(&f->a, "alice", 3600, "north");
    fixture_allocate(&f->a);
    client_set_rest(&f->b, "bob", 3600, "south");
    f->b.auth = CLIENT_SHA256;
    fixture_allocate(&f->b);
}

static void test_rest_challenge_offers_no_userhash(void **state)
{
    struct fixture *f = *state;
    client_set_rest(&f->a, "alice", 3600, "north");
    assert_int_equal(client_challenge(&f->a), 401);
    /* Only "Password algorithms": 0x800000 is "gAAA". */
    assert_memory_equal(f->a.nonce, "obMatJos2gAAA", 13);
}

static void test_rest_credential_of_unknown_secret_is_401(void **state)
{
    struct fixture *f = *state;
    client_set_rest(&f->a, "alice", 3600, "east");
    assert_int_equal(client_allocate(&f->a, NULL), 401);
}

static void test_rest_credential_expired_is_401(void **state)
{
    struct fixture *f = *state;
    client_set_rest(&f->a, "alice", -1, "north");
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(world_refused(f->w, REASON_CREDENTIAL_EXPIRED), 1);
}

static void test_rest_credential_over_the_ceiling_is_401(void **state)
{
    struct fixture *f = *state;
    client_set_rest(&f->a, "alice", 48 * 3600 + 60, "north");
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(world_refused(f->w, REASON_CREDENTIAL_LIFETIME), 1);
}

static void test_rest_names_without_an_expiry_are_401(void **state)
{
    struct fixture *f = *state;
    const char *names[] = {"alice", ":alice", "12x:alice", "-5:alice", "99999999999999999999:alice",
        " 1900000000:alice"};
    f->a.realm_id = REALM_REST;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char password[AUTH_REST_PASSWORD_MAX + 1];
        assert_int_equal(auth_rest_password(f->w->crypto, AUTH_REST_SHA1, slice_of_string("north"),
                             slice_of_string(names[i]), password),
            0);
        client_set_user(&f->a, names[i], password);
        assert_int_equal(client_allocate(&f->a, NULL), 401);
    }
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_rest_live_allocation_outlives_its_credential(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    client_set_rest(&f->a, "alice", 300, "north");
    fixture_allocate(&f->a);
    world_advance(f->w, 400);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    /* A new allocation with it is refused. */
    struct client other = f->a;
    other.addr.port += 7;
    other.nonce_len = 0;
    assert_int_equal(client_allocate(&other, NULL), 401);
}

static void test_rest_end_on_expiry_refuses_refresh(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.end_on_expiry = true;
    fixture_restart(f);
    client_set_rest(&f->a, "alice", 300, "north");
    fixture_allocate(&f->a);
    world_advance(f->w, 200);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    world_advance(f->w, 200);
    const int code = client_refresh(&f->a, 600, NULL);
    assert_true(code >= 400);
    assert_int_equal(world_refused(f->w, REASON_CREDENTIAL_EXPIRED), 1);
    /* To end it is always allowed. */
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_rest_end_on_expiry_is_nothing_to_users_without_one(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.end_on_expiry = true;
    world_reload(f->w, &f->settings);
    fixture_allocate(&f->b);
    world_advance(f->w, 100);
    assert_int_equal(client_refresh(&f->b, 600, NULL), 200);
}

static void test_rest_end_of_an_allocation_says_whether_its_credential_ended_it(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.end_on_expiry = true;
    fixture_restart(f);
    client_set_rest(&f->a, "alice", 300, "north");
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    world_advance(f->w, 700);
    assert_int_equal(world_metric(f->w, METRIC_END_CREDENTIAL_ENDED), 1);
    assert_int_equal(world_metric(f->w, METRIC_END_EXPIRED), 1);
    f->settings.relay.end_on_expiry = false;
    fixture_restart(f);
    client_set_rest(&f->a, "alice", 300, "north");
    fixture_allocate(&f->a);
    world_advance(f->w, 700);
    assert_int_equal(world_metric(f->w, METRIC_END_CREDENTIAL_ENDED), 0);
    assert_int_equal(world_metric(f->w, METRIC_END_EXPIRED), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_rest_credential_of_either_secret_allocates),
        SCENARIO(test_rest_challenge_offers_no_userhash),
        SCENARIO(test_rest_credential_of_unknown_secret_is_401),
        SCENARIO(test_rest_credential_expired_is_401),
        SCENARIO(test_rest_credential_over_the_ceiling_is_401),
        SCENARIO(test_rest_names_without_an_expiry_are_401),
        SCENARIO(test_rest_live_allocation_outlives_its_credential),
        SCENARIO(test_rest_end_on_expiry_refuses_refresh),
        SCENARIO(test_rest_end_on_expiry_is_nothing_to_users_without_one),
        SCENARIO(test_rest_end_of_an_allocation_says_whether_its_credential_ended_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

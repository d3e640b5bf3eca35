/* Access tokens from the wire to the allocation: who is told of them, what they let in, how long it
 * lives, and how a newer one takes over (RFC 7635 sections 7 and 9). */
#include "tests/scenario/fixture.h"

#define PEER world_peer(1, 5000)

/* The key is learned from the realm; the client is challenged by it first. */
static void begin(struct client *c, uint32_t lifetime)
{
    client_set_token(c, WORLD_KID, lifetime);
    client_challenge(c);
}

static void test_access_tokens_challenge_names_the_server_where_they_are_accepted(void **state)
{
    struct fixture *f = *state;
    struct response r;
    struct request q;
    const uint32_t realms[] = {REALM_TOKENS, REALM_PLAIN};
    for (unsigned i = 0; i < 2; i++) {
        f->a.realm_id = realms[i];
        request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
        request_transport(&q, 17);
        request_close(&q);
        assert_int_equal(client_send(&f->a, &q, &r), 401);
        assert_true(slice_equal(
            r.third_party, i == 0 ? slice_of_string(WORLD_SERVER_NAME) : slice_of(NULL, 0)));
    }
}

static void test_access_tokens_allocation_of_all_methods_works(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = PEER;
    begin(&f->a, 3600);
    const struct addr relayed = fixture_allocate(&f->a);
    /* Without ACCESS-TOKEN: only Allocate and Refresh carry it. */
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    assert_true(fixture_from_peer(&f->a, &peer, &relayed, "media"));
    struct response r;
    assert_int_equal(client_refresh(&f->a, 600, &r), 200);
    assert_true(r.integrity);
    f->a.token.mac_key.bytes[3] ^= 1;
    assert_int_equal(client_permit(&f->a, &peer), 401);
    assert_int_equal(client_refresh(&f->a, 600, &r), 401);
}

static void test_access_tokens_wrong_ones_are_401_and_inert(void **state)
{
    struct fixture *f = *state;
    begin(&f->a, 3600);
    f->a.token.bytes[20] ^= 1;
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    f->a.token.bytes[20] ^= 1;
    f->a.token.mac_key.bytes[0] ^= 1;
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    f->a.token.mac_key.bytes[0] ^= 1;
    world_advance(f->w, 3605);
    client_challenge(&f->a);
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(world_refused(f->w, REASON_TOKEN_INVALID), 1);
    assert_int_equal(world_refused(f->w, REASON_WRONG_PASSWORD), 1);
    assert_int_equal(world_refused(f->w, REASON_CREDENTIAL_EXPIRED), 1);
}

static void test_access_tokens_where_none_are_accepted_are_420(void **state)
{
    struct fixture *f = *state;
    struct response r;
    begin(&f->a, 3600);
    f->a.realm_id = REALM_PLAIN;
    f->a.nonce_len = 0;
    assert_int_equal(client_allocate(&f->a, &r), 420);
    assert_int_equal(r.unknown_count, 1);
    assert_int_equal(r.unknown[0], STUN_ATTR_ACCESS_TOKEN);
    /* Beside the right password as well. */
    f->b.nonce_len = 0;
    client_challenge(&f->b);
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, &r, ATTR_UDP,
                         {STUN_ATTR_ACCESS_TOKEN, 64, f->a.token.bytes}),
        420);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(CLIENT_ASK(&f->b, STUN_BINDING, &r, {STUN_ATTR_ACCESS_TOKEN, 4, "abcd"}), 420);
}

static void test_access_tokens_allocation_ends_with_its_token(void **state)
{
    struct fixture *f = *state;
    struct response r;
    begin(&f->a, 300);
    assert_int_equal(client_allocate(&f->a, &r), 200);
    assert_int_equal(r.lifetime, 300); /* not the default of 600 */
    world_advance(f->w, 200);
    assert_int_equal(client_refresh(&f->a, 600, &r), 200);
    assert_int_equal(r.lifetime, 100);
    world_advance(f->w, 99);
    assert_int_equal(world_allocations(f->w), 1);
    world_advance(f->w, 2);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(world_metric(f->w, METRIC_END_CREDENTIAL_ENDED), 1);
}

static void test_access_tokens_refresh_with_a_newer_one_takes_over(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = PEER;
    struct response r;
    begin(&f->a, 300);
    assert_int_equal(client_allocate(&f->a, &r), 200);
    const struct client_token first = f->a.token;
    world_advance(f->w, 200);
    client_set_token(&f->a, WORLD_KID, 600);
    const struct client_token second = f->a.token;
    assert_int_equal(client_permit(&f->a, &peer), 401); /* not yet: no token comes with it */
    assert_int_equal(client_refresh(&f->a, 600, &r), 200);
    assert_int_equal(r.lifetime, 600);
    assert_true(r.integrity); /* "computed using the mac_key", the new one */
    assert_int_equal(client_permit(&f->a, &peer), 200);
    /* The older one comes late: it is good still, and changes nothing. */
    f->a.token = first;
    assert_int_equal(client_refresh(&f->a, 600, &r), 200);
    assert_int_equal(client_permit(&f->a, &peer), 401);
    f->a.token = second;
    assert_int_equal(client_permit(&f->a, &peer), 200);
    world_advance(f->w, 200);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_access_tokens_of_another_kid_take_over_as_well(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = PEER;
    struct response r;
    begin(&f->a, 300);
    fixture_allocate(&f->a);
    const struct client_token first = f->a.token;
    world_advance(f->w, 1);
    client_set_token(&f->a, WORLD_STORED_KID, 600);
    assert_int_equal(client_refresh(&f->a, 600, &r), 200);
    assert_true(r.integrity);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    const struct client_token second = f->a.token;
    client_set_user(&f->a, WORLD_KID, "");
    f->a.token = first; /* comes late */
    assert_int_equal(client_refresh(&f->a, 600, &r), 441);
    client_set_user(&f->a, WORLD_STORED_KID, "");
    f->a.token = second;
    world_advance(f->w, 400);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_access_tokens_and_a_user_of_the_kids_name_are_two(void **state)
{
    struct fixture *f = *state;
    f->a.realm_id = REALM_TOKENS;
    client_set_user(&f->a, WORLD_KID, WORLD_NAMESAKE_PASSWORD);
    client_challenge(&f->a);
    fixture_allocate(&f->a);
    client_set_token(&f->a, WORLD_KID, 600);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 441);
    f->a.token.len = 0;
    client_set_user(&f->a, WORLD_KID, WORLD_NAMESAKE_PASSWORD);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
}

static void test_access_tokens_of_another_kid_get_what_one_of_theirs_reserved(void **state)
{
    struct fixture *f = *state;
    struct response made;
    begin(&f->a, 300);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &made, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    /* Not who has a password, even under the name of the kid. */
    f->b.realm_id = REALM_TOKENS;
    client_set_user(&f->b, WORLD_KID, WORLD_NAMESAKE_PASSWORD);
    client_challenge(&f->b);
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(made.token)), 508);
    client_set_token(&f->b, WORLD_STORED_KID, 300);
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(made.token)), 200);
    assert_int_equal(world_allocations(f->w), 2);
}

static void test_access_tokens_no_longer_accepted_leave_live_allocations(void **state)
{
    struct fixture *f = *state;
    begin(&f->a, 3600);
    assert_int_equal(client_allocate(&f->a, NULL), 200);
    f->settings.no_tokens = true;
    world_reload(f->w, &f->settings);
    client_challenge(&f->a); /* what the realm offers has changed */
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    begin(&f->b, 3600);
    assert_int_equal(client_allocate(&f->b, NULL), 420);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_access_tokens_with_a_key_of_the_store_are_let_in(void **state)
{
    struct fixture *f = *state;
    client_set_token(&f->a, WORLD_STORED_KID, 300);
    client_challenge(&f->a);
    fixture_allocate(&f->a);
    client_set_token(&f->b, "key-3", 300);
    client_challenge(&f->b);
    assert_int_equal(client_allocate(&f->b, NULL), 401);
    assert_int_equal(world_allocations(f->w), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_access_tokens_challenge_names_the_server_where_they_are_accepted),
        SCENARIO(test_access_tokens_allocation_of_all_methods_works),
        SCENARIO(test_access_tokens_wrong_ones_are_401_and_inert),
        SCENARIO(test_access_tokens_where_none_are_accepted_are_420),
        SCENARIO(test_access_tokens_allocation_ends_with_its_token),
        SCENARIO(test_access_tokens_refresh_with_a_newer_one_takes_over),
        SCENARIO(test_access_tokens_of_another_kid_take_over_as_well),
        SCENARIO(test_access_tokens_and_a_user_of_the_kids_name_are_two),
        SCENARIO(test_access_tokens_of_another_kid_get_what_one_of_theirs_reserved),
        SCENARIO(test_access_tokens_no_longer_accepted_leave_live_allocations),
        SCENARIO(test_access_tokens_with_a_key_of_the_store_are_let_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * THREATS row 16: nothing changes before integrity is verified. Forged requests of every method,
 * first or in the middle of a call, are inert: not a permission, not a second of lifetime, not a
 * transaction remembered.
 */
#include "tests/scenario/fixture.h"

static const uint16_t methods[] = {
    STUN_ALLOCATE, STUN_REFRESH, STUN_CREATE_PERMISSION, STUN_CHANNEL_BIND};

/* A whole request, with every attribute that could do something, signed by the client's key with
 * `flip` in its last byte. */
static void forge(struct client *c, uint16_t method, bool sha256, uint8_t flip, struct request *q)
{
    const struct addr peer = world_peer(9, 5000);
    request_begin(q, c, STUN_REQUEST, method);
    request_transport(q, 17);
    stun_write_u32(&q->w, STUN_ATTR_LIFETIME, 0);
    request_channel(q, 0x4009);
    request_peer(q, &peer);
    request_credentials(q, c);
    request_integrity(q, c, sha256);
    request_close(q);
    q->bytes[q->len - 1] ^= flip;
}

static void test_forged_first_request_is_inert(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned sha256 = 0; sha256 < 2; sha256++) {
            struct request q;
            f->a.auth = sha256 ? CLIENT_SHA256 : CLIENT_MD5;
            assert_int_equal(client_challenge(&f->a), 401);
            forge(&f->a, methods[i], sha256, 1, &q);
            assert_int_equal(client_send(&f->a, &q, NULL), 401);
            assert_int_equal(world_allocations(f->w), 0);
            assert_int_equal(f->w->sockets.opened, 0);
            assert_int_equal(world_ports_claimed(f->w), 0);
        }
    }
    assert_int_equal(world_refused(f->w, REASON_WRONG_PASSWORD), 8);
}

static void test_forged_transaction_is_not_remembered(void **state)
{
    /* The true request with the forged one's transaction is no retransmission of it. */
    struct fixture *f = *state;
    struct request q;
    assert_int_equal(client_challenge(&f->a), 401);
    forge(&f->a, STUN_ALLOCATE, false, 1, &q);
    assert_int_equal(client_send(&f->a, &q, NULL), 401);
    q.bytes[q.len - 1] ^= 1;
    assert_int_equal(client_send(&f->a, &q, NULL), 200);
    /* And a forged one with the true one's transaction draws nothing of the allocation. */
    struct response r;
    q.bytes[q.len - 1] ^= 1;
    assert_int_equal(client_send(&f->a, &q, &r), 401);
    assert_int_equal(r.relayed_count, 0);
}

static void test_forged_requests_in_a_call_change_nothing(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000), forged = world_peer(9, 5000);
    f->a_relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    for (unsigned i = 0; i < 4; i++) {
        struct request q;
        for (unsigned bit = 0; bit < 8; bit++) {
            forge(&f->a, methods[i], bit % 2, (uint8_t)(1u << bit), &q);
            assert_int_equal(client_send(&f->a, &q, NULL), 401);
        }
        /* Signed by another user's key, in alice's name. */
        memcpy(f->a.password, "builder", 8);
        request_begin(&q, &f->a, STUN_REQUEST, methods[i]);
        stun_write_u32(&q.w, STUN_ATTR_LIFETIME, 0);
        request_finish(&q, &f->a);
        assert_int_equal(client_send(&f->a, &q, NULL), 401);
        memcpy(f->a.password, "wonderland", 11);
    }
    assert_int_equal(world_allocations(f->w), 1);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "out"));
    assert_true(fixture_from_peer(&f->a, &peer, &f->a_relayed, "in"));
    assert_false(fixture_to_peer(&f->a, &forged, "no"));
    assert_false(fixture_channel_to_peer(&f->a, 0x4009, &forged, "no"));
}

static void test_requests_without_integrity_in_a_call_change_nothing(void **state)
{
    struct fixture *f = *state;
    const struct addr forged = world_peer(9, 5000);
    fixture_allocate(&f->a);
    f->a.auth = CLIENT_NONE;
    for (unsigned i = 0; i < 4; i++) {
        struct request q;
        request_begin(&q, &f->a, STUN_REQUEST, methods[i]);
        request_transport(&q, 17);
        stun_write_u32(&q.w, STUN_ATTR_LIFETIME, 0);
        request_channel(&q, 0x4009);
        request_peer(&q, &forged);
        request_close(&q);
        assert_int_equal(client_send(&f->a, &q, NULL), 401);
    }
    assert_int_equal(world_allocations(f->w), 1);
    assert_false(fixture_to_peer(&f->a, &forged, "no"));
}

static void test_forged_refreshes_do_not_keep_alive(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    struct client forger = f->a;
    client_set_user(&forger, "alice", "not the password");
    for (unsigned i = 0; i < 3; i++) {
        world_advance(f->w, 99);
        assert_int_equal(client_refresh(&forger, 3600, NULL), 401);
        assert_int_equal(client_permit(&forger, &peer), 401);
        assert_int_equal(client_bind(&forger, 0x4000, &peer), 401);
    }
    world_advance(f->w, 5);
    assert_false(fixture_to_peer(&f->a, &peer, "expired"));
    world_advance(f->w, 300);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_a_user_of_its_own_cannot_touch_anothers_call(void **state)
{
    struct fixture *f = *state;
    const struct addr forged = world_peer(9, 5000);
    fixture_allocate(&f->a);
    client_set_user(&f->a, "bob", "builder");
    assert_int_equal(client_refresh(&f->a, 0, NULL), 441);
    assert_int_equal(client_permit(&f->a, &forged), 441);
    assert_int_equal(client_bind(&f->a, 0x4009, &forged), 441);
    assert_int_equal(client_allocate(&f->a, NULL), 437);
    assert_int_equal(world_allocations(f->w), 1);
    assert_false(fixture_to_peer(&f->a, &forged, "no"));
}

static void test_forged_claim_does_not_use_a_token_up(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    struct client second;
    client_init(&second, f->w, 9);
    client_set_user(&second, "alice", "not the password");
    assert_int_equal(CLIENT_ASK(&second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(r.token)), 401);
    client_set_user(&second, "alice", "wonderland");
    assert_int_equal(CLIENT_ASK(&second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(r.token)), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_forged_first_request_is_inert),
        SCENARIO(test_forged_transaction_is_not_remembered),
        SCENARIO(test_forged_requests_in_a_call_change_nothing),
        SCENARIO(test_requests_without_integrity_in_a_call_change_nothing),
        SCENARIO(test_forged_refreshes_do_not_keep_alive),
        SCENARIO(test_a_user_of_its_own_cannot_touch_anothers_call),
        SCENARIO(test_forged_claim_does_not_use_a_token_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

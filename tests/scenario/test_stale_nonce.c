/*
 * Nonces (RFC 8489 section 9.2.4; THREATS row 17): stale ones and foreign ones draw 438 with a new
 * one, whoever asks and whatever the password; what lives goes on with the new nonce.
 */
#include "tests/scenario/fixture.h"

static void test_nonce_too_old_is_438_with_a_new_one(void **state)
{
    struct fixture *f = *state;
    struct response r;
    fixture_allocate(&f->a);
    world_advance(f->w, 590);
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 200);
    world_advance(f->w, 20);
    const uint64_t before = world_refused(f->w, REASON_STALE_NONCE);
    assert_int_equal(client_refresh(&f->a, 600, &r), 438);
    assert_true(r.challenged && r.has_algorithms);
    assert_false(stun_has(&r.msg, STUN_ATTR_USERNAME) || stun_has(&r.msg, STUN_ATTR_USERHASH));
    assert_int_equal(world_refused(f->w, REASON_STALE_NONCE), before + 1);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
}

static void test_nonce_too_old_with_wrong_password_is_438_too(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    world_advance(f->w, 700);
    client_set_user(&f->a, "alice", "wrong");
    assert_int_equal(client_allocate(&f->a, NULL), 438);
    assert_int_equal(client_allocate(&f->a, NULL), 401);
}

static void test_nonce_of_another_port_is_438(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    f->a.addr.port++;
    assert_int_equal(client_allocate(&f->a, NULL), 438);
    assert_int_equal(world_refused(f->w, REASON_FOREIGN_NONCE), 1);
    assert_int_equal(client_allocate(&f->a, NULL), 200);
}

static void test_nonce_of_another_address_is_438(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    f->a.addr.ip[3]++;
    assert_int_equal(client_allocate(&f->a, NULL), 438);
    assert_int_equal(client_allocate(&f->a, NULL), 200);
}

static void test_nonce_of_another_realm_is_438(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    uint8_t nonce[32];
    memcpy(nonce, f->a.nonce, sizeof(nonce));
    f->a.realm_id = REALM_STORED;
    client_set_user(&f->a, "carol", "chorus");
    assert_int_equal(client_challenge(&f->a), 401);
    memcpy(f->a.nonce, nonce, sizeof(nonce));
    assert_int_equal(client_allocate(&f->a, NULL), 438);
}

static void test_nonce_with_any_byte_changed_is_438(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    uint8_t nonce[32];
    memcpy(nonce, f->a.nonce, sizeof(nonce));
    for (size_t i = 0; i < sizeof(nonce); i++) {
        memcpy(f->a.nonce, nonce, sizeof(nonce));
        f->a.nonce[i] = nonce[i] == 'A' ? 'B' : 'A';
        assert_int_equal(client_allocate(&f->a, NULL), 438);
    }
    for (size_t len = 0; len < sizeof(nonce); len++) {
        memcpy(f->a.nonce, nonce, sizeof(nonce));
        f->a.nonce_len = len;
        struct request q;
        request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
        request_transport(&q, 17);
        request_finish(&q, &f->a);
        assert_int_equal(client_send(&f->a, &q, NULL), 438);
    }
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_nonce_of_another_worker_is_good(void **state)
{
    struct fixture *f = *state;
    f->settings.workers = 2;
    fixture_restart(f);
    assert_int_equal(client_challenge(&f->a), 401);
    f->a.worker = 0;
    assert_int_equal(client_allocate(&f->a, NULL), 200);
}

static void test_nonces_of_two_sources_differ(void **state)
{
    /* "The server MUST NOT choose the same NONCE for two requests unless they have the same source
     * IP address and port." */
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    f->b.addr = f->a.addr;
    f->b.addr.port++;
    assert_int_equal(client_challenge(&f->b), 401);
    assert_memory_not_equal(f->a.nonce, f->b.nonce, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_nonce_too_old_is_438_with_a_new_one),
        SCENARIO(test_nonce_too_old_with_wrong_password_is_438_too),
        SCENARIO(test_nonce_of_another_port_is_438),
        SCENARIO(test_nonce_of_another_address_is_438),
        SCENARIO(test_nonce_of_another_realm_is_438),
        SCENARIO(test_nonce_with_any_byte_changed_is_438),
        SCENARIO(test_nonce_of_another_worker_is_good),
        SCENARIO(test_nonces_of_two_sources_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

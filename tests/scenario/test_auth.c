/*
 * The long-term credential mechanism (RFC 8489 section 9.2) over the wire: challenge, success with
 * every kind of client, and each refusal. The stateless nonce is judged first; 438 may therefore
 * come before 401.
 */
#include "tests/scenario/fixture.h"

static void test_auth_request_without_integrity_is_challenged(void **state)
{
    struct fixture *f = *state;
    struct request q;
    struct response r;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    request_close(&q);
    assert_int_equal(client_send(&f->a, &q, &r), 401);
    assert_true(r.challenged);
    assert_false(r.integrity);
    assert_true(r.has_algorithms);
    assert_int_equal(f->a.realm_len, strlen("example.org"));
    assert_memory_equal(f->a.realm, "example.org", f->a.realm_len);
    /* "obMatJos2" and both feature bits: 0xc00000 is "wAAA" in base64. */
    assert_memory_equal(f->a.nonce, "obMatJos2wAAA", 13);
    assert_int_equal(f->a.nonce_len, 32);
    assert_int_equal(world_refused(f->w, REASON_NO_INTEGRITY), 1);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_auth_every_method_without_integrity_is_challenged(void **state)
{
    struct fixture *f = *state;
    const uint16_t methods[] = {
        STUN_ALLOCATE, STUN_REFRESH, STUN_CREATE_PERMISSION, STUN_CHANNEL_BIND};
    for (unsigned i = 0; i < 4; i++) {
        struct request q;
        request_begin(&q, &f->a, STUN_REQUEST, methods[i]);
        request_close(&q);
        assert_int_equal(client_send(&f->a, &q, NULL), 401);
    }
}

static void test_auth_md5_succeeds_and_is_signed_with_sha1(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(client_allocate(&f->a, &r), 200);
    assert_true(r.integrity);
    assert_false(r.sha256);
    assert_false(r.challenged);
}

static void test_auth_sha256_succeeds_and_is_signed_with_sha256(void **state)
{
    struct fixture *f = *state;
    struct response r;
    f->a.auth = CLIENT_SHA256;
    assert_int_equal(client_allocate(&f->a, &r), 200);
    assert_true(r.integrity && r.sha256);
    assert_int_equal(client_refresh(&f->a, 600, &r), 200);
    assert_true(r.integrity && r.sha256);
    assert_int_equal(client_refresh(&f->a, 0, &r), 200);
    assert_int_equal(client_refresh(&f->a, 0, &r), 437);
    assert_true(r.integrity && r.sha256);
}

static void test_auth_md5_named_as_algorithm_is_signed_with_sha256(void **state)
{
    /* "MUST include the MESSAGE-INTEGRITY-SHA256 attribute …, unless the request was processed as
     * though PASSWORD-ALGORITHM was MD5 (because the request contained neither)": here it contains
     * both. */
    struct fixture *f = *state;
    struct response r;
    f->a.auth = CLIENT_MD5_LISTED;
    assert_int_equal(client_allocate(&f->a, &r), 200);
    assert_true(r.integrity && r.sha256);
}

static void test_auth_userhash_finds_the_user(void **state)
{
    struct fixture *f = *state;
    struct response r;
    f->a.userhash = true;
    f->a.auth = CLIENT_SHA256;
    assert_int_equal(client_allocate(&f->a, &r), 200);
    assert_true(r.sha256);
    /* The same user by name: no 441. */
    f->a.userhash = false;
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
}

static void test_auth_userhash_of_nobody_is_401(void **state)
{
    struct fixture *f = *state;
    f->a.userhash = true;
    client_set_user(&f->a, "nobody", "wonderland");
    assert_int_equal(client_allocate(&f->a, NULL), 401);
}

static void test_auth_fingerprint_of_request_is_in_every_answer(void **state)
{
    struct fixture *f = *state;
    struct response r;
    f->a.fingerprint = true;
    assert_int_equal(client_allocate(&f->a, &r), 200);
    assert_true(r.msg.has_fingerprint);
    client_set_user(&f->a, "alice", "wrong");
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_REFRESH);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, &r), 401);
    assert_true(r.msg.has_fingerprint);
}

static void test_auth_stored_key_needs_no_password(void **state)
{
    struct fixture *f = *state;
    struct response r;
    f->a.realm_id = REALM_STORED;
    client_set_user(&f->a, "carol", "chorus");
    assert_int_equal(client_challenge(&f->a), 401);
    /* SHA-256 only where every source has the clear password: no PASSWORD-ALGORITHMS, and its bit
     * is clear. */
    assert_int_equal(f->a.algorithms_len, 0);
    assert_memory_equal(f->a.nonce, "obMatJos2", 9);
    assert_true(f->a.nonce[9] == 'Q' || f->a.nonce[9] == 'A'); /* only USERHASH, or nothing */
    assert_int_equal(client_allocate(&f->a, &r), 200);
    assert_true(r.integrity && !r.sha256);
}

static void test_auth_wrong_password_is_401_with_a_challenge(void **state)
{
    struct fixture *f = *state;
    struct response r;
    client_set_user(&f->a, "alice", "looking glass");
    assert_int_equal(client_allocate(&f->a, &r), 401);
    assert_true(r.challenged && r.has_algorithms);
    assert_false(r.integrity);
    assert_int_equal(world_refused(f->w, REASON_WRONG_PASSWORD), 1);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_auth_unknown_user_is_401_with_a_challenge(void **state)
{
    struct fixture *f = *state;
    struct response r;
    client_set_user(&f->a, "mallory", "wonderland");
    assert_int_equal(client_allocate(&f->a, &r), 401);
    assert_true(r.challenged && r.has_algorithms);
    assert_int_equal(world_refused(f->w, REASON_UNKNOWN_USER), 1);
}

static void test_auth_flipped_bit_anywhere_makes_no_allocation(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    request_finish(&q, &f->a);
    for (size_t bit = 0; bit < q.len * 8; bit++) {
        q.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        client_send_raw(&f->a, q.bytes, q.len);
        q.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(world_allocations(f->w), 0);
        world_clear(f->w);
    }
    assert_int_equal(client_send(&f->a, &q, NULL), 200);
}

static void test_auth_other_realm_is_refused(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(client_challenge(&f->a), 401);
    memcpy(f->a.realm, "example.net", f->a.realm_len);
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, &r), 401);
    /* The challenge names the listener's realm again. */
    assert_memory_equal(f->a.realm, "example.org", f->a.realm_len);
}

static void test_auth_credentials_of_another_realm_are_refused(void **state)
{
    struct fixture *f = *state;
    f->a.realm_id = REALM_STORED;
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(world_allocations(f->w), 0);
}

static int integrity_without(struct fixture *f, uint16_t left_out, struct response *out)
{
    struct request q;
    struct client *c = &f->a;
    request_begin(&q, c, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    if (left_out != STUN_ATTR_USERNAME)
        stun_write_attr(&q.w, STUN_ATTR_USERNAME, slice_of_string(c->user));
    if (left_out != STUN_ATTR_REALM)
        stun_write_attr(&q.w, STUN_ATTR_REALM, slice_of(c->realm, c->realm_len));
    if (left_out != STUN_ATTR_NONCE)
        stun_write_attr(&q.w, STUN_ATTR_NONCE, slice_of(c->nonce, c->nonce_len));
    request_integrity(&q, c, false);
    request_close(&q);
    return client_send(c, &q, out);
}

static void test_auth_integrity_without_name_realm_or_nonce_is_400(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    const uint16_t types[] = {STUN_ATTR_USERNAME, STUN_ATTR_REALM, STUN_ATTR_NONCE};
    for (unsigned i = 0; i < 3; i++) {
        struct response r;
        assert_int_equal(integrity_without(f, types[i], &r), 400);
        /* "This response SHOULD NOT include a USERNAME, USERHASH, NONCE, or REALM attribute." */
        assert_false(r.challenged);
        assert_false(stun_has(&r.msg, STUN_ATTR_NONCE) || stun_has(&r.msg, STUN_ATTR_REALM));
        assert_false(r.integrity);
        assert_int_equal(r.len, 28);
    }
    assert_int_equal(world_refused(f->w, REASON_MISSING_CREDENTIAL_ATTRIBUTE), 3);
    assert_int_equal(integrity_without(f, 0, NULL), 200);
}

static void test_auth_another_user_on_an_allocation_is_441(void **state)
{
    struct fixture *f = *state;
    struct response r;
    fixture_allocate(&f->a);
    const struct addr peer = world_peer(1, 5000);
    client_set_user(&f->a, "bob", "builder");
    assert_int_equal(client_refresh(&f->a, 0, &r), 441);
    assert_true(r.integrity);
    assert_int_equal(client_permit(&f->a, &peer), 441);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 441);
    assert_int_equal(world_refused(f->w, REASON_WRONG_USER), 3);
    assert_int_equal(world_allocations(f->w), 1);
    client_set_user(&f->a, "alice", "wonderland");
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
}

static void test_auth_another_user_with_wrong_password_is_401(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    client_set_user(&f->a, "bob", "destroyer");
    assert_int_equal(client_refresh(&f->a, 0, NULL), 401);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_auth_unknown_attribute_behind_good_credentials_is_420_and_signed(void **state)
{
    struct fixture *f = *state;
    struct response r;
    struct request q;
    assert_int_equal(client_challenge(&f->a), 401);
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    for (uint16_t type = 0x7701; type <= 0x7705; type++)
        request_empty(&q, type);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, &r), 420);
    assert_true(r.integrity);
    /* "lists the unknown comprehension-required attributes" */
    assert_int_equal(r.unknown_count, 5);
    for (uint16_t i = 0; i < 5; i++)
        assert_int_equal(r.unknown[i], 0x7701 + i);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_auth_unknown_attribute_without_credentials_is_401_first(void **state)
{
    /* "Once the authentication checks are done, the STUN agent checks for unknown attributes" */
    struct fixture *f = *state;
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_empty(&q, 0x7777);
    request_close(&q);
    assert_int_equal(client_send(&f->a, &q, NULL), 401);
}

static void test_auth_longest_user_name_is_looked_up_and_longer_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    for (size_t len = STUN_USERNAME_MAX; len <= STUN_USERNAME_MAX + 1; len++) {
        memset(f->a.user, 'u', len);
        f->a.user[len] = '\0';
        const int code = client_allocate(&f->a, NULL);
        assert_true(code == 401 || (len > STUN_USERNAME_MAX && code == 400));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_auth_request_without_integrity_is_challenged),
        SCENARIO(test_auth_every_method_without_integrity_is_challenged),
        SCENARIO(test_auth_md5_succeeds_and_is_signed_with_sha1),
        SCENARIO(test_auth_sha256_succeeds_and_is_signed_with_sha256),
        SCENARIO(test_auth_md5_named_as_algorithm_is_signed_with_sha256),
        SCENARIO(test_auth_userhash_finds_the_user),
        SCENARIO(test_auth_userhash_of_nobody_is_401),
        SCENARIO(test_auth_fingerprint_of_request_is_in_every_answer),
        SCENARIO(test_auth_stored_key_needs_no_password),
        SCENARIO(test_auth_wrong_password_is_401_with_a_challenge),
        SCENARIO(test_auth_unknown_user_is_401_with_a_challenge),
        SCENARIO(test_auth_flipped_bit_anywhere_makes_no_allocation),
        SCENARIO(test_auth_other_realm_is_refused),
        SCENARIO(test_auth_credentials_of_another_realm_are_refused),
        SCENARIO(test_auth_integrity_without_name_realm_or_nonce_is_400),
        SCENARIO(test_auth_another_user_on_an_allocation_is_441),
        SCENARIO(test_auth_another_user_with_wrong_password_is_401),
        SCENARIO(test_auth_unknown_attribute_behind_good_credentials_is_420_and_signed),
        SCENARIO(test_auth_unknown_attribute_without_credentials_is_401_first),
        SCENARIO(test_auth_longest_user_name_is_looked_up_and_longer_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

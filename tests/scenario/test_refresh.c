/*
 * Refresh (RFC 8656 section 8): deletion, families, allocations that are not there, and what a
 * refusal leaves alone.
 */
#include "tests/scenario/fixture.h"

static int refresh_family(struct client *c, const char *family, struct response *r)
{
    return CLIENT_ASK(c, STUN_REFRESH, r, ATTR_LIFETIME("\0\0\x02\x58"),
        {STUN_ATTR_REQUESTED_ADDRESS_FAMILY, 4, family});
}

static void test_refresh_zero_deletes_the_allocation(void **state)
{
    struct fixture *f = *state;
    struct response r;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    assert_int_equal(client_refresh(&f->a, 0, &r), 200);
    assert_true(r.integrity && r.has_lifetime);
    assert_int_equal(r.lifetime, 0);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(world_sockets_open(f->w), 0);
    assert_int_equal(world_metric(f->w, METRIC_ALLOCATIONS_DELETED), 1);
    assert_int_equal(world_metric(f->w, METRIC_END_DELETED), 1);
    assert_false(fixture_channel_to_peer(&f->a, 0x4000, &peer, "gone"));
    assert_false(world_from_peer(f->w, &peer, &relayed, slice_of_string("gone"), 0));
}

static void test_refresh_zero_retransmitted_is_437(void **state)
{
    /* "A retransmitted Refresh request with a zero "desired lifetime" will cause a 437" */
    struct fixture *f = *state;
    struct request q;
    fixture_allocate(&f->a);
    request_begin(&q, &f->a, STUN_REQUEST, STUN_REFRESH);
    stun_write_u32(&q.w, STUN_ATTR_LIFETIME, 0);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, NULL), 200);
    assert_int_equal(client_send(&f->a, &q, NULL), 437);
}

static void test_refresh_retransmitted_is_answered_the_same(void **state)
{
    struct fixture *f = *state;
    struct request q;
    struct response first, second;
    fixture_allocate(&f->a);
    request_begin(&q, &f->a, STUN_REQUEST, STUN_REFRESH);
    stun_write_u32(&q.w, STUN_ATTR_LIFETIME, 1000);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, &first), 200);
    assert_int_equal(client_send(&f->a, &q, &second), 200);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.bytes, second.bytes, first.len);
}

static void test_refresh_without_allocation_is_437_and_signed(void **state)
{
    struct fixture *f = *state;
    struct response r;
    const struct addr peer = world_peer(1, 5000);
    assert_int_equal(client_challenge(&f->a), 401);
    assert_int_equal(client_refresh(&f->a, 600, &r), 437);
    assert_true(r.integrity);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 437);
    assert_int_equal(client_permit(&f->a, &peer), 437);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 437);
    assert_int_equal(world_refused(f->w, REASON_NO_ALLOCATION), 4);
}

static void test_refresh_from_another_port_is_437(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    struct client moved = f->a;
    moved.addr.port++;
    assert_int_equal(client_refresh(&moved, 0, NULL), 438);
    assert_int_equal(client_refresh(&moved, 0, NULL), 437);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_refresh_of_the_allocations_family_succeeds(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    assert_int_equal(refresh_family(&f->a, "\x01\0\0", NULL), 200);
}

static void test_refresh_of_another_family_is_443(void **state)
{
    /* "the attribute value does not match the address family of the allocation, the server MUST
     * reply with a 443" */
    struct fixture *f = *state;
    struct response r;
    fixture_allocate(&f->a);
    assert_int_equal(refresh_family(&f->a, "\x02\0\0", &r), 443);
    assert_true(r.integrity);
    assert_int_equal(refresh_family(&f->a, "\x03\0\0", NULL), 443);
    assert_int_equal(world_refused(f->w, REASON_FAMILY_MISMATCH), 2);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_refresh_of_another_family_with_zero_deletes_nothing(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_REFRESH, NULL, ATTR_LIFETIME("\0\0\0"), ATTR_FAMILY6), 443);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_refresh_refused_leaves_the_lifetime_alone(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    world_advance(f->w, 500);
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_REFRESH, NULL, {STUN_ATTR_LIFETIME, 3, "\0\0\x0e"}), 400);
    assert_int_equal(refresh_family(&f->a, "\x02\0\0", NULL), 443);
    client_set_user(&f->a, "bob", "builder");
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 441);
    world_advance(f->w, 102);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_refresh_does_not_refresh_permissions(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    world_advance(f->w, 200);
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 200);
    world_advance(f->w, 102);
    assert_false(fixture_to_peer(&f->a, &peer, "expired"));
}

static void test_refresh_of_one_client_leaves_the_other_alone(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(client_refresh(&f->b, 600, NULL), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_refresh_zero_deletes_the_allocation),
        SCENARIO(test_refresh_zero_retransmitted_is_437),
        SCENARIO(test_refresh_retransmitted_is_answered_the_same),
        SCENARIO(test_refresh_without_allocation_is_437_and_signed),
        SCENARIO(test_refresh_from_another_port_is_437),
        SCENARIO(test_refresh_of_the_allocations_family_succeeds),
        SCENARIO(test_refresh_of_another_family_is_443),
        SCENARIO(test_refresh_of_another_family_with_zero_deletes_nothing),
        SCENARIO(test_refresh_refused_leaves_the_lifetime_alone),
        SCENARIO(test_refresh_does_not_refresh_permissions),
        SCENARIO(test_refresh_of_one_client_leaves_the_other_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

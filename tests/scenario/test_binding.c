/*
 * Binding (RFC 8489 sections 6.3, 7, 14): what a stranger may ask without credentials, and how
 * little it draws.
 */
#include "tests/scenario/fixture.h"

static void test_binding_ipv4_answers_the_source_address(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(client_binding(&f->a, &r), 200);
    assert_true(addr_equal(&r.mapped, &f->a.addr));
    assert_true(stun_has(&r.msg, STUN_ATTR_XOR_MAPPED_ADDRESS));
    assert_false(stun_has(&r.msg, STUN_ATTR_MAPPED_ADDRESS));
    assert_false(r.has_software);
    assert_int_equal(r.len, 32);
}

static void test_binding_ipv6_answers_the_source_address(void **state)
{
    struct fixture *f = *state;
    struct response r;
    client_set_ipv6(&f->a, 9);
    assert_int_equal(client_binding(&f->a, &r), 200);
    assert_true(addr_equal(&r.mapped, &f->a.addr));
    assert_int_equal(r.len, 44);
}

static void test_binding_with_fingerprint_is_answered_with_fingerprint(void **state)
{
    struct fixture *f = *state;
    struct response r;
    f->a.fingerprint = true;
    assert_int_equal(client_binding(&f->a, &r), 200);
    assert_true(r.msg.has_fingerprint);
    assert_int_equal(r.len, 40);
    f->a.fingerprint = false;
    assert_int_equal(client_binding(&f->a, &r), 200);
    assert_false(r.msg.has_fingerprint);
}

static void test_binding_with_wrong_fingerprint_is_not_answered(void **state)
{
    struct fixture *f = *state;
    struct request r;
    struct response answer;
    request_begin(&r, &f->a, STUN_REQUEST, STUN_BINDING);
    stun_write_fingerprint(&r.w);
    request_close(&r);
    r.bytes[r.len - 1] ^= 1;
    assert_int_equal(client_send(&f->a, &r, &answer), 0);
    assert_int_equal(world_dropped(f->w, REASON_STUN_BAD_FINGERPRINT), 1);
}

static void test_binding_with_integrity_of_anyone_is_answered(void **state)
{
    /* "For the Binding method, no additional checking is required": credentials are
     * known-but-unexpected here. */
    struct fixture *f = *state;
    struct request r;
    request_begin(&r, &f->a, STUN_REQUEST, STUN_BINDING);
    stun_write_attr(&r.w, STUN_ATTR_USERNAME, slice_of_string("nobody"));
    request_integrity(&r, &f->a, false);
    request_close(&r);
    struct response answer;
    assert_int_equal(client_send(&f->a, &r, &answer), 200);
    assert_false(answer.integrity);
}

/* RFC 3489: no cookie, 128 bits of transaction id, MAPPED-ADDRESS. */
static void test_binding_classic_answers_mapped_address(void **state)
{
    struct fixture *f = *state;
    const uint8_t request[20] = {0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    client_send_raw(&f->a, request, sizeof(request));
    const struct sent *s = world_take_to_client(f->w, &f->a.addr);
    assert_non_null(s);
    struct addr mapped;
    assert_true(s->len >= 32 && s->len <= 44);
    assert_memory_equal(s->bytes, "\x01\x01", 2);
    assert_memory_equal(s->bytes + 4, request + 4, 16);
    /* The parser takes no response without the cookie: read it as the client of RFC 3489 does, by
     * its attribute. */
    assert_memory_equal(s->bytes + 20, "\x00\x01\x00\x08", 4);
    assert_true(stun_read_addr(slice_of(s->bytes + 24, 8), &mapped));
    assert_true(addr_equal(&mapped, &f->a.addr));
}

static void test_binding_without_cookie_and_not_classic_is_dropped(void **state)
{
    struct fixture *f = *state;
    uint8_t request[20] = {0, 3, 0, 0, 1, 2, 3, 4};
    client_send_raw(&f->a, request, sizeof(request));
    assert_null(world_take_to_client(f->w, &f->a.addr));
    assert_int_equal(world_dropped(f->w, REASON_STUN_NO_COOKIE), 1);
}

static void test_binding_indication_is_not_answered(void **state)
{
    struct fixture *f = *state;
    struct request r;
    request_begin(&r, &f->a, STUN_INDICATION, STUN_BINDING);
    request_close(&r);
    assert_int_equal(client_send(&f->a, &r, NULL), 0);
    assert_int_equal(f->w->replies, 0);
}

static int unknown(struct fixture *f, const uint16_t *types, unsigned count, struct response *out)
{
    struct request r;
    request_begin(&r, &f->a, STUN_REQUEST, STUN_BINDING);
    for (unsigned i = 0; i < count; i++)
        request_empty(&r, types[i]);
    request_close(&r);
    return client_send(&f->a, &r, out);
}

static void test_binding_with_unknown_required_attribute_is_420_and_names_it(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(unknown(f, (const uint16_t[]){0x7777}, 1, &r), 420);
    assert_int_equal(r.unknown_count, 1);
    assert_int_equal(r.unknown[0], 0x7777);
    assert_int_equal(unknown(f, (const uint16_t[]){0x7777, 0x0003}, 2, &r), 420);
    assert_int_equal(r.unknown_count, 2);
    assert_int_equal(r.unknown[0], 0x7777);
    assert_int_equal(r.unknown[1], 0x0003);
    assert_int_equal(r.len, 36);
}

static void test_binding_with_many_unknown_attributes_stays_small(void **state)
{
    struct fixture *f = *state;
    struct response r;
    const uint16_t types[] = {
        0x7701, 0x7702, 0x7703, 0x7704, 0x7705, 0x7706, 0x7707, 0x7708, 0x7709, 0x770a};
    assert_int_equal(unknown(f, types, 10, &r), 420);
    assert_true(r.unknown_count >= 1 && r.unknown_count <= 2);
    assert_int_equal(r.unknown[0], 0x7701);
    assert_true(r.len <= 36);
}

static void test_binding_with_unknown_optional_attribute_is_answered(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(unknown(f, (const uint16_t[]){0x8055, 0xc001, 0xffff}, 3, &r), 200);
}

static void test_binding_retransmitted_draws_the_same_answer(void **state)
{
    struct fixture *f = *state;
    struct request r;
    struct response first, second;
    request_begin(&r, &f->a, STUN_REQUEST, STUN_BINDING);
    request_close(&r);
    assert_int_equal(client_send(&f->a, &r, &first), 200);
    assert_int_equal(client_send(&f->a, &r, &second), 200);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.bytes, second.bytes, first.len);
}

static void test_binding_leaves_no_state(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_binding(&f->a, NULL), 200);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(world_metric(f->w, METRIC_REQUESTS_BINDING), 1);
    assert_int_equal(world_metric(f->w, METRIC_CONSUMED), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_binding_ipv4_answers_the_source_address),
        SCENARIO(test_binding_ipv6_answers_the_source_address),
        SCENARIO(test_binding_with_fingerprint_is_answered_with_fingerprint),
        SCENARIO(test_binding_with_wrong_fingerprint_is_not_answered),
        SCENARIO(test_binding_with_integrity_of_anyone_is_answered),
        SCENARIO(test_binding_classic_answers_mapped_address),
        SCENARIO(test_binding_without_cookie_and_not_classic_is_dropped),
        SCENARIO(test_binding_indication_is_not_answered),
        SCENARIO(test_binding_with_unknown_required_attribute_is_420_and_names_it),
        SCENARIO(test_binding_with_many_unknown_attributes_stays_small),
        SCENARIO(test_binding_with_unknown_optional_attribute_is_answered),
        SCENARIO(test_binding_retransmitted_draws_the_same_answer),
        SCENARIO(test_binding_leaves_no_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Every attribute of every request: missing, twice, of every wrong length, far too long, and in
 * every order, with the code that is due; and what a refusal leaves behind: nothing.
 */
#include "tests/scenario/fixture.h"

#define LENGTH_MAX 40
#define OVERSIZED  1000

struct attr_row {
    uint16_t method, type;
    const char *value;
    uint16_t len;
    bool required;
};

/* 45.45.0.1:5000 under XOR with the cookie. */
#define PEER "\x00\x01\x32\x9a\x0c\x3f\xa4\x43"

static const struct attr_row rows[] = {
    {STUN_ALLOCATE, STUN_ATTR_REQUESTED_TRANSPORT, "\x11\0\0", 4, true},
    {STUN_ALLOCATE, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, "\x01\0\0", 4, false},
    {STUN_ALLOCATE, STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY, "\x02\0\0", 4, false},
    {STUN_ALLOCATE, STUN_ATTR_EVEN_PORT, "\0", 1, false},
    {STUN_ALLOCATE, STUN_ATTR_LIFETIME, "\0\0\x02\x58", 4, false},
    {STUN_REFRESH, STUN_ATTR_LIFETIME, "\0\0\x02\x58", 4, false},
    {STUN_REFRESH, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, "\x01\0\0", 4, false},
    {STUN_CREATE_PERMISSION, STUN_ATTR_XOR_PEER_ADDRESS, PEER, 8, true},
    {STUN_CHANNEL_BIND, STUN_ATTR_CHANNEL_NUMBER, "\x40\0\0", 4, true},
    {STUN_CHANNEL_BIND, STUN_ATTR_XOR_PEER_ADDRESS, PEER, 8, true},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* The required attributes of the row's method but the row's own. */
static size_t others(const struct attr_row *row, struct raw_attr *out)
{
    size_t count = 0;
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].method == row->method && rows[i].required && rows[i].type != row->type)
            out[count++] = (struct raw_attr){rows[i].type, rows[i].len, rows[i].value};
    return count;
}

/* Sends the attributes under a fresh 5-tuple, with an allocation where the method needs one.
 * Returns the code. */
static int send_fresh(
    struct fixture *f, const struct attr_row *row, const struct raw_attr *attrs, size_t count)
{
    const uint32_t before = world_allocations(f->w);
    if (row->method != STUN_ALLOCATE)
        fixture_allocate(&f->a);
    const int code = client_ask(&f->a, row->method, attrs, count, NULL);
    if (code != 200 && row->method == STUN_ALLOCATE)
        assert_int_equal(world_allocations(f->w), before);
    if (code != 200) {
        const struct addr peer = world_peer(1, 5000);
        client_indicate(&f->a, &peer, "x", 1);
        client_channel_data(&f->a, 0x4000, "x", 1);
        assert_null(world_take_to_peer(f->w));
    }
    client_refresh(&f->a, 0, NULL);
    world_clear(f->w);
    return code;
}

static void expect(struct fixture *f, const struct attr_row *row, const struct raw_attr *attrs,
    size_t count, int code)
{
    const int got = send_fresh(f, row, attrs, count);
    if (got != code)
        fail_msg("method %u, attribute 0x%04x of %u bytes: %d, not %d", row->method, row->type,
            count > 0 ? attrs[count - 1].len : 0, got, code);
}

static void test_attribute_missing_is_400_where_it_is_required(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ROWS; i++) {
        struct raw_attr attrs[4];
        expect(f, &rows[i], attrs, others(&rows[i], attrs), rows[i].required ? 400 : 200);
    }
}

static void test_attribute_twice_counts_once(void **state)
{
    /* "only the first occurrence needs to be processed by a receiver, and any duplicates MAY be
     * ignored" */
    struct fixture *f = *state;
    for (size_t i = 0; i < ROWS; i++) {
        struct raw_attr attrs[6];
        size_t count = others(&rows[i], attrs);
        for (unsigned j = 0; j < 2; j++)
            attrs[count++] = (struct raw_attr){rows[i].type, rows[i].len, rows[i].value};
        expect(f, &rows[i], attrs, count, 200);
    }
}

static void test_attribute_of_wrong_length_is_400(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ROWS; i++) {
        struct raw_attr attrs[5];
        char value[LENGTH_MAX + 1] = {0};
        const size_t count = others(&rows[i], attrs);
        memcpy(value, rows[i].value, rows[i].len);
        for (uint16_t len = 0; len <= LENGTH_MAX; len++) {
            attrs[count] = (struct raw_attr){rows[i].type, len, value};
            expect(f, &rows[i], attrs, count + 1, len == rows[i].len ? 200 : 400);
        }
    }
}

static void test_attribute_oversized_is_400(void **state)
{
    struct fixture *f = *state;
    char value[OVERSIZED] = {0};
    for (size_t i = 0; i < ROWS; i++) {
        struct raw_attr attrs[5];
        const size_t count = others(&rows[i], attrs);
        memcpy(value, rows[i].value, rows[i].len);
        attrs[count] = (struct raw_attr){rows[i].type, OVERSIZED, value};
        expect(f, &rows[i], attrs, count + 1, 400);
    }
}

static void test_attribute_of_wrong_length_behind_a_right_one(void **state)
{
    /* Only XOR-PEER-ADDRESS of CreatePermission may be there more than once: "if any of these
     * attributes are invalid". */
    struct fixture *f = *state;
    for (size_t i = 0; i < ROWS; i++) {
        struct raw_attr attrs[6];
        size_t count = others(&rows[i], attrs);
        attrs[count++] = (struct raw_attr){rows[i].type, rows[i].len, rows[i].value};
        attrs[count++] = (struct raw_attr){rows[i].type, 3, "\1\1\1"};
        expect(f, &rows[i], attrs, count, rows[i].method == STUN_CREATE_PERMISSION ? 400 : 200);
    }
}

static void test_token_of_wrong_length_is_400(void **state)
{
    struct fixture *f = *state;
    const char value[LENGTH_MAX] = {0};
    for (uint16_t len = 0; len < LENGTH_MAX; len++) {
        const struct raw_attr attrs[] = {ATTR_UDP, {STUN_ATTR_RESERVATION_TOKEN, len, value}};
        assert_int_equal(client_ask(&f->a, STUN_ALLOCATE, attrs, 2, NULL), len == 8 ? 508 : 400);
    }
}

static void test_peer_address_of_unknown_family_is_400(void **state)
{
    struct fixture *f = *state;
    char value[20] = PEER;
    fixture_allocate(&f->a);
    for (unsigned family = 0; family < 256; family++) {
        for (uint16_t len = 8; len <= 20; len += 12) {
            value[1] = (char)family;
            const bool right = (family == 1 && len == 8) || (family == 2 && len == 20);
            const int code = CLIENT_ASK(
                &f->a, STUN_CREATE_PERMISSION, NULL, {STUN_ATTR_XOR_PEER_ADDRESS, len, value});
            assert_int_equal(code, !right ? 400 : family == 1 ? 200 : 443);
        }
        world_clear(f->w);
    }
}

static void test_attributes_in_any_order_mean_the_same(void **state)
{
    struct fixture *f = *state;
    const struct raw_attr attrs[5] = {ATTR_UDP, ATTR_FAMILY4, ATTR_EVEN,
        ATTR_LIFETIME("\0\0\x03\xe8"), {STUN_ATTR_DONT_FRAGMENT, 0, ""}};
    for (unsigned order = 0; order < 120; order++) {
        struct raw_attr left[5], turned[5];
        memcpy(left, attrs, sizeof(left));
        unsigned rest = order;
        for (unsigned i = 0; i < 5; i++) {
            const unsigned pick = rest % (5 - i);
            rest /= 5 - i;
            turned[i] = left[pick];
            memmove(&left[pick], &left[pick + 1], (4 - i - pick) * sizeof(left[0]));
        }
        struct response r;
        assert_int_equal(client_ask(&f->a, STUN_ALLOCATE, turned, 5, &r), 200);
        assert_int_equal(r.relayed[0].port % 2, 0);
        assert_int_equal(r.lifetime, 1000);
        assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
        world_clear(f->w);
    }
}

/* Credentials behind and between the method's attributes, and before them. */
static void test_credentials_in_any_place_are_found(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    for (unsigned place = 0; place < 3; place++) {
        struct request q;
        request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
        for (unsigned i = 0; i < 3; i++) {
            if (i == place)
                request_credentials(&q, &f->a);
            else if (i == (place + 1) % 3)
                request_transport(&q, 17);
            else
                request_empty(&q, STUN_ATTR_DONT_FRAGMENT);
        }
        request_integrity(&q, &f->a, false);
        request_close(&q);
        assert_int_equal(client_send(&f->a, &q, NULL), 200);
        assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    }
}

static void test_request_of_all_attributes_there_are_is_answered(void **state)
{
    /* What a request does not expect is ignored, whatever is in it; too many attributes are no
     * message. */
    struct fixture *f = *state;
    for (unsigned count = 1; count < 120; count += 7) {
        struct request q;
        f->a.nonce_len ? (void)0 : (void)client_challenge(&f->a);
        request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
        request_transport(&q, 17);
        for (unsigned i = 0; i < count; i++)
            stun_write_attr(&q.w, (uint16_t)(0x8100 + i), slice_of("padding!", i % 9));
        request_finish(&q, &f->a);
        const int code = client_send(&f->a, &q, NULL);
        assert_true(code == 200 || (code == 0 && count > 32));
        client_refresh(&f->a, 0, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_attribute_missing_is_400_where_it_is_required),
        SCENARIO(test_attribute_twice_counts_once),
        SCENARIO(test_attribute_of_wrong_length_is_400),
        SCENARIO(test_attribute_oversized_is_400),
        SCENARIO(test_attribute_of_wrong_length_behind_a_right_one),
        SCENARIO(test_token_of_wrong_length_is_400),
        SCENARIO(test_peer_address_of_unknown_family_is_400),
        SCENARIO(test_attributes_in_any_order_mean_the_same),
        SCENARIO(test_credentials_in_any_place_are_found),
        SCENARIO(test_request_of_all_attributes_there_are_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * THREATS row 10: misaligned and short reads, and lengths that do not fit. Requests of every method
 * are cut at every byte, and every length field is set to every value that could hurt; the world
 * hands them in as copies of exactly their length, odd-aligned every other time, so that the
 * sanitizers see what goes beyond.
 */
#include "tests/scenario/fixture.h"

static const uint16_t methods[] = {STUN_BINDING, STUN_ALLOCATE, STUN_REFRESH,
    STUN_CREATE_PERMISSION, STUN_CHANNEL_BIND, STUN_SEND};
#define METHODS (sizeof(methods) / sizeof(methods[0]))

/* A valid message of the method with every attribute that it reads. */
static void build(struct fixture *f, uint16_t method, struct request *q)
{
    const struct addr peer = world_peer(1, 5000), peer6 = world_peer6(1, 5000);
    request_begin(q, &f->a, method == STUN_SEND ? STUN_INDICATION : STUN_REQUEST, method);
    if (method == STUN_ALLOCATE) {
        request_transport(q, 17);
        request_even_port(q, true);
    }
    if (method == STUN_CHANNEL_BIND)
        request_channel(q, 0x4000);
    if (method >= STUN_SEND)
        request_peer(q, &peer);
    if (method == STUN_CREATE_PERMISSION)
        request_peer(q, &peer6);
    if (method == STUN_SEND)
        stun_write_attr(&q->w, STUN_ATTR_DATA, slice_of_string("seven b"));
    else
        stun_write_u32(&q->w, STUN_ATTR_LIFETIME, 777);
    if (method != STUN_BINDING && method != STUN_SEND) {
        request_credentials(q, &f->a);
        request_integrity(q, &f->a, true);
    }
    request_close(q);
}

static void prepare(struct fixture *f)
{
    f->a.auth = CLIENT_SHA256;
    fixture_allocate(&f->a);
    f->w->forget = true;
}

static void still_works(struct fixture *f)
{
    f->w->forget = false;
    fixture_allocate(&f->b);
    world_check(f->w);
}

static void test_messages_cut_anywhere_are_dropped(void **state)
{
    struct fixture *f = *state;
    prepare(f);
    for (size_t i = 0; i < METHODS; i++) {
        struct request q;
        build(f, methods[i], &q);
        const uint64_t before = f->w->replies;
        for (size_t len = 0; len < q.len; len++) {
            client_send_raw(&f->a, q.bytes, len);
            client_send_raw(&f->a, q.bytes, len); /* once aligned, once not */
        }
        /* The length in the header says what is missing; without a header there is no STUN. */
        assert_int_equal(f->w->replies, before);
    }
    assert_true(world_dropped(f->w, REASON_STUN_TRUNCATED) > 100);
    still_works(f);
}

static void test_messages_with_bytes_behind_them_are_dropped(void **state)
{
    struct fixture *f = *state;
    prepare(f);
    for (size_t i = 0; i < METHODS; i++) {
        struct request q;
        build(f, methods[i], &q);
        const uint64_t before = f->w->replies, relayed = f->w->media_to_peer;
        for (size_t more = 1; more <= 64; more++) {
            uint8_t copy[REQUEST_MAX] = {0};
            memcpy(copy, q.bytes, q.len);
            client_send_raw(&f->a, copy, q.len + more);
        }
        assert_int_equal(f->w->replies, before);
        assert_int_equal(f->w->media_to_peer, relayed);
    }
    assert_int_equal(world_dropped(f->w, REASON_STUN_BAD_LENGTH), METHODS * 64);
    still_works(f);
}

static void test_messages_cut_at_attributes_with_an_honest_header_are_answered_or_dropped(
    void **state)
{
    struct fixture *f = *state;
    prepare(f);
    for (size_t i = 0; i < METHODS; i++) {
        struct request q;
        build(f, methods[i], &q);
        for (size_t len = STUN_HEADER_LEN; len < q.len; len++) {
            uint8_t copy[REQUEST_MAX];
            memcpy(copy, q.bytes, len);
            copy[2] = (uint8_t)((len - STUN_HEADER_LEN) >> 8);
            copy[3] = (uint8_t)(len - STUN_HEADER_LEN);
            client_send_raw(&f->a, copy, len);
        }
    }
    assert_true(world_dropped(f->w, REASON_STUN_BAD_LENGTH) > 100);
    assert_true(world_dropped(f->w, REASON_STUN_BAD_ATTRIBUTE) > 10);
    still_works(f);
}

static void test_lengths_that_lie_are_dropped_or_refused(void **state)
{
    struct fixture *f = *state;
    static const uint16_t lies[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 19, 20, 21, 31, 32, 33,
        36, 40, 63, 64, 127, 128, 255, 256, 511, 512, 763, 764, 1023, 1024, 0x7fff, 0x8000, 0xfff0,
        0xfffb, 0xfffc, 0xfffd, 0xfffe, 0xffff};
    prepare(f);
    for (size_t i = 0; i < METHODS; i++) {
        struct request q;
        build(f, methods[i], &q);
        for (size_t at = 2; at + 1 < q.len; at++) {
            for (size_t j = 0; j < sizeof(lies) / sizeof(lies[0]); j++) {
                uint8_t copy[REQUEST_MAX];
                memcpy(copy, q.bytes, q.len);
                copy[at] = (uint8_t)(lies[j] >> 8);
                copy[at + 1] = (uint8_t)lies[j];
                client_send_raw(&f->a, copy, q.len);
            }
        }
    }
    assert_true(world_dropped(f->w, REASON_STUN_BAD_ATTRIBUTE) > 1000);
    /* Some of these are requests still, Refreshes among them; alice's allocation may not have
     * become another's. */
    assert_true(world_allocations(f->w) <= 1);
    still_works(f);
}

static void test_channel_data_lengths_that_lie_are_dropped(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    prepare(f);
    f->w->forget = false;
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    for (unsigned len = 0; len <= 0xffff; len += 5) {
        const uint8_t message[12] = {
            0x40, 0, (uint8_t)(len >> 8), (uint8_t)len, 1, 2, 3, 4, 5, 6, 7, 8};
        client_send_raw(&f->a, message, sizeof(message));
        const struct sent *s = world_take_to_peer(f->w);
        assert_int_equal(s != NULL, len <= 8);
        if (s)
            assert_int_equal(s->len, len);
    }
    still_works(f);
}

static void test_integrity_of_impossible_length_is_refused_before_it_is_read(void **state)
{
    struct fixture *f = *state;
    prepare(f);
    f->w->forget = false;
    const uint8_t value[80] = {0};
    for (uint16_t len = 0; len <= 80; len++) {
        const uint16_t types[] = {STUN_ATTR_MESSAGE_INTEGRITY, STUN_ATTR_MESSAGE_INTEGRITY_SHA256};
        for (unsigned i = 0; i < 2; i++) {
            struct request q;
            request_begin(&q, &f->a, STUN_REQUEST, STUN_REFRESH);
            request_credentials(&q, &f->a);
            stun_write_attr(&q.w, types[i], slice_of(value, len));
            request_close(&q);
            const int code = client_send(&f->a, &q, NULL);
            assert_true(code == 0 || code == 400 || code == 401);
            assert_int_equal(world_allocations(f->w), 1);
        }
    }
}

static void test_attributes_as_long_as_a_datagram_are_survived(void **state)
{
    struct fixture *f = *state;
    static uint8_t message[65528];
    prepare(f);
    static const uint16_t types[] = {STUN_ATTR_USERNAME, STUN_ATTR_REALM, STUN_ATTR_NONCE,
        STUN_ATTR_PASSWORD_ALGORITHMS, STUN_ATTR_USERHASH, STUN_ATTR_XOR_PEER_ADDRESS,
        STUN_ATTR_DATA, STUN_ATTR_SOFTWARE, 0x7777};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        for (size_t m = 0; m < METHODS; m++) {
            struct stun_writer w;
            const uint8_t transaction[STUN_TRANSACTION_LEN] = {
                0x21, 0x12, 0xa4, 0x42, (uint8_t)i, (uint8_t)m};
            const enum stun_class class = methods[m] == STUN_SEND ? STUN_INDICATION : STUN_REQUEST;
            stun_write_begin(&w, message, sizeof(message), class, methods[m], transaction);
            const struct slice rest = slice_of(message + 24, sizeof(message) - 24);
            writer_u16(&w.w, types[i]);
            writer_u16(&w.w, (uint16_t)rest.len);
            writer_zeros(&w.w, rest.len);
            const size_t len = stun_write_end(&w);
            assert_int_equal(len, sizeof(message));
            client_send_raw(&f->a, message, len);
        }
    }
    still_works(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_messages_cut_anywhere_are_dropped),
        SCENARIO(test_messages_with_bytes_behind_them_are_dropped),
        SCENARIO(test_messages_cut_at_attributes_with_an_honest_header_are_answered_or_dropped),
        SCENARIO(test_lengths_that_lie_are_dropped_or_refused),
        SCENARIO(test_channel_data_lengths_that_lie_are_dropped),
        SCENARIO(test_integrity_of_impossible_length_is_refused_before_it_is_read),
        SCENARIO(test_attributes_as_long_as_a_datagram_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

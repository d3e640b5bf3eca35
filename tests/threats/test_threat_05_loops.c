/*
 * THREATS row 5: only well-formed requests are answered, never a response, an indication or an
 * error, and never a source of ours. Two relays that are set on each other by forged sources fall
 * silent within two datagrams.
 */
#include "tests/scenario/fixture.h"

#define NOISE 1000000u

/* One of many kinds of datagrams that are no request. Returns its length. */
static size_t make_noise(struct world *w, uint8_t out[64])
{
    const uint64_t dice = world_random(w);
    const size_t len = 20 + (dice >> 8) % 11 * 4;
    memset(out, 0, 64);
    for (size_t i = 0; i < len; i += 8) {
        const uint64_t bits = world_random(w);
        memcpy(out + i, &bits, 8);
    }
    switch (dice % 4) {
    case 0: /* anything but a request, by its class bits */
        out[0] = (uint8_t)(dice >> 16) & 1;
        out[1] = out[0] ? out[1] : out[1] | 0x10;
        break;
    case 1: /* a request whose length is not that of the datagram */
        out[0] = 0;
        out[1] = 1;
        out[2] = 0;
        out[3] = (uint8_t)(len - 20 + 4 * (1 + dice % 3));
        memcpy(out + 4, "\x21\x12\xa4\x42", 4);
        return len;
    case 2: /* a request with a wrong FINGERPRINT */
        memcpy(out, "\0\x01\0\x08\x21\x12\xa4\x42", 8);
        memcpy(out + 20, "\x80\x28\0\x04", 4);
        return 28;
    default: /* ChannelData, DTLS, RTP, and what has no name */
        out[0] |= (uint8_t)(4 + (dice >> 24) % 60);
        return len;
    }
    out[2] = 0;
    out[3] = (uint8_t)(len - 20);
    memcpy(out + 4, "\x21\x12\xa4\x42", 4);
    return len;
}

static void test_a_million_non_requests_draw_no_answer(void **state)
{
    struct fixture *f = *state;
    f->w->forget = true;
    for (unsigned i = 0; i < NOISE; i++) {
        uint8_t bytes[104];
        const size_t len = make_noise(f->w, bytes);
        client_send_raw(&f->a, bytes, len);
    }
    assert_int_equal(f->w->replies, 0);
    assert_int_equal(f->w->reports, 0);
    assert_int_equal(world_metric(f->w, METRIC_RECEIVED_CLIENT), NOISE);
}

/* What `from` sent to the other's listener goes there. Returns how many datagrams went. */
static unsigned exchange(struct world *from, struct world *to)
{
    unsigned count = 0;
    const struct sent *s;
    while ((s = world_take_to_client(from, &to->server_ipv4))) {
        const struct world_datagram d = {
            .flow = {.local = to->server_ipv4, .remote = from->server_ipv4},
            .bytes = slice_of(s->bytes, s->len)};
        world_from_client(to, &d);
        count++;
    }
    return count;
}

static void test_two_relays_set_on_each_other_fall_silent(void **state)
{
    struct fixture *f = *state;
    struct world_settings settings = world_settings_default();
    settings.server_ipv4 = addr_ipv4(203, 0, 113, 10, WORLD_LISTENER_PORT);
    struct world *other = world_new(&settings);
    const uint16_t methods[] = {STUN_BINDING, STUN_ALLOCATE, STUN_REFRESH};
    for (unsigned i = 0; i < 3; i++) {
        struct request q;
        f->a.addr = other->server_ipv4; /* forged */
        request_begin(&q, &f->a, STUN_REQUEST, methods[i]);
        request_close(&q);
        client_send_raw(&f->a, q.bytes, q.len);
        assert_int_equal(exchange(f->w, other), 1);
        assert_int_equal(exchange(other, f->w), 0);
    }
    assert_int_equal(world_dropped(other, REASON_STUN_NOT_A_REQUEST), 3);
    world_free(other);
}

static void test_listeners_and_live_ports_of_ours_are_never_answered(void **state)
{
    struct fixture *f = *state;
    const struct addr relayed = fixture_allocate(&f->b);
    const uint64_t before = f->w->replies;
    const struct addr sources[] = {f->w->server_ipv4, relayed};
    for (unsigned i = 0; i < 2; i++) {
        f->a.addr = sources[i];
        assert_int_equal(client_binding(&f->a, NULL), 0);
        assert_int_equal(client_challenge(&f->a), 0);
        f->a.nonce_len = 0;
    }
    assert_int_equal(f->w->replies, before);
    assert_int_equal(world_dropped(f->w, REASON_SOURCE_IS_OURS), 4);
}

static void test_answers_that_come_back_as_media_are_not_answered(void **state)
{
    /* A permitted peer is another relay: what it answers to our media goes to our client, not back
     * to it. */
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 3478);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_BINDING);
    request_close(&q);
    const uint64_t before = f->w->replies;
    world_from_peer(f->w, &peer, &relayed, slice_of(q.bytes, q.len), 0);
    assert_int_equal(f->w->replies, before);
    assert_null(world_take_to_peer(f->w));
    struct received m;
    assert_true(client_receive(&f->a, &m));
    assert_true(slice_equal(m.data, slice_of(q.bytes, q.len)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_a_million_non_requests_draw_no_answer),
        SCENARIO(test_two_relays_set_on_each_other_fall_silent),
        SCENARIO(test_listeners_and_live_ports_of_ours_are_never_answered),
        SCENARIO(test_answers_that_come_back_as_media_are_not_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

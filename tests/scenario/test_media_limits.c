/*
 * Media at its limits: the biggest datagrams, more than an outbox holds before a flush, and
 * datagrams for allocations that have just ended.
 */
#include "tests/scenario/fixture.h"

#define BIG 65507u /* bytes: the largest UDP payload over IPv4 */

static void test_channel_data_of_the_largest_datagram_is_relayed(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    uint8_t *data = calloc(1, BIG);
    assert_non_null(data);
    client_channel_data(&f->a, 0x4000, data, BIG - 4);
    const struct sent *s = world_take_to_peer(f->w);
    assert_non_null(s);
    assert_int_equal(s->len, BIG - 4);
    free(data);
}

static void test_peer_datagram_that_fits_is_relayed_and_a_bigger_one_dropped(void **state)
{
    struct fixture *f = *state;
    struct received m;
    const struct addr bound = world_peer(1, 5000), other = world_peer(1, 5001);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &bound), 200);
    uint8_t *data = calloc(1, BIG);
    assert_non_null(data);
    /* A Data indication of IPv4 puts 36 bytes in front and pads to four; ChannelData puts 4 in
     * front. */
    const size_t fits = 65400;
    world_from_peer(f->w, &bound, &relayed, slice_of(data, fits), 0);
    assert_true(client_receive(&f->a, &m) && m.channel && m.data.len == fits);
    world_from_peer(f->w, &other, &relayed, slice_of(data, fits), 0);
    assert_true(client_receive(&f->a, &m) && !m.channel && m.data.len == fits);
    world_from_peer(f->w, &bound, &relayed, slice_of(data, BIG), 0);
    world_from_peer(f->w, &other, &relayed, slice_of(data, BIG), 0);
    assert_false(client_receive(&f->a, &m));
    assert_int_equal(world_dropped(f->w, REASON_DATAGRAM_TOO_BIG), 2);
    free(data);
}

static void test_channel_data_as_big_as_a_datagram_may_be_is_relayed(void **state)
{
    /* 65503 bytes and the ChannelData header are the largest UDP payload: this fits. */
    struct fixture *f = *state;
    struct received m;
    const struct addr bound = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &bound), 200);
    uint8_t *data = calloc(1, BIG);
    assert_non_null(data);
    world_from_peer(f->w, &bound, &relayed, slice_of(data, BIG - 4), 0);
    assert_true(client_receive(&f->a, &m) && m.data.len == BIG - 4);
    free(data);
}

static void test_outbox_that_fills_up_keeps_the_order(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000), other = world_peer(1, 5001);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    f->w->hold_outbox = true;
    for (unsigned i = 0; i < 1000; i++) {
        uint8_t data[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        client_channel_data(&f->a, 0x4000, data, 2);
        world_from_peer(f->w, i % 2 ? &peer : &other, &relayed, slice_of(data, 2), 0);
    }
    f->w->hold_outbox = false;
    world_run(f->w);
    for (unsigned i = 0; i < 1000; i++) {
        struct received m;
        const struct sent *s = world_take_to_peer(f->w);
        assert_non_null(s);
        assert_int_equal(s->bytes[0] << 8 | s->bytes[1], i);
        assert_true(client_receive(&f->a, &m));
        assert_int_equal(m.data.data[0] << 8 | m.data.data[1], i);
    }
}

static void test_outbox_full_of_indications_of_all_lengths_stays_whole(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    f->w->hold_outbox = true;
    uint8_t data[1500];
    for (unsigned i = 0; i < 1500; i++) {
        memset(data, (int)i, sizeof(data));
        world_from_peer(f->w, &peer, &relayed, slice_of(data, i), 0);
        if (i % 50 == 0)
            assert_int_equal(client_binding(&f->b, NULL), 0); /* answered at a flush */
    }
    f->w->hold_outbox = false;
    world_run(f->w);
    for (unsigned i = 0; i < 1500; i++) {
        struct received m;
        memset(data, (int)i, sizeof(data));
        assert_true(client_receive(&f->a, &m));
        assert_true(slice_equal(m.data, slice_of(data, i)));
    }
}

static void test_media_decided_before_a_deletion_is_sent_or_counted(void **state)
{
    /* The socket closes while the datagram is still in the outbox. */
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    f->w->hold_outbox = true;
    client_channel_data(&f->a, 0x4000, "x", 1);
    client_refresh(&f->a, 0, NULL);
    f->w->hold_outbox = false;
    world_run(f->w);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(f->w->media_to_peer + world_dropped(f->w, REASON_RELAY_CLOSED), 1);
}

static void test_peer_datagram_for_an_ended_allocation_is_dropped(void **state)
{
    /* The socket had it in the same receive batch: its owner's handle is stale, and so it stays
     * when the slot is used again. */
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    const struct fake_socket *s = fake_sockets_at(&f->w->sockets, &relayed);
    const struct peer_packet p = {.bytes = slice_of_string("late"),
        .source = peer,
        .owner = s->owner,
        .socket = fake_socket_handle(&f->w->sockets, s)};
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    counters_add(&f->w->worker[0].counters, METRIC_RECEIVED_PEER, 1);
    relay_from_peer(f->w->worker[0].relay, &p, &f->w->now);
    world_run(f->w);
    struct received m;
    assert_false(client_receive(&f->a, &m));
    assert_int_equal(world_dropped(f->w, REASON_RELAY_CLOSED), 1);
}

static void test_data_indications_without_randomness_are_dropped(void **state)
{
    struct fixture *f = *state;
    struct received m;
    const struct addr peer = world_peer(1, 5000), bound = world_peer(1, 5001);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_int_equal(client_bind(&f->a, 0x4000, &bound), 200);
    f->w->random_fails = true;
    unsigned received = 0;
    for (unsigned i = 0; i < 2000; i++) {
        world_from_peer(f->w, &peer, &relayed, slice_of_string("x"), 0);
        received += client_receive(&f->a, &m);
        world_clear(f->w);
    }
    assert_int_equal(received + world_dropped(f->w, REASON_RANDOM_FAILED), 2000);
    assert_true(world_dropped(f->w, REASON_RANDOM_FAILED) > 0);
    /* ChannelData needs none. */
    assert_true(fixture_from_peer(&f->a, &bound, &relayed, "still"));
    f->w->random_fails = false;
    assert_true(fixture_from_peer(&f->a, &peer, &relayed, "again"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_channel_data_of_the_largest_datagram_is_relayed),
        SCENARIO(test_peer_datagram_that_fits_is_relayed_and_a_bigger_one_dropped),
        SCENARIO(test_channel_data_as_big_as_a_datagram_may_be_is_relayed),
        SCENARIO(test_outbox_that_fills_up_keeps_the_order),
        SCENARIO(test_outbox_full_of_indications_of_all_lengths_stays_whole),
        SCENARIO(test_media_decided_before_a_deletion_is_sent_or_counted),
        SCENARIO(test_peer_datagram_for_an_ended_allocation_is_dropped),
        SCENARIO(test_data_indications_without_randomness_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

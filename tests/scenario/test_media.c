/*
 * Media both ways (RFC 8656 sections 11, 12 and 14): Send, Data, ChannelData; lengths, padding,
 * DSCP and ECN, DF; and all that is dropped without a word.
 */
#include "tests/scenario/fixture.h"

static void test_send_of_every_small_length_arrives_whole(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    uint8_t data[70];
    fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    for (size_t len = 0; len <= sizeof(data); len++) {
        memset(data, (int)len + 1, sizeof(data));
        client_indicate(&f->a, &peer, data, len);
        client_channel_data(&f->a, 0x4000, data, len);
        for (unsigned i = 0; i < 2; i++) {
            const struct sent *s = world_take_to_peer(f->w);
            assert_non_null(s);
            assert_int_equal(s->len, len);
            assert_memory_equal(s->bytes, data, len);
            assert_true(addr_equal(&s->to, &peer));
        }
    }
}

static void test_data_of_every_small_length_arrives_whole(void **state)
{
    struct fixture *f = *state;
    struct received m;
    uint8_t data[70];
    const struct addr bound = world_peer(1, 5000), other = world_peer(1, 5001);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &bound), 200);
    for (size_t len = 0; len <= sizeof(data); len++) {
        memset(data, (int)len + 1, sizeof(data));
        world_from_peer(f->w, &bound, &relayed, slice_of(data, len), 0);
        assert_true(client_receive(&f->a, &m));
        assert_true(m.channel);
        assert_true(slice_equal(m.data, slice_of(data, len)));
        world_from_peer(f->w, &other, &relayed, slice_of(data, len), 0);
        assert_true(client_receive(&f->a, &m));
        assert_false(m.channel);
        assert_true(addr_equal(&m.peer, &other));
        assert_true(slice_equal(m.data, slice_of(data, len)));
    }
}

static void test_media_leaves_from_the_relayed_address(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    client_indicate(&f->a, &peer, "x", 1);
    const struct sent *s = world_take_to_peer(f->w);
    assert_non_null(s);
    assert_true(addr_equal(&s->from, &relayed));
    assert_false(s->dont_fragment);
}

static void test_media_reaches_the_client_from_the_servers_address(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    world_from_peer(f->w, &peer, &relayed, slice_of_string("x"), 0);
    const struct sent *s = world_take_to_client(f->w, &f->a.addr);
    while (s && !s->media)
        s = world_take_to_client(f->w, &f->a.addr);
    assert_non_null(s);
    assert_true(addr_equal(&s->from, &f->a.server));
}

static void test_channel_data_padded_over_udp_is_relayed_without_padding(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    client_send_raw(&f->a, "\x40\x00\x00\x01z\0\0\0", 8);
    assert_true(fixture_peer_got(f->w, &peer, "z"));
}

static void test_channel_data_shorter_than_it_says_is_dropped(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    const char message[] = "\x40\x00\x00\x05zzzz";
    for (size_t len = 1; len <= 8; len++)
        client_send_raw(&f->a, message, len);
    assert_null(world_take_to_peer(f->w));
    assert_int_equal(world_dropped(f->w, REASON_CHANNEL_TRUNCATED), 8);
}

static void test_media_carries_dscp_and_ecn_both_ways(void **state)
{
    /* "Set the outgoing value to the incoming value", for both fields. */
    struct fixture *f = *state;
    struct received m;
    const struct addr peer = world_peer(1, 5000), other = world_peer(1, 5001);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    for (unsigned tos = 0; tos < 256; tos++) {
        f->a.tos = (uint8_t)tos;
        client_indicate(&f->a, &peer, "x", 1);
        client_channel_data(&f->a, 0x4000, "x", 1);
        assert_int_equal(world_take_to_peer(f->w)->tos, tos);
        assert_int_equal(world_take_to_peer(f->w)->tos, tos);
        world_from_peer(f->w, &peer, &relayed, slice_of_string("x"), (uint8_t)tos);
        assert_true(client_receive(&f->a, &m));
        assert_int_equal(m.tos, tos);
        world_from_peer(f->w, &other, &relayed, slice_of_string("x"), (uint8_t)tos);
        assert_true(client_receive(&f->a, &m));
        assert_int_equal(m.tos, tos);
    }
}

static void send_with_df(struct client *c, const struct addr *peer)
{
    struct request q;
    request_begin(&q, c, STUN_INDICATION, STUN_SEND);
    request_peer(&q, peer);
    request_empty(&q, STUN_ATTR_DONT_FRAGMENT);
    stun_write_attr(&q.w, STUN_ATTR_DATA, slice_of_string("df"));
    request_close(&q);
    client_send_raw(c, q.bytes, q.len);
}

static void test_send_with_dont_fragment_sets_df(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    send_with_df(&f->a, &peer);
    const struct sent *s = world_take_to_peer(f->w);
    assert_non_null(s);
    assert_true(s->dont_fragment);
    client_channel_data(&f->a, 0x4000, "x", 1);
    assert_false(world_take_to_peer(f->w)->dont_fragment);
}

static void test_send_with_dont_fragment_to_ipv6_is_relayed_without(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer6(1, 5000);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_FAMILY6), 200);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    send_with_df(&f->a, &peer);
    const struct sent *s = world_take_to_peer(f->w);
    assert_non_null(s);
    assert_false(s->dont_fragment);
}

struct bad_send {
    struct raw_attr attrs[4];
    unsigned count;
};

static void test_send_that_is_malformed_is_dropped(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    /* 45.45.0.1:5000 under XOR with the cookie */
    const char *p = "\0\x01\x32\x9a\x0c\x3f\xa4\x43";
    const uint16_t peer_type = STUN_ATTR_XOR_PEER_ADDRESS, data_type = STUN_ATTR_DATA;
    const struct bad_send sends[] = {
        {{{peer_type, 8, p}}, 1},
        {{{data_type, 1, "x"}}, 1},
        {{{0}}, 0},
        {{{peer_type, 7, p}, {data_type, 1, "x"}}, 2},
        {{{peer_type, 20, "\0\x02\x32\x9a\x0c\x3f\xa4\x43\0\0\0\0\0\0\0\0\0\0\0"},
             {data_type, 1, "x"}},
            2},
        {{{peer_type, 8, "\0\x03\x32\x9a\x0c\x3f\xa4\x43"}, {data_type, 1, "x"}}, 2},
        {{{peer_type, 0, ""}, {data_type, 1, "x"}}, 2},
        {{{peer_type, 8, p}, {data_type, 1, "x"}, {0x7777, 0, ""}}, 3},
    };
    for (size_t i = 0; i < sizeof(sends) / sizeof(sends[0]); i++) {
        struct request q;
        request_begin(&q, &f->a, STUN_INDICATION, STUN_SEND);
        for (unsigned j = 0; j < sends[i].count; j++)
            stun_write_attr(&q.w, sends[i].attrs[j].type,
                slice_of(sends[i].attrs[j].value, sends[i].attrs[j].len));
        request_close(&q);
        client_send_raw(&f->a, q.bytes, q.len);
        if (world_take_to_peer(f->w))
            fail_msg("Send %zu was relayed", i);
    }
    struct request q;
    request_begin(&q, &f->a, STUN_INDICATION, STUN_SEND);
    stun_write_attr(&q.w, peer_type, slice_of(p, 8));
    stun_write_attr(&q.w, data_type, slice_of("x", 1));
    stun_write_attr(&q.w, 0xc123, slice_of("ignored", 7));
    request_close(&q);
    client_send_raw(&f->a, q.bytes, q.len);
    assert_true(fixture_peer_got(f->w, &peer, "x"));
}

static void test_send_takes_the_first_of_two_peers_and_data(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000), other = world_peer(2, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    struct request q;
    request_begin(&q, &f->a, STUN_INDICATION, STUN_SEND);
    request_peer(&q, &peer);
    request_peer(&q, &other);
    stun_write_attr(&q.w, STUN_ATTR_DATA, slice_of_string("first"));
    stun_write_attr(&q.w, STUN_ATTR_DATA, slice_of_string("second"));
    request_close(&q);
    client_send_raw(&f->a, q.bytes, q.len);
    assert_true(fixture_peer_got(f->w, &peer, "first"));
    assert_null(world_take_to_peer(f->w));
}

static void test_send_with_fingerprint_is_relayed_and_with_a_wrong_one_dropped(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    struct request q;
    request_begin(&q, &f->a, STUN_INDICATION, STUN_SEND);
    request_peer(&q, &peer);
    stun_write_attr(&q.w, STUN_ATTR_DATA, slice_of_string("x"));
    stun_write_fingerprint(&q.w);
    request_close(&q);
    client_send_raw(&f->a, q.bytes, q.len);
    assert_true(fixture_peer_got(f->w, &peer, "x"));
    q.bytes[q.len - 2] ^= 0x10;
    client_send_raw(&f->a, q.bytes, q.len);
    assert_null(world_take_to_peer(f->w));
}

static void test_send_without_allocation_is_dropped(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    client_indicate(&f->a, &peer, "x", 1);
    assert_int_equal(world_dropped(f->w, REASON_NO_ALLOCATION_MEDIA), 1);
}

static void test_send_to_another_family_than_the_allocations_is_dropped(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer6(1, 5000);
    fixture_allocate(&f->a);
    client_indicate(&f->a, &peer, "x", 1);
    assert_null(world_take_to_peer(f->w));
}

static void test_media_is_counted_by_packets_and_bytes(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    client_channel_data(&f->a, 0x4000, "12345", 5);
    world_from_peer(f->w, &peer, &relayed, slice_of_string("123"), 0);
    assert_int_equal(world_metric(f->w, METRIC_RELAYED_TO_PEER), 1);
    assert_int_equal(world_metric(f->w, METRIC_BYTES_TO_PEER), 5);
    assert_int_equal(world_metric(f->w, METRIC_RELAYED_TO_CLIENT), 1);
    assert_int_equal(world_metric(f->w, METRIC_BYTES_TO_CLIENT), 7);
}

static void test_media_of_ipv6_passes_both_ways(void **state)
{
    struct fixture *f = *state;
    struct response r;
    const struct addr peer = world_peer6(1, 5000);
    client_set_ipv6(&f->a, 5);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_FAMILY6), 200);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_true(fixture_to_peer(&f->a, &peer, "out"));
    assert_true(fixture_from_peer(&f->a, &peer, &r.relayed[0], "in"));
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "out"));
    assert_true(fixture_from_peer(&f->a, &peer, &r.relayed[0], "in"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_send_of_every_small_length_arrives_whole),
        SCENARIO(test_data_of_every_small_length_arrives_whole),
        SCENARIO(test_media_leaves_from_the_relayed_address),
        SCENARIO(test_media_reaches_the_client_from_the_servers_address),
        SCENARIO(test_channel_data_padded_over_udp_is_relayed_without_padding),
        SCENARIO(test_channel_data_shorter_than_it_says_is_dropped),
        SCENARIO(test_media_carries_dscp_and_ecn_both_ways),
        SCENARIO(test_send_with_dont_fragment_sets_df),
        SCENARIO(test_send_with_dont_fragment_to_ipv6_is_relayed_without),
        SCENARIO(test_send_that_is_malformed_is_dropped),
        SCENARIO(test_send_takes_the_first_of_two_peers_and_data),
        SCENARIO(test_send_with_fingerprint_is_relayed_and_with_a_wrong_one_dropped),
        SCENARIO(test_send_without_allocation_is_dropped),
        SCENARIO(test_send_to_another_family_than_the_allocations_is_dropped),
        SCENARIO(test_media_is_counted_by_packets_and_bytes),
        SCENARIO(test_media_of_ipv6_passes_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

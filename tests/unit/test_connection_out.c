/* net/connection_out: what a client that reads, reads slowly, or has gone receives of an outbox. */
#include "tests/unit/streams.h"

#include "net/connection.h"
#include "wire/stream_frame.h"

#define PAYLOAD 1001 /* of media: no multiple of four */

static uint64_t metric(const struct streams *s, enum metric m)
{
    return atomic_load(&s->counters.metric[m]);
}

static uint64_t dropped(const struct streams *s, enum reason why)
{
    return atomic_load(&s->counters.dropped[why]);
}

/* A connection that has said something; *flow is its flow. */
static int served(struct streams *s, struct flow *flow)
{
    uint8_t m[STUN_HEADER_LEN];
    int fd = streams_connect(s);
    s->in_use = true;
    streams_say(s, fd, m, streams_binding(m, 1));
    *flow = s->seen[s->count - 1].flow;
    return fd;
}

static struct outbox_entry *append(struct streams *s, const struct flow *flow, bool media)
{
    struct outbox_entry *e = outbox_append(s->outbox);
    e->target = OUTBOX_TO_CLIENT;
    e->media = media;
    e->flow = *flow;
    return e;
}

/* ChannelData as relay/ appends it; its first payload byte is `id`. */
static void media(struct streams *s, const struct flow *flow, uint8_t id)
{
    static uint8_t bodies[256][PAYLOAD];
    struct outbox_entry *e = append(s, flow, true);
    bodies[id][0] = id;
    memcpy(e->header, (const uint8_t[4]){0x40, 0, PAYLOAD >> 8, PAYLOAD & 0xff}, 4);
    e->header_len = 4;
    e->body = slice_of(bodies[id], PAYLOAD);
    e->padding = 3;
}

/* A response: `len` bytes of STUN. */
static void reply(struct streams *s, const struct flow *flow, size_t len)
{
    uint8_t *room = outbox_reserve(s->outbox, len);
    memset(room, 0, len);
    streams_binding(room, 7);
    room[2] = (uint8_t)((len - STUN_HEADER_LEN) >> 8);
    room[3] = (uint8_t)(len - STUN_HEADER_LEN);
    append(s, flow, false)->head = slice_of(room, len);
}

/* Reads all there is, in whole messages; returns how many. */
static unsigned read_messages(struct streams *s, int fd)
{
    static uint8_t bytes[1 << 20];
    size_t len = 0;
    unsigned count = 0;
    for (ssize_t n; (n = recv(fd, bytes + len, sizeof(bytes) - len, 0)) > 0;) {
        len += (size_t)n;
        streams_turn(s);
    }
    struct slice stream = slice_of(bytes, len);
    while (stream.len > 0) {
        struct stream_frame frame;
        assert_int_equal(stream_frame_next(&frame, stream), STREAM_FRAME_MESSAGE);
        stream = slice_of(stream.data + frame.len, stream.len - frame.len);
        count++;
    }
    return count;
}

static void test_connection_out_one_flush_is_one_write(void **state)
{
    struct streams *s = *state;
    struct flow flow;
    uint8_t got[4096];
    int fd = served(s, &flow);
    uint64_t calls = metric(s, METRIC_SEND_CALLS);
    media(s, &flow, 1);
    reply(s, &flow, 40);
    media(s, &flow, 2);
    io_flush(&s->io);
    assert_int_equal(metric(s, METRIC_SEND_CALLS), calls + 1);
    ssize_t len = recv(fd, got, sizeof(got), 0);
    assert_int_equal(len, 2 * 1008 + 40);
    assert_memory_equal(got, "\x40\x00\x03\xe9\x01", 5);
    assert_memory_equal(got + 1005, "\0\0\0\0\x01\0\x14\x21\x12\xa4\x42", 11);
    assert_memory_equal(got + 1048, "\x40\x00\x03\xe9\x02", 5);
    assert_int_equal(metric(s, METRIC_RELAYED_TO_CLIENT), 2);
    assert_int_equal(metric(s, METRIC_BYTES_TO_CLIENT), 2 * 1008);
    assert_int_equal(metric(s, METRIC_REPLIES_SENT), 1);
    close(fd);
}

/* Entries of several connections, mixed: each gets its own, in order. */
static void test_connection_out_connections_get_their_own(void **state)
{
    struct streams *s = *state;
    struct flow flows[3];
    int fds[3];
    for (unsigned i = 0; i < 3; i++) {
        fds[i] = served(s, &flows[i]);
    }
    for (uint8_t i = 0; i < 9; i++) {
        media(s, &flows[(i * 2) % 3], i);
    }
    io_flush(&s->io);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t got[4096];
        assert_int_equal(recv(fds[i], got, sizeof(got), 0), 3 * 1008);
        for (unsigned k = 0; k < 3; k++) {
            assert_int_equal((got[k * 1008 + 4] * 2) % 3, i);
            assert_true(k == 0 || got[k * 1008 + 4] > got[(k - 1) * 1008 + 4]);
        }
        close(fds[i]);
    }
}

/* A reader that stands still: media waits up to the limit, then drops; nothing of it is torn, and a
 * neighbour does not notice. */
static void test_connection_out_stalled_reader_drops_media_and_tears_nothing(void **state)
{
    struct streams *s = *state;
    struct flow slow, quick;
    int stalled = served(s, &slow), reading = served(s, &quick);
    unsigned sent = 0;
    while (dropped(s, REASON_WRITE_QUEUE_FULL) < 200) {
        for (unsigned i = 0; i < 20; i++, sent++) {
            media(s, &slow, (uint8_t)sent);
        }
        media(s, &quick, 1);
        io_flush(&s->io);
        streams_turn(s);
        uint8_t got[2048];
        assert_int_equal(recv(reading, got, sizeof(got), 0), 1008);
        assert_true(sent < 10000);
    }
    streams_assert_open(reading);
    uint64_t relayed = metric(s, METRIC_RELAYED_TO_CLIENT) - sent / 20;
    assert_int_equal(relayed + dropped(s, REASON_WRITE_QUEUE_FULL), sent);
    assert_int_equal(read_messages(s, stalled), relayed);
    /* It reads again: media flows again. */
    media(s, &slow, 1);
    io_flush(&s->io);
    assert_int_equal(read_messages(s, stalled), 1);
    close(stalled);
    close(reading);
}

/* What the kernel has not taken is at most the limit, and one message. */
static void test_connection_out_queue_keeps_to_its_limit(void **state)
{
    struct streams *s = *state;
    struct flow flow;
    int fd = served(s, &flow), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    for (unsigned i = 0; dropped(s, REASON_WRITE_QUEUE_FULL) == 0; i++) {
        media(s, &flow, (uint8_t)i);
        io_flush(&s->io);
    }
    int before = 0, queued;
    uint8_t got[1008];
    /* With nothing to read, what comes now was queued. */
    while (recv(fd, got, sizeof(got), 0) > 0) {
        before++;
    }
    streams_turn(s);
    for (queued = 0; recv(fd, got, sizeof(got), 0) > 0; queued++) {
        streams_turn(s);
    }
    assert_true(before > 0);
    assert_int_equal(queued, 65536 / 1008);
    close(fd);
}

static void test_connection_out_response_that_does_not_fit_ends_it(void **state)
{
    struct streams *s = *state;
    struct flow flow;
    int fd = served(s, &flow);
    while (dropped(s, REASON_WRITE_QUEUE_FULL) == 0) {
        media(s, &flow, 1);
        io_flush(&s->io);
    }
    uint64_t gone = dropped(s, REASON_CONNECTION_GONE);
    reply(s, &flow, 4000);
    media(s, &flow, 1);
    io_flush(&s->io);
    assert_int_equal(streams_ended(s, REASON_REPLY_QUEUE_FULL), 1);
    assert_int_equal(metric(s, METRIC_REPLIES_FAILED), 1);
    assert_int_equal(dropped(s, REASON_CONNECTION_GONE), gone + 1);
    assert_int_equal(s->closed_count, 0);
    streams_turn(s);
    assert_int_equal(s->closed_count, 1);
    streams_assert_closed(fd);
    close(fd);
}

/* Who has no allocation and reads no replies makes the server keep little. */
static void test_connection_out_stranger_has_a_short_queue(void **state)
{
    struct streams *s = *state;
    struct flow flow;
    int fd = served(s, &flow);
    unsigned count = 0;
    uint8_t got[1 << 16];
    size_t taken = 0;
    s->in_use = false;
    while (streams_ended(s, REASON_REPLY_QUEUE_FULL) == 0) {
        reply(s, &flow, 1000);
        io_flush(&s->io);
        count++;
    }
    for (ssize_t n; (n = recv(fd, got, sizeof(got), 0)) > 0;) {
        taken += (size_t)n;
    }
    assert_true(count * 1000 - taken > 15000 && count * 1000 - taken <= 18000);
    close(fd);
}

/* What TLS says on its own: a client could draw it without end. */
static void test_connection_out_words_of_tls_keep_to_a_limit_too(void **state)
{
    struct streams *s = *state;
    struct flow flow;
    static const uint8_t word[1000];
    int fd = served(s, &flow);
    struct connection *c = slab_get(s->connections->slab, flow.connection);
    size_t most = 0;
    for (unsigned i = 0; i < 1000 && !c->ending; i++) {
        connection_send(c, slice_of(word, sizeof(word)));
        most = c->queue.len;
    }
    assert_int_equal(c->ending, REASON_REPLY_QUEUE_FULL);
    assert_in_range(most, 65536, 65536 + STREAM_FRAME_MAX + CONNECTION_RECORD);
    streams_turn(s);
    close(fd);
}

static void test_connection_out_client_that_has_gone_ends_it_after_the_flush(void **state)
{
    struct streams *s = *state;
    struct flow flow;
    int fd = served(s, &flow);
    close(fd);
    media(s, &flow, 1);
    reply(s, &flow, 40);
    io_flush(&s->io);
    assert_int_equal(streams_ended(s, REASON_CONNECTION_RESET), 1);
    assert_int_equal(dropped(s, REASON_CONNECTION_GONE), 1);
    assert_int_equal(metric(s, METRIC_REPLIES_FAILED), 1);
    assert_int_equal(metric(s, METRIC_RELAYED_TO_CLIENT), 0);
    assert_int_equal(connections_count(s->connections), 1);
    streams_turn(s);
    assert_int_equal(connections_count(s->connections), 0);
}

static void test_connection_out_stale_handle_reaches_nobody(void **state)
{
    struct streams *s = *state;
    struct flow flow, next;
    close(served(s, &flow));
    streams_turn(s);
    int fd = served(s, &next);
    assert_int_equal(handle_slot(next.connection), handle_slot(flow.connection));
    media(s, &flow, 1);
    reply(s, &flow, 40);
    io_flush(&s->io);
    assert_int_equal(dropped(s, REASON_CONNECTION_GONE), 1);
    assert_int_equal(metric(s, METRIC_REPLIES_FAILED), 1);
    streams_assert_open(fd);
    close(fd);
}

/* A relay/ that flushes while a read is being delivered, as it does at every full outbox. */
static void answer_and_flush(struct streams *s, const struct packet *packet)
{
    reply(s, &packet->flow, 40);
    outbox_flush(s->outbox);
}

static void test_connection_out_end_within_a_read_stops_it(void **state)
{
    struct streams *s = *state;
    uint8_t m[3 * STUN_HEADER_LEN];
    int fd = streams_connect(s);
    s->answer = answer_and_flush;
    for (unsigned i = 0; i < 3; i++) {
        streams_binding(m + i * STUN_HEADER_LEN, (uint8_t)i);
    }
    assert_int_equal(send(fd, m, sizeof(m), 0), sizeof(m));
    close(fd);
    streams_turn(s);
    assert_int_equal(s->count, 1);
    assert_int_equal(streams_ended(s, REASON_CONNECTION_RESET), 1);
    assert_int_equal(s->closed_count, 1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, streams_setup, streams_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_connection_out_one_flush_is_one_write),
        CASE(test_connection_out_connections_get_their_own),
        CASE(test_connection_out_stalled_reader_drops_media_and_tears_nothing),
        CASE(test_connection_out_queue_keeps_to_its_limit),
        CASE(test_connection_out_response_that_does_not_fit_ends_it),
        CASE(test_connection_out_stranger_has_a_short_queue),
        CASE(test_connection_out_words_of_tls_keep_to_a_limit_too),
        CASE(test_connection_out_client_that_has_gone_ends_it_after_the_flush),
        CASE(test_connection_out_stale_handle_reaches_nobody),
        CASE(test_connection_out_end_within_a_read_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * THREATS "RTP replay": media under deposited keys, by libsrtp2 at both ends. What is altered,
 * forged, sent again or under another key is dropped with its reason; loss, reordering and the wrap
 * of sequence numbers drop nothing; what passes is what was sent.
 */
#include "srtp/verifier.h"
#include "tests/scenario/fixture.h"
#include "tests/srtp/media_stream.h"

#define CHANNEL 0x4000
#define ROUNDS  40
#define WINDOW  MEDIA_WINDOW

/* A client with an allocation, its peer, and a stream each way. */
struct call {
    struct world *w;
    struct client *client;
    struct addr relayed, peer;
    struct media_stream streams[SRTP_DIRECTIONS];
    uint64_t id;
};

static uint64_t passed(const struct call *c)
{
    return world_metric(c->w, METRIC_RELAYED_TO_PEER) +
           world_metric(c->w, METRIC_RELAYED_TO_CLIENT);
}

/* Whether it arrives at the other end, bit for bit. */
static bool arrives(struct call *c, enum srtp_direction direction, const struct media_packet *p)
{
    const struct slice bytes = slice_of(p->bytes, p->len);
    const uint64_t before = passed(c);
    struct received got;
    if (direction == SRTP_TO_PEER)
        client_channel_data(c->client, CHANNEL, p->bytes, p->len);
    else
        world_from_peer(c->w, &c->peer, &c->relayed, bytes, 0);
    world_run(c->w);
    const bool arrived = passed(c) == before + 1;
    if (arrived && direction == SRTP_TO_PEER) {
        const struct sent *s = world_take_to_peer(c->w);
        assert_true(s && slice_equal(slice_of(s->bytes, s->len), bytes));
    } else if (arrived) {
        assert_true(client_receive(c->client, &got) && slice_equal(got.data, bytes));
    }
    world_clear(c->w);
    return arrived;
}

static void key_of(struct media_key *key, unsigned suite, uint8_t seed)
{
    *key = (struct media_key){0};
    assert_true(media_suite(srtp_suites[suite].name, &key->suite, &key->len));
    for (size_t i = 0; i < key->len; i++)
        key->bytes[i] = (uint8_t)(seed + 13 * i + i * i * (seed | 1));
}

static unsigned deposit(struct call *c, enum srtp_direction direction, unsigned suite, bool roc)
{
    const struct media_stream *s = &c->streams[direction];
    struct srtp_deposit d = {.until = c->w->now.wall_s + 3600,
        .binding = {.allocation = c->id, .direction = (uint8_t)direction},
        .keys = {.suite = (uint8_t)suite, .count = 1, .has_roc = roc, .roc = s->roc}};
    memcpy(d.keys.masters[0].key_and_salt, s->key.bytes, s->key.len);
    return relay_srtp_deposit(c->w->worker[c->client->worker].relay, &d, &c->w->now);
}

static void begin_stream(
    struct call *c, enum srtp_direction direction, unsigned suite, uint8_t seed)
{
    struct media_stream *s = &c->streams[direction];
    *s = (struct media_stream){.direction = (uint8_t)direction,
        .ssrc = 0x10000u * seed + direction,
        .sequence = 65536 - ROUNDS,
        .size = 160,
        .seed = 77u + seed};
    key_of(&s->key, suite, (uint8_t)(2 * seed + direction));
    assert_true(media_stream_init(s));
}

static void begin_call(struct call *c, struct client *client, unsigned suite, uint8_t seed)
{
    *c = (struct call){.w = client->world, .client = client, .peer = world_peer(1, 5000)};
    c->relayed = fixture_allocate(client);
    assert_int_equal(client_bind(client, CHANNEL, &c->peer), 200);
    assert_true(c->w->wants.count > 0);
    c->id = c->w->wants.list[c->w->wants.count - 1].allocation;
    for (enum srtp_direction d = 0; d < SRTP_DIRECTIONS; d++) {
        begin_stream(c, d, suite, seed);
        assert_int_equal(deposit(c, d, suite, true), 1);
    }
}

static void end_call(struct call *c)
{
    for (enum srtp_direction d = 0; d < SRTP_DIRECTIONS; d++)
        media_stream_deinit(&c->streams[d]);
    assert_int_equal(client_refresh(c->client, 0, NULL), 200);
}

static void restart(struct fixture *f, uint8_t level, uint8_t replay)
{
    assert_int_equal(srtp_verifier_init(), 0);
    f->settings.guard = level;
    f->settings.srtp = (struct srtp_policy){replay, WINDOW, 32, 30};
    fixture_restart(f);
}

static void make(struct call *c, enum srtp_direction direction, enum media_fault fault, bool rtcp,
    struct media_packet *out)
{
    assert_true(
        media_stream_make(&c->streams[direction], &c->streams[!direction], fault, rtcp, out));
}

/* Why each fault is dropped; REASON_NONE: it passes. */
static const struct {
    enum media_fault fault;
    enum reason drop, count; /* by what becomes of replays */
} faults[] = {
    {FAULT_HEADER, REASON_SRTP_FAILED, REASON_SRTP_FAILED},
    {FAULT_PAYLOAD, REASON_SRTP_FAILED, REASON_SRTP_FAILED},
    {FAULT_TAG, REASON_SRTP_FAILED, REASON_SRTP_FAILED},
    {FAULT_TRUNCATED, REASON_SRTP_FAILED, REASON_SRTP_FAILED},
    {FAULT_WRONG_KEY, REASON_SRTP_FAILED, REASON_SRTP_FAILED},
    {FAULT_WRONG_DIRECTION, REASON_SRTP_FAILED, REASON_SRTP_FAILED},
    {FAULT_REFLECTED, REASON_SRTP_FAILED, REASON_SRTP_FAILED},
    {FAULT_REPLAY, REASON_SRTP_REPLAYED, REASON_NONE},
    {FAULT_FORGED, REASON_SRTP_REPLAYED, REASON_SRTP_FAILED},
};

static void try_fault(
    struct call *c, unsigned row, enum srtp_direction direction, bool rtcp, uint8_t replay)
{
    const enum reason reason = replay == SRTP_REPLAY_COUNT ? faults[row].count : faults[row].drop;
    const uint64_t dropped = world_dropped(c->w, reason),
                   replayed = world_metric(c->w, METRIC_SRTP_REPLAYED);
    struct media_packet p;
    make(c, direction, FAULT_PLAIN, rtcp, &p);
    assert_true(arrives(c, direction, &p));
    make(c, direction, faults[row].fault, rtcp, &p);
    assert_int_equal(arrives(c, direction, &p), reason == REASON_NONE);
    if (reason != REASON_NONE)
        assert_int_equal(world_dropped(c->w, reason), dropped + 1);
    else
        assert_int_equal(world_metric(c->w, METRIC_SRTP_REPLAYED), replayed + 1);
    /* Media goes on. */
    make(c, direction, FAULT_PLAIN, rtcp, &p);
    assert_true(arrives(c, direction, &p));
}

static void threat_rtp_replay_faults_are_dropped_with_their_reason(void **state)
{
    struct fixture *f = *state;
    for (uint8_t replay = SRTP_REPLAY_DROP; replay <= SRTP_REPLAY_COUNT; replay++) {
        restart(f, SRTP_GUARD_VERIFY_REQUIRED, replay);
        for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
            struct call c;
            struct media_packet p;
            begin_call(&c, &f->a, suite, (uint8_t)(suite + 1));
            for (enum srtp_direction d = 0; d < SRTP_DIRECTIONS; d++)
                for (unsigned rtcp = 0; rtcp < 2; rtcp++) {
                    make(&c, d, FAULT_PLAIN, rtcp, &p);
                    assert_true(arrives(&c, d, &p));
                }
            for (unsigned i = 0; i < 4 * sizeof(faults) / sizeof(faults[0]); i++)
                try_fault(&c, i / 4, i & 1, (i & 2) != 0, replay);
            world_check(f->w);
            end_call(&c);
        }
    }
}

static void threat_rtp_replay_what_is_before_the_window_is_dropped(void **state)
{
    struct fixture *f = *state;
    restart(f, SRTP_GUARD_VERIFY, SRTP_REPLAY_COUNT);
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite += SRTP_SUITE_COUNT - 1) {
        struct call c;
        struct media_packet p;
        const uint64_t dropped = world_dropped(f->w, REASON_SRTP_TOO_OLD);
        begin_call(&c, &f->a, suite, 9);
        for (unsigned i = 0; i < 2 * WINDOW; i++) {
            make(&c, SRTP_TO_CLIENT, FAULT_PLAIN, false, &p);
            assert_true(arrives(&c, SRTP_TO_CLIENT, &p));
        }
        make(&c, SRTP_TO_CLIENT, FAULT_OLD, false, &p);
        assert_false(arrives(&c, SRTP_TO_CLIENT, &p));
        assert_int_equal(world_dropped(f->w, REASON_SRTP_TOO_OLD), dropped + 1);
        end_call(&c);
    }
}

/* Loss of 30 %, packets that come in any order within half of the window, and a wrap. */
static void shuffle(struct world *w, struct media_packet *packets, unsigned count)
{
    for (unsigned i = count - 1; i > 0; i--) {
        const unsigned k = (unsigned)(world_random(w) % (i + 1));
        const struct media_packet other = packets[k];
        packets[k] = packets[i];
        packets[i] = other;
    }
}

static void threat_rtp_replay_loss_reordering_and_wrap_drop_nothing(void **state)
{
    enum { BATCH = 100, BATCHES = 8 };
    static struct media_packet packets[BATCH];
    struct fixture *f = *state;
    restart(f, SRTP_GUARD_VERIFY_REQUIRED, SRTP_REPLAY_DROP);
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        struct call c;
        uint64_t sent = world_metric(f->w, METRIC_SRTP_VERIFIED);
        begin_call(&c, &f->a, suite, (uint8_t)(20 + suite));
        for (unsigned batch = 0; batch < 2 * BATCHES; batch++) {
            const enum srtp_direction d = batch & 1;
            for (unsigned i = 0; i < BATCH; i++)
                make(&c, d, FAULT_PLAIN, false, &packets[i]);
            shuffle(f->w, packets, BATCH);
            for (unsigned i = 0; i < BATCH; i++) {
                if (world_random(f->w) % 10 < 3)
                    continue;
                assert_true(arrives(&c, d, &packets[i]));
                sent++;
            }
        }
        assert_true(c.streams[0].roc == 1 && c.streams[1].roc == 1);
        assert_int_equal(world_metric(f->w, METRIC_SRTP_VERIFIED), sent);
        end_call(&c);
    }
    for (enum reason r = REASON_SRTP_FAILED; r <= REASON_SRTP_CROWDED; r++)
        assert_int_equal(world_dropped(f->w, r), 0);
}

/* Two calls of one user, each with its own keys; each refuses what is the other's. */
static void threat_rtp_replay_keys_of_two_sessions_of_a_user_do_not_mix(void **state)
{
    struct fixture *f = *state;
    struct client again;
    struct call one, two;
    struct media_packet p;
    restart(f, SRTP_GUARD_VERIFY_REQUIRED, SRTP_REPLAY_DROP);
    client_init(&again, f->w, 5);
    begin_call(&one, &f->a, SRTP_AES_128_SHA1_80, 30);
    begin_call(&two, &again, SRTP_AES_128_SHA1_80, 40);
    for (enum srtp_direction d = 0; d < SRTP_DIRECTIONS; d++) {
        for (unsigned i = 0; i < ROUNDS; i++) {
            make(&one, d, FAULT_PLAIN, false, &p);
            assert_true(arrives(&one, d, &p));
            assert_false(arrives(&two, d, &p));
            make(&two, d, FAULT_PLAIN, false, &p);
            assert_true(arrives(&two, d, &p));
            assert_false(arrives(&one, d, &p));
        }
    }
    assert_int_equal(world_metric(f->w, METRIC_SRTP_VERIFIED), 4 * ROUNDS);
    assert_int_equal(world_dropped(f->w, REASON_SRTP_FAILED), 4 * ROUNDS);
    end_call(&one);
    end_call(&two);
}

/* Packets under the key before are on their way when the next one is deposited. */
static void threat_rtp_replay_a_new_key_drops_nothing_of_the_old(void **state)
{
    enum { LATE = 20 };
    static struct media_packet late[LATE];
    struct fixture *f = *state;
    struct media_key next;
    struct media_packet p;
    struct call c;
    restart(f, SRTP_GUARD_VERIFY_REQUIRED, SRTP_REPLAY_DROP);
    begin_call(&c, &f->a, SRTP_AEAD_128_GCM, 50);
    struct media_stream *s = &c.streams[SRTP_TO_PEER];
    for (uint8_t round = 0; round < 3; round++) {
        for (unsigned i = 0; i < LATE; i++)
            make(&c, SRTP_TO_PEER, FAULT_PLAIN, false, &late[i]);
        key_of(&next, SRTP_AEAD_128_GCM, (uint8_t)(60 + round));
        assert_true(media_stream_rekey(s, &next));
        assert_int_equal(deposit(&c, SRTP_TO_PEER, SRTP_AEAD_128_GCM, true), 1);
        for (unsigned i = 0; i < LATE; i++) {
            make(&c, SRTP_TO_PEER, FAULT_PLAIN, false, &p);
            assert_true(arrives(&c, SRTP_TO_PEER, &p));
            assert_true(arrives(&c, SRTP_TO_PEER, &late[i]));
            assert_false(arrives(&c, SRTP_TO_PEER, &late[i]));
            assert_false(arrives(&c, SRTP_TO_PEER, &p));
        }
        world_advance(f->w, 31);
    }
    /* After the grace the old one is no key any more. */
    assert_false(arrives(&c, SRTP_TO_PEER, &late[0]));
    end_call(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(threat_rtp_replay_faults_are_dropped_with_their_reason),
        SCENARIO(threat_rtp_replay_what_is_before_the_window_is_dropped),
        SCENARIO(threat_rtp_replay_loss_reordering_and_wrap_drop_nothing),
        SCENARIO(threat_rtp_replay_keys_of_two_sessions_of_a_user_do_not_mix),
        SCENARIO(threat_rtp_replay_a_new_key_drops_nothing_of_the_old),
    };
    return cmocka_run_group_tests_name("threat_rtp_replay", tests, NULL, NULL);
}

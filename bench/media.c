/*
 * The media rows. Paced packets leave one by one at even distances (bursts of one allocation
 * together), because that is what the relay of many calls sees; what arrives is read once a
 * millisecond, without anyone waiting for it, so that the server never pays for waking the
 * generator. Arrival times are the kernel's, so that reading late does not show.
 *
 * Each payload is RTP, of a stream a session, with the probe: who sent it when, and in which
 * window, so that packets of the warm-up are not counted. It is a header extension, which SRTP
 * leaves in the clear.
 *
 * At saturation the generator would cost as much as the server if it received every packet: of its
 * sequence numbers only every 16th is let through to it, and stands for 16.
 *
 * Called by main.
 */
#include "bench/media.h"

#include "bench/srtp_packets.h"
#include "wire/channel_data.h"
#include "wire/stun.h"
#include "wire/stun_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DRAIN_NS      1000000u
#define LATE_NS       1000000u
#define SPIN_NS       1000000u
#define STALL_NS      20000000u
#define SETTLE_NS     50000000u
#define FULL_PAUSE_NS 5000u
#define PROBE_MAGIC   0x74706b62u
#define RTP_LEN       12
#define RTP_SEQUENCE  3   /* offset of its low byte */
#define RTP_TICKS     480 /* of the time stamp, from packet to packet: 10 ms at 48 kHz */
#define SSRC_FIRST    0x10000u
#define EXTENSION_LEN 4 /* its header, which the probe follows */
#define PROBE_WORDS   4
#define SAMPLE        16
#define DATAGRAM_MAX  1600

struct media {
    const struct options *options;
    struct endpoint *peer;
    struct turn_client *client;
    struct flood *flood; /* NULL: none */
    struct usage before, after;
    struct media_window *window; /* what is being measured; NULL: warm-up */
    uint32_t epoch;              /* tells the packets of one window from those of another */
    unsigned next_session;
    uint32_t *sent;            /* packets of each session */
    struct srtp_packets *srtp; /* NULL: payloads are not protected */
    uint32_t transactions;     /* of indications */
    uint64_t in_flight_sent, in_flight_received;
    uint64_t moved_ns; /* when a packet last arrived */
    uint64_t spun_ns;  /* waited without sleeping */
    unsigned weight;   /* packets that one received stands for */
    struct pace pace;  /* of bursts */
};

static struct turn_client *new_client(struct media *m)
{
    const struct turn_client_settings settings = {.target = &m->options->target,
        .place = &m->options->place,
        .peer = endpoint_local(m->peer),
        .indications = m->options->work.indications};

    return turn_client_new(&settings, m->options->work.allocations);
}

/* On the side that receives. The sessions stand: no answer is lost by it. */
static int sample(struct media *m)
{
    const struct work *work = &m->options->work;

    if (work->to_client) {
        return endpoint_sample(
            turn_client_endpoint(m->client), CHANNEL_HEADER_LEN + RTP_SEQUENCE, SAMPLE);
    }
    return endpoint_sample(m->peer, RTP_SEQUENCE, SAMPLE);
}

static bool open_srtp(struct media *m)
{
    const struct work *work = &m->options->work;

    if (work->srtp != NULL) {
        m->srtp = srtp_packets_new(work->srtp, work->allocations);
    }
    return work->srtp == NULL || m->srtp != NULL;
}

struct media *media_new(const struct options *options)
{
    const struct target *t = &options->target;
    struct media *m = calloc(1, sizeof(*m));

    if (m == NULL) {
        return NULL;
    }
    m->options = options;
    m->epoch = (uint32_t)(realtime_ns() >> 16);
    m->sent = calloc(options->work.allocations, sizeof(*m->sent));
    if (m->sent == NULL || !open_srtp(m)) {
        media_free(m);
        return NULL;
    }
    m->peer = endpoint_new(options->place.peer, options->place.peer_netns);
    m->client = m->peer != NULL ? new_client(m) : NULL;
    if (m->client == NULL) {
        media_free(m);
        return NULL;
    }
    if (usage_read(&m->before, t->pid, t->cpu) < 0 || turn_client_establish(m->client) < 0 ||
        usage_read(&m->after, t->pid, t->cpu) < 0) {
        fprintf(stderr, "turnpike-bench: the sessions were not set up\n");
        media_free(m);
        return NULL;
    }
    m->weight = 1;
    if (options->work.pps == 0 && !options->work.indications && sample(m) == 0) {
        m->weight = SAMPLE;
    }
    return m;
}

void media_free(struct media *m)
{
    if (m == NULL) {
        return;
    }
    turn_client_free(m->client);
    endpoint_free(m->peer);
    srtp_packets_free(m->srtp);
    free(m->sent);
    free(m);
}

void media_set_flood(struct media *m, struct flood *flood)
{
    m->flood = flood;
}

const struct usage *media_before(const struct media *m)
{
    return &m->before;
}

const struct usage *media_after(const struct media *m)
{
    return &m->after;
}

static void write_payload(struct media *m, uint8_t *out, uint32_t session)
{
    size_t len = m->options->work.size - (m->srtp != NULL ? srtp_packets_tag_len(m->srtp) : 0);
    uint32_t number = m->sent[session]++;
    struct writer w;

    writer_init(&w, out, len);
    writer_u16(&w, 0x9060); /* version 2, an extension, payload type 96 */
    /* Sessions are apart, so that those of one round do not all come through a sampling end. */
    writer_u16(&w, (uint16_t)(number + session));
    writer_u32(&w, number * RTP_TICKS);
    writer_u32(&w, SSRC_FIRST + session);
    writer_u16(&w, 0); /* a profile of nobody's */
    writer_u16(&w, PROBE_WORDS);
    writer_u32(&w, PROBE_MAGIC);
    writer_u32(&w, m->epoch);
    writer_u64(&w, realtime_ns());
    writer_zeros(&w, len - writer_len(&w));
    if (m->srtp != NULL) {
        srtp_packets_protect(m->srtp, session, out, len);
    }
}

static void on_payload(struct media *m, struct slice payload, uint64_t arrived_ns)
{
    struct cursor c;

    cursor_init(&c, payload);
    cursor_skip(&c, RTP_LEN + EXTENSION_LEN);
    uint32_t magic = cursor_u32(&c), epoch = cursor_u32(&c);
    uint64_t sent_ns = cursor_u64(&c);
    if (c.failed || magic != PROBE_MAGIC || epoch != m->epoch) {
        return;
    }
    m->in_flight_received += m->weight;
    if (m->window != NULL && payload.len == m->options->work.size) {
        m->window->received += m->weight;
        histogram_add(&m->window->latency_ns, arrived_ns > sent_ns ? arrived_ns - sent_ns : 0);
    }
}

static void peer_datagram(void *ctx, struct slice bytes, uint64_t arrived_ns)
{
    on_payload(ctx, bytes, arrived_ns);
}

static void client_datagram(void *ctx, struct slice bytes, uint64_t arrived_ns)
{
    struct channel_data channel;
    struct stun_msg msg;
    struct slice payload;

    if (channel_data_parse(&channel, bytes) == REASON_NONE) {
        on_payload(ctx, channel.payload, arrived_ns);
    } else if (stun_parse(&msg, bytes) == REASON_NONE && msg.class == STUN_INDICATION &&
               stun_find(&msg, STUN_ATTR_DATA, &payload)) {
        on_payload(ctx, payload, arrived_ns);
    }
}

static void drain(struct media *m)
{
    const struct endpoint_reader from_peer = {peer_datagram, m};
    const struct endpoint_reader from_client = {client_datagram, m};

    endpoint_receive(m->peer, &from_peer);
    endpoint_receive(turn_client_endpoint(m->client), &from_client);
    if (m->flood != NULL) {
        flood_receive(m->flood);
    }
}

/* One packet of the session as the client sends it. Returns its length. */
static size_t write_from_client(struct media *m, uint32_t session, uint8_t *out)
{
    unsigned size = m->options->work.size;
    struct sockaddr_in peer_sa = endpoint_local(m->peer);
    uint8_t transaction[STUN_TRANSACTION_LEN] = {0x21, 0x12, 0xa4, 0x42};
    struct stun_writer w;
    struct addr peer;

    if (!m->options->work.indications) {
        channel_data_header(out, SESSION_CHANNEL, (uint16_t)size);
        write_payload(m, out + CHANNEL_HEADER_LEN, session);
        return CHANNEL_HEADER_LEN + size;
    }
    addr_from_sockaddr(&peer, (const struct sockaddr *)&peer_sa);
    transaction[14] = (uint8_t)(++m->transactions >> 8);
    transaction[15] = (uint8_t)m->transactions;
    stun_write_begin(&w, out, DATAGRAM_MAX, STUN_INDICATION, STUN_SEND, transaction);
    stun_write_xor_addr(&w, STUN_ATTR_XOR_PEER_ADDRESS, &peer);
    stun_write_attr_header(&w, STUN_ATTR_DATA, (uint16_t)size);
    size_t len = stun_write_end(&w);
    write_payload(m, out + len, session);
    return len + size;
}

static size_t write_packet(struct media *m, uint32_t session, uint8_t *out)
{
    if (!m->options->work.to_client) {
        return write_from_client(m, session, out);
    }
    write_payload(m, out, session);
    return m->options->work.size;
}

/* A burst of the next session into the batch. */
static void send_burst(struct media *m)
{
    const struct work *work = &m->options->work;
    uint32_t index = m->next_session;
    const struct session *s = turn_client_session(m->client, index);
    struct endpoint *e = work->to_client ? m->peer : turn_client_endpoint(m->client);
    struct endpoint_route route = work->to_client ? (struct endpoint_route){.to = s->relayed}
                                                  : turn_client_route(m->client, s);
    uint8_t packet[DATAGRAM_MAX];
    size_t len = write_packet(m, index, packet);
    unsigned pieces = work->coalesced ? work->burst : 1;

    m->next_session = (index + 1) % work->allocations;
    for (unsigned sent = 0; sent < work->burst; sent += pieces) {
        uint8_t *out = endpoint_append(e, &route, len * pieces, pieces > 1 ? len : 0);
        memcpy(out, packet, len);
        for (unsigned i = 1; i < pieces; i++) {
            write_packet(m, index, out + i * len);
        }
        if (pieces == 1 && sent + 1 < work->burst) {
            write_packet(m, index, packet);
        }
    }
    m->in_flight_sent += work->burst;
    if (m->window != NULL) {
        m->window->sent += work->burst;
    }
}

static void flush(struct media *m)
{
    endpoint_flush(m->options->work.to_client ? m->peer : turn_client_endpoint(m->client));
}

static void sleep_until(uint64_t ns)
{
    const struct timespec t = {
        .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* Short waits are spun through, and not counted as work: on a virtual machine, falling asleep and
 * being woken 20 000 times a second costs more than all the sending, and is late. */
static void wait_until(struct media *m, uint64_t now, uint64_t ns)
{
    uint64_t began = now;

    if (ns > now + SPIN_NS) {
        sleep_until(ns);
        return;
    }
    while (now < ns) {
        now = monotonic_ns();
    }
    m->spun_ns += now - began;
}

/* Sends at the pace of the options until `end`. */
static void run_paced(struct media *m, uint64_t end)
{
    uint64_t now = monotonic_ns(), next_drain = now + DRAIN_NS, next;
    unsigned burst = m->options->work.burst;

    pace_start(&m->pace, (double)m->options->work.pps / burst, now);
    while ((now = monotonic_ns()) < end) {
        uint64_t due = pace_due(&m->pace, now);
        for (uint64_t i = 0; i < due && i < ENDPOINT_BATCH; i++) {
            if (m->window != NULL && now > pace_next(&m->pace) + LATE_NS) {
                m->window->late += burst;
            }
            send_burst(m);
            m->pace.done++;
        }
        flush(m);
        if (m->flood != NULL) {
            flood_send(m->flood, now);
        }
        if (now >= next_drain) {
            drain(m);
            next_drain = now + DRAIN_NS;
        }
        next = pace_next(&m->pace);
        if (m->flood != NULL && flood_next(m->flood) < next) {
            next = flood_next(m->flood);
        }
        wait_until(m, monotonic_ns(), next < end ? next : end);
    }
}

/* Keeps a window of packets in flight until `end`. What does not come within STALL_NS is lost. */
static void run_saturated(struct media *m, uint64_t end)
{
    const struct timespec pause = {.tv_nsec = FULL_PAUSE_NS};
    unsigned window = m->options->work.window, burst = m->options->work.burst;
    uint64_t now, seen = m->in_flight_received;

    m->moved_ns = monotonic_ns();
    while ((now = monotonic_ns()) < end) {
        drain(m);
        if (m->in_flight_received != seen) {
            seen = m->in_flight_received;
            m->moved_ns = now;
        } else if (now > m->moved_ns + STALL_NS) {
            m->in_flight_sent = m->in_flight_received;
            m->moved_ns = now;
        }
        if (m->in_flight_received > m->in_flight_sent) {
            m->in_flight_sent = m->in_flight_received; /* some that had been given up came late */
        }
        uint64_t flying = m->in_flight_sent - m->in_flight_received;
        if (flying > window * 3 / 4) {
            nanosleep(&pause, NULL);
            continue;
        }
        for (; flying + burst <= window; flying += burst) {
            send_burst(m);
        }
        flush(m);
    }
}

static void run_for(struct media *m, double seconds)
{
    uint64_t now = monotonic_ns(), end = now + (uint64_t)(seconds * 1e9);

    if (m->flood != NULL) {
        flood_start(m->flood, now);
    }
    if (m->options->work.pps > 0) {
        run_paced(m, end);
    } else {
        run_saturated(m, end);
    }
}

/* Lets what is under way arrive. */
static void settle(struct media *m)
{
    sleep_until(monotonic_ns() + SETTLE_NS);
    drain(m);
}

static void start_window(struct media *m, struct media_window *window)
{
    m->epoch++;
    m->in_flight_sent = 0;
    m->in_flight_received = 0;
    m->window = window;
}

int media_run(struct media *m, double seconds, struct media_window *out)
{
    const struct target *t = &m->options->target;
    struct usage before, after;
    uint64_t answered;
    int rc;

    memset(out, 0, sizeof(*out));
    start_window(m, NULL);
    run_for(m, m->options->work.warmup_seconds);
    settle(m);
    answered = m->flood != NULL ? flood_answered(m->flood) : 0;
    start_window(m, out);
    if ((rc = usage_read(&before, t->pid, t->cpu)) < 0) {
        return rc;
    }
    m->spun_ns = 0;
    fputs("measuring\n", stderr);
    run_for(m, seconds);
    uint64_t busy_until = monotonic_ns();
    settle(m);
    if ((rc = usage_read(&after, t->pid, t->cpu)) < 0) {
        return rc;
    }
    out->used = usage_between(&before, &after);
    out->used.generator_spun_ns = m->spun_ns;
    out->active_ns = busy_until - before.at_ns;
    if (m->flood != NULL) {
        out->flooded = flood_sent(m->flood);
        out->answered = flood_answered(m->flood) - answered;
    }
    return 0;
}

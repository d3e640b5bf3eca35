/*
 * The set-up rows. Each turn takes another client address, so that a server that remembers 5-tuples
 * for a while does not answer for an old one.
 *
 * Called by main.
 */
#include "bench/setup.h"

#include "bench/pace.h"
#include "bench/turn_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REPEAT_CHECK_NS 50000000u
#define PAUSE_NS        20000
#define CLIENT_TURNS    2 /* sends and receives before a pause when nothing came */

struct setup {
    const struct options *options;
    struct turn_client *client;
    struct setup_window *window; /* NULL: warm-up */
    uint64_t *started_ns;        /* one a session */
    unsigned *idle, idle_count;  /* sessions that wait for their turn, where turns are paced */
    struct pace pace;
    unsigned next_address;
    uint64_t finished;
    uint64_t counted_repeats;
};

static void start_session(struct setup *u, struct session *s)
{
    unsigned index = (unsigned)(s - turn_client_session(u->client, 0));

    session_reset(u->client, s, u->next_address++);
    u->started_ns[index] = monotonic_ns();
    session_request(
        u->client, s, u->options->work.kind == ROW_SETUP ? SESSION_CHALLENGE : SESSION_BINDING);
}

static void finish_session(struct setup *u, struct session *s)
{
    unsigned index = (unsigned)(s - turn_client_session(u->client, 0));

    u->finished++;
    if (u->window != NULL && s->state == SESSION_DONE) {
        u->window->completed++;
        histogram_add(&u->window->duration_ns, monotonic_ns() - u->started_ns[index]);
    } else if (u->window != NULL) {
        u->window->failed++;
        u->window->error = s->error;
    }
    if (u->options->work.pps > 0) {
        u->idle[u->idle_count++] = index;
    } else {
        start_session(u, s);
    }
}

/* What is due and finds no session free, because the server is late, is not made up for. */
static void start_due(struct setup *u, uint64_t now)
{
    const uint64_t due = pace_due(&u->pace, now);

    for (uint64_t i = 0; i < due && u->idle_count > 0; i++) {
        start_session(u, turn_client_session(u->client, u->idle[--u->idle_count]));
    }
    u->pace.done += due;
}

static void receive_answer(void *ctx, struct slice bytes, uint64_t arrived_ns)
{
    struct setup *u = ctx;
    struct session *s = turn_client_receive(u->client, bytes);

    if (s == NULL) {
        return;
    }
    if (s->state == SESSION_READY) {
        session_request(u->client, s, SESSION_RELEASE);
    } else if (s->state == SESSION_DONE || s->state == SESSION_FAILED) {
        finish_session(u, s);
    }
}

static void repeat_late(struct setup *u, uint64_t now)
{
    for (unsigned i = 0; i < u->options->work.window; i++) {
        struct session *s = turn_client_session(u->client, i);
        session_repeat(u->client, s, now);
        if (s->state == SESSION_FAILED) {
            finish_session(u, s);
        }
    }
}

static void run_for(struct setup *u, double seconds)
{
    const struct endpoint_reader reader = {receive_answer, u};
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    struct endpoint *e = turn_client_endpoint(u->client);
    uint64_t now = monotonic_ns(), end = now + (uint64_t)(seconds * 1e9);
    uint64_t next_check = now + REPEAT_CHECK_NS;

    if (u->options->work.pps > 0) {
        pace_start(&u->pace, u->options->work.pps, now);
    }
    while ((now = monotonic_ns()) < end) {
        uint64_t before = u->finished;
        if (u->options->work.pps > 0) {
            start_due(u, now);
        }
        for (unsigned i = 0; i < CLIENT_TURNS; i++) {
            endpoint_receive(e, &reader);
            endpoint_flush(e);
        }
        if (now >= next_check) {
            repeat_late(u, now);
            next_check = now + REPEAT_CHECK_NS;
        }
        if (u->finished == before) {
            nanosleep(&pause, NULL);
        }
    }
}

static struct connections_stats connections_between(
    const struct connections_stats *before, const struct connections_stats *after)
{
    return (struct connections_stats){.established = after->established - before->established,
        .resumed = after->resumed - before->resumed,
        .failed = after->failed - before->failed,
        .ended = after->ended - before->ended,
        .dropped = after->dropped - before->dropped};
}

static int measure(struct setup *u, struct setup_window *out)
{
    const struct target *t = &u->options->target;
    const struct endpoint *e = turn_client_endpoint(u->client);
    struct connections_stats connections, later;
    struct usage before, after;
    int rc;

    run_for(u, u->options->work.warmup_seconds);
    connections = endpoint_connections(e);
    u->counted_repeats = turn_client_repeats(u->client);
    u->window = out;
    if ((rc = usage_read(&before, t->pid, t->cpu)) < 0) {
        return rc;
    }
    fputs("measuring\n", stderr);
    run_for(u, u->options->work.seconds);
    if ((rc = usage_read(&after, t->pid, t->cpu)) < 0) {
        return rc;
    }
    later = endpoint_connections(e);
    out->connections = connections_between(&connections, &later);
    out->used = usage_between(&before, &after);
    out->repeats = turn_client_repeats(u->client) - u->counted_repeats;
    return 0;
}

int setup_run(const struct options *options, struct setup_window *out)
{
    struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = htons(50000), .sin_addr = options->place.peer};
    const struct turn_client_settings settings = {
        .target = &options->target, .place = &options->place, .peer = peer};
    struct setup u = {.options = options};
    unsigned sessions = options->work.window;
    int rc = -ENOMEM;

    memset(out, 0, sizeof(*out));
    u.client = turn_client_new(&settings, sessions);
    u.started_ns = calloc(sessions, sizeof(*u.started_ns));
    u.idle = calloc(sessions, sizeof(*u.idle));
    if (u.client == NULL || u.started_ns == NULL || u.idle == NULL) {
        goto out;
    }
    for (unsigned i = 0; i < sessions; i++) {
        if (options->work.pps > 0) {
            u.idle[u.idle_count++] = i;
        } else {
            start_session(&u, turn_client_session(u.client, i));
        }
    }
    endpoint_flush(turn_client_endpoint(u.client));
    rc = measure(&u, out);
out:
    free(u.idle);
    free(u.started_ns);
    turn_client_free(u.client);
    return rc;
}

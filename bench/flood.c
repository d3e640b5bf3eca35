/*
 * The floods of the benchmark. Sources take turns; a request that must be well formed is written
 * anew each time, so that no server can refuse it for being a repetition.
 *
 * Called by the media row, between its own packets.
 */
#include "bench/flood.h"

#include "bench/turn_client.h"
#include "bench/usage.h"
#include "wire/stun.h"

#include <stdio.h>
#include <stdlib.h>

#define SOURCES     64u
#define REQUEST_CAP 1200
#define MALFORMED   100 /* bytes */

struct flood {
    const struct options *options;
    struct place place;
    struct turn_client *client;
    struct pace pace;
    unsigned next_source;
    uint64_t answered;
};

struct flood *flood_new(const struct options *options)
{
    struct flood *f = calloc(1, sizeof(*f));

    if (f == NULL) {
        return NULL;
    }
    f->options = options;
    f->place = options->place;
    f->place.first_client += options->place.clients / 2;
    f->place.clients /= 2;
    const struct turn_client_settings settings = {
        .target = &options->target, .place = &f->place, .challenge_only = true};
    f->client = turn_client_new(&settings, SOURCES);
    if (f->client == NULL || turn_client_establish(f->client) < 0) {
        flood_free(f);
        return NULL;
    }
    return f;
}

void flood_free(struct flood *f)
{
    if (f == NULL) {
        return;
    }
    turn_client_free(f->client);
    free(f);
}

void flood_start(struct flood *f, uint64_t now_ns)
{
    pace_start(&f->pace, f->options->work.flood_pps, now_ns);
}

/* A request whose attributes run over its end: it must be parsed to be found wrong. */
static size_t write_malformed(struct flood *f, struct session *s, uint8_t *out)
{
    size_t len = session_unauthenticated(f->client, s, out, REQUEST_CAP);

    memset(out + len, 0, MALFORMED - len);
    out[2] = 0;
    out[3] = MALFORMED - STUN_HEADER_LEN;
    out[len + 1] = STUN_ATTR_USERNAME;
    out[len + 2] = 0xff;
    return MALFORMED;
}

static void send_one(struct flood *f)
{
    uint8_t request[REQUEST_CAP];
    struct session *s = turn_client_session(f->client, f->next_source);
    struct endpoint_route route = turn_client_route(f->client, s);
    size_t len = 0;

    f->next_source = (f->next_source + 1) % SOURCES;
    switch (f->options->work.flood) {
    case FLOOD_MALFORMED:
        len = write_malformed(f, s, request);
        break;
    case FLOOD_UNAUTHENTICATED:
        len = session_unauthenticated(f->client, s, request, sizeof(request));
        break;
    case FLOOD_WRONG_PASSWORD:
        len = session_wrong_password(f->client, s, request, sizeof(request));
        break;
    }
    memcpy(endpoint_append(turn_client_endpoint(f->client), &route, len, 0), request, len);
}

void flood_send(struct flood *f, uint64_t now_ns)
{
    uint64_t due = pace_due(&f->pace, now_ns);

    for (uint64_t i = 0; i < due && i < ENDPOINT_BATCH; i++) {
        send_one(f);
        f->pace.done++;
    }
    endpoint_flush(turn_client_endpoint(f->client));
}

static void count_answer(void *ctx, struct slice bytes, uint64_t arrived_ns)
{
    struct flood *f = ctx;

    f->answered++;
}

void flood_receive(struct flood *f)
{
    const struct endpoint_reader reader = {count_answer, f};

    endpoint_receive(turn_client_endpoint(f->client), &reader);
}

uint64_t flood_next(const struct flood *f)
{
    return pace_next(&f->pace);
}

uint64_t flood_sent(const struct flood *f)
{
    return f->pace.done;
}

uint64_t flood_answered(const struct flood *f)
{
    return f->answered;
}

/*
 * Some connections are made first and kept, so that what a server sets aside for its first ones is
 * not charged to those that are counted.
 *
 * Called by main.
 */
#include "bench/idle_connections.h"

#include "bench/turn_client.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define FIRST     100u      /* connections that do not count */
#define SETTLE_NS 500000000 /* in which servers give back what they needed for the handshakes */

static void ignore(void *ctx, struct slice bytes, uint64_t arrived_ns)
{
}

static void settle(struct turn_client *client)
{
    const struct endpoint_reader reader = {ignore, NULL};
    const struct timespec pause = {.tv_nsec = SETTLE_NS};

    nanosleep(&pause, NULL);
    endpoint_receive(turn_client_endpoint(client), &reader);
}

static int establish(struct turn_client *client)
{
    int rc = client != NULL ? turn_client_establish(client) : -ENOMEM;

    if (rc == 0) {
        settle(client);
    }
    return rc;
}

int idle_connections_run(const struct options *options, struct idle_connections *out)
{
    const struct target *t = &options->target;
    struct place first_place = options->place, place = options->place;
    const struct turn_client_settings first_settings = {
        .target = t, .place = &first_place, .binding_only = true};
    const struct turn_client_settings settings = {
        .target = t, .place = &place, .binding_only = true};
    struct turn_client *first = NULL, *client = NULL;
    struct usage before;
    int rc;

    first_place.clients = FIRST;
    place.first_client += FIRST;
    place.clients -= FIRST;
    first = turn_client_new(&first_settings, FIRST);
    if ((rc = establish(first)) < 0 || (rc = usage_read(&before, t->pid, t->cpu)) < 0) {
        goto out;
    }
    client = turn_client_new(&settings, options->work.allocations);
    if ((rc = establish(client)) < 0 || (rc = usage_read(&out->after, t->pid, t->cpu)) < 0) {
        goto out;
    }
    out->before = before;
    out->stats = endpoint_connections(turn_client_endpoint(client));
out:
    turn_client_free(client);
    turn_client_free(first);
    return rc;
}

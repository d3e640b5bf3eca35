/*
 * A worker's listeners: added as snapshots come, never taken away while it runs. Called by
 * worker.c.
 */
#include "net/listeners.h"

#include <errno.h>
#include <stdlib.h>

static int listeners_grow(struct listeners *l, size_t count)
{
    struct udp_listener **udp = realloc(l->udp.items, count * sizeof(struct udp_listener *));
    if (!udp) {
        return -ENOMEM;
    }
    l->udp.items = udp;
    struct stream_listener **streams =
        realloc(l->streams, count * sizeof(struct stream_listener *));
    if (!streams) {
        return -ENOMEM;
    }
    l->streams = streams;
    return 0;
}

static int listeners_add_udp(
    struct listeners *l, const struct listeners_deps *deps, const struct net_listener *added)
{
    struct udp_listener *udp = calloc(1, sizeof(*udp));
    if (!udp) {
        return -ENOMEM;
    }
    udp->index = (uint16_t)l->udp.count;
    udp->dtls = deps->dtls;
    int r = udp_listener_start(udp, deps->io, deps->batch, added->udp, deps->worker);
    if (r < 0) {
        free(udp);
        return r;
    }
    l->streams[l->udp.count] = NULL;
    l->udp.items[l->udp.count++] = udp;
    return 0;
}

static int listeners_add_stream(
    struct listeners *l, const struct listeners_deps *deps, const struct stream_endpoint *endpoint)
{
    struct stream_listener *stream = calloc(1, sizeof(*stream));
    if (!stream) {
        return -ENOMEM;
    }
    stream->index = (uint16_t)l->udp.count;
    int r = stream_listener_start(stream, deps->io, deps->connections, endpoint, deps->worker);
    if (r < 0) {
        free(stream);
        return r;
    }
    l->streams[l->udp.count] = stream;
    l->udp.items[l->udp.count++] = NULL;
    return 0;
}

int listeners_take(
    struct listeners *l, const struct listeners_deps *deps, const struct net_snapshot *snapshot)
{
    int r = 0;
    if (snapshot->listener_count > l->udp.count) {
        r = listeners_grow(l, snapshot->listener_count);
    }
    while (r == 0 && l->udp.count < snapshot->listener_count) {
        const struct net_listener *added = &snapshot->listeners[l->udp.count];
        r = transport_is_stream(added->transport) ? listeners_add_stream(l, deps, added->stream)
                                                  : listeners_add_udp(l, deps, added);
    }
    for (size_t i = 0; i < l->udp.count && i < snapshot->listener_count; i++) {
        if (l->udp.items[i]) {
            l->udp.items[i]->realm = snapshot->listeners[i].realm;
            l->udp.items[i]->realms = snapshot->listeners[i].realms;
            l->udp.items[i]->dtls_only = snapshot->listeners[i].transport == TRANSPORT_DTLS;
        }
    }
    return r;
}

void listeners_resume(struct listeners *l)
{
    for (size_t i = 0; i < l->udp.count; i++) {
        if (l->streams[i]) {
            stream_listener_resume(l->streams[i]);
        }
    }
}

void listeners_stop(struct listeners *l)
{
    for (size_t i = 0; i < l->udp.count; i++) {
        if (l->streams[i]) {
            stream_listener_stop(l->streams[i]);
        } else {
            udp_listener_stop(l->udp.items[i]);
        }
    }
}

void listeners_free(struct listeners *l)
{
    for (size_t i = 0; i < l->udp.count; i++) {
        free(l->streams[i]);
        free(l->udp.items[i]);
    }
    free(l->streams);
    free(l->udp.items);
    *l = (struct listeners){0};
}

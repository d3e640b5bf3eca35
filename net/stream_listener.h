/*
 * One worker's share of a stream endpoint: polls the listening socket and accepts. Embedded; must
 * stay where it is until stream_listener_stop's closing has run.
 */
#ifndef NET_STREAM_LISTENER_H
#define NET_STREAM_LISTENER_H

#include "net/connections.h"

struct stream_listener {
    uv_poll_t poll;
    struct io *io;
    struct connections *connections;
    int fd;         /* borrowed from the endpoint */
    uint16_t index; /* in the snapshot's list: flow.listener */
    bool paused;
};

/* Starts to poll. `index` is set before. 0 or libuv's error. */
int stream_listener_start(struct stream_listener *l, struct io *io, struct connections *connections,
    const struct stream_endpoint *endpoint, unsigned worker);
/* Accepts again after a pause; call it every 100 ms or so. */
void stream_listener_resume(struct stream_listener *l);
/* Stops to poll; the descriptor stays the endpoint's. */
void stream_listener_stop(struct stream_listener *l);

#endif

/*
 * The connections of thousands of clients to one server over TCP, TLS or DTLS, one each. A
 * connection is made when its first message is sent, which waits until it stands.
 */
#ifndef BENCH_CONNECTIONS_H
#define BENCH_CONNECTIONS_H

#include "base/transport.h"
#include "bench/reader.h"

#include <netinet/in.h>

struct connections_settings {
    enum transport transport; /* not UDP */
    bool resume; /* TLS: a connection resumes the session of the one it follows, if there is one */
    struct sockaddr_in server;
    unsigned count;
};

struct connections_stats {
    uint64_t established;
    uint64_t resumed;
    uint64_t failed;  /* ended before they stood */
    uint64_t ended;   /* ended by the server afterwards */
    uint64_t dropped; /* messages for those, and such as were too long to wait */
};

struct connections;

/* NULL after one line on stderr. */
struct connections *connections_new(const struct connections_settings *settings);
void connections_free(struct connections *c);

/* Sends one message on a connection, making it from the address `from` when there is none; a
 * message that waits is replaced by the next. One that the server has ended takes none: only
 * connections_restart lets it be made again. Leaves at the latest with connections_flush. */
void connections_send(
    struct connections *c, unsigned index, struct in_addr from, struct slice message);
void connections_flush(struct connections *c);

/* Ends the connection in order; the next message makes another. May be called by the reader. */
void connections_restart(struct connections *c, unsigned index);

/* Goes on with what is not yet connected, and receives what has arrived. */
void connections_receive(struct connections *c, const struct endpoint_reader *reader);

struct connections_stats connections_stats(const struct connections *c);

#endif

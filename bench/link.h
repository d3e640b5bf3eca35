/*
 * One connected socket of the generator, TCP or UDP: never waits to receive, learns from the kernel
 * when the bytes arrived, and puts what is sent to one stream in a row into one send.
 */
#ifndef BENCH_LINK_H
#define BENCH_LINK_H

#include "base/slice.h"
#include "base/transport.h"

#include <netinet/in.h>
#include <sys/types.h>

#define LINK_OUTPUT_BYTES 65536

struct link {
    int fd;              /* -1: none */
    bool stream;         /* TCP */
    bool drained;        /* everything that had arrived was read; the caller takes it back */
    bool ending;         /* the other side is ending it: a short read is not all that there is */
    uint64_t arrived_ns; /* CLOCK_REALTIME at which the kernel received what was read last */
    struct link_output *output;
};

/* What is to leave on one stream; shared by all links of a thread. All zero: nothing. */
struct link_output {
    struct link *to; /* whose bytes they are */
    size_t len;
    uint8_t bytes[LINK_OUTPUT_BYTES];
};

/* Starts to connect from an address of this machine. 0, or -errno. TCP: connected when the socket
 * can be written; link_connected says how it went. */
int link_open(struct link *l, bool stream, struct in_addr from, const struct sockaddr_in *to);
int link_connected(const struct link *l);
/* Sends what it still has to send, then closes. A closed link is fine. */
void link_close(struct link *l);

/* Bytes read; 0: the other side has ended the stream; -EAGAIN: nothing there; -errno. */
ssize_t link_receive(struct link *l, uint8_t *out, size_t cap);

/* A datagram leaves at once, bytes of a stream at the latest with link_flush. Waits where the
 * kernel has no room. What cannot be sent is dropped: the link then ends at the next receive. */
void link_send(struct link *l, struct slice bytes);
void link_flush(struct link_output *output);

#endif

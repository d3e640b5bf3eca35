/* Who is handed what arrives. */
#ifndef BENCH_READER_H
#define BENCH_READER_H

#include "base/slice.h"

/* Called for each message: a datagram (those that arrived coalesced are taken apart first), or one
 * message of a stream without its padding. The bytes are borrowed. `arrived_ns`: CLOCK_REALTIME at
 * which the kernel received it. */
struct endpoint_reader {
    void (*datagram)(void *ctx, struct slice bytes, uint64_t arrived_ns);
    void *ctx;
};

#endif

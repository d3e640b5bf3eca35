/* Messages out of a stream that arrives in pieces, as a client of a TURN server sees it. */
#ifndef BENCH_REASSEMBLY_H
#define BENCH_REASSEMBLY_H

#include "bench/reader.h"

/* All zero: nothing has arrived. */
struct reassembly {
    uint8_t *bytes; /* the front of a message whose rest has not come; owned */
    size_t len, cap;
};

/* Afterwards nothing has arrived. */
void reassembly_deinit(struct reassembly *r);

/* Hands each message that is now whole to the reader, and keeps the rest. 0; -EPROTO: what came is
 * neither STUN nor ChannelData; -ENOMEM. After a failure the stream cannot go on. */
int reassembly_feed(struct reassembly *r, struct slice bytes, uint64_t arrived_ns,
    const struct endpoint_reader *reader);

#endif

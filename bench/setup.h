/* Transactions as fast as goes: whole sessions, or Binding requests. */
#ifndef BENCH_SETUP_H
#define BENCH_SETUP_H

#include "bench/bench_stats.h"
#include "bench/connections.h"
#include "bench/options.h"
#include "bench/usage.h"

struct setup_window {
    uint64_t completed;
    uint64_t failed;
    uint64_t repeats;
    uint16_t error;                       /* of a failure; 0: none, or no answer */
    struct connections_stats connections; /* all zero over UDP */
    struct usage used;
    struct histogram duration_ns; /* from the first request to the last answer */
};

/* Runs options->work.window sessions beside each other, each starting over from another address
 * when it is done. ROW_SETUP: Allocate, 401, Allocate, ChannelBind, Refresh 0. ROW_BINDING: one
 * Binding transaction. Over TCP, TLS and DTLS each makes a connection of its own first, and ends
 * it: with ROW_BINDING that is mostly the handshake. 0, or -errno. */
int setup_run(const struct options *options, struct setup_window *out);

#endif

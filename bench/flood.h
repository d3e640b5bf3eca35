/* Requests that a server must refuse, at a pace, from addresses that hold no allocation. */
#ifndef BENCH_FLOOD_H
#define BENCH_FLOOD_H

#include "bench/options.h"
#include "bench/pace.h"

struct flood;

/* Draws nonces where the flood needs them. NULL after one line on stderr. */
struct flood *flood_new(const struct options *options);
void flood_free(struct flood *f);

void flood_start(struct flood *f, uint64_t now_ns);
/* Sends what is due. */
void flood_send(struct flood *f, uint64_t now_ns);
/* Reads and counts the answers. */
void flood_receive(struct flood *f);
/* When flood_send has something to do again; CLOCK_MONOTONIC. */
uint64_t flood_next(const struct flood *f);
uint64_t flood_sent(const struct flood *f);
uint64_t flood_answered(const struct flood *f);

#endif

/* Packets through the relay: sent at a pace or as fast as goes, counted and timed on arrival. */
#ifndef BENCH_MEDIA_H
#define BENCH_MEDIA_H

#include "bench/bench_stats.h"
#include "bench/flood.h"
#include "bench/turn_client.h"
#include "bench/usage.h"

/* An RTP header, so that a relay that looks at media sees some, and the probe. */
#define MEDIA_SIZE_MIN 32
#define MEDIA_TAG_MAX  16 /* of SRTP */

/* What one measured window showed. */
struct media_window {
    uint64_t sent, received; /* when unpaced, received is known to 16 packets */
    uint64_t late;           /* packets that left over a millisecond behind the pace */
    uint64_t flooded;
    uint64_t answered;  /* answers to the flood */
    uint64_t active_ns; /* for which packets were sent; `used` lasts until they had arrived */
    struct usage used;
    struct histogram latency_ns;
};

struct media;

/* Sets up `options->work.allocations` sessions and their peer. NULL after one line on stderr. */
struct media *media_new(const struct options *options);
void media_free(struct media *m);

/* Lets `flood` (borrowed; NULL: none) run beside the media from now on. */
void media_set_flood(struct media *m, struct flood *flood);

/* Warms up, then measures for `seconds`. 0, or -errno when the server is gone. */
int media_run(struct media *m, double seconds, struct media_window *out);

/* Readings from before the sessions were set up and from after. */
const struct usage *media_before(const struct media *m);
const struct usage *media_after(const struct media *m);

#endif

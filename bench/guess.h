/* What the time of a refusal tells: requests with a wrong password for users that exist and for
 * users that do not, one at a time, in random order (THREATS row 8). */
#ifndef BENCH_GUESS_H
#define BENCH_GUESS_H

#include "bench/options.h"
#include "bench/welch.h"

struct guess_result {
    uint64_t lost;        /* requests without an answer in time: no value of theirs */
    struct welch compare; /* ns; first the known users, then the others */
};

/* Asks for options->guess.samples users of either kind. 0 or -errno. */
int guess_run(const struct options *options, struct guess_result *out);

#endif

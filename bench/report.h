/* One row of results: a JSON object on one line of stdout, and the same for people on stderr. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench/guess.h"
#include "bench/idle_connections.h"
#include "bench/media.h"
#include "bench/setup.h"

void report_media(const struct options *o, const struct media *m, const struct media_window *w);
/* `quiet` is the window before the flood. */
void report_flood(
    const struct options *o, const struct media_window *quiet, const struct media_window *w);
void report_setup(const struct options *o, const struct setup_window *w);
void report_idle_connections(const struct options *o, const struct idle_connections *c);
void report_guess(const struct options *o, const struct guess_result *r);
void report_srtp(const struct options *o, double verify_ns);

#endif

/* Counters as text, in the exposition format of Prometheus. Pure. */
#ifndef ADMIN_METRICS_TEXT_H
#define ADMIN_METRICS_TEXT_H

#include <stdio.h>

#include "base/counters.h"

/* Room that always suffices; checked by a test. */
#define METRICS_TEXT_MAX 65536

struct metrics_text {
    const struct counters_sum *sum;
    const char *version;
    bool comments; /* HELP and TYPE lines */
};

/*
 * Every series, zeros included, grouped by family in the order of families.def: as many lines
 * whatever happened. Labels are constants of this program; the version is the only one that is
 * handed in.
 */
void metrics_text_write(const struct metrics_text *m, FILE *out);

#endif

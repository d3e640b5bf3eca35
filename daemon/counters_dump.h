/* The answer to SIGUSR1: every series of /metrics, without comments. */
#ifndef DAEMON_COUNTERS_DUMP_H
#define DAEMON_COUNTERS_DUMP_H

#include "base/counters.h"

/*
 * One `name{labels} value` line a counter, to `fd`. A reader that does not keep up stops nothing:
 * 0, or -EAGAIN when it took only a part, -ENOMEM, or -errno of the write.
 */
int counters_dump(int fd, const struct counters_sum *sum);

#endif

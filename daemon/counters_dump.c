/*
 * The answer to SIGUSR1, on standard output.
 *
 * Always: a pipe that is full, or whose reader is gone, costs lines, never time. Called by control.
 */
#include "daemon/counters_dump.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void counters_dump_text(FILE *out, const struct counters_sum *sum)
{
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        fprintf(out, "turnpike_packets_dropped_total{reason=\"%s\"} %llu\n", reason_name(i),
            (unsigned long long)sum->dropped[i]);
    }
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        fprintf(out, "turnpike_requests_refused_total{reason=\"%s\"} %llu\n", reason_name(i),
            (unsigned long long)sum->refused[i]);
    }
    for (int i = 0; i < METRIC_COUNT; i++) {
        const char *labels = metric_labels(i);
        bool bare = labels[0] == '\0';
        fprintf(out, "%s%s%s%s %llu\n", metric_name(i), bare ? "" : "{", labels, bare ? "" : "}",
            (unsigned long long)sum->metric[i]);
    }
}

/* Writes at most what fits a pipe at once, and only where there is room for it. */
static int counters_dump_write(int fd, const char *text, size_t len)
{
    while (len > 0) {
        struct pollfd room = {.fd = fd, .events = POLLOUT};
        if (poll(&room, 1, 0) <= 0 || !(room.revents & POLLOUT)) {
            return -EAGAIN;
        }
        ssize_t n = write(fd, text, len < PIPE_BUF ? len : PIPE_BUF);
        if (n < 0) {
            return -errno;
        }
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

int counters_dump(int fd, const struct counters_sum *sum)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out) {
        return -ENOMEM;
    }
    counters_dump_text(out, sum);
    int r = fclose(out) == 0 ? counters_dump_write(fd, text, len) : -ENOMEM;
    free(text);
    return r;
}

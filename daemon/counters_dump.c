/*
 * The answer to SIGUSR1, on standard output.
 *
 * Always: a pipe that is full, or whose reader is gone, costs lines, never time. Called by control.
 */
#include "daemon/counters_dump.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/metrics_text.h"

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
    struct metrics_text metrics = {.sum = sum, .version = TURNPIKE_VERSION};
    metrics_text_write(&metrics, out);
    int r = fclose(out) == 0 ? counters_dump_write(fd, text, len) : -ENOMEM;
    free(text);
    return r;
}

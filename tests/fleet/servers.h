/* Real redis-server and redis-sentinel processes, each in a folder of its own, ended with the test.
 */
#ifndef TESTS_FLEET_SERVERS_H
#define TESTS_FLEET_SERVERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

struct test_redis {
    pid_t pid;     /* 0: not running */
    uint16_t port; /* on 127.0.0.1; stays the same over restarts */
    char folder[200];
    char socket[240]; /* a unix socket in it */
    const char *program;
    const char *const *more; /* further arguments, NULL at the end; outlive it */
};

uint16_t test_free_port(void);

/* Starts a server without data on disk and waits until it answers PING, at most 10 s; aborts after
 * that. `more`: "--requirepass", "secret", NULL. */
void test_redis_start(struct test_redis *r, const char *const *more);
/* The same program again, in the same folder, on the same port. */
void test_redis_restart(struct test_redis *r);
void test_redis_signal(struct test_redis *r, int signal); /* SIGSTOP, SIGCONT */
void test_redis_kill(struct test_redis *r);               /* SIGKILL, and waits for its end */
void test_redis_end(struct test_redis *r);                /* kill, and its folder goes */

/* A Sentinel that watches the master "m" at `port`, quorum 1, down after 300 ms. */
void test_sentinel_start(struct test_redis *r, uint16_t master_port);

/* A master, its replica, and a Sentinel that watches the master. */
struct test_trio {
    struct test_redis master, replica, sentinel;
    char master_port[8]; /* an argument of the replica */
    const char *follows[6];
};
/* The replica has come to the master, and to the Sentinel's knowledge too. */
void test_trio_start(struct test_trio *t);
void test_trio_end(struct test_trio *t);

/* One command through a blocking socket of the test's own, without password; true if the reply
 * begins with `expected`. Words are separated by blanks. */
bool test_redis_says(const struct test_redis *r, const char *words, const char *expected);
/* The same with arguments of any bytes. */
bool test_redis_command(
    const struct test_redis *r, const struct slice *argv, size_t argc, const char *expected);
/* Waits for that, at most 10 s; aborts after it. */
void test_redis_await(const struct test_redis *r, const char *words, const char *expected);

/* What the server is told by anybody: MONITOR. */
struct test_monitor {
    int fd;
    size_t len;
    char text[65536];
};
void test_monitor_start(struct test_monitor *m, const struct test_redis *r);
/* All that was said until now, as lines of MONITOR with a NUL behind them. Valid until the next
 * call. */
const char *test_monitor_read(struct test_monitor *m, const struct test_redis *r);
void test_monitor_end(struct test_monitor *m);

#endif

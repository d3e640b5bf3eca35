/*
 * What the service manager is told, as sd_notify(3) describes it: datagrams of "KEY=value" lines to
 * the socket that NOTIFY_SOCKET names, a path or, behind an '@', an abstract name. Nothing waits: a
 * manager that does not read loses no state, which is said again, and stops nothing. Any thread,
 * one at a time.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NOTIFY_TEXT_MAX 512

/* Zero-initialised with fd -1: nobody is told. */
struct notify {
    int fd;
    struct sockaddr_un to;
    socklen_t to_len;
    uint64_t watchdog_us; /* a sign of life is expected this often; 0: none */
    bool refused;         /* the last datagram was not taken */
    bool owed;            /* `state` has not been taken yet */
    char state[NOTIFY_TEXT_MAX];
};

/*
 * Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment, which no child is to
 * inherit: before there are other threads that may read it. 0, also where nobody is to be told; or
 * -EINVAL (neither a path nor an abstract name, or too long) or another -errno, and nobody is told.
 */
int notify_init(struct notify *n);
/*
 * A change of state: "READY=1" and the like, with what `status` says behind it in a STATUS line
 * (NULL: none), control characters replaced. What is not taken is owed.
 */
void notify_state(struct notify *n, const char *state, const char *status);
/* A datagram that nobody misses if it is not taken: WATCHDOG=1, EXTEND_TIMEOUT_USEC, or STATUS
 * alone. */
void notify_alive(struct notify *n);
void notify_extend(struct notify *n, uint64_t us);
void notify_status(struct notify *n, const char *status);
/* Says once more what is owed. */
void notify_retry(struct notify *n);
/* Closes the socket. */
void notify_deinit(struct notify *n);

#endif

/*
 * sd_notify by hand: sixty lines instead of a library.
 *
 * Always: a datagram is sent whole or not at all, and never waited for. Only the latest state is
 * owed: READY=1 makes an unsaid RELOADING=1 pointless. Called by service.c.
 */
#include "daemon/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

/* 0 or -EINVAL. "If the first character of $NOTIFY_SOCKET is "/" or "@", the string is understood
 * as an AF_UNIX or Linux abstract namespace AF_UNIX datagram socket (respectively)" (sd_notify(3)).
 */
static int notify_address(struct notify *n, const char *name)
{
    const size_t len = strlen(name), prefix = offsetof(struct sockaddr_un, sun_path);
    if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(n->to.sun_path)) {
        return -EINVAL;
    }
    n->to = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(n->to.sun_path, name, len);
    /* An abstract name has no end mark: each byte counts. */
    n->to_len = (socklen_t)(prefix + len + (name[0] == '/'));
    if (name[0] == '@') {
        n->to.sun_path[0] = '\0';
    }
    return 0;
}

/* 0: none is wanted, or of another process. */
static uint64_t notify_watchdog(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    char *end;
    if (!us || (pid && strtol(pid, NULL, 10) != (long)getpid())) {
        return 0;
    }
    errno = 0;
    const unsigned long long value = strtoull(us, &end, 10);
    return errno == 0 && end != us && *end == '\0' && us[0] != '-' ? value : 0;
}

int notify_init(struct notify *n)
{
    const char *name = getenv("NOTIFY_SOCKET");
    int r = 0;
    *n = (struct notify){.fd = -1};
    if (name && name[0]) {
        r = notify_address(n, name);
        n->fd = r < 0 ? -1 : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        r = r == 0 && n->fd < 0 ? -errno : r;
        n->watchdog_us = n->fd >= 0 ? notify_watchdog() : 0;
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return r;
}

/* False: not taken. Said once, until one is taken again. */
static bool notify_send(struct notify *n, const char *text)
{
    const struct sockaddr *to = (const struct sockaddr *)&n->to;
    if (n->fd < 0 || sendto(n->fd, text, strlen(text), MSG_NOSIGNAL, to, n->to_len) >= 0) {
        n->refused = false;
        return true;
    }
    const int error = errno;
    if (!n->refused) {
        log_event(LOG_WARN, "service_manager_not_told", log_str("error", strerror(error)));
    }
    n->refused = true;
    return false;
}

static void notify_format(char out[NOTIFY_TEXT_MAX], const char *state, const char *status)
{
    int len = snprintf(out, NOTIFY_TEXT_MAX, "%s%s", state, status ? "STATUS=" : "");
    for (; status && *status && len < NOTIFY_TEXT_MAX - 1; status++) {
        out[len++] = (unsigned char)*status < ' ' ? ' ' : *status;
    }
    out[len] = '\0';
}

void notify_state(struct notify *n, const char *state, const char *status)
{
    char line[NOTIFY_TEXT_MAX / 4];
    snprintf(line, sizeof(line), "%s\n", state);
    notify_format(n->state, line, status);
    n->owed = !notify_send(n, n->state);
}

void notify_alive(struct notify *n)
{
    (void)notify_send(n, "WATCHDOG=1\n");
}

void notify_extend(struct notify *n, uint64_t us)
{
    char text[64];
    snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%" PRIu64 "\n", us);
    (void)notify_send(n, text);
}

void notify_status(struct notify *n, const char *status)
{
    char text[NOTIFY_TEXT_MAX];
    notify_format(text, "", status);
    (void)notify_send(n, text);
}

void notify_retry(struct notify *n)
{
    if (n->owed) {
        n->owed = !notify_send(n, n->state);
    }
}

void notify_deinit(struct notify *n)
{
    if (n->fd >= 0) {
        close(n->fd);
    }
    n->fd = -1;
}

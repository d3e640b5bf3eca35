/*
 * What the daemon gives up before it takes anything from the network. Main thread.
 */
#ifndef DAEMON_SANDBOX_H
#define DAEMON_SANDBOX_H

#include "base/counters.h"
#include "config/config.h"

/* What is in force. */
struct sandbox {
    char user[33];     /* whom it runs as: a name, or a number where there is none */
    bool unprivileged; /* not root */
    bool seccomp;
    int seccomp_error; /* -errno: why not */
    int landlock; /* version of the kernel's interface; 0: not in force; else -errno, why not */
};

/*
 * The last step of a start from `path` (NULL: no file), when everything is open and no other thread
 * runs: threads inherit it.
 * 0, or -errno with a line in `error`.
 */
int sandbox_enter(struct sandbox *out, const struct config *config, const char *path, char *error,
    size_t error_cap);
/* Says what is in force, and what is not although it could be. */
void sandbox_log(const struct sandbox *s, const struct config *config);
void sandbox_count(const struct sandbox *s, struct counters *counters);

#endif

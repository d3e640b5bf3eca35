/*
 * The steps by which the daemon shuts itself in, in their order, and what is said of them.
 *
 * Always: what is said to be in force is in force for every thread. Called by control.
 */
#include "daemon/sandbox.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/privileges.h"

/* Before the folders are closed: names stand in files. */
static void sandbox_name_user(struct sandbox *s)
{
    const struct passwd *user = getpwuid(geteuid());
    s->unprivileged = geteuid() != 0;
    if (user) {
        snprintf(s->user, sizeof(s->user), "%s", user->pw_name);
    } else {
        snprintf(s->user, sizeof(s->user), "%u", (unsigned)geteuid());
    }
}

int sandbox_enter(struct sandbox *out, const struct config *config, char *error, size_t error_cap)
{
    struct sandbox s = {0};
    sandbox_name_user(&s);
    int r = privileges_drop();
    if (r < 0) {
        snprintf(error, error_cap, "privileges cannot be given up: %s", strerror(-r));
        return r;
    }
    *out = s;
    return 0;
}

void sandbox_log(const struct sandbox *s, const struct config *config)
{
    if (!s->unprivileged && !config->sandbox.user) {
        log_event(LOG_WARN, "running_as_root",
            log_str("why", "there is no user '" SANDBOX_USER "' to become"),
            log_str("mend", "make one: adduser --system --group " SANDBOX_USER
                            "; or say 'user: root' if it is to be so"));
    }
    log_event(LOG_INFO, "sandbox", log_str("user", s->user));
}

void sandbox_count(const struct sandbox *s, struct counters *counters)
{
    counters_gauge_set(counters, GAUGE_SANDBOX_USER, s->unprivileged);
}

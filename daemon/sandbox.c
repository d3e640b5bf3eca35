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
#include "daemon/places.h"
#include "daemon/privileges.h"
#include "daemon/syscall_filter.h"

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

static int sandbox_close_folders(struct sandbox *s, const struct config *config, const char *path)
{
    struct places places;
    int r = places_init(&places, config, path);
    if (r < 0) {
        return r;
    }
    s->landlock = landlock_enter(places.list);
    places_deinit(&places);
    return 0;
}

/* 0, or -errno with a line in `error`: something cannot be had that is required. */
static int sandbox_require(const struct sandbox *s, char *error, size_t error_cap)
{
    if (s->landlock < 0) {
        snprintf(error, error_cap, "sandbox: folders cannot be closed: %s", strerror(-s->landlock));
        return s->landlock;
    }
    if (s->seccomp_error < 0) {
        snprintf(error, error_cap, "sandbox: no filter of system calls: %s",
            strerror(-s->seccomp_error));
        return s->seccomp_error;
    }
    return 0;
}

/* Folders first: the filter has no calls that close them. */
static int sandbox_shut(
    struct sandbox *s, const struct config *config, const char *path, char *error, size_t error_cap)
{
    int r = sandbox_close_folders(s, config, path);
    if (r < 0) {
        snprintf(error, error_cap, "out of memory");
        return r;
    }
    s->seccomp_error = syscall_filter_enter();
    s->seccomp = s->seccomp_error == 0;
    return config->sandbox.mode == SANDBOX_REQUIRED ? sandbox_require(s, error, error_cap) : 0;
}

int sandbox_enter(struct sandbox *out, const struct config *config, const char *path, char *error,
    size_t error_cap)
{
    struct sandbox s = {0};
    sandbox_name_user(&s);
    int r = privileges_drop();
    if (r < 0) {
        snprintf(error, error_cap, "privileges cannot be given up: %s", strerror(-r));
        return r;
    }
    if (config->sandbox.mode != SANDBOX_OFF) {
        r = sandbox_shut(&s, config, path, error, error_cap);
    }
    if (r == 0) {
        *out = s;
    }
    return r;
}

void sandbox_log(const struct sandbox *s, const struct config *config)
{
    if (!s->unprivileged && !config->sandbox.user) {
        log_event(LOG_WARN, "running_as_root",
            log_str("why", "there is no user '" SANDBOX_USER "' to become"),
            log_str("mend", "make one: adduser --system --group " SANDBOX_USER
                            "; or say 'user: root' if it is to be so"));
    }
    if (s->landlock < 0) {
        log_event(LOG_WARN, "no_landlock", log_str("error", strerror(-s->landlock)));
    }
    if (s->seccomp_error < 0) {
        log_event(LOG_WARN, "no_seccomp", log_str("error", strerror(-s->seccomp_error)));
    }
    log_event(LOG_INFO, "sandbox", log_str("user", s->user),
        log_str("seccomp", s->seccomp ? "on" : "off"),
        log_i64("landlock", s->landlock > 0 ? s->landlock : 0));
}

void sandbox_count(const struct sandbox *s, struct counters *counters)
{
    counters_gauge_set(counters, GAUGE_SANDBOX_USER, s->unprivileged);
    counters_gauge_set(counters, GAUGE_SANDBOX_SECCOMP, s->seccomp);
    counters_gauge_set(counters, GAUGE_SANDBOX_LANDLOCK, s->landlock > 0);
}

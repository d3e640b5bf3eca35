/* What the configuration says about draining: how an instance is emptied without cutting calls.
 * Plain data. */
#ifndef RELAY_DRAIN_SETTINGS_H
#define RELAY_DRAIN_SETTINGS_H

#include "base/addr.h"

#define DRAIN_ALTERNATES_MAX 16
/* "a valid DNS name [RFC1123] (including A-labels [RFC5890]) of 255 or fewer ASCII characters" (RFC
 * 8489 section 14.16) */
#define DRAIN_DOMAIN_MAX 255

/* Where clients are sent. */
struct drain_alternates {
    struct addr servers[DRAIN_ALTERNATES_MAX]; /* port 0: that to which the client came here */
    size_t count;                              /* 0: nowhere, they draw 508 */
    char domain[DRAIN_DOMAIN_MAX + 1];         /* in the certificate of those servers; "": the same
                                                  name as in ours */
};

struct drain_settings {
    uint32_t deadline_s; /* from the beginning of a drain; default 1 h */
    struct drain_alternates alternates;
    bool stop;       /* the daemon stops when nothing is left */
    bool on_sigterm; /* SIGTERM drains and then stops */
};

#endif

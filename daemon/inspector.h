/*
 * `turnpikectl limits`: the limits that hold for somebody, with what this instance knows of them
 * and what Redis says. Changes nothing. Control thread.
 */
#ifndef DAEMON_INSPECTOR_H
#define DAEMON_INSPECTOR_H

#include "admin/ops.h"
#include "config/config.h"
#include "daemon/limiter.h"
#include "ratelimit/guesses.h"

/* Everything borrowed for life; plain. */
struct inspector {
    const struct config *config; /* the running one */
    struct rate_table *rates;
    struct quota_table *quotas;
    const struct guesses *guesses;
    struct limiter *limiter;
};

/* As admin_ops.limits; `redis` is what admin_limits_found says of the link. */
void inspector_ask(const struct inspector *i, const char *redis, const struct admin_limits *what);

#endif

/* What the admin server and SIGUSR1 see of the daemon: fills in admin/ops.h. Control thread. */
#ifndef DAEMON_OBSERVE_H
#define DAEMON_OBSERVE_H

#include "admin/ops.h"
#include "config/config.h"
#include "daemon/drain.h"
#include "daemon/endpoints.h"
#include "daemon/explainer.h"
#include "daemon/inspector.h"
#include "daemon/kicker.h"
#include "daemon/issuer.h"
#include "daemon/log_level.h"
#include "daemon/media_keys.h"
#include "daemon/sandbox.h"
#include "daemon/sessions.h"
#include "daemon/sharing.h"
#include "net/worker.h"

/* Everything borrowed from control, for life. */
struct observe {
    const struct worker_list *workers;
    const struct endpoints *endpoints;
    const struct config *config;
    const char *path;        /* of the configuration; NULL: none */
    const uint64_t *version; /* of the configuration */
    const unsigned *waiting; /* workers that have not taken it yet */
    const bool *stopping;
    struct activation *given;
    struct counters *own;
    struct sharing *sharing;
    const struct sandbox *sandbox;
    struct explainer *explainer;
    struct media_keys *media_keys;
    struct sessions *sessions;
    struct kicker *kicker;
    struct inspector inspector;
    struct issuer issuer;
    struct log_level_state *log_level;
    struct drain *drain;
    /* As admin_ops.reload; and likewise when every worker has what control has now. */
    void (*reload)(void *control, const struct admin_reload *what);
    void (*settle)(void *control, admin_drain_fn *done, void *done_ctx);
    void *control;
    uint64_t started_us;
    unsigned polling; /* workers whose loop runs; control counts them */
};

void observe_counters(const struct observe *o, struct counters_sum *out);
/* admin_ops.drain_state; `ctx` is the struct observe. */
void observe_drain(void *ctx, struct admin_drain *out);
/* That live, of all workers. */
uint64_t observe_allocations(const struct counters_sum *sum);
/* Answers out of `o`, which must stay where it is. */
struct admin_ops observe_ops(struct observe *o);

#endif

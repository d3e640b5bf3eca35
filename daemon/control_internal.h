/* What the files of the control thread share. Private to control.c and reload.c. */
#ifndef DAEMON_CONTROL_INTERNAL_H
#define DAEMON_CONTROL_INTERNAL_H

#include <uv.h>

#include "admin/admin.h"
#include "config/config.h"
#include "daemon/certificates.h"
#include "daemon/drain.h"
#include "daemon/endpoints.h"
#include "daemon/kicker.h"
#include "daemon/log_level.h"
#include "daemon/media_keys.h"
#include "daemon/observe.h"
#include "daemon/sandbox.h"
#include "daemon/service.h"
#include "daemon/reload_answers.h"
#include "daemon/sessions.h"
#include "daemon/usage_send.h"
#include "net/socket_budget.h"
#include "net/worker.h"
#include "ratelimit/connection_counts.h"

/* SIGHUP, SIGTERM, SIGINT, SIGUSR1. */
#define SIGNALS 4

struct control {
    uv_loop_t loop;
    uv_signal_t signals[SIGNALS];
    uv_timer_t housekeeping;
    struct mailbox *mailbox;
    bool loop_open;

    const char *path;
    struct config config;
    struct secret nonce_secret;
    struct activation given;
    struct endpoints endpoints;
    struct relay_shared shared;
    struct worker_list workers;
    struct socket_budget sockets;
    bool admin_reserved; /* of these, what TLS of the admin server takes */
    struct connection_counts *connections, *dtls;
    struct net_snapshot *snapshot, *retiring;
    const struct auth *auth;          /* of the snapshot */
    uint64_t version, config_version; /* of the snapshot; of the configuration in it */
    unsigned waiting;                 /* workers that have not taken the snapshot yet */
    bool reload_again;                /* SIGHUP came while waiting */
    bool rebuild_again; /* what is never a peer, or the drain, has changed, and is not in a snapshot
                           yet */
    struct reload_answers answers;
    struct drain drain;
    struct lookups lookups;
    struct explainer *explainer;
    struct limiter *limiter;
    struct media_keys *media_keys;
    struct sessions sessions;
    struct kicker kicker;
    struct sharing *sharing;
    struct usage_writer *usage;
    unsigned running; /* worker threads */
    bool stopping, drain_signalled;
    struct counters counters;
    struct observe observe;
    struct admin *admin;
    uint64_t lost_logged_us, lost_suppressed;
    struct service service;
    struct certificates certificates, admin_certificates;
    struct sandbox sandbox;
    struct log_level_state log_level;
};

/* What service_ready and service_tick are to say: one line on what runs. Returns `out`. */
const char *control_status(struct control *c, char out[NOTIFY_TEXT_MAX]);
/* Tells every worker to stop; the loop ends when they have. */
void control_stop(struct control *c);

/* control_life.c */
/* Before anything is started. */
void control_life_init(struct control *c);
/* SIGTERM or SIGINT. */
void control_on_end(struct control *c, int number);
/* observe.reload and observe.settle */
void control_reload(void *ctx, const struct admin_reload *what);
void control_settle(void *ctx, admin_drain_fn *done, void *done_ctx);
/* From the first configuration on that has TLS for the admin server: whoever comes to it takes no
 * file that allocations count on. */
void control_reserve_admin(struct control *c, const struct admin_settings *settings);

/* The first snapshot, with the host's part of `config` filled in. 0, or -errno with a line in
 * `error`, or with none for want of memory. */
int reload_first(struct control *c, struct config *config, char *error, size_t error_cap);
/* Reads the file again, now or when all workers have taken the snapshot before. */
void reload_run(struct control *c);
/* The same for somebody who is told, at once or later. */
void reload_ask(struct control *c, const struct admin_reload *what);
/* Tells how the drain is when every worker judges by what control has now. */
void reload_await(struct control *c, admin_drain_fn *done, void *ctx);
/* They all do. */
bool reload_is_settled(const struct control *c);
/* Builds a snapshot of the running configuration once more, with what is never a peer and the drain
 * as they are now: now, or when all workers have taken the one before, or once more if it fails. */
void reload_rebuild(struct control *c);
/* Once a second: what could not be done then. */
void reload_tick(struct control *c);
/* A worker has taken the latest snapshot. */
void reload_taken(struct control *c);

#endif

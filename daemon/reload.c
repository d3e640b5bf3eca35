/*
 * From a file to what the workers judge by, at start and at each reload.
 *
 * Always: a reload is a transaction: the next configuration is read, filled in, bound and built
 * whole before the first worker hears of it, and a failure anywhere leaves the running one as it
 * is. A snapshot is freed when every worker has taken a later one; the next reload waits for that.
 * Called by control.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/build_snapshot.h"
#include "daemon/control_internal.h"
#include "daemon/fill_in.h"

/* What the file leaves to this host and this run. 0, or -errno with a line in `error`. */
static int reload_fill_in(struct control *c, struct config *config, char *error, size_t error_cap)
{
    int r = fill_in_relayed(&config->relay, error, error_cap);
    if (r < 0) {
        return r;
    }
    r = fill_in_nonce_secret(config, &c->nonce_secret);
    if (r < 0) {
        snprintf(error, error_cap, "no randomness for the nonce secret");
    }
    return r < 0 ? r : usage_writer_check(&config->usage, error, error_cap);
}

/* 0 or -ENOMEM. */
static int reload_add_redis(struct control *c, struct config *config)
{
    size_t count;
    const struct addr *list = sharing_addresses(c->sharing, &count);
    return fill_in_never(config, list, count);
}

/*
 * A configuration as it will run: sockets bound, addresses found. 0, or -errno with a line in
 * `error` and nothing bound.
 */
static int reload_prepare(
    struct control *c, struct config *config, size_t *added, char *error, size_t error_cap)
{
    int r = endpoints_open(&c->endpoints, &config->net, added, error, error_cap);
    if (r < 0) {
        return r;
    }
    r = fill_in_policy(config, &c->endpoints, error, error_cap);
    if (r == 0 && (r = reload_add_redis(c, config)) < 0) {
        snprintf(error, error_cap, "out of memory");
    }
    if (r < 0) {
        endpoints_take_back(&c->endpoints, *added);
    }
    return r;
}

/* The difference as text, to be freed; NULL: no memory. */
static char *reload_diff(const struct config *running, const struct config *next, bool *restart)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out) {
        return NULL;
    }
    *restart = config_diff(running, next, out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static void reload_log_diff(const char *text, bool restart)
{
    for (size_t len; *text; text += len + (text[len] == '\n')) {
        len = strcspn(text, "\n");
        log_event(LOG_INFO, "config_changed", log_bytes("what", slice_of(text, len)));
    }
    if (restart) {
        log_event(
            LOG_WARN, "restart_needed", log_str("why", "some changes apply at the next start"));
    }
}

/* One of the two ends of a reload: nothing has changed. */
static void reload_failed(struct control *c, const char *error)
{
    log_event(LOG_ERROR, "reload_failed", log_str("error", error), log_str("running", "as before"));
    reload_answers_failed(&c->answers, error);
}

/* The other one: every worker judges by it. Also of a snapshot that was built for something else.
 */
static void reload_settled(struct control *c)
{
    snapshot_free(c->retiring);
    c->retiring = NULL;
    reload_answers_taken(&c->answers, c->version);
}

/*
 * Hands the snapshot to every worker. A worker has room: it holds at most one snapshot and a stop
 * in its reserved slots.
 */
static void reload_post_snapshot(struct control *c)
{
    for (unsigned i = 0; i < c->workers.count; i++) {
        struct mailbox_message m = {.kind = MAILBOX_SNAPSHOT};
        m.u.snapshot = c->snapshot;
        if (mailbox_post(worker_mailbox(c->workers.items[i]), &m) == 0) {
            c->waiting++;
        } else {
            log_event(LOG_ERROR, "snapshot_not_posted", log_u64("worker", i));
        }
    }
}

static void reload_swap(struct control *c, struct net_snapshot *built)
{
    c->retiring = c->snapshot;
    c->snapshot = built;
    c->auth = built->relay.auth;
    c->version++;
    c->rebuild_again = false;
    reload_post_snapshot(c);
}

/* What a reload makes of the file, whole, before anything of it counts. */
struct reload_next {
    struct config config;
    struct endpoint_plan plan;
    struct net_snapshot *snapshot;
    struct admin_policy *policy;
    char *diff; /* how it differs: config_diff's text */
    bool restart;
};

/* Runs it from here on: it only has to be handed out. Takes everything over. */
static void reload_switch(struct control *c, struct reload_next *next)
{
    const struct admin_reloaded told = {
        .version = c->config_version + 1, .listeners_kept = next->plan.others};
    endpoints_adopt(&c->endpoints, &next->plan);
    config_deinit(&c->config);
    c->config = next->config;
    c->config_version++;
    log_level_configure(
        &c->log_level, c->config.log_level, c->config.log_format, clock_now().mono_us);
    admin_set_policy(c->admin, next->policy);
    control_reserve_admin(c, &c->config.admin);
    reload_answers_built(&c->answers, next->diff, c->version + 1, &told);
    reload_swap(c, next->snapshot);
    usage_writer_configure(c->usage, &c->config.usage, &c->config.auth);
    sharing_reloaded(c->sharing);
    certificates_take(&c->certificates, next->snapshot->tls, &c->counters);
    certificates_take(&c->admin_certificates, admin_certificates(c->admin), NULL);
    log_event(
        LOG_INFO, "reloaded", log_str("file", c->path), log_u64("version", c->config_version));
}

/* False with a line in *error: nothing has changed. */
static bool reload_build(struct control *c, struct reload_next *next, struct config_error *error)
{
    size_t added = 0;
    if (reload_prepare(c, &next->config, &added, error->text, sizeof(error->text)) < 0) {
        return false;
    }
    if (endpoints_plan(&next->plan, &c->endpoints, &next->config.net) < 0) {
        snprintf(error->text, sizeof(error->text), "out of memory");
    } else {
        const struct snapshot_source from = {.config = &next->config,
            .ports = c->shared.ports,
            .plan = &next->plan,
            .drain = &c->drain,
            .version = c->version + 1};
        next->snapshot = snapshot_build(&from, error->text, sizeof(error->text));
    }
    if (!next->snapshot) {
        endpoints_plan_deinit(&next->plan);
        endpoints_take_back(&c->endpoints, added);
    }
    return next->snapshot != NULL;
}

/* Says what differs, then puts what needs a restart back to what runs, and realms where they were.
 * NULL with a line in *error. */
static char *reload_settle(
    struct control *c, struct config *next, bool *restart, struct config_error *error)
{
    char *diff = reload_diff(&c->config, next, restart);
    snprintf(error->text, sizeof(error->text), "out of memory");
    if (diff &&
        (config_keep(next, &c->config) < 0 || config_place_realms(next, &c->config, error) < 0)) {
        free(diff);
        return NULL;
    }
    return diff;
}

/* The file, with what it leaves to others filled in. False with a line in *error. */
static bool reload_read(struct control *c, struct reload_next *next, struct config_error *error)
{
    struct admin_error admin_error;
    if (!c->path) {
        snprintf(error->text, sizeof(error->text),
            "started without a configuration file: a restart reads one that was written since");
        return false;
    }
    if (config_load(&next->config, c->path, error) < 0 ||
        reload_fill_in(c, &next->config, error->text, sizeof(error->text)) < 0) {
        return false;
    }
    next->diff = reload_settle(c, &next->config, &next->restart, error);
    if (!next->diff) {
        return false;
    }
    if (admin_policy_new(&next->policy, &next->config.admin, &admin_error) < 0) {
        snprintf(error->text, sizeof(error->text), "%s", admin_error.text);
        return false;
    }
    return true;
}

static void reload_now(struct control *c)
{
    struct config_error error;
    struct reload_next next = {0};
    const size_t before = c->endpoints.count;
    if (!reload_read(c, &next, &error) || !reload_build(c, &next, &error)) {
        admin_policy_free(next.policy);
        config_deinit(&next.config);
        free(next.diff);
        reload_failed(c, error.text);
        return;
    }
    reload_log_diff(next.diff, next.restart);
    if (next.plan.others > 0) {
        log_event(LOG_WARN, "listeners_kept", log_u64("count", next.plan.others),
            log_str("until", "the next start"));
    }
    reload_switch(c, &next);
    endpoints_log(&c->endpoints, before);
}

/* False with a line in `error`: nothing has changed. */
static bool reload_rebuild_now(struct control *c, char *error, size_t error_cap)
{
    struct endpoint_plan plan = {0};
    if (reload_add_redis(c, &c->config) < 0 ||
        endpoints_plan(&plan, &c->endpoints, &c->config.net) < 0) {
        snprintf(error, error_cap, "out of memory");
        return false;
    }
    const struct snapshot_source from = {.config = &c->config,
        .ports = c->shared.ports,
        .plan = &plan,
        .tls = c->snapshot->tls,
        .drain = &c->drain,
        .version = c->version + 1};
    struct net_snapshot *built = snapshot_build(&from, error, error_cap);
    endpoints_plan_deinit(&plan);
    if (!built) {
        return false;
    }
    reload_swap(c, built);
    explainer_forget(c->explainer);
    return true;
}

void reload_rebuild(struct control *c)
{
    char error[512];
    c->rebuild_again = c->waiting > 0;
    if (!c->rebuild_again && !c->stopping && !reload_rebuild_now(c, error, sizeof(error))) {
        c->rebuild_again = true;
        log_event(LOG_ERROR, "snapshot_not_built", log_str("error", error),
            log_str("why", "addresses of Redis, or a drain, do not count yet; tried again"));
    }
}

void reload_tick(struct control *c)
{
    if (c->rebuild_again) {
        reload_rebuild(c);
    }
}

/* The service manager hears of each, also of one that changes nothing. */
static void reload_end(struct control *c)
{
    char status[NOTIFY_TEXT_MAX];
    service_reloaded(&c->service, control_status(c, status));
}

static void reload_begin(struct control *c)
{
    service_reloading(&c->service, clock_now().mono_us);
    reload_now(c);
    if (c->waiting == 0) {
        reload_end(c);
    }
}

void reload_run(struct control *c)
{
    usage_writer_reopen(c->usage);
    if (c->waiting > 0) {
        c->reload_again = true;
    } else {
        reload_begin(c);
    }
}

void reload_ask(struct control *c, const struct admin_reload *what)
{
    static const struct admin_reloaded busy = {.error = "too many wait for a reload", .busy = true},
                                       stopping = {.error = "the daemon stops", .busy = true};
    if (c->stopping) {
        what->done(what->ctx, &stopping);
    } else if (!reload_answers_ask(&c->answers, what->done, what->ctx)) {
        what->done(what->ctx, &busy);
    } else {
        reload_run(c);
    }
}

bool reload_is_settled(const struct control *c)
{
    return c->waiting == 0 && !c->rebuild_again;
}

void reload_await(struct control *c, admin_drain_fn *done, void *ctx)
{
    const uint64_t version = c->version + (c->rebuild_again ? 1 : 0);
    const bool waits = !reload_is_settled(c) && !c->stopping;
    if (!reload_answers_await(&c->answers, waits ? version : 0, done, ctx)) {
        (void)reload_answers_await(&c->answers, 0, done, ctx); /* too many wait */
    }
}

void reload_taken(struct control *c)
{
    if (c->waiting == 0 || --c->waiting > 0) {
        return;
    }
    reload_settled(c);
    if (c->reload_again && !c->stopping) {
        c->reload_again = false;
        reload_begin(c);
    } else {
        reload_end(c);
    }
    reload_tick(c);
}

int reload_first(struct control *c, struct config *config, char *error, size_t error_cap)
{
    struct endpoint_plan plan = {0};
    size_t added;
    int r = reload_fill_in(c, config, error, error_cap);
    if (r == 0) {
        r = reload_prepare(c, config, &added, error, error_cap);
    }
    if (r == 0) {
        r = endpoints_plan(&plan, &c->endpoints, &config->net);
    }
    if (r < 0) {
        return r;
    }
    const struct snapshot_source from = {.config = config,
        .ports = c->shared.ports,
        .plan = &plan,
        .drain = &c->drain,
        .version = 1};
    c->snapshot = snapshot_build(&from, error, error_cap);
    endpoints_adopt(&c->endpoints, &plan);
    if (!c->snapshot) {
        return -EINVAL;
    }
    c->auth = c->snapshot->relay.auth;
    c->version = c->config_version = 1;
    return 0;
}

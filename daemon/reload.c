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

static void reload_log_diff(char *text, bool restart)
{
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        if (line[0]) {
            log_event(LOG_INFO, "config_changed", log_str("what", line));
        }
    }
    if (restart) {
        log_event(
            LOG_WARN, "restart_needed", log_str("why", "some changes apply at the next start"));
    }
}

static void reload_failed(const char *error)
{
    log_event(LOG_ERROR, "reload_failed", log_str("error", error), log_str("running", "as before"));
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

/* Runs `next` from here on: built whole, it only has to be handed out. */
static void reload_switch(struct control *c, struct config *next, struct endpoint_plan *plan,
    struct net_snapshot *built, struct admin_policy *policy)
{
    endpoints_adopt(&c->endpoints, plan);
    config_deinit(&c->config);
    c->config = *next;
    c->config_version++;
    log_level_configure(
        &c->log_level, c->config.log_level, c->config.log_format, clock_now().mono_us);
    admin_set_policy(c->admin, policy);
    reload_swap(c, built);
    usage_writer_configure(c->usage, &c->config.usage, &c->config.auth);
    sharing_reloaded(c->sharing);
    certificates_take(&c->certificates, built->tls, &c->counters);
    certificates_take(&c->admin_certificates, admin_certificates(c->admin), NULL);
    log_event(
        LOG_INFO, "reloaded", log_str("file", c->path), log_u64("version", c->config_version));
}

/* NULL with a line in `error`: nothing has changed. Else *plan is what the endpoints are to be. */
static struct net_snapshot *reload_build(struct control *c, struct config *next,
    struct endpoint_plan *plan, char *error, size_t error_cap)
{
    size_t added = 0;
    if (reload_prepare(c, next, &added, error, error_cap) < 0) {
        return NULL;
    }
    struct net_snapshot *built = NULL;
    if (endpoints_plan(plan, &c->endpoints, &next->net) < 0) {
        snprintf(error, error_cap, "out of memory");
    } else {
        const struct snapshot_source from = {
            .config = next, .ports = c->shared.ports, .plan = plan, .version = c->version + 1};
        built = snapshot_build(&from, error, error_cap);
    }
    if (!built) {
        endpoints_plan_deinit(plan);
        endpoints_take_back(&c->endpoints, added);
    }
    return built;
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

static void reload_now(struct control *c)
{
    char error[512], *diff = NULL;
    struct config_error config_error;
    struct config next = {0};
    struct net_snapshot *built = NULL;
    struct admin_error admin_error;
    struct admin_policy *policy = NULL;
    struct endpoint_plan plan = {0};
    size_t before = c->endpoints.count;
    bool restart = false;
    if (!c->path) {
        reload_failed("started without a configuration file");
        return;
    }
    if (config_load(&next, c->path, &config_error) < 0) {
        reload_failed(config_error.text);
        return;
    }
    if (reload_fill_in(c, &next, error, sizeof(error)) == 0) {
        diff = reload_settle(c, &next, &restart, &config_error);
        snprintf(error, sizeof(error), "%s", config_error.text);
    }
    if (diff && admin_policy_new(&policy, &next.admin, &admin_error) < 0) {
        snprintf(error, sizeof(error), "%s", admin_error.text);
    } else if (diff) {
        built = reload_build(c, &next, &plan, error, sizeof(error));
    }
    if (!built) {
        reload_failed(error);
        admin_policy_free(policy);
        config_deinit(&next);
        free(diff);
        return;
    }
    reload_log_diff(diff, restart);
    free(diff);
    if (plan.others > 0) {
        log_event(LOG_WARN, "listeners_kept", log_u64("count", plan.others),
            log_str("until", "the next start"));
    }
    reload_switch(c, &next, &plan, built, policy);
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
        log_event(LOG_ERROR, "peer_policy_kept", log_str("error", error),
            log_str("why", "the address of Redis is not denied yet; tried again"));
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

void reload_taken(struct control *c)
{
    if (c->waiting == 0 || --c->waiting > 0) {
        return;
    }
    snapshot_free(c->retiring);
    c->retiring = NULL;
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
    const struct snapshot_source from = {
        .config = config, .ports = c->shared.ports, .plan = &plan, .version = 1};
    c->snapshot = snapshot_build(&from, error, error_cap);
    endpoints_adopt(&c->endpoints, &plan);
    if (!c->snapshot) {
        return -EINVAL;
    }
    c->auth = c->snapshot->relay.auth;
    c->version = c->config_version = 1;
    return 0;
}

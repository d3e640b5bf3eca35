/*
 * The daemon as the admin server sees it. Workers' counters are read relaxed and summed; nothing
 * else of a worker is touched. Called through admin/ops.h, and by control for SIGUSR1.
 */
#include "daemon/observe.h"

#include <errno.h>

#include "daemon/realms.h"

void observe_counters(const struct observe *o, struct counters_sum *out)
{
    struct counters_sum sum = {0};
    sharing_measure(o->sharing);
    counters_sum_add(&sum, o->own);
    for (unsigned i = 0; i < o->workers->count; i++) {
        counters_sum_add(&sum, worker_counters(o->workers->items[i]));
    }
    *out = sum;
}

static void sum_counters(void *ctx, struct counters_sum *out)
{
    observe_counters(ctx, out);
}

uint64_t observe_allocations(const struct counters_sum *sum)
{
    uint64_t active = 0;
    for (int i = GAUGE_ALLOCATIONS_UDP_IPV4; i <= GAUGE_ALLOCATIONS_DTLS_DUAL; i++) {
        active += sum->gauge[i];
    }
    return active;
}

static enum admin_state state(void *ctx)
{
    const struct observe *o = ctx;
    if (*o->stopping) {
        return ADMIN_STOPPING;
    }
    if (o->drain->on) {
        return ADMIN_DRAINING;
    }
    return o->workers->count > 0 && o->polling == o->workers->count ? ADMIN_RUNNING
                                                                    : ADMIN_STARTING;
}

static void status(void *ctx, struct admin_status *out)
{
    const struct observe *o = ctx;
    *out = (struct admin_status){
        .version = TURNPIKE_VERSION,
        .state = state(ctx),
        .uptime_s = (clock_now().mono_us - o->started_us) / US_PER_S,
        .workers = o->workers->count,
        .polling = o->polling,
        .config_file = o->path,
        .config_version = *o->version,
        .reloading = *o->waiting > 0,
        .redis = sharing_state(o->sharing),
        .sandbox = {.user = o->sandbox->user,
            .seccomp = o->sandbox->seccomp,
            .landlock = o->sandbox->landlock > 0 ? o->sandbox->landlock : 0},
    };
}

static bool listener(void *ctx, size_t n, struct admin_listener *out)
{
    const struct observe *o = ctx;
    if (n >= o->endpoints->count) {
        return false;
    }
    const struct endpoint *e = &o->endpoints->list[n];
    *out = (struct admin_listener){.proto = transport_name(e->role.settings.transport),
        .addr = e->addr,
        .configured = e->role.configured,
        .proxied = e->role.settings.proxy_from_count > 0,
        .client_certificate = e->role.settings.client_certificate};
    return true;
}

static bool relayed(void *ctx, size_t n, struct admin_relayed *out)
{
    const struct observe *o = ctx;
    if (n >= o->config->relay.address_count) {
        return false;
    }
    const struct relay_address *a = &o->config->relay.addresses[n];
    *out = (struct admin_relayed){.public = a->public, .local = a->local};
    return true;
}

static int revoke_credentials(
    void *ctx, const struct admin_revocation *what, enum auth_known *known)
{
    const struct observe *o = ctx;
    struct revocation v = {.kind = (uint8_t)what->kind, .id_len = (uint16_t)what->id.len};
    if (what->kind < REVOKE_USER || what->kind > REVOKE_SECRET || what->id.len == 0 ||
        what->id.len > REVOCATION_ID_MAX) {
        return -EINVAL;
    }
    if (!realms_find(&o->config->auth, what->realm, &v.realm)) {
        return -ENOENT;
    }
    v.until = what->seconds ? clock_now().wall_s + what->seconds : 0;
    memcpy(v.id, what->id.data, what->id.len);
    int r = sharing_revoke(o->sharing, &v);
    if (r < 0) {
        return r;
    }
    *known = what->kind == REVOKE_SECRET ? explainer_knows(o->explainer, v.realm, what->id)
                                         : AUTH_KNOWN_MAYBE;
    return 0;
}

static void explain_credential(void *ctx, const struct admin_explain *what)
{
    const struct observe *o = ctx;
    explainer_ask(o->explainer, what);
}

static void inspect_limits(void *ctx, const struct admin_limits *what)
{
    const struct observe *o = ctx;
    inspector_ask(&o->inspector, sharing_state(o->sharing), what);
}

static int deposit_srtp_key(void *ctx, const struct admin_srtp_key *what, const char **why)
{
    const struct observe *o = ctx;
    return media_keys_put(o->media_keys, what, why);
}

static void list_sessions(void *ctx, const struct admin_sessions *what)
{
    const struct observe *o = ctx;
    sessions_ask(o->sessions, what);
}

static void kick_allocations(void *ctx, const struct admin_kick *what)
{
    const struct observe *o = ctx;
    kicker_ask(o->kicker, what);
}

static int make_credential(
    void *ctx, const struct admin_credential *what, struct admin_credential_made *out)
{
    struct observe *o = ctx;
    const struct instant now = clock_now();
    return issuer_make(&o->issuer, what, &now, out);
}

static bool uri(void *ctx, uint32_t realm, size_t n, char out[ADMIN_URI_MAX])
{
    const struct observe *o = ctx;
    return issuer_uri(&o->issuer, realm, n, out);
}

static int dump_config(void *ctx, FILE *out)
{
    const struct observe *o = ctx;
    return config_dump(o->config, out);
}

static void log_level(void *ctx, struct admin_log_level *out)
{
    const struct observe *o = ctx;
    *out = (struct admin_log_level){.level = log_level_in_force(o->log_level),
        .configured = o->log_level->configured,
        .seconds = log_level_seconds(o->log_level, clock_now().mono_us)};
}

static void ask_log_level(void *ctx, enum log_level level, uint32_t seconds)
{
    const struct observe *o = ctx;
    log_level_ask(o->log_level, level, seconds, clock_now().mono_us);
}

static struct slice realm_name(void *ctx, uint32_t realm)
{
    const struct observe *o = ctx;
    return realm < o->config->auth.realm_count ? slice_of_string(o->config->auth.realms[realm].name)
                                               : (struct slice){0};
}

static int given(void *ctx, const struct addr *addr, const char *path)
{
    const struct observe *o = ctx;
    int fd;
    if (!o->given) {
        return -ENOENT;
    }
    return addr ? activation_take_tcp(o->given, addr, &fd, 1) == 1 ? fd : -ENOENT
                : activation_take_path(o->given, path);
}

static void reload(void *ctx, const struct admin_reload *what)
{
    const struct observe *o = ctx;
    o->reload(o->control, what);
}

static int drain(void *ctx, const struct admin_drain_asked *what)
{
    const struct observe *o = ctx;
    const struct instant now = clock_now();
    const struct drain_asked asked = {.has_deadline = what->has_deadline,
        .has_stop = what->has_stop,
        .has_alternates = what->has_alternates,
        .stop = what->stop,
        .deadline_s = what->deadline_s,
        .alternates = what->alternates};
    if (*o->stopping) {
        return -ECANCELED;
    }
    if (what->off) {
        drain_undo(o->drain, "admin", &now);
    } else {
        drain_begin(o->drain, &asked, "admin", &now);
    }
    o->settle(o->control, what->done, what->ctx);
    return 0;
}

void observe_drain(void *ctx, struct admin_drain *out)
{
    const struct observe *o = ctx;
    const struct instant now = clock_now();
    struct counters_sum sum;
    observe_counters(o, &sum);
    *out = (struct admin_drain){.on = o->drain->on,
        .stop = o->drain->on && o->drain->stop,
        .since_s = o->drain->on ? (now.mono_us - o->drain->began_us) / US_PER_S : 0,
        .left_s = drain_left_s(o->drain, &now),
        .allocations = observe_allocations(&sum),
        .at_first = o->drain->on ? o->drain->at_first : 0,
        .alternates = drain_alternates(o->drain)};
}

struct admin_ops observe_ops(struct observe *o)
{
    return (struct admin_ops){
        .ctx = o,
        .state = state,
        .status = status,
        .counters = sum_counters,
        .listener = listener,
        .relayed = relayed,
        .revoke = revoke_credentials,
        .explain = explain_credential,
        .limits = inspect_limits,
        .srtp_key = deposit_srtp_key,
        .sessions = list_sessions,
        .kick = kick_allocations,
        .credential = make_credential,
        .uri = uri,
        .config = dump_config,
        .log_level = log_level,
        .ask_log_level = ask_log_level,
        .realm_name = realm_name,
        .given = given,
        .reload = reload,
        .drain = drain,
        .drain_state = observe_drain,
        .own = o->own,
    };
}

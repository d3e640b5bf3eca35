/*
 * The main thread's loop.
 *
 * Always: workers are ended and settled before anything that they borrow is freed. Called by main.
 */
#include "daemon/control.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/random.h"
#include "daemon/build_snapshot.h"
#include "daemon/control_internal.h"
#include "daemon/counters_dump.h"
#include "daemon/loop_end.h"

#define HOUSEKEEPING_MS 1000
/* For what closes through the loop, once everything is told to. */
#define CLOSING_MS 2000
/* Half of it for questions to the store, of which no more than PARKING_TOTAL wait. */
#define MAILBOX_CAPACITY   4096u
#define RATE_TABLE_ENTRIES 131072u
/* Where max_connections names no limit: the file limit is lower. */
#define CONNECTIONS_MOST (1u << 20)

static uint32_t control_beats(const void *ctx, unsigned n)
{
    const struct control *c = ctx;
    return worker_beats(c->workers.items[n]);
}

/* All workers poll: what was asked for is served from now on. */
static void control_started(struct control *c)
{
    char status[NOTIFY_TEXT_MAX];
    if (++c->observe.polling == c->workers.count) {
        service_ready(&c->service, control_status(c, status));
    }
}

void control_stop(struct control *c)
{
    c->stopping = true;
    service_stopping(&c->service);
    for (unsigned i = 0; i < c->workers.count; i++) {
        struct mailbox_message m = {.kind = MAILBOX_STOP};
        if (mailbox_post(worker_mailbox(c->workers.items[i]), &m) < 0) {
            log_event(LOG_ERROR, "stop_not_posted", log_u64("worker", i));
        }
    }
    if (c->running == 0) {
        uv_stop(&c->loop);
    }
}

static void control_note_lost_lines(struct control *c)
{
    uint64_t known =
        atomic_load_explicit(&c->counters.metric[METRIC_LOG_LOST], memory_order_relaxed);
    uint64_t lost = log_lost();
    if (lost <= known) {
        return;
    }
    counters_add(&c->counters, METRIC_LOG_LOST, lost - known);
    if (log_once_a_minute(clock_now().mono_us, &c->lost_logged_us, &c->lost_suppressed)) {
        log_event(LOG_WARN, "log_lines_lost", log_u64("total", lost));
    }
}

static void control_dump(struct control *c)
{
    struct counters_sum sum;
    control_note_lost_lines(c);
    observe_counters(&c->observe, &sum);
    int r = counters_dump(STDOUT_FILENO, &sum);
    if (r < 0) {
        log_event(LOG_WARN, "counters_not_written", log_str("error", strerror(-r)));
    }
}

static void control_on_signal(uv_signal_t *handle, int number)
{
    struct control *c = handle->data;
    switch (number) {
    case SIGHUP:
        if (!c->stopping) {
            reload_run(c);
        }
        break;
    case SIGUSR1:
        control_dump(c);
        break;
    default:
        control_on_end(c, number);
        break;
    }
}

static void control_on_housekeeping(uv_timer_t *timer)
{
    struct control *c = timer->data;
    control_note_lost_lines(c);
    certificates_watch(&c->certificates, c->snapshot->tls);
    certificates_watch(&c->admin_certificates, admin_certificates(c->admin));
    sharing_tick(c->sharing);
    const struct instant now = clock_now();
    media_keys_tick(c->media_keys, &now);
    sessions_tick(&c->sessions, now.mono_us);
    char status[NOTIFY_TEXT_MAX];
    service_tick(&c->service, control_status(c, status));
    if (c->drain_signalled && c->drain.on) {
        service_extend(&c->service);
    }
    kicker_tick(&c->kicker, now.mono_us);
    log_level_tick(&c->log_level, now.mono_us);
    usage_send(c->usage, c->sharing);
    reload_tick(c);
    drain_tick(&c->drain, &now);
}

static void control_deliver(void *ctx, struct mailbox_message *message)
{
    struct control *c = ctx;
    if (message->kind == MAILBOX_SNAPSHOT_TAKEN && message->u.version == c->version) {
        reload_taken(c);
    } else if (message->kind == MAILBOX_ASK) {
        lookups_ask_for(&c->lookups, message->u.question, message->from);
    } else if (message->kind == MAILBOX_SRTP_WANTED) {
        media_keys_want(c->media_keys, message->u.wanted, message->from);
    } else if (message->kind == MAILBOX_SRTP_UNWANTED) {
        media_keys_unwant(c->media_keys, message->u.allocation);
    } else if (message->kind == MAILBOX_SESSIONS_READ) {
        sessions_read(&c->sessions, message->u.page);
    } else if (message->kind == MAILBOX_KICKED) {
        kicker_read(&c->kicker, message->u.kick);
    } else if (message->kind == MAILBOX_STARTED) {
        control_started(c);
    } else if (message->kind == MAILBOX_STOPPED && c->running > 0 && --c->running == 0) {
        uv_stop(&c->loop);
    }
}

/* Signals are taken from here on: one that comes while the workers start waits for control_run. */
static int control_open_loop(struct control *c)
{
    static const int numbers[SIGNALS] = {SIGHUP, SIGTERM, SIGINT, SIGUSR1};
    int r = uv_loop_init(&c->loop);
    if (r < 0) {
        return r;
    }
    c->loop_open = true;
    uv_timer_init(&c->loop, &c->housekeeping);
    c->housekeeping.data = c;
    for (unsigned i = 0; i < SIGNALS; i++) {
        uv_signal_init(&c->loop, &c->signals[i]);
        c->signals[i].data = c;
    }
    r = mailbox_new(&c->mailbox, &c->loop, MAILBOX_CAPACITY, control_deliver, c);
    for (unsigned i = 0; i < SIGNALS && r == 0; i++) {
        r = uv_signal_start(&c->signals[i], control_on_signal, numbers[i]);
    }
    return r < 0 ? r
                 : uv_timer_start(
                       &c->housekeeping, control_on_housekeeping, HOUSEKEEPING_MS, HOUSEKEEPING_MS);
}

/* Workers as configured: by default one a core that this process may run on. */
static unsigned control_worker_count(const struct config *config)
{
    cpu_set_t cores;
    unsigned count = config->net.workers;
    if (count == 0) {
        count = sched_getaffinity(0, sizeof(cores), &cores) == 0 ? (unsigned)CPU_COUNT(&cores) : 1;
    }
    return count > WORKERS_MAX ? WORKERS_MAX : count;
}

static void control_moved(void *ctx)
{
    reload_rebuild(ctx);
}

/* limiter_deps.answered: those workers where requests wait for it, once until they say so again. A
 * full mailbox costs them a tick. */
static void control_limits_answered(void *ctx)
{
    struct control *c = ctx;
    if (atomic_load(&c->shared.limits_awaited) == 0) {
        return;
    }
    const uint64_t awaited = atomic_exchange(&c->shared.limits_awaited, 0);
    const struct mailbox_message answered = {.kind = MAILBOX_LIMITS};
    for (unsigned i = 0; i < c->workers.count; i++) {
        if (awaited >> (i < 63 ? i : 63) & 1) {
            (void)mailbox_post(worker_mailbox(c->workers.items[i]), &answered);
        }
    }
}

/* What asks and is told by Redis; it connects when everything else runs. 0, or -errno with a line
 * in `error` or with none for want of memory. */
static int control_new_sharing(
    struct control *c, const struct config *config, char *error, size_t error_cap)
{
    c->lookups =
        (struct lookups){.auth = &c->config.auth, .workers = &c->workers, .counters = &c->counters};
    const struct explainer_deps explainer = {.lookups = &c->lookups, .auth = &c->auth};
    c->explainer = explainer_new(&explainer);
    if (!c->explainer) {
        return -ENOMEM;
    }
    const struct limiter_deps limiter = {.loop = &c->loop,
        .rates = c->shared.rates,
        .quotas = c->shared.quotas,
        .counters = &c->counters,
        .answered = control_limits_answered,
        .answered_ctx = c};
    int r = limiter_new(&c->limiter, &limiter, config);
    if (r < 0) {
        return r;
    }
    const struct media_keys_deps media = {
        .loop = &c->loop, .config = &c->config, .workers = &c->workers, .counters = &c->counters};
    c->media_keys = media_keys_new(&media);
    if (!c->media_keys) {
        return -ENOMEM;
    }
    const struct sharing_deps sharing = {.loop = &c->loop,
        .config = &c->config,
        .workers = &c->workers,
        .counters = &c->counters,
        .lookups = &c->lookups,
        .explainer = c->explainer,
        .limiter = c->limiter,
        .media = media_keys_watch(c->media_keys),
        .moved = control_moved,
        .ctx = c};
    c->sharing = sharing_new(&sharing);
    return c->sharing ? sharing_prepare(c->sharing, &config->redis, error, error_cap) : -ENOMEM;
}

static int control_new_shared(struct control *c, const struct config *config)
{
    uint32_t connections = config->net.streams.max_connections;
    uint32_t dtls = config->net.dtls.max_sessions;
    uint8_t keys[7][16];
    const struct random_source *random = random_system();
    if (random_fill(random, keys, sizeof(keys)) < 0 ||
        random_fill(random, c->shared.hash_key, sizeof(c->shared.hash_key)) < 0) {
        return -EIO;
    }
    c->shared.rates = rate_table_new(RATE_TABLE_ENTRIES, keys[0]);
    c->shared.quotas = quota_new(config->relay.max_allocations, keys[1]);
    c->shared.bandwidth =
        c->shared.quotas ? bandwidth_table_new(c->shared.quotas, AUTH_REALMS_MAX, keys[6]) : NULL;
    c->shared.ports = port_maps_new();
    c->connections = connection_counts_new(connections ? connections : CONNECTIONS_MOST, keys[2]);
    c->dtls = connection_counts_new(dtls ? dtls : CONNECTIONS_MOST, keys[3]);
    c->shared.parking = parking_counts_new(keys[4]);
    c->shared.guesses = c->shared.rates ? guesses_new(c->shared.rates, keys[5]) : NULL;
    bool ok = c->shared.rates && c->shared.quotas && c->shared.bandwidth && c->shared.ports &&
              c->shared.parking && c->shared.guesses && c->connections && c->dtls;
    return ok ? 0 : -ENOMEM;
}

static int control_start_workers(struct control *c, const struct config *config)
{
    /* Loops, mailboxes and logs of a worker take a few descriptors besides its listeners. */
    socket_budget_init(&c->sockets, (c->endpoints.count + 8) * c->endpoints.workers);
    control_reserve_admin(c, &config->admin);
    connection_counts_reach(c->connections, (uint64_t)atomic_load(&c->sockets.connections));
    for (unsigned i = 0; i < c->endpoints.workers; i++) {
        struct worker_options options = {
            .index = i,
            .workers = &c->workers,
            .control = c->mailbox,
            .shared = &c->shared,
            .random = random_system(),
            .sockets = &c->sockets,
            .connections = c->connections,
            .dtls = c->dtls,
            .report = limiter_report(c->limiter),
            .report_ctx = c->limiter,
            .usage = usage_writer_ring(c->usage, i),
            .max_allocations = config->relay.max_allocations,
        };
        int r = worker_new(&c->workers.items[i], &options);
        if (r < 0) {
            return r;
        }
        c->workers.count = i + 1;
    }
    for (unsigned i = 0; i < c->workers.count; i++) {
        int r = worker_start(c->workers.items[i], c->snapshot);
        if (r < 0) {
            return r;
        }
        c->running++;
    }
    return 0;
}

/* What the file names is had, or the start fails. */
static int control_start_admin(
    struct control *c, const struct config *config, char *error, size_t error_cap)
{
    struct admin_error why;
    log_level_configure(&c->log_level, config->log_level, config->log_format, clock_now().mono_us);
    c->sessions = (struct sessions){.workers = &c->workers, .auth = &c->config.auth};
    c->kicker = (struct kicker){.workers = &c->workers, .auth = &c->config.auth};
    c->observe = (struct observe){
        .workers = &c->workers,
        .endpoints = &c->endpoints,
        .config = &c->config,
        .path = c->path,
        .version = &c->config_version,
        .waiting = &c->waiting,
        .stopping = &c->stopping,
        .given = &c->given,
        .own = &c->counters,
        .sharing = c->sharing,
        .sandbox = &c->sandbox,
        .explainer = c->explainer,
        .media_keys = c->media_keys,
        .sessions = &c->sessions,
        .kicker = &c->kicker,
        .inspector = {.config = &c->config,
            .rates = c->shared.rates,
            .quotas = c->shared.quotas,
            .guesses = c->shared.guesses,
            .limiter = c->limiter},
        .issuer = {.config = &c->config, .endpoints = &c->endpoints, .sharing = c->sharing},
        .log_level = &c->log_level,
        .drain = &c->drain,
        .reload = control_reload,
        .settle = control_settle,
        .control = c,
        .started_us = clock_now().mono_us,
    };
    struct admin_ops ops = observe_ops(&c->observe);
    c->admin = admin_new(&ops);
    if (!c->admin) {
        return -ENOMEM;
    }
    int r = admin_start(c->admin, &c->loop, &config->admin, &why);
    if (r < 0) {
        snprintf(error, error_cap, "%s", why.text);
    }
    return r;
}

/* As above. */
static int control_start_usage(
    struct control *c, const struct config *config, char *error, size_t error_cap)
{
    c->usage = usage_writer_new(c->endpoints.workers, &c->counters, random_system());
    return c->usage ? usage_writer_start(c->usage, &config->usage, &config->auth, error, error_cap)
                    : -ENOMEM;
}

static void control_log_start(struct control *c)
{
    sandbox_log(&c->sandbox, &c->config);
    sandbox_count(&c->sandbox, &c->counters);
    endpoints_log(&c->endpoints, 0);
    certificates_take(&c->certificates, c->snapshot->tls, &c->counters);
    certificates_take(&c->admin_certificates, admin_certificates(c->admin), NULL);
    for (size_t i = 0; i < c->config.relay.address_count; i++) {
        const struct relay_address *a = &c->config.relay.addresses[i];
        char public[ADDR_TEXT_MAX], local[ADDR_TEXT_MAX];
        log_event(LOG_INFO, "relaying",
            log_str("public", addr_format_ip(&a->public, public, sizeof(public))),
            log_str("local", addr_format_ip(&a->local, local, sizeof(local))));
    }
    if (atomic_load(&c->sockets.left) <= 0) {
        log_event(LOG_WARN, "files_too_few",
            log_str("why", "the limit of open files leaves none to allocations"));
    }
    log_event(LOG_INFO, "started", log_u64("workers", c->workers.count),
        log_str("config", c->path ? c->path : "built in"));
}

/* 0, or -errno; *error is filled in where there is more to say than that. */
static int control_start(struct control *c, struct config *config, char *error, size_t error_cap)
{
    service_init(&c->service);
    int r = activation_init(&c->given, error, error_cap);
    if (r < 0) {
        return r;
    }
    c->endpoints.given = &c->given;
    c->endpoints.workers = control_worker_count(config);
    r = control_open_loop(c);
    if (r == 0) {
        r = control_new_shared(c, config);
    }
    if (r == 0) {
        r = control_new_sharing(c, config, error, error_cap);
    }
    if (r == 0) {
        r = reload_first(c, config, error, error_cap);
    }
    if (r == 0) {
        r = control_start_admin(c, config, error, error_cap);
    }
    if (r == 0) {
        r = activation_check(&c->given, error, error_cap);
    }
    if (r == 0) {
        r = sandbox_enter(&c->sandbox, config, c->path, error, error_cap);
    }
    if (r == 0) { /* a thread from here on is within the sandbox, as the workers are */
        r = control_start_usage(c, config, error, error_cap);
    }
    if (r == 0) {
        r = log_start();
    }
    if (r == 0) {
        r = control_start_workers(c, config);
    }
    return r < 0 ? r : service_watch(&c->service, &c->loop, c->workers.count, control_beats, c);
}

struct control *control_new(struct config *config, const char *path, char *error, size_t error_cap)
{
    size_t size = (sizeof(struct control) + 63) & ~(size_t)63;
    struct control *c = aligned_alloc(64, size);
    if (!c) {
        snprintf(error, error_cap, "out of memory");
        return NULL;
    }
    memset(c, 0, size);
    c->path = path;
    control_life_init(c);
    error[0] = '\0';
    int r = control_start(c, config, error, error_cap);
    if (r == 0) {
        c->config = *config;
        r = sharing_start(c->sharing, error, error_cap);
    }
    if (r < 0) {
        if (!error[0]) {
            snprintf(error, error_cap, "start: %s", strerror(-r));
        }
        memset(&c->config, 0, sizeof(c->config)); /* still the caller's */
        control_free(c);
        return NULL;
    }
    memset(config, 0, sizeof(*config));
    control_log_start(c);
    return c;
}

const struct config *control_config(const struct control *c)
{
    return &c->config;
}

static void control_join_workers(struct control *c)
{
    for (unsigned i = 0; i < c->workers.count; i++) {
        worker_join(c->workers.items[i]);
    }
}

void control_run(struct control *c)
{
    uv_run(&c->loop, UV_RUN_DEFAULT);
    control_join_workers(c);
    if (c->config.usage.redis) {
        usage_send_last(
            &c->loop, &c->workers, c->usage, c->sharing, clock_now().mono_us + USAGE_SEND_LAST_US);
    }
}

/* Ends threads that a failed start has left running. */
static void control_end_workers(struct control *c)
{
    if (c->running > 0) {
        control_stop(c);
    }
    control_join_workers(c);
    sharing_end(c->sharing);
    limiter_end(c->limiter);
    media_keys_end(c->media_keys);
    uint32_t messages;
    do {
        messages = c->mailbox ? mailbox_drain(c->mailbox) : 0;
        for (unsigned i = 0; i < c->workers.count; i++) {
            messages += worker_settle(c->workers.items[i]);
        }
    } while (messages > 0);
    sessions_end(&c->sessions);
    kicker_end(&c->kicker);
    reload_answers_end(&c->answers);
    for (unsigned i = 0; i < c->workers.count; i++) {
        worker_free(c->workers.items[i]);
    }
    usage_writer_end(c->usage, USAGE_END_US);
}

/* libuv gives signals that it hands back their own action, which of a reload is to kill: that there
 * is nothing left to be read again is no reason not to end in order. */
static void control_block_signals(void)
{
    sigset_t late;
    sigemptyset(&late);
    sigaddset(&late, SIGHUP);
    sigaddset(&late, SIGUSR1);
    (void)pthread_sigmask(SIG_BLOCK, &late, NULL);
}

/* False: libwebsockets has kept something in it, which has to be left as it is. */
static bool control_close_loop(struct control *c)
{
    char left[LOOP_END_LEFT_MAX];
    control_block_signals();
    mailbox_close(c->mailbox);
    admin_close(c->admin);
    uv_close((uv_handle_t *)&c->housekeeping, NULL);
    for (unsigned i = 0; i < SIGNALS; i++) {
        uv_close((uv_handle_t *)&c->signals[i], NULL);
    }
    const bool ended = loop_end_run(&c->loop, CLOSING_MS, left);
    if (ended) {
        admin_free(c->admin);
        uv_loop_close(&c->loop);
    } else {
        log_event(LOG_WARN, "stop_unfinished", log_str("left", left));
        admin_leave(c->admin);
    }
    return ended;
}

void control_free(struct control *c)
{
    /* exception: what a loop that did not end still holds stays with the process, not as lost. */
    static __attribute__((used)) struct control *volatile unfinished;
    if (!c) {
        return;
    }
    bool ended = true;
    control_end_workers(c);
    service_close(&c->service);
    if (c->loop_open) {
        ended = control_close_loop(c);
    }
    snapshot_free(c->retiring);
    snapshot_free(c->snapshot);
    endpoints_close(&c->endpoints);
    activation_deinit(&c->given);
    port_maps_free(c->shared.ports);
    bandwidth_table_free(c->shared.bandwidth);
    quota_free(c->shared.quotas);
    connection_counts_free(c->connections);
    connection_counts_free(c->dtls);
    parking_counts_free(c->shared.parking);
    guesses_free(c->shared.guesses);
    rate_table_free(c->shared.rates);
    sharing_free(c->sharing);
    limiter_free(c->limiter);
    media_keys_free(c->media_keys);
    usage_writer_free(c->usage);
    explainer_free(c->explainer);
    secret_wipe(&c->nonce_secret);
    config_deinit(&c->config);
    if (ended) {
        free(c);
    } else {
        unfinished = c;
    }
}

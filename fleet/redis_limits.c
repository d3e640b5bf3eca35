/*
 * Calls are independent: as many as the link takes are in flight, each answered once by the link,
 * at the latest when that ends. What Redis is known to know of this instance (`counted`) is known
 * of one server only. Called by fleet.c.
 */
#include "fleet/redis_limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "fleet/redis_clock.h"
#include "fleet/redis_limits_calls.h"
#include "fleet/redis_limits_scripts.h"
#include "fleet/redis_link_internal.h"
#include "fleet/redis_script.h"

#define DEADLINE_MS  2000u /* the link itself gives up a silent server sooner */
#define EARLY_TENTH  10u   /* a heartbeat may be a tenth early rather than a tick late */
#define FORGOTTEN_US US_PER_S
#define ERROR_MAX    80u /* bytes of an error, in the log */

struct quiet {
    uint64_t last, suppressed;
};

struct beat {
    struct redis_limits *limits;
    unsigned shard;
    uint64_t sent_us;
};

struct redis_limits {
    struct redis_link *link;
    struct redis_limits_hooks hooks;
    char prefix[REDIS_LIMITS_PREFIX_MAX + 1];
    struct redis_limits_instance who;
    struct redis_script debit, look, lease, heartbeat;
    char run_id[64]; /* of the server */
    struct redis_clock clock;
    struct {
        struct beat each[SHARE_SHARDS];
        unsigned in_flight;
        uint64_t every_us, last_us;
        uint32_t counted; /* a bit for each shard: it has counted this instance as alive */
    } beats;
    struct {
        uint32_t least, count;
        bool told;
        uint64_t fewer_us; /* since when there have been fewer; 0: there are not */
        uint32_t most;     /* of the counts since */
    } instances;
    struct {
        bool due;
        uint64_t told_us;
    } forgotten;
    uint64_t epochs_us; /* when all were begun, or kept, last */
    uint64_t again_us;  /* holdings are told, and epochs kept, again after this */
    struct quiet errors, steps;
};

/* A call of a user's. */
struct call {
    struct redis_limits *limits;
    size_t count;
    unsigned shard;
    uint64_t sent_us, floor_us;
    rate_debited_fn *debited;
    rate_found_fn *found;
    quota_leased_fn *leased;
    void *ctx;
};

static bool may_log(struct quiet *q)
{
    return log_once_a_minute(clock_now().mono_us, &q->last, &q->suppressed);
}

/* A reply that is none of ours: an error, or what is no reply to our scripts. There is nobody's
 * secret in either. */
static void complain(struct redis_limits *r, const struct redis_reply *reply)
{
    if (!may_log(&r->errors))
        return;
    const struct slice text = reply->kind == REDIS_KIND_ERROR ? reply->text : slice_of(NULL, 0);
    log_event(LOG_WARN, "redis_limits_refused",
        log_bytes("error", slice_of(text.data, text.len < ERROR_MAX ? text.len : ERROR_MAX)),
        log_u64("suppressed", r->errors.suppressed));
    r->errors.suppressed = 0;
}

static int issue(struct redis_limits *r, struct redis_script *script,
    const struct redis_limits_call *c, redis_done_fn *done, void *ctx)
{
    const struct redis_request request = {c->argv, c->argc, DEADLINE_MS, done, ctx};
    return redis_link_script(r->link, script, c->key_count, &request);
}

static void on_unheeded(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
}

/*
 * Lets the epochs of all shards begin now, where they have to, and those that there are live on:
 * else that of a shard that nobody has needed begins with its first debit, and denies a client who
 * has done nothing yet. One that is not sent begins so.
 */
static void begin_epochs(struct redis_limits *r)
{
    struct redis_limits_call c;
    const struct redis_limits_server server = {r->run_id, r->clock.floor_us};
    for (unsigned shard = 0; shard < SHARE_SHARDS; shard++) {
        if (redis_limits_call_epoch(&c, r->prefix, &server, shard) < 0 ||
            issue(r, &r->debit, &c, on_unheeded, NULL) < 0)
            return;
    }
    r->epochs_us = clock_now().mono_us;
}

/* Redis's clock, as a reply tells it. */
static void see_clock(struct redis_limits *r, uint64_t sent_us, uint64_t redis_us)
{
    static const char *const ways[] = {
        [REDIS_CLOCK_SET_FORWARD] = "forward", [REDIS_CLOCK_SET_BACK] = "back"};
    const struct redis_clock_sample sample = {sent_us, clock_now().mono_us, redis_us};
    const enum redis_clock_seen seen = redis_clock_see(&r->clock, &sample);
    if (seen == REDIS_CLOCK_SET_FORWARD)
        begin_epochs(r);
    if (seen == REDIS_CLOCK_STEADY || !may_log(&r->steps))
        return;
    log_event(LOG_WARN, "redis_clock_set", log_str("direction", ways[seen]),
        log_u64("suppressed", r->steps.suppressed));
    r->steps.suppressed = 0;
}

static void tell_forgotten(struct redis_limits *r)
{
    const uint64_t now = clock_now().mono_us;
    if (!r->forgotten.due || now - r->forgotten.told_us < FORGOTTEN_US)
        return;
    r->forgotten.due = false;
    r->forgotten.told_us = now;
    if (r->hooks.forgotten)
        r->hooks.forgotten(r->hooks.ctx);
}

/* Whether the shard knew this instance: once it has, it must go on to. */
static void see_known(struct redis_limits *r, unsigned shard, bool known)
{
    const uint32_t bit = 1u << shard;
    if (!known && (r->beats.counted & bit) != 0)
        r->forgotten.due = true;
    r->beats.counted |= bit;
}

static void set_instances(struct redis_limits *r, uint32_t count)
{
    r->instances.count = count;
    r->instances.told = true;
    r->instances.fewer_us = 0;
    if (r->hooks.instances)
        r->hooks.instances(r->hooks.ctx, count);
}

/*
 * More count at once; fewer only when there have been fewer for as long as an instance may be
 * silent: those of a Redis that has lost its data come back one by one, and must not take each
 * other's share meanwhile.
 */
static void see_instances(struct redis_limits *r, uint32_t alive)
{
    const uint64_t now = clock_now().mono_us;
    const uint32_t known = alive < REDIS_LIMITS_INSTANCES_MAX ? alive : REDIS_LIMITS_INSTANCES_MAX;
    const uint32_t count = known > r->instances.least ? known : r->instances.least;
    if (!r->instances.told || count > r->instances.count) {
        set_instances(r, count);
    } else if (count == r->instances.count) {
        r->instances.fewer_us = 0;
    } else if (r->instances.fewer_us == 0) {
        r->instances.fewer_us = now;
        r->instances.most = count;
    } else {
        r->instances.most = count > r->instances.most ? count : r->instances.most;
        if (now - r->instances.fewer_us >= r->who.alive_ms * US_PER_MS)
            set_instances(r, r->instances.most);
    }
}

static void take_beat(
    struct redis_limits *r, const struct beat *beat, const struct redis_reply *reply)
{
    struct redis_limits_alive alive;
    if (redis_limits_reply_heartbeat(&alive, reply) < 0) {
        complain(r, reply);
        return;
    }
    see_clock(r, beat->sent_us, alive.now_us);
    see_known(r, beat->shard, alive.known);
    if (beat->shard == 0)
        see_instances(r, alive.count);
}

static void on_beat(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    const struct beat *beat = ctx;
    struct redis_limits *r = beat->limits;
    r->beats.in_flight--;
    if (result == REDIS_REPLIED)
        take_beat(r, beat, reply);
    if (r->beats.in_flight == 0)
        tell_forgotten(r); /* once for all shards */
}

static void send_beats(struct redis_limits *r)
{
    struct redis_limits_call c;
    const uint64_t now = clock_now().mono_us;
    r->beats.last_us = now;
    for (unsigned shard = 0; shard < SHARE_SHARDS; shard++) {
        struct beat *beat = &r->beats.each[shard];
        *beat = (struct beat){r, shard, now};
        if (redis_limits_call_heartbeat(&c, r->prefix, &r->who, shard) == 0 &&
            issue(r, &r->heartbeat, &c, on_beat, beat) == 0)
            r->beats.in_flight++;
    }
}

static void finish_debit(struct call *c, const uint64_t *deny_us)
{
    const struct call call = *c;
    free(c);
    call.debited(call.ctx, deny_us != NULL, deny_us, clock_now().mono_us);
}

static void on_debited(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct call *c = ctx;
    struct redis_limits *r = c->limits;
    uint64_t now_us, deny_us[SHARE_BATCH_MAX];
    if (result != REDIS_REPLIED) {
        finish_debit(c, NULL);
        return;
    }
    if (redis_limits_reply_debit(&now_us, deny_us, c->count, reply) < 0) {
        complain(r, reply);
        finish_debit(c, NULL);
        return;
    }
    see_clock(r, c->sent_us, now_us);
    finish_debit(c, r->clock.floor_us == c->floor_us ? deny_us : NULL);
}

static void finish_look(struct call *c, const struct rate_found *found)
{
    const struct call call = *c;
    free(c);
    call.found(call.ctx, found != NULL, found);
}

static void on_looked(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct call *c = ctx;
    uint64_t now_us;
    struct rate_found found[SHARE_BATCH_MAX];
    const bool read =
        result == REDIS_REPLIED && redis_limits_reply_look(&now_us, found, c->count, reply) == 0;
    if (result == REDIS_REPLIED && !read)
        complain(c->limits, reply);
    finish_look(c, read ? found : NULL);
}

static void finish_lease(struct call *c, bool answered, const uint32_t *others)
{
    const struct call call = *c;
    free(c);
    call.leased(call.ctx, answered, others, clock_now().mono_us);
}

static void on_leased(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct call *c = ctx;
    struct redis_limits *r = c->limits;
    struct redis_limits_alive alive;
    uint32_t others[SHARE_BATCH_MAX];
    if (result != REDIS_REPLIED) {
        finish_lease(c, result == REDIS_REFUSED, NULL);
        return;
    }
    if (redis_limits_reply_lease(&alive, others, c->count, reply) < 0) {
        complain(r, reply);
        finish_lease(c, reply->kind == REDIS_KIND_ERROR, NULL);
        return;
    }
    see_clock(r, c->sent_us, alive.now_us);
    see_known(r, c->shard, alive.known);
    /* Before the answer: what others held may be missing from it. */
    tell_forgotten(r);
    finish_lease(c, true, others);
}

/* Whether a call may be made: its memory, filled in but for whom to tell. */
static int begin_call(struct redis_limits *r, size_t count, void *done_ctx, struct call **out)
{
    if (!r || !redis_link_is_up(r->link))
        return -EAGAIN;
    struct call *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->limits = r;
    c->count = count;
    c->ctx = done_ctx;
    c->sent_us = clock_now().mono_us;
    c->floor_us = r->clock.floor_us;
    *out = c;
    return 0;
}

static int end_call(struct call *c, int issued)
{
    if (issued < 0)
        free(c);
    return issued;
}

/* A debit and a look are asked with the same words. */
static int issue_rates(struct call *c, struct redis_script *script, const struct rate_debit *items,
    redis_done_fn *done)
{
    struct redis_limits *r = c->limits;
    struct redis_limits_call command;
    const struct redis_limits_server server = {r->run_id, c->floor_us};
    const int result = redis_limits_call_rates(&command, r->prefix, &server, items, c->count);
    return end_call(c, result < 0 ? result : issue(r, script, &command, done, c));
}

static int share_debit(
    void *ctx, const struct rate_debit *items, size_t count, rate_debited_fn *done, void *done_ctx)
{
    struct redis_limits *r = ctx;
    struct call *c;
    const int result = begin_call(r, count, done_ctx, &c);
    if (result < 0)
        return result;
    c->debited = done;
    return issue_rates(c, &r->debit, items, on_debited);
}

static int share_look(
    void *ctx, const struct rate_debit *items, size_t count, rate_found_fn *done, void *done_ctx)
{
    struct redis_limits *r = ctx;
    struct call *c;
    const int result = begin_call(r, count, done_ctx, &c);
    if (result < 0)
        return result;
    c->found = done;
    return issue_rates(c, &r->look, items, on_looked);
}

static int share_lease(
    void *ctx, const struct quota_lease *items, size_t count, quota_leased_fn *done, void *done_ctx)
{
    struct redis_limits *r = ctx;
    struct redis_limits_call command;
    struct call *c;
    int result = begin_call(r, count, done_ctx, &c);
    if (result < 0)
        return result;
    c->leased = done;
    result = redis_limits_call_lease(&command, r->prefix, &r->who, items, count);
    if (result < 0)
        return end_call(c, result);
    c->shard = share_shard(items[0].name);
    return end_call(c, issue(r, &r->lease, &command, on_leased, c));
}

struct share redis_limits_share(struct redis_limits *r)
{
    return (struct share){.ctx = r, .debit = share_debit, .lease = share_lease, .look = share_look};
}

void redis_limits_up(struct redis_limits *r, const struct redis_state *state)
{
    snprintf(r->run_id, sizeof(r->run_id), "%s", state->run_id);
    r->instances.fewer_us = 0;
    if (state->server != REDIS_SERVER_SAME) {
        redis_clock_forget(&r->clock);
        r->beats.counted = 0;
    }
    send_beats(r);
    begin_epochs(r);
    if (state->server == REDIS_SERVER_OTHER) {
        r->forgotten.due = true;
        tell_forgotten(r);
    }
}

void redis_limits_tick(struct redis_limits *r)
{
    const uint64_t now = clock_now().mono_us;
    if (now - r->forgotten.told_us >= r->again_us)
        r->forgotten.due = true;
    tell_forgotten(r);
    if (redis_link_is_up(r->link) && now - r->epochs_us >= r->again_us)
        begin_epochs(r);
    if (redis_link_is_up(r->link) && r->beats.in_flight == 0 &&
        now - r->beats.last_us >= r->beats.every_us - r->beats.every_us / EARLY_TENTH)
        send_beats(r);
}

void redis_limits_leave(struct redis_limits *r)
{
    struct redis_limits_call c;
    r->hooks = (struct redis_limits_hooks){0};
    r->who.alive_ms = 0;
    for (unsigned shard = 0; shard < SHARE_SHARDS; shard++) {
        if (redis_limits_call_heartbeat(&c, r->prefix, &r->who, shard) < 0 ||
            issue(r, &r->heartbeat, &c, on_unheeded, NULL) < 0)
            return;
    }
    redis_link_flush(r->link);
}

static int make_instance(struct redis_limits_instance *out, const struct random_source *random)
{
    uint8_t bytes[REDIS_LIMITS_INSTANCE_LEN / 2];
    const int result = random_fill(random, bytes, sizeof(bytes));
    if (result < 0)
        return result;
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(out->id + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static int make_scripts(struct redis_limits *r)
{
    int result = redis_script_init(&r->debit, redis_limits_debit);
    if (result == 0)
        result = redis_script_init(&r->look, redis_limits_look);
    if (result == 0)
        result = redis_script_init(&r->lease, redis_limits_lease);
    if (result == 0)
        result = redis_script_init(&r->heartbeat, redis_limits_heartbeat);
    return result;
}

static uint64_t or_default_us(uint32_t ms, uint32_t otherwise)
{
    return US_PER_MS * (ms > 0 ? ms : otherwise);
}

struct redis_limits *redis_limits_new(const struct redis_limits_options *options)
{
    struct redis_limits *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    if (make_instance(&r->who, options->random) < 0 || make_scripts(r) < 0) {
        free(r);
        return NULL;
    }
    snprintf(r->prefix, sizeof(r->prefix), "%s", options->prefix);
    r->link = options->link;
    r->hooks = options->hooks;
    r->who.alive_ms = options->alive_ms > 0 ? options->alive_ms : REDIS_LIMITS_ALIVE_MS;
    r->beats.every_us = or_default_us(options->heartbeat_ms, REDIS_LIMITS_HEARTBEAT_MS);
    r->again_us = or_default_us(options->again_ms, REDIS_LIMITS_AGAIN_MS);
    r->instances.least = options->fleet_size > 0 ? options->fleet_size : 1;
    r->instances.count = r->instances.least;
    r->forgotten.told_us = r->epochs_us = clock_now().mono_us;
    return r;
}

void redis_limits_free(struct redis_limits *r)
{
    free(r);
}

/*
 * From a URL to replies: which server to go to, what is said first, whose reply a reply is, when a
 * silent server is dead, and when to try again. One timer serves all deadlines: it is armed for the
 * earliest, and armed anew when it fires. A stream that ended is forgotten at once; nothing that it
 * still does reaches the link. Called by the control thread.
 */
#include "fleet/redis_link.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "fleet/redis_backoff.h"
#include "fleet/redis_config.h"
#include "fleet/redis_link_internal.h"
#include "fleet/redis_stream.h"

#define PING_AFTER_US (1000 * US_PER_MS) /* of silence */
#define DEAD_AFTER_US (1400 * US_PER_MS) /* of silence while something is asked */
#define OWN_IN_FLIGHT 16u                /* PING and SCRIPT LOAD find room where others do not */
#define STEADY_US     (5 * US_PER_S)     /* up for so long, it was no flapping */
#define CAUSE_MAX     160

enum phase {
    WAITING,  /* for the time of the next attempt */
    OPENING,  /* the stream is on its way */
    GREETING, /* the first flight is being answered */
    UP,
    FREED
};

struct times {
    uint64_t armed_us; /* when the timer fires; UINT64_MAX: it does not */
    uint64_t next_us;  /* WAITING: the next attempt; GREETING: the deadline */
    uint64_t heard_us; /* the server's last bytes, or when it was first asked something since */
    uint64_t up_us;    /* since when */
    uint64_t taken;    /* bytes that the kernel had taken then */
    uint64_t logged_us, suppressed;
};

/* Where Sentinels have sent us. */
struct pursuit {
    bool asking;  /* the stream leads to a Sentinel */
    bool known;   /* `master` has been said since the last loss */
    size_t at;    /* the Sentinel that is asked */
    size_t tried; /* in vain, since the last pause */
    struct redis_endpoint master;
};

struct redis_link {
    enum phase phase;
    uv_loop_t *loop;
    uv_timer_t timer;
    struct redis_config config;
    struct tls_connector *connector; /* a reference, or NULL: no TLS */
    const struct random_source *random;
    struct redis_link_hooks hooks;
    struct redis_stream *stream; /* NULL: none */
    struct redis_reader *reader;
    struct redis_pipeline *pipeline;
    struct redis_hello hello;
    struct pursuit pursuit;
    struct redis_backoff backoff;
    struct times times;
    struct {
        char run_id[REDIS_RUN_ID_LEN + 1]; /* the last known */
        size_t kept;                       /* bytes; see redis_link_keep */
        struct redis_link_stats stats;
    } known;
};

static uint64_t now_us(void)
{
    return clock_now().mono_us;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct redis_link *l, uint64_t at_us)
{
    if (at_us >= l->times.armed_us)
        return;
    const uint64_t now = now_us();
    const uint64_t ms = at_us > now ? (at_us - now + US_PER_MS - 1) / US_PER_MS : 0;
    l->times.armed_us = at_us;
    uv_timer_start(&l->timer, on_timer, ms, 0);
}

/* The earliest time at which something is to be done, if nothing else happens. */
static uint64_t next_deadline(const struct redis_link *l)
{
    if (l->phase == WAITING || l->phase == GREETING)
        return l->times.next_us;
    if (l->phase != UP)
        return UINT64_MAX; /* a stream has deadlines of its own */
    const bool asked = redis_pipeline_count(l->pipeline) > 0;
    const uint64_t silence = l->times.heard_us + (asked ? DEAD_AFTER_US : PING_AFTER_US);
    const uint64_t command = redis_pipeline_deadline(l->pipeline);
    return command < silence ? command : silence;
}

/* What is in flight is lost; callbacks may issue commands (-EAGAIN) and free the link. */
static void lose_all(struct redis_link *l)
{
    struct redis_waiting w;
    while (redis_pipeline_take(l->pipeline, &w)) {
        if (!w.done)
            continue;
        l->known.stats.lost++;
        w.done(w.ctx, REDIS_LOST, NULL);
    }
}

static void log_down(struct redis_link *l, const char *cause)
{
    char where[512];
    if (!log_once_a_minute(now_us(), &l->times.logged_us, &l->times.suppressed))
        return;
    log_event(LOG_WARN, "redis_down",
        log_str("url", redis_url_describe(&l->config.url, where, sizeof(where))),
        log_str("cause", cause), log_u64("suppressed", l->times.suppressed));
    l->times.suppressed = 0;
}

static void wait_ms(struct redis_link *l, uint32_t ms)
{
    l->phase = WAITING;
    l->times.next_us = now_us() + ms * US_PER_MS;
    arm(l, l->times.next_us);
}

/* An attempt that failed: the next Sentinel at once, else a pause. */
static void plan_next(struct redis_link *l)
{
    struct pursuit *p = &l->pursuit;
    const bool was_asking = p->asking;
    p->known = false;
    if (l->config.url.sentinel)
        p->at = (p->at + 1) % l->config.url.host_count;
    if (was_asking && ++p->tried < l->config.url.host_count) {
        wait_ms(l, 0);
        return;
    }
    p->tried = 0;
    wait_ms(l, redis_backoff_next(&l->backoff, l->random));
}

/* The connection is over, or never came to be. */
static void drop(struct redis_link *l, const char *reason)
{
    char cause[CAUSE_MAX];
    const bool was_up = l->phase == UP;
    snprintf(cause, sizeof(cause), "%s", reason); /* it may belong to the stream */
    redis_stream_close(l->stream);
    l->stream = NULL;
    if (was_up && now_us() - l->times.up_us >= STEADY_US)
        l->backoff.failures = 0;
    plan_next(l);
    log_down(l, cause);
    if (!was_up) {
        l->known.stats.failed++;
        return;
    }
    if (l->hooks.state)
        l->hooks.state(
            l->hooks.ctx, &(struct redis_state){.run_id = l->known.run_id, .cause = cause});
    lose_all(l);
}

static void become_up(struct redis_link *l)
{
    enum redis_server server = REDIS_SERVER_OTHER;
    if (l->known.run_id[0] == '\0')
        server = REDIS_SERVER_FIRST;
    else if (strcmp(l->known.run_id, l->hello.run_id) == 0)
        server = REDIS_SERVER_SAME;
    memcpy(l->known.run_id, l->hello.run_id, sizeof(l->known.run_id));
    l->phase = UP;
    l->times.up_us = l->times.heard_us = now_us();
    l->times.taken = 0;
    l->pursuit.tried = 0;
    l->known.stats.connected++;
    const struct addr address = redis_stream_peer(l->stream);
    static const char *const servers[] = {[REDIS_SERVER_FIRST] = "first",
        [REDIS_SERVER_SAME] = "same",
        [REDIS_SERVER_OTHER] = "other"};
    log_event(LOG_INFO, "redis_up", log_addr("address", &address),
        log_str("run_id", l->known.run_id), log_str("server", servers[server]));
    if (l->hooks.state)
        l->hooks.state(l->hooks.ctx,
            &(struct redis_state){
                .up = true, .server = server, .run_id = l->known.run_id, .address = address});
}

/* A Sentinel has answered: on to the master. */
static void go_to_master(struct redis_link *l)
{
    l->pursuit.master = l->hello.master;
    l->pursuit.known = true;
    redis_stream_close(l->stream);
    l->stream = NULL;
    wait_ms(l, 0);
}

static void hear_greeting(struct redis_link *l, const struct redis_reply *reply)
{
    switch (redis_hello_reply(&l->hello, reply)) {
    case REDIS_HELLO_MORE:
        break;
    case REDIS_HELLO_DONE:
        if (l->pursuit.asking)
            go_to_master(l);
        else
            become_up(l);
        break;
    case REDIS_HELLO_REFUSED:
        drop(l, l->hello.refusal);
        break;
    }
}

static void hear_answer(struct redis_link *l, const struct redis_reply *reply)
{
    struct redis_waiting w;
    if (!redis_pipeline_take(l->pipeline, &w)) {
        drop(l, "it has answered what was not asked");
        return;
    }
    if (!w.done) {
        l->known.stats.late++;
        return;
    }
    const struct redis_stream *stream = l->stream;
    l->known.stats.replied++;
    l->known.stats.rtt_us = now_us() - w.sent_us;
    const bool demoted = redis_reply_is_error(reply, "READONLY") && l->config.url.sentinel;
    w.done(w.ctx, REDIS_REPLIED, reply);
    /* A master that Sentinel has made a replica: ask who the master is now. */
    if (demoted && l->stream == stream)
        drop(l, "it is not the master any more");
}

/* What a subscribed connection says: messages, and answers to PING. */
static void hear_push(struct redis_link *l, const struct redis_reply *reply)
{
    const struct slice kind = redis_reply_string(reply, 0);
    if (slice_equal(kind, slice_of_string("pong"))) {
        hear_answer(l, reply);
    } else if (slice_equal(kind, slice_of_string("message")) && reply->count == 3) {
        if (l->hooks.message)
            l->hooks.message(
                l->hooks.ctx, redis_reply_string(reply, 1), redis_reply_string(reply, 2));
    } else {
        drop(l, "it has said what is no message");
    }
}

static void hear(struct redis_link *l, const struct redis_reply *reply)
{
    if (l->phase == GREETING)
        hear_greeting(l, reply);
    else if (l->config.channel_count > 0)
        hear_push(l, reply);
    else
        hear_answer(l, reply);
}

static void on_received(void *link, struct slice bytes)
{
    struct redis_link *l = link;
    const struct redis_stream *stream = l->stream;
    struct redis_reply *reply = NULL;
    enum redis_read outcome;
    l->times.heard_us = now_us();
    l->times.taken = redis_stream_taken(stream);
    redis_reader_feed(l->reader, bytes);
    while ((outcome = redis_reader_next(l->reader, &reply)) == REDIS_READ_REPLY) {
        hear(l, reply);
        redis_reply_free(reply);
        if (l->stream != stream)
            return;
    }
    if (outcome != REDIS_READ_MORE)
        drop(l, redis_read_text(outcome));
    else
        arm(l, next_deadline(l));
}

static void on_closed(void *link, const char *cause)
{
    drop(link, cause);
}

static struct redis_hello_plan plan_hello(const struct redis_link *l)
{
    const struct redis_config *c = &l->config;
    if (l->pursuit.asking)
        return (struct redis_hello_plan){.user = secret_slice(&c->sentinel_user),
            .password = secret_slice(&c->sentinel_password),
            .master = c->url.master};
    return (struct redis_hello_plan){.user = secret_slice(&c->url.user),
        .password = secret_slice(&c->url.password),
        .client_name = c->client_name,
        .database = c->url.database,
        .must_be_master = c->url.sentinel,
        .channels = (const char *const *)c->channels,
        .channel_count = c->channel_count};
}

static void on_opened(void *link)
{
    struct redis_link *l = link;
    struct redis_buffer flight = {0};
    const struct redis_hello_plan plan = plan_hello(l);
    redis_reader_reset(l->reader);
    int result = redis_hello_begin(&l->hello, &plan, &flight);
    if (result == 0)
        result = redis_stream_write(l->stream, slice_of(flight.data, flight.len));
    redis_buffer_deinit(&flight);
    if (result < 0) {
        drop(l, "out of memory");
        return;
    }
    l->phase = GREETING;
    l->times.next_us = now_us() + l->config.handshake_ms * US_PER_MS;
    arm(l, l->times.next_us);
}

static void attempt(struct redis_link *l)
{
    const struct redis_url *url = &l->config.url;
    struct pursuit *p = &l->pursuit;
    p->asking = url->sentinel && !p->known;
    const struct redis_endpoint *to = &url->hosts[p->asking ? p->at : 0];
    if (p->known)
        to = &p->master;
    l->phase = OPENING;
    l->stream = redis_stream_new(l->loop, &(struct redis_stream_options){.path = url->path,
                                              .host = to->host,
                                              .port = to->port,
                                              .connector = l->connector,
                                              .connect_ms = l->config.connect_ms,
                                              .handshake_ms = l->config.handshake_ms,
                                              .hooks = {on_opened, on_received, on_closed, l}});
    if (!l->stream)
        drop(l, "out of memory");
}

static void expire(struct redis_link *l, uint64_t now)
{
    struct redis_waiting w;
    while (l->phase == UP && redis_pipeline_expire(l->pipeline, now, &w)) {
        l->known.stats.timed_out++;
        w.done(w.ctx, REDIS_TIMED_OUT, NULL);
    }
}

static void on_pong(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
}

/* Silence: PING where nothing is asked; else the end, unless a long write goes on. */
static void judge_silence(struct redis_link *l, uint64_t now)
{
    const bool asked = redis_pipeline_count(l->pipeline) > 0;
    if (now - l->times.heard_us < (asked ? DEAD_AFTER_US : PING_AFTER_US))
        return;
    if (!asked) {
        static const char ping[] = "*1\r\n$4\r\nPING\r\n";
        redis_link_send(l, slice_of_string(ping),
            &(struct redis_waiting){
                .done = on_pong, .sent_us = now, .deadline_us = now + DEAD_AFTER_US});
        return;
    }
    const uint64_t taken = redis_stream_taken(l->stream);
    if (redis_stream_queued(l->stream) == 0 || taken == l->times.taken) {
        drop(l, "it does not answer");
        return;
    }
    l->times.taken = taken;
    l->times.heard_us = now;
}

static void on_timer(uv_timer_t *timer)
{
    struct redis_link *l = timer->data;
    const uint64_t now = now_us();
    l->times.armed_us = UINT64_MAX;
    if (l->phase == UP)
        expire(l, now);
    if (l->phase == UP)
        judge_silence(l, now);
    else if (l->phase == WAITING && now >= l->times.next_us)
        attempt(l);
    else if (l->phase == GREETING && now >= l->times.next_us)
        drop(l, "it does not answer the first commands");
    if (l->phase != FREED)
        arm(l, next_deadline(l));
}

int redis_link_send(struct redis_link *l, struct slice command, const struct redis_waiting *waiting)
{
    const bool was_idle = redis_pipeline_count(l->pipeline) == 0;
    if (l->phase != UP || redis_pipeline_count(l->pipeline) >= l->config.in_flight + OWN_IN_FLIGHT)
        return -EAGAIN;
    if (redis_stream_write(l->stream, command) < 0)
        return -ENOMEM;
    const int pushed = redis_pipeline_push(l->pipeline, waiting);
    assert(pushed == 0);
    (void)pushed;
    if (was_idle)
        l->times.heard_us = waiting->sent_us;
    l->known.stats.sent++;
    arm(l, next_deadline(l));
    return 0;
}

int redis_link_check(struct redis_link *l, const struct slice *argv, size_t argc)
{
    if (l->config.channel_count > 0)
        return -EPERM;
    const size_t len = redis_command_len_max(argv, argc);
    if (len > l->config.write_max)
        return -EMSGSIZE;
    if (l->phase == UP && redis_pipeline_count(l->pipeline) < l->config.in_flight &&
        redis_stream_queued(l->stream) <= l->config.write_max - len)
        return 0;
    l->known.stats.refused++;
    return -EAGAIN;
}

int redis_link_command(struct redis_link *l, const struct redis_request *request)
{
    struct redis_buffer command = {0};
    int result = redis_link_check(l, request->argv, request->argc);
    if (result == 0)
        result = redis_buffer_append_command(&command, request->argv, request->argc);
    const uint64_t now = now_us();
    if (result == 0)
        result = redis_link_send(l, slice_of(command.data, command.len),
            &(struct redis_waiting){.done = request->done,
                .ctx = request->ctx,
                .sent_us = now,
                .deadline_us = now + request->deadline_ms * US_PER_MS});
    redis_buffer_deinit(&command);
    return result;
}

void redis_link_flush(struct redis_link *l)
{
    if (l->phase == UP)
        redis_stream_flush(l->stream);
}

int redis_link_keep(struct redis_link *l, size_t bytes)
{
    if (bytes > l->config.write_max - l->known.kept)
        return -EAGAIN;
    l->known.kept += bytes;
    return 0;
}

void redis_link_unkeep(struct redis_link *l, size_t bytes)
{
    l->known.kept -= bytes;
}

bool redis_link_is_up(const struct redis_link *l)
{
    return l->phase == UP;
}

static int make_connector(
    const struct redis_config *c, struct tls_connector **out, char *error, size_t error_cap)
{
    if (!c->url.tls)
        return 0;
    return tls_connector_new(
        out, &c->tls, &(struct tls_connector_report){"redis.tls", error, error_cap});
}

static void free_parts(struct redis_link *l)
{
    redis_reader_free(l->reader);
    redis_pipeline_free(l->pipeline);
    tls_connector_release(l->connector);
    redis_config_deinit(&l->config);
    free(l);
}

static int fill(
    struct redis_link *l, const struct redis_link_options *options, char *error, size_t error_cap)
{
    int result = redis_config_init(&l->config, options, error, error_cap);
    if (result == 0)
        result = make_connector(&l->config, &l->connector, error, error_cap);
    if (result < 0)
        return result;
    l->reader = redis_reader_new(l->config.reply_max);
    l->pipeline = redis_pipeline_new(l->config.in_flight + OWN_IN_FLIGHT);
    if (l->reader && l->pipeline)
        return 0;
    snprintf(error, error_cap, "redis: out of memory");
    return -ENOMEM;
}

int redis_link_new(struct redis_link **out, uv_loop_t *loop,
    const struct redis_link_options *options, char *error, size_t error_cap)
{
    struct redis_link *l = calloc(1, sizeof(*l));
    if (!l) {
        snprintf(error, error_cap, "redis: out of memory");
        return -ENOMEM;
    }
    const int result = fill(l, options, error, error_cap);
    if (result < 0) {
        free_parts(l);
        return result;
    }
    l->loop = loop;
    l->random = options->random;
    l->hooks = options->hooks;
    l->times.armed_us = UINT64_MAX;
    uv_timer_init(loop, &l->timer);
    l->timer.data = l;
    wait_ms(l, 0);
    *out = l;
    return 0;
}

static void on_timer_closed(uv_handle_t *timer)
{
    free_parts(timer->data);
}

void redis_link_free(struct redis_link *l)
{
    if (!l)
        return;
    l->phase = FREED;
    l->hooks = (struct redis_link_hooks){0};
    redis_stream_close(l->stream);
    l->stream = NULL;
    lose_all(l);
    uv_close((uv_handle_t *)&l->timer, on_timer_closed);
}

int redis_link_renew(struct redis_link *l, char *error, size_t error_cap)
{
    struct tls_connector *fresh = NULL;
    const int result = make_connector(&l->config, &fresh, error, error_cap);
    if (result < 0)
        return result;
    tls_connector_release(l->connector);
    l->connector = fresh;
    return 0;
}

struct redis_link_stats redis_link_stats(const struct redis_link *l)
{
    return l->known.stats;
}

/*
 * The one link of an instance to Redis: asynchronous, pipelined, always on its way back. Runs on
 * the loop of the control thread; one thread; no call blocks, name lookup included.
 *
 *  - A command has a deadline and its callback is called exactly once, never from within the call
 *    that issued it: with the reply, or with why there is none.
 *  - Nothing is queued while the link is down: -EAGAIN, and the caller decides without Redis.
 *  - Arguments are slices; there are no format strings.
 *  - Memory is bounded: commands in flight, bytes to be written, bytes of a reply.
 *  - A server that says nothing for 1.4 s while something is asked of it is dead; it is asked PING
 *    after 1 s of silence. So a frozen server is noticed within 3 s. Commands that block (BLPOP) do
 *    not belong here.
 *  - What failed is tried again after 50 ms to 5 s, drawn at random; under Sentinel the Sentinels
 *    are asked again for the master, one after the other.
 *
 * A link that subscribes to channels hears messages and takes no commands; an instance that needs
 * both has two.
 *
 * The user needs these rights: PING, INFO, CLIENT SETNAME, SELECT with a database, ROLE under
 * Sentinel, SCRIPT LOAD and EVALSHA for scripts, SUBSCRIBE for channels.
 */
#ifndef FLEET_REDIS_LINK_H
#define FLEET_REDIS_LINK_H

#include <uv.h>

#include "base/addr.h"
#include "base/random.h"
#include "fleet/fleet_settings.h"
#include "fleet/redis_pipeline.h"
#include "fleet/redis_reply.h"

struct redis_link;

enum redis_server {
    REDIS_SERVER_FIRST, /* none was known before */
    REDIS_SERVER_SAME,  /* the run id of the last time: what it knew, it still knows */
    REDIS_SERVER_OTHER  /* restarted, failed over or replaced */
};
struct redis_state {
    bool up;
    enum redis_server server; /* when up */
    const char *run_id;       /* of the server, 40 hexadecimal digits; empty before the first */
    struct addr address;      /* of the server, when up; family ADDR_NONE: a unix socket */
    const char *cause;        /* when down: why, for logs; borrowed for the call */
};

/*
 * All called on the loop; each may issue commands and may free the link. `message`: to a link with
 * channels. A link that comes up has subscribed: what was published in between is missed.
 */
struct redis_link_hooks {
    void (*state)(void *ctx, const struct redis_state *state);              /* or NULL */
    void (*message)(void *ctx, struct slice channel, struct slice payload); /* or NULL */
    void *ctx;
};

struct redis_link_options {
    const struct redis_settings *settings; /* copied */
    const struct random_source *random;    /* outlives the link */
    const char *const *channels;           /* at most 16; none: a link for commands; copied */
    size_t channel_count;
    struct redis_link_hooks hooks;
};
/*
 * Begins to connect with the next turn of the loop. 0; -EINVAL, -ENOMEM or -errno with one line in
 * `error` that names the setting: "redis.url: ...", "redis.tls.ca /etc/ca.pem: ...".
 */
int redis_link_new(struct redis_link **out, uv_loop_t *loop,
    const struct redis_link_options *options, char *error, size_t error_cap);
/*
 * Answers what is in flight with REDIS_LOST before it returns, calls no hook, and frees its memory
 * as the loop runs on (until a name lookup that is under way has ended). NULL: nothing happens.
 */
void redis_link_free(struct redis_link *l);

/* Reads the files of the settings' tls again: they count from the next connection on. As
 * redis_link_new; on failure the old ones stay. */
int redis_link_renew(struct redis_link *l, char *error, size_t error_cap);

struct redis_request {
    const struct slice *argv; /* the command and its arguments, any bytes; borrowed for the call */
    size_t argc;              /* 1 to 256 */
    uint32_t deadline_ms;     /* from now; ≥ 1 */
    redis_done_fn *done;      /* must not be NULL */
    void *ctx;
};
/*
 * 0: `done` will be called. Otherwise it will not: -EAGAIN, the link is down or one of its bounds
 * is reached; -EMSGSIZE, larger than write_max; -E2BIG, no arguments or too many; -EPERM, a link
 * with channels; -ENOMEM.
 */
int redis_link_command(struct redis_link *l, const struct redis_request *request);

bool redis_link_is_up(const struct redis_link *l);

/* Since the link was made. sent = replied + timed_out + lost + those that wait. */
struct redis_link_stats {
    uint64_t connected; /* times it came up */
    uint64_t failed;    /* attempts that did not get there */
    uint64_t sent;      /* commands, PING and SCRIPT LOAD included */
    uint64_t replied;   /* in time */
    uint64_t timed_out;
    uint64_t late; /* replies to what had timed out: swallowed */
    uint64_t lost;
    uint64_t refused; /* -EAGAIN */
    uint64_t rtt_us;  /* from issuing to the reply, of the last reply in time; 0: none yet */
};
struct redis_link_stats redis_link_stats(const struct redis_link *l);

#endif

/*
 * Commands that wait for their replies: in order, as Redis answers them, and by deadline. A command
 * that was answered "timed out" keeps its place, so that its late reply is not taken for another's.
 * No I/O; one thread.
 */
#ifndef FLEET_REDIS_PIPELINE_H
#define FLEET_REDIS_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redis_reply;

enum redis_result {
    REDIS_REPLIED,   /* there is a reply, which may be an error of the server's */
    REDIS_TIMED_OUT, /* no reply before the deadline: it may have been executed, or may still be */
    REDIS_LOST,      /* the connection ended before the reply: it may have been executed */
    REDIS_REFUSED    /* it was not executed, and could not be sent again */
};
/* `reply` is borrowed for the call; NULL unless REDIS_REPLIED. */
typedef void redis_done_fn(void *ctx, enum redis_result result, const struct redis_reply *reply);

struct redis_waiting {
    redis_done_fn *done; /* NULL once it has been answered */
    void *ctx;
    uint64_t sent_us, deadline_us;
};

struct redis_pipeline;

struct redis_pipeline *redis_pipeline_new(uint32_t capacity); /* NULL: out of memory */
void redis_pipeline_free(struct redis_pipeline *p); /* must be empty; NULL: nothing happens */

uint32_t redis_pipeline_count(const struct redis_pipeline *p); /* answered ones included */
/* 0, or -EAGAIN: full. */
int redis_pipeline_push(struct redis_pipeline *p, const struct redis_waiting *w);
/* Takes the oldest one out, answered or not. False: there is none. */
bool redis_pipeline_take(struct redis_pipeline *p, struct redis_waiting *out);
/*
 * One whose deadline has passed, the earliest first: from now on it counts as answered. False:
 * none.
 */
bool redis_pipeline_expire(struct redis_pipeline *p, uint64_t now_us, struct redis_waiting *out);
/* The next deadline; UINT64_MAX: none. */
uint64_t redis_pipeline_deadline(const struct redis_pipeline *p);

#endif

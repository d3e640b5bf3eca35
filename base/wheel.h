/*
 * Timers of one thread: a hierarchical wheel with a tick of 100 ms. Timers are embedded in what
 * they belong to. A timer fires at its deadline or up to one tick later, never before.
 */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_TICK_US 100000ull

struct wheel_timer {
    struct wheel_timer *next, **prev; /* NULL prev: not armed */
    uint64_t deadline_us;
    /* May arm or disarm any timer, this one included. */
    void (*fire)(struct wheel_timer *timer, void *ctx);
};

struct wheel;

/* ctx is handed to `fire`. NULL: out of memory. */
struct wheel *wheel_new(uint64_t now_us, void *ctx);
void wheel_free(struct wheel *w); /* armed timers are forgotten, not fired */
/* Arms, or moves an armed timer. A deadline in the past fires at the next advance. */
void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t deadline_us);
void wheel_disarm(struct wheel *w, struct wheel_timer *t); /* not armed: nothing happens */
/* Fires all that is due. Time may jump forward any distance; it costs O(fired + slots passed,
 * bounded). */
void wheel_advance(struct wheel *w, uint64_t now_us);
uint32_t wheel_count(const struct wheel *w);

#endif

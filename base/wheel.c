/*
 * Four levels of 64 slots: level l holds timers due 64^l to 64^(l+1) ticks ahead, in the slot of
 * their due time. When time reaches a slot of level l > 0, its timers move to lower levels; a slot
 * of level 0 is due. A bitmap a level says which slots may hold something, so a jump over hours
 * visits only those.
 *
 * Always: outside of wheel_advance no timer in a slot is due. wheel_advance first collects what is
 * due, then fires: callbacks see a wheel that is at rest, and what they arm for now or earlier
 * waits for the next advance, so an advance ends. Called by the owner thread only.
 */
#include "base/wheel.h"

#include <stddef.h>
#include <stdlib.h>

#define LEVELS    4
#define SLOT_BITS 6
#define SLOTS     (1u << SLOT_BITS)
#define NEVER     UINT64_MAX

struct wheel {
    uint64_t tick; /* all timers due up to here have been collected */
    uint64_t occupied[LEVELS];
    struct wheel_timer *slots[LEVELS][SLOTS];
    struct wheel_timer *late; /* armed with a deadline that had passed */
    struct wheel_timer *due;  /* collected, about to fire */
    void *ctx;
    uint32_t count;
};

struct wheel *wheel_new(uint64_t now_us, void *ctx)
{
    struct wheel *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->tick = now_us / WHEEL_TICK_US;
    w->ctx = ctx;
    return w;
}

void wheel_free(struct wheel *w)
{
    free(w);
}

uint32_t wheel_count(const struct wheel *w)
{
    return w->count;
}

static void timer_link(struct wheel_timer **head, struct wheel_timer *t)
{
    t->next = *head;
    t->prev = head;
    if (t->next)
        t->next->prev = &t->next;
    *head = t;
}

static void timer_unlink(struct wheel_timer *t)
{
    *t->prev = t->next;
    if (t->next)
        t->next->prev = t->prev;
    t->next = NULL;
    t->prev = NULL;
}

/* Rounded up: the tick at whose beginning the deadline has passed. */
static uint64_t timer_tick(const struct wheel_timer *t)
{
    return t->deadline_us / WHEEL_TICK_US + (t->deadline_us % WHEEL_TICK_US != 0);
}

/* For a timer that is due at w->tick or later. */
static void wheel_place(struct wheel *w, struct wheel_timer *t)
{
    uint64_t due = timer_tick(t), ahead = due - w->tick;
    unsigned level = 0;
    while (level < LEVELS - 1 && ahead >> (SLOT_BITS * (level + 1)) != 0)
        level++;
    uint64_t position = due >> (SLOT_BITS * level);
    uint64_t furthest = (w->tick >> (SLOT_BITS * level)) + SLOTS - 1;
    /* Beyond the last level it waits in the furthest slot and is placed anew from there. */
    if (level == LEVELS - 1 && position > furthest)
        position = furthest;
    unsigned slot = (unsigned)position % SLOTS;
    timer_link(&w->slots[level][slot], t);
    w->occupied[level] |= 1ull << slot;
}

void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t deadline_us)
{
    wheel_disarm(w, t);
    t->deadline_us = deadline_us;
    w->count++;
    if (timer_tick(t) <= w->tick)
        timer_link(&w->late, t);
    else
        wheel_place(w, t);
}

void wheel_disarm(struct wheel *w, struct wheel_timer *t)
{
    if (!t->prev)
        return;
    timer_unlink(t);
    w->count--;
}

/* The next tick after w->tick at which an occupied slot of this level is reached. */
static uint64_t wheel_next_of_level(const struct wheel *w, unsigned level)
{
    if (w->occupied[level] == 0)
        return NEVER;
    uint64_t position = (w->tick >> (SLOT_BITS * level)) + 1;
    unsigned turn = (unsigned)position % SLOTS;
    /* Bit 0 of the rotated map is the slot reached next. */
    uint64_t map = w->occupied[level] >> turn | w->occupied[level] << (-turn % SLOTS);
    return (position + (unsigned)__builtin_ctzll(map)) << (SLOT_BITS * level);
}

static uint64_t wheel_next(const struct wheel *w)
{
    uint64_t next = NEVER;
    for (unsigned level = 0; level < LEVELS; level++) {
        uint64_t of_level = wheel_next_of_level(w, level);
        next = of_level < next ? of_level : next;
    }
    return next;
}

static void wheel_cascade(struct wheel *w, unsigned level)
{
    unsigned slot = (unsigned)(w->tick >> (SLOT_BITS * level)) % SLOTS;
    struct wheel_timer *t = w->slots[level][slot];
    w->slots[level][slot] = NULL;
    w->occupied[level] &= ~(1ull << slot);
    while (t) {
        struct wheel_timer *next = t->next;
        wheel_place(w, t);
        t = next;
    }
}

/* Appends a whole list; returns the new end. */
static struct wheel_timer **list_append(struct wheel_timer **tail, struct wheel_timer **list)
{
    *tail = *list;
    *list = NULL;
    if (*tail)
        (*tail)->prev = tail;
    while (*tail)
        tail = &(*tail)->next;
    return tail;
}

/* Moves all that is due up to `target` to w->due, in the order of ticks. */
static void wheel_collect(struct wheel *w, uint64_t target)
{
    struct wheel_timer **tail = list_append(&w->due, &w->late);
    for (uint64_t next = wheel_next(w); next <= target; next = wheel_next(w)) {
        w->tick = next;
        for (unsigned level = LEVELS - 1; level > 0; level--) {
            if ((next & ((1ull << (SLOT_BITS * level)) - 1)) == 0)
                wheel_cascade(w, level);
        }
        unsigned slot = (unsigned)next % SLOTS;
        tail = list_append(tail, &w->slots[0][slot]);
        w->occupied[0] &= ~(1ull << slot);
    }
    w->tick = target;
}

void wheel_advance(struct wheel *w, uint64_t now_us)
{
    uint64_t target = now_us / WHEEL_TICK_US;
    wheel_collect(w, target > w->tick ? target : w->tick);
    while (w->due) {
        struct wheel_timer *t = w->due;
        wheel_disarm(w, t);
        t->fire(t, w->ctx);
    }
}

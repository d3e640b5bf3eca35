/*
 * One entry of the rate table, as words that all threads move by compare-and-swap, and the set of
 * four in which a key may have its place. What holds stands in rate_entry.c. For this folder.
 */
#ifndef RATELIMIT_RATE_ENTRY_H
#define RATELIMIT_RATE_ENTRY_H

#include "ratelimit/rate_table.h"
#include <stdatomic.h>

#define RATE_WAYS  4u
#define RATE_TRIES 16
/* In the scope of an entry: the bucket that a prefix's keys without an entry share. */
#define RATE_FOLDED 0x80

struct rate_set {
    /* The first line is all that a limit of this process alone touches. */
    _Alignas(64) _Atomic uint64_t tag[RATE_WAYS]; /* 0: free */
    _Atomic uint64_t tat[RATE_WAYS];
    _Atomic uint64_t pending[RATE_WAYS], denial[RATE_WAYS]; /* ratelimit/rate_pending.h */
};

struct rate_asked {
    uint64_t tag;
    uint64_t now_us;
    struct gcra local;       /* of the bucket here: the whole, or this instance's share */
    uint32_t unreported_max; /* u; 0: a limit of this process alone */
    uint32_t owed_max;
    bool deny_alone;
    bool alone;    /* Redis has been silent for all keys: only the share admits */
    uint8_t scope; /* with RATE_FOLDED */
    uint8_t realm;
};

enum entry_says {
    ENTRY_ADMITTED = RATE_ADMITTED,
    ENTRY_OVER = RATE_OVER,
    ENTRY_ALONE = RATE_ALONE,
    ENTRY_WAIT = RATE_WAIT,
    ENTRY_GONE, /* the entry is changing hands, or has; ask again */
};

/* RATE_WAYS: the tag has no entry. */
unsigned rate_set_find(const struct rate_set *s, uint64_t tag);
/* Makes an entry at rest of one that may be forgotten. False: there is none, or another thread was
 * about to do the same. */
bool rate_set_claim(struct rate_set *s, const struct rate_asked *a);
/* May one of the four be forgotten, or is one changing hands? */
bool rate_set_has_room(const struct rate_set *s, uint64_t now_us);

/* What control has to know: the entry has become dirty; half of what may be unreported is. */
#define RATE_NEWS_DIRTY 1u
#define RATE_NEWS_HURRY 2u

/* Admits one, or not. *news is added to, whatever is returned. */
enum entry_says rate_entry_charge(
    struct rate_set *s, unsigned way, const struct rate_asked *a, unsigned *news);
/* What charge would say. */
enum entry_says rate_entry_look(const struct rate_set *s, unsigned way, const struct rate_asked *a);
/* The same of a bucket that is only a tat. */
enum entry_says rate_tat_charge(_Atomic uint64_t *tat, const struct gcra *g, uint64_t now_us);
enum entry_says rate_tat_look(const _Atomic uint64_t *tat, const struct gcra *g, uint64_t now_us);

/*
 * The control thread's half (rate_entry_reports.c). An entry that is dirty or in flight keeps its
 * owner.
 */
struct rate_taken {
    uint32_t unreported, owed;
};

/* Begins a flight. False: there is nothing to report, and the entry is no longer dirty. */
bool rate_entry_take(struct rate_set *s, unsigned way, struct rate_taken *taken);
bool rate_entry_in_flight(const struct rate_set *s, unsigned way);
/* The flight has been answered: denies for so long. */
void rate_entry_answered(struct rate_set *s, unsigned way, const struct rate_taken *taken,
    uint64_t deny_us, uint64_t now_us);
/* It has not: all is to be reported again, at most owed_max of what is owed. True: the entry has
 * become dirty; else it was so already. */
bool rate_entry_put_back(
    struct rate_set *s, unsigned way, const struct rate_taken *taken, uint32_t owed_max);
/* There is no such limit any more: nothing is pending, nothing denied. Not while in flight. */
void rate_entry_forgive(struct rate_set *s, unsigned way);
/* Nothing is pending any more if it has been paid for here: the share, of which an admission costs
 * so much, is as full as at rest, and has been for as long as what the count has admitted would
 * have taken, which may have been more than the share had. False: not yet. */
bool rate_entry_forget(struct rate_set *s, unsigned way, uint64_t cost_us, uint64_t now_us);
/* What is taken stays taken as admissions that cost `after`, no longer `before`; neither is 0. */
void rate_entry_rescale(
    struct rate_set *s, unsigned way, uint64_t before, uint64_t after, uint64_t now_us);
/* The same of a bucket that is only a tat. */
void rate_tat_rescale(_Atomic uint64_t *tat, uint64_t before, uint64_t after, uint64_t now_us);

#endif

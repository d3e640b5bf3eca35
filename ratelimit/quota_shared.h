/*
 * What a quota table knows of a user or a realm beside the count of its pin, where instances share
 * it: a name, how much the fleet has certainly been told (told), and what the others hold (others).
 * Between quota.c, on any worker, and quota_reports.c, on the control thread. For this folder.
 *
 * Of three things the bound of quota.h is made (docs/limits.md has the proof):
 * - An instance opens while count + others <= Q, both of one answer, and count <= told + u.
 * - `told` is never more than Redis may hold: it is lowered before a report is made, and raised by
 * the answer to it.
 * - What is reported is what is counted once `told` is lowered to it, so that whatever is counted
 * later has seen the lowered `told`, and hands the entry out again.
 */
#ifndef RATELIMIT_QUOTA_SHARED_H
#define RATELIMIT_QUOTA_SHARED_H

#include "ratelimit/pin_table.h"
#include "ratelimit/quota.h"

#define QUOTA_NO_INDEX UINT32_MAX

struct quota_shared;

/* By the indices of `pins`, borrowed for life. NULL: out of memory. */
struct quota_shared *quota_shared_new(struct pin_table *pins);
void quota_shared_free(struct quota_shared *s); /* NULL: nothing happens */
void quota_shared_begin(struct quota_shared *s, const uint8_t name_key[16]);
bool quota_shared_begun(const struct quota_shared *s);
void quota_shared_set_fleet(struct quota_shared *s, uint32_t instances);
void quota_shared_set_reachable(struct quota_shared *s, bool reachable);
struct quota_shared *quota_shared_of(struct quota_table *t);

enum quota_level { QUOTA_OF_USER, QUOTA_OF_REALM, QUOTA_LEVELS };

/* Whom a pin counts. */
struct quota_who {
    uint64_t hash; /* of its pin */
    uint64_t name; /* the same on every instance */
    uint32_t realm;
    enum quota_level level;
};

enum quota_verdict {
    QUOTA_GRANTED,
    QUOTA_OVER,
    QUOTA_WAIT, /* there is room as far as is known, but u are unreported */
    QUOTA_ALONE,
    QUOTA_NO_ROOM
};

/* Name of a user of a realm, or, `user` empty, of the realm. */
uint64_t quota_shared_name(
    const struct quota_shared *s, enum quota_level level, struct slice realm, struct slice user);
/* Any worker. One more; *index is its pin. Refused: nothing is taken. *report: see quota_open. */
enum quota_verdict quota_shared_take(struct quota_shared *s, const struct quota_who *who,
    const struct quota_asked *asked, uint32_t *index, bool *report);
void quota_shared_give(struct quota_shared *s, uint32_t index);
/* The limits of a realm as they are now. Any thread. True: control has something to look for. */
bool quota_shared_note(struct quota_shared *s, uint32_t realm, const struct quota_limits *limits);
bool quota_shared_inspect(
    const struct quota_shared *s, uint64_t hash, uint64_t now_us, struct quota_state *out);

/* From here on: the control thread. */

/* The first of the entries that have changed; QUOTA_NO_INDEX: none. */
uint32_t quota_shared_changed(struct quota_shared *s);
/* Hands out the entry, before it is looked at, and says which is the next: whatever changes from
 * here on hands it out again. */
uint32_t quota_shared_next(struct quota_shared *s, uint32_t index);
/* Back among those that have changed. */
void quota_shared_postpone(struct quota_shared *s, uint32_t index);
uint64_t quota_shared_name_at(const struct quota_shared *s, uint32_t index);
/* What control notes of an entry: 0 at first. */
uint32_t *quota_shared_slot(struct quota_shared *s, uint32_t index);
uint32_t quota_shared_count(const struct quota_shared *s, uint32_t index);
/* What to report. */
uint32_t quota_shared_snapshot(struct quota_shared *s, uint32_t index, uint64_t now_us);
struct quota_answer {
    uint32_t sent, others;
    bool at_least; /* others may be more than was answered: what was known stays, if it is more */
    uint64_t now_us;
};
void quota_shared_answered(
    struct quota_shared *s, uint32_t index, const struct quota_answer *answer);
/* It may be full, going by what is known; those are worth asking after. */
bool quota_shared_is_near(const struct quota_shared *s, uint32_t index);
/* The entry ends if nothing is held of it any more. */
bool quota_shared_let_go(struct quota_shared *s, uint32_t index);

#endif

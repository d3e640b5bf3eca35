/* How relay/ makes usage records. Private to relay/. */
#ifndef RELAY_USAGE_INTERNAL_H
#define RELAY_USAGE_INTERNAL_H

#include "auth/auth_settings.h"
#include "base/clock.h"
#include "relay/usage.h"

struct allocation;
struct relay;

/* A record of an end that waits for room. Its memory is had when the allocation begins. */
struct usage_waiting {
    struct usage_waiting *next;
    uint16_t user_room;
    struct usage_record record; /* as far as user_room bytes of its user go */
};

/* Of an allocation. */
struct usage_account {
    struct usage_traffic told; /* in records so far */
    uint32_t sequence;         /* of the last record; 0: none yet */
    int64_t started_ms;        /* wall clock */
    struct usage_waiting *end; /* owned; NULL: it began while there were no records */
};

/* Of a realm: ends that found no room at all. */
struct usage_lost {
    uint64_t count;
    struct usage_traffic traffic;
};

/* Of a worker. */
struct usage_state {
    struct usage_waiting *first, *last; /* ends, in the order in which they came */
    uint32_t waiting;
    uint32_t lost_sequence;
    bool any_lost, ending; /* all allocations end now: they have memory to wait in */
    struct usage_lost lost[AUTH_REALMS_MAX];
    uint64_t round_us; /* when the walk over all allocations began */
    uint32_t next_slot;
};

/* Once its owner is known, and again before the owner gets a name of so many bytes: 0, or -ENOMEM
 * with everything as it was. */
int usage_begin(struct allocation *a, uint16_t user_len, const struct instant *now);
/* Before anything of it is given back. */
void usage_end(struct allocation *a, enum end_reason why, const struct instant *now);
/* What waits finds room; some allocations that live are told of. */
void usage_tick(struct relay *r, const struct instant *now);
/* The first half of that: ends alone. True: some still wait. */
bool usage_tell_ends(struct relay *r, const struct instant *now);
/* After the last allocation: hands what waits to the ring's other end. */
void usage_close(struct relay *r, const struct instant *now);
/* Of the ring: what did not find room, to be taken after the rest; frees it. */
void usage_ring_close(struct usage_ring *ring, struct usage_waiting *rest);

#endif

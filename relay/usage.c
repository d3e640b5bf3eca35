/*
 * What each allocation has passed on, as records.
 *
 * Always: `told` is the sum of the deltas of an allocation's records, so what a record could not be
 * put for is in the next one. Records of ends keep their order. A tick walks SLOTS_AT_ONCE slots at
 * most, at a pace that takes it over all of them once in `every`; nothing here waits, and memory is
 * had when an allocation begins, not when a packet comes. Called by allocation.c, refresh.c and
 * relay.c.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/log.h"
#include "relay/core.h"

/* Each may be a cache miss or two: a tenth of a millisecond. */
#define SLOTS_AT_ONCE 1024
/* Of ends that wait, in a tick. */
#define ENDS_AT_ONCE 256

static bool is_on(const struct relay *r)
{
    return r->deps.usage && r->snapshot->usage_every_s > 0;
}

int usage_begin(struct allocation *a, uint16_t user_len, const struct instant *now)
{
    struct usage_account *account = &a->usage;
    if (account->started_ms == 0) {
        account->started_ms =
            instant_wall_ms(now) - (int64_t)((now->mono_us - a->created_us) / US_PER_MS);
    }
    if (!is_on(a->relay) || (account->end && account->end->user_room >= user_len)) {
        return 0;
    }
    struct usage_waiting *end = malloc(offsetof(struct usage_waiting, record.user) + user_len);
    if (!end) {
        return -ENOMEM;
    }
    end->user_room = user_len;
    free(account->end);
    account->end = end;
    return 0;
}

static struct usage_traffic since(const struct usage_traffic *now, const struct usage_traffic *then)
{
    return (struct usage_traffic){
        .packets_to_peer = now->packets_to_peer - then->packets_to_peer,
        .bytes_to_peer = now->bytes_to_peer - then->bytes_to_peer,
        .packets_to_client = now->packets_to_client - then->packets_to_client,
        .bytes_to_client = now->bytes_to_client - then->bytes_to_client,
        .dropped_to_peer = now->dropped_to_peer - then->dropped_to_peer,
        .dropped_to_client = now->dropped_to_client - then->dropped_to_client,
    };
}

static void add_to(struct usage_traffic *sum, const struct usage_traffic *t)
{
    sum->packets_to_peer += t->packets_to_peer;
    sum->bytes_to_peer += t->bytes_to_peer;
    sum->packets_to_client += t->packets_to_client;
    sum->bytes_to_client += t->bytes_to_client;
    sum->dropped_to_peer += t->dropped_to_peer;
    sum->dropped_to_client += t->dropped_to_client;
}

/* Everything but the user, for which the record may have no room. */
static void describe(struct usage_record *record, const struct allocation *a, uint8_t kind,
    const struct instant *now)
{
    const struct usage_account *account = &a->usage;
    const struct allocation_owner *owner = &a->owner;
    record->kind = kind;
    record->reason = 0;
    record->transport = (uint8_t)a->flow.transport;
    record->source = (uint8_t)owner->source;
    record->relayed_count = a->relayed_count;
    record->user_len = owner->user_len;
    record->realm = owner->realm;
    record->sequence = account->sequence + 1;
    record->allocation = a->id;
    record->lost = 0;
    record->started_ms = account->started_ms;
    record->at_ms = instant_wall_ms(now);
    record->age_ms = (now->mono_us - a->created_us) / US_PER_MS;
    memcpy(record->credential, owner->credential, sizeof(record->credential));
    record->client = a->flow.remote;
    memcpy(record->relayed, a->relayed, sizeof(record->relayed));
    record->total = a->traffic;
    record->delta = since(&a->traffic, &account->told);
}

static void count(struct relay *r, enum metric what)
{
    counters_add(r->deps.counters, what, 1);
}

/* False: there is no room now. */
static bool tell_live(struct allocation *a, const struct instant *now)
{
    struct relay *r = a->relay;
    struct usage_record record;
    /* A quarter is left for ends. */
    if (r->usage.waiting > 0 || usage_ring_room(r->deps.usage) <= r->usage_reserve) {
        count(r, METRIC_USAGE_DEFERRED);
        return false;
    }
    (void)usage_begin(a, a->owner.user_len, now);
    describe(&record, a, USAGE_LIVE, now);
    memcpy(record.user, a->owner.user, record.user_len);
    if (!usage_ring_put(r->deps.usage, &record)) {
        return false;
    }
    a->usage.told = a->traffic;
    a->usage.sequence++;
    return true;
}

static void append(struct relay *r, struct usage_waiting *end)
{
    struct usage_state *s = &r->usage;
    end->next = NULL;
    if (s->last) {
        s->last->next = end;
    } else {
        s->first = end;
    }
    s->last = end;
    s->waiting++;
}

static void lose(struct relay *r, const struct allocation *a)
{
    struct usage_lost *lost = &r->usage.lost[a->owner.realm];
    const struct usage_traffic delta = since(&a->traffic, &a->usage.told);
    lost->count++;
    add_to(&lost->traffic, &delta);
    r->usage.any_lost = true;
    count(r, METRIC_USAGE_LOST);
}

/* Into the ring, or, where that is full or others wait before it, behind those. */
void usage_end(struct allocation *a, enum end_reason why, const struct instant *now)
{
    struct relay *r = a->relay;
    struct usage_waiting *end = a->usage.end;
    a->usage.end = NULL;
    if (!is_on(r)) {
        free(end);
        return;
    }
    const bool full = r->usage.waiting > 0 && r->usage.waiting >= r->deps.max_allocations;
    if (!end || end->user_room < a->owner.user_len || (full && !r->usage.ending)) {
        free(end);
        lose(r, a);
        return;
    }
    describe(&end->record, a, USAGE_END, now);
    end->record.reason = (uint8_t)why;
    memcpy(end->record.user, a->owner.user, end->record.user_len);
    if (r->usage.waiting == 0 && usage_ring_put(r->deps.usage, &end->record)) {
        free(end);
        return;
    }
    append(r, end);
}

static void tell_waiting(struct relay *r)
{
    struct usage_state *s = &r->usage;
    for (unsigned n = 0; n < ENDS_AT_ONCE && s->first; n++) {
        struct usage_waiting *end = s->first;
        if (!usage_ring_put(r->deps.usage, &end->record)) {
            return;
        }
        s->first = end->next;
        s->last = s->first ? s->last : NULL;
        s->waiting--;
        free(end);
    }
}

static void describe_lost(
    struct usage_record *record, struct relay *r, uint32_t realm, const struct instant *now)
{
    const struct usage_lost *lost = &r->usage.lost[realm];
    *record = (struct usage_record){.kind = USAGE_LOST,
        .realm = realm,
        .sequence = r->usage.lost_sequence + 1,
        .allocation = r->deps.worker,
        .lost = lost->count,
        .started_ms = instant_wall_ms(now),
        .at_ms = instant_wall_ms(now),
        .total = lost->traffic,
        .delta = lost->traffic};
}

static void tell_lost(struct relay *r, const struct instant *now)
{
    struct usage_state *s = &r->usage;
    for (uint32_t realm = 0; s->any_lost && !s->first && realm < AUTH_REALMS_MAX; realm++) {
        struct usage_record record;
        if (s->lost[realm].count == 0) {
            continue;
        }
        describe_lost(&record, r, realm, now);
        if (!usage_ring_put(r->deps.usage, &record)) {
            return;
        }
        s->lost_sequence++;
        s->lost[realm] = (struct usage_lost){0};
    }
    s->any_lost = s->any_lost && s->first != NULL;
}

/* So far as the time since the round began is of `every`. */
static void walk(struct relay *r, const struct instant *now)
{
    struct usage_state *s = &r->usage;
    const uint64_t every_us = r->snapshot->usage_every_s * US_PER_S;
    const uint64_t elapsed = now->mono_us - s->round_us;
    const uint32_t slots = slab_slots(r->allocations);
    const uint64_t due = elapsed < every_us ? slots * elapsed / every_us : slots;
    for (unsigned n = 0; s->next_slot < due && n < SLOTS_AT_ONCE; n++) {
        struct allocation *a = slab_at(r->allocations, s->next_slot);
        if (a && !tell_live(a, now)) {
            return;
        }
        s->next_slot++;
    }
    if (elapsed >= every_us && s->next_slot >= slots) {
        s->round_us = elapsed < 2 * every_us ? s->round_us + every_us : now->mono_us;
        s->next_slot = 0;
    }
}

bool usage_tell_ends(struct relay *r, const struct instant *now)
{
    if (!r->deps.usage) {
        return false;
    }
    tell_waiting(r);
    tell_lost(r, now);
    return r->usage.first || r->usage.any_lost;
}

void usage_tick(struct relay *r, const struct instant *now)
{
    if (!r->deps.usage) {
        return;
    }
    (void)usage_tell_ends(r, now);
    if (is_on(r)) {
        walk(r, now);
    } else {
        r->usage.round_us = now->mono_us;
        r->usage.next_slot = 0;
    }
}

void usage_close(struct relay *r, const struct instant *now)
{
    struct usage_state *s = &r->usage;
    if (!r->deps.usage) {
        return;
    }
    for (uint32_t realm = 0; s->any_lost && realm < AUTH_REALMS_MAX; realm++) {
        struct usage_waiting *end = s->lost[realm].count ? malloc(sizeof(*end)) : NULL;
        if (end) {
            describe_lost(&end->record, r, realm, now);
            s->lost_sequence++;
            append(r, end);
        } else if (s->lost[realm].count) {
            log_event(LOG_ERROR, "usage_not_told", log_u64("allocations", s->lost[realm].count),
                log_u64("bytes_to_peer", s->lost[realm].traffic.bytes_to_peer),
                log_u64("bytes_to_client", s->lost[realm].traffic.bytes_to_client));
        }
    }
    usage_ring_close(r->deps.usage, s->first);
    *s = (struct usage_state){0};
}

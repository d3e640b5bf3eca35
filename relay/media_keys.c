/*
 * Keys of media on their way to the allocations that they are for: asked for when an allocation is
 * made, found by its id or its user when they come, wiped when they have ended.
 *
 * Always: the index has each live allocation under its realm and user as on the wire and, where
 * that is another one, under its account; behind the first of a name, the latest stands first.
 * Nothing here walks all allocations at once. Called by allocation.c and relay.c.
 */
#include <errno.h>

#include "base/log.h"
#include "relay/core.h"

/* Allocations that are looked at in one tick for whether keys are to be asked for. */
#define MEDIA_WANT_STEP 4096

/* Nodes of the index are named by the slot of their allocation and which of its names it is, and
 * 1, so that 0 is none. */
static uint32_t node_id(const struct allocation *a, unsigned which)
{
    return (handle_slot(a->handle) << 1 | which) + 1;
}

static struct allocation *node_allocation(const struct relay *r, uint32_t id)
{
    return slab_at(r->allocations, (id - 1) >> 1);
}

static struct media_user *node_at(const struct relay *r, uint32_t id)
{
    return &node_allocation(r, id)->media.users[(id - 1) & 1];
}

/* Name 0 is that on the wire, name 1 the account. Borrowed from the allocation. */
static struct slice name_of(const struct allocation *a, unsigned which)
{
    const struct identity id = allocation_identity(a);
    if (which == 0) {
        return id.user;
    }
    return id.source == AUTH_SOURCE_OAUTH ? slice_of_string(a->owner.credential)
                                          : identity_account(&id);
}

struct user_key {
    uint32_t realm;
    struct slice name; /* at most SRTP_USER_MAX bytes */
};

static uint64_t user_hash(const struct relay *r, const struct user_key *key)
{
    uint8_t text[sizeof(key->realm) + SRTP_USER_MAX];
    memcpy(text, &key->realm, sizeof(key->realm));
    memcpy(text + sizeof(key->realm), key->name.data, key->name.len);
    return crypto_siphash(r->deps.shared->hash_key, text, sizeof(key->realm) + key->name.len);
}

static bool match_user(uint32_t id, const void *key, void *ctx)
{
    const struct user_key *wanted = key;
    const struct allocation *a = node_allocation(ctx, id);
    const struct slice name = name_of(a, (id - 1) & 1);
    return a->owner.realm == wanted->realm && name.len == wanted->name.len &&
           memcmp(name.data, wanted->name.data, name.len) == 0;
}

/* The first of them, or 0. */
static uint32_t find_user(struct relay *r, uint64_t hash, const struct user_key *key)
{
    const uint32_t id = table_find(r->media.users, hash, match_user, key, r);
    return id == TABLE_NOT_FOUND ? 0 : id;
}

/* Behind the first of its user, which stays in the table. */
static int enter(struct allocation *a, unsigned which)
{
    struct relay *r = a->relay;
    struct media_user *node = &a->media.users[which];
    const struct user_key key = {a->owner.realm, name_of(a, which)};
    const uint32_t id = node_id(a, which);
    if (key.name.len > SRTP_USER_MAX) {
        return 0; /* no deposit can name it */
    }
    node->hash = user_hash(r, &key);
    const uint32_t first = find_user(r, node->hash, &key);
    if (!first) {
        const int rc = table_insert(r->media.users, node->hash, id);
        node->entered = rc == 0;
        return rc;
    }
    struct media_user *head = node_at(r, first);
    node->before = first;
    node->after = head->after;
    head->after = id;
    if (node->after) {
        node_at(r, node->after)->before = id;
    }
    node->entered = true;
    return 0;
}

static void leave(struct allocation *a, unsigned which)
{
    struct relay *r = a->relay;
    struct media_user *node = &a->media.users[which];
    if (!node->entered) {
        return;
    }
    if (node->before) {
        node_at(r, node->before)->after = node->after;
    } else {
        table_remove(r->media.users, node->hash, node_id(a, which));
        if (node->after) {
            /* There is room: one has just gone. */
            (void)table_insert(r->media.users, node->hash, node->after);
        }
    }
    if (node->after) {
        node_at(r, node->after)->before = node->before;
    }
    *node = (struct media_user){0};
}

/* The list of allocations with keys, in the order in which they are looked at. */
static void list_append(struct allocation *a)
{
    struct media_state *m = &a->relay->media;
    a->media.before = m->last;
    a->media.after = NULL;
    if (m->last) {
        m->last->media.after = a;
    } else {
        m->first = a;
    }
    m->last = a;
    a->media.listed = true;
    m->count++;
}

static void list_remove(struct allocation *a)
{
    struct media_state *m = &a->relay->media;
    if (!a->media.listed) {
        return;
    }
    if (a->media.before) {
        a->media.before->media.after = a->media.after;
    } else {
        m->first = a->media.after;
    }
    if (a->media.after) {
        a->media.after->media.before = a->media.before;
    } else {
        m->last = a->media.before;
    }
    a->media.listed = false;
    m->count--;
}

static void fill_wanted(struct srtp_wanted *wanted, const struct allocation *a)
{
    const struct slice user = name_of(a, 0), account = name_of(a, 1);
    const bool same = account.len == user.len && memcmp(account.data, user.data, user.len) == 0;
    *wanted = (struct srtp_wanted){.allocation = a->id, .realm = a->owner.realm};
    if (user.len <= sizeof(wanted->user)) {
        wanted->user_len = (uint16_t)user.len;
        memcpy(wanted->user, user.data, user.len);
    }
    if (!same && account.len <= sizeof(wanted->account)) {
        wanted->account_len = (uint16_t)account.len;
        memcpy(wanted->account, account.data, account.len);
    }
}

/* False: nobody could be asked now. */
static bool want(struct allocation *a)
{
    struct relay *r = a->relay;
    struct srtp_wanted wanted;
    if (a->media.asked || !r->deps.want_keys || guard_level(a) < SRTP_GUARD_VERIFY) {
        return true;
    }
    fill_wanted(&wanted, a);
    const int rc = r->deps.want_keys(r->deps.want_keys_ctx, &wanted);
    a->media.asked = rc == 0;
    if (rc) {
        log_event(LOG_DEBUG, "media_keys_not_asked_for", log_hex64("id", a->id));
    }
    return rc == 0;
}

int media_begin(struct allocation *a)
{
    const struct slice user = name_of(a, 0), account = name_of(a, 1);
    int rc = enter(a, 0);
    if (rc == 0 && !(account.len == user.len && memcmp(account.data, user.data, user.len) == 0)) {
        rc = enter(a, 1);
    }
    if (rc) {
        media_end(a);
        return rc;
    }
    if (!want(a)) {
        struct media_state *m = &a->relay->media;
        m->wanting = true;
        m->want_behind = m->want_behind || handle_slot(a->handle) < m->want_slot;
    }
    return 0;
}

void media_end(struct allocation *a)
{
    struct relay *r = a->relay;
    if (a->media.asked && r->deps.unwant_keys) {
        r->deps.unwant_keys(r->deps.want_keys_ctx, a->id);
    }
    a->media.asked = false;
    list_remove(a);
    leave(a, 1);
    leave(a, 0);
    srtp_guard_end(a->relay->media.guard, &a->media.session);
}

static bool take(struct allocation *a, const struct srtp_deposit *d, const struct instant *now)
{
    struct relay *r = a->relay;
    const int rc = srtp_guard_deposit(r->media.guard, &a->media.session, d, now);
    if (a->media.session.keys && !a->media.listed) {
        list_append(a);
    }
    if (rc) {
        counters_add(r->deps.counters, METRIC_SRTP_KEYS_REFUSED, 1);
    } else if (d->until > now->wall_s) {
        counters_add(r->deps.counters, METRIC_SRTP_KEYS_DEPOSITED, 1);
    }
    return rc == 0;
}

unsigned relay_srtp_deposit(
    struct relay *r, const struct srtp_deposit *deposit, const struct instant *now)
{
    const struct srtp_binding *b = &deposit->binding;
    r->now = *now;
    if (b->allocation) {
        struct allocation *a = slab_at(r->allocations, handle_slot(b->allocation));
        return a && a->id == b->allocation && take(a, deposit, now);
    }
    if (b->user_len > SRTP_USER_MAX) {
        return 0;
    }
    const struct user_key key = {b->realm, slice_of(b->user, b->user_len)};
    const uint32_t first = find_user(r, user_hash(r, &key), &key);
    unsigned taken = 0;
    for (uint32_t id = first; id; id = node_at(r, id)->after) {
        struct allocation *a = node_allocation(r, id);
        /* Those behind have been there for longer, and got it when this one did. What control tells
         * one that is new would else cost as much as its user has allocations. */
        if (id != first && srtp_guard_has(&a->media.session, deposit)) {
            break;
        }
        taken += take(a, deposit, now);
    }
    return taken;
}

/* So many that each is looked at once a second. */
static void tick_keys(struct relay *r, const struct instant *now)
{
    struct media_state *m = &r->media;
    uint64_t elapsed = now->mono_us - m->ticked_us;
    elapsed = elapsed < US_PER_S ? elapsed : US_PER_S;
    m->ticked_us = now->mono_us;
    for (uint64_t n = (m->count * elapsed + US_PER_S - 1) / US_PER_S; n > 0 && m->first; n--) {
        struct allocation *a = m->first;
        srtp_guard_tick(m->guard, &a->media.session, now);
        list_remove(a);
        if (a->media.session.keys) {
            list_append(a);
        }
    }
}

/* Goes on where it has stopped, until all have been looked at and nobody was too busy to be asked.
 */
static void tick_wants(struct relay *r)
{
    struct media_state *m = &r->media;
    for (unsigned n = 0; n < MEDIA_WANT_STEP && m->wanting; n++) {
        if (m->want_slot >= slab_slots(r->allocations)) {
            m->want_slot = 0;
            m->wanting = m->want_behind;
            m->want_behind = false;
            return;
        }
        struct allocation *a = slab_at(r->allocations, m->want_slot);
        if (a && !want(a)) {
            return;
        }
        m->want_slot++;
    }
}

void media_tick(struct relay *r, const struct instant *now)
{
    tick_keys(r, now);
    tick_wants(r);
}

void media_set_policy(struct relay *r)
{
    srtp_guard_set_policy(r->media.guard, &r->snapshot->srtp);
    /* Live allocations may be verified from now on. */
    r->media.wanting = true;
    r->media.want_slot = 0;
}

bool media_init(struct relay *r, uint32_t allocations)
{
    const uint64_t streams = (uint64_t)allocations * MEDIA_STREAMS_PER_ALLOCATION;
    struct media_state *m = &r->media;
    m->guard = srtp_guard_new(
        r->deps.counters, streams < MEDIA_STREAMS_MAX ? (uint32_t)streams : MEDIA_STREAMS_MAX);
    m->users = table_new((size_t)allocations * 2);
    m->ticked_us = r->now.mono_us;
    if (m->guard) {
        media_set_policy(r);
    }
    return m->guard && m->users;
}

void media_deinit(struct relay *r)
{
    srtp_guard_free(r->media.guard);
    table_free(r->media.users);
}

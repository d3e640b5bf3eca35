/*
 * Revocations of one worker: a table of two keyed hashes of (kind, realm, id) and an end, so that
 * 65536 of them take 3 MB whatever their ids are. It is at most half full; what has ended goes when
 * the room is needed. Called by auth_worker.c, on the worker's thread, and by who ends live
 * allocations (revocation_covers).
 */
#include "auth/revocation.h"

#include "base/crypto.h"
#include "base/secret.h"
#include <errno.h>
#include <stdlib.h>

#define SLOTS_MIN 64
#define SLOTS_MAX (2 * REVOCATIONS_MAX)
#define NEVER     INT64_MIN /* the end of one that was taken back */

struct slot {
    uint64_t tag[2];
    int64_t until; /* wall clock, s */
    bool used;
};

struct revocations {
    uint8_t key[16];
    struct slot *slots;
    size_t mask, used;
};

struct tags {
    uint64_t tag[2];
};

/* What a revocation goes by. */
struct revocation_name {
    enum revocation_kind kind;
    uint32_t realm;
    struct slice id;
};

static bool same_id(const struct revocation *v, struct slice id)
{
    return slice_equal(slice_of(v->id, v->id_len), id);
}

bool revocation_covers(const struct revocation *v, const struct identity *identity)
{
    const struct slice credential = slice_of_string(identity->credential);
    if (v->realm != identity->realm)
        return false;
    switch (v->kind) {
    case REVOKE_USER:
        return same_id(v, identity->user) || same_id(v, identity_account(identity));
    case REVOKE_TOKEN:
        return identity->source == AUTH_SOURCE_OAUTH && same_id(v, credential);
    case REVOKE_SECRET:
        return (identity->source == AUTH_SOURCE_REST && same_id(v, credential)) ||
               (identity->source == AUTH_SOURCE_OAUTH && same_id(v, identity->user));
    default:
        return false;
    }
}

struct revocations *revocations_new(const uint8_t key[16])
{
    struct revocations *s = calloc(1, sizeof(*s));
    struct slot *slots = calloc(SLOTS_MIN, sizeof(*slots));
    if (!s || !slots) {
        free(s);
        free(slots);
        return NULL;
    }
    memcpy(s->key, key, sizeof(s->key));
    s->slots = slots;
    s->mask = SLOTS_MIN - 1;
    return s;
}

void revocations_free(struct revocations *s)
{
    if (!s)
        return;
    free(s->slots);
    secret_cleanse(s, sizeof(*s));
    free(s);
}

static struct tags tags_of(
    const struct revocations *s, uint8_t kind, uint32_t realm, struct slice id)
{
    uint8_t text[1 + 1 + 4 + REVOCATION_ID_MAX] = {0, kind, (uint8_t)(realm >> 24),
        (uint8_t)(realm >> 16), (uint8_t)(realm >> 8), (uint8_t)realm};
    const size_t len = id.len < REVOCATION_ID_MAX ? id.len : REVOCATION_ID_MAX;
    if (len > 0)
        memcpy(text + 6, id.data, len);
    struct tags t;
    for (uint8_t i = 0; i < 2; i++) {
        text[0] = i;
        t.tag[i] = crypto_siphash(s->key, text, 6 + len);
    }
    return t;
}

/* The slot of these tags, or the free one where it belongs. */
static struct slot *find(struct slot *slots, size_t mask, const struct tags *t)
{
    size_t i = (size_t)t->tag[0] & mask;
    while (slots[i].used && (slots[i].tag[0] != t->tag[0] || slots[i].tag[1] != t->tag[1]))
        i = (i + 1) & mask;
    return &slots[i];
}

/* Makes the table anew without what has ended, with room for one more. */
static int make_room(struct revocations *s, int64_t now_s)
{
    size_t live = 0, slots = SLOTS_MIN;
    for (size_t i = 0; i <= s->mask; i++)
        live += s->slots[i].used && s->slots[i].until > now_s;
    if (live >= REVOCATIONS_MAX)
        return -ENOSPC;
    /* Twice as many as needed, so that it is not made anew with the next one. */
    while (slots < SLOTS_MAX && slots < (live + 1) * 4)
        slots *= 2;
    struct slot *table = calloc(slots, sizeof(*table));
    if (!table)
        return -ENOMEM;
    for (size_t i = 0; i <= s->mask; i++) {
        const struct slot *old = &s->slots[i];
        if (old->used && old->until > now_s)
            *find(table, slots - 1, &(struct tags){{old->tag[0], old->tag[1]}}) = *old;
    }
    free(s->slots);
    s->slots = table;
    s->mask = slots - 1;
    s->used = live;
    return 0;
}

int revocations_put(struct revocations *s, const struct revocation *v, int64_t now_s)
{
    const struct tags t = tags_of(s, v->kind, v->realm, slice_of(v->id, v->id_len));
    struct slot *slot = find(s->slots, s->mask, &t);
    const bool taken_back = v->until <= now_s;
    if (slot->used)
        slot->until = taken_back ? NEVER : v->until;
    if (slot->used || taken_back)
        return 0;
    if (s->used * 2 > s->mask) {
        const int rc = make_room(s, now_s);
        if (rc < 0)
            return rc;
        slot = find(s->slots, s->mask, &t);
    }
    *slot = (struct slot){{t.tag[0], t.tag[1]}, v->until, true};
    s->used++;
    return 0;
}

/* The end of this one, if it is later than `until` and in force; else `until`. */
static int64_t later(
    const struct revocations *s, const struct revocation_name *name, int64_t now_s, int64_t until)
{
    const struct tags t = tags_of(s, (uint8_t)name->kind, name->realm, name->id);
    const struct slot *slot = find(s->slots, s->mask, &t);
    const bool in_force = slot->used && slot->until > now_s;
    return in_force && slot->until > until ? slot->until : until;
}

int64_t revocations_until(
    const struct revocations *s, const struct identity *identity, int64_t now_s)
{
    struct revocation_name names[4] = {{REVOKE_USER, identity->realm, identity->user},
        {REVOKE_USER, identity->realm, identity_account(identity)}};
    const struct slice credential = slice_of_string(identity->credential);
    size_t count = 2;
    int64_t until = 0;
    if (s->used == 0)
        return 0;
    if (identity->source == AUTH_SOURCE_OAUTH) {
        names[count++] = (struct revocation_name){REVOKE_TOKEN, identity->realm, credential};
        names[count++] = (struct revocation_name){REVOKE_SECRET, identity->realm, identity->user};
    } else if (identity->source == AUTH_SOURCE_REST) {
        names[count++] = (struct revocation_name){REVOKE_SECRET, identity->realm, credential};
    }
    for (size_t i = 0; i < count; i++)
        until = later(s, &names[i], now_s, until);
    return until;
}

bool revocations_cover(const struct revocations *s, const struct identity *identity, int64_t now_s)
{
    return revocations_until(s, identity, now_s) != 0;
}

size_t revocations_count(const struct revocations *s)
{
    size_t count = 0;
    for (size_t i = 0; i <= s->mask; i++)
        count += s->slots[i].used && s->slots[i].until != NEVER;
    return count;
}

/*
 * A hash table of places, each deposit an entry on the heap of its own, so that an empty store
 * costs little and what goes is wiped as a whole. What always holds: no two entries have one
 * binding, and no chain holds more than KEY_STORE_PER_PLACE of a place. Called by daemon/ on the
 * control thread.
 */
#include "srtp/key_store.h"

#include <errno.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/secret.h"

#define BUCKETS KEY_STORE_MAX /* a power of two */

struct entry {
    struct entry *next;
    struct srtp_deposit deposit;
};

struct key_store {
    size_t count;
    int64_t earliest; /* no entry ends before it */
    uint8_t hash_key[16];
    struct entry *buckets[BUCKETS];
};

/* One allocation, or one user of a realm. */
struct place {
    uint64_t allocation; /* 0: by user */
    uint32_t realm;
    struct slice user;
};

struct key_store *key_store_new(const uint8_t hash_key[16])
{
    struct key_store *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    memcpy(s->hash_key, hash_key, sizeof(s->hash_key));
    s->earliest = INT64_MAX;
    return s;
}

static void entry_remove(struct key_store *s, struct entry **link)
{
    struct entry *e = *link;
    *link = e->next;
    secret_cleanse(e, sizeof(*e));
    free(e);
    s->count--;
}

void key_store_free(struct key_store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (s->buckets[i])
            entry_remove(s, &s->buckets[i]);
    }
    free(s);
}

static struct place place_of(const struct srtp_binding *b)
{
    return (struct place){b->allocation, b->realm, slice_of(b->user, b->user_len)};
}

static bool is_at(const struct entry *e, const struct place *place)
{
    const struct srtp_binding *b = &e->deposit.binding;
    if (place->allocation != 0 || b->allocation != 0)
        return b->allocation == place->allocation;
    return b->realm == place->realm && slice_equal(slice_of(b->user, b->user_len), place->user);
}

/* The user of an allocation's place plays no part, and the other way round. */
static size_t bucket_of(const struct key_store *s, const struct place *place)
{
    uint8_t bytes[12 + SRTP_USER_MAX] = {0};
    size_t len = 12;
    memcpy(bytes, &place->allocation, 8);
    if (place->allocation == 0) {
        memcpy(bytes + 8, &place->realm, 4);
        memcpy(bytes + 12, place->user.data, place->user.len);
        len += place->user.len;
    }
    return crypto_siphash(s->hash_key, bytes, len) % BUCKETS;
}

/* Where the binding's entry hangs; or, with *at a link to NULL, nowhere. *count: of its place. */
static struct entry **find(struct key_store *s, const struct srtp_binding *binding, unsigned *count)
{
    const struct place place = place_of(binding);
    struct entry **link = &s->buckets[bucket_of(s, &place)], **found = NULL;
    *count = 0;
    for (; *link; link = &(*link)->next) {
        *count += is_at(*link, &place);
        if (srtp_binding_equal(&(*link)->deposit.binding, binding))
            found = link;
    }
    return found ? found : link;
}

static void sweep(struct key_store *s, int64_t now_s)
{
    s->earliest = INT64_MAX;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct entry **link = &s->buckets[i]; *link;) {
            const int64_t until = (*link)->deposit.until;
            if (until <= now_s) {
                entry_remove(s, link);
                continue;
            }
            s->earliest = until < s->earliest ? until : s->earliest;
            link = &(*link)->next;
        }
    }
}

void key_store_tick(struct key_store *s, int64_t now_s)
{
    if (s->earliest <= now_s)
        sweep(s, now_s);
}

static int add(struct key_store *s, struct entry **link, const struct srtp_deposit *d)
{
    struct entry *e = malloc(sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->next = NULL;
    e->deposit = *d;
    *link = e;
    s->count++;
    return 0;
}

int key_store_put(struct key_store *s, const struct srtp_deposit *d, int64_t now_s)
{
    unsigned count;
    key_store_tick(s, now_s);
    struct entry **link = find(s, &d->binding, &count);
    if (d->until <= now_s) {
        if (!*link)
            return -ESTALE;
        entry_remove(s, link);
        return 0;
    }
    int rc = 0;
    if (*link) {
        secret_cleanse(&(*link)->deposit, sizeof((*link)->deposit));
        (*link)->deposit = *d;
    } else {
        rc = s->count >= KEY_STORE_MAX || count >= KEY_STORE_PER_PLACE ? -ENOSPC : add(s, link, d);
    }
    if (rc == 0 && d->until < s->earliest)
        s->earliest = d->until;
    return rc;
}

struct visit {
    int64_t now_s;
    void (*found)(void *ctx, const struct srtp_deposit *d);
    void *ctx;
};

static void visit(const struct key_store *s, const struct place *place, const struct visit *v)
{
    for (const struct entry *e = s->buckets[bucket_of(s, place)]; e; e = e->next) {
        if (is_at(e, place) && e->deposit.until > v->now_s)
            v->found(v->ctx, &e->deposit);
    }
}

void key_store_find(const struct key_store *s, const struct srtp_wanted *wanted, int64_t now_s,
    void (*found)(void *ctx, const struct srtp_deposit *d), void *ctx)
{
    const struct visit v = {now_s, found, ctx};
    const struct place allocation = {.allocation = wanted->allocation};
    const struct place user = {
        .realm = wanted->realm, .user = slice_of(wanted->user, wanted->user_len)};
    const struct place account = {
        .realm = wanted->realm, .user = slice_of(wanted->account, wanted->account_len)};
    if (wanted->allocation != 0)
        visit(s, &allocation, &v);
    if (wanted->user_len > 0)
        visit(s, &user, &v);
    if (wanted->account_len > 0 && !slice_equal(account.user, user.user))
        visit(s, &account, &v);
}

size_t key_store_count(const struct key_store *s)
{
    return s->count;
}

/*
 * A table by hash over numbered places. A user's place has as many references as allocations want
 * it, and goes with the last; an allocation's goes when it ends, or when it has aged. Allocations
 * stand in a list, the one that asked longest ago first. Called by media_keys.c.
 */
#include "daemon/media_places.h"

#include <errno.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/table.h"

struct media_places {
    uint8_t hash_key[16];
    void (*gone)(void *ctx, struct media_place *place);
    void *ctx;
    struct table *table;
    struct media_place *oldest, *newest;
    uint32_t end; /* numbers below have been in use */
    uint32_t free_count;
    uint32_t free[MEDIA_PLACES_MAX]; /* numbers below `end` that are not in use */
    struct media_place *places[MEDIA_PLACES_MAX];
};

static bool is_place(uint32_t number, const void *key, void *ctx)
{
    const struct media_places *p = ctx;
    const struct slice *text = key;
    return slice_equal(media_place_slice(p->places[number]), *text);
}

static uint64_t hash_of(const struct media_places *p, struct slice text)
{
    return crypto_siphash(p->hash_key, text.data, text.len);
}

struct media_place *media_places_find(const struct media_places *p, struct slice text)
{
    const uint32_t number =
        table_find(p->table, hash_of(p, text), is_place, &text, (void *)(uintptr_t)p);
    return number == TABLE_NOT_FOUND ? NULL : p->places[number];
}

/* The place, made if there is none. 0, -ENOSPC or -ENOMEM. */
static int get_place(struct media_places *p, const struct key_place *of, struct media_place **out)
{
    const struct slice text = key_place_slice(of);
    *out = media_places_find(p, text);
    if (*out)
        return 0;
    if (p->free_count == 0 && p->end == MEDIA_PLACES_MAX)
        return -ENOSPC;
    struct media_place *place = calloc(1, sizeof(*place) + text.len);
    if (!place)
        return -ENOMEM;
    place->len = text.len;
    memcpy(place->text, text.data, text.len);
    place->own.hash = hash_of(p, text);
    place->own.number = p->free_count > 0 ? p->free[p->free_count - 1] : p->end;
    p->places[place->own.number] = place;
    if (table_insert(p->table, place->own.hash, place->own.number) < 0) {
        p->places[place->own.number] = NULL;
        free(place);
        return -ENOSPC;
    }
    if (p->free_count > 0)
        p->free_count--;
    else
        p->end++;
    *out = place;
    return 0;
}

static void free_place(struct media_place *place)
{
    free(place->fields);
    free(place);
}

static void drop_place(struct media_places *p, struct media_place *place)
{
    p->gone(p->ctx, place);
    (void)table_remove(p->table, place->own.hash, place->own.number);
    p->places[place->own.number] = NULL;
    p->free[p->free_count++] = place->own.number;
    free_place(place);
}

static void unlink_allocation(struct media_places *p, struct media_place *place)
{
    *(place->own.older ? &place->own.older->own.newer : &p->oldest) = place->own.newer;
    *(place->own.newer ? &place->own.newer->own.older : &p->newest) = place->own.older;
}

static void link_newest(struct media_places *p, struct media_place *place)
{
    place->own.newer = NULL;
    place->own.older = p->newest;
    *(p->newest ? &p->newest->own.newer : &p->oldest) = place;
    p->newest = place;
}

static void end_allocation(struct media_places *p, struct media_place *place)
{
    for (size_t i = 0; i < MEDIA_PLACES_EACH - 1; i++) {
        struct media_place *user = place->own.users[i];
        if (user && --user->own.references == 0)
            drop_place(p, user);
    }
    unlink_allocation(p, place);
    drop_place(p, place);
}

/* A name without a place has no keys there. 0, -ENOSPC or -ENOMEM. */
static int want_user(struct media_places *p, const struct media_wanted *who, struct slice name,
    struct media_place **link)
{
    struct key_place text;
    if (name.len == 0 || key_place_of_user(&text, who->realm, name) < 0)
        return 0;
    const int result = get_place(p, &text, link);
    if (result < 0) {
        *link = NULL;
        return result;
    }
    (*link)->realm = who->wanted->realm;
    (*link)->own.references++;
    return 0;
}

/* Its user's and its account's, the first time. 0, -ENOSPC or -ENOMEM. */
static int want_users(
    struct media_places *p, const struct media_wanted *who, struct media_place *allocation)
{
    const struct srtp_wanted *w = who->wanted;
    struct slice names[] = {slice_of(w->user, w->user_len), slice_of(w->account, w->account_len)};
    int result = 0;
    if (slice_equal(names[0], names[1]))
        names[1].len = 0;
    for (size_t i = 0; i < MEDIA_PLACES_EACH - 1 && result == 0; i++)
        result = want_user(p, who, names[i], &allocation->own.users[i]);
    return result;
}

int media_places_want(struct media_places *p, const struct media_wanted *who,
    struct media_place *out[MEDIA_PLACES_EACH])
{
    struct key_place text;
    struct media_place *place;
    int count = 0, result = key_place_of_allocation(&text, who->wanted->allocation);
    if (result < 0)
        return result;
    result = get_place(p, &text, &place);
    if (result < 0)
        return result;
    const bool fresh = place->allocation == 0;
    if (!fresh)
        unlink_allocation(p, place);
    place->allocation = who->wanted->allocation;
    place->own.wanted_us = who->now_us;
    link_newest(p, place);
    if (fresh && (result = want_users(p, who, place)) < 0) {
        end_allocation(p, place);
        return result;
    }
    out[count++] = place;
    for (size_t i = 0; i < MEDIA_PLACES_EACH - 1; i++) {
        if (place->own.users[i])
            out[count++] = place->own.users[i];
    }
    for (int i = 0; i < count; i++)
        out[i]->workers |= (uint64_t)1 << who->worker;
    return count;
}

void media_places_unwant(struct media_places *p, uint64_t allocation)
{
    struct key_place text;
    struct media_place *place = NULL;
    if (key_place_of_allocation(&text, allocation) == 0)
        place = media_places_find(p, key_place_slice(&text));
    if (place)
        end_allocation(p, place);
}

void media_places_age(struct media_places *p, uint64_t before_us)
{
    struct media_place *place = p->oldest;
    while (place && place->own.wanted_us < before_us) {
        struct media_place *newer = place->own.newer;
        end_allocation(p, place);
        place = newer;
    }
}

struct media_place *media_places_at(const struct media_places *p, uint32_t number)
{
    return p->places[number];
}

uint32_t media_places_end(const struct media_places *p)
{
    return p->end;
}

uint32_t media_places_count(const struct media_places *p)
{
    return p->end - p->free_count;
}

struct media_places *media_places_new(
    const uint8_t hash_key[16], void (*gone)(void *ctx, struct media_place *place), void *ctx)
{
    struct media_places *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    memcpy(p->hash_key, hash_key, sizeof(p->hash_key));
    p->gone = gone;
    p->ctx = ctx;
    p->table = table_new(MEDIA_PLACES_MAX);
    if (p->table)
        return p;
    free(p);
    return NULL;
}

void media_places_free(struct media_places *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->end; i++) {
        if (p->places[i])
            free_place(p->places[i]);
    }
    table_free(p->table);
    free(p);
}

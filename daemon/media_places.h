/*
 * Places of keys of media in Redis (srtp/key_place.h) that live allocations of this instance want:
 * one by the allocation's id, and those of its user, which other allocations of that user want as
 * well. So what somebody deposits for others is told from what concerns us. Bounded. Control
 * thread.
 */
#ifndef DAEMON_MEDIA_PLACES_H
#define DAEMON_MEDIA_PLACES_H

#include "srtp/key_place.h"

#define MEDIA_PLACES_MAX  262144u
#define MEDIA_PLACES_EACH 3 /* of one allocation: its own, its user's, its account's */

/* A field that Redis had when the place was last read, and that was a key. */
struct media_field {
    uint32_t ssrc;
    uint8_t direction;
    bool has_ssrc;
};

struct media_place {
    /* What media_keys.c knows; zeros at first. */
    uint64_t behind; /* workers, one bit each, that have not been told what lies there */
    bool asked;      /* and not answered */
    bool again;      /* somebody has deposited since */
    uint8_t failures;
    uint8_t field_count;
    struct media_field *fields; /* owned */
    struct {
        bool waits;
        struct media_place *before, *after;
    } queue;
    /* The rest is for reading. */
    uint64_t workers;    /* one bit each: their allocations want it */
    uint64_t allocation; /* its id; 0: of a user */
    uint32_t realm;      /* id; of a user */
    struct {
        uint64_t hash, wanted_us;
        uint32_t number, references;
        struct media_place *older, *newer; /* allocations, by wanted_us */
        struct media_place *users[MEDIA_PLACES_EACH - 1];
    } own; /* of media_places.c */
    size_t len;
    uint8_t text[];
};

static inline struct slice media_place_slice(const struct media_place *p)
{
    return slice_of(p->text, p->len);
}

struct media_places;

/* `gone`: called before a place is freed. NULL: out of memory. */
struct media_places *media_places_new(
    const uint8_t hash_key[16], void (*gone)(void *ctx, struct media_place *place), void *ctx);
void media_places_free(struct media_places *p); /* calls nobody; NULL: nothing happens */

struct media_wanted {
    const struct srtp_wanted *wanted;
    struct slice realm; /* name */
    unsigned worker;    /* < 64 */
    uint64_t now_us;
};
/* An allocation wants keys, again maybe. How many places it has: out[0] to out[n − 1]. -ENOSPC,
 * -ENOMEM: nothing has changed, but for one that it had before. */
int media_places_want(struct media_places *p, const struct media_wanted *who,
    struct media_place *out[MEDIA_PLACES_EACH]);
/* It has ended. */
void media_places_unwant(struct media_places *p, uint64_t allocation);
/* So have those, we take it, that wanted keys last before `before_us`. */
void media_places_age(struct media_places *p, uint64_t before_us);
/* NULL: nobody wants it. */
struct media_place *media_places_find(const struct media_places *p, struct slice text);
/* Numbers of places are below media_places_end. NULL: none has this number now. */
struct media_place *media_places_at(const struct media_places *p, uint32_t number);
uint32_t media_places_end(const struct media_places *p);
uint32_t media_places_count(const struct media_places *p);

#endif

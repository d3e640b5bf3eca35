/*
 * Sets of eight words, one cache line each; a word is a tag and the second of the last login.
 *
 * Always: a word changes in one piece, so what is read is what somebody wrote. Two threads that
 * note the same one at once may take two words for it, which costs a place and nothing else. Called
 * by guesses.c.
 */
#include "ratelimit/recent_logins.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define WAYS        8
#define ENTRIES_MIN 1024

struct set {
    _Alignas(64) _Atomic uint64_t word[WAYS]; /* tag << 32 | second; 0: free */
};

struct recent_logins {
    struct set *sets;
    size_t mask;
};

struct recent_logins *recent_logins_new(size_t entries)
{
    size_t sets = ENTRIES_MIN / WAYS;
    while (sets * WAYS < entries && sets <= SIZE_MAX / 2 / sizeof(struct set))
        sets *= 2;
    struct recent_logins *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->sets = aligned_alloc(64, sets * sizeof(*t->sets));
    if (!t->sets) {
        free(t);
        return NULL;
    }
    memset(t->sets, 0, sets * sizeof(*t->sets));
    t->mask = sets - 1;
    return t;
}

void recent_logins_free(struct recent_logins *t)
{
    if (!t)
        return;
    free(t->sets);
    free(t);
}

/* Never 0, so that no word of a login is. */
static uint64_t tag_of(uint64_t who)
{
    uint64_t tag = who >> 32;
    return tag ? tag : 1;
}

static uint32_t age(uint64_t word, uint32_t now_s)
{
    uint32_t then = (uint32_t)word;
    return now_s > then ? now_s - then : 0; /* another thread's clock may be a little ahead */
}

void recent_logins_note(struct recent_logins *t, uint64_t who, uint32_t now_s)
{
    struct set *s = &t->sets[who & t->mask];
    uint64_t tag = tag_of(who), oldest = 0;
    _Atomic uint64_t *place = NULL;
    for (unsigned i = 0; i < WAYS; i++) {
        uint64_t word = atomic_load(&s->word[i]);
        if (word >> 32 == tag && age(word, now_s) == 0)
            return; /* said within this second: the cache line stays shared */
        bool better = word >> 32 == tag || word == 0 || age(word, now_s) > age(oldest, now_s);
        if (!place || better) {
            place = &s->word[i];
            oldest = word;
        }
        if (word >> 32 == tag)
            break;
    }
    /* Who loses the place to another login of this very moment stays unknown until the next one. */
    atomic_compare_exchange_strong(place, &oldest, tag << 32 | now_s);
}

bool recent_logins_has(const struct recent_logins *t, uint64_t who, uint32_t now_s)
{
    const struct set *s = &t->sets[who & t->mask];
    for (unsigned i = 0; i < WAYS; i++) {
        uint64_t word = atomic_load(&s->word[i]);
        if (word >> 32 == tag_of(who) && age(word, now_s) <= RECENT_LOGIN_S)
            return true;
    }
    return false;
}

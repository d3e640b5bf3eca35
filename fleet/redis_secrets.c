/*
 * One SMEMBERS a realm. An answer finds its realm by id and by the generation of the list of
 * realms: it may have been replaced meanwhile. Called by fleet.c.
 */
#include "fleet/redis_secrets.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "fleet/redis_keys.h"
#include "fleet/redis_records.h"

#define DEADLINE_MS 1500u

struct realm {
    uint32_t id;
    struct redis_key key;
    bool told;                  /* `known` is what has been told last */
    struct store_secrets known; /* owned */
};

struct redis_secrets {
    struct redis_link *link;
    redis_secrets_fn *told;
    void *ctx;
    struct realm *realms; /* owned */
    size_t count;
    uint64_t generation;
    struct {
        uint64_t last, suppressed;
    } errors, cuts;
};

/* Of one SMEMBERS. */
struct reading {
    struct redis_secrets *secrets;
    uint64_t generation;
    size_t at;
};

struct redis_secrets *redis_secrets_new(struct redis_link *link, redis_secrets_fn *told, void *ctx)
{
    struct redis_secrets *s = calloc(1, sizeof(*s));
    if (s)
        *s = (struct redis_secrets){.link = link, .told = told, .ctx = ctx};
    return s;
}

static void free_realms(struct realm *realms, size_t count)
{
    for (size_t i = 0; i < count; i++)
        store_secrets_deinit(&realms[i].known);
    free(realms);
}

void redis_secrets_free(struct redis_secrets *s)
{
    if (!s)
        return;
    free_realms(s->realms, s->count);
    free(s);
}

/* What is known of a realm moves over, if it is still the same. */
static void inherit(struct redis_secrets *s, struct realm *heir)
{
    for (size_t i = 0; i < s->count; i++) {
        struct realm *old = &s->realms[i];
        if (old->id != heir->id ||
            !slice_equal(redis_key_slice(&old->key), redis_key_slice(&heir->key)))
            continue;
        heir->known = old->known;
        old->known = (struct store_secrets){0};
        return;
    }
}

int redis_secrets_set_realms(struct redis_secrets *s, const struct fleet_realms *realms)
{
    size_t count = 0;
    struct realm *fresh = calloc(realms->count > 0 ? realms->count : 1, sizeof(*fresh));
    if (!fresh)
        return -ENOMEM;
    for (size_t i = 0; i < realms->count; i++) {
        const struct fleet_realm *from = &realms->list[i];
        if (!from->secrets || redis_key_secrets(&fresh[count].key, from->name) < 0)
            continue;
        fresh[count].id = from->id;
        inherit(s, &fresh[count++]);
    }
    free_realms(s->realms, s->count);
    s->realms = fresh;
    s->count = count;
    s->generation++;
    return 0;
}

static void complain(
    struct redis_secrets *s, const struct realm *r, const struct redis_complaint *why)
{
    if (!log_once_a_minute(clock_now().mono_us, &s->errors.last, &s->errors.suppressed))
        return;
    log_event(LOG_WARN, "redis_secrets_unreadable", log_bytes("key", redis_key_slice(&r->key)),
        log_str("error", why->error), log_str("cause", why->record),
        log_u64("suppressed", s->errors.suppressed));
    s->errors.suppressed = 0;
}

static void mention_cut(struct redis_secrets *s, const struct realm *r, size_t left_out)
{
    if (!log_once_a_minute(clock_now().mono_us, &s->cuts.last, &s->cuts.suppressed))
        return;
    log_event(LOG_WARN, "redis_secrets_left_out", log_bytes("key", redis_key_slice(&r->key)),
        log_u64("left_out", left_out), log_u64("taken", r->known.count),
        log_u64("suppressed", s->cuts.suppressed));
    s->cuts.suppressed = 0;
}

/* Both are sorted. */
static bool is_same(const struct store_secrets *a, const struct store_secrets *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = secret_equal(secret_slice(&a->list[i]), secret_slice(&b->list[i]));
    return same;
}

static void learn(struct redis_secrets *s, struct realm *r, const struct redis_reply *reply)
{
    struct store_secrets found = {0};
    struct redis_complaint why;
    size_t left_out;
    if (redis_record_secrets(reply, &found, &left_out, &why) < 0) {
        complain(s, r, &why);
        return;
    }
    const bool same = is_same(&found, &r->known);
    store_secrets_deinit(&r->known);
    r->known = found;
    r->known.realm = r->id;
    if (left_out > 0)
        mention_cut(s, r, left_out);
    if (same && r->told)
        return;
    r->told = true;
    s->told(s->ctx, &r->known);
}

static void on_members(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct reading *reading = ctx;
    struct redis_secrets *s = reading->secrets;
    const bool is_current = reading->generation == s->generation;
    const size_t at = reading->at;
    free(reading);
    if (result == REDIS_REPLIED && is_current)
        learn(s, &s->realms[at], reply);
}

void redis_secrets_read(struct redis_secrets *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct slice argv[] = {
            slice_of_string("SMEMBERS"), redis_key_slice(&s->realms[i].key)};
        struct reading *reading = malloc(sizeof(*reading));
        if (!reading)
            return;
        *reading = (struct reading){s, s->generation, i};
        const struct redis_request request = {argv, 2, DEADLINE_MS, on_members, reading};
        if (redis_link_command(s->link, &request) < 0)
            free(reading);
    }
}

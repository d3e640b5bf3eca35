/*
 * Always: a place is asked for once at a time, and again if somebody has deposited meanwhile; so
 * what was read last is never older than the last deposit that was heard of. Places that could not
 * be asked wait in a queue, which is served at a bounded pace while the link is up. What cannot be
 * opened changes nothing. Called by sharing and media_watch.c.
 */
#include "daemon/media_watch.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/random.h"
#include "daemon/media_places.h"
#include "fleet/redis_srtp_keys.h"
#include "srtp/wrapped_key.h"

#define PACE_MS     250
#define PACE_PLACES 200 /* a turn */
#define TRIES       3   /* of a place, on one connection, until somebody deposits there */

_Static_assert(KEY_PLACE_MAX <= REDIS_SRTP_PLACE_MAX, "the fleet passes on all of them");

struct quiet {
    uint64_t last, suppressed;
};

struct media_watch {
    struct media_watch_deps deps;
    struct fleet *fleet; /* NULL: none */
    bool up;             /* its link */
    uint8_t hash_key[16];
    uint64_t wrapped_by; /* hash of the keys to open by */
    struct crypto *crypto;
    struct media_places *places;
    uv_timer_t pace;
    struct {
        struct media_place *first, *last;
    } queue; /* to be asked for */
    struct quiet refused, crowded;
};

static bool may_log(struct quiet *q)
{
    return log_once_a_minute(clock_now().mono_us, &q->last, &q->suppressed);
}

static bool opens(const struct media_watch *m)
{
    return m->fleet && m->deps.config->srtp.wrap_key.len > 0;
}

/* Names no user: what lies in Redis under his name need not be his doing. */
static void refuse(struct media_watch *m, const struct media_place *place, const char *fault)
{
    counters_add(m->deps.counters, METRIC_SRTP_KEYS_REFUSED, 1);
    if (!may_log(&m->refused))
        return;
    log_event(LOG_WARN, "srtp_key_refused",
        log_str("place", !place              ? "none"
                         : place->allocation ? "allocation"
                                             : "user"),
        log_str("fault", fault), log_u64("suppressed", m->refused.suppressed));
    m->refused.suppressed = 0;
}

static void leave_queue(struct media_watch *m, struct media_place *p)
{
    if (!p->queue.waits)
        return;
    *(p->queue.before ? &p->queue.before->queue.after : &m->queue.first) = p->queue.after;
    *(p->queue.after ? &p->queue.after->queue.before : &m->queue.last) = p->queue.before;
    p->queue.before = p->queue.after = NULL;
    p->queue.waits = false;
}

static void on_pace(uv_timer_t *timer);

static void join_queue(struct media_watch *m, struct media_place *p)
{
    if (!p->queue.waits) {
        p->queue.waits = true;
        p->queue.before = m->queue.last;
        *(m->queue.last ? &m->queue.last->queue.after : &m->queue.first) = p;
        m->queue.last = p;
    }
    if (m->up && !uv_is_active((uv_handle_t *)&m->pace))
        uv_timer_start(&m->pace, on_pace, PACE_MS, 0);
}

/* False: not now. */
static bool try_to_ask(struct media_watch *m, struct media_place *p)
{
    p->asked = m->up && fleet_srtp_ask(m->fleet, media_place_slice(p)) == 0;
    return p->asked;
}

static void ask(struct media_watch *m, struct media_place *p)
{
    if (p->asked)
        return;
    if (try_to_ask(m, p))
        leave_queue(m, p); /* what somebody waits for is not kept waiting by all the others */
    else
        join_queue(m, p);
}

static void on_pace(uv_timer_t *timer)
{
    struct media_watch *m = timer->data;
    for (unsigned n = 0; n < PACE_PLACES && m->up && opens(m) && m->queue.first; n++) {
        struct media_place *p = m->queue.first;
        if (!try_to_ask(m, p))
            break;
        leave_queue(m, p);
    }
    if (m->up && opens(m) && m->queue.first)
        uv_timer_start(&m->pace, on_pace, PACE_MS, 0);
}

/* Everything that is wanted, at the queue's pace. */
static void ask_all(struct media_watch *m)
{
    for (uint32_t i = 0; i < media_places_end(m->places); i++) {
        struct media_place *p = media_places_at(m->places, i);
        if (!p)
            continue;
        p->behind = p->workers;
        p->failures = 0;
        p->again = p->asked;
        if (!p->asked)
            join_queue(m, p);
    }
}

void media_watch_link(struct media_watch *m, bool up)
{
    m->up = up;
    if (up && opens(m))
        ask_all(m);
}

void media_watch_deposited(struct media_watch *m, struct slice text)
{
    if (text.len == 0) {
        refuse(m, NULL, "names no place");
        return;
    }
    struct media_place *p = opens(m) ? media_places_find(m->places, text) : NULL;
    if (!p)
        return;
    p->behind = p->workers;
    p->failures = 0;
    p->again = p->asked;
    ask(m, p);
}

/* Whose packets, of a field; false: it is no field of such a place. */
static bool bind_field(struct srtp_binding *out, const struct media_place *p, struct slice field)
{
    struct key_realm realm;
    if (key_place_read(out, &realm, media_place_slice(p), field) < 0)
        return false;
    out->realm = p->realm;
    return true;
}

static bool has_field(
    const struct media_field *fields, size_t count, const struct srtp_binding *binding)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].direction == binding->direction && fields[i].has_ssrc == binding->has_ssrc &&
            fields[i].ssrc == binding->ssrc)
            return true;
    }
    return false;
}

/* False: it is no key, now. One that has ended is taken back with those that are gone; else what
 * was there before goes on. */
static bool take_value(struct media_watch *m, struct media_place *p,
    const struct fleet_srtp_field *field, uint64_t workers, struct media_field *out)
{
    const struct srtp_settings *s = &m->deps.config->srtp;
    const struct slice keys[2] = {secret_slice(&s->wrap_key), secret_slice(&s->wrap_key_old)};
    const struct wrapped_for whose = {media_place_slice(p), field->name};
    struct srtp_deposit d = {0};
    if (!bind_field(&d.binding, p, field->name)) {
        refuse(m, p, "no field of such a place");
        return false;
    }
    *out = (struct media_field){
        .ssrc = d.binding.ssrc, .direction = d.binding.direction, .has_ssrc = d.binding.has_ssrc};
    const enum wrapped_fault fault =
        wrapped_key_open(m->crypto, keys, &whose, field->value, clock_now().wall_s, &d);
    if (fault != WRAPPED_FAULT_NONE)
        refuse(m, p, wrapped_fault_text(fault));
    else if (media_post_put(m->deps.post, workers, &d) < 0)
        p->behind |= workers;
    const bool stays =
        fault == WRAPPED_FAULT_NONE ||
        (fault != WRAPPED_FAULT_EXPIRED && has_field(p->fields, p->field_count, &d.binding));
    secret_cleanse(&d, sizeof(d));
    return stays;
}

/* False: somebody was not told, who is to be told again. */
static bool take_back(
    struct media_watch *m, const struct media_place *p, const struct media_field *field)
{
    struct key_realm realm;
    struct srtp_deposit d = {0};
    /* A field that a user's place may have as well. */
    if (key_place_read(&d.binding, &realm, media_place_slice(p), slice_of_string("to_peer/0")) < 0)
        return true;
    d.binding.realm = p->realm;
    d.binding.direction = field->direction;
    d.binding.has_ssrc = field->has_ssrc;
    d.binding.ssrc = field->ssrc;
    return media_post_put(m->deps.post, p->workers, &d) == 0;
}

/* What is there now in place of what was. Without memory for it nothing of it is taken back when it
 * goes: it ends by itself. */
static void remember(struct media_place *p, const struct media_field *fields, size_t count)
{
    struct media_field *copy = count > 0 ? malloc(count * sizeof(*copy)) : NULL;
    if (copy)
        memcpy(copy, fields, count * sizeof(*copy));
    free(p->fields);
    p->fields = copy;
    p->field_count = copy ? (uint8_t)count : 0;
}

static void read_place(
    struct media_watch *m, struct media_place *p, const struct fleet_srtp_found *found)
{
    struct media_field now[FLEET_SRTP_FIELDS_MAX];
    const uint64_t workers = p->behind;
    size_t count = 0;
    p->behind = 0;
    for (size_t i = 0; i < found->count; i++)
        count += take_value(m, p, &found->fields[i], workers, &now[count]);
    for (size_t i = 0; i < p->field_count && found->whole; i++) {
        const struct srtp_binding b = {.direction = p->fields[i].direction,
            .has_ssrc = p->fields[i].has_ssrc,
            .ssrc = p->fields[i].ssrc};
        if (has_field(now, count, &b) || take_back(m, p, &p->fields[i]))
            continue;
        p->behind |= p->workers;
        if (count < FLEET_SRTP_FIELDS_MAX)
            now[count++] = p->fields[i];
    }
    remember(p, now, count);
}

void media_watch_found(struct media_watch *m, const struct fleet_srtp_found *found)
{
    struct media_place *p = media_places_find(m->places, found->place);
    if (!p)
        return; /* its allocations have ended meanwhile */
    const bool again = p->again;
    p->asked = p->again = false;
    if (again)
        p->behind = p->workers;
    if (found->outcome == FLEET_SRTP_READ && opens(m)) {
        p->failures = 0;
        read_place(m, p, found);
        if (p->behind != 0)
            join_queue(m, p); /* there was no room; a place is read again, keys are not kept */
    } else if (found->outcome == FLEET_SRTP_FAILED && !again && ++p->failures < TRIES) {
        join_queue(m, p);
    }
    if (again) {
        p->behind = p->workers;
        ask(m, p);
    }
}

static void mention_crowded(struct media_watch *m, int error)
{
    if (!may_log(&m->crowded))
        return;
    log_event(LOG_WARN, "srtp_keys_not_watched", log_str("error", strerror(-error)),
        log_u64("places", media_places_count(m->places)),
        log_u64("suppressed", m->crowded.suppressed));
    m->crowded.suppressed = 0;
}

/* Those of a realm by name, as the fleet knows it. */
void media_watch_want(struct media_watch *m, const struct srtp_wanted *wanted, unsigned worker)
{
    const struct auth_settings *auth = &m->deps.config->auth;
    struct media_place *places[MEDIA_PLACES_EACH];
    if (!m->fleet || wanted->realm >= auth->realm_count)
        return;
    const struct media_wanted who = {.wanted = wanted,
        .realm = slice_of_string(auth->realms[wanted->realm].name),
        .worker = worker,
        .now_us = clock_now().mono_us};
    const int count = media_places_want(m->places, &who, places);
    if (count < 0)
        mention_crowded(m, count);
    for (int i = 0; i < count; i++) {
        places[i]->behind |= (uint64_t)1 << worker;
        if (opens(m))
            ask(m, places[i]);
    }
}

void media_watch_unwant(struct media_watch *m, uint64_t allocation)
{
    media_places_unwant(m->places, allocation);
}

static uint64_t hash_wrap_keys(const struct media_watch *m)
{
    const struct srtp_settings *s = &m->deps.config->srtp;
    const struct slice keys[2] = {secret_slice(&s->wrap_key), secret_slice(&s->wrap_key_old)};
    uint8_t bytes[2 * SRTP_WRAP_KEY_LEN] = {0};
    for (size_t i = 0; i < 2; i++) {
        if (keys[i].len == SRTP_WRAP_KEY_LEN)
            memcpy(bytes + i * SRTP_WRAP_KEY_LEN, keys[i].data, keys[i].len);
    }
    const uint64_t hash = crypto_siphash(m->hash_key, bytes, sizeof(bytes));
    secret_cleanse(bytes, sizeof(bytes));
    return hash;
}

void media_watch_reloaded(struct media_watch *m)
{
    const uint64_t wrapped_by = hash_wrap_keys(m);
    if (!m->fleet || wrapped_by == m->wrapped_by)
        return;
    m->wrapped_by = wrapped_by;
    fleet_srtp_use(m->fleet, opens(m));
    if (opens(m))
        ask_all(m);
}

void media_watch_tick(struct media_watch *m, uint64_t now_us)
{
    const uint64_t age_us = m->deps.config->relay.max_allocation_age_s * US_PER_S;
    if (now_us > age_us)
        media_places_age(m->places, now_us - age_us);
}

void media_watch_start(struct media_watch *m, struct fleet *fleet)
{
    m->fleet = fleet;
    m->wrapped_by = hash_wrap_keys(m);
    fleet_srtp_use(fleet, opens(m));
}

void media_watch_stop(struct media_watch *m)
{
    m->fleet = NULL;
    m->up = false;
}

static void on_gone(void *ctx, struct media_place *p)
{
    leave_queue(ctx, p);
}

static void media_watch_delete(struct media_watch *m)
{
    media_places_free(m->places);
    crypto_free(m->crypto);
    free(m);
}

static void on_closed(uv_handle_t *timer)
{
    media_watch_delete(timer->data);
}

struct media_watch *media_watch_new(const struct media_watch_deps *deps)
{
    uint8_t key[16];
    struct media_watch *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->deps = *deps;
    if (random_fill(random_system(), key, sizeof(key)) == 0 &&
        random_fill(random_system(), m->hash_key, sizeof(m->hash_key)) == 0)
        m->places = media_places_new(key, on_gone, m);
    m->crypto = m->places ? crypto_new() : NULL;
    if (!m->crypto) {
        media_watch_delete(m);
        return NULL;
    }
    uv_timer_init(deps->loop, &m->pace); /* cannot fail */
    m->pace.data = m;
    return m;
}

void media_watch_free(struct media_watch *m)
{
    if (m)
        uv_close((uv_handle_t *)&m->pace, on_closed);
}

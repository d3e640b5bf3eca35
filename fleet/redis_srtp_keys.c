/*
 * One command about the stream is in flight at a time: a look at its last entry, or a page. A page
 * that is full is followed at once by the next, so many times a tick. The order of a look and of
 * what is asked behind it counts: an entry that the look has not seen has its hash written later
 * than it, and is told. Called by fleet.c.
 */
#include "fleet/redis_srtp_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define DEADLINE_MS 1300u
#define TICK_MS     250u
#define PAGE        256u
#define PAGE_TEXT   "256"
#define PAGES_MAX   32u /* of one tick */
#define LOOK_TICKS  40u
#define LOST_MAX    3u /* a page that no bound of a reply holds ends the link each time */
#define PREFIX_MAX  64
#define KEY_MAX     (PREFIX_MAX + 6 + REDIS_SRTP_PLACE_MAX) /* with "/srtp/" */

/* Of an entry: "MS-SEQUENCE". */
struct entry_id {
    uint64_t ms, sequence;
};

struct quiet {
    uint64_t last, suppressed;
};

struct redis_srtp_keys {
    struct redis_srtp_keys_options options;
    char prefix[PREFIX_MAX + 1];
    uv_timer_t timer;
    bool on;
    bool busy;                /* a command about the stream is in flight */
    bool look;                /* its last entry is to be looked at next */
    bool known;               /* `position` is */
    unsigned ticks, pages;    /* since the last look; of this tick */
    struct entry_id position; /* the last that was read */
    unsigned lost;            /* pages on end that the link was lost with */
    struct quiet errors, entries, cuts;
};

/* A place that is being read. */
struct reading {
    struct redis_srtp_keys *keys;
    size_t len;
    uint8_t place[];
};

static void go_on(struct redis_srtp_keys *k);

static bool may_log(struct quiet *q)
{
    return log_once_a_minute(clock_now().mono_us, &q->last, &q->suppressed);
}

static void complain(
    struct redis_srtp_keys *k, const char *asked_for, const struct redis_reply *reply)
{
    size_t len = 0;
    if (!may_log(&k->errors))
        return;
    const struct slice text = reply->kind == REDIS_KIND_ERROR ? reply->text : slice_of(NULL, 0);
    while (len < text.len && text.data[len] >= 'A' && text.data[len] <= 'Z')
        len++;
    log_event(LOG_WARN, "redis_srtp_keys_refused", log_str("asked_for", asked_for),
        log_bytes("error", slice_of(text.data, len)), log_u64("suppressed", k->errors.suppressed));
    k->errors.suppressed = 0;
}

/* What may be one: the owner knows those that are. */
static bool is_place(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 0x21 || text.data[i] > 0x7e)
            return false;
    }
    return text.len > 0 && text.len <= REDIS_SRTP_PLACE_MAX;
}

static struct slice stream_name(const struct redis_srtp_keys *k, char out[KEY_MAX])
{
    const int len = snprintf(out, KEY_MAX, "%s/srtp/deposits", k->prefix);
    return slice_of(out, (size_t)len);
}

static bool read_number(struct slice text, uint64_t *out)
{
    uint64_t value = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const uint64_t digit = (uint64_t)text.data[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

static bool read_id(struct entry_id *out, struct slice text)
{
    const uint8_t *dash = text.len > 0 ? memchr(text.data, '-', text.len) : NULL;
    if (!dash)
        return false;
    const size_t at = (size_t)(dash - text.data);
    return read_number(slice_of(text.data, at), &out->ms) &&
           read_number(slice_of(dash + 1, text.len - at - 1), &out->sequence);
}

static bool is_before(const struct entry_id *a, const struct entry_id *b)
{
    return a->ms != b->ms ? a->ms < b->ms : a->sequence < b->sequence;
}

/* The n-th of a list, if it is a list itself. */
static const struct redis_reply *list_at(const struct redis_reply *reply, size_t n)
{
    if (reply->kind != REDIS_KIND_ARRAY || n >= reply->count)
        return NULL;
    return reply->elements[n]->kind == REDIS_KIND_ARRAY ? reply->elements[n] : NULL;
}

/* The place that an entry names; empty: none. */
static struct slice place_of(const struct redis_reply *entry)
{
    const struct redis_reply *fields = list_at(entry, 1);
    for (size_t i = 0; fields && i + 1 < fields->count; i += 2) {
        const struct slice place = redis_reply_string(fields, i + 1);
        if (slice_equal(redis_reply_string(fields, i), slice_of_string("place")) && is_place(place))
            return place;
    }
    return slice_of(NULL, 0);
}

static void mention_malformed(struct redis_srtp_keys *k)
{
    if (!may_log(&k->entries))
        return;
    log_event(LOG_WARN, "redis_srtp_deposit_unreadable", log_str("cause", "names no place"),
        log_u64("suppressed", k->entries.suppressed));
    k->entries.suppressed = 0;
}

/* How many entries there were; less than 0: it is no page. */
static int read_page(struct redis_srtp_keys *k, const struct redis_reply *reply)
{
    if (reply->kind == REDIS_KIND_NIL)
        return 0;
    const struct redis_reply *stream = list_at(reply, 0);
    const struct redis_reply *entries = stream ? list_at(stream, 1) : NULL;
    if (!entries)
        return -EBADMSG;
    for (size_t i = 0; i < entries->count; i++) {
        const struct redis_reply *entry = list_at(entries, i);
        struct entry_id id;
        if (!entry || !read_id(&id, redis_reply_string(entry, 0)) || !is_before(&k->position, &id))
            return -EBADMSG;
        const struct slice place = place_of(entry);
        k->position = id;
        if (place.len == 0)
            mention_malformed(k);
        k->options.deposited(k->options.ctx, place);
    }
    return (int)entries->count;
}

static void on_page(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct redis_srtp_keys *k = ctx;
    k->busy = false;
    k->lost = result == REDIS_LOST ? k->lost + 1 : 0;
    if (k->lost >= LOST_MAX)
        k->known = false;
    if (result != REDIS_REPLIED || !k->known)
        return;
    const int count = read_page(k, reply);
    if (count < 0)
        complain(k, "deposits", reply);
    else if ((unsigned)count >= PAGE && ++k->pages < PAGES_MAX)
        go_on(k);
}

/* What the last entry is: nothing but itself where there is none. False: it is no such reply. */
static bool read_last(struct entry_id *out, const struct redis_reply *reply)
{
    *out = (struct entry_id){0};
    if (reply->kind != REDIS_KIND_ARRAY)
        return false;
    if (reply->count == 0)
        return true;
    const struct redis_reply *entry = list_at(reply, 0);
    return entry && read_id(out, redis_reply_string(entry, 0));
}

static void on_last(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct redis_srtp_keys *k = ctx;
    struct entry_id last;
    k->busy = false;
    if (result != REDIS_REPLIED || !k->on)
        return;
    if (!read_last(&last, reply)) {
        complain(k, "deposits", reply);
        return;
    }
    k->look = false;
    k->ticks = 0;
    if (!k->known) {
        k->position = last;
        k->known = true;
    } else if (is_before(&last, &k->position)) {
        k->position = (struct entry_id){0};
        log_event(LOG_INFO, "redis_srtp_deposits_read_again");
    }
    go_on(k);
}

static void look(struct redis_srtp_keys *k)
{
    char name[KEY_MAX];
    const struct slice argv[] = {slice_of_string("XREVRANGE"), stream_name(k, name),
        slice_of_string("+"), slice_of_string("-"), slice_of_string("COUNT"), slice_of_string("1")};
    const struct redis_request request = {argv, 6, DEADLINE_MS, on_last, k};
    k->busy = redis_link_command(k->options.link, &request) == 0;
}

static void read_on(struct redis_srtp_keys *k)
{
    char name[KEY_MAX], position[48];
    snprintf(position, sizeof(position), "%llu-%llu", (unsigned long long)k->position.ms,
        (unsigned long long)k->position.sequence);
    const struct slice argv[] = {slice_of_string("XREAD"), slice_of_string("COUNT"),
        slice_of_string(PAGE_TEXT), slice_of_string("STREAMS"), stream_name(k, name),
        slice_of_string(position)};
    const struct redis_request request = {argv, 6, DEADLINE_MS, on_page, k};
    k->busy = redis_link_command(k->options.link, &request) == 0;
}

static void go_on(struct redis_srtp_keys *k)
{
    if (!k->on || k->busy || !redis_link_is_up(k->options.link))
        return;
    if (k->look || !k->known)
        look(k);
    else
        read_on(k);
}

static void on_tick(uv_timer_t *timer)
{
    struct redis_srtp_keys *k = timer->data;
    k->pages = 0;
    if (++k->ticks >= LOOK_TICKS)
        k->look = true;
    go_on(k);
}

/* What HGETALL says, as far as it is a hash. */
static void read_fields(struct fleet_srtp_found *found, const struct redis_reply *reply)
{
    found->whole = reply->count <= 2 * (size_t)FLEET_SRTP_FIELDS_MAX;
    for (size_t i = 0; i + 1 < reply->count && found->count < FLEET_SRTP_FIELDS_MAX; i += 2) {
        found->fields[found->count++] = (struct fleet_srtp_field){
            .name = redis_reply_string(reply, i), .value = redis_reply_string(reply, i + 1)};
    }
}

static void mention_cut(struct redis_srtp_keys *k, const struct redis_reply *reply)
{
    if (!may_log(&k->cuts))
        return;
    log_event(LOG_WARN, "redis_srtp_keys_left_out",
        log_u64("left_out", reply->count / 2 - FLEET_SRTP_FIELDS_MAX),
        log_u64("suppressed", k->cuts.suppressed));
    k->cuts.suppressed = 0;
}

static void on_fields(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct reading *reading = ctx;
    struct redis_srtp_keys *k = reading->keys;
    struct fleet_srtp_found found = {
        .place = slice_of(reading->place, reading->len), .outcome = FLEET_SRTP_FAILED};
    if (result == REDIS_REPLIED && reply->kind == REDIS_KIND_ARRAY) {
        found.outcome = FLEET_SRTP_READ;
        read_fields(&found, reply);
        if (!found.whole)
            mention_cut(k, reply);
    } else if (result == REDIS_REPLIED) {
        if (redis_reply_is_error(reply, "WRONGTYPE"))
            found.outcome = FLEET_SRTP_UNREADABLE;
        complain(k, "keys", reply);
    }
    k->options.found(k->options.ctx, &found);
    free(reading);
}

int redis_srtp_keys_ask(struct redis_srtp_keys *k, struct slice place)
{
    char name[KEY_MAX];
    if (!is_place(place))
        return -EINVAL;
    if (!k->on)
        return -EAGAIN;
    struct reading *reading = malloc(sizeof(*reading) + place.len);
    if (!reading)
        return -ENOMEM;
    *reading = (struct reading){.keys = k, .len = place.len};
    memcpy(reading->place, place.data, place.len);
    const int len =
        snprintf(name, sizeof(name), "%s/srtp/%.*s", k->prefix, (int)place.len, reading->place);
    const struct slice argv[] = {slice_of_string("HGETALL"), slice_of(name, (size_t)len)};
    const struct redis_request request = {argv, 2, DEADLINE_MS, on_fields, reading};
    const int result = redis_link_command(k->options.link, &request);
    if (result < 0)
        free(reading);
    return result;
}

void redis_srtp_keys_up(struct redis_srtp_keys *k)
{
    k->look = true;
    k->pages = 0;
    go_on(k);
}

void redis_srtp_keys_use(struct redis_srtp_keys *k, bool on)
{
    if (k->on == on)
        return;
    k->on = on;
    k->known = false;
    if (!on) {
        uv_timer_stop(&k->timer);
        return;
    }
    uv_timer_start(&k->timer, on_tick, TICK_MS, TICK_MS);
    redis_srtp_keys_up(k);
}

struct redis_srtp_keys *redis_srtp_keys_new(const struct redis_srtp_keys_options *options)
{
    struct redis_srtp_keys *k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    k->options = *options;
    snprintf(k->prefix, sizeof(k->prefix), "%s", options->prefix);
    k->options.prefix = k->prefix;
    uv_timer_init(options->loop, &k->timer); /* cannot fail */
    k->timer.data = k;
    return k;
}

static void on_closed(uv_handle_t *timer)
{
    free(timer->data);
}

void redis_srtp_keys_free(struct redis_srtp_keys *k)
{
    if (k)
        uv_close((uv_handle_t *)&k->timer, on_closed);
}

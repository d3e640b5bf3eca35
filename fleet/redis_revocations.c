/*
 * One poll and one change are in flight at a time. A change is a batch: first what waits, in the
 * order in which it was said, then what Redis is to be told again. Nothing is sent before a poll
 * has told Redis's clock on this connection: what was said while Redis was away, or may have got
 * lost on its way there, is sent with the time at which it was said, so that it undoes nothing
 * newer. Called by fleet.c.
 */
#include "fleet/redis_revocations.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "fleet/redis_revoked_scripts.h"
#include "fleet/redis_revoked_table.h"
#include "fleet/redis_script.h"

#define DEADLINE_MS    1300u
#define BATCH_MAX      48u    /* with the keys within the arguments of a script */
#define BATCH_BYTES    16384u /* of names */
#define PAGE_ENTRIES   "100"
#define PAGE_BYTES     "8192" /* well within the smallest bound of a reply */
#define FRESH_US       (2 * US_PER_S)
#define EXPIRE_PER_S   4096u
#define CLOCKS_APART_S 60
#define PROMPT_US      (100 * US_PER_MS) /* of a reply that tells the time */
#define SLOW_POLLS     4u                /* after so many slow ones a slow one has to do */
#define DRIFT_US       1000u             /* of two clocks, between two polls, at most */

/* Said by this instance, and not known to be in Redis. */
struct waiting {
    struct waiting *next;
    uint64_t made_us; /* monotonic; no two are equal */
    int64_t until;
    bool fresh; /* the link was up when it was said, and has not been lost since */
    size_t name_len;
    uint8_t name[];
};

struct quiet {
    uint64_t last, suppressed;
};

struct redis_revocations {
    struct redis_revocations_options options;
    struct redis_script put, poll;
    struct redis_revoked_table *table;
    struct {
        struct waiting *first, **end;
        size_t count;
        uint64_t made_us; /* of the last one */
    } waiting;
    struct {
        bool polling, putting;
        size_t sent;  /* of those that wait, in the batch in flight */
        size_t again; /* of those that Redis is told again */
    } flight;
    struct {
        bool known;        /* well enough to say when something was said */
        unsigned polls;    /* on this connection */
        uint64_t asked_us; /* monotonic: the poll in flight */
        uint64_t ahead_us; /* Redis's clock minus the monotonic one, at least; wraps */
    } clock;
    int64_t born, position;
    struct quiet errors, full, outdated, unknown;
};

/* A batch as arguments. */
struct batch {
    struct slice
        argv[REDIS_REVOKED_KEYS + REDIS_REVOKED_PUT_FIXED + BATCH_MAX * REDIS_REVOKED_PUT_EACH];
    size_t argc, bytes, count;
    char limit[12], taken_back[12];
    char numbers[BATCH_MAX][3][24];
};

static void poll(struct redis_revocations *r);
static void send_changes(struct redis_revocations *r);

static bool may_log(struct quiet *q)
{
    return log_once_a_minute(clock_now().mono_us, &q->last, &q->suppressed);
}

static void complain(struct redis_revocations *r, const struct redis_reply *reply)
{
    size_t len = 0;
    if (!may_log(&r->errors))
        return;
    const struct slice text = reply->kind == REDIS_KIND_ERROR ? reply->text : slice_of(NULL, 0);
    while (len < text.len && text.data[len] >= 'A' && text.data[len] <= 'Z')
        len++;
    log_event(LOG_WARN, "redis_revocations_refused", log_bytes("error", slice_of(text.data, len)),
        log_u64("waiting", r->waiting.count), log_u64("suppressed", r->errors.suppressed));
    r->errors.suppressed = 0;
}

static void tell(struct redis_revocations *r, const struct redis_revoked *revoked,
    const struct fleet_realms * not )
{
    struct redis_revoked_subject subject;
    if (redis_revoked_subject(&subject, revoked->name) < 0)
        return;
    const struct slice name = slice_of(subject.realm, subject.realm_len);
    const struct fleet_realm *realm = fleet_realms_by_name(r->options.realms, name);
    const struct fleet_realm *before = not ? fleet_realms_by_name(not, name) : NULL;
    if (!realm || (before && before->id == realm->id))
        return;
    subject.revocation.realm = realm->id;
    subject.revocation.until = revoked->until;
    r->options.told(r->options.ctx, &subject.revocation);
}

static void learn(struct redis_revocations *r, const struct redis_revoked *revoked)
{
    struct redis_revoked_subject subject;
    const struct redis_revoked_known *known = redis_revoked_table_find(r->table, revoked->name);
    if (known && known->revoked.version >= revoked->version) {
        if (known->revoked.version > revoked->version)
            redis_revoked_table_mark(r->table, known, true);
        return;
    }
    if (redis_revoked_subject(&subject, revoked->name) < 0 ||
        revoked->expires + CLOCKS_APART_S < clock_now().wall_s)
        return;
    /* Full, it is told all the same, if once more after each loss of the connection. */
    if (redis_revoked_table_put(r->table, revoked) < 0 && may_log(&r->full)) {
        log_event(LOG_WARN, "redis_revocations_too_many",
            log_u64("known", redis_revoked_table_count(r->table)),
            log_u64("suppressed", r->full.suppressed));
        r->full.suppressed = 0;
    }
    tell(r, revoked, NULL);
}

/* Another life of the set, or none: what it was told is lost. True: start again from its beginning.
 */
static bool is_reborn(struct redis_revocations *r, int64_t born)
{
    if (born == r->born)
        return false;
    r->born = born;
    r->position = 0;
    redis_revoked_table_mark_all(r->table);
    return true;
}

/*
 * By the time it is read the reply is old, so that Redis's clock is further ahead: never less. So
 * the largest of what polls say is the best, but for the drift of two clocks. A slow reply is
 * believed only where all are slow.
 */
static void read_clock(struct redis_revocations *r, int64_t clock_us)
{
    const uint64_t now = clock_now().mono_us;
    const uint64_t ahead = (uint64_t)clock_us - now, before = r->clock.ahead_us - DRIFT_US;
    const bool is_first = r->clock.polls++ == 0;
    r->clock.ahead_us = is_first || (int64_t)(ahead - before) > 0 ? ahead : before;
    r->clock.known |= now - r->clock.asked_us <= PROMPT_US || r->clock.polls >= SLOW_POLLS;
}

static void read_page(struct redis_revocations *r, const struct redis_revoked_page *page)
{
    struct redis_revoked revoked;
    read_clock(r, page->clock);
    if (is_reborn(r, page->born)) {
        poll(r);
        return;
    }
    for (size_t i = 0; i < page->count; i++) {
        if (redis_revoked_entry(&revoked, page, i) == 0)
            learn(r, &revoked);
        else if (may_log(&r->unknown))
            log_event(LOG_WARN, "redis_revocation_unreadable");
    }
    const bool moves = page->position > r->position;
    if (moves)
        r->position = page->position;
    if (moves && page->more)
        poll(r);
    else
        send_changes(r);
}

static void on_polled(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct redis_revocations *r = ctx;
    struct redis_revoked_page page;
    r->flight.polling = false;
    if (result != REDIS_REPLIED)
        return;
    if (redis_revoked_page(&page, reply) < 0)
        complain(r, reply);
    else
        read_page(r, &page);
}

static void poll(struct redis_revocations *r)
{
    struct slice argv[REDIS_REVOKED_KEYS + 3];
    char position[24];
    if (r->flight.polling)
        return;
    r->clock.asked_us = clock_now().mono_us;
    snprintf(position, sizeof(position), "%lld", (long long)r->position);
    for (size_t i = 0; i < REDIS_REVOKED_KEYS; i++)
        argv[i] = slice_of_string(redis_revoked_keys[i]);
    argv[REDIS_REVOKED_KEYS] = slice_of_string(position);
    argv[REDIS_REVOKED_KEYS + 1] = slice_of_string(PAGE_ENTRIES);
    argv[REDIS_REVOKED_KEYS + 2] = slice_of_string(PAGE_BYTES);
    const struct redis_request request = {argv, REDIS_REVOKED_KEYS + 3, DEADLINE_MS, on_polled, r};
    r->flight.polling =
        redis_link_script(r->options.link, &r->poll, REDIS_REVOKED_KEYS, &request) == 0;
}

static void begin_batch(struct batch *b)
{
    *b = (struct batch){0};
    snprintf(b->limit, sizeof(b->limit), "%d", REVOCATIONS_MAX);
    snprintf(b->taken_back, sizeof(b->taken_back), "%d", REDIS_REVOCATIONS_TAKEN_BACK_S);
    for (size_t i = 0; i < REDIS_REVOKED_KEYS; i++)
        b->argv[b->argc++] = slice_of_string(redis_revoked_keys[i]);
    b->argv[b->argc++] = slice_of_string(b->limit);
    b->argv[b->argc++] = slice_of_string(b->taken_back);
}

static bool has_room(const struct batch *b)
{
    return b->count < BATCH_MAX && b->bytes < BATCH_BYTES;
}

/* The name is borrowed until the batch is sent. */
static void add_change(struct batch *b, const struct redis_revoked *revoked, const char *mode)
{
    const int64_t values[] = {revoked->until, revoked->expires, revoked->version};
    b->argv[b->argc++] = revoked->name;
    for (size_t i = 0; i < 3; i++) {
        char *text = b->numbers[b->count][i];
        snprintf(text, sizeof(b->numbers[0][0]), "%lld", (long long)values[i]);
        b->argv[b->argc++] = slice_of_string(text);
    }
    b->argv[b->argc++] = slice_of_string(mode);
    b->bytes += revoked->name.len;
    b->count++;
}

/* Those that wait, then those that are to be told again. */
static void fill_batch(struct redis_revocations *r, struct batch *b)
{
    const uint64_t now = clock_now().mono_us;
    const struct redis_revoked_known *known;
    r->flight.sent = r->flight.again = 0;
    for (struct waiting *w = r->waiting.first; w && has_room(b); w = w->next) {
        const bool is_new = w->fresh && now - w->made_us < FRESH_US;
        w->fresh = false; /* once sent, it may have come there */
        r->flight.sent++;
        add_change(b,
            &(struct redis_revoked){.version = (int64_t)(w->made_us + r->clock.ahead_us),
                .until = w->until,
                .expires = w->until,
                .name = slice_of(w->name, w->name_len)},
            is_new ? "new" : "late");
    }
    while (has_room(b) && (known = redis_revoked_table_next_marked(r->table)) != NULL) {
        add_change(b, &known->revoked, "again");
        redis_revoked_table_mark(r->table, known, false);
        r->flight.again++;
    }
}

static void drop_first(struct redis_revocations *r)
{
    struct waiting *w = r->waiting.first;
    r->waiting.first = w->next;
    if (!w->next)
        r->waiting.end = &r->waiting.first;
    r->waiting.count--;
    free(w);
}

static void mention(struct quiet *q, const char *event, int64_t count)
{
    if (count <= 0 || !may_log(q))
        return;
    log_event(LOG_WARN, event, log_i64("count", count), log_u64("suppressed", q->suppressed));
    q->suppressed = 0;
}

/* What Redis says to a change: clock, born, full, outdated. */
static void take_reply(struct redis_revocations *r, const struct redis_reply *reply)
{
    struct redis_revoked_put_reply said;
    if (redis_revoked_put_reply(&said, reply) < 0) {
        complain(r, reply);
        if (r->flight.again > 0)
            redis_revoked_table_mark_all(r->table);
        return; /* until the next second */
    }
    const bool echo = r->flight.sent > 0;
    for (; r->flight.sent > 0; r->flight.sent--)
        drop_first(r);
    mention(&r->full, "redis_revocations_too_many", said.full);
    mention(&r->outdated, "redis_revocation_outdated", said.outdated);
    const bool reborn = is_reborn(r, said.born);
    send_changes(r);
    if (echo || reborn)
        poll(r);
}

static void on_put(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct redis_revocations *r = ctx;
    r->flight.putting = false;
    if (result == REDIS_REPLIED)
        take_reply(r, reply);
    else if (r->flight.again > 0)
        redis_revoked_table_mark_all(r->table);
}

static void send_changes(struct redis_revocations *r)
{
    struct batch b;
    if (r->flight.putting || !r->clock.known || !redis_link_is_up(r->options.link))
        return;
    begin_batch(&b);
    fill_batch(r, &b);
    if (b.count == 0)
        return;
    const struct redis_request request = {b.argv, b.argc, DEADLINE_MS, on_put, r};
    r->flight.putting =
        redis_link_script(r->options.link, &r->put, REDIS_REVOKED_KEYS, &request) == 0;
    if (!r->flight.putting && r->flight.again > 0)
        redis_revoked_table_mark_all(r->table);
}

int redis_revocations_put(struct redis_revocations *r, const struct revocation *v)
{
    struct redis_key name;
    const struct fleet_realm *realm = fleet_realms_by_id(r->options.realms, v->realm);
    if (!realm || redis_revoked_name(&name, v, realm->name) < 0)
        return -EINVAL;
    if (r->waiting.count == REDIS_REVOCATIONS_WAITING_MAX)
        return -ENOSPC;
    struct waiting *w = malloc(sizeof(*w) + name.len);
    if (!w)
        return -ENOMEM;
    const uint64_t now = clock_now().mono_us;
    const int64_t until = v->until > 0 ? v->until : 0;
    r->waiting.made_us = now > r->waiting.made_us ? now : r->waiting.made_us + 1;
    *w = (struct waiting){.made_us = r->waiting.made_us,
        .until = until < REDIS_REVOKED_UNTIL_MAX ? until : REDIS_REVOKED_UNTIL_MAX,
        .fresh = redis_link_is_up(r->options.link),
        .name_len = name.len};
    memcpy(w->name, name.bytes, name.len);
    *r->waiting.end = w;
    r->waiting.end = &w->next;
    r->waiting.count++;
    send_changes(r);
    return 0;
}

void redis_revocations_up(struct redis_revocations *r, enum redis_server server)
{
    for (struct waiting *w = r->waiting.first; w; w = w->next)
        w->fresh = false;
    r->clock.known = false;
    r->clock.polls = 0;
    if (server == REDIS_SERVER_OTHER) {
        r->position = 0;
        redis_revoked_table_mark_all(r->table);
        log_event(LOG_INFO, "redis_revocations_told_again",
            log_u64("count", redis_revoked_table_count(r->table)));
    }
    poll(r);
}

void redis_revocations_tick(struct redis_revocations *r)
{
    redis_revoked_table_expire(r->table, clock_now().wall_s - CLOCKS_APART_S, EXPIRE_PER_S);
    if (redis_link_is_up(r->options.link))
        poll(r);
}

void redis_revocations_realms(struct redis_revocations *r, const struct fleet_realms *before)
{
    for (size_t i = 0; i < redis_revoked_table_count(r->table); i++)
        tell(r, &redis_revoked_table_at(r->table, i)->revoked, before);
}

size_t redis_revocations_waiting(const struct redis_revocations *r)
{
    return r->waiting.count;
}

size_t redis_revocations_known(const struct redis_revocations *r)
{
    return redis_revoked_table_count(r->table);
}

struct redis_revocations *redis_revocations_new(const struct redis_revocations_options *options)
{
    struct redis_revocations *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->options = *options;
    r->waiting.end = &r->waiting.first;
    r->table = redis_revoked_table_new(options->random);
    if (r->table && redis_script_init(&r->put, redis_revoked_put) == 0 &&
        redis_script_init(&r->poll, redis_revoked_poll) == 0)
        return r;
    redis_revocations_free(r);
    return NULL;
}

void redis_revocations_free(struct redis_revocations *r)
{
    if (!r)
        return;
    while (r->waiting.first)
        drop_first(r);
    redis_revoked_table_free(r->table);
    free(r);
}

/*
 * Always: an entry is in the list or in flight, and leaves when Redis has said that it has it.
 * After a failure nothing is sent until the next tick, so a server that refuses is asked once a
 * second. Called by fleet.c.
 */
#include "fleet/redis_usage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define DEADLINE_MS   1300u
#define IN_FLIGHT_MAX 64u
#define NAME_MAX_     80 /* a prefix of 64, and "/usage" */

struct entry {
    struct entry *next;
    struct redis_usage *usage;
    uint32_t max;
    size_t id_len, len;
    char bytes[]; /* the id, then the record */
};

struct redis_usage {
    struct redis_link *link;
    char name[NAME_MAX_];
    struct entry *first, *last;
    uint32_t records, in_flight; /* `records`: in the list and in flight */
    size_t bytes;
    bool pausing;
    uint64_t sent, logged_us, unlogged;
};

struct redis_usage *redis_usage_new(struct redis_link *link, const char *prefix)
{
    struct redis_usage *u = calloc(1, sizeof(*u));
    if (u) {
        u->link = link;
        snprintf(u->name, sizeof(u->name), "%s/usage", prefix);
    }
    return u;
}

void redis_usage_free(struct redis_usage *u)
{
    while (u && u->first) {
        struct entry *next = u->first->next;
        free(u->first);
        u->first = next;
    }
    free(u);
}

static void complain(struct redis_usage *u, const struct redis_reply *reply)
{
    size_t len = 0;
    if (!log_once_a_minute(clock_now().mono_us, &u->logged_us, &u->unlogged))
        return;
    while (len < reply->text.len && reply->text.data[len] >= 'A' && reply->text.data[len] <= 'Z')
        len++;
    log_event(LOG_WARN, "redis_usage_refused", log_bytes("error", slice_of(reply->text.data, len)),
        log_u64("waiting", u->records), log_u64("suppressed", u->unlogged));
    u->unlogged = 0;
}

static void pump(struct redis_usage *u);

static void on_done(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct entry *e = ctx;
    struct redis_usage *u = e->usage;
    u->in_flight--;
    if (result == REDIS_REPLIED && reply->kind == REDIS_KIND_STRING) {
        u->sent++;
        u->records--;
        u->bytes -= e->id_len + e->len;
        free(e);
        pump(u);
        return;
    }
    if (result == REDIS_REPLIED && reply->kind == REDIS_KIND_ERROR)
        complain(u, reply);
    e->next = u->first;
    u->first = e;
    u->last = u->last ? u->last : e;
    u->pausing = true;
}

static int send_entry(struct redis_usage *u, struct entry *e)
{
    char max[16];
    const int len = snprintf(max, sizeof(max), "%u", (unsigned)e->max);
    const struct slice argv[] = {slice_of_string("XADD"), slice_of_string(u->name),
        slice_of_string("MAXLEN"), slice_of_string("~"), slice_of(max, (size_t)len),
        slice_of_string("*"), slice_of_string("id"), slice_of(e->bytes, e->id_len),
        slice_of_string("record"), slice_of(e->bytes + e->id_len, e->len)};
    const struct redis_request request = {
        argv, sizeof(argv) / sizeof(argv[0]), DEADLINE_MS, on_done, e};
    return redis_link_command(u->link, &request);
}

static void pump(struct redis_usage *u)
{
    while (u->first && !u->pausing && u->in_flight < IN_FLIGHT_MAX) {
        struct entry *e = u->first;
        if (send_entry(u, e) < 0) {
            u->pausing = true;
            return;
        }
        u->in_flight++;
        u->first = e->next;
        u->last = u->first ? u->last : NULL;
    }
}

int redis_usage_add(struct redis_usage *u, struct slice id, struct slice record, uint32_t max)
{
    if (u->records >= REDIS_USAGE_RECORDS_MAX ||
        u->bytes + id.len + record.len > REDIS_USAGE_BYTES_MAX)
        return -EAGAIN;
    struct entry *e = malloc(sizeof(*e) + id.len + record.len);
    if (!e)
        return -ENOMEM;
    *e = (struct entry){.usage = u, .max = max, .id_len = id.len, .len = record.len};
    memcpy(e->bytes, id.data, id.len);
    memcpy(e->bytes + id.len, record.data, record.len);
    if (u->last)
        u->last->next = e;
    else
        u->first = e;
    u->last = e;
    u->records++;
    u->bytes += id.len + record.len;
    pump(u);
    return 0;
}

void redis_usage_tick(struct redis_usage *u)
{
    u->pausing = false;
    pump(u);
}

uint32_t redis_usage_waiting(const struct redis_usage *u)
{
    return u->records;
}

uint64_t redis_usage_sent(const struct redis_usage *u)
{
    return u->sent;
}

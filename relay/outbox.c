/*
 * The outbox: decisions in order, sent from one place. Never holds more than one loop turn's worth;
 * nothing in it waits for the network. Called by relay/ (append) and by net/ (flush).
 */
#include "relay/outbox.h"

#include <assert.h>
#include <stddef.h>

#define OUTBOX_RESERVE_MAX 8192

void outbox_init(struct outbox *o, void (*send)(void *ctx, struct outbox *outbox), void *ctx)
{
    memset(o, 0, offsetof(struct outbox, arena));
    o->send = send;
    o->ctx = ctx;
}

void outbox_flush(struct outbox *o)
{
    if (o->count > 0) {
        o->send(o->ctx, o);
    }
    o->count = 0;
    o->arena_used = 0;
}

uint8_t *outbox_reserve(struct outbox *o, size_t len)
{
    assert(len <= OUTBOX_RESERVE_MAX);
    size_t aligned = (len + 7) & ~(size_t)7;
    if (o->count == OUTBOX_ENTRIES || aligned > OUTBOX_ARENA - o->arena_used) {
        outbox_flush(o);
    }
    uint8_t *room = o->arena + o->arena_used;
    o->arena_used += aligned;
    return room;
}

void outbox_trim(struct outbox *o, uint8_t *reserved, size_t used)
{
    o->arena_used = (size_t)(reserved - o->arena) + ((used + 7) & ~(size_t)7);
}

struct outbox_entry *outbox_append(struct outbox *o)
{
    if (o->count == OUTBOX_ENTRIES) {
        outbox_flush(o);
    }
    struct outbox_entry *e = &o->entries[o->count++];
    memset(e, 0, offsetof(struct outbox_entry, peer));
    return e;
}

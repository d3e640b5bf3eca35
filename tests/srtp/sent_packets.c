/*
 * A table with open addressing over an array of pointers; entries stay where they are. Used by
 * srtp_caller, one thread.
 */
#include "tests/srtp/sent_packets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 1024u /* a power of two, as every later size */

struct sent_packets {
    struct sent_packet **order; /* `count` of them, room for half of `slots` */
    struct sent_packet **table;
    size_t count, slots;
};

static void *must(void *memory)
{
    if (memory == NULL) {
        fputs("srtp_caller: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return memory;
}

struct sent_packets *sent_packets_new(void)
{
    struct sent_packets *s = must(calloc(1, sizeof(*s)));

    s->slots = SLOTS_FIRST;
    s->order = must(calloc(s->slots / 2, sizeof(struct sent_packet *)));
    s->table = must(calloc(s->slots, sizeof(struct sent_packet *)));
    return s;
}

void sent_packets_free(struct sent_packets *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->order[i]->bytes);
        free(s->order[i]);
    }
    free(s->order);
    free(s->table);
    free(s);
}

/* FNV-1a. */
static size_t hash(uint8_t direction, const uint8_t *bytes, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u ^ direction;

    for (size_t i = 0; i < len; i++) {
        h = (h ^ bytes[i]) * 0x100000001b3u;
    }
    return (size_t)(h ^ h >> 32);
}

/* Where the entry is, or where it would be. */
static struct sent_packet **place(
    struct sent_packets *s, uint8_t direction, const uint8_t *bytes, size_t len)
{
    size_t i = hash(direction, bytes, len) & (s->slots - 1);

    for (;; i = (i + 1) & (s->slots - 1)) {
        const struct sent_packet *p = s->table[i];
        if (p == NULL ||
            (p->direction == direction && p->len == len && memcmp(p->bytes, bytes, len) == 0)) {
            return &s->table[i];
        }
    }
}

static void grow(struct sent_packets *s)
{
    free(s->table);
    s->slots *= 2;
    s->order = must(realloc(s->order, s->slots / 2 * sizeof(struct sent_packet *)));
    s->table = must(calloc(s->slots, sizeof(struct sent_packet *)));
    for (size_t i = 0; i < s->count; i++) {
        struct sent_packet *p = s->order[i];
        *place(s, p->direction, p->bytes, p->len) = p;
    }
}

struct sent_packet *sent_packets_add(struct sent_packets *s, const struct sent_packet *packet)
{
    struct sent_packet **where = place(s, packet->direction, packet->bytes, packet->len);

    if (*where != NULL) {
        (*where)->later_label = packet->first_label;
        (*where)->copies++;
        return *where;
    }
    if (s->count == s->slots / 2) {
        grow(s);
        where = place(s, packet->direction, packet->bytes, packet->len);
    }
    struct sent_packet *p = must(malloc(sizeof(*p)));
    *p = *packet;
    p->bytes = must(malloc(packet->len));
    memcpy(p->bytes, packet->bytes, packet->len);
    p->copies = 1;
    p->arrived = 0;
    *where = p;
    s->order[s->count++] = p;
    return p;
}

struct sent_packet *sent_packets_find(
    struct sent_packets *s, uint8_t direction, const uint8_t *bytes, size_t len)
{
    return *place(s, direction, bytes, len);
}

struct sent_packet *sent_packets_at(struct sent_packets *s, size_t n)
{
    return n < s->count ? s->order[n] : NULL;
}

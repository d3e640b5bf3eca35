/*
 * The pool of a worker's stream entries, and the lists that allocations make of them. A list is in
 * the order in which its entries were asked for, the latest first: a call with few streams is found
 * at once, and what is at the end is what may go. SSRCs and links lie apart from what is known of
 * the streams, so that a look-up among strangers walks over few cache lines. Memory of entries that
 * were never used is never touched. Called by the guard for RTP and RTCP.
 */
#include "srtp/streams.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "srtp/stream_health.h"

#define NOBODY 0u /* in place of a number; numbers count from 1 */

struct node {
    uint32_t ssrc;
    uint32_t next; /* number of a node, or NOBODY */
};

struct entry {
    struct srtp_stream stream; /* first: what the guard holds is the entry */
    struct stream_health health;
};

struct srtp_streams {
    struct node *nodes; /* number n is nodes[n - 1], and so with entries */
    struct entry *entries;
    uint32_t max, cap;
    uint32_t touched; /* numbers up to this have been in use once */
    uint32_t free;    /* a list of those that are not */
    uint32_t in_use;
};

static struct node *node_at(const struct srtp_streams *s, uint32_t number)
{
    return &s->nodes[number - 1];
}

static struct entry *entry_at(const struct srtp_streams *s, uint32_t number)
{
    return &s->entries[number - 1];
}

struct srtp_streams *srtp_streams_new(uint32_t max, uint32_t cap)
{
    struct srtp_streams *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->max = max;
    s->cap = cap;
    s->nodes = calloc(max, sizeof(*s->nodes));
    s->entries = calloc(max, sizeof(*s->entries));
    if (s->nodes == NULL || s->entries == NULL) {
        srtp_streams_free(s);
        return NULL;
    }
    return s;
}

void srtp_streams_free(struct srtp_streams *s)
{
    if (s == NULL)
        return;
    assert(s->in_use == 0);
    free(s->nodes);
    free(s->entries);
    free(s);
}

void srtp_streams_set_cap(struct srtp_streams *s, uint32_t cap)
{
    s->cap = cap;
}

/* NOBODY: all are in use. */
static uint32_t number_take(struct srtp_streams *s)
{
    uint32_t number = s->free;
    if (number != NOBODY)
        s->free = node_at(s, number)->next;
    else if (s->touched < s->max)
        number = ++s->touched;
    else
        return NOBODY;
    s->in_use++;
    return number;
}

/* Takes what *link names out of its list. */
static uint32_t unlink_number(struct srtp_streams *s, uint32_t *link)
{
    const uint32_t number = *link;
    *link = node_at(s, number)->next;
    return number;
}

static void push_front(struct srtp_streams *s, uint32_t *first, uint32_t number)
{
    node_at(s, number)->next = *first;
    *first = number;
}

static bool is_silent(const struct srtp_streams *s, uint32_t number, uint64_t now_us)
{
    return now_us >= entry_at(s, number)->stream.last_us + STREAM_SILENT_S * US_PER_S;
}

/* A number for another SSRC. `last`: the link to the list's last one, or to its end if it is empty.
 */
static uint32_t place_make(struct srtp_streams *s, uint16_t *count, uint32_t *last, uint64_t now_us)
{
    const uint32_t number = *count < s->cap ? number_take(s) : NOBODY;
    if (number != NOBODY) {
        ++*count;
        return number;
    }
    return *last != NOBODY && is_silent(s, *last, now_us) ? unlink_number(s, last) : NOBODY;
}

struct srtp_stream *srtp_streams_get(struct srtp_streams *s, struct srtp_stream_list *list,
    enum srtp_direction direction, uint32_t ssrc, uint64_t now_us)
{
    uint32_t *const first = &list->first[direction], *last = first;
    for (uint32_t *link = first; *link != NOBODY; link = &node_at(s, *link)->next) {
        last = link;
        if (node_at(s, *link)->ssrc != ssrc)
            continue;
        const uint32_t number = *link;
        if (link != first)
            push_front(s, first, unlink_number(s, link));
        return &entry_at(s, number)->stream;
    }
    const uint32_t number = place_make(s, &list->count[direction], last, now_us);
    if (number == NOBODY) {
        list->untracked += list->untracked != UINT32_MAX;
        return NULL;
    }
    node_at(s, number)->ssrc = ssrc;
    push_front(s, first, number);
    struct entry *entry = entry_at(s, number);
    *entry = (struct entry){
        .stream = {
            .ssrc = ssrc, .direction = (uint8_t)direction, .first_us = now_us, .last_us = now_us}};
    return &entry->stream;
}

struct srtp_stream *srtp_streams_find(struct srtp_streams *s, const struct srtp_stream_list *list,
    enum srtp_direction direction, uint32_t ssrc)
{
    uint32_t number = list->first[direction];
    while (number != NOBODY && node_at(s, number)->ssrc != ssrc)
        number = node_at(s, number)->next;
    return number == NOBODY ? NULL : &entry_at(s, number)->stream;
}

void srtp_stream_rtp(
    struct srtp_stream *stream, const struct rtp_header *rtp, size_t len, uint64_t now_us)
{
    struct entry *entry = (struct entry *)stream;
    stream_health_rtp(&entry->health, stream, rtp, now_us);
    stream->packets++;
    stream->bytes += len;
    stream->last_us = now_us;
}

void srtp_stream_rtcp(struct srtp_stream *stream, uint64_t now_us)
{
    stream->rtcp_packets++;
    stream->last_us = now_us;
}

uint64_t srtp_stream_lost(const struct srtp_stream *stream)
{
    return stream->expected + stream->duplicates - stream->packets;
}

const struct srtp_stream *srtp_streams_next(const struct srtp_streams *s,
    const struct srtp_stream_list *list, const struct srtp_stream *after)
{
    unsigned direction = 0;
    uint32_t number = list->first[0];
    if (after != NULL) {
        const struct entry *entry = (const struct entry *)after;
        direction = after->direction;
        number = s->nodes[entry - s->entries].next;
    }
    while (number == NOBODY && ++direction < SRTP_DIRECTIONS)
        number = list->first[direction];
    return number == NOBODY ? NULL : &entry_at(s, number)->stream;
}

void srtp_streams_release(struct srtp_streams *s, struct srtp_stream_list *list)
{
    for (unsigned direction = 0; direction < SRTP_DIRECTIONS; direction++) {
        while (list->first[direction] != NOBODY) {
            push_front(s, &s->free, unlink_number(s, &list->first[direction]));
            s->in_use--;
        }
    }
    *list = (struct srtp_stream_list){0};
}

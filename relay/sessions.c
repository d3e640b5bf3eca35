/*
 * Allocations for people to look at.
 *
 * Always: nothing is changed, and a call looks at SLOTS_AT_ONCE slots and copies one page at most,
 * so that a worker with a hundred thousand allocations relays between one call and the next. One
 * that ends between two pages is in neither or in the first; none is in both. Called by net/worker
 * when control asks.
 */
#include "relay/sessions.h"

#include "relay/core.h"

/* Each may be a cache miss or two: a tenth of a millisecond. */
#define SLOTS_AT_ONCE 1024

static bool is_asked_for(const struct allocation *a, const struct session_page *page)
{
    const struct identity id = allocation_identity(a);
    const struct slice user = slice_of(page->user, page->user_len);
    if (page->only_id != 0 && a->id != page->only_id) {
        return false;
    }
    return !page->by_user ||
           (id.realm == page->realm &&
               (slice_equal(id.user, user) || slice_equal(identity_account(&id), user)));
}

static uint32_t count_channels(const struct channel_list *l)
{
    uint32_t live = 0;
    for (uint16_t i = 0; i < l->count; i++) {
        live += !l->items[i].lapsed;
    }
    return live;
}

static void describe(struct session_info *s, const struct allocation *a, const struct instant *now)
{
    *s = (struct session_info){.id = a->id,
        .realm = a->owner.realm,
        .user_len = a->owner.user_len,
        .transport = (uint8_t)a->flow.transport,
        .client = a->flow.remote,
        .age_s = (uint32_t)((now->mono_us - a->created_us) / US_PER_S),
        .expires_s = allocation_lifetime_left(a, now),
        .packets_to_peer = a->traffic.packets_to_peer,
        .bytes_to_peer = a->traffic.bytes_to_peer,
        .packets_to_client = a->traffic.packets_to_client,
        .bytes_to_client = a->traffic.bytes_to_client,
        .permissions = a->permissions.count,
        .channels = count_channels(&a->channels),
        .guard = guard_level(a),
        .keys = (uint16_t)srtp_guard_key_count(&a->media.session),
        .untracked = a->media.session.streams.untracked};
    memcpy(s->user, a->owner.user, a->owner.user_len);
    for (unsigned i = 0; i < 2; i++) {
        if (a->legs[i].map) {
            s->relayed[s->relayed_count++] = relay_leg_public(&a->legs[i]);
        }
    }
    for (unsigned d = 0; d < SRTP_DIRECTIONS; d++) {
        s->stream_count += a->media.session.streams.count[d];
    }
}

static void copy_streams(
    const struct relay *r, const struct allocation *a, struct session_page *page)
{
    struct session_info *s = &page->sessions[page->count];
    const struct srtp_stream *stream = NULL;
    s->first_stream = page->streams;
    while (page->streams < SESSIONS_STREAMS_MAX &&
           (stream = srtp_guard_next_stream(r->media.guard, &a->media.session, stream))) {
        page->stream[page->streams++] = *stream;
    }
    s->streams_kept = page->streams - s->first_stream;
}

/* False: there is no room for it, and the next page begins with it. */
static bool add(const struct relay *r, const struct allocation *a, struct session_page *page,
    const struct instant *now)
{
    struct session_info *s = &page->sessions[page->count];
    if (page->count == page->max) {
        return false;
    }
    describe(s, a, now);
    if (page->media) {
        if (page->count > 0 && s->stream_count > SESSIONS_STREAMS_MAX - (uint32_t)page->streams) {
            return false;
        }
        copy_streams(r, a, page);
    }
    page->count++;
    return true;
}

void relay_sessions(const struct relay *r, struct session_page *page, const struct instant *now)
{
    const uint32_t slots = slab_slots(r->allocations);
    uint32_t slot = page->from_slot, end = slots;
    if (page->only_id != 0) {
        slot = handle_slot(page->only_id);
        end = slot < slots ? slot + 1 : slots;
    } else if (slot < slots && slots - slot > SLOTS_AT_ONCE) {
        end = slot + SLOTS_AT_ONCE;
    }
    page->now_us = now->mono_us;
    page->count = page->streams = 0;
    for (; slot < end; slot++) {
        const struct allocation *a = slab_at(r->allocations, slot);
        if (a && is_asked_for(a, page) && !add(r, a, page, now)) {
            break;
        }
    }
    page->next_slot = slot;
    page->more = page->only_id == 0 && slot < slots;
}

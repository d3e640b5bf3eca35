/*
 * Allocations for people to look at.
 *
 * Always: nothing is changed, and a call looks at SLOTS_AT_ONCE places and copies one page at most,
 * so that a worker with a hundred thousand allocations relays between one call and the next. One
 * that ends between two pages is in neither or in the first; none is in both. Called by net/worker
 * when control asks.
 */
#include "relay/sessions.h"

#include "relay/core.h"

/* Each may be a cache miss or two: a tenth of a millisecond. */
#define SLOTS_AT_ONCE 1024

/* Permissions and channels beside the allocation itself: so many are one cache miss. */
#define PEERS_A_SLOT 8

static bool is_whose(const struct allocation *a, const struct session_page *page)
{
    const struct identity id = allocation_identity(a);
    const struct slice user = slice_of(page->user, page->user_len);
    if (page->by_realm && id.realm != page->realm) {
        return false;
    }
    return !page->by_user || slice_equal(id.user, user) || slice_equal(identity_account(&id), user);
}

static bool is_of_age(
    const struct allocation *a, const struct session_page *page, const struct instant *now)
{
    const uint64_t age_us = now->mono_us - a->created_us;
    return age_us >= page->older_s * US_PER_S &&
           (page->younger_s == 0 || age_us < page->younger_s * US_PER_S);
}

static bool covers(const struct prefix *prefix, const struct addr *ip)
{
    const struct addr masked = addr_masked(ip, prefix->bits);
    return addr_equal_ip(&masked, &prefix->ip);
}

static bool has_peer(
    const struct allocation *a, const struct session_page *page, const struct instant *now)
{
    for (uint16_t i = 0; i < a->permissions.count; i++) {
        const struct permission *p = &a->permissions.items[i];
        if (p->expires_us > now->mono_us && covers(&page->peer, &p->ip)) {
            return true;
        }
    }
    for (uint16_t i = 0; i < a->channels.count; i++) {
        const struct channel *c = &a->channels.items[i];
        if (!c->lapsed && covers(&page->peer, &c->peer)) {
            return true;
        }
    }
    return false;
}

static bool is_asked_for(
    const struct allocation *a, const struct session_page *page, const struct instant *now)
{
    return (page->only_id == 0 || a->id == page->only_id) && is_whose(a, page) &&
           is_of_age(a, page, now) && (!page->by_peer || has_peer(a, page, now));
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

/* What it takes of SESSIONS_PAGE_TEXT_MAX. */
static uint32_t text_of(const struct session_info *s, bool media)
{
    const uint32_t streams =
        s->stream_count < SESSIONS_STREAMS_MAX ? s->stream_count : SESSIONS_STREAMS_MAX;
    return SESSIONS_SESSION_TEXT + SESSIONS_BYTE_TEXT * s->user_len +
           (media ? SESSIONS_STREAM_TEXT * streams : 0);
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
    const uint32_t text = text_of(s, page->media);
    if (page->count > 0 && text > SESSIONS_PAGE_TEXT_MAX - page->text) {
        return false;
    }
    if (page->media) {
        if (page->count > 0 && s->stream_count > SESSIONS_STREAMS_MAX - (uint32_t)page->streams) {
            return false;
        }
        copy_streams(r, a, page);
    }
    page->text += text;
    page->count++;
    return true;
}

void relay_sessions(const struct relay *r, struct session_page *page, const struct instant *now)
{
    const uint32_t slots = slab_slots(r->allocations);
    uint32_t slot = page->from_slot, end = slots, looks = 0;
    if (page->only_id != 0) {
        slot = handle_slot(page->only_id);
        end = slot < slots ? slot + 1 : slots;
    }
    page->now_us = now->mono_us;
    page->count = page->streams = 0;
    page->text = 0;
    for (; slot < end && looks < SLOTS_AT_ONCE; slot++) {
        const struct allocation *a = slab_at(r->allocations, slot);
        if (a && is_asked_for(a, page, now) && !add(r, a, page, now)) {
            break;
        }
        looks += 1 + (a && page->by_peer ? (a->permissions.count + a->channels.count) / PEERS_A_SLOT
                                         : 0);
    }
    page->next_slot = slot;
    page->more = page->only_id == 0 && slot < slots;
}

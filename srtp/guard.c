/*
 * What becomes of a packet between a client and a peer, by the level that its realm or listener has
 * now: counted by kind, refused for what it is not, and verified by the keys that were deposited
 * for its direction and SSRC.
 *
 * Always: a packet is parsed once, by srtp_classify, and is never written to. What is dropped makes
 * no stream. Nothing is allocated for a packet. exception: by libsrtp2, for the first packet of an
 * SSRC that verifies, and for the first that a key of a user is tried on: that user may have
 * thousands of allocations, of which one sends this SSRC. Keys are wiped by whoever lets go of
 * them. Called by relay/, on both straight paths, and by its ticks.
 */
#include "srtp/guard.h"

#include <errno.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/secret.h"
#include "srtp/classify.h"
#include "srtp/verifier.h"

struct srtp_guard {
    struct counters *counters;
    struct srtp_streams *streams;
    struct srtp_policy policy;
};

/* A key and what it has seen. */
struct guard_use {
    struct srtp_verifier *verifier; /* NULL: not made yet; owned */
    bool given_up;                  /* none could be made */
    int64_t until;                  /* wall clock, s */
    struct srtp_keys keys;          /* no masters: there is no key */
};

/* One binding of a session. Those of one SSRC stand before those of all. */
struct srtp_session_keys {
    struct srtp_session_keys *next;
    uint8_t direction;
    bool by_user, has_ssrc;
    uint32_t ssrc;
    uint64_t name;            /* hash of the user's that the latest deposit was for */
    uint64_t before_until_us; /* monotonic; of `before` */
    struct guard_use current, before;
};

struct srtp_guard *srtp_guard_new(struct counters *counters, uint32_t streams_max)
{
    struct srtp_guard *g = calloc(1, sizeof(*g));
    if (!g) {
        return NULL;
    }
    g->counters = counters;
    g->policy = (struct srtp_policy){.window = SRTP_WINDOW_MIN, .streams_per_direction = 1};
    g->streams = srtp_streams_new(streams_max, g->policy.streams_per_direction);
    if (!g->streams) {
        srtp_guard_free(g);
        return NULL;
    }
    return g;
}

void srtp_guard_free(struct srtp_guard *g)
{
    if (g) {
        srtp_streams_free(g->streams);
    }
    free(g);
}

void srtp_guard_set_policy(struct srtp_guard *g, const struct srtp_policy *policy)
{
    g->policy = *policy;
    if (g->policy.streams_per_direction == 0) {
        g->policy.streams_per_direction = 1;
    }
    srtp_streams_set_cap(g->streams, g->policy.streams_per_direction);
}

/* Of several keys that one packet may be under, what the best of them says counts: a forgery fits
 * none, and a packet under the key before fails by the one that replaced it. One that knows the
 * stream and has had the index long ago is better than one that still searches for it. */
static const uint8_t verdict_rank[SRTP_VERDICT_COUNT] = {
    [SRTP_VERIFIED] = 7,
    [SRTP_REPLAYED] = 6,
    [SRTP_SEEN] = 5,
    [SRTP_TOO_OLD] = 4,
    [SRTP_UNVERIFIED] = 3,
    [SRTP_CROWDED] = 2,
    [SRTP_FAILED] = 1,
};

/* A packet of RTP or RTCP on its way through the keys. */
struct guard_trial {
    const struct srtp_packet *packet;
    uint32_t ssrc;
    bool rtcp;
    bool tried; /* there was a key for it */
    enum srtp_verdict verdict;
};

static bool is_set(const struct guard_use *use)
{
    return use->keys.count > 0;
}

/* `before`: the verifier that it takes the place of, or NULL. */
static int use_open(
    const struct srtp_guard *g, struct guard_use *use, const struct srtp_verifier *before)
{
    const struct srtp_verifier_options options = {.window = g->policy.window,
        .streams = g->policy.streams_per_direction,
        .tell_duplicates = g->policy.replay == SRTP_REPLAY_COUNT,
        .before = before};
    const int rc = srtp_verifier_new(&use->verifier, &use->keys, &options);
    use->given_up = rc != 0;
    return rc;
}

static void try_use(const struct srtp_guard *g, struct guard_trial *t, struct guard_use *use,
    const struct srtp_verifier *before)
{
    if (!use->verifier && (use->given_up || use_open(g, use, before))) {
        return;
    }
    const enum srtp_verdict verdict =
        srtp_verifier_judge(use->verifier, t->packet->bytes, t->rtcp, t->packet->now->mono_us);
    if (!t->tried || verdict_rank[verdict] > verdict_rank[t->verdict]) {
        t->verdict = verdict;
    }
    t->tried = true;
}

static bool is_settled(const struct guard_trial *t)
{
    return t->tried && (t->verdict == SRTP_VERIFIED || t->verdict == SRTP_REPLAYED);
}

static bool is_before_good(const struct srtp_session_keys *k, const struct instant *now)
{
    return is_set(&k->before) && now->mono_us < k->before_until_us && now->wall_s < k->before.until;
}

static void try_keys(const struct srtp_guard *g, struct guard_trial *t, struct srtp_session_keys *k)
{
    for (; k && !is_settled(t); k = k->next) {
        if (k->direction != t->packet->direction || (k->has_ssrc && k->ssrc != t->ssrc) ||
            t->packet->now->wall_s >= k->current.until) {
            continue;
        }
        /* By the key of this SSRC, which came first. */
        const bool failed = !k->has_ssrc && t->tried && t->verdict == SRTP_FAILED;
        try_use(g, t, &k->current, k->before.verifier);
        if (!is_settled(t) && is_before_good(k, t->packet->now)) {
            try_use(g, t, &k->before, NULL);
        }
        if (failed && t->verdict == SRTP_UNVERIFIED) {
            t->verdict = SRTP_FAILED; /* or its forgeries would pass while this one searches */
        }
    }
}

static enum reason judge_unverified(const struct srtp_guard *g, uint8_t level)
{
    counters_add(g->counters, METRIC_SRTP_UNVERIFIED, 1);
    return level == SRTP_GUARD_VERIFY_REQUIRED ? REASON_SRTP_UNVERIFIED : REASON_NONE;
}

static enum reason verify(const struct srtp_guard *g, const struct srtp_session *s,
    const struct srtp_packet *p, const struct srtp_class *class)
{
    const bool rtcp = class->kind == SRTP_KIND_RTCP;
    struct guard_trial t = {
        .packet = p, .ssrc = rtcp ? class->u.rtcp.ssrc : class->u.rtp.ssrc, .rtcp = rtcp};
    try_keys(g, &t, s->keys);
    if (!t.tried) {
        return judge_unverified(g, p->level);
    }
    switch (t.verdict) {
    case SRTP_VERIFIED:
        counters_add(g->counters, METRIC_SRTP_VERIFIED, 1);
        return REASON_NONE;
    case SRTP_REPLAYED:
        counters_add(g->counters, METRIC_SRTP_REPLAYED, 1);
        return g->policy.replay == SRTP_REPLAY_COUNT ? REASON_NONE : REASON_SRTP_REPLAYED;
    case SRTP_SEEN:
        /* Nobody can say whether it is the packet that was seen. */
        counters_add(g->counters, METRIC_SRTP_REPLAYED, 1);
        return REASON_SRTP_REPLAYED;
    case SRTP_TOO_OLD:
        counters_add(g->counters, METRIC_SRTP_REPLAYED, 1);
        return REASON_SRTP_TOO_OLD;
    case SRTP_UNVERIFIED:
        return judge_unverified(g, p->level);
    case SRTP_CROWDED:
        return REASON_SRTP_CROWDED;
    default:
        counters_add(g->counters, METRIC_SRTP_FAILED, 1);
        return REASON_SRTP_FAILED;
    }
}

static void note_dropped(
    struct srtp_guard *g, struct srtp_session *s, uint8_t direction, uint32_t ssrc)
{
    struct srtp_stream *stream = srtp_streams_find(g->streams, &s->streams, direction, ssrc);
    if (stream) {
        stream->dropped++;
    }
}

static void note_passed(struct srtp_guard *g, struct srtp_session *s, const struct srtp_packet *p,
    const struct srtp_class *class)
{
    const bool rtcp = class->kind == SRTP_KIND_RTCP;
    const uint32_t ssrc = rtcp ? class->u.rtcp.ssrc : class->u.rtp.ssrc;
    const uint64_t now = p->now->mono_us;
    struct srtp_stream *stream = srtp_streams_get(g->streams, &s->streams, p->direction, ssrc, now);
    if (!stream) {
        counters_add(g->counters, METRIC_STREAMS_UNTRACKED, 1);
    } else if (rtcp) {
        srtp_stream_rtcp(stream, now);
    } else {
        srtp_stream_rtp(stream, &class->u.rtp, p->bytes.len, now);
    }
}

enum reason srtp_guard_judge(
    struct srtp_guard *g, struct srtp_session *s, const struct srtp_packet *p)
{
    static const enum metric metric_of[SRTP_KIND_COUNT] = {[SRTP_KIND_OTHER] = METRIC_MEDIA_OTHER,
        [SRTP_KIND_STUN] = METRIC_MEDIA_STUN,
        [SRTP_KIND_DTLS] = METRIC_MEDIA_DTLS,
        [SRTP_KIND_CHANNEL] = METRIC_MEDIA_CHANNEL,
        [SRTP_KIND_RTP] = METRIC_MEDIA_RTP,
        [SRTP_KIND_RTCP] = METRIC_MEDIA_RTCP};
    struct srtp_class class;
    if (p->level == SRTP_GUARD_OFF) {
        return REASON_NONE;
    }
    srtp_classify(&class, p->bytes);
    counters_add(g->counters, metric_of[class.kind], 1);
    if (class.bad) {
        return p->level >= SRTP_GUARD_CLASSIFY ? class.bad : REASON_NONE;
    }
    if (class.kind != SRTP_KIND_RTP && class.kind != SRTP_KIND_RTCP) {
        return REASON_NONE;
    }
    const enum reason bad = p->level >= SRTP_GUARD_VERIFY ? verify(g, s, p, &class) : REASON_NONE;
    if (bad) {
        note_dropped(g, s, p->direction,
            class.kind == SRTP_KIND_RTCP ? class.u.rtcp.ssrc : class.u.rtp.ssrc);
        return bad;
    }
    note_passed(g, s, p, &class);
    return REASON_NONE;
}

static void use_end(struct guard_use *use)
{
    srtp_verifier_free(use->verifier);
    secret_cleanse(use, sizeof(*use));
}

/* Takes it out of its list. */
static void keys_end(struct srtp_session_keys **link)
{
    struct srtp_session_keys *k = *link;
    *link = k->next;
    use_end(&k->current);
    use_end(&k->before);
    free(k);
}

/* Of those that one allocation has: whoever finds two that are alike harms himself. */
static uint64_t name_hash(const struct srtp_binding *b)
{
    static const uint8_t key[16];
    return crypto_siphash(key, b->user, b->user_len);
}

static bool keys_are_of(const struct srtp_session_keys *k, const struct srtp_binding *b)
{
    return k->direction == b->direction && k->by_user == (b->allocation == 0) &&
           k->has_ssrc == b->has_ssrc && (!b->has_ssrc || k->ssrc == b->ssrc);
}

/* Where the binding's keys hang; what hangs there is NULL if there are none. */
static struct srtp_session_keys **keys_find(struct srtp_session *s, const struct srtp_binding *b)
{
    struct srtp_session_keys **link = &s->keys;
    while (*link && !keys_are_of(*link, b)) {
        link = &(*link)->next;
    }
    return link;
}

/* One of an allocation says at once whether it can be used. */
static int use_begin(struct guard_use *use, const struct srtp_guard *g,
    const struct srtp_deposit *d, const struct srtp_verifier *before)
{
    if (!srtp_verifier_available()) {
        return -ENOSYS;
    }
    if (d->keys.count == 0) {
        return -EINVAL;
    }
    use->until = d->until;
    use->keys = d->keys;
    const int rc = d->binding.allocation ? use_open(g, use, before) : 0;
    if (rc) {
        use_end(use);
    }
    return rc;
}

/* The same keys again. Of the roll-over counter they say what is so now, or nothing any more. */
static void use_prolong(struct guard_use *use, const struct srtp_deposit *d)
{
    use->until = d->until;
    use->keys.has_roc = d->keys.has_roc;
    use->keys.roc = d->keys.roc;
    if (use->verifier) {
        srtp_verifier_tell_roc(use->verifier, &use->keys);
    }
}

static int keys_add(struct srtp_guard *g, struct srtp_session *s, const struct srtp_deposit *d)
{
    const struct srtp_binding *b = &d->binding;
    if (srtp_guard_key_count(s) >= SRTP_SESSION_KEYS_MAX) {
        return -ENOSPC;
    }
    struct srtp_session_keys *k = calloc(1, sizeof(*k));
    if (!k) {
        return -ENOMEM;
    }
    const int rc = use_begin(&k->current, g, d, NULL);
    if (rc) {
        free(k);
        return rc;
    }
    k->direction = b->direction;
    k->by_user = b->allocation == 0;
    k->has_ssrc = b->has_ssrc;
    k->ssrc = b->ssrc;
    k->name = name_hash(b);
    struct srtp_session_keys **link = &s->keys;
    while (!k->has_ssrc && *link) {
        link = &(*link)->next;
    }
    k->next = *link;
    *link = k;
    return 0;
}

static void keys_set_before(
    const struct srtp_guard *g, struct srtp_session_keys *k, const struct instant *now)
{
    k->before_until_us = now->mono_us + g->policy.key_grace_s * US_PER_S;
    if (!is_before_good(k, now)) {
        use_end(&k->before);
    }
}

static int keys_replace(const struct srtp_guard *g, struct srtp_session_keys *k,
    const struct srtp_deposit *d, const struct instant *now)
{
    struct guard_use fresh = {0};
    if (is_set(&k->before) && srtp_keys_same(&k->before.keys, &d->keys)) {
        /* Back with what it has seen, or its packets could be sent again. */
        fresh = k->before;
        use_prolong(&fresh, d);
    } else {
        const int rc = use_begin(&fresh, g, d, k->current.verifier);
        if (rc) {
            return rc;
        }
        use_end(&k->before);
    }
    k->before = k->current;
    k->current = fresh;
    secret_cleanse(&fresh, sizeof(fresh));
    keys_set_before(g, k, now);
    return 0;
}

int srtp_guard_deposit(struct srtp_guard *g, struct srtp_session *s, const struct srtp_deposit *d,
    const struct instant *now)
{
    const struct srtp_binding *b = &d->binding;
    if (b->direction >= SRTP_DIRECTIONS || (b->allocation == 0 && !b->has_ssrc)) {
        return -EINVAL;
    }
    struct srtp_session_keys **link = keys_find(s, b);
    if (d->until <= now->wall_s) {
        if (*link) {
            keys_end(link);
        }
        return 0;
    }
    if (!*link) {
        return keys_add(g, s, d);
    }
    (*link)->name = name_hash(b);
    if (srtp_keys_same(&(*link)->current.keys, &d->keys)) {
        use_prolong(&(*link)->current, d);
        return 0;
    }
    return keys_replace(g, *link, d, now);
}

bool srtp_guard_has(const struct srtp_session *s, const struct srtp_deposit *d)
{
    const struct srtp_session_keys *k = s->keys;
    while (k && !keys_are_of(k, &d->binding)) {
        k = k->next;
    }
    return k && k->name == name_hash(&d->binding) && k->current.until == d->until &&
           srtp_keys_equal(&k->current.keys, &d->keys);
}

void srtp_guard_tick(struct srtp_guard *g, struct srtp_session *s, const struct instant *now)
{
    for (struct srtp_session_keys **link = &s->keys; *link;) {
        struct srtp_session_keys *k = *link;
        if (now->wall_s >= k->current.until) {
            keys_end(link);
            continue;
        }
        if (is_set(&k->before) && !is_before_good(k, now)) {
            use_end(&k->before);
        }
        link = &k->next;
    }
}

void srtp_guard_end(struct srtp_guard *g, struct srtp_session *s)
{
    while (s->keys) {
        keys_end(&s->keys);
    }
    srtp_streams_release(g->streams, &s->streams);
}

const struct srtp_stream *srtp_guard_next_stream(
    const struct srtp_guard *g, const struct srtp_session *s, const struct srtp_stream *after)
{
    return srtp_streams_next(g->streams, &s->streams, after);
}

unsigned srtp_guard_key_count(const struct srtp_session *s)
{
    unsigned count = 0;
    for (const struct srtp_session_keys *k = s->keys; k; k = k->next) {
        count++;
    }
    return count;
}

/*
 * Kicks between admin and the workers.
 *
 * Always: each question is answered exactly once, with how many allocations were ended, or with an
 * error, and then some may have been. A kick says by its tag whose it is; one that nobody waits for
 * any more goes no further. Called by control, through admin/ops.h.
 */
#include "daemon/kicker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/slab.h"
#include "daemon/realms.h"

static struct kicker_asked *find_tag(struct kicker *s, uint32_t tag)
{
    for (size_t i = 0; i < KICKER_ASKED_MAX; i++) {
        if (s->asked[i].tag == tag) {
            return &s->asked[i];
        }
    }
    return NULL;
}

/* The place is free before whoever asked is told: it may ask again at once. */
static void answer(struct kicker_asked *k, int error)
{
    const struct kicker_asked was = *k;
    k->tag = 0;
    was.done(was.ctx, error, error ? 0 : was.kicked);
}

/* 0 with the kick handed over, or -EAGAIN. */
static int post(struct kicker *s, struct kicker_asked *k, struct kick *kick)
{
    struct mailbox_message m = {.kind = MAILBOX_KICK};
    m.u.kick = kick;
    k->since_us = clock_now().mono_us;
    return mailbox_post(worker_mailbox(s->workers->items[k->worker]), &m);
}

/* 0, -ENOENT, -EINVAL or -ENOMEM. */
static int make_kick(const struct kicker *s, const struct admin_kick *what, struct kick **out)
{
    uint32_t realm = 0;
    if (what->user.len > KICK_USER_MAX ||
        (what->id != 0) + (what->user.len > 0) + (what->peer.family != ADDR_NONE) != 1) {
        return -EINVAL;
    }
    if (what->user.len > 0 && !realms_find(s->auth, what->realm, &realm)) {
        return -ENOENT;
    }
    struct kick *kick = calloc(1, sizeof(*kick));
    if (!kick) {
        return -ENOMEM;
    }
    kick->only_id = what->id;
    kick->realm = realm;
    kick->user_len = (uint16_t)what->user.len;
    kick->peer = what->peer;
    if (what->user.len > 0) {
        memcpy(kick->user, what->user.data, what->user.len);
    }
    *out = kick;
    return 0;
}

/* 0: the answer comes later. */
static int ask(struct kicker *s, const struct admin_kick *what)
{
    /* The top bits of an allocation's id are its worker's, as in a handle. Where there is no such
     * worker, any of them knows that there is no such allocation. */
    const unsigned owner = handle_worker(what->id);
    struct kicker_asked *k = find_tag(s, 0);
    struct kick *kick;
    if (!k) {
        return -EBUSY;
    }
    int r = make_kick(s, what, &kick);
    if (r < 0) {
        return r;
    }
    s->tags = s->tags == UINT32_MAX ? 1 : s->tags + 1;
    *k = (struct kicker_asked){.tag = s->tags,
        .worker = what->id && owner < s->workers->count ? owner : 0,
        .all = !what->id,
        .done = what->done,
        .ctx = what->ctx};
    kick->tag = k->tag;
    r = post(s, k, kick);
    if (r < 0) {
        free(kick);
        k->tag = 0;
    }
    return r;
}

void kicker_ask(struct kicker *s, const struct admin_kick *what)
{
    const int r = ask(s, what);
    if (r < 0) {
        what->done(what->ctx, r, 0);
    }
}

/* On this worker, or on the next one. False: it has been everywhere. */
static bool goes_on(const struct kicker *s, struct kicker_asked *k, struct kick *kick)
{
    if (kick->more) {
        return true;
    }
    k->kicked += kick->kicked;
    k->worker++;
    kick->kicked = kick->next_slot = 0;
    return k->all && k->worker < s->workers->count;
}

void kicker_read(struct kicker *s, struct kick *kick)
{
    struct kicker_asked *k = kick->tag ? find_tag(s, kick->tag) : NULL;
    if (!k) {
        free(kick);
        return;
    }
    const bool on = goes_on(s, k, kick);
    const int r = on ? post(s, k, kick) : 0;
    if (!on || r < 0) {
        answer(k, r);
        free(kick);
    }
}

void kicker_tick(struct kicker *s, uint64_t now_us)
{
    for (size_t i = 0; i < KICKER_ASKED_MAX; i++) {
        struct kicker_asked *k = &s->asked[i];
        if (k->tag && now_us - k->since_us >= KICKER_PATIENCE_US) {
            answer(k, -ETIMEDOUT);
        }
    }
}

void kicker_end(struct kicker *s)
{
    for (size_t i = 0; i < KICKER_ASKED_MAX; i++) {
        if (s->asked[i].tag) {
            answer(&s->asked[i], -ESHUTDOWN);
        }
    }
}

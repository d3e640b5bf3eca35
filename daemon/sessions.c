/*
 * Pages of sessions on their way to workers and back.
 *
 * Always: each question is answered exactly once, whatever becomes of its page; its place is held
 * until the page has come back, so that a worker that hangs is not handed more and more of them. A
 * page says by its tag whose it is. Called by control, through admin/ops.h.
 */
#include "daemon/sessions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/slab.h"
#include "daemon/realms.h"

static uint64_t cursor_of(unsigned worker, uint32_t slot)
{
    return (uint64_t)worker << 32 | slot;
}

static struct sessions_asked *find_tag(struct sessions *s, uint32_t tag)
{
    for (size_t i = 0; i < SESSIONS_ASKED_MAX; i++) {
        if (s->asked[i].tag == tag) {
            return &s->asked[i];
        }
    }
    return NULL;
}

static void refuse(struct sessions_asked *k, int error)
{
    k->answered = true;
    k->found(k->ctx, error, NULL, 0);
}

/* 0 with the page handed over, or -EAGAIN. */
static int post(struct sessions *s, const struct sessions_asked *k, struct session_page *page)
{
    struct mailbox_message m = {.kind = MAILBOX_SESSIONS};
    m.u.page = page;
    return mailbox_post(worker_mailbox(s->workers->items[k->worker]), &m);
}

/* 0, -ENOENT or -ENOMEM. */
static int make_page(
    const struct sessions *s, const struct admin_sessions *what, struct session_page **out)
{
    uint32_t realm = 0;
    const bool by_realm = what->user.len > 0 || what->realm.len > 0;
    if (what->user.len > SESSIONS_USER_MAX ||
        (by_realm && !realms_find(s->auth, what->realm, &realm))) {
        return -ENOENT;
    }
    struct session_page *page = calloc(1, sizeof(*page));
    if (!page) {
        return -ENOMEM;
    }
    page->from_slot = (uint32_t)what->cursor;
    page->max = what->max < SESSIONS_PAGE_MAX ? what->max : SESSIONS_PAGE_MAX;
    page->media = what->media;
    page->only_id = what->id;
    page->by_realm = by_realm;
    page->by_user = what->user.len > 0;
    page->realm = realm;
    page->by_peer = what->by_peer;
    page->peer = what->peer;
    page->older_s = what->older_s;
    page->younger_s = what->younger_s;
    page->user_len = (uint16_t)what->user.len;
    if (what->user.len > 0) {
        memcpy(page->user, what->user.data, what->user.len);
    }
    *out = page;
    return 0;
}

/* 0: the answer comes later. */
static int ask(struct sessions *s, const struct admin_sessions *what, unsigned worker)
{
    struct sessions_asked *k = find_tag(s, 0);
    struct session_page *page;
    if (!k) {
        return -EBUSY;
    }
    int r = make_page(s, what, &page);
    if (r < 0) {
        return r;
    }
    s->tags = s->tags == UINT32_MAX ? 1 : s->tags + 1;
    *k = (struct sessions_asked){.tag = s->tags,
        .worker = worker,
        .since_us = clock_now().mono_us,
        .found = what->found,
        .ctx = what->ctx};
    page->tag = k->tag;
    r = post(s, k, page);
    if (r < 0) {
        free(page);
        k->tag = 0;
    }
    return r;
}

void sessions_ask(struct sessions *s, const struct admin_sessions *what)
{
    /* The top bits of an allocation's id are its worker's, as in a handle. Where there is no such
     * worker, any of them knows that there is no such allocation. */
    const unsigned owner = handle_worker(what->id);
    const uint64_t worker = !what->id ? what->cursor >> 32 : owner < s->workers->count ? owner : 0;
    const int r = worker < s->workers->count ? ask(s, what, (unsigned)worker) : -EINVAL;
    if (r < 0) {
        what->found(what->ctx, r, NULL, 0);
    }
}

/* Where the next page begins; 0: there is none. */
static uint64_t next_of(
    const struct sessions *s, const struct sessions_asked *k, const struct session_page *page)
{
    if (page->more) {
        return cursor_of(k->worker, page->next_slot);
    }
    return page->only_id == 0 && k->worker + 1 < s->workers->count ? cursor_of(k->worker + 1, 0)
                                                                   : 0;
}

/* Who asks looks for somebody among many: the next page, with nobody shown in between. False: it is
 * to be shown. */
static bool search_on(
    struct sessions *s, struct sessions_asked *k, struct session_page *page, uint64_t next)
{
    if (page->count > 0 || next == 0 || clock_now().mono_us - k->since_us >= SESSIONS_SEARCH_US) {
        return false;
    }
    k->worker = (unsigned)(next >> 32);
    page->from_slot = (uint32_t)next;
    return post(s, k, page) == 0;
}

void sessions_read(struct sessions *s, struct session_page *page)
{
    struct sessions_asked *k = page->tag ? find_tag(s, page->tag) : NULL;
    if (k && !k->answered) {
        const uint64_t next = next_of(s, k, page);
        if (search_on(s, k, page, next)) {
            return;
        }
        k->answered = true;
        k->found(k->ctx, 0, page, next);
    }
    if (k) {
        k->tag = 0;
    }
    free(page);
}

void sessions_tick(struct sessions *s, uint64_t now_us)
{
    for (size_t i = 0; i < SESSIONS_ASKED_MAX; i++) {
        struct sessions_asked *k = &s->asked[i];
        if (k->tag && !k->answered && now_us - k->since_us >= SESSIONS_PATIENCE_US) {
            refuse(k, -ETIMEDOUT);
        }
        if (k->tag && now_us - k->since_us >= SESSIONS_LOST_US) {
            k->tag = 0;
        }
    }
}

void sessions_end(struct sessions *s)
{
    for (size_t i = 0; i < SESSIONS_ASKED_MAX; i++) {
        struct sessions_asked *k = &s->asked[i];
        if (k->tag && !k->answered) {
            refuse(k, -ESHUTDOWN);
        }
        k->tag = 0;
    }
}

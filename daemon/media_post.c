/* A list for each worker, of what it has had no room for. Called by media_keys.c. */
#include "daemon/media_post.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define RETRY_MS 20

_Static_assert(WORKERS_MAX <= 64, "a bit each");

struct waiting {
    struct waiting *next;
    struct srtp_deposit *deposit; /* owned */
};

struct media_post {
    uv_timer_t retry;
    const struct worker_list *workers;
    struct counters *counters;
    uint64_t logged_us, suppressed;
    size_t count;
    struct {
        struct waiting *first, *last;
    } waiting[WORKERS_MAX];
};

/* 0: the worker owns it. -EAGAIN. */
static int post(struct media_post *p, unsigned worker, struct srtp_deposit *d)
{
    struct mailbox_message m = {.kind = MAILBOX_SRTP_DEPOSIT};
    m.u.deposit = d;
    return mailbox_post(worker_mailbox(p->workers->items[worker]), &m);
}

static void drop_first(struct media_post *p, unsigned worker)
{
    struct waiting *w = p->waiting[worker].first;
    p->waiting[worker].first = w->next;
    if (!w->next)
        p->waiting[worker].last = NULL;
    p->count--;
    free(w);
}

static void on_retry(uv_timer_t *timer)
{
    struct media_post *p = timer->data;
    for (unsigned i = 0; i < p->workers->count; i++) {
        while (p->waiting[i].first && post(p, i, p->waiting[i].first->deposit) == 0)
            drop_first(p, i);
    }
    if (p->count > 0)
        uv_timer_start(&p->retry, on_retry, RETRY_MS, 0);
}

/* Takes the deposit with 0 only. */
static int put(struct media_post *p, unsigned worker, struct srtp_deposit *d)
{
    if (!p->waiting[worker].first && post(p, worker, d) == 0)
        return 0;
    if (p->count == MEDIA_POST_MAX)
        return -ENOSPC;
    struct waiting *w = malloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct waiting){.deposit = d};
    *(p->waiting[worker].last ? &p->waiting[worker].last->next : &p->waiting[worker].first) = w;
    p->waiting[worker].last = w;
    p->count++;
    if (!uv_is_active((uv_handle_t *)&p->retry))
        uv_timer_start(&p->retry, on_retry, RETRY_MS, 0);
    return 0;
}

static void complain(struct media_post *p, int error)
{
    counters_add(p->counters, METRIC_SRTP_KEYS_REFUSED, 1);
    if (!log_once_a_minute(clock_now().mono_us, &p->logged_us, &p->suppressed))
        return;
    log_event(LOG_WARN, "srtp_key_not_posted", log_str("error", strerror(-error)),
        log_u64("waiting", p->count), log_u64("suppressed", p->suppressed));
    p->suppressed = 0;
}

int media_post_put(struct media_post *p, uint64_t workers, const struct srtp_deposit *d)
{
    int result = 0;
    for (unsigned i = 0; i < p->workers->count; i++) {
        if (!(workers >> i & 1))
            continue;
        struct srtp_deposit *copy = srtp_deposit_copy(d);
        const int r = copy ? put(p, i, copy) : -ENOMEM;
        if (r < 0) {
            srtp_deposit_free(copy);
            complain(p, r);
            result = r;
        }
    }
    return result;
}

struct media_post *media_post_new(
    uv_loop_t *loop, const struct worker_list *workers, struct counters *counters)
{
    struct media_post *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->workers = workers;
    p->counters = counters;
    uv_timer_init(loop, &p->retry); /* cannot fail */
    p->retry.data = p;
    return p;
}

static void on_closed(uv_handle_t *timer)
{
    struct media_post *p = timer->data;
    for (unsigned i = 0; i < WORKERS_MAX; i++) {
        while (p->waiting[i].first) {
            srtp_deposit_free(p->waiting[i].first->deposit);
            drop_first(p, i);
        }
    }
    free(p);
}

void media_post_free(struct media_post *p)
{
    if (p)
        uv_close((uv_handle_t *)&p->retry, on_closed);
}

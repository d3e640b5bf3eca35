/*
 * Always: what a worker has not got yet is owed (media_post.c); after media_keys_end nothing is
 * posted any more. Called by control and observe.
 */
#include "daemon/media_keys.h"

#include <errno.h>
#include <stdlib.h>

#include "base/random.h"
#include "daemon/media_post.h"
#include "daemon/realms.h"
#include "srtp/crypto_attribute.h"
#include "srtp/key_store.h"
#include "srtp/verifier.h"

#define SECONDS_MAX    (2 * 86400u)
#define UNANSWERED_MAX 4096

/* A want to which not all keys could be posted. */
struct unanswered {
    struct unanswered *next;
    unsigned worker;
    struct srtp_wanted wanted;
};

struct media_keys {
    struct media_keys_deps deps;
    struct key_store *store;
    struct unanswered *unanswered;
    size_t unanswered_count;
    struct media_post *post; /* NULL: it is over */
    struct media_watch *watch;
};

/* What was deposited over the socket. */
struct finding {
    struct media_keys *keys;
    unsigned worker;
    bool lost; /* one of them */
};

static void on_stored(void *ctx, const struct srtp_deposit *d)
{
    struct finding *f = ctx;
    f->lost |= media_post_put(f->keys->post, (uint64_t)1 << f->worker, d) < 0;
}

/* Where there is no room for all of it, once more at the next tick. */
static void answer(struct media_keys *m, const struct srtp_wanted *wanted, unsigned worker)
{
    struct finding f = {m, worker, false};
    key_store_find(m->store, wanted, clock_now().wall_s, on_stored, &f);
    if (!f.lost || m->unanswered_count == UNANSWERED_MAX)
        return;
    struct unanswered *u = malloc(sizeof(*u));
    if (!u)
        return;
    *u = (struct unanswered){m->unanswered, worker, *wanted};
    m->unanswered = u;
    m->unanswered_count++;
}

static void answer_again(struct media_keys *m)
{
    struct unanswered *next, *u = m->unanswered;
    m->unanswered = NULL;
    m->unanswered_count = 0;
    for (; u; u = next) {
        next = u->next;
        if (m->post)
            answer(m, &u->wanted, u->worker);
        free(u);
    }
}

void media_keys_want(struct media_keys *m, struct srtp_wanted *wanted, unsigned worker)
{
    if (m->post) {
        answer(m, wanted, worker);
        media_watch_want(m->watch, wanted, worker);
    }
    free(wanted);
}

void media_keys_unwant(struct media_keys *m, uint64_t allocation)
{
    if (m->post)
        media_watch_unwant(m->watch, allocation);
}

/* 0, or -EINVAL with *why, or -ENOENT. */
static int read_binding(struct media_keys *m, const struct admin_srtp_key *what,
    struct srtp_binding *out, const char **why)
{
    *why = NULL;
    if (what->direction >= SRTP_DIRECTIONS)
        *why = "a direction that is none";
    else if (what->allocation && what->allocation >> 56 >= m->deps.workers->count)
        *why = "no allocation of this instance";
    else if (!what->allocation && (what->user.len == 0 || what->user.len > SRTP_USER_MAX))
        *why = "a user of 1 to 508 bytes, or an allocation, is missing";
    else if (!what->allocation && !what->has_ssrc)
        *why = "of a user, ssrc is missing";
    if (*why)
        return -EINVAL;
    *out = (struct srtp_binding){.allocation = what->allocation,
        .has_ssrc = what->has_ssrc,
        .ssrc = what->has_ssrc ? what->ssrc : 0,
        .direction = what->direction};
    if (what->allocation)
        return 0;
    out->user_len = (uint16_t)what->user.len;
    memcpy(out->user, what->user.data, what->user.len);
    return realms_find(&m->deps.config->auth, what->realm, &out->realm) ? 0 : -ENOENT;
}

/* 0 or -EINVAL with *why. */
static int read_keys(const struct admin_srtp_key *what, struct srtp_deposit *out, const char **why)
{
    if (what->take_back)
        return 0;
    const enum crypto_fault fault = crypto_attribute_parse(&out->keys, what->crypto);
    *why = fault != CRYPTO_FAULT_NONE                          ? crypto_fault_text(fault)
           : what->seconds == 0 || what->seconds > SECONDS_MAX ? "seconds: 1 to 172800"
                                                               : NULL;
    if (*why)
        return -EINVAL;
    out->keys.has_roc = what->has_roc;
    out->keys.roc = what->has_roc ? what->roc : 0;
    out->until = clock_now().wall_s + what->seconds;
    return 0;
}

/* 0, or why it is not kept. */
static int keep(struct media_keys *m, const struct admin_srtp_key *what, struct srtp_deposit *d,
    const char **why)
{
    int result = read_binding(m, what, &d->binding, why);
    if (result == 0)
        result = read_keys(what, d, why);
    if (result == 0)
        result = key_store_put(m->store, d, clock_now().wall_s);
    /* What is not known here may have come through Redis. */
    return result == -ESTALE && what->take_back ? 0 : result;
}

int media_keys_put(struct media_keys *m, const struct admin_srtp_key *what, const char **why)
{
    struct srtp_deposit d = {0};
    if (!srtp_verifier_available() || !m->post)
        return -ENOSYS;
    int result = keep(m, what, &d, why);
    if (result < 0)
        counters_add(m->deps.counters, METRIC_SRTP_KEYS_REFUSED, 1);
    else
        result = media_post_put(m->post,
            what->allocation ? (uint64_t)1 << (what->allocation >> 56) : MEDIA_POST_ALL, &d);
    secret_cleanse(&d, sizeof(d));
    return result;
}

struct media_watch *media_keys_watch(const struct media_keys *m)
{
    return m->watch;
}

void media_keys_tick(struct media_keys *m, const struct instant *now)
{
    key_store_tick(m->store, now->wall_s);
    answer_again(m);
    media_watch_tick(m->watch, now->mono_us);
}

struct media_keys *media_keys_new(const struct media_keys_deps *deps)
{
    uint8_t key[16];
    struct media_keys *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->deps = *deps;
    m->store = random_fill(random_system(), key, sizeof(key)) == 0 ? key_store_new(key) : NULL;
    m->post = media_post_new(deps->loop, deps->workers, deps->counters);
    m->watch = media_watch_new(&(struct media_watch_deps){
        .loop = deps->loop, .config = deps->config, .counters = deps->counters, .post = m->post});
    if (m->store && m->post && m->watch)
        return m;
    media_keys_end(m);
    media_keys_free(m);
    return NULL;
}

void media_keys_end(struct media_keys *m)
{
    if (!m)
        return;
    if (m->watch)
        media_watch_stop(m->watch);
    media_watch_free(m->watch);
    media_post_free(m->post);
    m->watch = NULL;
    m->post = NULL;
}

void media_keys_free(struct media_keys *m)
{
    if (!m)
        return;
    answer_again(m); /* nobody any more: frees them */
    key_store_free(m->store);
    free(m);
}

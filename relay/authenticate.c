/*
 * Who sends a request: what auth says about it, and what follows from that for the request. A key
 * that lies in the store makes it wait; too many guesses make it go unanswered (THREATS row 19). A
 * re-run is judged as of its arrival and counts no guess a second time. Called by requests.c.
 */
#include "relay/core.h"

#include <stdio.h>

#include "base/log.h"

static struct guess guess_of(const struct request *q)
{
    const struct slice nobody = slice_of(NULL, 0);
    return (struct guess){.client = q->packet->flow.remote,
        .realm_name = auth_realm_name(q->relay->snapshot->auth, q->auth.realm),
        .account = q->auth.of_nobody ? nobody : q->auth.account};
}

static bool may_guess(void *ctx, uint32_t realm, struct slice account)
{
    const struct request *q = ctx;
    const struct relay *r = q->relay;
    const struct guess who = {.client = q->packet->flow.remote,
        .realm_name = auth_realm_name(r->snapshot->auth, realm),
        .account = account};
    return guesses_may_try(r->deps.shared->guesses, &r->snapshot->limits, &who, q->now->mono_us);
}

static void count_guess(struct request *q)
{
    const struct relay *r = q->relay;
    struct guesses *guesses = r->deps.shared->guesses;
    if (!guesses || !q->auth.proven || (q->parked && q->parked->judged)) {
        return;
    }
    const struct guess who = guess_of(q);
    if (q->auth.guess) {
        guesses_failed(guesses, &r->snapshot->limits, &who, q->now->mono_us, &q->report);
    } else if (q->auth.outcome == AUTH_OK && !q->allocation) {
        guesses_succeeded(guesses, &who, q->now->mono_us);
    }
}

/* True for one worker a second. */
static bool may_log(struct relay_shared *shared, uint64_t now_us)
{
    uint64_t last = atomic_load(&shared->lockout_logged_us);
    return (last == 0 || (now_us > last && now_us - last >= US_PER_S)) &&
           atomic_compare_exchange_strong(&shared->lockout_logged_us, &last, now_us);
}

/* "<= 1 log line/s" (THREATS row 19), however many guess: an operator is to see that somebody does,
 * and from where. */
static struct verdict lock_out(const struct request *q)
{
    struct relay_shared *shared = q->relay->deps.shared;
    const struct addr *client = &q->packet->flow.remote;
    const uint64_t before = atomic_fetch_add(&shared->lockouts_unlogged, 1);
    if (may_log(shared, q->now->mono_us)) {
        const unsigned bits = client->family == ADDR_IPV4 ? 24 : 64;
        const struct addr prefix = addr_masked(client, bits);
        char text[ADDR_TEXT_MAX], with_length[ADDR_TEXT_MAX + 4];
        snprintf(with_length, sizeof(with_length), "%s/%u",
            addr_format_ip(&prefix, text, sizeof(text)), bits);
        atomic_fetch_sub(&shared->lockouts_unlogged, before + 1);
        log_event(LOG_WARN, "guess_lockout", log_str("prefix", with_length),
            log_bytes("realm", auth_realm_name(q->relay->snapshot->auth, q->auth.realm)),
            log_u64("unanswered", before + 1));
    }
    return (struct verdict){VERDICT_SILENT, 0, REASON_GUESS_LOCKOUT};
}

static struct verdict verdict_of(const struct request *q)
{
    switch (q->auth.outcome) {
    case AUTH_OK:
        return verdict_success();
    case AUTH_CHALLENGE:
        return verdict_error(401, q->auth.reason);
    case AUTH_STALE:
        return verdict_error(438, q->auth.reason);
    case AUTH_BAD:
        return verdict_error(400, q->auth.reason);
    case AUTH_SILENT:
        return lock_out(q);
    case AUTH_FAILED:
    case AUTH_PENDING:
        break;
    }
    return verdict_error(500, q->auth.reason);
}

/* The key lies in the store. Where nobody can be asked, what is known must do, at once. */
static struct verdict wait_for_key(
    struct request *q, struct auth_request *request, const struct instant *when)
{
    enum reason refused = park_for_store(q, &q->auth.need);
    switch (refused) {
    case REASON_NONE:
        return (struct verdict){VERDICT_PENDING, 0, REASON_NONE};
    case REASON_PARKED_DUPLICATE:
        return (struct verdict){VERDICT_SILENT, 0, refused};
    case REASON_STORE_UNREACHABLE:
        request->asked = true;
        request->may_guess = NULL;
        auth_check(q->relay->snapshot->auth, q->relay->auth, request, when, &q->auth);
        return verdict_of(q);
    default:
        /* exception: no older answer will do here, else who fills the places of his own prefix
         * could go on with a key that is no longer good. */
        return verdict_error(508, refused);
    }
}

uint64_t authenticate_nonce_tag(const struct request *q)
{
    struct slice nonce;
    return stun_find(&q->msg, STUN_ATTR_NONCE, &nonce)
               ? crypto_siphash(q->relay->deps.shared->hash_key, nonce.data, nonce.len)
               : 0;
}

struct verdict authenticate(struct request *q)
{
    struct identity live;
    struct auth_request request = {
        .msg = &q->msg,
        .client = q->packet->flow.remote,
        .realm = q->packet->realm,
        .realms = q->packet->realms,
        .asked = q->parked && q->parked->store.asked,
    };
    if (q->allocation) {
        live = allocation_identity(q->allocation);
        request.live = &live;
        request.live_key = &q->allocation->owner.key;
    }
    if (!q->parked && q->relay->deps.shared->guesses) {
        request.may_guess = may_guess;
        request.may_guess_ctx = q;
    }
    /* A request that waited is judged as of its arrival: its nonce has not aged by our own delay.
     */
    const struct instant *when = q->parked ? &q->parked->arrived : q->now;
    auth_check(q->relay->snapshot->auth, q->relay->auth, &request, when, &q->auth);
    struct verdict v =
        q->auth.outcome == AUTH_PENDING ? wait_for_key(q, &request, when) : verdict_of(q);
    q->authenticated = v.kind == VERDICT_SUCCESS;
    if (q->authenticated && q->allocation) {
        q->allocation->nonce_tag = authenticate_nonce_tag(q);
    }
    if (v.kind == VERDICT_SUCCESS || v.kind == VERDICT_ERROR) {
        count_guess(q);
    }
    return v;
}

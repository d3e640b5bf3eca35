/*
 * What a worker keeps besides the configuration, over snapshots: nonce keys, answers of the store,
 * REST secrets that came from it, and revocations. Called by relay on the worker's thread.
 */
#include "auth/auth_internal.h"

#include "base/random.h"
#include <errno.h>
#include <stdlib.h>

struct auth_worker *auth_worker_new(struct crypto *crypto, uint16_t origin)
{
    uint8_t keys[32 + 16];
    struct auth_worker *w = calloc(1, sizeof(*w));
    if (w && random_fill(random_system(), keys, sizeof(keys)) == 0) {
        w->crypto = crypto;
        w->nonce.keys.origin = w->nonce_old.keys.origin = origin;
        w->cache = key_cache_new(keys);
        w->revocations = revocations_new(keys + 32);
    }
    secret_cleanse(keys, sizeof(keys));
    if (w && w->cache && w->revocations)
        return w;
    auth_worker_free(w);
    return NULL;
}

void auth_worker_free(struct auth_worker *w)
{
    if (!w)
        return;
    key_cache_free(w->cache);
    revocations_free(w->revocations);
    for (size_t i = 0; i < AUTH_REALMS_MAX; i++)
        rest_deinit(&w->secrets[i].rest);
    secret_cleanse(w, sizeof(*w));
    free(w);
}

struct nonce_keys *auth_worker_nonce_keys(
    struct auth_worker_keys *keys, const struct auth_nonce_secret *secret)
{
    if (memcmp(keys->secret_id, secret->id, sizeof(keys->secret_id)) != 0) {
        secret_cleanse(keys->keys.slot, sizeof(keys->keys.slot));
        memcpy(keys->secret_id, secret->id, sizeof(keys->secret_id));
    }
    return &keys->keys;
}

/* All instances must have one name for a secret, also after a reload with another nonce secret:
 * revocations go by it. A name that cannot be made stays as it was. */
static void name_secrets(
    struct auth_worker_secrets *s, struct crypto *crypto, const struct auth_nonce_secret *nonce)
{
    if (s->rest.count == 0 || memcmp(s->named_by, nonce->id, sizeof(s->named_by)) == 0)
        return;
    memcpy(s->named_by, nonce->id, sizeof(s->named_by));
    for (size_t i = 0; i < s->rest.count; i++) {
        struct rest_secret *r = &s->rest.list[i];
        rest_store_id(r->id, crypto, secret_slice(&nonce->secret), secret_slice(&r->secret));
    }
}

const struct rest *auth_worker_secrets(
    struct auth_worker *w, const struct auth *auth, uint32_t realm)
{
    static const struct rest none = {0};
    if (!auth->realms[realm].store_secrets)
        return &none;
    name_secrets(&w->secrets[realm], w->crypto, &auth->nonce);
    return &w->secrets[realm].rest;
}

/* An answer that says it has a key, and has none that fits. */
static bool is_nonsense(const struct store_answer *answer)
{
    if (answer->verdict != STORE_FOUND)
        return answer->verdict > STORE_UNREACHABLE;
    const uint8_t len =
        answer->question.kind == STORE_USER ? answer->u.user.len : answer->u.oauth.key_len;
    return len != 16 && len != 32;
}

void auth_worker_learn(struct auth_worker *w, const struct auth *auth,
    const struct store_answer *answer, const struct instant *now)
{
    struct store_answer copy = *answer;
    if (is_nonsense(answer))
        copy.verdict = STORE_UNREACHABLE;
    const uint32_t ttl_s = copy.verdict == STORE_FOUND ? auth->key_ttl_s : auth->key_negative_ttl_s;
    const uint64_t fresh_until_us = now->mono_us + ttl_s * US_PER_S;
    const struct key_cache_times times = {.now_us = now->mono_us,
        .fresh_until_us = fresh_until_us,
        .stale_until_us = fresh_until_us + auth->key_stale_s * US_PER_S,
        .refuses_until_us = now->mono_us + auth->key_negative_ttl_s * US_PER_S};
    key_cache_put(w->cache, &copy, &times);
    secret_cleanse(&copy, sizeof(copy));
}

int auth_worker_set_secrets(
    struct auth_worker *w, const struct auth *auth, const struct store_secrets *secrets)
{
    struct rest rest;
    if (secrets->realm >= AUTH_REALMS_MAX)
        return -EINVAL;
    const int rc = rest_init_store(&rest, w->crypto, secret_slice(&auth->nonce.secret), secrets);
    if (rc < 0)
        return rc;
    struct auth_worker_secrets *s = &w->secrets[secrets->realm];
    rest_deinit(&s->rest);
    s->rest = rest;
    memcpy(s->named_by, auth->nonce.id, sizeof(s->named_by));
    return 0;
}

int auth_worker_revoke(
    struct auth_worker *w, const struct revocation *revocation, const struct instant *now)
{
    return revocations_put(w->revocations, revocation, now->wall_s);
}

bool auth_worker_covers(
    const struct auth_worker *w, const struct identity *identity, const struct instant *now)
{
    return revocations_cover(w->revocations, identity, now->wall_s);
}

void auth_worker_forget(struct auth_worker *w)
{
    key_cache_clear(w->cache);
    /* The secret that they come from may be gone; what is still needed is derived again. */
    secret_cleanse(w->nonce.keys.slot, sizeof(w->nonce.keys.slot));
    secret_cleanse(w->nonce_old.keys.slot, sizeof(w->nonce_old.keys.slot));
}

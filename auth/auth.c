/*
 * Builds everything that a request needs to be judged, once, from the settings; after that nothing
 * in it changes. What cannot work is refused here with a text, not at the first request. Called by
 * control; the questions by any worker.
 */
#include "auth/auth_internal.h"

#include "auth/opaque_string.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define REALM_CHARACTERS_MAX 127
#define REALM_BYTES_MAX      509
#define SHOWN_MAX            64 /* bytes of a name in an error text */
#define NONCE_SECRET_MIN     16
#define NONCE_LIFETIME_MIN_S 60
#define NONCE_LIFETIME_MAX_S 600

static void show(char out[SHOWN_MAX + 1], const char *name)
{
    size_t len = 0;
    for (; name && name[len] != '\0' && len < SHOWN_MAX; len++)
        out[len] = (unsigned char)name[len] < 0x20 || name[len] == 0x7f ? '?' : name[len];
    while (name && len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80)
        len--; /* not in the middle of a character */
    out[len] = '\0';
}

void auth_error(
    char *error, size_t error_cap, const char *const realm_what_name[3], const char *why)
{
    char realm[SHOWN_MAX + 1], name[SHOWN_MAX + 1];
    show(realm, realm_what_name[0]);
    show(name, realm_what_name[2]);
    if (realm_what_name[1])
        snprintf(
            error, error_cap, "realm \"%s\": %s \"%s\": %s", realm, realm_what_name[1], name, why);
    else
        snprintf(error, error_cap, "realm \"%s\": %s", realm, why);
}

static size_t characters(const struct secret *utf8)
{
    size_t n = 0;
    for (size_t i = 0; i < utf8->len; i++)
        n += (utf8->data[i] & 0xc0) != 0x80;
    return n;
}

static int set_realm_name(struct auth_realm *r, const char *name, const char **why)
{
    int rc = opaque_string(&r->name, slice_of_string(name), why);
    if (rc < 0)
        return rc;
    /* RFC 8489 section 14.9: "It MUST be a UTF-8-encoded [RFC3629] sequence of fewer than 128
     * characters (which can be as long as 509 bytes when encoding them [...])" */
    if (characters(&r->name) > REALM_CHARACTERS_MAX || r->name.len > REALM_BYTES_MAX) {
        *why = "a realm has fewer than 128 characters";
        return -EINVAL;
    }
    /* The same section: "it is an unquoted realm-value". Keys are made from it with quotes removed,
     * so it has none. */
    if (memchr(r->name.data, '"', r->name.len) || memchr(r->name.data, '\\', r->name.len)) {
        *why = "a realm cannot hold quotes or backslashes";
        return -EINVAL;
    }
    return 0;
}

static uint32_t features_of(const struct auth_realm *r, const struct auth_settings *s)
{
    uint32_t features = 0;
    /* A client that is offered SHA-256 must use it: so every user must have the key. REST knows the
     * clear password. */
    if (s->password_sha256 && users_all_sha256(&r->users))
        features |= NONCE_FEATURE_PASSWORD_ALGORITHMS;
    /* A kid is a USERNAME (RFC 7635 section 5), and may be known to the store alone. */
    if (r->rest.count == 0 && r->oauth.server_name.len == 0)
        features |= NONCE_FEATURE_USERNAME_ANONYMITY;
    return features;
}

/* A stored SHA-256 key can be used only where SHA-256 is offered. */
static int check_stored_keys(const struct auth_realm *r, char *error, size_t error_cap)
{
    if (r->features & NONCE_FEATURE_PASSWORD_ALGORITHMS)
        return 0;
    for (size_t i = 0; i < r->users.count; i++) {
        if (r->users.list[i].md5.len != 0)
            continue;
        const char *const where[3] = {
            (const char *)r->name.data, "user", (const char *)r->users.list[i].name.data};
        auth_error(error, error_cap, where,
            "a SHA-256 key is of no use in a realm that cannot offer SHA-256");
        return -EINVAL;
    }
    return 0;
}

static int derive(const struct auth *auth, const char *label, uint8_t *out, size_t len, char *error,
    size_t error_cap)
{
    if (crypto_hkdf(secret_slice(&auth->nonce_secret), label, out, len) == 0)
        return 0;
    snprintf(error, error_cap, "key derivation failed");
    return -EIO;
}

static int add_realm(struct auth *auth, struct crypto *crypto, const struct auth_settings *s,
    char *error, size_t error_cap)
{
    const struct auth_realm_settings *rs = &s->realms[auth->realm_count];
    struct auth_realm *r =
        &auth->realms[auth->realm_count++]; /* auth_free takes care of it from here on */
    const char *why = "out of memory";
    uint8_t siphash_key[16], digest[CRYPTO_SHA256_LEN];
    int rc = set_realm_name(r, rs->name, &why);
    for (size_t i = 0; rc == 0 && i + 1 < auth->realm_count; i++) {
        if (!slice_equal(secret_slice(&auth->realms[i].name), secret_slice(&r->name)))
            continue;
        why = "the realm is there twice";
        rc = -EINVAL;
    }
    const struct slice name = secret_slice(&r->name);
    if (rc == 0 && crypto_digest(crypto, CRYPTO_SHA256, &name, 1, digest) < 0) {
        why = "a digest failed";
        rc = -EIO;
    }
    if (rc < 0) {
        auth_error(error, error_cap, (const char *[3]){rs->name, NULL, NULL}, why);
        return rc;
    }
    r->nonce_name = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 |
                    (uint32_t)digest[2] << 8 | digest[3];
    if ((rc = derive(auth, "turnpike user index", siphash_key, sizeof(siphash_key), error,
             error_cap)) < 0 ||
        (rc = users_init(&r->users, crypto, rs, name, siphash_key, error, error_cap)) < 0 ||
        (rc = rest_init(&r->rest, rs, error, error_cap)) < 0 ||
        (rc = oauth_init(&r->oauth, rs, error, error_cap)) < 0)
        return rc;
    r->features = features_of(r, s);
    return check_stored_keys(r, error, error_cap);
}

static const char *unfit(const struct auth_settings *s)
{
    if (s->realm_count == 0)
        return "there is no realm";
    if (s->nonce_secret.len < NONCE_SECRET_MIN)
        return "the nonce secret has fewer than 16 bytes";
    if (s->nonce_lifetime_s < NONCE_LIFETIME_MIN_S || s->nonce_lifetime_s > NONCE_LIFETIME_MAX_S)
        return "the nonce lifetime is not between 60 and 600 seconds";
    for (size_t i = 0; i < s->realm_count; i++)
        if ((s->realms[i].secret_count != 0 || s->realms[i].oauth_server_name) && s->max_ttl_s == 0)
            return "the ceiling on the life of credentials is zero";
    return NULL;
}

static int build(struct auth *auth, struct crypto *crypto, const struct auth_settings *s,
    char *error, size_t error_cap)
{
    auth->realms = calloc(s->realm_count, sizeof(*auth->realms));
    if (!auth->realms || secret_set(&auth->nonce_secret, secret_slice(&s->nonce_secret)) < 0) {
        snprintf(error, error_cap, "out of memory");
        return -ENOMEM;
    }
    auth->max_ttl_s = s->max_ttl_s;
    auth->nonce_lifetime_s = s->nonce_lifetime_s;
    int rc;
    if ((rc = derive(auth, "turnpike nonce secret id", auth->nonce_secret_id, CRYPTO_SHA256_LEN,
             error, error_cap)) < 0 ||
        (rc = derive(auth, "turnpike unknown user", auth->dummy_key, sizeof(auth->dummy_key), error,
             error_cap)) < 0)
        return rc;
    while (auth->realm_count < s->realm_count)
        if ((rc = add_realm(auth, crypto, s, error, error_cap)) < 0)
            return rc;
    return 0;
}

struct auth *auth_new(const struct auth_settings *settings, char *error, size_t error_cap)
{
    const char *why = unfit(settings);
    if (why) {
        snprintf(error, error_cap, "%s", why);
        return NULL;
    }
    struct crypto *crypto = crypto_new();
    struct auth *auth = calloc(1, sizeof(*auth));
    if (!crypto || !auth)
        snprintf(error, error_cap, "out of memory");
    if (!crypto || !auth || build(auth, crypto, settings, error, error_cap) < 0) {
        auth_free(auth);
        auth = NULL;
    }
    crypto_free(crypto);
    return auth;
}

void auth_free(struct auth *auth)
{
    if (!auth)
        return;
    for (size_t i = 0; i < auth->realm_count; i++) {
        secret_wipe(&auth->realms[i].name);
        users_deinit(&auth->realms[i].users);
        rest_deinit(&auth->realms[i].rest);
        oauth_deinit(&auth->realms[i].oauth);
    }
    free(auth->realms);
    secret_wipe(&auth->nonce_secret);
    secret_cleanse(auth, sizeof(*auth));
    free(auth);
}

struct auth_worker *auth_worker_new(struct crypto *crypto, uint16_t origin)
{
    struct auth_worker *w = calloc(1, sizeof(*w));
    if (w) {
        w->crypto = crypto;
        w->keys.origin = origin;
    }
    return w;
}

void auth_worker_free(struct auth_worker *w)
{
    if (!w)
        return;
    secret_cleanse(w, sizeof(*w));
    free(w);
}

struct nonce_keys *auth_worker_nonce_keys(struct auth_worker *w, const struct auth *auth)
{
    if (memcmp(w->keys_secret_id, auth->nonce_secret_id, sizeof(w->keys_secret_id)) != 0) {
        secret_cleanse(w->keys.slot, sizeof(w->keys.slot));
        memcpy(w->keys_secret_id, auth->nonce_secret_id, sizeof(w->keys_secret_id));
    }
    return &w->keys;
}

size_t auth_realm_count(const struct auth *auth)
{
    return auth->realm_count;
}

struct slice auth_realm_name(const struct auth *auth, uint32_t realm)
{
    return secret_slice(&auth->realms[realm].name);
}

uint32_t auth_realm_features(const struct auth *auth, uint32_t realm)
{
    return auth->realms[realm].features;
}

struct slice auth_realm_third_party(const struct auth *auth, uint32_t realm)
{
    return secret_slice(&auth->realms[realm].oauth.server_name);
}

int auth_challenge_nonce(const struct auth *auth, struct auth_worker *w, uint32_t realm,
    const struct addr *client, const struct instant *now, uint8_t out[NONCE_LEN])
{
    const struct auth_realm *r = &auth->realms[realm];
    return nonce_mint(out, auth_worker_nonce_keys(w, auth), w->crypto,
        secret_slice(&auth->nonce_secret), r->nonce_name, r->features, client, now);
}

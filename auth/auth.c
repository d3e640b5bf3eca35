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
     * clear password; of a user in the store there is one key only, mostly MD5. */
    if (s->password_sha256 && users_all_sha256(&r->users) && !r->store_users)
        features |= NONCE_FEATURE_PASSWORD_ALGORITHMS;
    /* A kid is a USERNAME (RFC 7635 section 5), and may be known to the store alone. */
    if (r->rest.count == 0 && r->oauth.server_name.len == 0 && !r->store_secrets && !r->store_users)
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

static bool has_sources(const struct auth_realm_settings *rs)
{
    return rs->user_count > 0 || rs->secret_count > 0 || rs->oauth_server_name || rs->store_users ||
           rs->store_secrets;
}

static bool needs_ceiling(const struct auth_realm_settings *rs)
{
    return rs->secret_count != 0 || rs->store_secrets || rs->oauth_server_name;
}

/* What the store is asked for. */
static int set_store(struct auth_realm *r, const struct auth_realm_settings *rs, const char **why)
{
    const char *unfit = NULL;
    if (rs->removed && has_sources(rs))
        unfit = "it is removed, and has sources";
    else if (rs->store_oauth_keys && !rs->oauth_server_name)
        unfit = "keys of access tokens come from the store, but it has no server name for them";
    if (unfit) {
        *why = unfit;
        return -EINVAL;
    }
    r->store_users = rs->store_users;
    r->store_secrets = rs->store_secrets;
    r->store_oauth_keys = rs->store_oauth_keys;
    r->removed = rs->removed;
    return 0;
}

static bool is_there(const struct auth *auth, const struct auth_realm *r)
{
    for (const struct auth_realm *other = auth->realms; other != r; other++)
        if (slice_equal(secret_slice(&other->name), secret_slice(&r->name)))
            return true;
    return false;
}

/* The last realm: its name, and what is made of it. */
static int name_realm(
    const struct auth *auth, struct crypto *crypto, const char *name, const char **why)
{
    struct auth_realm *r = &auth->realms[auth->realm_count - 1];
    uint8_t digest[CRYPTO_SHA256_LEN];
    const int rc = set_realm_name(r, name, why);
    if (rc < 0)
        return rc;
    if (is_there(auth, r)) {
        *why = "the realm is there twice";
        return -EINVAL;
    }
    const struct slice prepared = secret_slice(&r->name);
    if (crypto_digest(crypto, CRYPTO_SHA256, &prepared, 1, digest) < 0) {
        *why = "a digest failed";
        return -EIO;
    }
    r->nonce_name = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 |
                    (uint32_t)digest[2] << 8 | digest[3];
    return 0;
}

static int add_realm(struct auth *auth, struct crypto *crypto, const struct auth_settings *s,
    char *error, size_t error_cap)
{
    const struct auth_realm_settings *rs = &s->realms[auth->realm_count];
    struct auth_realm *r =
        &auth->realms[auth->realm_count++]; /* auth_free takes care of it from here on */
    const char *why = "out of memory";
    int rc = name_realm(auth, crypto, rs->name, &why);
    if (rc == 0)
        rc = set_store(r, rs, &why);
    if (rc < 0) {
        auth_error(error, error_cap, (const char *[3]){rs->name, NULL, NULL}, why);
        return rc;
    }
    if ((rc = users_init(&r->users, crypto, rs, secret_slice(&r->name), auth->index_key, error,
             error_cap)) < 0 ||
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
    if (s->realm_count > AUTH_REALMS_MAX)
        return "there are more than 64 realms, those counted that were removed since the start";
    if (s->nonce_secret.len < NONCE_SECRET_MIN)
        return "the nonce secret has fewer than 16 bytes";
    if (s->nonce_secret_old.len > 0 && s->nonce_secret_old.len < NONCE_SECRET_MIN)
        return "the old nonce secret has fewer than 16 bytes";
    if (s->nonce_lifetime_s < NONCE_LIFETIME_MIN_S || s->nonce_lifetime_s > NONCE_LIFETIME_MAX_S)
        return "the nonce lifetime is not between 60 and 600 seconds";
    for (size_t i = 0; i < s->realm_count; i++)
        if (needs_ceiling(&s->realms[i]) && s->max_ttl_s == 0)
            return "the ceiling on the life of credentials is zero";
    return NULL;
}

static int set_nonce_secret(struct auth_nonce_secret *out, const struct secret *secret)
{
    if (secret->len == 0)
        return 0;
    if (secret_set(&out->secret, secret_slice(secret)) < 0)
        return -ENOMEM;
    return crypto_hkdf(secret_slice(secret), "turnpike nonce secret id", out->id, sizeof(out->id));
}

/* What is made of the nonce secret, with one label a use. */
static int derive(struct auth *auth)
{
    const struct slice secret = secret_slice(&auth->nonce.secret);
    const int rc =
        crypto_hkdf(secret, "turnpike unknown user", auth->dummy_key, sizeof(auth->dummy_key));
    return rc < 0 ? rc
                  : crypto_hkdf(
                        secret, "turnpike user index", auth->index_key, sizeof(auth->index_key));
}

static int build(struct auth *auth, struct crypto *crypto, const struct auth_settings *s,
    char *error, size_t error_cap)
{
    auth->max_ttl_s = s->max_ttl_s;
    auth->nonce_lifetime_s = s->nonce_lifetime_s;
    auth->key_ttl_s = s->key_ttl_s;
    auth->key_negative_ttl_s = s->key_negative_ttl_s;
    auth->key_stale_s = s->key_stale_s;
    auth->realms = calloc(s->realm_count, sizeof(*auth->realms));
    int rc = auth->realms ? 0 : -ENOMEM;
    if (rc < 0 || (rc = set_nonce_secret(&auth->nonce, &s->nonce_secret)) < 0 ||
        (rc = set_nonce_secret(&auth->nonce_old, &s->nonce_secret_old)) < 0 ||
        (rc = derive(auth)) < 0) {
        snprintf(error, error_cap, "%s", rc == -ENOMEM ? "out of memory" : "key derivation failed");
        return rc;
    }
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
    secret_wipe(&auth->nonce.secret);
    secret_wipe(&auth->nonce_old.secret);
    secret_cleanse(auth, sizeof(*auth));
    free(auth);
}

size_t auth_realm_count(const struct auth *auth)
{
    return auth->realm_count;
}

struct slice auth_realm_name(const struct auth *auth, uint32_t realm)
{
    return secret_slice(&auth->realms[realm].name);
}

struct slice auth_realm_third_party(const struct auth *auth, uint32_t realm)
{
    return secret_slice(&auth->realms[realm].oauth.server_name);
}

static bool has_secret(const struct rest *rest, struct slice id)
{
    for (size_t i = 0; i < rest->count; i++)
        if (slice_equal(slice_of_string(rest->list[i].id), id))
            return true;
    return false;
}

enum auth_known auth_knows_secret(
    const struct auth *auth, struct auth_worker *w, uint32_t realm, struct slice id)
{
    const struct auth_realm *r = &auth->realms[realm];
    if (has_secret(&r->rest, id) || has_secret(auth_worker_secrets(w, auth, realm), id) ||
        oauth_find(&r->oauth, id))
        return AUTH_KNOWN_YES;
    return r->store_oauth_keys && id.len <= OAUTH_KID_MAX ? AUTH_KNOWN_MAYBE : AUTH_KNOWN_NO;
}

uint64_t auth_realms_served(const struct auth *auth, const struct auth_realms *realms)
{
    uint64_t served = 0;
    for (uint32_t i = 0; i < auth->realm_count; i++)
        if (!auth->realms[i].removed)
            served |= (uint64_t)1 << i;
    return served & (realms->served | (uint64_t)1 << realms->home);
}

uint32_t auth_realms_features(const struct auth *auth, const struct auth_realms *realms)
{
    uint32_t features = NONCE_FEATURE_PASSWORD_ALGORITHMS | NONCE_FEATURE_USERNAME_ANONYMITY;
    const uint64_t served = auth_realms_served(auth, realms);
    for (uint32_t i = 0; i < auth->realm_count; i++)
        if (served >> i & 1)
            features &= auth->realms[i].features;
    return features;
}

int auth_challenge_nonce(const struct auth *auth, struct auth_worker *w,
    const struct auth_realms *realms, const struct addr *client, const struct instant *now,
    uint8_t out[NONCE_LEN])
{
    return nonce_mint(out, auth_worker_nonce_keys(&w->nonce, &auth->nonce), w->crypto,
        secret_slice(&auth->nonce.secret), auth->realms[realms->home].nonce_name,
        auth_realms_features(auth, realms), client, now);
}

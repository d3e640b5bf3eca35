/*
 * REST credentials: user = expiry[":" anything], password = base64(HMAC(secret, user)), as
 * coturn's use-auth-secret has it with SHA-1. A name is never looked up, so it can be judged only
 * by its integrity. Called by auth.c at start and when secrets come from the store, by what judges
 * a request, and by what makes credentials (auth_rest_password).
 */
#include "auth/rest.h"

#include "auth/auth_internal.h"
#include "auth/long_term.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(
    sizeof(((struct identity *)0)->credential) == REST_ID_MAX + 1, "an id fits an identity");

static int add(struct rest *rest, const struct auth_secret_settings *s, const char **why)
{
    struct rest_secret *r = &rest->list[rest->count];
    *why = NULL;
    if (!s->id || s->id[0] == '\0' || strlen(s->id) > REST_ID_MAX)
        *why = "an id has 1 to 31 bytes";
    else if (strncmp(s->id, REST_STORE_PREFIX, strlen(REST_STORE_PREFIX)) == 0)
        *why = "ids that begin with " REST_STORE_PREFIX " are those of secrets in Redis";
    else if (s->secret.len == 0 || s->secret.len > REST_SECRET_MAX)
        *why = "a secret has 1 to 512 bytes";
    for (size_t i = 0; !*why && i < rest->count; i++)
        if (strcmp(rest->list[i].id, s->id) == 0)
            *why = "the id is there twice";
    if (*why)
        return -EINVAL;
    *why = "out of memory";
    if (secret_set(&r->secret, secret_slice(&s->secret)) < 0)
        return -ENOMEM;
    snprintf(r->id, sizeof(r->id), "%s", s->id);
    r->hash = s->hash == AUTH_REST_SHA256 ? AUTH_REST_SHA256 : AUTH_REST_SHA1;
    r->retired = s->retired;
    rest->count++;
    return 0;
}

int rest_init(
    struct rest *out, const struct auth_realm_settings *settings, char *error, size_t error_cap)
{
    struct rest rest = {0};
    rest.list = calloc(settings->secret_count ? settings->secret_count : 1, sizeof(*rest.list));
    if (!rest.list) {
        auth_error(error, error_cap, (const char *[3]){settings->name, NULL, NULL},
            "out of memory for its secrets");
        return -ENOMEM;
    }
    for (size_t i = 0; i < settings->secret_count; i++) {
        const char *why;
        int rc = add(&rest, &settings->secrets[i], &why);
        if (rc < 0) {
            auth_error(error, error_cap,
                (const char *[3]){settings->name, "secret", settings->secrets[i].id}, why);
            rest_deinit(&rest);
            return rc;
        }
    }
    *out = rest;
    return 0;
}

int rest_store_id(char out[REST_ID_MAX + 1], struct crypto *crypto, struct slice nonce_secret,
    struct slice secret)
{
    uint8_t key[CRYPTO_SHA256_LEN], mac[CRYPTO_SHA256_LEN];
    if (crypto_hkdf(nonce_secret, "turnpike secret ids", key, sizeof(key)) < 0)
        return -EIO;
    const int rc = crypto_hmac(crypto, CRYPTO_SHA256, slice_of(key, sizeof(key)), &secret, 1, mac);
    secret_cleanse(key, sizeof(key));
    if (rc < 0)
        return rc;
    snprintf(
        out, REST_ID_MAX + 1, REST_STORE_PREFIX "%02x%02x%02x%02x", mac[0], mac[1], mac[2], mac[3]);
    return 0;
}

int rest_init_store(struct rest *out, struct crypto *crypto, struct slice nonce_secret,
    const struct store_secrets *secrets)
{
    struct rest rest = {.list = calloc(STORE_SECRETS_MAX, sizeof(*rest.list))};
    int rc = rest.list ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < secrets->count; i++) {
        const struct slice bytes = secret_slice(&secrets->list[i]);
        struct rest_secret *r = &rest.list[rest.count];
        if (bytes.len == 0 || bytes.len > REST_SECRET_MAX)
            continue;
        rc = rest_store_id(r->id, crypto, nonce_secret, bytes);
        if (rc == 0)
            rc = secret_set(&r->secret, bytes);
        if (rc == 0)
            rest.count++;
    }
    if (rc < 0) {
        rest_deinit(&rest);
        return rc;
    }
    *out = rest;
    return 0;
}

void rest_deinit(struct rest *rest)
{
    for (size_t i = 0; i < rest->count; i++)
        secret_wipe(&rest->list[i].secret);
    free(rest->list);
    *rest = (struct rest){0};
}

bool rest_expiry(struct slice user, int64_t *expires_at)
{
    int64_t value = 0;
    size_t i = 0;
    for (; i < user.len && user.data[i] >= '0' && user.data[i] <= '9'; i++) {
        if (i == 11)
            return false;
        value = value * 10 + (user.data[i] - '0');
    }
    if (i == 0 || (i < user.len && user.data[i] != ':'))
        return false;
    *expires_at = value;
    return true;
}

int auth_rest_password(struct crypto *crypto, enum auth_rest_hash hash, struct slice secret,
    struct slice user, char out[AUTH_REST_PASSWORD_MAX + 1])
{
    const bool sha256 = hash == AUTH_REST_SHA256;
    uint8_t mac[CRYPTO_SHA256_LEN];
    if (crypto_hmac(crypto, sha256 ? CRYPTO_SHA256 : CRYPTO_SHA1, secret, &user, 1, mac) < 0)
        return -EIO;
    EVP_EncodeBlock((unsigned char *)out, mac, sha256 ? CRYPTO_SHA256_LEN : CRYPTO_SHA1_LEN);
    secret_cleanse(mac, sizeof(mac));
    return 0;
}

int rest_key(struct auth_key *out, struct crypto *crypto, const struct rest_secret *secret,
    enum stun_password_algorithm algorithm, const struct slice user_realm[2])
{
    char password[AUTH_REST_PASSWORD_MAX + 1];
    if (auth_rest_password(
            crypto, secret->hash, secret_slice(&secret->secret), user_realm[0], password) < 0)
        return -EIO;
    const struct slice parts[] = {user_realm[0], user_realm[1], slice_of_string(password)};
    int rc = long_term_key(out, crypto, algorithm, parts);
    secret_cleanse(password, sizeof(password));
    return rc;
}

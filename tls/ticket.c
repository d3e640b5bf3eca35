/*
 * Keys of session tickets: AES-256-CBC and HMAC-SHA256 (RFC 5077 section 4), a new pair each hour,
 * derived from the secret and the hour, kept nowhere. A ticket's name is the id of the secret and
 * the hour in clear, so that one derivation opens it. The hour before opens too, for a lifetime
 * that began in it, and so does the next one: another instance's clock may be a little ahead.
 * Called by OpenSSL through context.c.
 */
#include "tls/ticket.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <stdio.h>

#include "base/crypto.h"
#include "base/random.h"

#define KEY_LEN 32
#define IV_LEN  16

int tls_ticket_keys_init(struct tls_ticket_keys *k, struct slice secret, const char *label)
{
    struct tls_ticket_keys made = {.label = label};
    char text[64];
    snprintf(text, sizeof(text), "turnpike %s ticket name", label);
    if (crypto_hkdf(secret, text, made.id, sizeof(made.id)) < 0)
        return -EIO;
    if (secret_set(&made.secret, secret) < 0)
        return -ENOMEM;
    *k = made;
    return 0;
}

void tls_ticket_keys_deinit(struct tls_ticket_keys *k)
{
    secret_wipe(&k->secret);
}

/* The hour's keys, into the ticket's contexts. */
static bool use_keys(
    const struct tls_ticket_keys *k, const struct tls_ticket *t, int64_t hour, bool seal)
{
    char text[64], digest[] = "SHA256";
    uint8_t key[2 * KEY_LEN];
    snprintf(text, sizeof(text), "turnpike %s ticket %lld", k->label, (long long)hour);
    if (crypto_hkdf(secret_slice(&k->secret), text, key, sizeof(key)) < 0)
        return false;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key + KEY_LEN, KEY_LEN),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    const bool ok =
        EVP_CipherInit_ex(t->cipher, EVP_aes_256_cbc(), NULL, key, t->iv, seal ? 1 : 0) == 1 &&
        EVP_MAC_CTX_set_params(t->mac, params) == 1;
    secret_cleanse(key, sizeof(key));
    return ok;
}

static void put_hour(uint8_t out[8], int64_t hour)
{
    for (int i = 7; i >= 0; i--, hour >>= 8)
        out[i] = (uint8_t)hour;
}

int tls_ticket_seal(const struct tls_ticket_keys *k, const struct tls_ticket *t, int64_t now_s)
{
    const int64_t hour = now_s / TLS_TICKET_LIFETIME_S;
    if (random_fill(random_system(), t->iv, IV_LEN) < 0)
        return -1;
    memcpy(t->name, k->id, sizeof(k->id));
    put_hour(t->name + sizeof(k->id), hour);
    return use_keys(k, t, hour, true) ? 1 : -1;
}

int tls_ticket_open(const struct tls_ticket_keys *k, const struct tls_ticket *t, int64_t now_s)
{
    const int64_t now = now_s / TLS_TICKET_LIFETIME_S;
    if (memcmp(t->name, k->id, sizeof(k->id)) != 0)
        return 0;
    for (int64_t hour = now - 1; hour <= now + 1; hour++) {
        uint8_t name[8];
        put_hour(name, hour);
        if (memcmp(t->name + sizeof(k->id), name, sizeof(name)) != 0)
            continue;
        if (!use_keys(k, t, hour, false))
            return -1;
        return hour < now ? 2 : 1;
    }
    return 0;
}

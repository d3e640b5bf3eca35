/*
 * Nonces that are remembered by nobody: all that is needed to judge one is in it and under its MAC.
 * Of its 32 characters 13 are the nonce cookie, 19 the base64 of 14 bytes: key id (low 2 bits of
 * the epoch), time (milliseconds into the epoch, 22 bits), origin (2 bytes), MAC. A nonce has one
 * spelling: the bits that base64 leaves over are zero. Called by auth.c and auth_check.c, on
 * workers.
 */
#include "auth/nonce.h"

#include "base/base64.h"
#include <errno.h>
#include <stdio.h>

#define COOKIE       "obMatJos2"
#define COOKIE_LEN   9
#define FEATURES_LEN 4 /* characters; 3 bytes */
#define BODY_LEN     14
#define MAC_LEN      9
#define EPOCH_MS     3600000
#define TIME_BITS    22

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Base64 (RFC 4648 section 4) without padding; bits left over are zero. */
static void encode(uint8_t *out, const uint8_t *in, size_t len)
{
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | in[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = (uint8_t)alphabet[bits >> (held - 6) & 63];
    }
    if (held > 0)
        *out = (uint8_t)alphabet[bits << (6 - held) & 63];
}

static int64_t epoch_of(int64_t wall_ms)
{
    return wall_ms >= 0 ? wall_ms / EPOCH_MS : -((-wall_ms + EPOCH_MS - 1) / EPOCH_MS);
}

/* The epoch's key, derived at its first use. Neighbouring epochs never share a slot. NULL: the
 * derivation failed. */
static const uint8_t *key_of(struct nonce_keys *keys, struct slice secret, int64_t epoch)
{
    unsigned slot = (unsigned)((uint64_t)epoch % NONCE_EPOCHS);
    if (keys->slot[slot].valid && keys->slot[slot].epoch == epoch)
        return keys->slot[slot].key;
    char label[48];
    uint8_t key[32];
    snprintf(label, sizeof(label), "turnpike nonce %lld", (long long)epoch);
    if (crypto_hkdf(secret, label, key, sizeof(key)) < 0)
        return NULL;
    memcpy(keys->slot[slot].key, key, sizeof(key));
    secret_cleanse(key, sizeof(key));
    keys->slot[slot].epoch = epoch;
    keys->slot[slot].valid = true;
    return keys->slot[slot].key;
}

static uint8_t *put(uint8_t *p, uint32_t v, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0;)
        *p++ = (uint8_t)(v >> (8 * i));
    return p;
}

/*
 * RFC 8489 section 9.2.4: "The server MUST NOT choose the same NONCE for two requests unless they
 * have the same source IP address and port." Both are under the MAC, with everything that the nonce
 * says in clear. The IPv6 zone is not: it names an interface of this instance, not the client.
 */
static int mac(uint8_t out[MAC_LEN], const uint8_t *key, struct crypto *crypto, uint32_t realm,
    uint32_t features, const uint8_t *body, const struct addr *client)
{
    uint8_t text[4 + 3 + 5 + 1 + 16 + 2], *p = text, full[CRYPTO_SHA256_LEN];
    p = put(p, realm, 4);
    p = put(p, features, 3);
    memcpy(p, body, 5);
    p = put(p + 5, client->family, 1);
    memcpy(p, client->ip, 16);
    put(p + 16, client->port, 2);
    const struct slice part = slice_of(text, sizeof(text));
    if (crypto_hmac(crypto, CRYPTO_SHA256, slice_of(key, 32), &part, 1, full) < 0)
        return -EIO;
    memcpy(out, full, MAC_LEN);
    return 0;
}

int nonce_mint(uint8_t out[NONCE_LEN], struct nonce_keys *keys, struct crypto *crypto,
    struct slice secret, uint32_t realm, uint32_t features, const struct addr *client,
    const struct instant *now)
{
    const int64_t now_ms = instant_wall_ms(now), epoch = epoch_of(now_ms);
    uint8_t bits[3], body[BODY_LEN];
    const uint8_t *key = key_of(keys, secret, epoch);
    if (!key)
        return -EIO;
    put(bits, features, sizeof(bits));
    put(body, (uint32_t)epoch << TIME_BITS | (uint32_t)(now_ms - epoch * EPOCH_MS), 3);
    put(body + 3, keys->origin, 2);
    if (mac(body + 5, key, crypto, realm, features, body, client) < 0)
        return -EIO;
    /* RFC 8489 section 9.2: "a server MUST prepend the NONCE attribute value with the character
     * string composed of "obMatJos2" concatenated with the (4-character) base64 [RFC4648] encoding
     * of the 24-bit STUN Security Features" */
    memcpy(out, COOKIE, COOKIE_LEN);
    encode(out + COOKIE_LEN, bits, sizeof(bits));
    encode(out + COOKIE_LEN + FEATURES_LEN, body, sizeof(body));
    return 0;
}

/*
 * The time that the first three bytes of a body say: in this epoch, the one before, which overlaps
 * with it, or the next, which exists for a clock that runs ahead of ours. False: in none of them.
 */
static bool read_time(const uint8_t body[BODY_LEN], int64_t now_ms, int64_t *epoch, int64_t *at_ms)
{
    const uint32_t said = (uint32_t)body[0] << 16 | (uint32_t)body[1] << 8 | body[2];
    const uint32_t into_ms = said & ((1u << TIME_BITS) - 1);
    for (int64_t e = epoch_of(now_ms) - 1; e <= epoch_of(now_ms) + 1; e++) {
        if (((uint32_t)e & 3) == said >> TIME_BITS) {
            *epoch = e;
            *at_ms = e * EPOCH_MS + into_ms;
            return true;
        }
    }
    return false;
}

enum nonce_verdict nonce_check(struct slice nonce, struct nonce_keys *keys, struct crypto *crypto,
    struct slice secret, uint32_t realm, uint32_t lifetime_s, const struct addr *client,
    const struct instant *now, struct nonce_facts *facts)
{
    uint8_t bits[3], body[BODY_LEN], expected[MAC_LEN];
    if (nonce.len != NONCE_LEN || memcmp(nonce.data, COOKIE, COOKIE_LEN) != 0)
        return NONCE_FOREIGN;
    const struct slice features = slice_of(nonce.data + COOKIE_LEN, FEATURES_LEN);
    const struct slice rest =
        slice_of(features.data + FEATURES_LEN, NONCE_LEN - COOKIE_LEN - FEATURES_LEN);
    if (base64_decode_bare(bits, sizeof(bits), features) < 0 ||
        base64_decode_bare(body, sizeof(body), rest) < 0)
        return NONCE_FOREIGN;

    int64_t epoch, at_ms;
    if (!read_time(body, instant_wall_ms(now), &epoch, &at_ms))
        return NONCE_FOREIGN;
    int64_t age_ms = instant_wall_ms(now) - at_ms;
    if (age_ms < -NONCE_CLOCK_SKEW_S * 1000)
        return NONCE_FOREIGN;

    uint32_t offered = (uint32_t)bits[0] << 16 | (uint32_t)bits[1] << 8 | bits[2];
    const uint8_t *key = key_of(keys, secret, epoch);
    if (!key || mac(expected, key, crypto, realm, offered, body, client) < 0)
        return NONCE_FOREIGN; /* without a generator nothing is ours */
    if (!secret_equal(slice_of(expected, MAC_LEN), slice_of(body + 5, MAC_LEN)))
        return NONCE_FOREIGN;
    *facts = (struct nonce_facts){
        .features = offered,
        .age_ms = age_ms,
        .own = ((unsigned)body[3] << 8 | body[4]) == keys->origin,
    };
    memcpy(&facts->tag, expected, sizeof(facts->tag));
    return age_ms > (int64_t)lifetime_s * 1000 ? NONCE_STALE : NONCE_OK;
}

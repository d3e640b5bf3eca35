/*
 * Nonces that are remembered by nobody: all that is needed to judge one is in it and under its MAC.
 * Of its 32 characters 13 are the nonce cookie, 19 the base64 of 14 bytes: key id (low byte of the
 * epoch), time (low 32 bits of the wall clock), MAC. A nonce has one spelling: the bits that base64
 * leaves over are zero. Called by auth.c and auth_check.c, on workers.
 */
#include "auth/nonce.h"

#include <errno.h>
#include <stdio.h>

#define COOKIE       "obMatJos2"
#define COOKIE_LEN   9
#define FEATURES_LEN 4 /* characters; 3 bytes */
#define BODY_LEN     14
#define MAC_LEN      9
#define EPOCH_S      3600

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

static int sextet(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* True if `chars` characters are the one spelling of their bytes. Writes chars * 6 / 8 bytes. */
static bool decode(uint8_t *out, const uint8_t *in, size_t chars)
{
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < chars; i++) {
        int v = sextet(in[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *out++ = (uint8_t)(bits >> held);
        }
    }
    return (bits & ((1u << held) - 1)) == 0;
}

static int64_t epoch_of(int64_t wall_s)
{
    return wall_s >= 0 ? wall_s / EPOCH_S : -((-wall_s + EPOCH_S - 1) / EPOCH_S);
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
    uint32_t features, const uint8_t *id_and_time, const struct addr *client)
{
    uint8_t text[4 + 3 + 5 + 1 + 16 + 2], *p = text, full[CRYPTO_SHA256_LEN];
    p = put(p, realm, 4);
    p = put(p, features, 3);
    memcpy(p, id_and_time, 5);
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
    int64_t epoch = epoch_of(now->wall_s);
    uint8_t bits[3], body[BODY_LEN];
    const uint8_t *key = key_of(keys, secret, epoch);
    if (!key)
        return -EIO;
    put(bits, features, sizeof(bits));
    put(body, (uint8_t)epoch, 1);
    put(body + 1, (uint32_t)now->wall_s, 4);
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

enum nonce_verdict nonce_check(struct slice nonce, struct nonce_keys *keys, struct crypto *crypto,
    struct slice secret, uint32_t realm, uint32_t lifetime_s, const struct addr *client,
    const struct instant *now, uint32_t *features)
{
    uint8_t bits[3], body[BODY_LEN + 1], expected[MAC_LEN];
    if (nonce.len != NONCE_LEN || memcmp(nonce.data, COOKIE, COOKIE_LEN) != 0)
        return NONCE_FOREIGN;
    if (!decode(bits, nonce.data + COOKIE_LEN, FEATURES_LEN) ||
        !decode(
            body, nonce.data + COOKIE_LEN + FEATURES_LEN, NONCE_LEN - COOKIE_LEN - FEATURES_LEN))
        return NONCE_FOREIGN;

    /* The time is the one nearest to ours with these low 32 bits: no year 2106. */
    uint32_t said =
        (uint32_t)body[1] << 24 | (uint32_t)body[2] << 16 | (uint32_t)body[3] << 8 | body[4];
    int64_t age = (int32_t)((uint32_t)now->wall_s - said);
    int64_t epoch = epoch_of(now->wall_s - age);
    if (age < -NONCE_CLOCK_SKEW_S)
        return NONCE_FOREIGN;
    /* The epoch before the current one overlaps with it; the next one exists for a clock that runs
     * ahead of ours. */
    if (epoch < epoch_of(now->wall_s) - 1 || (uint8_t)epoch != body[0])
        return NONCE_FOREIGN;

    uint32_t offered = (uint32_t)bits[0] << 16 | (uint32_t)bits[1] << 8 | bits[2];
    const uint8_t *key = key_of(keys, secret, epoch);
    if (!key || mac(expected, key, crypto, realm, offered, body, client) < 0)
        return NONCE_FOREIGN; /* without a generator nothing is ours */
    if (!secret_equal(slice_of(expected, MAC_LEN), slice_of(body + 5, MAC_LEN)))
        return NONCE_FOREIGN;
    *features = offered;
    return age > (int64_t)lifetime_s ? NONCE_STALE : NONCE_OK;
}

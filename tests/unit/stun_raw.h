/*
 * STUN messages written byte by byte, without wire/stun_writer, so that tests can say what no
 * writer of ours would. Padding is 0xee: receivers must ignore it.
 */
#ifndef TESTS_STUN_RAW_H
#define TESTS_STUN_RAW_H

#include <stdlib.h>

#include "base/crypto.h"
#include "base/slice.h"
#include "wire/stun.h"

struct raw {
    uint8_t bytes[4096];
    size_t len;
};

static inline void raw_u16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void raw_set_length(struct raw *r)
{
    raw_u16(r->bytes + 2, (unsigned)(r->len - STUN_HEADER_LEN));
}

/* A header with the magic cookie and the transaction id 01 02 ... 0c. */
static inline void raw_begin(struct raw *r, unsigned type)
{
    static const uint8_t cookie[] = {0x21, 0x12, 0xa4, 0x42};
    memset(r, 0, sizeof(*r));
    raw_u16(r->bytes, type);
    memcpy(r->bytes + 4, cookie, sizeof(cookie));
    for (unsigned i = 0; i < 12; i++)
        r->bytes[8 + i] = (uint8_t)(i + 1);
    r->len = STUN_HEADER_LEN;
}

/* Appends an attribute and keeps the length field right; value NULL stands for zeros. */
static inline void raw_attr(struct raw *r, unsigned type, const void *value, size_t len)
{
    raw_u16(r->bytes + r->len, type);
    raw_u16(r->bytes + r->len + 2, (unsigned)len);
    r->len += 4;
    if (value != NULL)
        memcpy(r->bytes + r->len, value, len);
    r->len += len;
    while (r->len % 4 != 0)
        r->bytes[r->len++] = 0xee;
    raw_set_length(r);
}

static inline void raw_fingerprint(struct raw *r)
{
    uint8_t value[4];
    const size_t at = r->len;
    raw_attr(r, STUN_ATTR_FINGERPRINT, NULL, 4);
    const uint32_t crc = crypto_crc32(r->bytes, at) ^ 0x5354554eu;
    raw_u16(value, crc >> 16);
    raw_u16(value + 2, crc & 0xffff);
    memcpy(r->bytes + at + 4, value, 4);
}

/* MESSAGE-INTEGRITY (len 20) or the first `len` bytes of MESSAGE-INTEGRITY-SHA256. */
static inline void raw_integrity(
    struct raw *r, struct crypto *crypto, struct slice key, bool sha256, size_t len)
{
    uint8_t mac[CRYPTO_SHA256_LEN] = {0};
    const size_t at = r->len;
    raw_attr(
        r, sha256 ? STUN_ATTR_MESSAGE_INTEGRITY_SHA256 : STUN_ATTR_MESSAGE_INTEGRITY, NULL, len);
    const struct slice text = slice_of(r->bytes, at);
    if (crypto_hmac(crypto, sha256 ? CRYPTO_SHA256 : CRYPTO_SHA1, key, &text, 1, mac) != 0)
        abort();
    memcpy(r->bytes + at + 4, mac, len);
}

/* Parses a copy of exactly `len` bytes, so that a sanitizer sees the first byte read too far. */
static inline enum reason raw_parse_exact(struct stun_msg *msg, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    if (copy == NULL)
        abort();
    memcpy(copy, bytes, len);
    const enum reason reason = stun_parse(msg, slice_of(copy, len));
    free(copy);
    return reason;
}

static inline enum reason raw_parse(struct stun_msg *msg, const struct raw *r)
{
    return stun_parse(msg, slice_of(r->bytes, r->len));
}

#endif

/*
 * Keys on their way through Redis, where everybody who reads or writes there is a stranger: sealed
 * by who deposits, opened by the instance that needs them. What was opened is wiped. Called by
 * daemon/ and cli/.
 */
#include "srtp/wrapped_key.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/secret.h"

#define VERSION        "v1"
#define UNTIL_DIGITS   11 /* the year 5138 */
#define SEALED_MAX     (CRYPTO_GCM_NONCE_LEN + CRYPTO_AEAD_PLAIN_MAX + CRYPTO_GCM_TAG_LEN)
#define ASSOCIATED_MAX (KEY_PLACE_MAX + KEY_FIELD_MAX + UNTIL_DIGITS + 8)

_Static_assert(sizeof(VERSION) + UNTIL_DIGITS + 2 + (SEALED_MAX + 2) / 3 * 4 <= SRTP_WRAPPED_MAX,
    "what is made fits");

struct associated {
    size_t len;
    char bytes[ASSOCIATED_MAX];
};

static const char *const texts[WRAPPED_FAULT_COUNT] = {
    [WRAPPED_FAULT_NONE] = "a wrapped key",
    [WRAPPED_FAULT_SYNTAX] = "no wrapped key of version 1",
    [WRAPPED_FAULT_EXPIRED] = "a key that has ended",
    [WRAPPED_FAULT_NOT_AUTHENTIC] =
        "wrapped by another key, for another place or another end, or changed since",
    [WRAPPED_FAULT_KEY] = "opened, and no crypto attribute that can be used is in it",
};

const char *wrapped_fault_text(enum wrapped_fault fault)
{
    return fault < WRAPPED_FAULT_COUNT ? texts[fault] : "?";
}

static bool is_word(struct slice s, size_t max)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < 0x21 || s.data[i] > 0x7e)
            return false;
    }
    return s.len > 0 && s.len <= max;
}

/* False: the place or the field is none. */
static bool associate(struct associated *out, const struct wrapped_for *whose, int64_t until)
{
    if (!is_word(whose->place, KEY_PLACE_MAX) || !is_word(whose->field, KEY_FIELD_MAX))
        return false;
    const int len = snprintf(out->bytes, sizeof(out->bytes), VERSION " %.*s %.*s %lld",
        (int)whose->place.len, (const char *)whose->place.data, (int)whose->field.len,
        (const char *)whose->field.data, (long long)until);
    out->len = (size_t)len;
    return true;
}

/* One spelling of each number: no sign, no leading zero. The digits read; 0: there is no such
 * number. */
static size_t read_number(int64_t *out, struct slice text, size_t digits_max)
{
    int64_t n = 0;
    size_t len = 0;
    while (len < text.len && text.data[len] >= '0' && text.data[len] <= '9') {
        if (len == digits_max)
            return 0;
        n = n * 10 + (text.data[len++] - '0');
    }
    if (len > 1 && text.data[0] == '0')
        return 0;
    *out = n;
    return len;
}

/* Text to seal, of at most CRYPTO_AEAD_PLAIN_MAX bytes. Its length, or -EINVAL. */
static int write_plain(
    uint8_t out[CRYPTO_AEAD_PLAIN_MAX], const struct srtp_keys *said, struct slice attribute)
{
    struct srtp_keys keys;
    char roc[24];
    const enum crypto_fault fault = crypto_attribute_parse(&keys, attribute);
    if (fault)
        return -EINVAL;
    secret_cleanse(&keys, sizeof(keys));
    const int before =
        said->has_roc ? snprintf(roc, sizeof(roc), "roc=%lu ", (unsigned long)said->roc) : 0;
    if ((size_t)before + attribute.len > CRYPTO_AEAD_PLAIN_MAX)
        return -EINVAL;
    memcpy(out, roc, (size_t)before);
    memcpy(out + before, attribute.data, attribute.len);
    return before + (int)attribute.len;
}

/* Nonce, ciphertext and tag. */
static int seal(
    struct crypto *c, const struct crypto_aead *how, struct slice plain, uint8_t out[SEALED_MAX])
{
    memcpy(out, how->nonce.data, CRYPTO_GCM_NONCE_LEN);
    return crypto_seal(c, how, plain, out + CRYPTO_GCM_NONCE_LEN);
}

int wrapped_key_make(struct crypto *c, const struct random_source *random, struct slice wrap_key,
    const struct wrapped_for *whose, const struct srtp_deposit *deposit, struct slice attribute,
    char *out)
{
    struct associated associated;
    uint8_t nonce[CRYPTO_GCM_NONCE_LEN], plain[CRYPTO_AEAD_PLAIN_MAX], sealed[SEALED_MAX];
    if (wrap_key.len != SRTP_WRAP_KEY_LEN || deposit->until <= 0 || deposit->until > 99999999999 ||
        !associate(&associated, whose, deposit->until))
        return -EINVAL;
    const int len = write_plain(plain, &deposit->keys, attribute);
    if (len < 0)
        return len;
    const struct crypto_aead how = {.cipher = CRYPTO_AES256_GCM,
        .key = wrap_key,
        .nonce = slice_of(nonce, sizeof(nonce)),
        .associated = slice_of(associated.bytes, associated.len)};
    int rc = random_fill(random, nonce, sizeof(nonce));
    if (rc == 0)
        rc = seal(c, &how, slice_of(plain, (size_t)len), sealed);
    secret_cleanse(plain, sizeof(plain));
    if (rc < 0)
        return rc;
    const int at = snprintf(out, SRTP_WRAPPED_MAX, VERSION ".%lld.", (long long)deposit->until);
    EVP_EncodeBlock((unsigned char *)out + at, sealed,
        (int)(CRYPTO_GCM_NONCE_LEN + (size_t)len + CRYPTO_GCM_TAG_LEN));
    return 0;
}

struct sealed {
    int64_t until;
    size_t len;
    uint8_t bytes[SEALED_MAX];
};

static bool read_value(struct sealed *out, struct slice text)
{
    static const char version[] = VERSION ".";
    const size_t begin = sizeof(version) - 1;
    if (text.len < begin || text.len > SRTP_WRAPPED_MAX || memcmp(text.data, version, begin) != 0)
        return false;
    const struct slice rest = slice_of(text.data + begin, text.len - begin);
    const size_t digits = read_number(&out->until, rest, UNTIL_DIGITS);
    if (digits == 0 || digits == rest.len || rest.data[digits] != '.')
        return false;
    const int len = base64_decode(
        out->bytes, sizeof(out->bytes), slice_of(rest.data + digits + 1, rest.len - digits - 1));
    out->len = len > 0 ? (size_t)len : 0;
    return out->len > CRYPTO_GCM_NONCE_LEN + CRYPTO_GCM_TAG_LEN;
}

/* The length of `plain`; 0: none of the keys has sealed it so. */
static size_t open_sealed(struct crypto *c, const struct slice wrap_keys[2],
    const struct sealed *sealed, const struct associated *associated,
    uint8_t plain[CRYPTO_AEAD_PLAIN_MAX])
{
    const struct slice text =
        slice_of(sealed->bytes + CRYPTO_GCM_NONCE_LEN, sealed->len - CRYPTO_GCM_NONCE_LEN);
    for (unsigned i = 0; i < 2; i++) {
        const struct crypto_aead how = {.cipher = CRYPTO_AES256_GCM,
            .key = wrap_keys[i],
            .nonce = slice_of(sealed->bytes, CRYPTO_GCM_NONCE_LEN),
            .associated = slice_of(associated->bytes, associated->len)};
        if (wrap_keys[i].len == SRTP_WRAP_KEY_LEN && crypto_open(c, &how, text, plain) == 0)
            return text.len - CRYPTO_GCM_TAG_LEN;
    }
    return 0;
}

/* "roc=N " may stand in front. False: no keys. */
static bool read_plain(struct srtp_keys *out, struct slice plain)
{
    static const char name[] = "roc=";
    const size_t begin = sizeof(name) - 1;
    int64_t roc = 0;
    const bool has_roc = plain.len >= begin && memcmp(plain.data, name, begin) == 0;
    if (has_roc) {
        plain = slice_of(plain.data + begin, plain.len - begin);
        const size_t digits = read_number(&roc, plain, 10);
        if (digits == 0 || digits == plain.len || plain.data[digits] != ' ' || roc > UINT32_MAX)
            return false;
        plain = slice_of(plain.data + digits + 1, plain.len - digits - 1);
    }
    if (crypto_attribute_parse(out, plain) != CRYPTO_FAULT_NONE)
        return false;
    out->has_roc = has_roc;
    out->roc = (uint32_t)roc;
    return true;
}

enum wrapped_fault wrapped_key_open(struct crypto *c, const struct slice wrap_keys[2],
    const struct wrapped_for *whose, struct slice text, int64_t now_s, struct srtp_deposit *out)
{
    struct associated associated;
    struct sealed sealed;
    uint8_t plain[CRYPTO_AEAD_PLAIN_MAX];
    if (!read_value(&sealed, text) || !associate(&associated, whose, sealed.until))
        return WRAPPED_FAULT_SYNTAX;
    if (sealed.until <= now_s)
        return WRAPPED_FAULT_EXPIRED;
    const size_t len = open_sealed(c, wrap_keys, &sealed, &associated, plain);
    if (len == 0)
        return WRAPPED_FAULT_NOT_AUTHENTIC;
    const bool good = read_plain(&out->keys, slice_of(plain, len));
    if (good)
        out->until = sealed.until;
    secret_cleanse(plain, sizeof(plain));
    return good ? WRAPPED_FAULT_NONE : WRAPPED_FAULT_KEY;
}

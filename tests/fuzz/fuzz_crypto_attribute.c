/*
 * Any bytes as a crypto attribute, as a wrapped key, and as the place and field of one; and the
 * same bytes as what somebody who has the wrap key has sealed. An attribute that is read is read
 * the same when it is written anew; nothing is written where it is not; one bit of a wrapped key
 * changed opens no more; and a place has one spelling.
 */
#include <openssl/evp.h>

#include "srtp/wrapped_key.h"
#include "tests/fuzz/fuzz.h"

#define NOW 1795500000

enum outcome {
    WRAPPED_SYNTAX = CRYPTO_FAULT_COUNT,
    WRAPPED_EXPIRED,
    WRAPPED_NOT_AUTHENTIC,
    SEALED_NO_KEY,
    SEALED_OPENED,
    NO_PLACE,
    PLACE,
    OUTCOMES
};

static const char *const names[OUTCOMES] = {"attribute", "no_syntax", "suite", "key_method",
    "base64", "key_length", "lifetime", "mki", "too_many_keys", "session_parameter",
    "wrapped_syntax", "wrapped_expired", "wrapped_not_authentic", "sealed_no_key", "sealed_opened",
    "no_place", "place"};

struct fuzz_reasons fuzz_reasons = {.names = names, .count = OUTCOMES};

static const uint8_t key[33] = "0123456789abcdef0123456789abcdef";
static struct crypto *crypto;

/* A number of `len` bytes in decimal. */
static size_t write_decimal(char *out, const uint8_t *bytes, size_t len)
{
    uint8_t left[SRTP_MKI_MAX];
    char digits[SRTP_MKI_MAX * 3];
    size_t count = 0;
    memcpy(left, bytes, len);
    for (bool zero = false; !zero;) {
        unsigned rest = 0;
        zero = true;
        for (size_t i = 0; i < len; i++) {
            rest = rest << 8 | left[i];
            left[i] = (uint8_t)(rest / 10);
            rest %= 10;
            zero = zero && left[i] == 0;
        }
        digits[count++] = (char)('0' + rest);
    }
    for (size_t i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    return count;
}

static size_t write_attribute(char *out, const struct srtp_keys *keys)
{
    const struct srtp_suite_facts *suite = &srtp_suites[keys->suite];
    size_t len = (size_t)snprintf(out, 64, "%s", suite->name);
    for (unsigned i = 0; i < keys->count; i++) {
        const struct srtp_master *m = &keys->masters[i];
        len += (size_t)snprintf(out + len, 16, "%cinline:", i == 0 ? ' ' : ';');
        len += (size_t)EVP_EncodeBlock(
            (unsigned char *)out + len, m->key_and_salt, suite->key_len + suite->salt_len);
        if (m->mki_len == 0)
            continue;
        out[len++] = '|';
        len += write_decimal(out + len, m->mki, m->mki_len);
        len += (size_t)snprintf(out + len, 8, ":%u", m->mki_len);
    }
    return len;
}

static void check_keys(const struct srtp_keys *keys)
{
    static char text[SRTP_MASTERS_MAX * 256];
    struct srtp_keys again;
    FUZZ_REQUIRE(keys->suite < SRTP_SUITE_COUNT && !keys->has_roc && keys->roc == 0);
    FUZZ_REQUIRE(keys->count >= 1 && keys->count <= SRTP_MASTERS_MAX);
    const size_t used = srtp_suites[keys->suite].key_len + srtp_suites[keys->suite].salt_len;
    for (unsigned i = 0; i < SRTP_MASTERS_MAX; i++) {
        const struct srtp_master *m = &keys->masters[i];
        FUZZ_REQUIRE(keys->count == 1 || i >= keys->count || m->mki_len > 0);
        FUZZ_REQUIRE(i >= keys->count || m->mki_len == keys->masters[0].mki_len);
        for (size_t k = i < keys->count ? used : 0; k < SRTP_MASTER_MAX; k++)
            FUZZ_REQUIRE(m->key_and_salt[k] == 0);
        for (size_t k = m->mki_len; k < SRTP_MKI_MAX; k++)
            FUZZ_REQUIRE(m->mki[k] == 0);
    }
    const struct slice written = slice_of(text, write_attribute(text, keys));
    FUZZ_REQUIRE(crypto_attribute_parse(&again, written) == CRYPTO_FAULT_NONE);
    FUZZ_REQUIRE(srtp_keys_equal(keys, &again));
}

static enum crypto_fault check_attribute(struct slice text)
{
    static struct srtp_keys keys, untouched = {.suite = 0xa5};
    keys = untouched;
    const enum crypto_fault fault = crypto_attribute_parse(&keys, text);
    FUZZ_REQUIRE(fault < CRYPTO_FAULT_COUNT);
    if (fault)
        FUZZ_REQUIRE(memcmp(&keys, &untouched, sizeof(keys)) == 0);
    else
        check_keys(&keys);
    return fault;
}

static enum wrapped_fault open_text(struct slice text)
{
    static struct srtp_deposit out, untouched = {.until = 7};
    const struct wrapped_for whose = {
        slice_of_string("user/example.org/alice"), slice_of_string("to_peer/7")};
    const struct slice keys[2] = {{0}, slice_of(key, SRTP_WRAP_KEY_LEN)};
    out = untouched;
    const enum wrapped_fault fault = wrapped_key_open(crypto, keys, &whose, text, NOW, &out);
    if (fault)
        FUZZ_REQUIRE(memcmp(&out, &untouched, sizeof(out)) == 0);
    else
        FUZZ_REQUIRE(out.until > NOW && out.keys.count >= 1);
    return fault;
}

/* The input as it was sealed by somebody who may. */
static void check_sealed(const uint8_t *data, size_t size)
{
    static const char associated[] = "v1 user/example.org/alice to_peer/7 1795503600";
    uint8_t sealed[CRYPTO_GCM_NONCE_LEN + CRYPTO_AEAD_PLAIN_MAX + CRYPTO_GCM_TAG_LEN] = {0};
    const size_t len = CRYPTO_GCM_NONCE_LEN + size + CRYPTO_GCM_TAG_LEN;
    char text[SRTP_WRAPPED_MAX + 1] = "v1.1795503600.";
    const size_t begin = strlen(text);
    const struct crypto_aead how = {CRYPTO_AES256_GCM, slice_of(key, SRTP_WRAP_KEY_LEN),
        slice_of(sealed, CRYPTO_GCM_NONCE_LEN), slice_of_string(associated)};
    if (size == 0 || size > CRYPTO_AEAD_PLAIN_MAX)
        return;
    FUZZ_REQUIRE(
        crypto_seal(crypto, &how, slice_of(data, size), sealed + CRYPTO_GCM_NONCE_LEN) == 0);
    EVP_EncodeBlock((unsigned char *)text + begin, sealed, (int)len);
    const enum wrapped_fault fault = open_text(slice_of_string(text));
    FUZZ_REQUIRE(fault == WRAPPED_FAULT_NONE || fault == WRAPPED_FAULT_KEY);
    fuzz_note_outcome(fault ? SEALED_NO_KEY : SEALED_OPENED);
    if (check_attribute(slice_of(data, size)) == CRYPTO_FAULT_NONE)
        FUZZ_REQUIRE(fault == WRAPPED_FAULT_NONE);
    sealed[size % len] ^= (uint8_t)(1 << size % 8);
    EVP_EncodeBlock((unsigned char *)text + begin, sealed, (int)len);
    FUZZ_REQUIRE(open_text(slice_of_string(text)) == WRAPPED_FAULT_NOT_AUTHENTIC);
}

/* "PLACE FIELD" */
static void check_place(struct slice text)
{
    const uint8_t *space = text.len > 0 ? memchr(text.data, ' ', text.len) : NULL;
    const size_t len = space ? (size_t)(space - text.data) : text.len;
    const struct slice place = slice_of(text.data, len);
    const struct slice field = space ? slice_of(space + 1, text.len - len - 1) : (struct slice){0};
    static struct srtp_binding binding;
    static struct key_realm realm;
    static struct key_place again;
    if (key_place_read(&binding, &realm, place, field) < 0) {
        fuzz_note_outcome(NO_PLACE);
        return;
    }
    fuzz_note_outcome(PLACE);
    FUZZ_REQUIRE(key_place_write(&again, &binding, slice_of(realm.name, realm.len)) == 0);
    FUZZ_REQUIRE(slice_equal(key_place_slice(&again), place));
    FUZZ_REQUIRE(slice_equal(key_field_slice(&again), field));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum outcome wrapped[] = {[WRAPPED_FAULT_SYNTAX] = WRAPPED_SYNTAX,
        [WRAPPED_FAULT_EXPIRED] = WRAPPED_EXPIRED,
        [WRAPPED_FAULT_NOT_AUTHENTIC] = WRAPPED_NOT_AUTHENTIC};
    if (!crypto)
        crypto = crypto_new();
    FUZZ_REQUIRE(crypto != NULL);
    const struct slice text = slice_of(data, size);
    fuzz_note_outcome(check_attribute(text));
    const enum wrapped_fault fault = open_text(text);
    /* Nobody finds a tag. */
    FUZZ_REQUIRE(fault != WRAPPED_FAULT_NONE && fault != WRAPPED_FAULT_KEY);
    fuzz_note_outcome(wrapped[fault]);
    check_sealed(data, size);
    check_place(text);
    return 0;
}

/*
 * RFC 4568's crypto attribute, read strictly: what is off the grammar is no attribute, and a
 * parameter that would change what is verified is refused rather than passed over. Nothing of the
 * text is kept but the keys, and what was decoded on the way is wiped. Called by wrapped_key.c,
 * admin/ and cli/.
 *
 * exception: section 6.1 says "Compliant implementations obey the policies associated with a master
 * key". A lifetime is checked and then forgotten: the endpoints, whose keys these are, count their
 * packets; here a deposit has an end of its own.
 */
#include "srtp/crypto_attribute.h"

#include <strings.h>

#include "base/base64.h"
#include "base/secret.h"

/* "1*9DIGIT" (section 9.1) */
#define TAG_DIGITS_MAX 9
/* "| SRTP lifetime | 2^48 packets | …" of each suite (section 6.2; RFC 7714 section 12) */
#define LIFETIME_BITS_MAX 48
/* "its value exceeds 128 (bytes)" (section 6.1) */
#define MKI_LENGTH_MAX 128
#define MKI_DIGITS_MAX 78 /* of the longest that fits into SRTP_MKI_MAX bytes */

static const char *const texts[CRYPTO_FAULT_COUNT] = {
    [CRYPTO_FAULT_NONE] = "a crypto attribute",
    [CRYPTO_FAULT_SYNTAX] = "no crypto attribute of RFC 4568",
    [CRYPTO_FAULT_SUITE] = "a suite that is not known",
    [CRYPTO_FAULT_KEY_METHOD] = "a key method other than inline",
    [CRYPTO_FAULT_BASE64] = "a key that is no base64",
    [CRYPTO_FAULT_KEY_LENGTH] = "a key that has not the length of the suite's key and salt",
    [CRYPTO_FAULT_LIFETIME] = "a lifetime that is no number, 0, or more than 2^48",
    [CRYPTO_FAULT_MKI] =
        "an MKI that is missing beside others, there twice, of another length, or out of bounds",
    [CRYPTO_FAULT_TOO_MANY_KEYS] = "more than 4 keys",
    [CRYPTO_FAULT_SESSION_PARAMETER] = "a session parameter that cannot be verified with",
};

const char *crypto_fault_text(enum crypto_fault fault)
{
    return fault < CRYPTO_FAULT_COUNT ? texts[fault] : "?";
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct slice after(struct slice s, size_t len)
{
    return slice_of(s.data + len, s.len - len);
}

/* "The values of each of these fields is case-insensitive, unless otherwise noted." (section 4) */
static bool equals(struct slice s, const char *word)
{
    return s.len == strlen(word) && strncasecmp((const char *)s.data, word, s.len) == 0;
}

static bool begins(struct slice s, const char *word)
{
    const size_t len = strlen(word);
    return s.len >= len && strncasecmp((const char *)s.data, word, len) == 0;
}

/* What stands before `mark`, or all of it. `rest` begins behind the mark; *found: there is one. */
static struct slice cut(struct slice *rest, uint8_t mark, bool *found)
{
    size_t len = 0;
    while (len < rest->len && rest->data[len] != mark)
        len++;
    const struct slice first = slice_of(rest->data, len);
    *found = len < rest->len;
    *rest = after(*rest, *found ? len + 1 : len);
    return first;
}

/* Words are parted by "1*WSP" (section 9.1). Empty: there is none any more. */
static struct slice next_word(struct slice *rest)
{
    size_t len = 0, skip;
    while (len < rest->len && !is_space(rest->data[len]))
        len++;
    for (skip = len; skip < rest->len && is_space(rest->data[skip]); skip++)
        continue;
    const struct slice word = slice_of(rest->data, len);
    *rest = after(*rest, skip);
    return word;
}

/* "leading zeroes MUST NOT be used" (section 6.1, and wherever a number stands) */
static bool is_number(struct slice s, size_t digits_max)
{
    if (s.len == 0 || s.len > digits_max || (s.data[0] == '0' && s.len > 1))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit(s.data[i]))
            return false;
    }
    return true;
}

static uint64_t number_of(struct slice digits)
{
    uint64_t n = 0;
    for (size_t i = 0; i < digits.len; i++)
        n = n * 10 + (uint64_t)(digits.data[i] - '0');
    return n;
}

/* "The lifetime value MAY be written as a non-zero, positive decimal integer or as a power of 2 …
 * MUST NOT exceed the maximum packet lifetime for the crypto-suite." (section 6.1) */
static enum crypto_fault judge_lifetime(struct slice s)
{
    const bool power = begins(s, "2^");
    const struct slice digits = power ? after(s, 2) : s;
    if (!is_number(digits, 15))
        return CRYPTO_FAULT_LIFETIME;
    const uint64_t n = number_of(digits);
    const bool fits =
        power ? n <= LIFETIME_BITS_MAX : n > 0 && n <= (uint64_t)1 << LIFETIME_BITS_MAX;
    return fits ? CRYPTO_FAULT_NONE : CRYPTO_FAULT_LIFETIME;
}

/* Writes the number into `len` bytes, network byte order. False: it does not fit. */
static bool write_mki(uint8_t *out, size_t len, struct slice digits)
{
    for (size_t i = 0; i < digits.len; i++) {
        unsigned carry = digits.data[i] - '0';
        for (size_t k = len; k > 0; k--) {
            carry += out[k - 1] * 10u;
            out[k - 1] = (uint8_t)carry;
            carry >>= 8;
        }
        if (carry > 0)
            return false;
    }
    return true;
}

/* "The MKI is here defined as a positive decimal integer that is encoded as a big-endian integer in
 * the actual SRTP packets … If the MKI length is not given or its value exceeds 128 (bytes), then
 * the entire crypto attribute MUST be considered invalid." (section 6.1) */
static enum crypto_fault read_mki(struct srtp_master *m, struct slice s)
{
    bool colon;
    const struct slice value = cut(&s, ':', &colon);
    _Static_assert(SRTP_MKI_MAX <= MKI_LENGTH_MAX, "what the RFC allows");
    if (!colon || !is_number(value, MKI_DIGITS_MAX) || value.data[0] == '0' || !is_number(s, 3))
        return CRYPTO_FAULT_MKI;
    const uint64_t len = number_of(s);
    if (len == 0 || len > SRTP_MKI_MAX || !write_mki(m->mki, len, value))
        return CRYPTO_FAULT_MKI;
    m->mki_len = (uint8_t)len;
    return CRYPTO_FAULT_NONE;
}

/* "If the length (after being decoded from base64) does not match that specified for the
 * crypto-suite, the crypto attribute in question MUST be considered invalid." (section 6.1) */
static enum crypto_fault read_key(
    struct srtp_master *m, struct slice base64, const struct srtp_suite_facts *suite)
{
    uint8_t bytes[CRYPTO_ATTRIBUTE_MAX];
    enum crypto_fault fault = CRYPTO_FAULT_NONE;
    const int len = base64_decode(bytes, sizeof(bytes), base64);
    if (len < 0)
        fault = CRYPTO_FAULT_BASE64;
    else if (len != suite->key_len + suite->salt_len)
        fault = CRYPTO_FAULT_KEY_LENGTH;
    else
        memcpy(m->key_and_salt, bytes, (size_t)len);
    secret_cleanse(bytes, sizeof(bytes));
    return fault;
}

/* key-salt ["|" lifetime] ["|" mki]; "the lifetime field never includes a colon, whereas the third
 * field always does" (section 6.1) */
static enum crypto_fault read_info(
    struct srtp_master *m, struct slice info, const struct srtp_suite_facts *suite)
{
    bool more;
    const struct slice key = cut(&info, '|', &more);
    enum crypto_fault fault = read_key(m, key, suite);
    if (fault || !more)
        return fault;
    struct slice field = cut(&info, '|', &more);
    if (more || !memchr(field.data, ':', field.len)) {
        fault = judge_lifetime(field);
        if (fault || !more)
            return fault;
        field = cut(&info, '|', &more);
    }
    return more ? CRYPTO_FAULT_SYNTAX : read_mki(m, field);
}

/* "all the master keys in that key parameter MUST include an MKI value … the MKI length MUST be the
 * same for all keys in a given crypto attribute." (section 6.1) */
static enum crypto_fault judge_mkis(const struct srtp_keys *keys)
{
    for (unsigned i = 0; keys->count > 1 && i < keys->count; i++) {
        const struct srtp_master *m = &keys->masters[i];
        if (m->mki_len == 0 || m->mki_len != keys->masters[0].mki_len)
            return CRYPTO_FAULT_MKI;
        for (unsigned k = 0; k < i; k++) {
            if (memcmp(m->mki, keys->masters[k].mki, m->mki_len) == 0)
                return CRYPTO_FAULT_MKI;
        }
    }
    return CRYPTO_FAULT_NONE;
}

/* key-param *(";" key-param), each key-method ":" key-info (section 9.1) */
static enum crypto_fault read_params(struct srtp_keys *keys, struct slice params)
{
    const struct srtp_suite_facts *suite = &srtp_suites[keys->suite];
    for (bool more = true; more;) {
        bool colon;
        struct slice info = cut(&params, ';', &more);
        const struct slice method = cut(&info, ':', &colon);
        if (!colon || method.len == 0)
            return CRYPTO_FAULT_SYNTAX;
        if (!equals(method, "inline"))
            return CRYPTO_FAULT_KEY_METHOD;
        if (keys->count == SRTP_MASTERS_MAX)
            return CRYPTO_FAULT_TOO_MANY_KEYS;
        const enum crypto_fault fault = read_info(&keys->masters[keys->count], info, suite);
        if (fault)
            return fault;
        keys->count++;
    }
    return judge_mkis(keys);
}

/*
 * Whether packets are verified with it as without:
 *
 * - WSH: "MAY choose to ignore the value provided" (section 6.3.6); a number all the same.
 * - KDR: session keys would be derived anew, which is not done here. 0 is in the grammar alone
 *   (section 9.2) and taken for RFC 3711's rate 0: "a single initial key derivation" (6.3.1).
 * - FEC_ORDER=FEC_SRTP: "is the default" (6.3.4). SRTP_FEC would send packets that are no SRTP.
 * - UNENCRYPTED_SRTP: under HMAC-SHA1 the tag is over the packet as it is sent, "M = Authenticated
 *   Portion || ROC", and the NULL cipher "SHALL simply copy the plaintext input into the ciphertext
 *   output" (RFC 3711 sections 4.2 and 4.1.3). Under AEAD the payload would be associated data.
 * - UNENCRYPTED_SRTCP: "the SRTCP E bit MUST be clear (0)" (6.3.2), which libsrtp2 refuses of a
 *   stream that it decrypts. UNAUTHENTICATED_SRTP, FEC_KEY: nothing to verify, or by other keys.
 * - "-…": "is considered optional and MAY be ignored"; "If an SDP crypto attribute is received with
 *   an unknown session parameter that is not prefixed with a "-" character, that crypto attribute
 *   MUST be considered invalid." (6.3.7)
 */
static bool passes(struct slice parameter, const struct srtp_suite_facts *suite)
{
    if (begins(parameter, "WSH="))
        return is_number(after(parameter, 4), 9) && number_of(after(parameter, 4)) >= 64;
    if (equals(parameter, "KDR=0") || equals(parameter, "FEC_ORDER=FEC_SRTP"))
        return true;
    if (equals(parameter, "UNENCRYPTED_SRTP"))
        return !suite->aead;
    return parameter.len > 1 && parameter.data[0] == '-' && parameter.data[1] != '-';
}

static int suite_of(struct slice word)
{
    for (int i = 0; i < SRTP_SUITE_COUNT; i++) {
        if (equals(word, srtp_suites[i].name))
            return i;
    }
    return -1;
}

/* Printable, not too long, and no space at either end. */
static bool is_line(struct slice s)
{
    if (s.len == 0 || s.len > CRYPTO_ATTRIBUTE_MAX || is_space(s.data[0]) ||
        is_space(s.data[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_space(s.data[i]) && (s.data[i] < 0x21 || s.data[i] > 0x7e))
            return false;
    }
    return true;
}

/* "a=crypto:" is case-sensitive, as all of SDP (section 4), and a tag follows it. False: what is
 * there is none. */
static bool skip_tag(struct slice *text)
{
    static const char name[] = "a=crypto:";
    const size_t len = sizeof(name) - 1;
    const bool named = text->len >= len && memcmp(text->data, name, len) == 0;
    struct slice rest = named ? after(*text, len) : *text;
    if (rest.len == 0 || !is_digit(rest.data[0]))
        return !named;
    const struct slice tag = next_word(&rest);
    *text = rest;
    return is_number(tag, TAG_DIGITS_MAX);
}

static enum crypto_fault parse(struct srtp_keys *keys, struct slice text)
{
    if (!is_line(text) || !skip_tag(&text))
        return CRYPTO_FAULT_SYNTAX;
    const struct slice name = next_word(&text), params = next_word(&text);
    if (params.len == 0)
        return CRYPTO_FAULT_SYNTAX;
    const int suite = suite_of(name);
    if (suite < 0)
        return CRYPTO_FAULT_SUITE;
    keys->suite = (uint8_t)suite;
    const enum crypto_fault fault = read_params(keys, params);
    if (fault)
        return fault;
    while (text.len > 0) {
        if (!passes(next_word(&text), &srtp_suites[suite]))
            return CRYPTO_FAULT_SESSION_PARAMETER;
    }
    return CRYPTO_FAULT_NONE;
}

enum crypto_fault crypto_attribute_parse(struct srtp_keys *out, struct slice text)
{
    struct srtp_keys keys = {0};
    const enum crypto_fault fault = parse(&keys, text);
    if (fault == CRYPTO_FAULT_NONE)
        *out = keys;
    secret_cleanse(&keys, sizeof(keys));
    return fault;
}

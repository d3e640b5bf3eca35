/*
 * Access tokens of RFC 7635, and the keys that open them.
 *
 * What always holds: a token's lengths are checked before anything is decrypted, and nothing that
 * it says is used before its tag has verified; what it says goes through the bounded cursor like
 * everything from outside (THREATS row 10). Called by oauth_check.c per request, by auth.c at
 * start, and by what mints tokens.
 */
#include "auth/oauth.h"

#include "auth/auth_internal.h"
#include "base/cursor.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_LEN(mac_key_len) (2 + (mac_key_len) + 8 + 4)
#define BLOCK_MAX              BLOCK_LEN(AUTH_KEY_MAX)
#define FRACTIONS_PER_S        64000u
/* Further from now than any lifetime reaches, and near enough to be counted in microseconds. */
#define DISTANCE_MAX_S ((int64_t)1 << 40)

_Static_assert(sizeof(((struct identity *)0)->credential) > OAUTH_ID_LEN, "an id fits an identity");
_Static_assert(BLOCK_MAX <= CRYPTO_AEAD_PLAIN_MAX, "the longest token opens in one call");
_Static_assert(OAUTH_KID_MAX <= STORE_NAME_MAX, "a kid fits a question");

size_t oauth_key_len(uint8_t algorithm)
{
    return algorithm == AUTH_OAUTH_A256GCM ? 32 : algorithm == AUTH_OAUTH_A128GCM ? 16 : 0;
}

uint64_t oauth_timestamp(const struct instant *now)
{
    /* RFC 7635 section 6.2: "the integer number of seconds is contained in the first 48 bits of the
     * field, and the remaining 16 bits indicate the number of 1/64000 fractions of a second" */
    return (uint64_t)now->wall_s << 16 | (uint64_t)now->wall_us * FRACTIONS_PER_S / US_PER_S;
}

struct framed {
    struct slice nonce, sealed;
};

/* RFC 7635 section 6.2: "uint16_t nonce_length; opaque nonce[nonce_length];", then the encrypted
 * block. "The length of nonce for AEAD algorithms is explained in [RFC5116]": N_MIN and N_MAX of
 * both algorithms are 12 (RFC 5116 sections 5.1 and 5.2). */
static bool parse(struct slice token, struct framed *out)
{
    struct cursor c;
    if (token.len < OAUTH_TOKEN_MIN || token.len > OAUTH_TOKEN_MAX)
        return false;
    cursor_init(&c, token);
    if (cursor_u16(&c) != OAUTH_NONCE_LEN)
        return false;
    out->nonce = cursor_bytes(&c, OAUTH_NONCE_LEN);
    out->sealed = cursor_bytes(&c, cursor_left(&c));
    return !c.failed;
}

bool oauth_token_is_framed(struct slice token)
{
    struct framed ignored;
    return parse(token, &ignored);
}

/* The encrypted block after it has been decrypted: "uint16_t key_length; opaque
 * mac_key[key_length]; uint64_t timestamp; uint32_t lifetime;", and nothing behind it. */
static bool parse_block(struct slice block, struct oauth_claims *out)
{
    struct cursor c;
    cursor_init(&c, block);
    const size_t len = cursor_u16(&c);
    /* "The key length of 160 bits MUST be supported". */
    if (len < OAUTH_MAC_KEY_MIN || len > AUTH_KEY_MAX || block.len != BLOCK_LEN(len))
        return false;
    const struct slice mac_key = cursor_bytes(&c, len);
    out->timestamp = cursor_u64(&c);
    out->lifetime_s = cursor_u32(&c);
    if (c.failed)
        return false;
    memcpy(out->mac_key.bytes, mac_key.data, len);
    out->mac_key.len = (uint8_t)len;
    return true;
}

static struct crypto_aead aead_of(const struct oauth_seal *seal, struct slice nonce)
{
    return (struct crypto_aead){
        .cipher =
            seal->key->algorithm == AUTH_OAUTH_A128GCM ? CRYPTO_AES128_GCM : CRYPTO_AES256_GCM,
        .key = slice_of(seal->key->key, seal->key->key_len),
        .nonce = nonce,
        /* RFC 7635 section 6.2: "The associated data (A) MUST be the STUN server name." */
        .associated = seal->server_name,
    };
}

int oauth_token_open(const struct oauth_seal *seal, struct slice token, struct oauth_claims *out)
{
    struct framed framed;
    if (!parse(token, &framed))
        return 1;
    const struct crypto_aead how = aead_of(seal, framed.nonce);
    uint8_t block[BLOCK_MAX];
    struct oauth_claims claims = {0};
    int rc = crypto_open(seal->crypto, &how, framed.sealed, block);
    if (rc == 0 && !parse_block(slice_of(block, framed.sealed.len - CRYPTO_GCM_TAG_LEN), &claims))
        rc = 1;
    if (rc == 0)
        *out = claims;
    secret_cleanse(block, sizeof(block));
    secret_cleanse(&claims, sizeof(claims));
    return rc == -EINVAL ? -EIO : rc;
}

int oauth_token_seal(const struct oauth_seal *seal, const struct oauth_claims *claims,
    const uint8_t nonce[OAUTH_NONCE_LEN], struct oauth_token *out)
{
    if (claims->mac_key.len < OAUTH_MAC_KEY_MIN || claims->mac_key.len > AUTH_KEY_MAX)
        return -EINVAL;
    uint8_t block[BLOCK_MAX];
    struct oauth_token token = {.len = OAUTH_TOKEN_LEN(claims->mac_key.len)};
    struct writer w;
    writer_init(&w, block, sizeof(block));
    writer_u16(&w, claims->mac_key.len);
    writer_bytes(&w, claims->mac_key.bytes, claims->mac_key.len);
    writer_u64(&w, claims->timestamp);
    writer_u32(&w, claims->lifetime_s);
    const struct slice plain = slice_of(block, writer_len(&w));
    writer_init(&w, token.bytes, sizeof(token.bytes));
    writer_u16(&w, OAUTH_NONCE_LEN);
    writer_bytes(&w, nonce, OAUTH_NONCE_LEN);
    const struct crypto_aead how = aead_of(seal, slice_of(nonce, OAUTH_NONCE_LEN));
    int rc = crypto_seal(seal->crypto, &how, plain, token.bytes + writer_len(&w));
    if (rc == 0)
        *out = token;
    secret_cleanse(block, sizeof(block));
    return rc;
}

int oauth_token_id(struct crypto *crypto, struct slice token, char out[OAUTH_ID_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[CRYPTO_SHA256_LEN];
    if (crypto_digest(crypto, CRYPTO_SHA256, &token, 1, digest) < 0)
        return -EIO;
    for (size_t i = 0; i < OAUTH_ID_LEN; i++)
        out[i] = digits[(i % 2 == 0 ? digest[i / 2] >> 4 : digest[i / 2]) & 15];
    out[OAUTH_ID_LEN] = '\0';
    return 0;
}

/* From the time stamp to now, in microseconds; what is too far away ends at the bound. */
static int64_t age_us(uint64_t timestamp, const struct instant *now)
{
    const int64_t fraction_us = (int64_t)((timestamp & 0xffff) * US_PER_S / FRACTIONS_PER_S);
    int64_t seconds = now->wall_s - (int64_t)(timestamp >> 16);
    if (seconds > DISTANCE_MAX_S)
        seconds = DISTANCE_MAX_S;
    if (seconds < -DISTANCE_MAX_S)
        seconds = -DISTANCE_MAX_S;
    return seconds * (int64_t)US_PER_S + now->wall_us - fraction_us;
}

static int64_t floor_s(int64_t us)
{
    const int64_t unit = (int64_t)US_PER_S;
    return us / unit - (us % unit < 0);
}

struct oauth_life oauth_claims_life(const struct oauth_claims *claims, const struct instant *now)
{
    const int64_t age = age_us(claims->timestamp, now);
    const int64_t lifetime = (int64_t)claims->lifetime_s * (int64_t)US_PER_S;
    /* RFC 7635 section 9: "lifetime + Delta - abs(RDnew - TS)"; section 7 accepts while it is
     * positive. */
    int64_t left = lifetime + OAUTH_DELTA_S * (int64_t)US_PER_S - (age < 0 ? -age : age);
    const bool fresh = left > 0;
    /* Section 9: "The lifetime provided by the TURN server in the Allocate and Refresh responses
     * MUST be less than or equal to the lifetime of the token." */
    if (left > lifetime)
        left = lifetime;
    if (!fresh && age < 0)
        left = 0;
    return (struct oauth_life){fresh, now->wall_s + floor_s(now->wall_us + left)};
}

/*
 * `not_after` bounds when tokens are issued, not how long they run: their lifetime does, which has
 * the ceiling of every credential. So a stolen key that is no longer in use is worth nothing when
 * that has passed.
 */
bool oauth_key_covers(
    const struct store_oauth_key *key, const struct oauth_claims *claims, const struct instant *now)
{
    const int64_t issued = (int64_t)(claims->timestamp >> 16);
    if (key->not_before != 0 &&
        (issued < key->not_before || now->wall_s + OAUTH_DELTA_S < key->not_before))
        return false;
    return key->not_after == 0 || issued <= key->not_after;
}

static const char *unfit(const struct oauth *oauth, const struct auth_oauth_key_settings *s)
{
    if (!s->kid || s->kid[0] == '\0' || strlen(s->kid) > OAUTH_KID_MAX)
        return "a kid has 1 to 127 bytes";
    if (s->key.len == 0 || s->key.len != oauth_key_len(s->algorithm))
        return "a key has 32 bytes (A256GCM) or 16 (A128GCM)";
    if (s->not_before != 0 && s->not_after != 0 && s->not_after <= s->not_before)
        return "its time ends before it begins";
    for (size_t i = 0; i < oauth->count; i++)
        if (strcmp(oauth->list[i].kid, s->kid) == 0)
            return "the kid is there twice";
    return NULL;
}

static const char *add(struct oauth *oauth, const struct auth_oauth_key_settings *s)
{
    const char *why = unfit(oauth, s);
    if (why)
        return why;
    struct oauth_named_key *k = &oauth->list[oauth->count++];
    memcpy(k->kid, s->kid, strlen(s->kid));
    memcpy(k->key.key, s->key.data, s->key.len);
    k->key.key_len = (uint8_t)s->key.len;
    k->key.algorithm = s->algorithm;
    k->key.not_before = s->not_before;
    k->key.not_after = s->not_after;
    return NULL;
}

static const char *set_server_name(struct oauth *oauth, const struct auth_realm_settings *s)
{
    const size_t len = s->oauth_server_name ? strlen(s->oauth_server_name) : 0;
    if (s->oauth_server_name && (len == 0 || len > OAUTH_SERVER_NAME_MAX))
        return "the server name of its access tokens has 1 to 255 bytes";
    if (s->oauth_key_count > OAUTH_KEYS_MAX)
        return "a realm has at most 64 keys for access tokens";
    if (!s->oauth_server_name && s->oauth_key_count > 0)
        return "there are keys for access tokens, but no server name";
    return secret_set(&oauth->server_name, slice_of(s->oauth_server_name, len)) < 0
               ? "out of memory"
               : NULL;
}

int oauth_init(
    struct oauth *out, const struct auth_realm_settings *settings, char *error, size_t error_cap)
{
    struct oauth oauth = {0};
    const char *what = NULL, *kid = NULL;
    const char *why = set_server_name(&oauth, settings);
    if (!why) {
        oauth.list =
            calloc(settings->oauth_key_count ? settings->oauth_key_count : 1, sizeof(*oauth.list));
        why = oauth.list ? NULL : "out of memory";
    }
    for (size_t i = 0; !why && i < settings->oauth_key_count; i++) {
        what = "OAuth key";
        kid = settings->oauth_keys[i].kid;
        why = add(&oauth, &settings->oauth_keys[i]);
    }
    if (!why) {
        *out = oauth;
        return 0;
    }
    auth_error(error, error_cap, (const char *[3]){settings->name, what, kid}, why);
    oauth_deinit(&oauth);
    return strcmp(why, "out of memory") == 0 ? -ENOMEM : -EINVAL;
}

void oauth_deinit(struct oauth *oauth)
{
    if (oauth->list)
        secret_cleanse(oauth->list, oauth->count * sizeof(*oauth->list));
    free(oauth->list);
    secret_wipe(&oauth->server_name);
    *oauth = (struct oauth){0};
}

const struct store_oauth_key *oauth_find(const struct oauth *oauth, struct slice kid)
{
    char padded[OAUTH_KID_MAX + 1] = {0};
    const struct store_oauth_key *found = NULL;
    if (kid.len == 0 || kid.len > OAUTH_KID_MAX || memchr(kid.data, '\0', kid.len))
        return NULL;
    memcpy(padded, kid.data, kid.len);
    for (size_t i = 0; i < oauth->count; i++) {
        const struct oauth_named_key *k = &oauth->list[i];
        if (secret_equal(slice_of(padded, sizeof(padded)), slice_of(k->kid, sizeof(k->kid))))
            found = &k->key;
    }
    return found;
}

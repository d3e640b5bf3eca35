/*
 * Tags of SRTP and SRTCP, computed and compared. Session keys are derived once; master keys are
 * not kept. Nothing is allocated for a packet but what OpenSSL's HMAC takes and gives back at
 * once. What is decrypted to check a tag of AEAD goes nowhere. Called by the verifier.
 */
#include "srtp/packet_tags.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

#include "base/secret.h"
#include "wire/rtp.h"

#define AUTH_KEY_LEN  20 /* n_a, RFC 3711 section 5.2 */
#define SALT_LEN      14 /* of a master; AEAD has 12 of its own, then zeros */
#define AEAD_SALT_LEN 12
#define AEAD_TAG_LEN  16
#define PLAIN_CHUNK   512
#define E_BIT         0x80

/* RFC 3711 section 4.3.1 and 4.3.2. */
enum key_label { LABEL_RTP = 0, LABEL_RTCP = 3 };
enum { LABEL_ENCRYPTION = 0, LABEL_AUTHENTICATION = 1, LABEL_SALT = 2 };

/* Of SRTP or of SRTCP. */
struct session_key {
    EVP_MAC_CTX *hmac;   /* keyed; NULL with AEAD */
    EVP_CIPHER_CTX *gcm; /* keyed; NULL with HMAC */
    uint8_t salt[AEAD_SALT_LEN];
};

struct session_master {
    uint8_t mki[SRTP_MKI_MAX];
    struct session_key rtp, rtcp;
};

struct packet_tags {
    const struct srtp_suite_facts *suite;
    uint8_t count, mki_len;
    struct session_master masters[SRTP_MASTERS_MAX];
};

/* Fetched for the time of packet_tags_new: contexts hold references of their own. */
struct algorithms {
    EVP_CIPHER *prf, *gcm;
    EVP_MAC *hmac;
};

static bool derive(EVP_CIPHER *prf, const struct srtp_suite_facts *suite,
    const struct srtp_master *master, unsigned label, struct slice out)
{
    /* RFC 3711 section 4.3.3: "PRF_n(k_master,x) SHALL be AES in Counter Mode [...] applied to key
     * k_master, and IV equal to (x*2^16)", with x from section 4.3.1: "key_id XOR master_salt,
     * where key_id and master_salt are aligned so that their least significant bits agree", and
     * key_id the label before 48 bits of zero. */
    uint8_t iv[16] = {0};
    memcpy(iv, master->key_and_salt + suite->key_len, suite->salt_len);
    iv[SALT_LEN - 7] ^= (uint8_t)label;
    static const uint8_t zeros[32];
    uint8_t *key = (uint8_t *)(uintptr_t)out.data;
    int len = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const bool ok = ctx && EVP_EncryptInit_ex2(ctx, prf, master->key_and_salt, iv, NULL) == 1 &&
                    EVP_EncryptUpdate(ctx, key, &len, zeros, (int)out.len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok && (size_t)len == out.len;
}

static bool set_hmac(struct session_key *key, EVP_MAC *mac, const uint8_t *secret)
{
    /* OSSL_PARAM takes a pointer to plain char for input and output alike; here it is only read. */
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA1", 0),
        OSSL_PARAM_construct_end(),
    };
    key->hmac = EVP_MAC_CTX_new(mac);
    return key->hmac && EVP_MAC_init(key->hmac, secret, AUTH_KEY_LEN, params) == 1;
}

static bool set_gcm(struct session_key *key, EVP_CIPHER *gcm, const uint8_t *secret)
{
    key->gcm = EVP_CIPHER_CTX_new();
    return key->gcm && EVP_DecryptInit_ex2(key->gcm, gcm, secret, NULL, NULL) == 1;
}

static bool set_key(struct session_key *key, const struct algorithms *a,
    const struct srtp_suite_facts *suite, const struct srtp_master *master, enum key_label label)
{
    uint8_t secret[32];
    bool ok;
    if (suite->aead)
        ok = derive(a->prf, suite, master, label + LABEL_ENCRYPTION,
                 slice_of(secret, suite->key_len)) &&
             derive(a->prf, suite, master, label + LABEL_SALT,
                 slice_of(key->salt, sizeof(key->salt))) &&
             set_gcm(key, a->gcm, secret);
    else
        ok = derive(a->prf, suite, master, label + LABEL_AUTHENTICATION,
                 slice_of(secret, AUTH_KEY_LEN)) &&
             set_hmac(key, a->hmac, secret);
    secret_cleanse(secret, sizeof(secret));
    return ok;
}

static bool set_masters(struct packet_tags *t, const struct srtp_keys *keys)
{
    const bool small = t->suite->key_len == 16;
    struct algorithms a = {
        .prf = EVP_CIPHER_fetch(NULL, small ? "AES-128-CTR" : "AES-256-CTR", NULL),
        .gcm = EVP_CIPHER_fetch(NULL, small ? "AES-128-GCM" : "AES-256-GCM", NULL),
        .hmac = EVP_MAC_fetch(NULL, "HMAC", NULL),
    };
    bool ok = a.prf && a.gcm && a.hmac;
    for (unsigned i = 0; ok && i < keys->count; i++) {
        memcpy(t->masters[i].mki, keys->masters[i].mki, sizeof(t->masters[i].mki));
        ok = set_key(&t->masters[i].rtp, &a, t->suite, &keys->masters[i], LABEL_RTP) &&
             set_key(&t->masters[i].rtcp, &a, t->suite, &keys->masters[i], LABEL_RTCP);
    }
    EVP_CIPHER_free(a.prf);
    EVP_CIPHER_free(a.gcm);
    EVP_MAC_free(a.hmac);
    return ok;
}

int packet_tags_new(struct packet_tags **out, const struct srtp_keys *keys)
{
    if (keys->suite >= SRTP_SUITE_COUNT || keys->count == 0 || keys->count > SRTP_MASTERS_MAX ||
        keys->masters[0].mki_len > SRTP_MKI_MAX)
        return -EINVAL;
    struct packet_tags *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->suite = &srtp_suites[keys->suite];
    t->count = keys->count;
    t->mki_len = keys->masters[0].mki_len;
    ERR_set_mark();
    const bool ok = set_masters(t, keys);
    ERR_pop_to_mark();
    if (!ok) {
        packet_tags_free(t);
        return -ENOMEM;
    }
    *out = t;
    return 0;
}

/* OpenSSL wipes what its contexts hold. */
static void key_deinit(struct session_key *key)
{
    EVP_MAC_CTX_free(key->hmac);
    EVP_CIPHER_CTX_free(key->gcm);
}

void packet_tags_free(struct packet_tags *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < t->count; i++) {
        key_deinit(&t->masters[i].rtp);
        key_deinit(&t->masters[i].rtcp);
    }
    secret_cleanse(t, sizeof(*t));
    free(t);
}

/* The one whose MKI ends before the last `behind` bytes. */
static struct session_master *find_master(struct packet_tags *t, struct slice packet, size_t behind)
{
    if (t->mki_len == 0)
        return &t->masters[0];
    const uint8_t *mki = packet.data + packet.len - behind - t->mki_len;
    for (unsigned i = 0; i < t->count; i++) {
        if (memcmp(mki, t->masters[i].mki, t->mki_len) == 0)
            return &t->masters[i];
    }
    return NULL;
}

static bool hmac_fits(
    EVP_MAC_CTX *ctx, struct slice authenticated, struct slice roc, struct slice tag)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    size_t len = 0;
    ERR_set_mark();
    bool ok = EVP_MAC_init(ctx, NULL, 0, NULL) == 1 &&
              EVP_MAC_update(ctx, authenticated.data, authenticated.len) == 1 &&
              EVP_MAC_update(ctx, roc.data, roc.len) == 1 &&
              EVP_MAC_final(ctx, mac, &len, sizeof(mac)) == 1;
    ERR_pop_to_mark();
    ok = ok && len >= tag.len && CRYPTO_memcmp(mac, tag.data, tag.len) == 0;
    secret_cleanse(mac, sizeof(mac)); /* it is the right tag of a forged packet */
    return ok;
}

/* What AEAD takes in. */
struct sealed {
    uint8_t iv[AEAD_SALT_LEN];
    struct slice associated[2];
    struct slice cipher;
    const uint8_t *tag; /* AEAD_TAG_LEN bytes */
};

static bool gcm_begin(EVP_CIPHER_CTX *ctx, const struct sealed *s)
{
    int len = 0;
    return EVP_DecryptInit_ex2(ctx, NULL, NULL, s->iv, NULL) == 1 &&
           EVP_DecryptUpdate(ctx, NULL, &len, s->associated[0].data, (int)s->associated[0].len) ==
               1 &&
           (s->associated[1].len == 0 || EVP_DecryptUpdate(ctx, NULL, &len, s->associated[1].data,
                                             (int)s->associated[1].len) == 1);
}

static bool gcm_end(EVP_CIPHER_CTX *ctx, const struct sealed *s, uint8_t *plain)
{
    int len = 0;
    /* OpenSSL takes the tag that it compares with without const. */
    return EVP_CIPHER_CTX_ctrl(
               ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LEN, (void *)(uintptr_t)s->tag) == 1 &&
           EVP_DecryptFinal_ex(ctx, plain, &len) == 1;
}

static bool gcm_fits(const struct session_key *key, struct sealed *s)
{
    uint8_t plain[PLAIN_CHUNK];
    for (unsigned i = 0; i < AEAD_SALT_LEN; i++)
        s->iv[i] ^= key->salt[i];
    ERR_set_mark();
    bool ok = gcm_begin(key->gcm, s);
    for (size_t at = 0; ok && at < s->cipher.len; at += PLAIN_CHUNK) {
        const size_t left = s->cipher.len - at;
        int len = 0;
        ok = EVP_DecryptUpdate(key->gcm, plain, &len, s->cipher.data + at,
                 (int)(left < PLAIN_CHUNK ? left : PLAIN_CHUNK)) == 1;
    }
    ok = ok && gcm_end(key->gcm, s, plain);
    ERR_pop_to_mark();
    secret_cleanse(plain, sizeof(plain));
    return ok;
}

static bool aead_rtp_fits(
    struct packet_tags *t, const struct rtp_header *rtp, struct slice packet, const uint8_t roc[4])
{
    const struct session_master *master = find_master(t, packet, 0);
    if (!master)
        return false;
    const size_t end = packet.len - t->mki_len - AEAD_TAG_LEN;
    /* RFC 7714 section 8.1: "2 octets of zeroes, the 4-octet SSRC, the 4-octet rollover counter
     * (ROC), and the 2-octet sequence number (SEQ)". Section 8.2: associated data is the header
     * with CSRCs and extension. */
    struct sealed s = {
        .associated = {slice_of(packet.data, rtp->header_len)},
        .cipher = slice_of(packet.data + rtp->header_len, end - rtp->header_len),
        .tag = packet.data + end,
    };
    memcpy(s.iv + 2, packet.data + 8, 4);
    memcpy(s.iv + 6, roc, 4);
    memcpy(s.iv + 10, packet.data + 2, 2);
    return gcm_fits(&master->rtp, &s);
}

bool packet_tags_fit_rtp(struct packet_tags *t, struct slice packet, uint32_t roc)
{
    struct rtp_header rtp;
    if (rtp_parse(&rtp, packet) != REASON_NONE ||
        packet.len < (size_t)rtp.header_len + t->mki_len + t->suite->tag_len)
        return false;
    const uint8_t bytes[4] = {
        (uint8_t)(roc >> 24), (uint8_t)(roc >> 16), (uint8_t)(roc >> 8), (uint8_t)roc};
    if (t->suite->aead)
        return aead_rtp_fits(t, &rtp, packet, bytes);
    /* RFC 3711 section 4.2: "M = Authenticated Portion || ROC". The MKI is none of that portion
     * (section 3.1, figure 1), and stands before the tag. */
    const size_t tag_len = t->suite->tag_len;
    const struct session_master *master = find_master(t, packet, tag_len);
    return master &&
           hmac_fits(master->rtp.hmac, slice_of(packet.data, packet.len - tag_len - t->mki_len),
               slice_of(bytes, sizeof(bytes)),
               slice_of(packet.data + packet.len - tag_len, tag_len));
}

static bool aead_rtcp_fits(struct packet_tags *t, struct slice packet)
{
    const struct session_master *master = find_master(t, packet, 0);
    if (!master)
        return false;
    const uint8_t *index = packet.data + packet.len - t->mki_len - SRTCP_INDEX_LEN;
    struct sealed s = {.tag = index - AEAD_TAG_LEN};
    const size_t len =
        (size_t)(s.tag - packet.data); /* of what the sender saw, but for the index */
    /* RFC 7714 section 9.3: "When the Encryption flag is set to 0 [...] Plaintext: None. [...]
     * Associated Data: All other data." Section 9.2: else what comes up to the SSRC, "Encryption
     * flag (1 bit), and SRTCP index (31 bits)". */
    const size_t clear = (index[0] & E_BIT) != 0 ? RTCP_HEADER_LEN : len;
    s.associated[0] = slice_of(packet.data, clear);
    s.associated[1] = slice_of(index, SRTCP_INDEX_LEN);
    s.cipher = slice_of(packet.data + clear, len - clear);
    /* Section 9.1: "2 octets of zeroes, the 4-octet SSRC identifier, 2 octets of zeroes, a single
     * "0" bit, and the 31-bit SRTCP index." */
    memcpy(s.iv + 2, packet.data + 4, 4);
    memcpy(s.iv + 8, index, 4);
    s.iv[8] &= (uint8_t)~E_BIT;
    return gcm_fits(&master->rtcp, &s);
}

bool packet_tags_fit_rtcp(struct packet_tags *t, struct slice packet)
{
    const size_t tag_len = t->suite->aead ? AEAD_TAG_LEN : SRTCP_HMAC_LEN;
    if (packet.len < RTCP_HEADER_LEN + SRTCP_INDEX_LEN + t->mki_len + tag_len)
        return false;
    if (t->suite->aead)
        return aead_rtcp_fits(t, packet);
    /* RFC 3711 section 4.2: "in the case of SRTCP, M SHALL consist of the Authenticated Portion
     * [...] only", which the index with its E bit ends. */
    const struct session_master *master = find_master(t, packet, tag_len);
    return master &&
           hmac_fits(master->rtcp.hmac, slice_of(packet.data, packet.len - tag_len - t->mki_len),
               slice_of(NULL, 0), slice_of(packet.data + packet.len - tag_len, tag_len));
}

/*
 * RFC 4568's crypto attribute: "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:…|2^20|1:4", with or
 * without "a=crypto:" and the tag. Pure.
 */
#ifndef SRTP_CRYPTO_ATTRIBUTE_H
#define SRTP_CRYPTO_ATTRIBUTE_H

#include "srtp/keys.h"

enum crypto_fault {
    CRYPTO_FAULT_NONE,
    CRYPTO_FAULT_SYNTAX,     /* no crypto attribute */
    CRYPTO_FAULT_SUITE,      /* not one of suites.def */
    CRYPTO_FAULT_KEY_METHOD, /* not "inline" */
    CRYPTO_FAULT_BASE64,     /* no base64 */
    CRYPTO_FAULT_KEY_LENGTH, /* not the key and salt of the suite */
    CRYPTO_FAULT_LIFETIME,   /* no number, 0, or more than the suite allows */
    CRYPTO_FAULT_MKI, /* missing with several keys, of different lengths, twice, or too long */
    CRYPTO_FAULT_TOO_MANY_KEYS,     /* more than SRTP_MASTERS_MAX */
    CRYPTO_FAULT_SESSION_PARAMETER, /* one that changes what is verified, and that we do not do */
    CRYPTO_FAULT_COUNT
};

#define CRYPTO_ATTRIBUTE_MAX 1024

/* *out is written only with CRYPTO_FAULT_NONE; what was decoded on the way is wiped. WSH is heeded
 * by nobody here, and passes; KDR=0 too. */
enum crypto_fault crypto_attribute_parse(struct srtp_keys *out, struct slice text);
const char *crypto_fault_text(enum crypto_fault fault); /* for people; never any of the text */

#endif

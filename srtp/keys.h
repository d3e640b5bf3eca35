/*
 * Keys of media as the signalling side deposits them: RFC 4568's key parameters, bound to an
 * allocation, or to a user and an SSRC, in one direction, with an end. A plain value that crosses
 * threads on the heap; who is done with it wipes it. fleet/ and daemon/ bring it, relay/ uses it.
 */
#ifndef SRTP_KEYS_H
#define SRTP_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum srtp_direction { SRTP_TO_PEER, SRTP_TO_CLIENT, SRTP_DIRECTIONS };

enum srtp_suite {
#define SRTP_SUITE(id, name, key_len, salt_len, tag_len, aead) SRTP_##id,
#include "srtp/suites.def"
#undef SRTP_SUITE
    SRTP_SUITE_COUNT
};

#define SRTP_MASTERS_MAX 4  /* of one crypto attribute: told apart by their MKI */
#define SRTP_MASTER_MAX  46 /* bytes: 32 of key, 14 of salt */
#define SRTP_MKI_MAX     32 /* bytes; RFC 4568 allows 128, and has 32 in its examples */
#define SRTP_USER_MAX    508

struct srtp_master {
    uint8_t key_and_salt[SRTP_MASTER_MAX]; /* as long as the suite says, then zeros */
    uint8_t mki_len;                       /* 0: none, and then there is one master only */
    uint8_t mki[SRTP_MKI_MAX];             /* network byte order, left-padded */
};

struct srtp_keys {
    uint8_t suite; /* enum srtp_suite */
    uint8_t count; /* of masters: 1 to SRTP_MASTERS_MAX; all MKIs have one length */
    bool has_roc;
    uint32_t roc; /* roll-over counter of the first packet that comes; else it is tried for */
    struct srtp_master masters[SRTP_MASTERS_MAX];
};

/* Whose packets. Either `allocation` is not 0, and every SSRC of it or only `ssrc`; or a realm and
 * user, and `ssrc`. */
struct srtp_binding {
    uint64_t allocation; /* its id; 0: by user */
    uint32_t realm;      /* id; of a user */
    bool has_ssrc;
    uint32_t ssrc;
    uint8_t direction; /* enum srtp_direction */
    uint16_t user_len;
    uint8_t user[SRTP_USER_MAX]; /* as on the wire, or the account (identity_account) */
};

struct srtp_deposit {
    struct srtp_binding binding;
    int64_t until; /* wall clock, s; past: what is bound so is taken back, and `keys` is empty */
    struct srtp_keys keys;
};

/* On the heap, for another thread. NULL: out of memory. */
struct srtp_deposit *srtp_deposit_copy(const struct srtp_deposit *d);
/* Wipes and frees. NULL: nothing happens. */
void srtp_deposit_free(struct srtp_deposit *d);
/* Same allocation or user, SSRC and direction. */
bool srtp_binding_equal(const struct srtp_binding *a, const struct srtp_binding *b);
bool srtp_keys_equal(const struct srtp_keys *a, const struct srtp_keys *b); /* constant time */
/* The same, whatever is said of the roll-over counter. */
bool srtp_keys_same(const struct srtp_keys *a, const struct srtp_keys *b);

/* What a live allocation asks: which keys there are for it. */
struct srtp_wanted {
    uint64_t allocation;
    uint32_t realm;
    uint16_t user_len, account_len; /* account: empty, or what identity_account gives of `user` */
    uint8_t user[SRTP_USER_MAX], account[SRTP_USER_MAX];
};

struct srtp_suite_facts {
    const char *name; /* of RFC 4568 and RFC 7714 */
    uint8_t key_len, salt_len, tag_len;
    bool aead;
};
extern const struct srtp_suite_facts srtp_suites[SRTP_SUITE_COUNT];

#endif

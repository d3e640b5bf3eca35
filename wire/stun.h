/*
 * STUN messages (RFC 8489) and the attributes of TURN (RFC 8656): constants, the parser, integrity.
 *
 * The parser does no more than is safe to do for a stranger: it checks framing and FINGERPRINT,
 * remembers where each known attribute lies, and copies nothing. What comes behind an integrity
 * attribute does not exist for anyone who asks (RFC 8489 section 9: "agents MUST ignore all
 * attributes that follow MESSAGE-INTEGRITY", but for MESSAGE-INTEGRITY-SHA256 and
 * FINGERPRINT).
 */
#ifndef WIRE_STUN_H
#define WIRE_STUN_H

#include "base/addr.h"
#include "base/counters.h"
#include "base/crypto.h"
#include "base/slice.h"

#define STUN_HEADER_LEN      20
#define STUN_MAGIC_COOKIE    0x2112a442u
#define STUN_TRANSACTION_LEN 16  /* cookie and transaction id as they lie; RFC 3489: one id */
#define STUN_USERNAME_MAX    508 /* bytes; RFC 8489 section 14.3: less than 509 */
#define STUN_REALM_MAX       763
#define STUN_NONCE_MAX       763
#define STUN_USERHASH_LEN    32
#define STUN_ATTRIBUTES_MAX  250 /* per message: a CreatePermission may name many peers */
#define STUN_UNKNOWN_MAX     8   /* comprehension-required types kept for UNKNOWN-ATTRIBUTES */

enum stun_class { STUN_REQUEST = 0, STUN_INDICATION = 1, STUN_SUCCESS = 2, STUN_ERROR = 3 };

enum stun_method {
    STUN_BINDING = 0x001,
    STUN_ALLOCATE = 0x003,
    STUN_REFRESH = 0x004,
    STUN_SEND = 0x006,
    STUN_DATA = 0x007,
    STUN_CREATE_PERMISSION = 0x008,
    STUN_CHANNEL_BIND = 0x009
};

enum stun_attr_type {
    STUN_ATTR_MAPPED_ADDRESS = 0x0001,
    STUN_ATTR_USERNAME = 0x0006,
    STUN_ATTR_MESSAGE_INTEGRITY = 0x0008,
    STUN_ATTR_ERROR_CODE = 0x0009,
    STUN_ATTR_UNKNOWN_ATTRIBUTES = 0x000a,
    STUN_ATTR_CHANNEL_NUMBER = 0x000c,
    STUN_ATTR_LIFETIME = 0x000d,
    STUN_ATTR_XOR_PEER_ADDRESS = 0x0012,
    STUN_ATTR_DATA = 0x0013,
    STUN_ATTR_REALM = 0x0014,
    STUN_ATTR_NONCE = 0x0015,
    STUN_ATTR_XOR_RELAYED_ADDRESS = 0x0016,
    STUN_ATTR_REQUESTED_ADDRESS_FAMILY = 0x0017,
    STUN_ATTR_EVEN_PORT = 0x0018,
    STUN_ATTR_REQUESTED_TRANSPORT = 0x0019,
    STUN_ATTR_DONT_FRAGMENT = 0x001a,
    STUN_ATTR_ACCESS_TOKEN = 0x001b, /* RFC 7635; unknown to whoever calls stun_disown */
    STUN_ATTR_MESSAGE_INTEGRITY_SHA256 = 0x001c,
    STUN_ATTR_PASSWORD_ALGORITHM = 0x001d,
    STUN_ATTR_USERHASH = 0x001e,
    STUN_ATTR_XOR_MAPPED_ADDRESS = 0x0020,
    STUN_ATTR_RESERVATION_TOKEN = 0x0022,
    STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY = 0x8000,
    STUN_ATTR_ADDRESS_ERROR_CODE = 0x8001,
    STUN_ATTR_PASSWORD_ALGORITHMS = 0x8002,
    STUN_ATTR_ALTERNATE_DOMAIN = 0x8003,
    STUN_ATTR_ICMP = 0x8004,
    STUN_ATTR_SOFTWARE = 0x8022,
    STUN_ATTR_ALTERNATE_SERVER = 0x8023,
    STUN_ATTR_FINGERPRINT = 0x8028,
    STUN_ATTR_THIRD_PARTY_AUTHORIZATION = 0x802e,
    /* ADDITIONAL-ADDRESS-FAMILY of the drafts, as coturn and its clients sent it until 2025 */
    STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY_DRAFT = 0x8032
};

enum stun_password_algorithm { STUN_PASSWORD_MD5 = 1, STUN_PASSWORD_SHA256 = 2 };

struct stun_attr {
    uint16_t type;
    uint16_t offset; /* of the value, from the start of the message */
    uint16_t len;    /* of the value, without padding */
};

struct stun_msg {
    struct slice bytes; /* the whole message; borrowed */
    enum stun_class class;
    uint16_t method; /* 12 bits */
    bool classic;    /* without the magic cookie (RFC 3489) */
    uint8_t transaction[STUN_TRANSACTION_LEN];
    uint8_t attr_count;    /* what stun_find and stun_next see, in order, with duplicates */
    uint8_t unknown_count; /* may exceed STUN_UNKNOWN_MAX; each kept type counts once */
    bool has_fingerprint;
    uint16_t integrity_offset;          /* of the header of MESSAGE-INTEGRITY; 0: absent */
    uint16_t integrity256_offset;       /* of the header of MESSAGE-INTEGRITY-SHA256; 0: absent */
    uint16_t unknown[STUN_UNKNOWN_MAX]; /* types below 0x8000 that are not in enum stun_attr_type */
    struct stun_attr attrs[STUN_ATTRIBUTES_MAX];
};

/*
 * Parses one whole datagram. Returns REASON_NONE, or why it is no message (REASON_STUN_*), then
 * *out is not to be used, but for REASON_STUN_NO_COOKIE: then it is the header without attributes,
 * for who must answer. Refused: length not a multiple of 4 or not equal to the bytes given; an
 * attribute over the end; FINGERPRINT wrong or not last; no cookie unless it is a Binding request;
 * a MESSAGE-INTEGRITY whose length is not 20, a MESSAGE-INTEGRITY-SHA256 whose length is not 16,
 * 20, 24, 28 or 32. REASON_NOT_STUN: one of the two first bits is set.
 */
enum reason stun_parse(struct stun_msg *out, struct slice datagram);

/* The first covered attribute of the type ("only the first occurrence needs to be processed");
 * false: absent. *value is borrowed from the message. */
bool stun_find(const struct stun_msg *msg, uint16_t type, struct slice *value);
bool stun_has(const struct stun_msg *msg, uint16_t type);
/* The next covered attribute of the type from *index on; *index starts at 0 and is moved behind the
 * hit. */
bool stun_next(const struct stun_msg *msg, uint16_t type, unsigned *index, struct slice *value);

/* From now on no attribute of this type is known: it is found no more, and if a covered one is
 * there it counts among `unknown` (if it is comprehension-required). For what is understood only
 * where it was offered. */
void stun_disown(struct stun_msg *msg, uint16_t type);

/* Attribute values. Each returns true and writes *out only if length and content are what the RFC
 * allows. */
bool stun_read_u32(struct slice value, uint32_t *out);            /* LIFETIME: 4 bytes */
bool stun_read_channel(struct slice value, uint16_t *out);        /* any number; RFFU ignored */
bool stun_read_family(struct slice value, enum addr_family *out); /* other than 1, 2: ADDR_NONE */
bool stun_read_transport(struct slice value, uint8_t *out);       /* protocol number */
bool stun_read_even_port(struct slice value, bool *reserve);      /* 1 byte */
bool stun_read_token(struct slice value, uint8_t out[8]);         /* RESERVATION-TOKEN */
bool stun_read_addr(struct slice value, struct addr *out);        /* MAPPED-ADDRESS */
/* XOR-PEER-ADDRESS and its like. Never unmaps: an IPv4-mapped address stays IPv6. */
bool stun_read_xor_addr(const struct stun_msg *msg, struct slice value, struct addr *out);
/* PASSWORD-ALGORITHM: exactly one algorithm without parameters or with parameters, which are
 * skipped. */
bool stun_read_password_algorithm(struct slice value, uint16_t *out);

/*
 * Verifies MESSAGE-INTEGRITY-SHA256 if present, else MESSAGE-INTEGRITY (RFC 8489 section 9.2.4), in
 * constant time. 0: matches. 1: does not match or absent. <0: -EIO. One HMAC in every case where
 * one of them is present.
 */
int stun_verify_integrity(const struct stun_msg *msg, struct crypto *crypto, struct slice key);

/* True if a response to `msg` of this type may be recognised; for clients (bench, tests). */
static inline uint16_t stun_type(enum stun_class class, uint16_t method)
{
    return (uint16_t)((method & 0x0f) | (class & 1) << 4 | (method & 0x70) << 1 | (class & 2) << 7 |
                      (method & 0xf80) << 2);
}

#endif

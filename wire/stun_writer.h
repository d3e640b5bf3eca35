/*
 * Building STUN messages into the caller's buffer. Errors latch; padding is zero; nothing
 * uninitialised goes out (THREATS row 11). Attributes appear in the order of the calls; integrity
 * and FINGERPRINT come last.
 */
#ifndef WIRE_STUN_WRITER_H
#define WIRE_STUN_WRITER_H

#include "base/cursor.h"
#include "wire/stun.h"

struct stun_writer {
    struct writer w;
    uint8_t transaction[STUN_TRANSACTION_LEN];
    bool closed;    /* stun_write_attr_header was called: nothing may follow */
    size_t outside; /* bytes of value and padding that the caller sends from elsewhere */
};

/* `transaction` begins with the cookie (or what a classic client sent in its place). */
void stun_write_begin(struct stun_writer *s, void *buffer, size_t cap, enum stun_class class,
    uint16_t method, const uint8_t transaction[STUN_TRANSACTION_LEN]);
void stun_write_attr(struct stun_writer *s, uint16_t type, struct slice value);
void stun_write_u32(struct stun_writer *s, uint16_t type, uint32_t value);
void stun_write_xor_addr(struct stun_writer *s, uint16_t type, const struct addr *addr);
void stun_write_addr(struct stun_writer *s, uint16_t type, const struct addr *addr);
/* ERROR-CODE without a reason phrase; code 300–699. */
void stun_write_error(struct stun_writer *s, uint16_t code);
/* PASSWORD-ALGORITHMS listing SHA-256 and MD5, in this order, without parameters. */
void stun_write_password_algorithms(struct stun_writer *s);
/* The header of an attribute whose value of `len` bytes the caller sends from elsewhere, padded to
 * four (DATA): must be the last call before stun_write_end. */
void stun_write_attr_header(struct stun_writer *s, uint16_t type, uint16_t len);
/* MESSAGE-INTEGRITY (20 bytes) or MESSAGE-INTEGRITY-SHA256 (32 bytes) over what is there so far. */
void stun_write_integrity(
    struct stun_writer *s, struct crypto *crypto, struct slice key, bool sha256);
void stun_write_fingerprint(struct stun_writer *s);
/* Sets the length field. Returns the bytes that are in the buffer, 0 if anything failed. */
size_t stun_write_end(struct stun_writer *s);

#endif

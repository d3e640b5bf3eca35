/*
 * Builds STUN messages. What always holds: the buffer is filled from its start without a gap, every
 * attribute ends on a 32-bit boundary, padding and reserved fields are zero, and after the first
 * failure nothing comes out at all. Called by relay/ for responses and Data indications, and by the
 * clients in bench/ and tests.
 */
#include "wire/stun_writer.h"

#define ATTR_HEADER_LEN 4
#define FINGERPRINT_LEN 4
#define FINGERPRINT_XOR 0x5354554eu
#define LENGTH_MAX      (UINT16_MAX - STUN_HEADER_LEN)

/* The length field, for a message of which `more` bytes are still to come behind the buffer. */
static void set_length(struct stun_writer *s, size_t more)
{
    if (s->w.failed)
        return;
    const size_t length = writer_len(&s->w) - STUN_HEADER_LEN + more;
    if (length > LENGTH_MAX) {
        s->w.failed = true;
        return;
    }
    s->w.start[2] = (uint8_t)(length >> 8);
    s->w.start[3] = (uint8_t)length;
}

static size_t padding_of(size_t len)
{
    return (4 - len % 4) % 4;
}

static void write_header(struct stun_writer *s, uint16_t type, size_t len)
{
    if (s->closed || len > UINT16_MAX)
        s->w.failed = true;
    writer_u16(&s->w, type);
    writer_u16(&s->w, (uint16_t)len);
}

void stun_write_begin(struct stun_writer *s, void *buffer, size_t cap, enum stun_class class,
    uint16_t method, const uint8_t transaction[STUN_TRANSACTION_LEN])
{
    writer_init(&s->w, buffer, cap);
    memcpy(s->transaction, transaction, STUN_TRANSACTION_LEN);
    s->closed = false;
    s->outside = 0;
    writer_u16(&s->w, stun_type(class, method));
    writer_u16(&s->w, 0);
    writer_bytes(&s->w, transaction, STUN_TRANSACTION_LEN);
}

void stun_write_attr(struct stun_writer *s, uint16_t type, struct slice value)
{
    write_header(s, type, value.len);
    writer_bytes(&s->w, value.data, value.len);
    /* RFC 8489 section 14: "The padding bits MUST be set to zero on sending". */
    writer_zeros(&s->w, padding_of(value.len));
}

void stun_write_u32(struct stun_writer *s, uint16_t type, uint32_t value)
{
    write_header(s, type, 4);
    writer_u32(&s->w, value);
}

/* RFC 8489 section 14.1: a zero byte, "an 8-bit address family and a 16-bit port, followed by a
 * fixed-length value representing the IP address". `mask` is XORed over port and address. */
static void write_addr(struct stun_writer *s, uint16_t type, const struct addr *addr,
    const uint8_t mask[STUN_TRANSACTION_LEN])
{
    const size_t len = addr_ip_len(addr);
    if (len == 0) {
        s->w.failed = true;
        return;
    }
    write_header(s, type, 4 + len);
    writer_u8(&s->w, 0);
    writer_u8(&s->w, addr->family == ADDR_IPV4 ? 0x01 : 0x02);
    writer_u16(&s->w, (uint16_t)(addr->port ^ (mask[0] << 8 | mask[1])));
    for (size_t i = 0; i < len; i++)
        writer_u8(&s->w, addr->ip[i] ^ mask[i]);
}

void stun_write_xor_addr(struct stun_writer *s, uint16_t type, const struct addr *addr)
{
    write_addr(s, type, addr, s->transaction);
}

void stun_write_addr(struct stun_writer *s, uint16_t type, const struct addr *addr)
{
    static const uint8_t plain[STUN_TRANSACTION_LEN];
    write_addr(s, type, addr, plain);
}

void stun_write_error(struct stun_writer *s, uint16_t code)
{
    /* RFC 8489 section 14.8: "The Class represents the hundreds digit of the error code. The value
     * MUST be between 3 and 6. The Number represents the binary encoding of the error code modulo
     * 100". */
    if (code < 300 || code > 699) {
        s->w.failed = true;
        return;
    }
    stun_write_u32(s, STUN_ATTR_ERROR_CODE, (uint32_t)(code / 100) << 8 | code % 100);
}

void stun_write_password_algorithms(struct stun_writer *s)
{
    write_header(s, STUN_ATTR_PASSWORD_ALGORITHMS, 8);
    writer_u16(&s->w, STUN_PASSWORD_SHA256);
    writer_u16(&s->w, 0);
    writer_u16(&s->w, STUN_PASSWORD_MD5);
    writer_u16(&s->w, 0);
}

void stun_write_attr_header(struct stun_writer *s, uint16_t type, uint16_t len)
{
    write_header(s, type, len);
    s->closed = true;
    s->outside = len + padding_of(len);
}

void stun_write_integrity(
    struct stun_writer *s, struct crypto *crypto, struct slice key, bool sha256)
{
    const enum crypto_hash hash = sha256 ? CRYPTO_SHA256 : CRYPTO_SHA1;
    const uint16_t type = sha256 ? STUN_ATTR_MESSAGE_INTEGRITY_SHA256 : STUN_ATTR_MESSAGE_INTEGRITY;
    const size_t len = sha256 ? CRYPTO_SHA256_LEN : CRYPTO_SHA1_LEN;
    /* RFC 8489 section 14.5: the text is the message "up to and including the attribute preceding
     * the MESSAGE-INTEGRITY attribute. The Length field of the STUN message header is adjusted to
     * point to the end of the MESSAGE-INTEGRITY attribute." */
    set_length(s, ATTR_HEADER_LEN + len);
    if (s->w.failed || s->closed) {
        s->w.failed = true;
        return;
    }
    const struct slice text = slice_of(s->w.start, writer_len(&s->w));
    uint8_t mac[CRYPTO_SHA256_LEN];
    if (crypto_hmac(crypto, hash, key, &text, 1, mac) < 0) {
        s->w.failed = true;
        return;
    }
    stun_write_attr(s, type, slice_of(mac, len));
}

void stun_write_fingerprint(struct stun_writer *s)
{
    /* RFC 8489 section 14.7: "prior to computation of the CRC, this value must be correct and
     * include the CRC attribute as part of the message length." */
    set_length(s, ATTR_HEADER_LEN + FINGERPRINT_LEN);
    if (s->w.failed)
        return;
    const uint32_t crc = crypto_crc32(s->w.start, writer_len(&s->w));
    stun_write_u32(s, STUN_ATTR_FINGERPRINT, crc ^ FINGERPRINT_XOR);
}

size_t stun_write_end(struct stun_writer *s)
{
    set_length(s, s->outside);
    return writer_len(&s->w);
}

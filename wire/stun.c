/*
 * The STUN parser and the check of message integrity. What always holds after a parse that
 * succeeded: every attribute lies inside the message, none of them comes from behind an integrity
 * attribute, and a FINGERPRINT, if there is one, is right. Only what is filled is written: the
 * structure lies on the stack of the media path. Called by relay/ for every datagram that demux
 * calls STUN, before anything is known about its sender.
 */
#include "wire/stun.h"

#include "base/cursor.h"
#include "base/secret.h"

#define ATTR_HEADER_LEN 4
#define FINGERPRINT_LEN 4
#define FINGERPRINT_XOR 0x5354554eu

static bool is_known(uint16_t type)
{
    switch (type) {
    case STUN_ATTR_MAPPED_ADDRESS:
    case STUN_ATTR_USERNAME:
    case STUN_ATTR_MESSAGE_INTEGRITY:
    case STUN_ATTR_ERROR_CODE:
    case STUN_ATTR_UNKNOWN_ATTRIBUTES:
    case STUN_ATTR_CHANNEL_NUMBER:
    case STUN_ATTR_LIFETIME:
    case STUN_ATTR_XOR_PEER_ADDRESS:
    case STUN_ATTR_DATA:
    case STUN_ATTR_REALM:
    case STUN_ATTR_NONCE:
    case STUN_ATTR_XOR_RELAYED_ADDRESS:
    case STUN_ATTR_REQUESTED_ADDRESS_FAMILY:
    case STUN_ATTR_EVEN_PORT:
    case STUN_ATTR_REQUESTED_TRANSPORT:
    case STUN_ATTR_DONT_FRAGMENT:
    case STUN_ATTR_ACCESS_TOKEN:
    case STUN_ATTR_MESSAGE_INTEGRITY_SHA256:
    case STUN_ATTR_PASSWORD_ALGORITHM:
    case STUN_ATTR_USERHASH:
    case STUN_ATTR_XOR_MAPPED_ADDRESS:
    case STUN_ATTR_RESERVATION_TOKEN:
    case STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY:
    case STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY_DRAFT:
    case STUN_ATTR_ADDRESS_ERROR_CODE:
    case STUN_ATTR_PASSWORD_ALGORITHMS:
    case STUN_ATTR_ICMP:
    case STUN_ATTR_SOFTWARE:
    case STUN_ATTR_ALTERNATE_SERVER:
    case STUN_ATTR_ALTERNATE_DOMAIN:
    case STUN_ATTR_FINGERPRINT:
    case STUN_ATTR_THIRD_PARTY_AUTHORIZATION:
        return true;
    default:
        return false;
    }
}

/*
 * RFC 8489 section 9: "agents MUST ignore all attributes that follow MESSAGE-INTEGRITY, with the
 * exception of the MESSAGE-INTEGRITY-SHA256 and FINGERPRINT attributes." Behind
 * MESSAGE-INTEGRITY-SHA256 only FINGERPRINT is left, whether or not MESSAGE-INTEGRITY came before.
 * A second integrity attribute of a kind follows the first and is ignored as well.
 */
static bool is_behind_integrity(const struct stun_msg *msg, uint16_t type)
{
    if (type == STUN_ATTR_FINGERPRINT)
        return false;
    if (msg->integrity256_offset != 0)
        return true;
    return msg->integrity_offset != 0 && type != STUN_ATTR_MESSAGE_INTEGRITY_SHA256;
}

/* Duplicates are told from the types that were kept, so the count is exact up to STUN_UNKNOWN_MAX.
 * */
static void note_unknown(struct stun_msg *msg, uint16_t type)
{
    /* RFC 8489 section 14: "Attributes with type values between 0x8000 and 0xFFFF are
     * comprehension-optional attributes, which means that those attributes can be ignored by the
     * STUN agent if it does not understand them." */
    if (type >= 0x8000)
        return;
    for (unsigned i = 0; i < msg->unknown_count && i < STUN_UNKNOWN_MAX; i++)
        if (msg->unknown[i] == type)
            return;
    if (msg->unknown_count < STUN_UNKNOWN_MAX)
        msg->unknown[msg->unknown_count] = type;
    msg->unknown_count++;
}

/*
 * RFC 8489 section 14.7: "computed as the CRC-32 of the STUN message up to (but excluding) the
 * FINGERPRINT attribute itself, XOR'ed with the 32-bit value 0x5354554e". "When present, the
 * FINGERPRINT attribute MUST be the last attribute", so the length field is right as it lies.
 */
static bool is_fingerprint_right(const struct stun_msg *msg, size_t offset, uint16_t len)
{
    if (len != FINGERPRINT_LEN || offset + ATTR_HEADER_LEN + FINGERPRINT_LEN != msg->bytes.len)
        return false;
    struct cursor c;
    cursor_init(&c, slice_of(msg->bytes.data + offset + ATTR_HEADER_LEN, FINGERPRINT_LEN));
    return cursor_u32(&c) == (crypto_crc32(msg->bytes.data, offset) ^ FINGERPRINT_XOR);
}

/* RFC 8489 section 14.6: "The value will be at most 32 bytes, but it MUST be at least 16 bytes and
 * MUST be a multiple of 4 bytes." */
static bool is_integrity256_len(uint16_t len)
{
    return len >= 16 && len <= CRYPTO_SHA256_LEN && len % 4 == 0;
}

static enum reason take_attr(struct stun_msg *msg, uint16_t type, size_t offset, uint16_t len)
{
    if (type == STUN_ATTR_FINGERPRINT) {
        if (!is_fingerprint_right(msg, offset, len))
            return REASON_STUN_BAD_FINGERPRINT;
        msg->has_fingerprint = true;
    }
    if (is_behind_integrity(msg, type))
        return REASON_NONE;
    if (!is_known(type)) {
        note_unknown(msg, type);
        return REASON_NONE;
    }
    if (type == STUN_ATTR_MESSAGE_INTEGRITY) {
        if (len != CRYPTO_SHA1_LEN)
            return REASON_STUN_BAD_ATTRIBUTE;
        msg->integrity_offset = (uint16_t)offset;
    } else if (type == STUN_ATTR_MESSAGE_INTEGRITY_SHA256) {
        if (!is_integrity256_len(len))
            return REASON_STUN_BAD_ATTRIBUTE;
        msg->integrity256_offset = (uint16_t)offset;
    }
    struct stun_attr *attr = &msg->attrs[msg->attr_count++];
    attr->type = type;
    attr->offset = (uint16_t)(offset + ATTR_HEADER_LEN);
    attr->len = len;
    return REASON_NONE;
}

/* Attributes that are ignored are framed and counted like the others: a stranger decides how many
 * there are. */
static enum reason parse_attrs(struct stun_msg *msg, struct cursor *c)
{
    for (unsigned count = 0; cursor_left(c) > 0; count++) {
        if (count == STUN_ATTRIBUTES_MAX)
            return REASON_STUN_TOO_MANY_ATTRIBUTES;
        const size_t offset = msg->bytes.len - cursor_left(c);
        const uint16_t type = cursor_u16(c);
        const uint16_t len = cursor_u16(c);
        /* RFC 8489 section 14: "attributes whose content is not a multiple of 4 bytes are padded
         * with 1, 2, or 3 bytes of padding [...] The padding bits [...] MUST be ignored by the
         * receiver." */
        cursor_skip(c, ((size_t)len + 3) & ~(size_t)3);
        if (c->failed)
            return REASON_STUN_BAD_ATTRIBUTE;
        const enum reason reason = take_attr(msg, type, offset, len);
        if (reason != REASON_NONE)
            return reason;
    }
    return REASON_NONE;
}

static enum reason check_length(struct slice datagram, uint16_t length)
{
    if (length > datagram.len - STUN_HEADER_LEN)
        return REASON_STUN_TRUNCATED;
    /* RFC 8489 section 5: "Since all STUN attributes are padded to a multiple of 4 bytes, the last
     * 2 bits of this field are always zero." What lies over 65535 no offset could name, and no
     * datagram carries. */
    if (length % 4 != 0 || length != datagram.len - STUN_HEADER_LEN || datagram.len > UINT16_MAX)
        return REASON_STUN_BAD_LENGTH;
    return REASON_NONE;
}

static enum reason parse_header(struct stun_msg *msg, struct cursor *c, struct slice datagram)
{
    if (datagram.len < STUN_HEADER_LEN)
        return REASON_STUN_TRUNCATED;
    const uint16_t type = cursor_u16(c);
    const uint16_t length = cursor_u16(c);
    /* RFC 8489 section 5: "The most significant 2 bits of every STUN message MUST be zeroes." */
    if (type >= 0x4000)
        return REASON_NOT_STUN;
    const enum reason reason = check_length(datagram, length);
    if (reason != REASON_NONE)
        return reason;
    memcpy(msg->transaction, c->p, STUN_TRANSACTION_LEN);
    const uint32_t cookie = cursor_u32(c);
    cursor_skip(c, STUN_TRANSACTION_LEN - sizeof(cookie));
    msg->class = (enum stun_class)((type >> 4 & 1) | (type >> 7 & 2));
    msg->method = (uint16_t)((type & 0x0f) | (type >> 1 & 0x70) | (type >> 2 & 0xf80));
    /* RFC 8489 section 5: "placing the magic cookie in this location allows a server to detect if
     * the client will understand certain attributes that were added". Clients of RFC 3489 know of
     * our methods only Binding. */
    msg->classic = cookie != STUN_MAGIC_COOKIE;
    if (msg->classic && type != stun_type(STUN_REQUEST, STUN_BINDING))
        return REASON_STUN_NO_COOKIE;
    return REASON_NONE;
}

enum reason stun_parse(struct stun_msg *out, struct slice datagram)
{
    struct cursor c;
    cursor_init(&c, datagram);
    out->bytes = datagram;
    out->attr_count = 0;
    out->unknown_count = 0;
    out->has_fingerprint = false;
    out->integrity_offset = 0;
    out->integrity256_offset = 0;
    const enum reason reason = parse_header(out, &c, datagram);
    return reason != REASON_NONE ? reason : parse_attrs(out, &c);
}

bool stun_next(const struct stun_msg *msg, uint16_t type, unsigned *index, struct slice *value)
{
    for (unsigned i = *index; i < msg->attr_count; i++) {
        const struct stun_attr *attr = &msg->attrs[i];
        if (attr->type != type)
            continue;
        *value = slice_of(msg->bytes.data + attr->offset, attr->len);
        *index = i + 1;
        return true;
    }
    return false;
}

bool stun_find(const struct stun_msg *msg, uint16_t type, struct slice *value)
{
    unsigned index = 0;
    return stun_next(msg, type, &index, value);
}

bool stun_has(const struct stun_msg *msg, uint16_t type)
{
    struct slice ignored;
    return stun_find(msg, type, &ignored);
}

void stun_disown(struct stun_msg *msg, uint16_t type)
{
    uint8_t kept = 0;
    for (unsigned i = 0; i < msg->attr_count; i++) {
        if (msg->attrs[i].type != type)
            msg->attrs[kept++] = msg->attrs[i];
    }
    if (kept != msg->attr_count)
        note_unknown(msg, type);
    msg->attr_count = kept;
}

/*
 * exception: RFC 8489 section 14.6 wants "the full 32 bytes unless the STUN Usage explicitly
 * specifies that truncation is allowed", which TURN does not. What the sender left of the value is
 * compared, 16 bytes at least: too many to guess.
 */
int stun_verify_integrity(const struct stun_msg *msg, struct crypto *crypto, struct slice key)
{
    const bool sha256 = msg->integrity256_offset != 0;
    const size_t offset = sha256 ? msg->integrity256_offset : msg->integrity_offset;
    if (offset == 0)
        return 1;
    const uint8_t *attr = msg->bytes.data + offset;
    const size_t len = (size_t)attr[2] << 8 | attr[3];
    /* RFC 8489 sections 14.5 and 14.6: "the Length field in the STUN header must be adjusted to
     * point to the end of the MESSAGE-INTEGRITY attribute prior to calculating the HMAC over the
     * STUN message, up to and including the attribute preceding the MESSAGE-INTEGRITY attribute."
     * */
    const size_t length = offset + ATTR_HEADER_LEN + len - STUN_HEADER_LEN;
    uint8_t header[STUN_HEADER_LEN];
    memcpy(header, msg->bytes.data, sizeof(header));
    header[2] = (uint8_t)(length >> 8);
    header[3] = (uint8_t)length;
    const struct slice parts[] = {
        slice_of(header, sizeof(header)),
        slice_of(msg->bytes.data + STUN_HEADER_LEN, offset - STUN_HEADER_LEN),
    };
    uint8_t mac[CRYPTO_SHA256_LEN];
    const enum crypto_hash hash = sha256 ? CRYPTO_SHA256 : CRYPTO_SHA1;
    const int result = crypto_hmac(crypto, hash, key, parts, 2, mac);
    if (result < 0)
        return result;
    return secret_equal(slice_of(mac, len), slice_of(attr + ATTR_HEADER_LEN, len)) ? 0 : 1;
}

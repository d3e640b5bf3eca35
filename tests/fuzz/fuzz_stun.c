/*
 * Any bytes as a STUN datagram. What parses must keep the promises of wire/stun.h: slices inside
 * the message, nothing from behind an integrity attribute, the same answer when what lies there is
 * cut off, and the same attributes again when the writer writes them and signs them.
 */
#include "tests/fuzz/fuzz.h"
#include "wire/stun_writer.h"

#define BUFFER_LEN 65536
/* MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT, with their headers. */
#define SIGNATURES_LEN (24 + 36 + 8)

static const enum reason expected[] = {REASON_NONE, REASON_NOT_STUN, REASON_STUN_TRUNCATED,
    REASON_STUN_BAD_LENGTH, REASON_STUN_BAD_ATTRIBUTE, REASON_STUN_TOO_MANY_ATTRIBUTES,
    REASON_STUN_NO_COOKIE, REASON_STUN_BAD_FINGERPRINT};

struct fuzz_reasons fuzz_reasons = {
    .expected = expected, .count = sizeof(expected) / sizeof(expected[0])};

static struct crypto *crypto;
static const uint8_t key_bytes[] = "fuzz";
static const struct slice key = {key_bytes, sizeof(key_bytes) - 1};

static bool is_signature(uint16_t type)
{
    return type == STUN_ATTR_MESSAGE_INTEGRITY || type == STUN_ATTR_MESSAGE_INTEGRITY_SHA256 ||
           type == STUN_ATTR_FINGERPRINT;
}

static struct slice attr_value(const struct stun_msg *msg, unsigned i)
{
    return slice_of(msg->bytes.data + msg->attrs[i].offset, msg->attrs[i].len);
}

/* Behind the last integrity attribute that counts, 0 if there is none. */
static size_t covered_end(const struct stun_msg *msg)
{
    const size_t at = msg->integrity_offset != 0 ? msg->integrity_offset : msg->integrity256_offset;
    if (at == 0)
        return 0;
    return at + 4 + ((size_t)msg->bytes.data[at + 2] << 8 | msg->bytes.data[at + 3]);
}

static void check_attrs(const struct stun_msg *msg)
{
    const size_t end = covered_end(msg);
    size_t at = STUN_HEADER_LEN;
    FUZZ_REQUIRE(msg->attr_count <= STUN_ATTRIBUTES_MAX);
    for (unsigned i = 0; i < msg->attr_count; i++) {
        const struct stun_attr *attr = &msg->attrs[i];
        FUZZ_REQUIRE(attr->offset % 4 == 0 && attr->offset >= at + 4);
        at = (size_t)attr->offset + attr->len;
        FUZZ_REQUIRE(at <= msg->bytes.len);
        FUZZ_REQUIRE(end == 0 || at <= end || attr->type == STUN_ATTR_MESSAGE_INTEGRITY_SHA256 ||
                     attr->type == STUN_ATTR_FINGERPRINT);
        FUZZ_REQUIRE(stun_has(msg, attr->type));
    }
    FUZZ_REQUIRE(msg->has_fingerprint == stun_has(msg, STUN_ATTR_FINGERPRINT));
    FUZZ_REQUIRE((msg->integrity_offset != 0) == stun_has(msg, STUN_ATTR_MESSAGE_INTEGRITY));
    FUZZ_REQUIRE(
        (msg->integrity256_offset != 0) == stun_has(msg, STUN_ATTR_MESSAGE_INTEGRITY_SHA256));
}

static void check_unknown(const struct stun_msg *msg)
{
    FUZZ_REQUIRE(msg->unknown_count + msg->attr_count <= STUN_ATTRIBUTES_MAX);
    for (unsigned i = 0; i < msg->unknown_count && i < STUN_UNKNOWN_MAX; i++) {
        FUZZ_REQUIRE(msg->unknown[i] < 0x8000 && !stun_has(msg, msg->unknown[i]));
        for (unsigned j = 0; j < i; j++)
            FUZZ_REQUIRE(msg->unknown[i] != msg->unknown[j]);
    }
}

/* Every reader over every value, whatever its type. */
static void check_readers(const struct stun_msg *msg, struct slice value)
{
    uint8_t byte, token[8];
    uint16_t word;
    uint32_t number;
    bool flag;
    enum addr_family family;
    FUZZ_REQUIRE(stun_read_u32(value, &number) == (value.len == 4));
    FUZZ_REQUIRE(stun_read_channel(value, &word) == (value.len == 4));
    FUZZ_REQUIRE(stun_read_family(value, &family) == (value.len == 4));
    FUZZ_REQUIRE(stun_read_transport(value, &byte) == (value.len == 4));
    FUZZ_REQUIRE(stun_read_even_port(value, &flag) == (value.len == 1));
    FUZZ_REQUIRE(stun_read_token(value, token) == (value.len == 8));
    if (stun_read_password_algorithm(value, &word))
        FUZZ_REQUIRE(value.len % 4 == 0 && value.len >= 4);
    struct addr plain, masked;
    FUZZ_REQUIRE(stun_read_addr(value, &plain) == stun_read_xor_addr(msg, value, &masked));
}

/* An address that was read is written as the bytes it was read from, but for the ignored first. */
static void check_addr(const struct stun_msg *msg, struct slice value)
{
    struct addr addr;
    if (!stun_read_xor_addr(msg, value, &addr))
        return;
    uint8_t buffer[64];
    struct stun_writer s;
    stun_write_begin(&s, buffer, sizeof(buffer), msg->class, msg->method, msg->transaction);
    stun_write_xor_addr(&s, STUN_ATTR_XOR_PEER_ADDRESS, &addr);
    FUZZ_REQUIRE(stun_write_end(&s) == STUN_HEADER_LEN + 4 + value.len);
    FUZZ_REQUIRE(memcmp(buffer + STUN_HEADER_LEN + 5, value.data + 1, value.len - 1) == 0);
    const size_t ip_len = addr_ip_len(&addr);
    FUZZ_REQUIRE(ip_len + 4 == value.len && addr.reserved == 0 && addr.scope == 0);
    for (size_t i = ip_len; i < sizeof(addr.ip); i++)
        FUZZ_REQUIRE(addr.ip[i] == 0);
}

/* The same attributes in the same order; `signatures` says whether those count. */
static void check_same(const struct stun_msg *a, const struct stun_msg *b, bool signatures)
{
    unsigned j = 0;
    FUZZ_REQUIRE(a->class == b->class && a->method == b->method && a->classic == b->classic);
    FUZZ_REQUIRE(memcmp(a->transaction, b->transaction, STUN_TRANSACTION_LEN) == 0);
    for (unsigned i = 0; i < a->attr_count; i++) {
        const uint16_t type = a->attrs[i].type;
        if (type == STUN_ATTR_FINGERPRINT || (!signatures && is_signature(type)))
            continue;
        FUZZ_REQUIRE(j < b->attr_count && b->attrs[j].type == type);
        FUZZ_REQUIRE(slice_equal(attr_value(a, i), attr_value(b, j)));
        j++;
    }
    while (!signatures && j < b->attr_count && is_signature(b->attrs[j].type))
        j++;
    FUZZ_REQUIRE(j == b->attr_count);
}

/* THREATS row 7: with what the integrity attributes do not cover cut off, nothing changes. */
static void check_cut(const struct stun_msg *msg)
{
    static uint8_t buffer[BUFFER_LEN];
    size_t len = covered_end(msg);
    if (len == 0)
        return;
    memcpy(buffer, msg->bytes.data, len);
    if (msg->integrity_offset != 0 && msg->integrity256_offset != 0) {
        const uint8_t *attr = msg->bytes.data + msg->integrity256_offset;
        memcpy(buffer + len, attr, 4u + attr[3]);
        len += 4u + attr[3];
    }
    buffer[2] = (uint8_t)((len - STUN_HEADER_LEN) >> 8);
    buffer[3] = (uint8_t)(len - STUN_HEADER_LEN);
    struct stun_msg cut;
    FUZZ_REQUIRE(stun_parse(&cut, slice_of(buffer, len)) == REASON_NONE);
    check_same(msg, &cut, true);
    FUZZ_REQUIRE(cut.integrity_offset == msg->integrity_offset);
    FUZZ_REQUIRE(cut.unknown_count == msg->unknown_count);
    for (unsigned i = 0; i < cut.unknown_count && i < STUN_UNKNOWN_MAX; i++)
        FUZZ_REQUIRE(cut.unknown[i] == msg->unknown[i]);
}

/* What the writer writes and signs, the parser reads and verifies. */
static void check_round_trip(const struct stun_msg *msg, bool sha1, bool sha256)
{
    static uint8_t buffer[BUFFER_LEN];
    struct stun_writer s;
    unsigned count = 0;
    stun_write_begin(&s, buffer, sizeof(buffer), msg->class, msg->method, msg->transaction);
    for (unsigned i = 0; i < msg->attr_count; i++) {
        if (is_signature(msg->attrs[i].type))
            continue;
        stun_write_attr(&s, msg->attrs[i].type, attr_value(msg, i));
        count++;
    }
    if (sha1)
        stun_write_integrity(&s, crypto, key, false);
    if (sha256)
        stun_write_integrity(&s, crypto, key, true);
    stun_write_fingerprint(&s);
    const size_t len = stun_write_end(&s);
    if (len == 0) {
        FUZZ_REQUIRE(msg->bytes.len + SIGNATURES_LEN > UINT16_MAX);
        return;
    }
    struct stun_msg again;
    const enum reason reason = stun_parse(&again, slice_of(buffer, len));
    if (count + 1 + sha1 + sha256 > STUN_ATTRIBUTES_MAX) {
        FUZZ_REQUIRE(reason == REASON_STUN_TOO_MANY_ATTRIBUTES);
        return;
    }
    FUZZ_REQUIRE(reason == REASON_NONE && again.has_fingerprint && again.unknown_count == 0);
    check_same(msg, &again, false);
    FUZZ_REQUIRE(stun_verify_integrity(&again, crypto, key) == (sha1 || sha256 ? 0 : 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (crypto == NULL)
        crypto = crypto_new();
    FUZZ_REQUIRE(crypto != NULL);
    struct stun_msg msg;
    memset(&msg, 0xa5, sizeof(msg)); /* the parser must not count on zeros */
    const enum reason reason = stun_parse(&msg, slice_of(data, size));
    fuzz_note(reason);
    if (reason != REASON_NONE)
        return 0;
    FUZZ_REQUIRE(msg.bytes.data == data && msg.bytes.len == size);
    check_attrs(&msg);
    check_unknown(&msg);
    for (unsigned i = 0; i < msg.attr_count; i++) {
        check_readers(&msg, attr_value(&msg, i));
        check_addr(&msg, attr_value(&msg, i));
    }
    const bool is_signed = msg.integrity_offset != 0 || msg.integrity256_offset != 0;
    const int verdict = stun_verify_integrity(&msg, crypto, key);
    FUZZ_REQUIRE(verdict == 1 || (verdict == 0 && is_signed));
    check_cut(&msg);
    check_round_trip(&msg, false, false);
    check_round_trip(&msg, true, data[size - 1] % 2 == 0);
    check_round_trip(&msg, false, true);
    return 0;
}

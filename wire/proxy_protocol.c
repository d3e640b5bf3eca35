/*
 * Reads the header that a proxy puts in front of a TCP connection. Nothing is kept between calls:
 * the answer depends on the bytes alone, so it does not matter in which pieces they came. Called by
 * net/ for the first bytes of connections from the proxies of the configuration; what stands in the
 * header is trusted as far as they are.
 */
#include "wire/proxy_protocol.h"

#include "base/cursor.h"

/* Section 2.1: "If the CRLF sequence is not found in the first 107 characters, the receiver should
 * declare the line invalid." */
#define LINE_MAX_LEN 107

#define BINARY_HEADER_LEN 16
#define BINARY_VERSION    2
#define COMMAND_LOCAL     0
#define COMMAND_PROXY     1
#define FAMILY_UNIX       3
#define PROTOCOL_STREAM   1
#define TLV_CRC32C        3
#define CRC32C_LEN        4

/* Family in the high four bits, protocol in the low ones. */
enum transport { TCP_IPV4 = 0x11, TCP_IPV6 = 0x21, UNIX_STREAM = 0x31 };

/* An IPv4-mapped address becomes the IPv4 address, as in base/addr for the system's: or a client
 * could be two for whoever counts or refuses addresses. */
static void unmap(struct addr *addr)
{
    struct sockaddr_storage sa;
    addr_to_sockaddr(addr, &sa);
    addr_from_sockaddr(addr, (const struct sockaddr *)&sa);
}

/* Up to the next space or the end. */
static struct slice take_word(struct cursor *c)
{
    const size_t left = cursor_left(c);
    const uint8_t *space = left > 0 ? memchr(c->p, ' ', left) : NULL;
    return cursor_bytes(c, space ? (size_t)(space - c->p) : left);
}

/* "exactly one space", or these bytes. */
static bool take_text(struct cursor *c, const char *text)
{
    const struct slice expected = slice_of_string(text);
    const struct slice come = cursor_bytes(c, expected.len);
    return !c->failed && slice_equal(come, expected);
}

/*
 * Section 2.1: "Heading zeroes are not permitted in front of numbers", "one double colon sequence".
 *
 * exception: the last 32 bits of an IPv6 address may be written as IPv4, which "sets of 4
 * hexadecimal digits" does not say: proxies that print mapped addresses with inet_ntop do so.
 */
static bool take_ip(struct cursor *c, enum addr_family family, struct addr *out)
{
    char text[INET6_ADDRSTRLEN] = {0};
    const struct slice word = take_word(c);
    if (word.len == 0 || word.len >= sizeof(text) || memchr(word.data, '\0', word.len))
        return false;
    memcpy(text, word.data, word.len);
    return addr_parse_ip(out, text) == 0 && out->family == family;
}

/* Section 2.1: "a decimal integer in the range [0..65535] inclusive. Heading zeroes are not
 * permitted". */
static bool take_port(struct cursor *c, uint16_t *out)
{
    const struct slice word = take_word(c);
    if (word.len == 0 || word.len > 5 || (word.len > 1 && word.data[0] == '0'))
        return false;
    uint32_t port = 0;
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] < '0' || word.data[i] > '9')
            return false;
        port = port * 10 + (uint32_t)(word.data[i] - '0');
    }
    *out = (uint16_t)port;
    return port <= UINT16_MAX;
}

static bool read_text_addrs(struct cursor *c, enum addr_family family, struct proxy_header *header)
{
    struct addr *source = &header->source, *destination = &header->destination;
    const bool good = take_ip(c, family, source) && take_text(c, " ") &&
                      take_ip(c, family, destination) && take_text(c, " ") &&
                      take_port(c, &source->port) && take_text(c, " ") &&
                      take_port(c, &destination->port) && cursor_left(c) == 0;
    if (!good)
        return false;
    unmap(source);
    unmap(destination);
    header->has_client = true;
    return true;
}

/* `line` is without its CRLF. */
static bool read_line(struct slice line, struct proxy_header *header)
{
    struct cursor c;
    cursor_init(&c, line);
    cursor_skip(&c, sizeof("PROXY ") - 1);
    const struct slice protocol = take_word(&c);
    /* "For "UNKNOWN", the rest of the line before the CRLF may be omitted by the sender, and the
     * receiver must ignore anything presented before the CRLF is found." */
    if (slice_equal(protocol, slice_of_string("UNKNOWN")))
        return true;
    if (slice_equal(protocol, slice_of_string("TCP4")))
        return take_text(&c, " ") && read_text_addrs(&c, ADDR_IPV4, header);
    if (slice_equal(protocol, slice_of_string("TCP6")))
        return take_text(&c, " ") && read_text_addrs(&c, ADDR_IPV6, header);
    return false;
}

/* Finds the line, without its CRLF. "The receiver must not tolerate a single CR or LF character to
 * end the line when a complete CRLF sequence is expected." */
static enum proxy_outcome find_line(struct slice *line, struct slice stream)
{
    const bool full = stream.len >= LINE_MAX_LEN;
    const enum proxy_outcome more = full ? PROXY_BAD : PROXY_MORE;
    struct cursor c;
    cursor_init(&c, slice_of(stream.data, full ? LINE_MAX_LEN : stream.len));
    uint8_t byte = 0;
    while (byte != '\r') {
        if (cursor_left(&c) == 0)
            return more;
        byte = cursor_u8(&c);
        if (byte == '\n')
            return PROXY_BAD;
    }
    const size_t len = (size_t)(c.p - stream.data) - 1;
    if (cursor_left(&c) == 0)
        return more;
    if (cursor_u8(&c) != '\n')
        return PROXY_BAD;
    *line = slice_of(stream.data, len);
    return PROXY_HEADER;
}

/* Section 2.1. The stream begins with "PROXY". */
static enum proxy_outcome parse_text(struct proxy_header *out, struct slice stream)
{
    struct slice line;
    if (!slice_agree(stream, slice_of_string("PROXY ")))
        return PROXY_BAD;
    /* "The receiver must wait for the CRLF sequence before starting to decode the addresses". */
    const enum proxy_outcome outcome = find_line(&line, stream);
    if (outcome != PROXY_HEADER)
        return outcome;
    struct proxy_header header = {.len = line.len + 2};
    if (!read_line(line, &header))
        return PROXY_BAD;
    *out = header;
    return PROXY_HEADER;
}

/* CRC32c, a bit at a time: a header a connection, and few carry one. */
static uint32_t crc32c_add(uint32_t crc, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= bytes.data[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    }
    return crc;
}

/* Section 2.2.3: "replace the 32 bits of the checksum field in the received PROXY header with all
 * '0's and calculate a CRC32c checksum value of the whole PROXY header". */
static bool is_checksum_right(struct slice header, struct slice field)
{
    static const uint8_t zeros[CRC32C_LEN];
    const size_t offset = (size_t)(field.data - header.data), behind = offset + CRC32C_LEN;
    uint32_t crc = crc32c_add(0xffffffffu, slice_of(header.data, offset));
    crc = crc32c_add(crc, slice_of(zeros, sizeof(zeros)));
    crc = crc32c_add(crc, slice_of(header.data + behind, header.len - behind));
    struct cursor c;
    cursor_init(&c, field);
    return cursor_u32(&c) == (crc ^ 0xffffffffu);
}

/* The type-length-value vectors that fill the header up. All but a checksum are skipped: "A
 * receiver may choose to skip over and ignore the TLVs it is not interested in". */
static bool check_tlvs(struct cursor *c, struct slice header)
{
    while (cursor_left(c) > 0) {
        const uint8_t type = cursor_u8(c);
        const struct slice value = cursor_bytes(c, cursor_u16(c));
        if (c->failed)
            return false;
        if (type == TLV_CRC32C && (value.len != CRC32C_LEN || !is_checksum_right(header, value)))
            return false;
    }
    return true;
}

static struct addr take_binary_ip(struct cursor *c, enum addr_family family)
{
    struct addr addr = {.family = (uint8_t)family};
    const struct slice ip = cursor_bytes(c, addr_ip_len(&addr));
    if (!c->failed)
        memcpy(addr.ip, ip.data, ip.len);
    return addr;
}

/* Section 2.2: "source layer 3 address [...], destination layer 3 address [...], source layer 4
 * address if any, [...] (port), destination layer 4 address if any". */
static void read_binary_addrs(
    struct cursor *c, enum addr_family family, struct proxy_header *header)
{
    header->source = take_binary_ip(c, family);
    header->destination = take_binary_ip(c, family);
    header->source.port = cursor_u16(c);
    header->destination.port = cursor_u16(c);
    unmap(&header->source);
    unmap(&header->destination);
    header->has_client = true;
}

/* The address block and what follows it; the cursor stands behind the fixed part of the header. */
static bool read_block(
    struct cursor *c, uint8_t transport, struct slice whole, struct proxy_header *header)
{
    switch (transport) {
    case TCP_IPV4:
        read_binary_addrs(c, ADDR_IPV4, header);
        break;
    case TCP_IPV6:
        read_binary_addrs(c, ADDR_IPV6, header);
        break;
    case UNIX_STREAM:
        cursor_skip(c, 2 * 108);
        break;
    default:
        /* "The receiver should ignore address information", and nobody says how long it is, so
         * nothing behind it can be told from it. */
        return true;
    }
    return !c->failed && check_tlvs(c, whole);
}

/* Section 2.2: other families and protocols "must be rejected as invalid by receivers". DGRAM is
 * one of the protocol's own, but no datagrams come by a stream. */
static bool is_transport_of_a_stream(uint8_t transport)
{
    return transport >> 4 <= FAMILY_UNIX && (transport & 15) <= PROTOCOL_STREAM;
}

/* Section 2.2. The stream begins with the signature, and a byte behind it has come. */
static enum proxy_outcome parse_binary(struct proxy_header *out, struct slice stream)
{
    struct cursor c;
    cursor_init(&c, stream);
    cursor_skip(&c, 12);
    const uint8_t version_command = cursor_u8(&c), transport = cursor_u8(&c);
    const uint8_t command = version_command & 15;
    if (version_command >> 4 != BINARY_VERSION || command > COMMAND_PROXY)
        return PROXY_BAD;
    /* A byte that has not come reads as 0, which is UNSPEC. */
    if (command == COMMAND_PROXY && !is_transport_of_a_stream(transport))
        return PROXY_BAD;
    const size_t len = BINARY_HEADER_LEN + (size_t)cursor_u16(&c);
    if (c.failed)
        return PROXY_MORE;
    if (len > PROXY_HEADER_MAX)
        return PROXY_BAD;
    if (stream.len < len)
        return PROXY_MORE;
    const struct slice whole = slice_of(stream.data, len);
    struct proxy_header header = {.len = len};
    cursor_init(&c, whole);
    cursor_skip(&c, BINARY_HEADER_LEN);
    /* "The receiver must accept this connection as valid and must use the real connection endpoints
     * and discard the protocol block including the family which is ignored." */
    if (command != COMMAND_LOCAL && !read_block(&c, transport, whole, &header))
        return PROXY_BAD;
    *out = header;
    return PROXY_HEADER;
}

enum proxy_outcome proxy_header_parse(struct proxy_header *out, struct slice stream)
{
    static const uint8_t bytes[] = {
        0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
    const struct slice signature = slice_of(bytes, sizeof(bytes));
    const struct slice name = slice_of_string("PROXY");
    if (slice_agree(stream, signature))
        return stream.len <= signature.len ? PROXY_MORE : parse_binary(out, stream);
    if (slice_agree(stream, name))
        return stream.len < name.len ? PROXY_MORE : parse_text(out, stream);
    return PROXY_ABSENT;
}

/* The PROXY protocol against its specification of 2020/03/05. Each look is at a copy of exactly the
 * bytes that have come, so that a sanitizer sees one too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/proxy_protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V6(hex)   0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, hex

static enum proxy_outcome parse_exact(struct proxy_header *out, const void *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    memset(out, 0xa5, sizeof(*out));
    const struct proxy_header untouched = *out;
    const enum proxy_outcome outcome = proxy_header_parse(out, slice_of(copy, len));
    if (outcome != PROXY_HEADER)
        assert_memory_equal(out, &untouched, sizeof(untouched));
    free(copy);
    return outcome;
}

/* MORE for every part of the header; the same header alone and with anything behind it. */
static struct proxy_header assert_header(const void *bytes, size_t len)
{
    static const char *const behind[] = {"", "\r", "\n", "PROXY ", "\x04\xff\xff", "\0\1\0\0"};
    uint8_t longer[PROXY_HEADER_MAX + 16];
    struct proxy_header header, first = {.len = 0};
    for (size_t part = 0; part < len; part++)
        assert_int_equal(parse_exact(&header, bytes, part), PROXY_MORE);
    memcpy(longer, bytes, len);
    for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
        memcpy(longer + len, behind[i], strlen(behind[i]));
        assert_int_equal(parse_exact(&header, longer, len + strlen(behind[i])), PROXY_HEADER);
        assert_int_equal(header.len, len);
        if (i == 0)
            first = header;
        assert_int_equal(header.has_client, first.has_client);
        assert_true(addr_equal(&header.source, &first.source));
        assert_true(addr_equal(&header.destination, &first.destination));
    }
    return first;
}

static void assert_client(const struct proxy_header *header, const char *source, const char *other)
{
    char text[ADDR_TEXT_MAX];
    assert_true(header->has_client);
    assert_string_equal(addr_format(&header->source, text, sizeof(text)), source);
    assert_string_equal(addr_format(&header->destination, text, sizeof(text)), other);
    assert_int_equal(header->source.scope, 0);
    assert_int_equal(header->source.reserved, 0);
}

static void assert_no_client(const struct proxy_header *header)
{
    assert_false(header->has_client);
    assert_int_equal(header->source.family, ADDR_NONE);
    assert_int_equal(header->destination.family, ADDR_NONE);
}

static struct proxy_header assert_line(const char *line)
{
    return assert_header(line, strlen(line));
}

/* BAD when all is there, and never a header on the way; once BAD it stays. */
static void assert_bad(const void *bytes, size_t len)
{
    struct proxy_header header;
    enum proxy_outcome last = PROXY_MORE;
    for (size_t part = 0; part <= len; part++) {
        const enum proxy_outcome outcome = parse_exact(&header, bytes, part);
        assert_true(outcome == PROXY_BAD || (outcome == PROXY_MORE && last == PROXY_MORE));
        last = outcome;
    }
    assert_int_equal(last, PROXY_BAD);
}

static void test_proxy_line_of_the_specification_is_read(void **state)
{
    const char line[] = "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
    const struct proxy_header header = assert_line(line);
    assert_client(&header, "192.168.0.1:56324", "192.168.0.11:443");
    char request[200];
    struct proxy_header again;
    const int len =
        snprintf(request, sizeof(request), "%sGET / HTTP/1.1\r\nHost: 192.168.0.11\r\n\r\n", line);
    assert_int_equal(parse_exact(&again, request, (size_t)len), PROXY_HEADER);
    assert_int_equal(again.len, sizeof(line) - 1);
}

static void test_proxy_line_longest_of_each_kind_are_read(void **state)
{
    struct proxy_header header =
        assert_line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n");
    assert_int_equal(header.len, 56);
    assert_client(&header, "255.255.255.255:65535", "255.255.255.255:65535");
#define ONES "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    header = assert_line("PROXY TCP6 " ONES " " ONES " 65535 65535\r\n");
    assert_int_equal(header.len, 104);
    assert_client(&header, "[" ONES "]:65535", "[" ONES "]:65535");
    header = assert_line("PROXY UNKNOWN\r\n");
    assert_int_equal(header.len, 15);
    assert_no_client(&header);
    header = assert_line("PROXY UNKNOWN " ONES " " ONES " 65535 65535\r\n");
    assert_int_equal(header.len, 107);
    assert_no_client(&header);
#undef ONES
}

static void test_proxy_line_forms_of_addresses_and_ports_are_read(void **state)
{
    struct proxy_header header = assert_line("PROXY TCP4 0.0.0.0 1.20.255.9 0 1\r\n");
    assert_client(&header, "0.0.0.0:0", "1.20.255.9:1");
    header = assert_line("PROXY TCP6 2001:DB8::1 :: 10 65535\r\n");
    assert_client(&header, "[2001:db8::1]:10", "[::]:65535");
    header = assert_line("PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0002 fe80::a:b 1 2\r\n");
    assert_client(&header, "[2001:db8::2]:1", "[fe80::a:b]:2");
    header = assert_line("PROXY UNKNOWN \r\n");
    assert_no_client(&header);
    header = assert_line("PROXY UNKNOWN what ever \t it is\r\n");
    assert_no_client(&header);
}

static void test_proxy_mapped_addresses_become_ipv4(void **state)
{
    struct proxy_header header = assert_line("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 7 8\r\n");
    assert_client(&header, "192.0.2.1:7", "192.0.2.2:8");
    header = assert_line("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 7 8\r\n");
    assert_client(&header, "192.0.2.1:7", "[2001:db8::1]:8");
    const uint8_t binary[] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54,
        0x0a, 0x21, 0x21, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1, V6(9), 0,
        7, 0, 8};
    header = assert_header(binary, sizeof(binary));
    assert_client(&header, "192.0.2.1:7", "[2001:db8::9]:8");
}

static void test_proxy_line_that_differs_in_anything_is_bad(void **state)
{
    static const char *const lines[] = {/* protocol and separators */
        "PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8  1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1  2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", "PROXY TCP4 1.2.3.4\t5.6.7.8 1 2\r\n", "PROXY \r\n",
        "PROXY\r\n", "PROXY TCP\r\n", "PROXY TCP4\r\n", "PROXY TCP4 \r\n", "PROXY TCP4 1.2.3.4\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n", "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP44 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY UNKNOW\r\n", "PROXY UNKNOWN1\r\n", "PROXY unknown\r\n",
        /* ports */
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 00\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 100000 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 4294967297 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 0x1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1a 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1/ 2\r\n",
        /* IPv4 */
        "PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3.00 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.08 1 2\r\n", "PROXY TCP4 256.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3.4.5 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1..3.4 5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3.4. 5.6.7.8 1 2\r\n",
        "PROXY TCP4 .1.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP4 16909060 5.6.7.8 1 2\r\n",
        "PROXY TCP4 ::1 5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
        "PROXY TCP4 localhost 5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3.4:5 5.6.7.8 1 2\r\n",
        /* IPv6 */
        "PROXY TCP6 1.2.3.4 ::1 1 2\r\n", "PROXY TCP6 ::1 1.2.3.4 1 2\r\n",
        "PROXY TCP6 1::2::3 ::1 1 2\r\n", "PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n",
        "PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n", "PROXY TCP6 12345::1 ::1 1 2\r\n",
        "PROXY TCP6 00001::1 ::1 1 2\r\n", "PROXY TCP6 :1:2:3:4:5:6:7:8 ::1 1 2\r\n",
        "PROXY TCP6 1:2:3:4:5:6:7: ::1 1 2\r\n", "PROXY TCP6 ::g ::1 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY TCP6 ::: ::1 1 2\r\n",
        "PROXY TCP6 0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:1 ::1 1 2\r\n",
        "PROXY TCP6 0000:0000:0000:0000:0000:0000:0000:0000:0000:1 ::1 1 2\r\n",
        /* line ends */
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rx",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n", "PROXY UNKNOWN\n", "PROXY UNKNOWN\r \r\n",
        "PROXY UNKNOWN a\nb\r\n"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_bad(lines[i], strlen(lines[i]));
    assert_bad("PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n", 33);
    assert_bad("PROXY TCP6 ::1\0 ::1 1 2\r\n", 25);
}

static void test_proxy_line_over_107_bytes_is_bad(void **state)
{
    char line[120];
    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    struct proxy_header header;
    assert_int_equal(parse_exact(&header, line, 106), PROXY_MORE);
    assert_int_equal(parse_exact(&header, line, 107), PROXY_BAD);
    memcpy(line + 106, "\r\n", 2);
    assert_bad(line, 107);
    assert_bad(line, 108);
    memcpy(line + 105, "\r\n", 2);
    header = assert_header(line, 107);
    assert_no_client(&header);
}

/* Writes the fixed part of a binary header; `len` is that of the block. */
static size_t begin(uint8_t *out, uint8_t version_command, uint8_t transport, size_t len)
{
    memcpy(out, SIGNATURE, 12);
    out[12] = version_command;
    out[13] = transport;
    out[14] = (uint8_t)(len >> 8);
    out[15] = (uint8_t)len;
    return 16;
}

static const uint8_t block_ipv4[] = {192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x0d, 0x96};
static const uint8_t block_ipv6[] = {V6(1), V6(2), 0xff, 0xff, 0, 0};

/* A header of the block, and `extra` behind it. */
static size_t build(uint8_t *out, uint8_t version_command, uint8_t transport, struct slice block,
    struct slice extra)
{
    size_t len = begin(out, version_command, transport, block.len + extra.len);
    memcpy(out + len, block.data, block.len);
    len += block.len;
    if (extra.len > 0)
        memcpy(out + len, extra.data, extra.len);
    return len + extra.len;
}

#define BLOCK_IPV4 slice_of(block_ipv4, sizeof(block_ipv4))
#define BLOCK_IPV6 slice_of(block_ipv6, sizeof(block_ipv6))
#define NOTHING    slice_of(NULL, 0)

static void test_proxy_binary_tcp_is_read(void **state)
{
    uint8_t bytes[64];
    size_t len = build(bytes, 0x21, 0x11, BLOCK_IPV4, NOTHING);
    struct proxy_header header = assert_header(bytes, len);
    assert_client(&header, "192.0.2.1:56324", "198.51.100.2:3478");
    len = build(bytes, 0x21, 0x21, BLOCK_IPV6, NOTHING);
    header = assert_header(bytes, len);
    assert_client(&header, "[2001:db8::1]:65535", "[2001:db8::2]:0");
}

static void test_proxy_binary_without_a_client_is_skipped(void **state)
{
    static const uint8_t unix_block[216];
    uint8_t bytes[300];
    const struct slice unix_addrs = slice_of(unix_block, sizeof(unix_block));
    const uint8_t odd[] = {3, 0, 4, 9, 9};
    /* UNSPEC of family, of protocol or of both: nothing of the block is understood. */
    const uint8_t unspecified[] = {0x00, 0x01, 0x10, 0x20, 0x30};
    for (size_t i = 0; i < sizeof(unspecified); i++) {
        for (size_t extra = 0; extra <= sizeof(odd); extra++) {
            const size_t len = build(bytes, 0x21, unspecified[i], slice_of(odd, extra), NOTHING);
            const struct proxy_header header = assert_header(bytes, len);
            assert_no_client(&header);
        }
    }
    size_t len = build(bytes, 0x21, 0x31, unix_addrs, NOTHING);
    struct proxy_header header = assert_header(bytes, len);
    assert_no_client(&header);
    len = build(bytes, 0x21, 0x31, unix_addrs, slice_of("\4\0\0", 3));
    header = assert_header(bytes, len);
    assert_no_client(&header);
}

static void test_proxy_binary_local_ignores_all_but_the_length(void **state)
{
    uint8_t bytes[64];
    for (unsigned transport = 0; transport <= 255; transport++) {
        size_t len = build(bytes, 0x20, (uint8_t)transport, BLOCK_IPV4, slice_of("\3\0\1", 3));
        struct proxy_header header;
        assert_int_equal(parse_exact(&header, bytes, len - 1), PROXY_MORE);
        assert_int_equal(parse_exact(&header, bytes, len), PROXY_HEADER);
        assert_int_equal(header.len, len);
        assert_no_client(&header);
    }
    const size_t len = build(bytes, 0x20, 0x00, slice_of("", 0), NOTHING);
    const struct proxy_header header = assert_header(bytes, len);
    assert_no_client(&header);
}

static void test_proxy_binary_version_or_command_unknown_is_bad_at_its_byte(void **state)
{
    uint8_t bytes[64];
    for (unsigned byte = 0; byte <= 255; byte++) {
        const bool good = byte == 0x20 || byte == 0x21;
        struct proxy_header header;
        begin(bytes, (uint8_t)byte, 0x11, 12);
        assert_int_equal(parse_exact(&header, bytes, 12), PROXY_MORE);
        assert_int_equal(parse_exact(&header, bytes, 13), good ? PROXY_MORE : PROXY_BAD);
    }
}

static void test_proxy_binary_transport_unknown_or_datagram_is_bad_at_its_byte(void **state)
{
    uint8_t bytes[64];
    for (unsigned byte = 0; byte <= 255; byte++) {
        const bool good = byte >> 4 <= 3 && (byte & 15) <= 1;
        struct proxy_header header;
        begin(bytes, 0x21, (uint8_t)byte, 12);
        assert_int_equal(parse_exact(&header, bytes, 14), good ? PROXY_MORE : PROXY_BAD);
    }
}

static void test_proxy_binary_block_shorter_than_its_addresses_is_bad(void **state)
{
    const struct {
        uint8_t transport;
        size_t len;
    } kinds[] = {{0x11, 12}, {0x21, 36}, {0x31, 216}};
    uint8_t bytes[300] = {0};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        for (size_t len = 0; len < kinds[i].len; len++) {
            begin(bytes, 0x21, kinds[i].transport, len);
            assert_bad(bytes, 16 + len);
        }
        begin(bytes, 0x21, kinds[i].transport, kinds[i].len);
        assert_header(bytes, 16 + kinds[i].len);
    }
}

static void test_proxy_binary_tlvs_are_skipped_if_they_fill_the_header(void **state)
{
    uint8_t bytes[128];
    /* NOOP without a value, ALPN, a type of an application, SSL with one inside */
    const uint8_t tlvs[] = {
        4, 0, 0, 1, 0, 2, 'h', '2', 0xe0, 0, 1, 0, 0x20, 0, 9, 1, 0, 0, 0, 0, 0x21, 0, 1, '3'};
    const size_t ends[] = {0, 3, 8, 12, 24};
    for (size_t cut = 0, next = 0; cut <= sizeof(tlvs); cut++) {
        const size_t len = build(bytes, 0x21, 0x11, BLOCK_IPV4, slice_of(tlvs, cut));
        if (cut != ends[next]) {
            assert_bad(bytes, len);
            continue;
        }
        const struct proxy_header header = assert_header(bytes, len);
        assert_client(&header, "192.0.2.1:56324", "198.51.100.2:3478");
        next++;
    }
}

/* CRC32c by polynomial division, bit by bit from the front: another way than the code's. */
static uint32_t checksum(const uint8_t *bytes, size_t len)
{
    uint32_t remainder = 0xffffffffu, reflected = 0;
    for (size_t i = 0; i < len * 8; i++) {
        const uint32_t bit = (remainder >> 31) ^ (bytes[i / 8] >> i % 8 & 1u);
        remainder = remainder << 1 ^ (bit != 0 ? 0x1edc6f41u : 0);
    }
    for (unsigned i = 0; i < 32; i++)
        reflected |= (remainder >> i & 1u) << (31 - i);
    return ~reflected;
}

/* A header over IPv4 whose checksum lies between two other TLVs; *field says where. */
static size_t build_checksum(uint8_t *out, size_t *field)
{
    const uint8_t tlvs[] = {2, 0, 1, 'a', 3, 0, 4, 0, 0, 0, 0, 5, 0, 2, 'i', 'd'};
    const size_t len = build(out, 0x21, 0x11, BLOCK_IPV4, slice_of(tlvs, sizeof(tlvs)));
    *field = 16 + sizeof(block_ipv4) + 7;
    const uint32_t crc = checksum(out, len);
    for (size_t i = 0; i < 4; i++)
        out[*field + i] = (uint8_t)(crc >> (24 - 8 * i));
    return len;
}

static void test_proxy_binary_checksum_is_verified(void **state)
{
    uint8_t bytes[64];
    size_t field;
    assert_int_equal(checksum((const uint8_t *)"123456789", 9), 0xe3069283u);
    const size_t len = build_checksum(bytes, &field);
    const struct proxy_header header = assert_header(bytes, len);
    assert_client(&header, "192.0.2.1:56324", "198.51.100.2:3478");
    /* Any other bit, but for those that make it another kind of header. */
    for (size_t bit = 16 * 8; bit < len * 8; bit++) {
        struct proxy_header ignored;
        const size_t at = bit / 8;
        if (at == field - 3) /* the type: no checksum any more */
            continue;
        bytes[at] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(parse_exact(&ignored, bytes, len), PROXY_BAD);
        bytes[at] ^= (uint8_t)(1u << bit % 8);
    }
}

/* What haproxy 2.6 sends with "send-proxy-v2 proxy-v2-options crc32c,unique-id". */
static void test_proxy_binary_of_haproxy_with_a_checksum_is_read(void **state)
{
    const uint8_t bytes[] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
        0x21, 0x11, 0x00, 0x2a, 0x7f, 0x00, 0x00, 0x01, 0x7f, 0x00, 0x00, 0x01, 0xdd, 0x80, 0xb4,
        0x16, 0x03, 0x00, 0x04, 0xd9, 0xa8, 0x95, 0x9a, 0x05, 0x00, 0x14, 0x31, 0x32, 0x37, 0x2e,
        0x30, 0x2e, 0x30, 0x2e, 0x31, 0x2d, 0x31, 0x37, 0x39, 0x35, 0x33, 0x30, 0x35, 0x32, 0x39,
        0x38};
    const struct proxy_header header = assert_header(bytes, sizeof(bytes));
    assert_client(&header, "127.0.0.1:56704", "127.0.0.1:46102");
}

static void test_proxy_binary_checksum_of_another_length_or_a_second_that_is_wrong_is_bad(
    void **state)
{
    uint8_t bytes[64], tlv[] = {3, 0, 0, 0, 0, 0, 0, 0};
    for (uint8_t value = 0; value <= 5; value++) {
        tlv[2] = value;
        const size_t len = build(bytes, 0x21, 0x11, BLOCK_IPV4, slice_of(tlv, 3u + value));
        assert_bad(bytes, len);
    }
    /* The first is right; the second is zero, and so wrong. */
    const uint8_t twice[] = {3, 0, 4, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0};
    const size_t len = build(bytes, 0x21, 0x11, BLOCK_IPV4, slice_of(twice, sizeof(twice)));
    const uint32_t crc = checksum(bytes, len);
    for (size_t i = 0; i < 4; i++)
        bytes[len - 11 + i] = (uint8_t)(crc >> (24 - 8 * i));
    assert_bad(bytes, len);
}

static void test_proxy_binary_longest_is_read_and_one_more_is_bad_at_its_length(void **state)
{
    static uint8_t bytes[PROXY_HEADER_MAX];
    const size_t block = PROXY_HEADER_MAX - 16, noop = block - sizeof(block_ipv4) - 3;
    const uint8_t tlv[] = {4, (uint8_t)(noop >> 8), (uint8_t)noop};
    build(bytes, 0x21, 0x11, BLOCK_IPV4, slice_of(tlv, sizeof(tlv)));
    begin(bytes, 0x21, 0x11, block);
    const struct proxy_header header = assert_header(bytes, sizeof(bytes));
    assert_client(&header, "192.0.2.1:56324", "198.51.100.2:3478");
    for (uint8_t command = 0x20; command <= 0x21; command++) {
        struct proxy_header ignored;
        begin(bytes, command, 0x11, block + 1);
        assert_int_equal(parse_exact(&ignored, bytes, 15), PROXY_MORE);
        assert_int_equal(parse_exact(&ignored, bytes, 16), PROXY_BAD);
        begin(bytes, command, 0x11, 0xffff);
        assert_int_equal(parse_exact(&ignored, bytes, 16), PROXY_BAD);
    }
}

static void test_proxy_other_first_bytes_are_absent_at_the_first_that_differs(void **state)
{
    static const char *const starts[] = {SIGNATURE, "PROXY"};
    const size_t lens[] = {12, 5};
    struct proxy_header header;
    assert_int_equal(proxy_header_parse(&header, slice_of(NULL, 0)), PROXY_MORE);
    for (size_t i = 0; i < 2; i++) {
        for (size_t at = 0; at < lens[i]; at++) {
            uint8_t bytes[16] = {0};
            memcpy(bytes, starts[i], lens[i]);
            bytes[at] ^= 0x20;
            for (size_t len = 0; len <= sizeof(bytes); len++)
                assert_int_equal(
                    parse_exact(&header, bytes, len), len <= at ? PROXY_MORE : PROXY_ABSENT);
        }
    }
    const uint8_t binding[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
    assert_int_equal(parse_exact(&header, binding, sizeof(binding)), PROXY_ABSENT);
    assert_int_equal(parse_exact(&header, "GET / HTTP/1.0\r\n\r\n", 18), PROXY_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxy_line_of_the_specification_is_read),
        cmocka_unit_test(test_proxy_line_longest_of_each_kind_are_read),
        cmocka_unit_test(test_proxy_line_forms_of_addresses_and_ports_are_read),
        cmocka_unit_test(test_proxy_mapped_addresses_become_ipv4),
        cmocka_unit_test(test_proxy_line_that_differs_in_anything_is_bad),
        cmocka_unit_test(test_proxy_line_over_107_bytes_is_bad),
        cmocka_unit_test(test_proxy_binary_tcp_is_read),
        cmocka_unit_test(test_proxy_binary_without_a_client_is_skipped),
        cmocka_unit_test(test_proxy_binary_local_ignores_all_but_the_length),
        cmocka_unit_test(test_proxy_binary_version_or_command_unknown_is_bad_at_its_byte),
        cmocka_unit_test(test_proxy_binary_transport_unknown_or_datagram_is_bad_at_its_byte),
        cmocka_unit_test(test_proxy_binary_block_shorter_than_its_addresses_is_bad),
        cmocka_unit_test(test_proxy_binary_tlvs_are_skipped_if_they_fill_the_header),
        cmocka_unit_test(test_proxy_binary_checksum_is_verified),
        cmocka_unit_test(test_proxy_binary_of_haproxy_with_a_checksum_is_read),
        cmocka_unit_test(
            test_proxy_binary_checksum_of_another_length_or_a_second_that_is_wrong_is_bad),
        cmocka_unit_test(test_proxy_binary_longest_is_read_and_one_more_is_bad_at_its_length),
        cmocka_unit_test(test_proxy_other_first_bytes_are_absent_at_the_first_that_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a connection may say before its first message, for the tests of plain and of TLS
 * connections. */
#ifndef TESTS_UNIT_FIRST_BYTES_H
#define TESTS_UNIT_FIRST_BYTES_H

#include "base/prefix.h"
#include "tests/unit/streams.h"

static const uint8_t v2_signature[12] = {13, 10, 13, 10, 0, 13, 10, 'Q', 'U', 'I', 'T', 10};

struct bytes {
    uint8_t data[512];
    size_t len;
};

static inline void put(struct bytes *b, const void *data, size_t len)
{
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

/* Version 2, PROXY over TCP/IPv4: 203.0.113.9:4000 → 198.51.100.1:3478. `command` 0: LOCAL. */
static inline struct bytes v2(uint8_t command, uint8_t family)
{
    static const uint8_t addresses[12] = {
        203, 0, 113, 9, 198, 51, 100, 1, 4000 >> 8, 4000 & 0xff, 3478 >> 8, 3478 & 0xff};
    struct bytes b = {.len = 0};
    put(&b, v2_signature, sizeof(v2_signature));
    put(&b, (const uint8_t[4]){(uint8_t)(0x20 | command), family, 0, 12}, 4);
    put(&b, addresses, sizeof(addresses));
    return b;
}

static inline struct bytes text(const char *t)
{
    struct bytes b = {.len = 0};
    put(&b, t, strlen(t));
    return b;
}

static inline struct bytes with_binding(struct bytes b)
{
    uint8_t m[STUN_HEADER_LEN];
    put(&b, m, streams_binding(m, 1));
    return b;
}

/* The listener wants a header from 192.0.2.0/24: the tests' clients. */
static inline struct prefix_set *behind_proxy(struct streams *s, const char *prefix)
{
    struct prefix p;
    struct prefix_set *set = prefix_set_new();
    assert_int_equal(prefix_parse(&p, prefix), 0);
    assert_int_equal(prefix_set_add(set, &p), 0);
    s->listeners[STREAMS_LISTENER].proxy_from = set;
    return set;
}

static inline void assert_client(const struct packet *p, const char *remote, const char *local)
{
    char seen[ADDR_TEXT_MAX];
    assert_string_equal(addr_format(&p->flow.remote, seen, sizeof(seen)), remote);
    if (local) {
        assert_string_equal(addr_format(&p->flow.local, seen, sizeof(seen)), local);
    }
}

static const struct {
    const char *what;
    bool v1, local;
    const char *text;
    uint8_t command, family;
} headers[] = {
    {"v1", true, false, "PROXY TCP4 203.0.113.9 198.51.100.1 4000 3478\r\n", 0, 0},
    {"v1 unknown", true, true, "PROXY UNKNOWN\r\n", 0, 0},
    {"v2", false, false, NULL, 1, 0x11},
    {"v2 local", false, true, NULL, 0, 0x11},
    {"v2 unspec", false, true, NULL, 1, 0x00},
    {"v2 unix", false, true, NULL, 1, 0x31},
};

static inline struct bytes header(size_t i)
{
    return headers[i].v1 ? text(headers[i].text) : v2(headers[i].command, headers[i].family);
}

static inline void ends_with(struct streams *s, const struct bytes *b, enum reason why)
{
    uint64_t before = streams_ended(s, why);
    int fd = streams_connect(s);
    (void)!send(fd, b->data, b->len, MSG_NOSIGNAL);
    streams_turn(s);
    if (streams_ended(s, why) != before + 1) {
        fail_msg("not closed for %s", reason_name(why));
    }
    streams_assert_closed(fd);
    assert_int_equal(s->count, 0);
    close(fd);
}

#endif

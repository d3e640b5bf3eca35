/* The PROXY protocol, versions 1 (text) and 2 (binary), as a receiver. No byte is read beyond the
 * header. */
#ifndef WIRE_PROXY_PROTOCOL_H
#define WIRE_PROXY_PROTOCOL_H

#include "base/addr.h"
#include "base/slice.h"

/* Longest header taken: 16 bytes and 536 of addresses and TLVs is what senders use; more is
 * refused. */
#define PROXY_HEADER_MAX 2048

enum proxy_outcome {
    PROXY_MORE,   /* a header has begun; more bytes must come */
    PROXY_HEADER, /* a whole header stands in front */
    PROXY_ABSENT, /* the first bytes are not those of a header */
    PROXY_BAD     /* a header that breaks the specification, or is longer than PROXY_HEADER_MAX */
};

struct proxy_header {
    bool has_client; /* false: LOCAL, UNKNOWN, UNSPEC or AF_UNIX: the connection's own addresses
                        stand */
    struct addr source, destination; /* with has_client: TCP over IPv4 or IPv6 */
    size_t len;                      /* bytes to take off the stream */
};

/* *out is written with PROXY_HEADER only. */
enum proxy_outcome proxy_header_parse(struct proxy_header *out, struct slice stream);

#endif

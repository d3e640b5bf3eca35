/*
 * The PROXY protocol, versions 1 (text) and 2 (binary), as a receiver. No byte is read beyond the
 * header. The sections named are those of the specification of 2020/03/05.
 *
 * Who may send a header is not decided here, and nothing may be guessed from its bytes (section 2:
 * the receiver "MUST not try to guess whether the protocol header is present or not"): only a
 * connection from a known proxy is looked at, and for that one PROXY_ABSENT is an error.
 */
#ifndef WIRE_PROXY_PROTOCOL_H
#define WIRE_PROXY_PROTOCOL_H

#include "base/addr.h"
#include "base/slice.h"

/* Bytes of the longest header taken. Section 2 makes senders stay below 536; what proxies put into
 * TLVs (host name, certificate) may come to more. */
#define PROXY_HEADER_MAX 2048

enum proxy_outcome {
    PROXY_MORE,   /* a header has begun, or nothing is there: more bytes must come */
    PROXY_HEADER, /* a whole header stands in front */
    PROXY_ABSENT, /* the first bytes are not those of a header */
    PROXY_BAD     /* a header that breaks the specification, is longer than PROXY_HEADER_MAX, speaks
                     of datagrams, or has a wrong checksum */
};

struct proxy_header {
    bool has_client; /* false: LOCAL, UNKNOWN, UNSPEC or AF_UNIX: the connection's own addresses
                        stand */
    struct addr source, destination; /* with has_client: of a TCP connection, of any port; else
                                        ADDR_NONE. IPv4-mapped ones have become IPv4, as those that
                                        the system gives, so the families may differ */
    size_t len;                      /* bytes to take off the stream */
};

/* *out is written with PROXY_HEADER only. What is said once other than PROXY_MORE stays when more
 * bytes come. */
enum proxy_outcome proxy_header_parse(struct proxy_header *out, struct slice stream);

#endif

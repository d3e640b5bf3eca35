/*
 * Packets of the generator as SRTP: a stream a session, all under one key that everybody knows, and
 * what libsrtp2 alone takes to verify one. By libsrtp2 (srtp_packets.c), or not at all where it was
 * built without (srtp_packets_none.c). One thread.
 */
#ifndef BENCH_SRTP_PACKETS_H
#define BENCH_SRTP_PACKETS_H

#include <stddef.h>
#include <stdint.h>

struct srtp_packets;

/* `suite`: of RFC 4568; the bytes of key and salt are 1, 2, 3 and so on. NULL after one line on
 * stderr. */
struct srtp_packets *srtp_packets_new(const char *suite, unsigned sessions);
void srtp_packets_free(struct srtp_packets *p); /* NULL is fine */
size_t srtp_packets_tag_len(const struct srtp_packets *p);
/* `len` bytes from the RTP header on, behind which there is room for the tag. */
void srtp_packets_protect(struct srtp_packets *p, unsigned session, uint8_t *packet, size_t len);

struct srtp_cost_of {
    const char *suite;
    unsigned size;     /* of a packet with its tag */
    unsigned sessions; /* streams that take turns, each with a context of its own */
    double seconds;
};

/* CPU of one packet, verified as the relay does it: AES-CM by authentication alone, AEAD whole and
 * on a copy. 0, or -1 after one line on stderr. */
int srtp_packets_cost(const struct srtp_cost_of *of, double *ns);

#endif

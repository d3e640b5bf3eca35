/*
 * Whether the tag of an SRTP or SRTCP packet is right, asked of the packet alone: RFC 3711 section
 * 4.2 and RFC 7714, over OpenSSL. libsrtp2 cannot be asked that: it makes a stream to look at a new
 * SSRC under a roll-over counter, and judges replays before tags. One thread.
 */
#ifndef SRTP_PACKET_TAGS_H
#define SRTP_PACKET_TAGS_H

#include "srtp/keys.h"

#define SRTCP_INDEX_LEN 4  /* with the E bit */
#define SRTCP_HMAC_LEN  10 /* whatever the suite says of SRTP (RFC 4568 section 6.2.2) */

struct packet_tags;

/* Keeps session keys only. 0, -ENOMEM (also where OpenSSL lacks an algorithm), -EINVAL: no suite,
 * or no masters, or too many. */
int packet_tags_new(struct packet_tags **out, const struct srtp_keys *keys);
void packet_tags_free(struct packet_tags *t); /* wipes; NULL is fine */

/* Any bytes; nothing is read before a length was checked. `roc` in host byte order. False also for
 * an MKI that is none of the keys'. */
bool packet_tags_fit_rtp(struct packet_tags *t, struct slice packet, uint32_t roc);
bool packet_tags_fit_rtcp(struct packet_tags *t, struct slice packet);

#endif

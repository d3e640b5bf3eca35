/*
 * Keys of media that the signalling side deposits in Redis: hashes PREFIX/srtp/PLACE, and the
 * stream PREFIX/srtp/deposits, where each deposit is an entry with the field "place".
 *
 *  - While the link is up the stream is read every 250 ms, never blocking: the link is shared. What
 *    place an entry names is told; whether it matters here is the owner's to know, who then asks.
 *  - It begins behind the entry that is the last when the link comes up for the first time; who
 *    asks after that misses nothing. Later it goes on where it was, however long the link was away,
 *    as far as the stream goes back: the owner asks again for what matters to him.
 *  - A stream whose last entry is older than what has been read has lost its data, or is another
 *    one: it is read from its beginning. Looked at when the link comes up, and every 10 s.
 *  - Nothing is opened here: values are as they lie there, bounded in number, and their length by
 *    the bound of a reply.
 *
 * Rights: XREAD, XREVRANGE, HGETALL. Control thread.
 */
#ifndef FLEET_REDIS_SRTP_KEYS_H
#define FLEET_REDIS_SRTP_KEYS_H

#include "fleet/fleet.h"

#define REDIS_SRTP_PLACE_MAX 3840 /* bytes of a place, which are printable and not blank */

struct redis_srtp_keys;

struct redis_srtp_keys_options {
    uv_loop_t *loop;
    struct redis_link *link; /* outlives it, but for the callbacks of its end */
    const char *prefix;      /* 1 to 64 characters; copied */
    void (*deposited)(void *ctx, struct slice place);
    void (*found)(void *ctx, const struct fleet_srtp_found *found);
    void *ctx;
};
/* Off at first. NULL: out of memory. */
struct redis_srtp_keys *redis_srtp_keys_new(const struct redis_srtp_keys_options *options);
/* After the link; its memory goes as the loop runs on. NULL: nothing happens. */
void redis_srtp_keys_free(struct redis_srtp_keys *k);

/* Off: nothing is sent, and where the stream was is forgotten. */
void redis_srtp_keys_use(struct redis_srtp_keys *k, bool on);
/* The link has come up. */
void redis_srtp_keys_up(struct redis_srtp_keys *k);
/* As fleet_srtp_ask. */
int redis_srtp_keys_ask(struct redis_srtp_keys *k, struct slice place);

#endif

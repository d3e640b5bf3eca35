/*
 * Allocations as people see them, a page at a time: control hands an empty page to a worker, which
 * fills it in and hands it back. Plain values.
 */
#ifndef RELAY_SESSIONS_H
#define RELAY_SESSIONS_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/prefix.h"
#include "srtp/streams.h"

#define SESSIONS_PAGE_MAX    100
#define SESSIONS_STREAMS_MAX 256 /* of all sessions of a page */
#define SESSIONS_USER_MAX    508

/* A page is shown as text, in one answer: so much of it at most, whoever gave himself what name. */
#define SESSIONS_PAGE_TEXT_MAX (300u * 1024)
/* Of one session, one byte of its user's name, and one stream: never more than this. */
#define SESSIONS_SESSION_TEXT 2400u
#define SESSIONS_BYTE_TEXT    6u
#define SESSIONS_STREAM_TEXT  480u

struct relay;

struct session_info {
    uint64_t id;    /* as in the log */
    uint32_t realm; /* id */
    uint16_t user_len;
    uint8_t user[SESSIONS_USER_MAX]; /* as on the wire: any bytes */
    uint8_t transport;               /* enum transport */
    struct addr client, relayed[2];
    uint8_t relayed_count;
    uint32_t age_s, expires_s;
    uint64_t packets_to_peer, bytes_to_peer, packets_to_client, bytes_to_client;
    uint32_t permissions, channels;
    uint8_t guard; /* enum srtp_guard_level */
    uint16_t keys; /* of media, in force */
    /* There are stream_count, in both directions. In the page are streams_kept of them, from
     * stream[first_stream] on: all, or, where they are more than a page holds, so many. */
    uint32_t stream_count, first_stream, streams_kept;
    uint32_t untracked; /* packets of streams that found no place */
};

struct session_page {
    /* Asked: */
    uint32_t tag;       /* of who asks; stays as it is */
    uint32_t from_slot; /* 0 at first, then next_slot of the page before */
    uint16_t max;       /* sessions, 1 to SESSIONS_PAGE_MAX */
    bool media;         /* streams too */
    uint64_t only_id;   /* 0: all */
    bool by_realm, by_user;
    uint32_t realm; /* of both */
    uint16_t user_len;
    uint8_t user[SESSIONS_USER_MAX]; /* as on the wire, or the account */
    bool by_peer;                    /* those that have a permission or channel for one of these */
    struct prefix peer;
    uint32_t older_s, younger_s; /* made so long ago at least; less long ago, 0: all */
    /* Answered: */
    uint64_t now_us;    /* monotonic: when */
    uint32_t next_slot; /* where the next page begins */
    bool more;
    uint16_t count;
    uint16_t streams;
    uint32_t text; /* of SESSIONS_PAGE_TEXT_MAX */
    struct session_info sessions[SESSIONS_PAGE_MAX];
    struct srtp_stream stream[SESSIONS_STREAMS_MAX];
};

/* Worker's thread. Looks at so many slots at most that media does not wait; *page then says more,
 * maybe with no session in it. */
void relay_sessions(const struct relay *r, struct session_page *page, const struct instant *now);

#endif

/*
 * The media guard: what passes between a client and its peers, on both straight paths alike. One
 * `struct srtp_guard` a worker, one `struct srtp_session` an allocation. What passes, passes as it
 * came. One thread.
 */
#ifndef SRTP_GUARD_H
#define SRTP_GUARD_H

#include "base/clock.h"
#include "base/counters.h"
#include "srtp/keys.h"
#include "srtp/srtp_settings.h"
#include "srtp/streams.h"

struct srtp_guard;

/* Bindings of one session with their keys, of both directions. */
#define SRTP_SESSION_KEYS_MAX 64

/* What of the settings packets are judged by; swapped with a snapshot. */
struct srtp_policy {
    uint8_t replay; /* enum srtp_replay_policy */
    uint32_t window, streams_per_direction, key_grace_s;
};

/* Of an allocation; {0} at first. */
struct srtp_session {
    struct srtp_stream_list streams;
    struct srtp_session_keys *keys; /* NULL: none; owned */
};

struct srtp_packet {
    struct slice bytes; /* a datagram; what is in it is untouched */
    uint8_t direction;  /* enum srtp_direction */
    uint8_t level;      /* enum srtp_guard_level, never SRTP_GUARD_INHERIT */
    const struct instant *now;
};

/* `streams_max`: of all its sessions. NULL: out of memory. */
struct srtp_guard *srtp_guard_new(struct counters *counters, uint32_t streams_max);
void srtp_guard_free(struct srtp_guard *g); /* after all sessions have ended */
/* Sessions keep the keys they have; windows of those are what they were made with. */
void srtp_guard_set_policy(struct srtp_guard *g, const struct srtp_policy *policy);

/* REASON_NONE: it passes. Counts kinds and verdicts; who is told a reason counts the drop. */
enum reason srtp_guard_judge(
    struct srtp_guard *g, struct srtp_session *s, const struct srtp_packet *p);

/* A deposit for this session (the caller has compared who it is for). One that equals what is there
 * prolongs it; another one replaces it, and the one before goes on for key_grace_s; one that is
 * past ends it at once, or does nothing. One of a user is opened by the first packet that it is
 * for: -ENOMEM of it is never told. 0, -ENOSYS, -ENOMEM, -EINVAL, or -ENOSPC: as many as may
 * be. */
int srtp_guard_deposit(struct srtp_guard *g, struct srtp_session *s, const struct srtp_deposit *d,
    const struct instant *now);
/* That deposit, for that name and with that end, is what the session was told last of its SSRC. */
bool srtp_guard_has(const struct srtp_session *s, const struct srtp_deposit *d);
/* Wipes keys that have ended or been replaced. Once a second or so for each session with keys. */
void srtp_guard_tick(struct srtp_guard *g, struct srtp_session *s, const struct instant *now);
/* Wipes all of it. */
void srtp_guard_end(struct srtp_guard *g, struct srtp_session *s);

/* For people. */
const struct srtp_stream *srtp_guard_next_stream(
    const struct srtp_guard *g, const struct srtp_session *s, const struct srtp_stream *after);
/* Keys in force, of all directions. */
unsigned srtp_guard_key_count(const struct srtp_session *s);

#endif

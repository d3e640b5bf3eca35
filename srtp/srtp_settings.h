/* What the configuration says about media. Plain data; owned by the configuration. */
#ifndef SRTP_SRTP_SETTINGS_H
#define SRTP_SRTP_SETTINGS_H

#include <stdint.h>

#include "base/secret.h"

/* How closely media is looked at, each level with what the one before does. */
enum srtp_guard_level {
    SRTP_GUARD_OFF,      /* nothing is looked at, nothing counted */
    SRTP_GUARD_OBSERVE,  /* counted by kind, and streams of RTP by their headers; all passes */
    SRTP_GUARD_CLASSIFY, /* what is no media by RFC 7983 and RFC 5761 is dropped */
    SRTP_GUARD_VERIFY,   /* where there are keys, tags and replays are judged */
    SRTP_GUARD_VERIFY_REQUIRED /* RTP and RTCP without keys are dropped */
};

/* In place of a level: the next wider scope says. */
#define SRTP_GUARD_INHERIT 0xff

/* What becomes of a packet whose index was seen before. */
enum srtp_replay_policy {
    SRTP_REPLAY_DROP,
    SRTP_REPLAY_COUNT /* passes, and is counted, if it is the packet that was seen, to the last bit
                       */
};

#define SRTP_WINDOW_MIN  128
#define SRTP_WINDOW_MAX  16384
#define SRTP_STREAMS_MAX 1024 /* bound of streams_per_direction */

struct srtp_settings {
    uint8_t guard;                  /* enum srtp_guard_level; default observe */
    uint8_t replay;                 /* enum srtp_replay_policy; default drop */
    uint32_t window;                /* packets that may come late, of one SSRC; default 1024 */
    uint32_t streams_per_direction; /* SSRCs of one allocation that are kept; default 32 */
    uint32_t key_grace_s;   /* how long a key goes on beside the one that replaces it; default 30 */
    struct secret wrap_key; /* 32 bytes: what keys in Redis are wrapped by; empty: none are read */
    struct secret wrap_key_old; /* the one before, which still opens; empty: none */
};

#endif

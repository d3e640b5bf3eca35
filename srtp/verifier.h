/*
 * Tags and replays of one deposit's packets, by libsrtp2 (verifier_libsrtp2.c), or not at all where
 * it was built without (verifier_none.c: srtp_verifier_new says -ENOSYS). The packet is never
 * changed. Streams are made by the first packet of an SSRC that verifies; a forged one makes none.
 * One thread.
 */
#ifndef SRTP_VERIFIER_H
#define SRTP_VERIFIER_H

#include "srtp/keys.h"

enum srtp_verdict {
    SRTP_VERIFIED,
    SRTP_REPLAYED, /* its index was seen, and its tag is right: what was seen, to the last bit, for
                      nobody but the sender can make another one; only with tell_duplicates */
    SRTP_FAILED,  /* the tag is wrong, of a new index or of one that was seen, or the MKI is none of
                     ours, or SRTCP says that it is not encrypted */
    SRTP_SEEN,    /* its index was seen, and nobody looked at the tag */
    SRTP_TOO_OLD, /* before the window: of SRTP the one of the options, of SRTCP 128 packets */
    SRTP_UNVERIFIED, /* a new SSRC that fits no roll-over counter tried so far, but may one day */
    SRTP_CROWDED,    /* it would verify, but there are as many SSRCs as may be */
    SRTP_VERDICT_COUNT
};

struct srtp_verifier_options {
    uint32_t window;  /* SRTP_WINDOW_MIN to SRTP_WINDOW_MAX */
    uint32_t streams; /* SSRCs at most */
    /* The tag of what comes under a seen index is computed, so that duplicates can be told from
     * forgeries: SRTP_REPLAYED or SRTP_FAILED; else SRTP_SEEN. */
    bool tell_duplicates;
    /* NULL, or the verifier of the same sender's packets under the key before, borrowed for the
     * call: where SSRCs go on under the new key, their roll-over counters are those that it has, or
     * begin anew. They are not searched for, so packets that are still under the key before fail
     * at once, and use nothing up. */
    const struct srtp_verifier *before;
};

struct srtp_verifier;

/* Once for the process, before any thread makes a verifier; again is fine. 0 or -EIO. */
int srtp_verifier_init(void);
bool srtp_verifier_available(void);
/* 0, -ENOSYS, -ENOMEM, -EINVAL. Takes about 4 us and 5 KiB; the first packet that fits another 30
 * us and 30 KiB. */
int srtp_verifier_new(struct srtp_verifier **out, const struct srtp_keys *keys,
    const struct srtp_verifier_options *options);
void srtp_verifier_free(struct srtp_verifier *v); /* wipes; NULL is fine */
/* The same keys were deposited again: what they say of the roll-over counter is for SSRCs that have
 * not begun. */
void srtp_verifier_tell_roc(struct srtp_verifier *v, const struct srtp_keys *keys);
/* `packet`: one whose header is plausible (wire/rtp.h). */
enum srtp_verdict srtp_verifier_judge(
    struct srtp_verifier *v, struct slice packet, bool rtcp, uint64_t now_us);

#endif

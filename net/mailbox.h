/*
 * What one thread tells another: a bounded ring of 128-byte messages by value, many senders and one
 * reader, and one uv_async_t that wakes the reader's loop. Ownership of what a message carries
 * passes when it is accepted. A few slots are kept for revocations, and a few more for reloads and
 * stops, so that no flood of anything else holds these up.
 */
#ifndef NET_MAILBOX_H
#define NET_MAILBOX_H

#include <uv.h>

#include "auth/revocation.h"
#include "auth/store.h"
#include "relay/kick.h"
#include "relay/message.h"
#include "relay/sessions.h"
#include "srtp/keys.h"

struct net_snapshot;

enum mailbox_kind {
    MAILBOX_RELAY,          /* relay: from one worker's relay to another's */
    MAILBOX_SNAPSHOT,       /* snapshot: to a worker, judge by this from now on */
    MAILBOX_SNAPSHOT_TAKEN, /* version: to control, `from` no longer uses the one before */
    MAILBOX_ASK,     /* question: to control, the store is to be asked; owned, freed by control */
    MAILBOX_ANSWER,  /* answer: to a worker; owned, wiped and freed by it */
    MAILBOX_SECRETS, /* secrets: to a worker; owned, freed by it */
    MAILBOX_LIMITS,  /* to a worker: other instances were heard of; one that is lost does no harm */
    MAILBOX_REVOKE,  /* revocation: to a worker; owned, freed by it */
    MAILBOX_SRTP_WANTED, /* wanted: to control, which keys of media there are; owned, freed by it */
    MAILBOX_SRTP_UNWANTED, /* allocation: to control, one that had asked for keys has ended; one
                              that is lost costs control some room until it has aged */
    MAILBOX_SRTP_DEPOSIT,  /* deposit: to a worker; owned, wiped and freed by it */
    MAILBOX_SESSIONS,      /* page: to a worker, to be filled in; owned */
    MAILBOX_SESSIONS_READ, /* page: to control, from worker `from`; owned, freed by it */
    MAILBOX_KICK,          /* kick: to a worker; owned */
    MAILBOX_KICKED,        /* kick: to control, how far a worker has come; owned, freed by it */
    MAILBOX_STOP,          /* to a worker: end the thread */
    MAILBOX_STARTED, /* to control: the loop of worker `from` runs, its listeners are polled */
    MAILBOX_STOPPED  /* to control: the thread of worker `from` is about to end */
};

struct mailbox_message {
    uint8_t kind; /* enum mailbox_kind */
    uint8_t from; /* worker that sent it; 0 from control */
    union {
        struct relay_message relay;
        const struct net_snapshot *snapshot; /* borrowed until a later version is taken */
        uint64_t version;
        struct store_question *question;
        struct store_answer *answer;
        struct store_secrets *secrets;
        struct revocation *revocation;
        struct srtp_wanted *wanted;
        uint64_t allocation; /* its id */
        struct srtp_deposit *deposit;
        struct session_page *page;
        struct kick *kick;
        uint8_t bytes[120];
    } u;
};
_Static_assert(sizeof(struct mailbox_message) == 128, "a message is 128 bytes");

/*
 * Slots that others leave free: revocations leave those of reloads and stops; the traffic between
 * workers (MAILBOX_RELAY), keys of media, sessions, kicks, and what the store is asked and answers
 * leave those of revocations too, and questions, of which clients make as many as they like, no
 * more than half of the ring: MAILBOX_ASK and MAILBOX_SRTP_WANTED together.
 */
#define MAILBOX_RESERVED_STOP 16
#define MAILBOX_RESERVED      32

struct mailbox;

typedef void mailbox_deliver_fn(void *ctx, struct mailbox_message *message);

/*
 * Wipes and frees what a message owns on the heap: of one that was refused, or that is not taken up
 * any more. A message of relay/ or without such: nothing happens.
 */
void mailbox_message_free(struct mailbox_message *message);

/*
 * `capacity`: a power of two over MAILBOX_RESERVED. Messages are delivered on the loop's thread.
 * Called before the loop runs. 0, -ENOMEM, or libuv's error (the same numbers).
 */
int mailbox_new(struct mailbox **out, uv_loop_t *loop, uint32_t capacity,
    mailbox_deliver_fn *deliver, void *ctx);
/*
 * Any thread. 0: accepted. -EAGAIN: full, the caller keeps what the message carries. Never blocks,
 * never allocates.
 */
int mailbox_post(struct mailbox *m, const struct mailbox_message *message);
/*
 * Delivers what has arrived, at most one ring full. Loop thread, or any thread once the loop's own
 * has ended. Returns how many.
 */
uint32_t mailbox_drain(struct mailbox *m);
/*
 * Ends it: when no thread can post any more. Memory is freed when the loop has run the close
 * callback. Messages that were not delivered are lost: drain first. NULL: nothing happens.
 */
void mailbox_close(struct mailbox *m);

#endif

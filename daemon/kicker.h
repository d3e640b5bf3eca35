/*
 * `turnpikectl kick` on its way to the workers and back: of one allocation to its worker, else to
 * all, one worker after the other, a part at a time. Control thread.
 */
#ifndef DAEMON_KICKER_H
#define DAEMON_KICKER_H

#include "admin/ops.h"
#include "auth/auth_settings.h"
#include "net/worker.h"

/* At once. */
#define KICKER_ASKED_MAX 4
/* A worker that says nothing for so long is not waited for. */
#define KICKER_PATIENCE_US (2 * US_PER_S)

struct kicker_asked {
    uint32_t tag; /* of its kick; 0: nobody asks here */
    unsigned worker;
    bool all; /* workers, from this one on */
    uint64_t since_us, kicked;
    admin_kicked_fn *done;
    void *ctx;
};

/* The first two are borrowed for life; plain, the rest begins as zeros. */
struct kicker {
    const struct worker_list *workers;
    const struct auth_settings *auth; /* names of the realms */
    uint32_t tags;
    struct kicker_asked asked[KICKER_ASKED_MAX];
};

/* As admin_ops.kick. */
void kicker_ask(struct kicker *s, const struct admin_kick *what);
/* MAILBOX_KICKED: takes the kick over. */
void kicker_read(struct kicker *s, struct kick *kick);
/* Answers those that have waited for too long. Once a second or so. */
void kicker_tick(struct kicker *s, uint64_t now_us);
/* Answers everybody: nothing comes back any more. */
void kicker_end(struct kicker *s);

#endif

/*
 * `turnpikectl sessions`: allocations of all workers, one worker after the other, a page at a time.
 * Control thread.
 */
#ifndef DAEMON_SESSIONS_H
#define DAEMON_SESSIONS_H

#include "admin/ops.h"
#include "auth/auth_settings.h"
#include "net/worker.h"

/* At once. */
#define SESSIONS_ASKED_MAX 4
/* A worker that says nothing for so long is not waited for. */
#define SESSIONS_PATIENCE_US (2 * US_PER_S)
/* Pages with nobody in them are handed on after it, rather than another one asked for. */
#define SESSIONS_SEARCH_US (US_PER_S / 2)
/* A page that has not come back by then has been lost. */
#define SESSIONS_LOST_US (60 * US_PER_S)

struct sessions_asked {
    uint32_t tag;  /* of its page; 0: nobody asks here */
    bool answered; /* and its page is still out */
    unsigned worker;
    uint64_t since_us; /* monotonic */
    admin_sessions_fn *found;
    void *ctx;
};

/* The first two are borrowed for life; plain, the rest begins as zeros. */
struct sessions {
    const struct worker_list *workers;
    const struct auth_settings *auth; /* names of the realms */
    uint32_t tags;
    struct sessions_asked asked[SESSIONS_ASKED_MAX];
};

/* As admin_ops.sessions. */
void sessions_ask(struct sessions *s, const struct admin_sessions *what);
/* MAILBOX_SESSIONS_READ: takes the page over. */
void sessions_read(struct sessions *s, struct session_page *page);
/* Answers those that have waited for too long. Once a second or so. */
void sessions_tick(struct sessions *s, uint64_t now_us);
/* Answers everybody: no page comes back any more. */
void sessions_end(struct sessions *s);

#endif

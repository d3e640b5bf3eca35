/* Questions for the store, and the way back of their answers. Control thread. */
#ifndef DAEMON_LOOKUPS_H
#define DAEMON_LOOKUPS_H

#include "auth/auth_settings.h"
#include "auth/store.h"
#include "base/counters.h"
#include "net/worker.h"

/* Everything borrowed for life; plain, zero-initialised: there is no store. */
struct lookups {
    const struct auth_settings *auth; /* names of the realms */
    const struct worker_list *workers;
    struct counters *counters;
    struct store store; /* ask NULL: none, and every answer is STORE_UNREACHABLE */
};

/* As store.ask, but that `done` is called at once where nobody can be asked. Counts the answer. */
void lookups_ask(
    struct lookups *l, const struct store_question *question, store_done_fn *done, void *done_ctx);
/*
 * Of a worker: takes the question over, and posts the answer to that worker. A worker whose mailbox
 * is full goes without: its requests end by their own deadline.
 */
void lookups_ask_for(struct lookups *l, struct store_question *question, unsigned worker);

#endif

/*
 * The keys of users and of OAuth from Redis, as struct store: one command a question, however many
 * ask it at once. Whatever Redis does, an answer comes within 1.5 s. Control thread.
 */
#ifndef FLEET_REDIS_STORE_H
#define FLEET_REDIS_STORE_H

#include "auth/store.h"
#include "fleet/redis_link.h"

#define REDIS_STORE_DEADLINE_MS 1500u

struct redis_store;

/* `link` outlives the store's last question, or answers it when it is freed. NULL: out of memory,
 * or no randomness. */
struct redis_store *redis_store_new(
    uv_loop_t *loop, struct redis_link *link, const struct random_source *random);
/*
 * After the link: answers what waits, before it returns. Its memory goes as the loop runs on. NULL:
 * nothing happens.
 */
void redis_store_free(struct redis_store *s);

/* As store.ask. A name that cannot be a key (see redis_keys.h): NOT_FOUND. */
void redis_store_ask(void *store, const struct store_question *question, struct slice realm_name,
    store_done_fn *done, void *done_ctx);

#endif

/*
 * What this instance shares with others through Redis: keys of users and of OAuth, REST secrets (in
 * coturn's layout, read and never written), and revocations. One link; control thread.
 */
#ifndef FLEET_FLEET_H
#define FLEET_FLEET_H

#include "auth/revocation.h"
#include "auth/store.h"
#include "fleet/redis_link.h"

struct fleet;

struct fleet_hooks {
    void (*state)(void *ctx, const struct redis_state *state);
    /* The REST secrets of a realm: at first and whenever they have changed. Borrowed. */
    void (*secrets)(void *ctx, const struct store_secrets *secrets);
    /* Somebody has revoked, this instance among them; each once, or again after a reconnection. */
    void (*revoked)(void *ctx, const struct revocation *v);
    void *ctx;
};

struct fleet_realm {
    uint32_t id;
    struct slice name;
    bool secrets; /* read turn/realm/NAME/secret */
};

/* As redis_link_new: begins to connect with the next turn of the loop; never blocks. */
int fleet_new(struct fleet **out, uv_loop_t *loop, const struct redis_settings *settings,
    const struct random_source *random, const struct fleet_hooks *hooks, char *error,
    size_t error_cap);
void fleet_free(struct fleet *f); /* NULL: nothing happens; questions in flight are answered */
/* The realms from now on; copied. 0 or -ENOMEM. */
int fleet_set_realms(struct fleet *f, const struct fleet_realm *realms, size_t count);
/* Valid as long as the fleet. */
struct store fleet_store(struct fleet *f);
/*
 * Tells all instances, within 5 s while Redis can be reached; else as soon as it can again. 0, or
 * -ENOSPC when too many wait.
 */
int fleet_revoke(struct fleet *f, const struct revocation *v);
/* Reads certificates and keys of the link again; see redis_link_renew. */
int fleet_renew(struct fleet *f, char *error, size_t error_cap);

bool fleet_is_up(const struct fleet *f);
struct redis_link_stats fleet_stats(const struct fleet *f);

#endif

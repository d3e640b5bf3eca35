/*
 * What this instance shares with others through Redis: keys of users and of OAuth, REST secrets (in
 * coturn's layout, read and never written), revocations, and how much is asked of limits. One link;
 * control thread.
 */
#ifndef FLEET_FLEET_H
#define FLEET_FLEET_H

#include "auth/revocation.h"
#include "auth/store.h"
#include "fleet/redis_link.h"
#include "ratelimit/share.h"

struct fleet;

#define FLEET_SRTP_FIELDS_MAX 64

/* Keys of media of a place, as they lie in Redis (srtp/wrapped_key.h): anything may. */
struct fleet_srtp_found {
    struct slice place;
    enum {
        FLEET_SRTP_READ,       /* the fields are what lies there; none: nothing does */
        FLEET_SRTP_FAILED,     /* no answer, or an error that says nothing about the place */
        FLEET_SRTP_UNREADABLE, /* something else lies there, that is no hash */
    } outcome;
    bool whole; /* there are no other fields */
    size_t count;
    struct fleet_srtp_field {
        struct slice name, value;
    } fields[FLEET_SRTP_FIELDS_MAX];
};

/* All called on the loop; none may free the fleet or change its realms. Each may be NULL. */
struct fleet_hooks {
    void (*state)(void *ctx, const struct redis_state *state);
    /* The REST secrets of a realm: at first, whenever they have changed, and again after
     * fleet_set_realms. Borrowed; sorted. What is known stays while Redis cannot be read. */
    void (*secrets)(void *ctx, const struct store_secrets *secrets);
    /* Somebody has revoked or taken back, this instance among them, and Redis has it; each once, or
     * again after a reconnection. Who has to act at once does so when it calls fleet_revoke. */
    void (*revoked)(void *ctx, const struct revocation *v);
    /* So many instances are alive, this one among them, or `fleet_size` where that is more: when
     * Redis has said so for the first time (until then it is `fleet_size`), and whenever it has
     * changed: more at once, fewer after 30 s. While Redis is away it stays. */
    void (*instances)(void *ctx, uint32_t count);
    /* Others have counted this instance as gone, or Redis is another or has lost its data, or a day
     * has gone by: what it holds is to be told again (ratelimit/quota_reports.h). */
    void (*forgotten)(void *ctx);
    /* Somebody has deposited keys of media, or taken them back: fleet_srtp_ask says which.
     * Borrowed; a place (srtp/key_place.h), though maybe nobody's here, or no place at all; empty:
     * who deposited has named none. */
    void (*srtp_deposited)(void *ctx, struct slice place);
    /* The answer to fleet_srtp_ask. Borrowed. */
    void (*srtp_found)(void *ctx, const struct fleet_srtp_found *found);
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
/*
 * NULL: nothing happens. Questions in flight are answered before it returns, and no hook is called;
 * its memory goes as the loop runs on. The others are told that this instance shares no limits any
 * more, if the link is up and its socket takes it at once; else they notice within 30 s.
 */
void fleet_free(struct fleet *f);
/* The realms from now on; copied. Of realms that were not there before it tells what is revoked
 * before it returns. 0; -EINVAL: a name is empty or has more than 763 bytes; -ENOMEM. */
int fleet_set_realms(struct fleet *f, const struct fleet_realm *realms, size_t count);
/* Valid as long as the fleet. */
struct store fleet_store(struct fleet *f);
/* Limits that instances share; valid as long as the fleet. With settings.limits off all its
 * functions return -EAGAIN. */
struct share fleet_share(struct fleet *f);
/*
 * Tells all instances, within 5 s while Redis can be reached; else as soon as it can again, and
 * then as of now: it undoes nothing that somebody says in the meantime. 0; -ENOSPC when too many
 * wait (8192); -EINVAL: no such realm, kind or id; -ENOMEM.
 */
int fleet_revoke(struct fleet *f, const struct revocation *v);
/* Whether keys of media are taken from Redis; at first they are not, and nothing is sent for them.
 */
void fleet_srtp_use(struct fleet *f, bool on);
/* Looks which keys of media lie in Redis for "allocation/0123456789abcdef" or "user/REALM/USER". 0:
 * the hook will be called once, unless the fleet is freed before; -EAGAIN: cannot be reached now,
 * or not in use; -EINVAL: no such place; -ENOMEM. */
int fleet_srtp_ask(struct fleet *f, struct slice place);
/* A usage record for the stream PREFIX/usage, of which about `max` entries are kept; copied. 0: it
 * is added when Redis can be reached, once or, under the same id, again; -EAGAIN: too many wait;
 * -ENOMEM. */
int fleet_usage_add(struct fleet *f, struct slice id, struct slice record, uint32_t max);
uint64_t fleet_usage_sent(const struct fleet *f);    /* records that Redis has */
uint32_t fleet_usage_waiting(const struct fleet *f); /* those of fleet_usage_add that it has not */
/* Reads certificates and keys of the link again; see redis_link_renew. */
int fleet_renew(struct fleet *f, char *error, size_t error_cap);

bool fleet_is_up(const struct fleet *f);
struct redis_link_stats fleet_stats(const struct fleet *f);

#endif

/*
 * An allocation (RFC 8656 section 6): the 5-tuple, one or two relayed transport addresses, who owns
 * it, and what it may reach. Plain data apart from its lists and its timer. Private to relay/; one
 * thread.
 */
#ifndef RELAY_ALLOCATION_H
#define RELAY_ALLOCATION_H

#include "auth/identity.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/wheel.h"
#include "ratelimit/bandwidth.h"
#include "ratelimit/quota.h"
#include "relay/channel.h"
#include "relay/packet.h"
#include "relay/permission.h"
#include "relay/ports.h"
#include "relay/relay_settings.h"
#include "relay/usage_internal.h"
#include "srtp/guard.h"
#include "wire/stun.h"

struct relay;

/* One relayed transport address. `map` is NULL when the leg is not in use. */
struct relay_leg {
    struct port_map *map; /* borrowed for life */
    uint64_t socket;
    uint64_t expires_us;
    uint16_t port;
    uint8_t family;
};

struct allocation_owner {
    uint32_t realm;
    enum auth_source source;
    char *user; /* owned, user_len bytes, as on the wire */
    uint16_t user_len;
    char credential[32];
    int64_t expires_at; /* of the credential, wall clock; 0: never. An access token's is the
                           allocation's end too */
    uint64_t issued;    /* as in struct identity */
    struct auth_key key;
};

/* An allocation under one of its user's names; media_keys.c. */
struct media_user {
    uint64_t hash;
    uint32_t before, after; /* others of that name; 0: none */
    bool entered;
};

/* What the media guard knows of it; media_keys.c. */
struct allocation_media {
    struct srtp_session session;
    struct media_user users[2];        /* as on the wire, and the account if that is another */
    struct allocation *before, *after; /* of those with keys */
    bool listed;                       /* among those */
    bool asked;                        /* keys were asked for */
};

struct allocation {
    uint64_t handle;
    /* Names the allocation in the log and for the signalling side: worker and slot as in the
     * handle, and 32 random bits. */
    uint64_t id;
    struct flow flow;
    struct relay_leg legs[2]; /* a dual allocation has IPv4 in [0] and IPv6 in [1] */
    struct allocation_owner owner;
    struct permission_list permissions;
    struct channel_list channels;
    struct quota_charge charge;
    struct wheel_timer timer; /* the earliest of what expires */
    struct relay *relay;
    uint64_t created_us;
    uint64_t nonce_tag; /* of the nonce by which a request on it was last authenticated */
    struct usage_traffic traffic;
    struct bandwidth_meter bandwidth;
    struct allocation_media media;
    uint8_t transaction[STUN_TRANSACTION_LEN]; /* of the Allocate that made it */
    uint8_t token[8];                          /* of the reservation it made */
    bool has_token;
    uint8_t ended_family; /* of a dual allocation, ended by Refresh 0 or expiry; ADDR_NONE: none */
    uint8_t missing_family; /* a dual allocation's family that could not be had; ADDR_NONE: none */
    uint16_t missing_code;  /* and why: 440 or 508 */
    uint8_t counted;        /* 1 + the gauge that it stands in; 0: none */
    uint8_t relayed_count;
    /* Those that it began with, as clients and peers see them: legs end one by one. */
    struct addr relayed[2];
    struct usage_account usage;
};

/* The allocation of this 5-tuple, or NULL. */
struct allocation *allocation_find(const struct relay *r, const struct flow *flow);
/*
 * A new allocation without legs, entered under the 5-tuple, owning `charge` (open) and a copy of
 * the identity. NULL: out of memory, or the worker's cap is reached; the charge then stays the
 * caller's.
 */
struct allocation *allocation_new(struct relay *r, const struct flow *flow,
    const struct identity *identity, const struct quota_charge *charge, const struct instant *now);
/* Moves it to the gauge of the legs that it has now. Call after every change of them. */
void allocation_count(struct allocation *a);
/* Ends it: sockets, ports, charges and timer go back; counted by reason, and one log line. */
void allocation_end(struct allocation *a, enum end_reason why, const struct instant *now);
/* Ends one leg with the permissions and channels of its family; the allocation itself must have
 * another. */
void allocation_end_leg(struct allocation *a, struct relay_leg *leg);

struct relay_leg *allocation_leg(
    struct allocation *a, uint8_t family); /* NULL: none of that family */
bool allocation_is_dual(const struct allocation *a);
/* The relayed transport address as clients and peers see it. */
struct addr relay_leg_public(const struct relay_leg *leg);

struct identity allocation_identity(const struct allocation *a);
/* Copies everything but a key into a zeroed owner. 0 or -ENOMEM. */
int allocation_owner_copy(struct allocation_owner *owner, const struct identity *identity);
void allocation_owner_wipe(struct allocation_owner *owner);
/* Borrows the name. */
struct identity allocation_owner_identity(const struct allocation_owner *owner);
/* What Allocate and Refresh grant to who asks for `asked_s`; 0: asks for nothing
 * (sections 7.2, 8.2). */
uint32_t allocation_desired_lifetime(const struct relay_settings *settings, uint32_t asked_s);
/* Sets time to expiry of the legs of `family` (ADDR_NONE: all), never beyond max_allocation_age nor
 * the end of its access token; returns the seconds granted. */
uint32_t allocation_set_lifetime(
    struct allocation *a, uint8_t family, uint32_t lifetime_s, const struct instant *now);
/* Whole seconds left, rounded up. */
uint32_t allocation_lifetime_left(const struct allocation *a, const struct instant *now);
/* Arms the timer for the earliest thing that expires. Call after every change of a time to expiry.
 */
void allocation_arm(struct allocation *a);

#endif

/* What the files of relay/ share: the relay itself and the request being worked on. Private to
 * relay/. */
#ifndef RELAY_CORE_H
#define RELAY_CORE_H

#include "base/container.h"
#include "base/slab.h"
#include "base/table.h"
#include "ratelimit/allocation_rates.h"
#include "relay/allocation.h"
#include "relay/relay.h"

/* Requests that may wait at once for other workers, besides PARKING_TOTAL for the store or for
 * limits, and how long for any of it. */
#define PARKED_CLAIMS_MAX  256
#define PARKED_MAX         (PARKED_CLAIMS_MAX + PARKING_TOTAL)
#define PARKED_DEADLINE_US (2 * US_PER_S)
/* One more than requests that wait: that whose answer is being handed on. */
#define QUESTIONS_MAX (PARKING_TOTAL + 1)
/* "The server MUST hold this reservation for at least 30 seconds" (RFC 8656 section 7.2) */
#define RESERVATION_LIFETIME_US (30 * US_PER_S)

/* Challenges whose first answer is remembered, so that a second is not taken for it. */
#define ANSWERED_CHALLENGES 256

/* Of requests that wait to hear of other instances run again after an answer at most so many, each
 * of which may have to wait again. */
#define PARKED_AGAIN_MAX 32

/* Those, in the order they came. park.c */
struct park_queue {
    struct parked *first, *last;
    struct parked *next; /* to be looked at, while they are gone through */
};

/* revoke.c */
struct revoke_state {
    uint64_t walked_us;           /* when allocations were last walked; 0: never */
    bool again;                   /* there is something that the next tick walks for */
    uint64_t logged_us, failures; /* for log_once_a_minute */
};

/* Streams whose health is kept, of a worker: 4 SSRCs in each direction are a call with a camera,
 * its retransmissions and a shared screen. Allocations that need more take what others leave. */
#define MEDIA_STREAMS_PER_ALLOCATION 8
#define MEDIA_STREAMS_MAX            (1u << 24)

/* media_keys.c */
struct media_state {
    struct srtp_guard *guard;
    struct table *users;             /* realm and name → nodes of allocations */
    struct allocation *first, *last; /* those with keys */
    uint32_t count;
    uint64_t ticked_us;
    uint32_t want_slot; /* the next to be looked at */
    bool wanting;       /* there may be allocations for which keys are to be asked for */
    bool want_behind;   /* also below want_slot */
};

struct relay {
    struct relay_deps deps;
    const struct relay_snapshot *snapshot;
    struct bandwidth_lease *lease;    /* NULL: nothing is limited, whatever the snapshot says */
    struct bandwidth_lease *limiting; /* the same, NULL while the snapshot limits nobody */
    struct auth_worker *auth;
    struct slab *allocations;
    struct table *flows; /* 5-tuple → slot of `allocations` */
    struct slab *reservations;
    struct table *tokens; /* reservation token → slot of `reservations` */
    struct slab *parked;
    struct table *waiting; /* 5-tuple → slots of `parked` */
    uint32_t claims_waiting;
    struct park_queue limits_waiting;
    struct slab *questions;
    struct table *asked; /* kind, realm and name → slot of `questions` */
    struct revoke_state revoke;
    struct media_state media;
    struct usage_state usage;
    uint32_t usage_reserve; /* places of the ring that are left for ends */
    struct wheel *wheel;
    struct instant now; /* of the call being worked on; timers read it */
    size_t pool_left;   /* unused bytes of `pool`, taken from its end */
    uint8_t pool[1020]; /* random bytes for transaction ids of indications: one fill serves 85 of
                           them */
    /* round_trip.c; by nonce_facts.tag, older ones are written over */
    uint32_t answered[ANSWERED_CHALLENGES];
};

enum parked_wait {
    PARKED_RUNNING, /* for nothing any more */
    PARKED_FOR_CLAIM,
    PARKED_FOR_STORE,
    PARKED_FOR_LIMITS
};

/* What a request learns from the worker that has its reservation. */
struct parked_claim {
    bool settled, late;         /* it has answered, or the deadline passed */
    struct parcel parcel;       /* the reserved socket; fd -1: refused, or nothing came */
    struct quota_charge charge; /* … and what it is charged to */
};

struct question;

/* What a request has to do with the store. */
struct parked_store {
    bool asked; /* since it was parked: it has answered, or the deadline passed */
    /* While it waits: */
    struct question *question;
    struct parked *next, **link; /* of those that wait for the same */
};

/* What a request has to do with limits of the fleet. */
struct parked_limits {
    bool paid;         /* its rates are charged */
    bool late;         /* the deadline has passed: it waits no more */
    bool queued;       /* in the relay's limits_waiting, until it waits for something else */
    uint64_t since_us; /* when it began to wait; 0: it has not */
    struct allocation_level level; /* that is to be heard of; without a limit: it is a quota */
    struct parked *before, *after;
};

/* A request that waits. */
struct parked {
    uint64_t handle;
    struct relay *relay;
    uint8_t wait;                 /* enum parked_wait */
    bool judged;                  /* its credentials were counted as right or wrong */
    struct parking_charge charge; /* while it waits for the store or for limits */
    struct wheel_timer deadline;
    struct packet packet; /* bytes owned */
    struct instant arrived;
    uint8_t transaction[STUN_TRANSACTION_LEN];
    struct parked_claim claim;
    struct parked_store store;
    struct parked_limits limits;
};

/* A port that waits for its token; reservation.c. */
struct reservation {
    uint64_t handle;
    struct relay *relay;
    struct relay_leg leg;
    struct quota_charge charge;
    struct wheel_timer timer;
    struct allocation_owner owner; /* without a key */
    uint64_t user_tag;
    uint8_t token[8];
};

struct request {
    struct relay *relay;
    const struct packet *packet;
    const struct instant *now;
    struct parked *parked;         /* on a re-run; else NULL */
    struct allocation *allocation; /* of the 5-tuple, or NULL */
    struct stun_msg msg;
    struct auth_result auth;
    bool authenticated;
    bool report; /* control has to be told: it has something to say to other instances */
};

enum verdict_kind { VERDICT_SUCCESS, VERDICT_ERROR, VERDICT_SILENT, VERDICT_PENDING };

/* What a handler decided. Error codes are data; relay/reply builds the response. */
struct verdict {
    enum verdict_kind kind;
    uint16_t code; /* of VERDICT_ERROR */
    enum reason reason;
};

/* What a response carries besides integrity, of a success but for what is said to be of a 300;
 * handlers fill in what applies. */
struct reply_fields {
    bool has_mapped, has_lifetime, has_token;
    bool has_alternate_domain; /* of a 300; that of the snapshot */
    uint8_t relayed_count;
    uint8_t address_error_family; /* ADDR_NONE: none */
    uint16_t address_error_code;
    uint32_t lifetime_s;
    uint8_t token[8];
    struct addr relayed[2];
    struct addr alternates[2]; /* of a 300 */
    uint8_t alternate_count;
};

static inline struct verdict verdict_success(void)
{
    return (struct verdict){VERDICT_SUCCESS, 0, REASON_NONE};
}

static inline struct verdict verdict_error(uint16_t code, enum reason reason)
{
    return (struct verdict){VERDICT_ERROR, code, reason};
}

/* authenticate.c: success with q->authenticated, an error, silence, or pending. */
struct verdict authenticate(struct request *q);
/* Names the request's nonce; who does not know the nonce cannot make another of that name. 0: there
 * is none. */
uint64_t authenticate_nonce_tag(const struct request *q);

/* Handlers, one a file. `reply` is zeroed. */
struct verdict binding_handle(struct request *q, struct reply_fields *reply);
struct verdict allocate_handle(struct request *q, struct reply_fields *reply);
struct verdict refresh_handle(struct request *q, struct reply_fields *reply);
struct verdict create_permission_handle(struct request *q, struct reply_fields *reply);
struct verdict channel_bind_handle(struct request *q, struct reply_fields *reply);

/* requests.c: one STUN message from a client; counts it as consumed or dropped. */
void requests_handle(
    struct relay *r, const struct packet *p, const struct instant *now, struct parked *parked);
/* from_client.c: a Send indication that was parsed. */
void from_client_send(
    struct relay *r, const struct packet *p, const struct stun_msg *msg, const struct instant *now);

/* round_trip.c: an Allocate request of any outcome, not yet answered; `made` an allocation or not.
 * Observes the time since the challenge that it answers. */
void round_trip_observe(const struct request *q, bool made);

/* reply.c: sends the response of a verdict that is not silent or pending. */
void reply_send(struct request *q, const struct verdict *v, const struct reply_fields *fields);

/*
 * peers.c: peers as clients name them. Behind 1:1 NAT our public address and the private one are
 * the same place: permissions, channels and XOR-PEER-ADDRESS know the public one, sockets send to
 * and receive from the private one.
 */
struct addr peer_from_wire(const struct relay *r, const struct addr *addr); /* private → public */
struct addr peer_to_wire(const struct relay *r, const struct addr *peer);   /* public → private */
/* A peer of a request: REASON_NONE, REASON_FAMILY_MISMATCH or REASON_PEER_FORBIDDEN. */
enum reason peer_judge(const struct relay *r, struct allocation *a, const struct addr *peer);
/* One line a new permission: ties client, relayed and peer address for abuse handling. */
void peer_log_permission(struct allocation *a, const struct addr *peer);

/* relayed.c */
enum relayed_parity { RELAYED_ANY, RELAYED_EVEN, RELAYED_PAIR };
bool relayed_family_supported(const struct relay *r, uint8_t family);
/* Opens a relayed transport address on a random port, owner HANDLE_NONE; with RELAYED_PAIR legs[1]
 * is the next port, claimed and not live. On failure nothing is held. */
enum reason relayed_open(
    struct relay *r, uint8_t family, enum relayed_parity parity, struct relay_leg legs[2]);
void relayed_close(
    struct relay *r, struct relay_leg *leg); /* a leg that is not in use: nothing happens */

/* reservation.c */
struct slab *reservation_slab_new(unsigned worker, uint32_t cap);
/* Keeps `leg` (its socket without an owner) under a new token. 0, or the reason: quota, memory,
 * randomness. The leg stays the caller's on failure. */
enum reason reservation_make(struct request *q, struct relay_leg *leg, uint8_t token[8]);
/* Claims by token for an allocation-to-be: REASON_NONE with *leg (owner not set) and *charge filled
 * in, REASON_RESERVATION_UNKNOWN, or, when another worker owns it, parks the request and sets
 * *pending. exception: a request that is refused after its claim ends the reservation early. */
enum reason reservation_claim(struct request *q, const uint8_t token[8], struct relay_leg *leg,
    struct quota_charge *charge, bool *pending);
void reservation_answer(struct relay *r, struct relay_message *m); /* RELAY_CLAIM */
void reservation_cancel(struct relay *r, const uint8_t token[8]);
void reservation_end(struct reservation *reservation);
void reservation_end_all(struct relay *r);
/* Closes a parcel that nobody took, frees its port and gives its charge back. */
void reservation_discard(struct relay *r, struct parcel *parcel, struct quota_charge *charge);

/*
 * park.c: copies the request, or keeps the copy of a re-run, which must return VERDICT_PENDING
 * then. REASON_NONE, REASON_PARKING_FULL, REASON_PARKED_DUPLICATE or REASON_MEMORY_EXHAUSTED;
 * park_for_store also REASON_STORE_UNREACHABLE, when nobody can be asked.
 */
enum reason park_for_claim(struct request *q, uint64_t *handle);
/* Is it a repetition of one that waits? */
bool park_has(const struct request *q);
enum reason park_for_store(struct request *q, const struct store_need *need);
/* Until limits of the fleet can be judged: `level` is to be heard of, or, without a limit, a quota.
 * `paid`: its rates are charged, and are not again. */
enum reason park_for_limits(struct request *q, bool paid, const struct allocation_level *level);
/* From now on this worker is told of answers: those that came before are in the tables already. */
void park_heed_answers(struct relay *r);
/* There have been answers: runs those again for which that may have changed something. */
void park_limits_answered(struct relay *r, const struct instant *now);
/* Runs those again that have waited for as long as nobody need be waited for. */
void park_tick(struct relay *r, const struct instant *now);
/* What it waited for has come (the message's parcel and charge are taken over; fd -1: refused):
 * runs it again from the top and frees it. A handle that is gone, or waits for something else:
 * false, they stay the caller's. */
bool park_resume(struct relay *r, struct relay_message *m, const struct instant *now);
/* The store has answered: runs it again. */
void park_answered(struct parked *p, const struct instant *now);
/* Of the request that has just been parked: it does not wait after all. */
void park_cancel(struct request *q, uint64_t handle);
/* Forgets what waits on a flow that is gone; counted as refused. */
void park_cancel_flow(struct relay *r, const struct flow *flow);
void park_end_all(struct relay *r);

/* question.c */
struct slab *question_slab_new(unsigned worker);
/* Asks, unless that has been asked already, and enters p among those who wait. REASON_NONE,
 * REASON_STORE_UNREACHABLE or REASON_MEMORY_EXHAUSTED. */
enum reason question_join(
    struct parked *p, const struct store_need *need, const struct instant *now);
void question_leave(struct parked *p);
/* Runs all again that wait for it. */
void question_answered(
    struct relay *r, const struct store_question *what, const struct instant *now);

/* drain.c */
/* Of an Allocate request while draining: 300 with *reply filled in, or 508. */
struct verdict drain_redirect(const struct request *q, struct reply_fields *reply);
void drain_advance(struct relay *r, const struct instant *now);

/* revoke.c */
void revoke_tick(struct relay *r, const struct instant *now);

/* media_keys.c */
/* False: out of memory; media_deinit is to be called in any case. */
bool media_init(struct relay *r, uint32_t allocations);
void media_deinit(struct relay *r); /* after the last allocation */
/* With its owner and its id. Enters it into the index and asks for its keys. 0, or -ENOSPC with
 * nothing done. */
int media_begin(struct allocation *a);
void media_end(struct allocation *a); /* wipes; again is fine */
void media_tick(struct relay *r, const struct instant *now);
void media_set_policy(struct relay *r); /* there is another snapshot */

/* The limits of a realm's users: their own, and those of prefixes and of the whole instance. */
static inline struct quota_limits quota_limits_of(const struct relay *r, uint32_t realm)
{
    const struct quota_limits *all = &r->snapshot->limits.quota;
    struct quota_limits limits = r->snapshot->quotas[realm];
    limits.allocations_total = all->allocations_total;
    limits.permissions_per_prefix = all->permissions_per_prefix;
    limits.channels_per_prefix = all->channels_per_prefix;
    return limits;
}

/* Whether so much payload of the allocation's media may pass now. */
static inline enum reason bandwidth_judge(
    struct relay *r, struct allocation *a, enum bandwidth_direction direction, size_t bytes)
{
    if (!r->limiting) {
        return REASON_NONE;
    }
    const struct bandwidth_rates *rates = &r->snapshot->bandwidth[a->owner.realm];
    if (!rates->any) {
        return REASON_NONE;
    }
    const struct bandwidth_owner owner = {&a->bandwidth, a->charge.user, a->owner.realm};
    const struct bandwidth_packet packet = {direction, bytes, r->now.mono_us};
    return bandwidth_take(r->limiting, rates, &owner, &packet);
}

/* How closely an allocation's media is looked at now. */
static inline uint8_t guard_level(const struct allocation *a)
{
    const struct relay_snapshot *s = a->relay->snapshot;
    const uint16_t listener = a->flow.listener;
    const uint8_t level =
        listener < GUARD_LISTENERS_MAX ? s->guard_of_listener[listener] : SRTP_GUARD_INHERIT;
    return level != SRTP_GUARD_INHERIT ? level : s->guard_of_realm[a->owner.realm];
}

/* Whether a packet of it may pass, whatever its bandwidth. */
static inline enum reason guard_judge(
    struct relay *r, struct allocation *a, enum srtp_direction direction, struct slice bytes)
{
    const uint8_t level = guard_level(a);
    if (level == SRTP_GUARD_OFF) {
        return REASON_NONE;
    }
    const struct srtp_packet packet = {bytes, direction, level, &r->now};
    return srtp_guard_judge(r->media.guard, &a->media.session, &packet);
}

/* Who asks for an allocation. Borrows from the request. */
static inline struct quota_asked quota_asked_of(
    const struct request *q, const struct quota_limits *limits)
{
    const struct identity *said = &q->auth.identity;
    return (struct quota_asked){.limits = limits,
        .realm = said->realm,
        .realm_name = auth_realm_name(q->relay->snapshot->auth, said->realm),
        .user = identity_account(said),
        .client = q->packet->flow.remote,
        .now_us = q->now->mono_us,
        .deny_alone = q->relay->snapshot->limits.deny_alone};
}

#endif

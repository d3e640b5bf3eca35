/* What the files of relay/ share: the relay itself and the request being worked on. Private to
 * relay/. */
#ifndef RELAY_CORE_H
#define RELAY_CORE_H

#include "base/container.h"
#include "base/slab.h"
#include "base/table.h"
#include "relay/allocation.h"
#include "relay/relay.h"

/* Requests that may wait at once, and how long. */
#define PARKED_MAX         256
#define PARKED_DEADLINE_US (2 * US_PER_S)
/* "The server MUST hold this reservation for at least 30 seconds" (RFC 8656 section 7.2) */
#define RESERVATION_LIFETIME_US (30 * US_PER_S)

/* Challenges whose first answer is remembered, so that a second is not taken for it. */
#define ANSWERED_CHALLENGES 256

struct relay {
    struct relay_deps deps;
    const struct relay_snapshot *snapshot;
    struct auth_worker *auth;
    struct slab *allocations;
    struct table *flows; /* 5-tuple → slot of `allocations` */
    struct slab *reservations;
    struct table *tokens; /* reservation token → slot of `reservations` */
    struct slab *parked;
    struct wheel *wheel;
    struct instant now; /* of the call being worked on; timers read it */
    size_t pool_left;   /* unused bytes of `pool`, taken from its end */
    uint8_t pool[1020]; /* random bytes for transaction ids of indications: one fill serves 85 of
                           them */
    /* round_trip.c; by nonce_facts.tag, older ones are written over */
    uint32_t answered[ANSWERED_CHALLENGES];
};

/* A request waiting for another worker. */
struct parked {
    uint64_t handle;
    struct relay *relay;
    struct wheel_timer deadline;
    struct packet packet; /* bytes owned */
    struct instant arrived;
    uint8_t transaction[STUN_TRANSACTION_LEN];
    struct parcel parcel;       /* learned: the reserved socket; fd -1: refused, or nothing came */
    struct quota_charge charge; /* … and what it is charged to */
    bool late;                  /* the deadline passed */
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
};

enum verdict_kind { VERDICT_SUCCESS, VERDICT_ERROR, VERDICT_SILENT, VERDICT_PENDING };

/* What a handler decided. Error codes are data; relay/reply builds the response. */
struct verdict {
    enum verdict_kind kind;
    uint16_t code; /* of VERDICT_ERROR */
    enum reason reason;
};

/* What a success response carries besides integrity; handlers fill in what applies. */
struct reply_fields {
    bool has_mapped, has_lifetime, has_token;
    uint8_t relayed_count;
    uint8_t address_error_family; /* ADDR_NONE: none */
    uint16_t address_error_code;
    uint32_t lifetime_s;
    uint8_t token[8];
    struct addr relayed[2];
};

static inline struct verdict verdict_success(void)
{
    return (struct verdict){VERDICT_SUCCESS, 0, REASON_NONE};
}

static inline struct verdict verdict_error(uint16_t code, enum reason reason)
{
    return (struct verdict){VERDICT_ERROR, code, reason};
}

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
void reservation_end_all(struct relay *r);
/* Closes a parcel that nobody took, frees its port and gives its charge back. */
void reservation_discard(struct relay *r, struct parcel *parcel, struct quota_charge *charge);

/* park.c */
/* Copies the request; REASON_NONE with *handle, REASON_PARKING_FULL, REASON_PARKED_DUPLICATE or
 * REASON_MEMORY_EXHAUSTED. */
enum reason park_request(struct request *q, uint64_t *handle);
/* What it waited for has come (the message's parcel and charge are taken over; fd -1: refused):
 * runs it again from the top and frees it. A handle that is gone: false, they stay the caller's. */
bool park_resume(struct relay *r, struct relay_message *m, const struct instant *now);
void park_cancel(struct relay *r, uint64_t handle);
/* Forgets what waits on a flow that is gone; counted as refused. */
void park_cancel_flow(struct relay *r, const struct flow *flow);
void park_end_all(struct relay *r);

#endif

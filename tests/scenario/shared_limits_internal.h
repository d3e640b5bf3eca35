/* What the files of the simulation share: its events, its instances and their links. */
#ifndef TESTS_SCENARIO_SHARED_LIMITS_INTERNAL_H
#define TESTS_SCENARIO_SHARED_LIMITS_INTERNAL_H

#include "tests/scenario/shared_limits.h"

#include "fleet/redis_clock.h"
#include "ratelimit/rate_reports.h"
#include "tests/scenario/shared_limits_bound.h"

#define SIM_LIMITS       2
#define SIM_HEARTBEAT_US (5 * US_PER_S)
#define SIM_DEAD_US      (1400 * US_PER_MS) /* after so long without an answer a link ends */

enum sim_kind {
    SIM_ASK,       /* somebody, as the phase says */
    SIM_FLOOD,     /* everybody, at this instance, until it refuses */
    SIM_PRIME,     /* brings the bucket to all but one of its burst */
    SIM_RUN,       /* control of this instance */
    SIM_ARRIVE,    /* a call at Redis */
    SIM_REPLY,     /* its reply at the instance */
    SIM_GIVE_UP,   /* the reply will not come */
    SIM_BREAK,     /* the connection ends */
    SIM_UP,        /* there is one again */
    SIM_HEARTBEAT, /* a call that asks for the time only */
    SIM_SNAPSHOT,  /* the data are kept for a fault */
    SIM_FAULT
};

struct sim_call {
    struct sim_call *next; /* in flight, or free */
    uint32_t instance;
    unsigned events; /* that name it: it is not freed before */
    struct rate_debit items[SIM_LIMITS];
    size_t count;          /* 0: a heartbeat */
    rate_debited_fn *done; /* NULL: it has been told */
    void *done_ctx;
    uint64_t server, sent_us, floor_us;
    bool lost; /* will not arrive */
    uint64_t redis_us, deny_us[SIM_LIMITS];
};

struct sim_event {
    uint64_t at_us, order;
    enum sim_kind kind;
    uint32_t instance; /* or a fault */
    uint32_t limit;
    struct sim_call *call;
};

struct sim_link {
    bool up;
    uint64_t server; /* the one that it was connected to last */
    uint64_t blocked_until_us, loss_until_us;
    uint64_t there_us, back_us; /* when the last call arrives, and the last reply: in order */
    struct redis_clock clock;
};

struct sim_instance {
    struct sim *sim;
    uint32_t index;
    uint64_t offset_us; /* of its monotonic clock */
    struct rate_table *rates;
    struct rate_reports *reports;
    uint64_t run_at_us; /* UINT64_MAX: not planned */
    struct sim_link link;
    bool deaf[SIM_LIMITS];         /* a fault keeps answers away */
    uint64_t since_us[SIM_LIMITS]; /* the oldest admission without an answer; 0: none */
};

struct sim_limit {
    struct rate_key key;
    struct bound bound;
    struct bound ideal; /* what one bucket in one place makes of the same requests */
    uint64_t asked, admitted, ideally;
    unsigned deaf; /* instances */
};

struct sim_server {
    uint64_t number;  /* its run id */
    int64_t clock_us; /* its clock minus the simulation's */
    uint64_t down_until_us, hung_until_us;
};

struct sim {
    struct plan plan;
    struct dice dice;
    uint64_t now_us, order;
    bool quiet;               /* nobody asks any more */
    struct sim_event *events; /* a heap */
    size_t event_count, event_cap;
    struct sim_call *calls, *spare;
    struct fake_redis *redis;
    struct sim_server server;
    struct fake_data *snapshots; /* one a fault */
    struct sim_instance instances[PLAN_INSTANCES];
    struct sim_limit limits[SIM_LIMITS];
};

/* The queue: events of the same instant in the order in which they were planned. */
void sim_plan(struct sim *s, uint64_t at_us, struct sim_event e);
bool sim_next(struct sim *s, struct sim_event *out);
/* Earlier than what is planned already, or it stays. */
void sim_plan_run(struct sim_instance *i, uint64_t at_us);
uint64_t sim_local(const struct sim_instance *i); /* what its clock shows */

/* Clients: shared_limits_clients.c. */
bool sim_ask(struct sim *s, uint32_t instance, uint32_t limit);
void sim_flood(struct sim *s, uint32_t instance, uint32_t limit);
void sim_plan_floods(struct sim *s, uint64_t at_us); /* at all instances and limits */
void sim_clients_begin(struct sim *s);
void sim_clients_on(struct sim *s, const struct sim_event *e); /* SIM_ASK, SIM_PRIME */
void sim_cleared(struct sim_instance *i, uint32_t limit);      /* an answer has come */

/* Links: shared_limits_links.c. */
struct share sim_share(struct sim_instance *i);
void sim_link_on(struct sim *s, const struct sim_event *e);
void sim_break(struct sim_instance *i);
void sim_set_deaf(struct sim *s, uint32_t who, bool deaf); /* of all limits */

/* Faults: shared_limits_faults.c. */
void sim_faults_begin(struct sim *s);
void sim_fault(struct sim *s, unsigned number);
bool sim_is_faulty(const struct sim *s); /* between the first and a second after the last */

#endif

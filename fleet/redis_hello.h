/*
 * What is said first on every connection, all of it in one flight, and how the replies are judged:
 * to a server AUTH, CLIENT SETNAME, SELECT, ROLE, INFO, PING and SUBSCRIBE; to a Sentinel AUTH and
 * who the master is. No I/O.
 */
#ifndef FLEET_REDIS_HELLO_H
#define FLEET_REDIS_HELLO_H

#include "fleet/redis_buffer.h"
#include "fleet/redis_reply.h"
#include "fleet/redis_url.h"

#define REDIS_RUN_ID_LEN   40
#define REDIS_CHANNELS_MAX 16

struct redis_hello_plan {
    struct slice user, password; /* no password: no AUTH; no user: the default one */
    const char *master;          /* not NULL: this is a Sentinel, and asked for that master */
    const char *client_name;     /* from here on not looked at for a Sentinel */
    uint32_t database;
    bool must_be_master;
    const char *const *channels; /* at most REDIS_CHANNELS_MAX */
    size_t channel_count;
};

struct redis_hello {
    uint8_t steps[8 + REDIS_CHANNELS_MAX]; /* what each reply answers */
    uint8_t count, at;
    char run_id[REDIS_RUN_ID_LEN + 1]; /* of the server, with HELLO_DONE; empty: a Sentinel */
    struct redis_endpoint master;      /* what a Sentinel says, with HELLO_DONE */
    const char *refusal;               /* with HELLO_REFUSED; static */
};

/* Appends the flight to `out`. 0 or -ENOMEM. */
int redis_hello_begin(
    struct redis_hello *h, const struct redis_hello_plan *plan, struct redis_buffer *out);

enum redis_hello_outcome { REDIS_HELLO_MORE, REDIS_HELLO_DONE, REDIS_HELLO_REFUSED };
enum redis_hello_outcome redis_hello_reply(struct redis_hello *h, const struct redis_reply *reply);

#endif

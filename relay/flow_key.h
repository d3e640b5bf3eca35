/* A 5-tuple as a key of tables: what identifies a flow and nothing else, without padding. Private
 * to relay/. */
#ifndef RELAY_FLOW_KEY_H
#define RELAY_FLOW_KEY_H

#include <string.h>

#include "base/crypto.h"
#include "relay/packet.h"

struct flow_key {
    struct addr local, remote;
    uint64_t connection;
    uint64_t transport;
};

static inline struct flow_key flow_key_of(const struct flow *f)
{
    return (struct flow_key){f->local, f->remote, f->connection, f->transport};
}

/* `secret`: so that nobody can aim at a bucket. */
static inline uint64_t flow_key_hash(const uint8_t secret[16], const struct flow_key *key)
{
    return crypto_siphash(secret, key, sizeof(*key));
}

static inline bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

#endif

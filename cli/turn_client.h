/*
 * A TURN client that asks one thing at a time and waits for the answer (RFC 8656), with long-term
 * credentials (RFC 8489 section 9.2). For selftest and doctor.
 *
 * Every request returns 0; the error code of STUN, 300 to 699, with which it was refused; or
 * -errno: -ETIMEDOUT where nothing answers, -EBADMSG where the answer does not verify, else of the
 * link.
 */
#ifndef CLI_TURN_CLIENT_H
#define CLI_TURN_CLIENT_H

#include "auth/identity.h"
#include "base/crypto.h"
#include "base/random.h"
#include "cli/turn_link.h"
#include "wire/stun.h"

struct turn_client {
    /* Set by who asks; borrowed. */
    struct turn_link *link;
    struct crypto *crypto;
    const struct random_source *random;
    unsigned timeout_ms; /* of each request */

    /* What the challenge said. */
    char realm[STUN_REALM_MAX + 1];
    uint8_t nonce[STUN_NONCE_MAX], algorithms[256];
    size_t nonce_len, algorithms_len; /* algorithms_len 0: MD5 */

    /* What turn_client_login keeps, and turn_client_wipe takes away. */
    char user[STUN_USERNAME_MAX + 1];
    struct auth_key key;

    struct addr mapped, relayed; /* of the allocation */
};

/* An Allocate without credentials, for the realm and nonce. 0: the challenge is there. */
int turn_client_challenge(struct turn_client *c, enum addr_family family);
/* Makes the key for the realm of the challenge. 0, -EINVAL (too long) or -EIO. */
int turn_client_login(struct turn_client *c, struct slice user, struct slice password);
void turn_client_wipe(struct turn_client *c);

int turn_client_allocate(struct turn_client *c, enum addr_family family);
int turn_client_permit(struct turn_client *c, const struct addr *peer);
int turn_client_bind(struct turn_client *c, const struct addr *peer, uint16_t channel);
/* Ends the allocation. */
int turn_client_release(struct turn_client *c);

/* Data by the channel, and by a Send indication. 0 or -errno; nothing answers. */
int turn_client_send_channel(struct turn_client *c, uint16_t channel, struct slice data);
int turn_client_send_to(struct turn_client *c, const struct addr *peer, struct slice data);
/* What a peer sends next, by either; borrowed until the next call. 0 or -errno. */
int turn_client_receive(struct turn_client *c, struct slice *data);

#endif

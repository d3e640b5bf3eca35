/*
 * REST credentials made by the daemon itself, for applications that hold no secret, and where
 * clients are to go with them. Control thread.
 */
#ifndef DAEMON_ISSUER_H
#define DAEMON_ISSUER_H

#include "admin/ops.h"
#include "config/config.h"
#include "daemon/endpoints.h"
#include "daemon/sharing.h"

/* Of the instance, so that who may ask cannot keep the control thread from everything else. */
#define ISSUER_RATE_PER_S 1000u

/* Borrowed for life; the rest begins as zeros. */
struct issuer {
    const struct config *config; /* the running one */
    const struct endpoints *endpoints;
    const struct sharing
        *sharing;    /* secrets in Redis, where the configuration has none; may be NULL */
    uint64_t tat_us; /* of the rate, ratelimit/gcra.h */
};

/* As admin_ops.credential. */
int issuer_make(struct issuer *i, const struct admin_credential *what, const struct instant *now,
    struct admin_credential_made *out);
/* As admin_ops.uri. */
bool issuer_uri(const struct issuer *i, uint32_t realm, size_t n, char out[ADMIN_URI_MAX]);

#endif

/*
 * Uses one listener as two clients would that call each other: both allocate, and what one sends
 * through its channel comes back from the other. Both are relayed addresses of the daemon, so no
 * peer policy stands in between, and nobody else is needed.
 */
#ifndef CLI_PROBE_H
#define CLI_PROBE_H

#include "cli/credential.h"
#include "cli/turn_client.h"

enum probe_step {
    PROBE_CONNECT, /* with the handshake of TLS or DTLS */
    PROBE_ALLOCATE,
    PROBE_PERMISSION,
    PROBE_CHANNEL,
    PROBE_ECHO, /* through both relayed addresses, and back */
    PROBE_STEPS
};

struct probe {
    /* What is asked. */
    enum transport transport;
    struct addr to;          /* the listener */
    enum addr_family family; /* of the relayed address */
    bool one_client;         /* connect and allocate only */
    unsigned timeout_ms;     /* of each step */

    /* What came of it. */
    bool ok;
    enum probe_step reached;  /* the last step that was begun */
    uint32_t us[PROBE_STEPS]; /* each step's microseconds; 0: not done */
    struct addr relayed;      /* where allocated */
    bool no_credential;       /* not ok, because none could be had */
    char why[320];            /* where it is not ok: one line */
};

void probe_run(struct probe *p, struct crypto *crypto, const struct cli_credential_source *source);

/* "connect", "allocate", … */
const char *probe_step_name(enum probe_step step);

#endif

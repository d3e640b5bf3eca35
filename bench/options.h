/* What one run of the load generator is asked to do. IPv4 only. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "base/transport.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum row_kind {
    ROW_MEDIA,
    ROW_SETUP,
    ROW_BINDING,
    ROW_IDLE,
    ROW_FLOOD,
    ROW_CONNECTIONS,
    ROW_GUESS,
    ROW_SRTP
};
enum flood_kind { FLOOD_MALFORMED, FLOOD_UNAUTHENTICATED, FLOOD_WRONG_PASSWORD };

/* Who is measured. */
struct target {
    const char *label; /* names the server in the output */
    struct sockaddr_in address;
    const char *user;
    const char *password;
    enum transport transport; /* between the clients and it */
    bool resume;              /* TLS: connections resume sessions */
    pid_t pid;                /* 0: nothing of the server's is measured */
    int cpu;                  /* the core that the server is pinned to; -1: not known */
};

/* Where the generator's sockets are. */
struct place {
    in_addr_t first_client; /* host byte order: client n sends from first_client + n */
    uint32_t clients;       /* addresses from first_client on that are local here */
    struct in_addr peer;
    const char *peer_netns; /* file of the namespace for the peer's socket; NULL: this one */
};

struct work {
    enum row_kind kind;
    enum flood_kind flood;
    unsigned allocations;
    unsigned size;  /* bytes of payload */
    unsigned burst; /* packets of one allocation that are sent at once */
    bool coalesced; /* a burst is sent as one segmented datagram */
    bool to_client;
    bool indications;
    const char *srtp;   /* suite that payloads are protected by; NULL: none */
    bool waits;         /* for a line on standard input, before the first packet */
    unsigned pps;       /* packets a second in all; 0: as fast as goes */
    unsigned flood_pps; /* 0 elsewhere than in ROW_FLOOD */
    unsigned window;    /* packets or transactions in flight when unpaced */
    double seconds;
    double warmup_seconds;
};

/* Of ROW_GUESS. Names are one of these texts and six digits, from 000000 on. */
struct guessing {
    const char *known, *unknown;
    unsigned names;   /* of either kind */
    unsigned samples; /* of either kind; with `cold` as many as names */
    bool cold;        /* each name is asked once only */
    bool userhash;    /* names are sent as USERHASH */
};

struct options {
    struct target target;
    struct place place;
    struct work work;
    struct guessing guess;
};

/* 0, or -EINVAL after one line on stderr. */
int options_parse(struct options *out, int argc, char **argv);

#endif

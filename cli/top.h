/* What turnpikectl top shows: allocations with what passes a second, the busiest first. */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TOP_ID_LEN       16
#define TOP_SESSIONS_MAX 20000 /* more are left out, and said to be */

struct top_session {
    char id[TOP_ID_LEN + 1];
    const json_t *json; /* borrowed from the sample */
    uint64_t to_peer_bytes, to_client_bytes, to_peer_packets, to_client_packets; /* so far */
    double to_peer_bits, to_client_bits,
        packets; /* a second; 0 of what was not in the one before */
};

struct top_sample {
    uint64_t at_us;           /* CLOCK_MONOTONIC */
    json_t *pages;            /* owned: arrays of sessions */
    struct top_session *list; /* owned */
    size_t count;
    bool cut;                                     /* there are more than TOP_SESSIONS_MAX */
    double to_peer_bits, to_client_bits, packets; /* of all */
};

/* Adds the sessions of a page, which it keeps. 0 or -ENOMEM. */
int top_sample_add(struct top_sample *sample, json_t *page);
/* Rates by the sample before, which may be empty; then the busiest stand first. */
void top_sample_compare(struct top_sample *sample, const struct top_sample *before);
void top_sample_deinit(struct top_sample *sample);

/* `rows` lines at most, each of `columns` at most (0: any); `end` is printed behind each. Where a
 * line does not fit whole, clients' addresses are left out. */
void top_print(
    FILE *out, const struct top_sample *sample, size_t rows, size_t columns, const char *end);
/* The same as JSON, one object with a line end. */
void top_print_json(FILE *out, const struct top_sample *sample);

#endif

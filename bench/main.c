/*
 * turnpike-bench: one row of the benchmark against one server that is already running. Many rows,
 * several servers, and the network they run in are the business of bench/compare.
 */
#include "bench/guess.h"
#include "bench/idle_connections.h"
#include "bench/media.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/setup.h"
#include "bench/srtp_packets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EXIT_USAGE     2
#define TIME_LIMIT_S   1300 /* longer than any row may be asked to last */
#define TIMER_SLACK_NS 1

/* For who has to do something about the sessions before the first packet. */
static int wait_for_word(const struct options *o)
{
    char line[16];

    if (!o->work.waits) {
        return 0;
    }
    fputs("ready\n", stderr);
    return fgets(line, sizeof(line), stdin) != NULL ? 0 : -1;
}

static int run_media(const struct options *o)
{
    struct media_window *w = calloc(1, sizeof(*w));
    struct media *m = w != NULL ? media_new(o) : NULL;
    int rc = -1;

    if (m != NULL && wait_for_word(o) == 0 && (rc = media_run(m, o->work.seconds, w)) == 0) {
        report_media(o, m, w);
    }
    media_free(m);
    free(w);
    return rc;
}

/* First without the flood, then with it. */
static int run_flood(const struct options *o)
{
    struct media_window *w = calloc(2, sizeof(*w));
    struct media *m = w != NULL ? media_new(o) : NULL;
    struct flood *f = m != NULL ? flood_new(o) : NULL;
    int rc = -1;

    if (f == NULL) {
        goto out;
    }
    rc = media_run(m, o->work.seconds, &w[0]);
    if (rc == 0) {
        media_set_flood(m, f);
        rc = media_run(m, o->work.seconds, &w[1]);
    }
    if (rc == 0) {
        report_flood(o, &w[0], &w[1]);
    }
out:
    flood_free(f);
    media_free(m);
    free(w);
    return rc;
}

static int run_setup(const struct options *o)
{
    struct setup_window *w = calloc(1, sizeof(*w));
    int rc = w != NULL ? setup_run(o, w) : -1;

    if (rc == 0) {
        report_setup(o, w);
    }
    free(w);
    return rc;
}

static int run_connections(const struct options *o)
{
    struct idle_connections c = {0};
    int rc = idle_connections_run(o, &c);

    if (rc == 0) {
        report_idle_connections(o, &c);
    }
    return rc;
}

static int run_guess(const struct options *o)
{
    struct guess_result r;
    int rc = guess_run(o, &r);

    if (rc == 0) {
        report_guess(o, &r);
    }
    return rc;
}

static int run_srtp(const struct options *o)
{
    const struct srtp_cost_of of = {.suite = o->work.srtp,
        .size = o->work.size,
        .sessions = o->work.allocations,
        .seconds = o->work.seconds};
    double ns;
    int rc = srtp_packets_cost(&of, &ns);

    if (rc == 0) {
        report_srtp(o, ns);
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct options o;
    int rc;

    if (options_parse(&o, argc, argv) < 0) {
        return EXIT_USAGE;
    }
    alarm(TIME_LIMIT_S);
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
    switch (o.work.kind) {
    case ROW_SETUP:
    case ROW_BINDING:
        rc = run_setup(&o);
        break;
    case ROW_FLOOD:
        rc = run_flood(&o);
        break;
    case ROW_CONNECTIONS:
        rc = run_connections(&o);
        break;
    case ROW_GUESS:
        rc = run_guess(&o);
        break;
    case ROW_SRTP:
        rc = run_srtp(&o);
        break;
    default:
        rc = run_media(&o);
        break;
    }
    if (rc != 0) {
        fprintf(stderr, "turnpike-bench: no result: %s\n", rc < -1 ? strerror(-rc) : "see above");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

/*
 * How a row is printed. Keys are those of docs/performance.md; numbers that were not measured
 * (no --pid) are left out, because 0 would be a lie.
 *
 * Called by main, once a run.
 */
#include "bench/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void begin(const char *kind, const struct options *o)
{
    double load = 0;

    if (getloadavg(&load, 1) != 1) {
        load = 0;
    }
    printf("{\"kind\": \"%s\", \"transport\": \"%s\", \"server\": \"", kind,
        transport_name(o->target.transport));
    for (const char *p = o->target.label; *p != '\0'; p++) {
        if (*p >= ' ' && *p != '"' && *p != '\\') {
            putchar(*p);
        }
    }
    printf("\"");
    fprintf(stderr, "%s %s over %s\n", o->target.label, kind, transport_name(o->target.transport));
    printf(", \"loadavg\": %.2f", load);
}

static void number(const char *key, double value)
{
    printf(", \"%s\": %.10g", key, value);
    fprintf(stderr, "  %-24s %14.2f\n", key, value);
}

static void end(void)
{
    puts("}");
    fflush(stdout);
}

static void put_work(const struct options *o)
{
    const struct work *w = &o->work;

    number("allocations", w->allocations);
    number("size", w->size);
    number("burst", w->burst);
    number("pps", w->pps);
    number("seconds", w->seconds);
    printf(", \"coalesced\": %s, \"to_client\": %s, \"indications\": %s",
        w->coalesced ? "true" : "false", w->to_client ? "true" : "false",
        w->indications ? "true" : "false");
}

/* Of the server, for each of `count`. ksoftirqd of its core is counted as system time. */
static void put_cost(
    const struct options *o, const struct usage *u, uint64_t active_ns, uint64_t count)
{
    double cpu = (double)(u->cpu_ns + u->softirqd_ns);
    uint64_t ticks = u->user_ticks + u->system_ticks;
    double user = stats_each((double)u->cpu_ns * (double)u->user_ticks, ticks);

    double work = (double)u->generator_ns - (double)u->generator_spun_ns;
    number("generator_busy_percent", stats_each(100.0 * (work > 0 ? work : 0), active_ns));
    if (o->target.pid == 0) {
        return;
    }
    /* What the machine did for others, as a share of one core: they disturb the measurement. */
    double busy = (double)sysconf(_SC_NPROCESSORS_ONLN) * (double)u->at_ns - (double)u->idle_ns;
    number("others_percent", stats_each(100.0 * (busy - cpu - (double)u->generator_ns), u->at_ns));
    number("server_busy_percent", stats_each(100.0 * cpu, active_ns));
    number("cpu_ns", stats_each(cpu, count));
    number("user_ns", stats_each(user, count));
    number("system_ns", stats_each(cpu - user, count));
    number("softirqd_ns", stats_each((double)u->softirqd_ns, count));
    number("turns", stats_each((double)u->turns, count));
}

static void put_times(const char *prefix, const struct histogram *h)
{
    static const double percents[] = {50, 99, 99.9};
    static const char *const names[] = {"p50", "p99", "p999"};
    char key[64];

    for (unsigned i = 0; i < 3; i++) {
        snprintf(key, sizeof(key), "%s_%s_us", prefix, names[i]);
        number(key, (double)histogram_percentile(h, percents[i]) / 1000.0);
    }
}

static void put_traffic(const struct media_window *w)
{
    number("sent", (double)w->sent);
    number("received", (double)w->received);
    number("loss_percent", stats_loss_percent(w->sent, w->received));
    number("late_percent", stats_each(100.0 * (double)w->late, w->sent));
    number("received_per_second", stats_per_second(w->received, w->active_ns));
    put_times("latency", &w->latency_ns);
}

static void put_memory(const struct usage *before, const struct usage *after, unsigned count)
{
    number("rss_before", (double)before->rss_bytes);
    number("rss_after", (double)after->rss_bytes);
    number("slab_before", (double)before->slab_bytes);
    number("slab_after", (double)after->slab_bytes);
    number("rss_each", ((double)after->rss_bytes - (double)before->rss_bytes) / count);
    number("slab_each", ((double)after->slab_bytes - (double)before->slab_bytes) / count);
}

void report_media(const struct options *o, const struct media *m, const struct media_window *w)
{
    begin(o->work.kind == ROW_IDLE ? "idle" : "media", o);
    put_work(o);
    put_traffic(w);
    put_cost(o, &w->used, w->active_ns, w->received);
    if (o->target.pid != 0) {
        put_memory(media_before(m), media_after(m), o->work.allocations);
    }
    end();
}

void report_flood(
    const struct options *o, const struct media_window *quiet, const struct media_window *w)
{
    static const char *const names[] = {"malformed", "unauthenticated", "wrong-password"};
    double quiet_ns = (double)(quiet->used.cpu_ns + quiet->used.softirqd_ns);
    double ns = (double)(w->used.cpu_ns + w->used.softirqd_ns);
    double scale = stats_each((double)w->active_ns, quiet->active_ns);

    begin("flood", o);
    put_work(o);
    printf(", \"flood\": \"%s\"", names[o->work.flood]);
    number("flood_pps", o->work.flood_pps);
    number("flooded", (double)w->flooded);
    number("answered", (double)w->answered);
    put_traffic(w);
    put_times("quiet_latency", &quiet->latency_ns);
    put_cost(o, &w->used, w->active_ns, w->received);
    if (o->target.pid != 0) {
        number("refused_ns", stats_each(ns - quiet_ns * scale, w->flooded));
    }
    end();
}

static void put_connections(const struct connections_stats *c)
{
    number("established", (double)c->established);
    number("resumed", (double)c->resumed);
    number("connections_failed", (double)c->failed);
    number("connections_ended", (double)c->ended);
}

void report_setup(const struct options *o, const struct setup_window *w)
{
    begin(o->work.kind == ROW_SETUP ? "setup" : "binding", o);
    number("window", o->work.window);
    number("completed", (double)w->completed);
    number("failed", (double)w->failed);
    number("error", w->error);
    number("repeats", (double)w->repeats);
    number("per_second", stats_per_second(w->completed, w->used.at_ns));
    if (o->target.transport != TRANSPORT_UDP) {
        put_connections(&w->connections);
    }
    put_times("duration", &w->duration_ns);
    put_cost(o, &w->used, w->used.at_ns, w->completed);
    end();
}

void report_idle_connections(const struct options *o, const struct idle_connections *c)
{
    begin("connections", o);
    number("connections", o->work.allocations);
    put_connections(&c->stats);
    if (o->target.pid != 0) {
        put_memory(&c->before, &c->after, o->work.allocations);
    }
    end();
}

void report_guess(const struct options *o, const struct guess_result *r)
{
    const struct welch *w = &r->compare;
    const bool apart = fabs(w->t) >= WELCH_TOLD_APART;

    begin("guess", o);
    number("names", o->guess.names);
    number("samples", o->guess.samples);
    number("lost", (double)r->lost);
    number("cropped_below_ns", w->low);
    number("cropped_above_ns", w->high);
    number("known_count", (double)w->count[0]);
    number("unknown_count", (double)w->count[1]);
    number("known_ns", w->mean[0]);
    number("unknown_ns", w->mean[1]);
    number("known_variance", w->variance[0]);
    number("unknown_variance", w->variance[1]);
    number("difference_ns", w->difference);
    number("standard_error_ns", w->standard_error);
    if (isfinite(w->t)) {
        number("t", w->t);
    }
    printf(", \"told_apart\": %s", apart ? "true" : "false");
    fprintf(stderr, "  %s\n", apart ? "users can be told apart" : "users cannot be told apart");
    end();
}

void report_srtp(const struct options *o, double verify_ns)
{
    begin("srtp", o);
    number("allocations", o->work.allocations);
    number("size", o->work.size);
    number("verify_ns", verify_ns);
    end();
}

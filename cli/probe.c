/* The steps of a call through one listener, each with its time. Called by selftest.c and doctor.c.
 */
#include "cli/probe.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"

#define CHANNEL 0x4000
#define CLIENTS 2

static const char ping[] = "turnpikectl selftest";

struct running {
    struct probe *probe;
    const struct cli_credential_source *source;
    struct turn_client client[CLIENTS];
    bool allocated[CLIENTS];
    uint64_t begun_us;
};

const char *probe_step_name(enum probe_step step)
{
    static const char *const names[PROBE_STEPS] = {
        "connect", "allocate", "permission", "channel", "echo"};
    return names[step];
}

static void begin(struct running *r, enum probe_step step)
{
    r->probe->reached = step;
    r->begun_us = clock_now().mono_us;
}

static void end(struct running *r)
{
    const uint64_t us = clock_now().mono_us - r->begun_us;
    r->probe->us[r->probe->reached] = us ? (uint32_t)us : 1;
}

/* What a client is told with the codes that a working relay gives. */
static const char *code_text(int code)
{
    switch (code) {
    case 300:
        return "sent to another server: it drains";
    case 400:
        return "bad request";
    case 401:
        return "the credential is refused; turnpikectl explain says why";
    case 403:
        return "forbidden: the peer is not allowed";
    case 440:
        return "no relayed address of this family";
    case 441:
        return "wrong credentials";
    case 486:
        return "a quota of allocations is reached";
    case 508:
        return "no port is free, or it drains";
    default:
        return "refused";
    }
}

/* Says it. False if there is something to be said. */
static bool went_well(struct running *r, int result)
{
    char *why = r->probe->why;
    const size_t cap = sizeof(r->probe->why);
    if (result == 0) {
        return true;
    }
    if (result > 0) {
        snprintf(why, cap, "%d: %s", result, code_text(result));
    } else if (result == -EPROTO && r->probe->reached == PROBE_CONNECT) {
        snprintf(why, cap,
            "the %s handshake fails: is a certificate configured, or does it ask for one?",
            transport_name(r->probe->transport));
    } else if (result == -EBADMSG) {
        snprintf(why, cap, "the answer does not verify: is that another server?");
    } else if (result == -ETIMEDOUT) {
        snprintf(why, cap, "nothing answers: a packet filter, or nobody listens");
    } else {
        snprintf(why, cap, "%s", strerror(-result));
    }
    return false;
}

static bool connect_both(struct running *r)
{
    const int clients = r->probe->one_client ? 1 : CLIENTS;
    begin(r, PROBE_CONNECT);
    for (int i = 0; i < clients; i++) {
        if (!went_well(r, turn_link_new(&r->client[i].link, r->probe->transport, &r->probe->to,
                              r->probe->timeout_ms))) {
            return false;
        }
        if (i == 0) {
            end(r);
        }
    }
    return true;
}

static bool allocate(struct running *r, int i)
{
    static const char *const names[CLIENTS] = {"selftest-1", "selftest-2"};
    struct turn_client *c = &r->client[i];
    struct cli_credential credential = {0};
    if (!went_well(r, turn_client_challenge(c, r->probe->family))) {
        return false;
    }
    if (cli_credential_get(&credential, r->source, c->realm, names[i], r->probe->why) < 0) {
        r->probe->no_credential = true;
        return false;
    }
    int result =
        turn_client_login(c, slice_of_string(credential.user), secret_slice(&credential.password));
    cli_credential_wipe(&credential);
    if (result == 0) {
        begin(r, PROBE_ALLOCATE);
        result = turn_client_allocate(c, r->probe->family);
        end(r);
    }
    r->allocated[i] = result == 0;
    return went_well(r, result);
}

static bool receive_ping(struct running *r, int i)
{
    struct slice data;
    const int result = turn_client_receive(&r->client[i], &data);
    if (result == -ETIMEDOUT) {
        snprintf(r->probe->why, sizeof(r->probe->why),
            "what is sent through the relay does not %s: a packet filter between the relayed "
            "ports, or a public address that does not lead back here",
            i == 1 ? "arrive" : "come back");
        return false;
    }
    if (result == 0 && !slice_equal(data, slice_of_string(ping))) {
        snprintf(r->probe->why, sizeof(r->probe->why), "something else arrives than was sent");
        return false;
    }
    return went_well(r, result);
}

/* Out through the channel of the first, and back by an indication of the second. */
static bool echo(struct running *r)
{
    struct turn_client *c = r->client;
    const struct slice data = slice_of_string(ping);
    begin(r, PROBE_ECHO);
    if (!went_well(r, turn_client_send_channel(&c[0], CHANNEL, data)) || !receive_ping(r, 1) ||
        !went_well(r, turn_client_send_to(&c[1], &c[0].relayed, data)) || !receive_ping(r, 0)) {
        return false;
    }
    end(r);
    return true;
}

static bool call(struct running *r)
{
    struct turn_client *c = r->client;
    if (!connect_both(r) || (r->probe->reached = PROBE_ALLOCATE, !allocate(r, 0))) {
        return false;
    }
    r->probe->relayed = c[0].relayed;
    if (r->probe->one_client) {
        return true;
    }
    if (!allocate(r, 1)) {
        return false;
    }
    begin(r, PROBE_PERMISSION);
    if (!went_well(r, turn_client_permit(&c[1], &c[0].relayed))) {
        return false;
    }
    end(r);
    begin(r, PROBE_CHANNEL);
    if (!went_well(r, turn_client_bind(&c[0], &c[1].relayed, CHANNEL))) {
        return false;
    }
    end(r);
    return echo(r);
}

void probe_run(struct probe *p, struct crypto *crypto, const struct cli_credential_source *source)
{
    struct running r = {.probe = p, .source = source};
    for (int i = 0; i < CLIENTS; i++) {
        r.client[i].crypto = crypto;
        r.client[i].random = random_system();
        r.client[i].timeout_ms = p->timeout_ms;
    }
    memset(p->us, 0, sizeof(p->us));
    p->why[0] = '\0';
    p->ok = call(&r);
    for (int i = 0; i < CLIENTS; i++) {
        if (r.allocated[i]) {
            (void)turn_client_release(&r.client[i]);
        }
        turn_client_wipe(&r.client[i]);
        turn_link_free(r.client[i].link);
    }
}

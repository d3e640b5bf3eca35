/*
 * Rules about the daemon, its configuration, what it trusts, and what the machine gives it. They
 * look at the facts only. Called by doctor_judge.c.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/doctor.h"

#define DAY_S       86400
#define SOON_S      (14 * DAY_S)
#define FILES_SPARE 1024 /* logs, listeners, the admin server, connections */

bool doctor_rule_configuration(const struct doctor_facts *f, struct doctor_findings *out)
{
    if (!f->config) {
        doctor_add(out, DOCTOR_WRONG,
            "turnpike --check-config says it as well; the daemon keeps the "
            "one it has, and would not start with this",
            "%s", f->config_error ? f->config_error : "the configuration cannot be read");
    }
    return true;
}

bool doctor_rule_daemon(const struct doctor_facts *f, struct doctor_findings *out)
{
    if (!f->daemon.reached) {
        doctor_add(out, DOCTOR_WRONG,
            "start it, run this as root or as its user, or name its socket with --socket",
            "the daemon cannot be asked: %s", f->daemon.state);
    } else if (!f->daemon.ready) {
        doctor_add(out, DOCTOR_WRONG,
            strcmp(f->daemon.state, "draining") == 0
                ? "turnpikectl drain --state says how far it is, drain --undo lets clients in again"
                : NULL,
            "the daemon is %s, and not ready for clients", f->daemon.state);
    }
    return true;
}

static void judge_dates(
    const struct doctor_facts *f, const struct doctor_certificate *c, struct doctor_findings *out)
{
    char when[CLOCK_UTC_MAX];
    if (c->ends <= f->now) {
        doctor_add(out, DOCTOR_WRONG, "renew it, and reload", "%s expired at %s", c->file,
            clock_utc_text(c->ends, when));
    } else if (c->begins > f->now) {
        doctor_add(out, DOCTOR_WRONG, "is this machine's clock right?", "%s is not valid before %s",
            c->file, clock_utc_text(c->begins, when));
    } else if (c->ends - f->now < SOON_S) {
        doctor_add(out, DOCTOR_WRONG, "renew it, and reload: a hook of the renewal does both",
            "%s expires in %lld days", c->file, (long long)((c->ends - f->now) / DAY_S));
    }
}

bool doctor_rule_certificates(const struct doctor_facts *f, struct doctor_findings *out)
{
    bool named = false;
    for (size_t i = 0; i < f->certificate_count; i++) {
        const struct doctor_certificate *c = &f->certificates[i];
        named = named || c->named;
        if (c->fault[0] != '\0') {
            doctor_add(out, DOCTOR_WRONG, "tls.cert and tls.key must belong together, as PEM",
                "%s: %s", c->file, c->fault);
            continue;
        }
        judge_dates(f, c, out);
        if (c->untrusted[0] != '\0' && c->ends > f->now && c->begins <= f->now) {
            doctor_add(out, DOCTOR_WRONG,
                "the file needs the certificates between it and the root, its own first "
                "(fullchain.pem); an authority of your own is named with --ca",
                "%s: clients do not trust it: %s", c->file, c->untrusted);
        }
    }
    if (f->name && f->certificate_count > 0 && !named) {
        doctor_add(out, DOCTOR_WRONG, "issue one for this name, or use another in the URLs",
            "no certificate carries the name %s", f->name);
    }
    return f->config != NULL;
}

bool doctor_rule_credentials(const struct doctor_facts *f, struct doctor_findings *out)
{
    const struct auth_settings *a = f->config ? &f->config->auth : NULL;
    if (a && !f->config_file) {
        doctor_add(out, DOCTOR_WRONG, "write a configuration with auth.secrets or auth.users",
            "there is no configuration: credentials are made up anew at every start");
    }
    if (a && f->config_file && a->realm_count > 0 && strcmp(a->realms[0].name, "turnpike") == 0) {
        doctor_add(out, DOCTOR_ADVICE,
            "set realm to your domain: keys of users are made with it, so that a later change "
            "needs "
            "every password again",
            "the realm is the built-in one, turnpike");
    }
    if (a && a->realm_count > 0 && a->realms[0].secret_count > 0) {
        const struct auth_secret_settings *s = &a->realms[0].secrets[0];
        if (s->secret.len < 16) {
            doctor_add(out, DOCTOR_WRONG, "head -c 32 /dev/urandom | base64 makes one",
                "the secret %s has %zu bytes only: who sees one credential can guess it", s->id,
                s->secret.len);
        }
    }
    return a != NULL;
}

bool doctor_rule_secrets(const struct doctor_facts *f, struct doctor_findings *out)
{
    for (size_t i = 0; i < f->file_count; i++) {
        if (f->files[i].everybody) {
            doctor_add(out, DOCTOR_WRONG, "chmod 0640, and give it to root and the daemon's group",
                "everybody on this machine can read %s, which holds secrets", f->files[i].path);
        }
    }
    if (f->config && f->config->admin.listen == ADMIN_PLACE_SET &&
        f->config->admin.token.len == 0) {
        doctor_add(out, DOCTOR_ADVICE, "set admin.token_file, or use the unix socket",
            "admin.listen is set without a token: over TCP it gives metrics and health only");
    }
    return f->config != NULL;
}

bool doctor_rule_redis(const struct doctor_facts *f, struct doctor_findings *out)
{
    if (f->daemon.reached && f->daemon.redis && !f->daemon.redis_up) {
        doctor_add(out, DOCTOR_WRONG,
            "look for redis_ in the log: address, password, TLS; until then users in Redis are "
            "unknown, and limits are this instance's part",
            "the daemon has no link to Redis");
    }
    if (f->config && f->config->redis.url && f->config->auth.nonce_secret.len == 0) {
        doctor_add(out, DOCTOR_WRONG, "give all instances the same auth.nonce_secret_file",
            "instances share a Redis, but auth.nonce_secret is not set: each makes up its own, and "
            "a client that comes to another one is asked again");
    }
    return f->config && (f->daemon.reached || !f->config->redis.url);
}

bool doctor_rule_clock(const struct doctor_facts *f, struct doctor_findings *out)
{
    if (f->host.clock_unsynchronised) {
        doctor_add(out, DOCTOR_ADVICE,
            "run an NTP client: systemctl enable --now systemd-timesyncd",
            "nothing keeps this machine's clock right: credentials end by it");
    }
    return true;
}

bool doctor_rule_files(const struct doctor_facts *f, struct doctor_findings *out)
{
    const struct config *c = f->config;
    if (!c || f->host.files == 0) {
        return false;
    }
    const uint64_t ports = (uint64_t)c->relay.port_max - c->relay.port_min + 1u;
    const uint64_t addresses = c->relay.address_count ? c->relay.address_count : 1;
    const uint64_t all = ports * addresses;
    const uint64_t most = c->relay.max_allocations < all ? c->relay.max_allocations : all;
    if (f->host.files < most + FILES_SPARE) {
        doctor_add(out, DOCTOR_WRONG, "LimitNOFILE=524288 in the unit, or ulimit -Hn",
            "%llu files may be open, and %llu allocations take one each: beyond that 508",
            (unsigned long long)f->host.files, (unsigned long long)most);
    }
    return true;
}

bool doctor_rule_buffer(const struct doctor_facts *f, struct doctor_findings *out)
{
    const uint32_t wanted = f->config ? f->config->net.receive_buffer : 0;
    char remedy[DOCTOR_TEXT_MAX];
    if (!f->config || f->host.receive_max == 0) {
        return false;
    }
    if (f->host.receive_max >= wanted || f->host.receive_forced) {
        return true;
    }
    snprintf(remedy, sizeof(remedy), "sysctl -w net.core.rmem_max=%u, and restart", wanted);
    doctor_add(out, DOCTOR_ADVICE, remedy,
        "the kernel gives %u bytes of receive_buffer's %u: bursts are lost", f->host.receive_max,
        wanted);
    return true;
}

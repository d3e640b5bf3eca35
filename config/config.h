/*
 * The configuration: one YAML file turned into the settings of every folder, or an error that says
 * file, line, what is wrong and the nearest valid key. Control thread only.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdio.h>

#include "admin/admin_settings.h"
#include "auth/auth_settings.h"
#include "base/log.h"
#include "daemon/sandbox_settings.h"
#include "fleet/fleet_settings.h"
#include "net/net_settings.h"
#include "ratelimit/ratelimit_settings.h"
#include "relay/drain_settings.h"
#include "relay/relay_settings.h"
#include "relay/usage_settings.h"
#include "srtp/srtp_settings.h"
#include "tls/tls_settings.h"

/* Paths as the file gives them, in its order, once for each time: what a reload opens again. */
struct config_files {
    char **paths;
    size_t count;
};

struct config {
    struct auth_settings auth;
    struct ratelimit_settings limits;
    struct relay_settings relay;
    struct net_settings net;
    bool listen_auto; /* net.listeners are what `listen: auto` stands for */
    struct tls_settings tls;
    struct tls_certificate_settings tls_pair; /* `tls.cert` and `tls.key` while they are read; then
                                                 the first of tls.certificates */
    struct quota_limits realm_quotas[AUTH_REALMS_MAX]; /* by realm id; of the first: limits.quota */
    struct realm_rates realm_rates[AUTH_REALMS_MAX];   /* likewise: limits.rates */
    struct srtp_settings srtp;
    uint8_t realm_guards[AUTH_REALMS_MAX]; /* enum srtp_guard_level by realm id, or
                                              SRTP_GUARD_INHERIT: srtp.guard */
    struct redis_settings redis;           /* url NULL: there is none */
    struct usage_settings usage;
    struct drain_settings drain;
    struct admin_settings admin;
    struct sandbox_settings sandbox;
    struct config_files files;
    enum log_level log_level;
    enum log_format log_format;
};

struct config_error {
    char text[512]; /* one line: "turnpike.yaml:12: unknown key 'relm', did you mean 'realm'?" */
};

/* Defaults for everything: what a start without a configuration uses. 0 or -ENOMEM. */
int config_init(struct config *c);
void config_deinit(struct config *c); /* wipes secrets */
/*
 * Reads and checks the whole file. *c is {0} or a configuration, which the new one replaces. 0;
 * -EINVAL or -errno of reading, with *error filled in and *c untouched. Relay addresses
 * (`public_ip: [auto]`), the nonce secret and own addresses stay empty where the file names none:
 * the daemon fills them in.
 */
int config_load(struct config *c, const char *path, struct config_error *error);
/* The same from memory; `name` stands for the file in errors. */
int config_parse(struct config *c, const char *name, struct slice text, struct config_error *error);
/*
 * Writes the effective configuration as YAML, secrets as "***". config_load reads it back once the
 * secrets are filled in, and refuses it before. 0 or -EIO.
 */
int config_dump(const struct config *c, FILE *out);

/*
 * One line for each key that differs, into `out`: "relay.max_lifetime: 1h -> 2h", or "auth.users:
 * changed" for secrets and long lists; ", needs a restart" behind those that cannot be applied to a
 * running daemon. Returns true if there is one (it then keeps the running value). Compare
 * configurations as loaded, or with the same things filled in.
 */
bool config_diff(const struct config *running, const struct config *next, FILE *out);
/*
 * Gives `next` the running value of what waits for a restart, so that a reload can use it whole and
 * the next reload names the difference again; `listen` is left alone: net/ knows what it polls. 0,
 * or -ENOMEM with `next` still whole.
 */
int config_keep(struct config *next, const struct config *running);
/*
 * Gives the realms of `next` the ids that `running` has for their names, which live allocations
 * know, after config_keep. New ones follow behind; those that are gone stay behind as `removed`,
 * without sources, and get their id back when they come back. Listeners and quotas follow. 0;
 * -ENOMEM; or -EINVAL, a restart is needed: more ids than there are, or a name that is the first
 * realm's until then. *error says so, and `next` is untouched.
 */
int config_place_realms(
    struct config *next, const struct config *running, struct config_error *error);

#endif

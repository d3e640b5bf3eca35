/*
 * The configuration as a whole: made with defaults, loaded, freed. A file is read into a fresh
 * configuration, which takes the caller's place only when all of it is good; so a failed load
 * changes nothing. Called by the daemon's control thread and by the command line.
 */
#include "config/config.h"

#include "config/admin.h"
#include "config/check.h"
#include "config/file.h"
#include "config/listeners.h"
#include "config/oauth.h"
#include "config/realms.h"
#include "config/redis.h"
#include "config/schema.h"
#include "config/served.h"
#include "config/srtp.h"
#include "config/tls.h"
#include "config/uris.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A megabyte holds tens of thousands of users; a larger file is a mistake. */
#define CONFIG_FILE_MAX (1u << 20)

int config_init(struct config *c)
{
    struct config fresh = {0};
    int rc = -ENOMEM;

    memset(fresh.realm_guards, SRTP_GUARD_INHERIT, sizeof(fresh.realm_guards));
    fresh.auth.realms = calloc(1, sizeof(*fresh.auth.realms));
    if (fresh.auth.realms) {
        fresh.auth.realm_count = 1;
        rc = schema_set_defaults("", &fresh);
    }
    if (rc == 0)
        rc = listeners_complete(&fresh);
    if (rc == 0)
        rc = realms_complete(&fresh, NULL, NULL);
    if (rc == 0)
        rc = served_complete(&fresh, NULL, NULL);
    if (rc < 0)
        config_deinit(&fresh);
    else
        *c = fresh;
    return rc;
}

void config_deinit(struct config *c)
{
    for (size_t i = 0; i < c->auth.realm_count; i++)
        realm_clear(&c->auth.realms[i]);
    free(c->auth.realms);
    secret_wipe(&c->auth.nonce_secret);
    secret_wipe(&c->auth.nonce_secret_old);
    redis_clear(&c->redis);
    srtp_clear(&c->srtp);
    listeners_clear(&c->net);
    tls_clear(&c->tls);
    free(c->tls_pair.cert);
    free(c->tls_pair.key);
    for (size_t i = 0; i < c->files.count; i++)
        free(c->files.paths[i]);
    free(c->files.paths);
    free(c->sandbox.user);
    free(c->sandbox.group);
    free(c->usage.file);
    admin_clear(&c->admin);
    uris_clear(&c->admin);
    free(c->relay.policy.deny);
    free(c->relay.policy.allow);
    free(c->relay.policy.nat64);
    free(c->relay.policy.own_addresses);
    free(c->relay.policy.never);
    memset(c, 0, sizeof(*c));
}

/* What follows from several keys. */
static int config_complete(struct config *c, const struct document_node *root, struct fault *fault)
{
    int rc = tls_complete(c, root, fault);

    if (rc == 0)
        rc = realms_complete(c, root, fault);
    if (rc == 0 && listeners_complete(c) < 0)
        rc = fault_out_of_memory(fault);
    if (rc == 0)
        rc = served_complete(c, root, fault);
    return rc;
}

int config_parse(struct config *c, const char *name, struct slice text, struct config_error *error)
{
    struct fault fault = {.path = name, .error = error};
    struct document_node *root = NULL;
    struct config fresh;
    int rc = document_parse(&root, text, &fault);

    if (rc < 0)
        return rc;
    if (config_init(&fresh) < 0) {
        document_free(root);
        return fault_out_of_memory(&fault);
    }
    fault.files = &fresh.files;
    rc = schema_read("", root, &fresh, &fault);
    if (rc == 0)
        rc = config_complete(&fresh, root, &fault);
    if (rc == 0)
        rc = check_config(&fresh, root, &fault);
    document_free(root);
    if (rc < 0) {
        config_deinit(&fresh);
        return rc;
    }
    config_deinit(c);
    *c = fresh;
    return 0;
}

int config_load(struct config *c, const char *path, struct config_error *error)
{
    struct fault fault = {.path = path, .error = error};
    struct secret text = {0};
    int rc = file_read(&text, path, CONFIG_FILE_MAX);

    if (rc < 0) {
        fault_set(&fault, 0, "%s", file_read_why(path, rc));
        return rc;
    }
    rc = config_parse(c, path, secret_slice(&text), error);
    secret_wipe(&text);
    return rc;
}

/* What tokens are made for follows the realm where nothing else is said. */
static int keep_server_name(
    struct auth_realm_settings *next, const struct auth_realm_settings *running)
{
    char *name;

    if (!next->oauth_server_name || strcmp(next->oauth_server_name, next->name) != 0)
        return 0;
    name = strdup(running->name);
    if (!name)
        return -ENOMEM;
    free(next->oauth_server_name);
    next->oauth_server_name = name;
    return 0;
}

/* What Redis would decide together waits with it: without one that is shared nothing is alone. */
static void keep_sharing(struct config *next)
{
    next->usage.redis = next->usage.redis && next->redis.url;
    if (!next->redis.url || !next->redis.limits)
        next->limits.deny_alone = false;
}

static void keep_numbers(struct config *next, const struct config *running)
{
    next->net.workers = running->net.workers;
    next->net.receive_buffer = running->net.receive_buffer;
    next->net.streams.max_connections = running->net.streams.max_connections;
    next->net.dtls.max_sessions = running->net.dtls.max_sessions;
    next->relay.max_allocations = running->relay.max_allocations;
    next->admin.listen = running->admin.listen;
    next->admin.addr = running->admin.addr;
    next->admin.control = running->admin.control;
}

/* Sources in a Redis that waits for a restart wait with it. */
static void keep_stores(struct auth_settings *auth, const struct redis_settings *redis)
{
    for (size_t i = 0; i < auth->realm_count && !redis->url; i++) {
        struct auth_realm_settings *realm = &auth->realms[i];

        realm->store_users = realm->store_secrets = realm->store_oauth_keys = false;
        if (oauth_wanted(realm))
            continue;
        free(realm->oauth_server_name);
        realm->oauth_server_name = NULL;
    }
}

int config_keep(struct config *next, const struct config *running)
{
    /* Clients' keys are made with the realm: a live allocation could not be refreshed under another
     * one. */
    char *realm = strdup(running->auth.realms[0].name);
    char *socket = running->admin.socket ? strdup(running->admin.socket) : NULL;

    if (!realm || (running->admin.socket && !socket) ||
        keep_server_name(&next->auth.realms[0], &running->auth.realms[0]) < 0 ||
        redis_keep(&next->redis, &running->redis) < 0) {
        free(realm);
        free(socket);
        return -ENOMEM;
    }
    free(next->auth.realms[0].name);
    next->auth.realms[0].name = realm;
    free(next->admin.socket);
    next->admin.socket = socket;
    keep_numbers(next, running);
    keep_stores(&next->auth, &next->redis);
    keep_sharing(next);
    return 0;
}

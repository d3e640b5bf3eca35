/*
 * Realm ids over reloads. Allocations, quotas and caches know a realm by its id, so a name keeps
 * its id for the life of the process, and an id never gets another name. Called by the daemon at
 * reload.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/realms.h"
#include "config/served.h"

/* Index of the name, or `count`. Realms that were removed are known as well. */
static size_t index_of(const struct auth_settings *auth, const char *name)
{
    size_t i = 0;

    while (i < auth->realm_count && strcmp(auth->realms[i].name, name) != 0)
        i++;
    return i;
}

static int refuse(struct config_error *error, const char *realm, const char *why)
{
    snprintf(error->text, sizeof(error->text), "realm '%.127s': %s", realm, why);
    return -EINVAL;
}

/* ids[i] is where realm i of `next` goes, *count how many there are then. */
static int assign(uint32_t *ids, size_t *count, const struct auth_settings *next,
    const struct auth_settings *running, struct config_error *error)
{
    size_t used = running->realm_count;

    ids[0] = 0;
    for (size_t i = 1; i < next->realm_count; i++) {
        const char *name = next->realms[i].name;
        size_t id = index_of(running, name);

        if (id == 0)
            return refuse(error, name, "is that of the top level until a restart");
        if (id == running->realm_count)
            id = used++;
        if (id >= AUTH_REALMS_MAX)
            return refuse(error, name,
                "there have been 64 since the start, removed ones among them: needs a restart");
        ids[i] = (uint32_t)id;
    }
    *count = used;
    return 0;
}

/* Realms of `running` that `next` has not: names only. The others stay empty. 0 or -ENOMEM. */
static int leave_behind(struct auth_realm_settings *realms, const uint32_t *ids, size_t next_count,
    const struct auth_settings *running)
{
    bool taken[AUTH_REALMS_MAX] = {false};

    for (size_t i = 0; i < next_count; i++)
        taken[ids[i]] = true;
    for (size_t id = 0; id < running->realm_count; id++) {
        if (taken[id])
            continue;
        realms[id].removed = true;
        realms[id].name = strdup(running->realms[id].name);
        if (!realms[id].name)
            return -ENOMEM;
    }
    return 0;
}

/* `realms` has room for all and holds those that are gone. Media of these is looked at as before,
 * until the last of it has ended. */
static void take_places(struct config *next, const struct config *running,
    struct auth_realm_settings *realms, size_t count, const uint32_t *ids)
{
    struct quota_limits quotas[AUTH_REALMS_MAX];
    struct realm_rates rates[AUTH_REALMS_MAX];
    uint8_t guards[AUTH_REALMS_MAX];

    memcpy(guards, running->realm_guards, sizeof(guards));
    for (size_t i = 0; i < AUTH_REALMS_MAX; i++) {
        quotas[i] = next->limits.quota;
        rates[i] = next->limits.rates;
    }
    for (size_t i = 0; i < next->auth.realm_count; i++) {
        realms[ids[i]] = next->auth.realms[i];
        quotas[ids[i]] = next->realm_quotas[i];
        rates[ids[i]] = next->realm_rates[i];
        guards[ids[i]] = next->realm_guards[i];
    }
    memcpy(next->realm_quotas, quotas, sizeof(quotas));
    memcpy(next->realm_rates, rates, sizeof(rates));
    memcpy(next->realm_guards, guards, sizeof(guards));
    free(next->auth.realms);
    next->auth.realms = realms;
    next->auth.realm_count = count;
    served_renumber(&next->net, ids);
}

int config_place_realms(
    struct config *next, const struct config *running, struct config_error *error)
{
    uint32_t ids[AUTH_REALMS_MAX] = {0};
    struct auth_realm_settings *realms;
    size_t count = 0;
    int rc = assign(ids, &count, &next->auth, &running->auth, error);

    if (rc < 0)
        return rc;
    realms = calloc(count, sizeof(*realms));
    if (!realms || leave_behind(realms, ids, next->auth.realm_count, &running->auth) < 0) {
        for (size_t i = 0; realms && i < count; i++)
            free(realms[i].name);
        free(realms);
        snprintf(error->text, sizeof(error->text), "out of memory");
        return -ENOMEM;
    }
    take_places(next, running, realms, count, ids);
    return 0;
}

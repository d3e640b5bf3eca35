/*
 * What only the running host can say about a configuration.
 *
 * Always: the configuration owns what is filled in, and frees it. Called by control at start and at
 * each reload.
 */
#include "daemon/fill_in.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "net/interfaces.h"

#define NONCE_SECRET_LEN 32

/* 0, or -errno: sockets cannot be bound to this address on this host. */
static int fill_in_try_bind(const struct addr *local)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(local, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int r = bind(fd, (struct sockaddr *)&sa, len) == 0 ? 0 : -errno;
    close(fd);
    return r;
}

static void fill_in_add(struct relay_settings *relay, enum addr_family family, bool loopback)
{
    struct addr found;
    if (interfaces_public(&found, family, loopback) == 0) {
        relay->addresses[relay->address_count++] =
            (struct relay_address){.public = found, .local = found};
    }
}

int fill_in_relayed(struct relay_settings *relay, char *error, size_t error_cap)
{
    bool automatic = relay->address_count == 0;
    if (automatic) {
        fill_in_add(relay, ADDR_IPV4, false);
        fill_in_add(relay, ADDR_IPV6, false);
    }
    if (relay->address_count == 0) {
        /* A host with nothing but loopback: enough to try things out on. */
        fill_in_add(relay, ADDR_IPV4, true);
        fill_in_add(relay, ADDR_IPV6, true);
    }
    if (relay->address_count == 0) {
        snprintf(error, error_cap, "public_ip: this host has no address; name one");
        return -EADDRNOTAVAIL;
    }
    for (size_t i = 0; i < relay->address_count; i++) {
        const struct addr *local = &relay->addresses[i].local;
        int r = fill_in_try_bind(local);
        if (r < 0) {
            char text[ADDR_TEXT_MAX];
            snprintf(error, error_cap, "public_ip %s: %s",
                addr_format_ip(local, text, sizeof(text)),
                r == -EADDRNOTAVAIL ? "no interface of this machine has it; behind 1:1 NAT name "
                                      "both addresses, \"PUBLIC/PRIVATE\""
                                    : strerror(-r));
            return r;
        }
    }
    return 0;
}

/* For which there is room. Its socket of the address "::" takes IPv4 as well. */
static void fill_in_admin(struct peer_policy_settings *policy, const struct admin_settings *admin)
{
    struct addr addr;
    if (!admin_settings_address(admin, &addr)) {
        return;
    }
    policy->never[policy->never_count++] = addr;
    if (addr.family == ADDR_IPV6 && addr_is_unspecified(&addr)) {
        policy->never[policy->never_count++] = addr_ipv4(0, 0, 0, 0, addr.port);
    }
}

int fill_in_policy(
    struct config *config, const struct endpoints *endpoints, char *error, size_t error_cap)
{
    struct peer_policy_settings *policy = &config->relay.policy;
    struct addr *own;
    size_t own_count;
    int r = interfaces_addresses(&own, &own_count);
    if (r < 0) {
        snprintf(error, error_cap, "interfaces: %s", strerror(-r));
        return r;
    }
    free(policy->own_addresses);
    policy->own_addresses = own;
    policy->own_address_count = own_count;

    struct addr *never =
        realloc(policy->never, (policy->never_count + endpoints->count + 2) * sizeof(*never));
    if (!never) {
        snprintf(error, error_cap, "out of memory");
        return -ENOMEM;
    }
    policy->never = never;
    for (size_t i = 0; i < endpoints->count; i++) {
        policy->never[policy->never_count++] = endpoints->list[i].addr;
    }
    fill_in_admin(policy, &config->admin);
    return 0;
}

static bool fill_in_is_never(const struct peer_policy_settings *policy, const struct addr *a)
{
    for (size_t i = 0; i < policy->never_count; i++) {
        if (addr_equal(&policy->never[i], a)) {
            return true;
        }
    }
    return false;
}

int fill_in_never(struct config *config, const struct addr *list, size_t count)
{
    struct peer_policy_settings *policy = &config->relay.policy;
    struct addr *never = realloc(policy->never, (policy->never_count + count + 1) * sizeof(*never));
    if (!never) {
        return -ENOMEM;
    }
    policy->never = never;
    for (size_t i = 0; i < count; i++) {
        if (!fill_in_is_never(policy, &list[i])) {
            policy->never[policy->never_count++] = list[i];
        }
    }
    return 0;
}

/* 0, -EIO or -ENOMEM. */
static int fill_in_make_nonce_secret(struct secret *out, bool redis)
{
    uint8_t bytes[NONCE_SECRET_LEN];
    int r = random_fill(random_system(), bytes, sizeof(bytes));
    if (r == 0) {
        r = secret_set(out, slice_of(bytes, sizeof(bytes)));
    }
    secret_cleanse(bytes, sizeof(bytes));
    if (r == 0 && redis) {
        log_event(LOG_WARN, "nonce_secret_not_shared", log_str("key", "auth.nonce_secret_file"),
            log_str("why",
                "none is named: other instances refuse the nonces of this one, and name the "
                "secrets in Redis by other ids"));
    }
    return r;
}

int fill_in_nonce_secret(struct config *config, struct secret *kept)
{
    if (config->auth.nonce_secret.len > 0) {
        return 0;
    }
    if (kept->len == 0) {
        int r = fill_in_make_nonce_secret(kept, config->redis.url != NULL);
        if (r < 0) {
            return r;
        }
    }
    return secret_set(&config->auth.nonce_secret, secret_slice(kept));
}

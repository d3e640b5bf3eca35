/*
 * What a world is configured with: addresses, realms and users, and the snapshot made of them with
 * the real constructors. Called by world.c when a world begins and at every reload.
 */
#include "tests/scenario/world.h"

#include <stdio.h>
#include <stdlib.h>

struct addr world_peer(unsigned n, uint16_t port)
{
    return addr_ipv4(45, 45, 0, (uint8_t)n, port);
}

static struct addr ipv6(const char *text, unsigned n, uint16_t port)
{
    struct addr a;
    if (addr_parse_ip(&a, text) != 0)
        world_fail("an address of the tests does not parse");
    a.ip[15] = (uint8_t)n;
    a.port = port;
    return a;
}

struct addr world_peer6(unsigned n, uint16_t port)
{
    return ipv6("2606:4700::", n, port);
}

struct addr world_client_addr(unsigned n, uint16_t port)
{
    return addr_ipv4(81, 2, 69, (uint8_t)n, port);
}

struct addr world_client_addr6(unsigned n, uint16_t port)
{
    return ipv6("2a00:1450::", n, port);
}

struct world_settings world_settings_default(void)
{
    struct world_settings s = {.workers = 1,
        .seed = 1,
        .max_allocations = 1024,
        .mailbox = 16,
        .nonce_lifetime_s = 600,
        .max_ttl_s = 48 * 3600,
        .password_sha256 = true,
        .guard = SRTP_GUARD_OBSERVE,
        .srtp = {SRTP_REPLAY_DROP, 1024, 32, 30},
        .alice_password = "wonderland"};
    s.nonce_secret = "sixteen bytes or more";
    s.server_ipv4 = addr_ipv4(198, 51, 100, 10, WORLD_LISTENER_PORT);
    struct relay_settings *r = &s.relay;
    r->addresses[0].public = r->addresses[0].local = addr_ipv4(198, 51, 100, 20, 0);
    r->addresses[1].public = r->addresses[1].local = ipv6("2001:db8:100::", 0x20, 0);
    r->address_count = 2;
    r->port_min = 49152;
    r->port_max = 65535;
    r->default_lifetime_s = 600;
    r->max_lifetime_s = 3600;
    r->max_allocation_age_s = 48 * 3600;
    r->max_allocations = 4096;
    r->permissions_per_allocation = 256;
    r->channels_per_allocation = 64;
    r->policy.deny_recommended = true;
    return s;
}

const char *world_realm_name(uint32_t realm)
{
    static const char *const names[WORLD_REALMS] = {
        "example.org", "stored.example", "rest.example", "redis.example", "tokens.example"};
    return names[realm];
}

/* The key that coturn stores for carol: MD5("carol:stored.example:chorus"). */
static void stored_key(struct world *w, struct auth_user_settings *user)
{
    const struct slice text = slice_of_string("carol:stored.example:chorus");
    if (crypto_digest(w->crypto, CRYPTO_MD5, &text, 1, user->key) != 0)
        world_fail("no MD5");
    user->key_len = CRYPTO_MD5_LEN;
}

static void set_secret(struct secret *s, const char *text)
{
    if (secret_set(s, slice_of_string(text)) != 0)
        world_fail("out of memory");
}

/* Returns how many there are. */
static size_t set_plain_users(const struct world *w, struct auth_user_settings users[3])
{
    const char *alice = w->settings.alice_password;
    set_secret(&users[0].password, "builder");
    set_secret(&users[1].password, "diver");
    if (alice)
        set_secret(&users[2].password, alice);
    return alice ? 3 : 2;
}

static struct auth *build_auth(struct world *w)
{
    struct auth_user_settings plain[3] = {{.name = (char *)(uintptr_t) "bob"},
        {.name = (char *)(uintptr_t) "dave"}, {.name = (char *)(uintptr_t) "alice"}};
    struct auth_user_settings stored = {.name = (char *)(uintptr_t) "carol"};
    struct auth_secret_settings rest[2] = {{.id = (char *)(uintptr_t) "new"},
        {.id = (char *)(uintptr_t) "old", .retired = w->settings.retired}};
    const size_t plain_count = set_plain_users(w, plain);
    stored_key(w, &stored);
    set_secret(&rest[0].secret, "north");
    set_secret(&rest[1].secret, "south");
    struct auth_oauth_key_settings oauth = {.kid = (char *)(uintptr_t)WORLD_KID};
    const struct store_oauth_key key = world_oauth_key(WORLD_KID);
    struct auth_user_settings namesake = {.name = (char *)(uintptr_t)WORLD_KID};
    set_secret(&namesake.password, WORLD_NAMESAKE_PASSWORD);
    if (secret_set(&oauth.key, slice_of(key.key, key.key_len)) != 0)
        world_fail("out of memory");
    struct auth_realm_settings realms[WORLD_REALMS] = {
        [REALM_PLAIN] = {.users = plain, .user_count = plain_count},
        [REALM_STORED] = {.users = &stored, .user_count = 1},
        [REALM_REST] = {.secrets = rest, .secret_count = 2},
        [REALM_REDIS] = {.store_users = true},
        [REALM_TOKENS] = {.users = &namesake,
            .user_count = 1,
            .oauth_server_name = (char *)(uintptr_t)WORLD_SERVER_NAME,
            .oauth_keys = &oauth,
            .oauth_key_count = 1,
            .store_oauth_keys = true},
    };
    if (w->settings.no_tokens)
        realms[REALM_TOKENS] = (struct auth_realm_settings){.users = &namesake, .user_count = 1};
    for (unsigned i = 0; i < WORLD_REALMS; i++)
        realms[i].name = (char *)(uintptr_t)world_realm_name(i);
    struct auth_settings settings = {.realms = realms,
        .realm_count = WORLD_REALMS,
        .max_ttl_s = w->settings.max_ttl_s,
        .nonce_lifetime_s = w->settings.nonce_lifetime_s,
        .key_ttl_s = 60,
        .key_negative_ttl_s = 5,
        .key_stale_s = 600,
        .password_sha256 = w->settings.password_sha256};
    set_secret(&settings.nonce_secret, w->settings.nonce_secret);
    if (w->settings.nonce_secret_old)
        set_secret(&settings.nonce_secret_old, w->settings.nonce_secret_old);
    char error[256] = "";
    struct auth *auth = auth_new(&settings, error, sizeof(error));
    if (!auth)
        world_fail(error);
    for (unsigned i = 0; i < 3; i++)
        secret_wipe(&plain[i].password);
    for (unsigned i = 0; i < 2; i++)
        secret_wipe(&rest[i].secret);
    secret_wipe(&oauth.key);
    secret_wipe(&namesake.password);
    secret_wipe(&settings.nonce_secret);
    secret_wipe(&settings.nonce_secret_old);
    return auth;
}

static struct peer_policy *build_policy(struct world *w)
{
    struct peer_policy_settings settings = w->settings.relay.policy;
    struct addr own[2 + RELAY_ADDRESSES_MAX] = {w->server_ipv4, w->server_ipv6};
    struct addr never[2] = {w->server_ipv4, w->server_ipv6};
    size_t own_count = 2;
    own[0].port = own[1].port = 0;
    for (size_t i = 0; i < w->settings.relay.address_count; i++)
        own[own_count++] = w->settings.relay.addresses[i].local;
    settings.own_addresses = own;
    settings.own_address_count = own_count;
    settings.never = never;
    settings.never_count = 2;
    struct peer_policy *policy = peer_policy_new(&settings, w->shared.ports);
    if (!policy)
        world_fail("no peer policy");
    return policy;
}

void world_build_snapshot(struct world *w)
{
    struct relay_snapshot *s = &w->snapshot;
    const uint64_t version = s->version + 1;
    memset(s, 0, sizeof(*s));
    s->version = version;
    s->auth = w->auth = build_auth(w);
    s->limits = w->settings.limits;
    s->usage_every_s = w->settings.usage_every_s;
    for (unsigned i = 0; i < WORLD_REALMS; i++)
        s->quotas[i] = w->settings.realm_quotas[i] ? *w->settings.realm_quotas[i] : s->limits.quota;
    for (unsigned i = 0; i < WORLD_REALMS; i++) {
        s->rates[i] = w->settings.realm_rates[i] ? *w->settings.realm_rates[i] : s->limits.rates;
        s->bandwidth[i] = bandwidth_rates_of(&s->limits, &s->rates[i]);
    }
    s->srtp = w->settings.srtp;
    memset(s->guard_of_realm, w->settings.guard, sizeof(s->guard_of_realm));
    memset(s->guard_of_listener, SRTP_GUARD_INHERIT, sizeof(s->guard_of_listener));
    for (unsigned i = 0; i < WORLD_REALMS; i++)
        if (w->settings.realm_guards[i])
            s->guard_of_realm[i] = *w->settings.realm_guards[i];
    for (unsigned i = 0; i < WORLD_LISTENERS; i++)
        if (w->settings.listener_guards[i])
            s->guard_of_listener[i] = *w->settings.listener_guards[i];
    s->drain = w->settings.drain;
    s->relay = w->settings.relay;
    for (size_t i = 0; i < s->relay.address_count; i++) {
        const struct relay_address *a = &s->relay.addresses[i];
        s->relayed[i].address = *a;
        s->relayed[i].ports = port_maps_add(w->shared.ports, &a->local, &a->public);
        if (!s->relayed[i].ports)
            world_fail("no port map");
    }
    s->relayed_count = s->relay.address_count;
    s->policy = w->policy = build_policy(w);
}

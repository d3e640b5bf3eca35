/* The configuration as a whole: defaults, what each key does, cut files. */
#include "tests/unit/config_good.h"

static void assert_ip(const struct addr *a, const char *text)
{
    char ip[ADDR_TEXT_MAX];
    assert_string_equal(addr_format_ip(a, ip, sizeof(ip)), text);
}

/* The first `count` of the built-in list. */
static void assert_automatic_listeners(const struct net_settings *net, size_t count)
{
    static const struct {
        uint8_t transport;
        uint16_t port;
        bool optional;
    } expected[] = {
        {TRANSPORT_UDP, 3478, false},
        {TRANSPORT_UDP, 3479, false},
        {TRANSPORT_UDP, 3480, false},
        {TRANSPORT_UDP, 3481, false},
        {TRANSPORT_TCP, 3478, false},
        {TRANSPORT_TLS, 443, true},
        {TRANSPORT_TLS, 5349, true},
        {TRANSPORT_DTLS, 5349, true},
    };
    assert_int_equal(net->listener_count, count);
    for (size_t i = 0; i < count; i++) {
        const struct listener_settings *l = &net->listeners[i];
        assert_int_equal(l->addr.family, ADDR_IPV6);
        assert_true(addr_is_unspecified(&l->addr));
        assert_int_equal(l->addr.port, expected[i].port);
        assert_int_equal(l->transport, expected[i].transport);
        assert_int_equal(l->optional, expected[i].optional);
        assert_false(l->accept_plain || l->client_certificate || l->proxy_from_count > 0);
    }
}

static void test_config_init_gives_the_documented_defaults(void **state)
{
    struct config c = {0};
    assert_int_equal(config_init(&c), 0);
    assert_int_equal(c.auth.realm_count, 1);
    assert_string_equal(c.auth.realms[0].name, "turnpike");
    assert_int_equal(c.auth.realms[0].user_count + c.auth.realms[0].secret_count, 0);
    assert_int_equal(c.auth.max_ttl_s, 48 * 3600);
    assert_int_equal(c.auth.nonce_lifetime_s, 600);
    assert_true(c.auth.password_sha256);
    assert_null(c.auth.nonce_secret.data);
    assert_null(c.auth.nonce_secret_old.data);
    assert_int_equal(c.auth.key_ttl_s, 60);
    assert_int_equal(c.auth.key_negative_ttl_s, 5);
    assert_int_equal(c.auth.key_stale_s, 600);
    assert_automatic_listeners(&c.net, 5);
    assert_int_equal(c.net.workers, 0);
    assert_int_equal(c.net.receive_buffer, 4 << 20);
    config_deinit(&c);
    config_deinit(&c); /* an empty one may be freed again */
}

static void test_config_init_gives_relay_and_limits_defaults(void **state)
{
    struct config c = {0};
    assert_int_equal(config_init(&c), 0);
    assert_int_equal(c.relay.address_count, 0);
    assert_int_equal(c.relay.port_min, 49152);
    assert_int_equal(c.relay.port_max, 65535);
    assert_int_equal(c.relay.default_lifetime_s, 600);
    assert_int_equal(c.relay.max_lifetime_s, 3600);
    assert_int_equal(c.relay.max_allocation_age_s, 48 * 3600);
    assert_int_equal(c.relay.max_allocations, 100000);
    assert_int_equal(c.relay.permissions_per_allocation, 256);
    assert_int_equal(c.relay.channels_per_allocation, 64);
    assert_false(c.relay.software || c.relay.end_on_expiry);
    assert_true(c.relay.policy.deny_recommended);
    assert_int_equal(c.relay.policy.deny_count + c.relay.policy.allow_count, 0);
    const struct rate expected = {100, 1, 100};
    assert_memory_equal(&c.limits.unauthenticated_per_address, &expected, sizeof(expected));
    assert_int_equal(c.limits.unauthenticated_per_prefix.count, 1000);
    assert_int_equal(c.limits.unauthenticated_per_network.count, 10000);
    const struct quota_limits unlimited = {0};
    assert_memory_equal(&c.limits.quota, &unlimited, sizeof(unlimited));
    const struct rate source = {10, 60, 10}, prefix = {300, 60, 300}, user = {1000, 60, 1000},
                      network = {3000, 60, 3000};
    assert_memory_equal(&c.limits.guesses_per_source, &source, sizeof(source));
    assert_memory_equal(&c.limits.guesses_per_prefix, &prefix, sizeof(prefix));
    assert_memory_equal(&c.limits.guesses_per_network, &network, sizeof(network));
    assert_memory_equal(&c.limits.guesses_per_user, &user, sizeof(user));
    const struct realm_rates no_rates = {
        .allocations_per_user = {0, 1, 0}, .allocations_per_realm = {0, 1, 0}};
    assert_memory_equal(&c.limits.rates, &no_rates, sizeof(no_rates));
    assert_memory_equal(&c.realm_rates[0], &no_rates, sizeof(no_rates));
    assert_int_equal(c.limits.allocations_per_address.count, 0);
    assert_int_equal(c.limits.allocations_per_prefix.count, 0);
    assert_int_equal(c.limits.allocations_per_network.count, 0);
    assert_int_equal(c.limits.allocations_per_instance.count, 0);
    assert_int_equal(c.limits.handshakes_per_instance.count, 0);
    assert_int_equal(c.limits.bandwidth_per_instance, 0);
    assert_int_equal(c.limits.bandwidth_burst_ms, 500);
    assert_false(c.limits.deny_alone);
    assert_int_equal(c.log_level, LOG_INFO);
    assert_int_equal(c.drain.deadline_s, 3600);
    assert_false(c.drain.stop || c.drain.on_sigterm);
    assert_int_equal(c.drain.alternates.count, 0);
    assert_int_equal(c.log_format, LOG_TEXT);
    config_deinit(&c);
}

static void test_config_init_observes_media(void **state)
{
    struct config c = {0};
    assert_int_equal(config_init(&c), 0);
    assert_int_equal(c.srtp.guard, SRTP_GUARD_OBSERVE);
    assert_int_equal(c.srtp.replay, SRTP_REPLAY_DROP);
    assert_int_equal(c.srtp.window, 1024);
    assert_true(!c.usage.file && c.usage.every_s == 300);
    assert_int_equal(c.srtp.streams_per_direction, 32);
    assert_int_equal(c.srtp.key_grace_s, 30);
    assert_int_equal(c.srtp.wrap_key.len + c.srtp.wrap_key_old.len, 0);
    for (size_t i = 0; i < AUTH_REALMS_MAX; i++)
        assert_int_equal(c.realm_guards[i], SRTP_GUARD_INHERIT);
    for (size_t i = 0; i < c.net.listener_count; i++)
        assert_int_equal(c.net.listeners[i].guard, SRTP_GUARD_INHERIT);
    config_deinit(&c);
}

static void test_config_load_every_key_of_media_is_set(void **state)
{
    struct config c = {0};
    load(&c, good);
    assert_int_equal(c.srtp.guard, SRTP_GUARD_CLASSIFY);
    assert_int_equal(c.srtp.replay, SRTP_REPLAY_COUNT);
    assert_int_equal(c.srtp.window, 256);
    assert_string_equal(c.usage.file, "/var/log/u.jsonl");
    assert_int_equal(c.usage.every_s, 60);
    assert_int_equal(c.srtp.streams_per_direction, 5);
    assert_int_equal(c.srtp.key_grace_s, 0);
    assert_int_equal(c.srtp.wrap_key.len, 32);
    assert_int_equal(c.srtp.wrap_key_old.len, 32);
    for (unsigned i = 0; i < 32; i++) {
        assert_int_equal(c.srtp.wrap_key.data[i], i);
        assert_int_equal(c.srtp.wrap_key_old.data[i], i == 0 ? 31 : i);
    }
    for (size_t i = 0; i < c.net.listener_count; i++)
        assert_int_equal(c.net.listeners[i].guard, i < 3 ? SRTP_GUARD_VERIFY : SRTP_GUARD_INHERIT);
    for (size_t i = 0; i < AUTH_REALMS_MAX; i++)
        assert_int_equal(
            c.realm_guards[i], i == 1 ? SRTP_GUARD_VERIFY_REQUIRED : SRTP_GUARD_INHERIT);
    config_deinit(&c);
}

static void test_config_load_every_level_of_media(void **state)
{
    static const char *const levels[] = {"off", "observe", "classify", "verify", "verify_required"};
    struct config c = {0};
    for (unsigned i = 0; i < 5; i++) {
        char text[200];
        snprintf(text, sizeof(text),
            "auth: { users: [{ name: a, password: b }] }\nsrtp: %s\n"
            "listen: [{ proto: udp, port: 1, srtp: %s }]\n",
            levels[i], levels[4 - i]);
        load(&c, text);
        assert_int_equal(c.srtp.guard, i);
        assert_int_equal(c.net.listeners[0].guard, 4 - i);
    }
    config_deinit(&c);
}

static void test_config_load_every_network_key_is_set(void **state)
{
    struct config c = {0};
    load(&c, good);
    assert_int_equal(c.net.listener_count, 10);
    assert_ip(&c.net.listeners[2].addr, "192.0.2.1");
    assert_int_equal(c.net.listeners[2].addr.port, 3480);
    assert_ip(&c.net.listeners[3].addr, "2001:db8::4");
    assert_ip(&c.net.listeners[4].addr, "::");
    assert_int_equal(c.net.listeners[4].addr.port, 5000);
    assert_int_equal(c.net.workers, 3);
    assert_int_equal(c.net.receive_buffer, 512 << 10);
    assert_int_equal(c.relay.address_count, 2);
    assert_ip(&c.relay.addresses[0].public, "203.0.113.4");
    assert_ip(&c.relay.addresses[0].local, "10.0.0.4");
    assert_ip(&c.relay.addresses[1].local, "2001:db8::4");
    assert_int_equal(c.log_level, LOG_DEBUG);
    assert_int_equal(c.drain.deadline_s, 600);
    assert_true(c.drain.stop && c.drain.on_sigterm);
    assert_int_equal(c.drain.alternates.count, 4);
    assert_int_equal(c.drain.alternates.servers[0].port, 3479);
    assert_int_equal(c.drain.alternates.servers[1].port, 0);
    assert_string_equal(c.drain.alternates.domain, "other.example");
    assert_int_equal(c.log_format, LOG_JSON);
    config_deinit(&c);
}

static void test_config_init_gives_stream_and_tls_defaults(void **state)
{
    struct config c = {0};
    assert_int_equal(config_init(&c), 0);
    const struct stream_settings streams = {65536, 0, 256, 5000, 5000, 30000, 300000, 256 << 10};
    const struct dtls_settings dtls = {65536, 256, 5000, 300000};
    assert_memory_equal(&c.net.streams, &streams, sizeof(streams));
    assert_memory_equal(&c.net.dtls, &dtls, sizeof(dtls));
    assert_int_equal(c.tls.certificate_count + c.tls.client_name_count, 0);
    assert_int_equal(c.tls.min_version, TLS_VERSION_1_2);
    assert_true(c.tls.client_crl_check);
    assert_null(c.tls.client_ca);
    assert_null(c.tls.client_crl);
    config_deinit(&c);
}

static void test_config_load_every_listener_key_is_set(void **state)
{
    struct config c = {0};
    load(&c, good);
    const struct listener_settings *l = c.net.listeners;
    assert_int_equal(l[4].transport, TRANSPORT_UDP);
    for (unsigned i = 5; i < 7; i++) {
        assert_int_equal(l[i].transport, TRANSPORT_TCP);
        assert_int_equal(l[i].addr.port, 3478 + i - 5);
        assert_int_equal(l[i].proxy_from_count, 2);
        assert_ip(&l[i].proxy_from[0].ip, "10.0.0.0");
        assert_int_equal(l[i].proxy_from[0].bits, 8);
        assert_ip(&l[i].proxy_from[1].ip, "192.0.2.9");
        assert_int_equal(l[i].proxy_from[1].bits, 32);
    }
    assert_ptr_not_equal(l[5].proxy_from, l[6].proxy_from);
    assert_int_equal(l[7].transport, TRANSPORT_TLS);
    assert_true(l[7].accept_plain && !l[7].client_certificate);
    assert_true(l[8].client_certificate && !l[8].accept_plain);
    assert_int_equal(l[8].proxy_from[0].bits, 32);
    assert_int_equal(l[9].transport, TRANSPORT_DTLS);
    assert_false(l[5].optional || l[9].optional);
    config_deinit(&c);
}

static void test_config_load_every_tls_key_is_set(void **state)
{
    struct config c = {0};
    load(&c, good);
    assert_int_equal(c.tls.certificate_count, 3);
    assert_string_equal(c.tls.certificates[0].cert, "/etc/turnpike/a b.pem");
    assert_string_equal(c.tls.certificates[0].key, "/etc/turnpike/key.pem");
    assert_string_equal(c.tls.certificates[2].cert, "/c2");
    assert_string_equal(c.tls.certificates[2].key, "/k2");
    assert_int_equal(c.tls.min_version, TLS_VERSION_1_3);
    assert_string_equal(c.tls.client_ca, "/ca");
    assert_string_equal(c.tls.client_crl, "/crl");
    assert_false(c.tls.client_crl_check);
    assert_int_equal(c.tls.client_name_count, 2);
    assert_string_equal(c.tls.client_names[1], "B.example");
    config_deinit(&c);
}

static void test_config_load_every_stream_key_is_set(void **state)
{
    struct config c = {0};
    load(&c, good);
    const struct stream_settings streams = {1000, 11, 12, 1500, 4000, 60000, 7200000, 64 << 10};
    const struct dtls_settings dtls = {13, 0, 2000, 90000};
    assert_memory_equal(&c.net.streams, &streams, sizeof(streams));
    assert_memory_equal(&c.net.dtls, &dtls, sizeof(dtls));
    config_deinit(&c);
}

#define WHO "auth: { users: [{ name: a, password: b }] }\n"

static void test_config_load_a_certificate_adds_listeners_to_the_built_in_ones(void **state)
{
    struct config c = {0};
    load(&c, WHO "tls: { cert: /c, key: /k }\n");
    assert_automatic_listeners(&c.net, 8);
    load(&c, WHO "listen: auto\n");
    assert_automatic_listeners(&c.net, 5);
    load(&c, WHO "tls: { certificates: [{ cert: /c, key: /k }] }\n");
    assert_automatic_listeners(&c.net, 8);
    assert_string_equal(c.tls.certificates[0].key, "/k");
    load(&c, WHO "tls: { cert: /c, key: /k }\nlisten: [{ proto: tcp, port: 1 }]\n");
    assert_int_equal(c.net.listener_count, 1);
    config_deinit(&c);
}

/* What operators write: listeners of every transport before and behind a balancer. */
static void test_config_load_the_usual_listeners(void **state)
{
    struct config c = {0};
    load(&c, "listen:\n"
             "  - { proto: udp, addr: \"::\", port: 3478-3481 }\n"
             "  - { proto: tcp, addr: \"::\", port: 3478 }\n"
             "  - { proto: tls, addr: \"::\", port: 443 }\n"
             "  - { proto: tls, addr: \"10.0.0.5\", port: 4443, proxy_from: [\"10.0.0.0/8\"] }\n"
             "tls: { cert: /etc/turnpike/tls/fullchain.pem, key: /etc/turnpike/tls/privkey.pem, "
             "min_version: \"1.2\" }\n" WHO);
    assert_int_equal(c.net.listener_count, 7);
    assert_int_equal(c.net.listeners[6].transport, TRANSPORT_TLS);
    assert_int_equal(c.net.listeners[6].proxy_from_count, 1);
    assert_string_equal(c.tls.certificates[0].cert, "/etc/turnpike/tls/fullchain.pem");
    config_deinit(&c);
}

/* TCP and UDP ports are apart: what clashes within one space does not across. */
static void test_config_load_same_port_of_tcp_and_udp_is_taken(void **state)
{
    struct config c = {0};
    load(&c, WHO "tls: { cert: /c, key: /k }\nlisten:\n  - { proto: udp, port: 443 }\n"
                 "  - { proto: tls, port: 443 }\n  - { proto: tcp, port: 444 }\n"
                 "  - { proto: dtls, port: 444 }\n");
    assert_int_equal(c.net.listener_count, 4);
    config_deinit(&c);
}

static void test_config_load_tls_paths_are_expanded(void **state)
{
    struct config c = {0};
    setenv("CREDENTIALS_DIRECTORY", "/run/credentials/turnpike", 1);
    load(&c, WHO "tls: { cert: \"${CREDENTIALS_DIRECTORY}/c\", key: /k,\n"
                 "  client_ca: \"${CREDENTIALS_DIRECTORY}/ca\", client_crl_check: false }\n");
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_string_equal(c.tls.certificates[0].cert, "/run/credentials/turnpike/c");
    assert_string_equal(c.tls.client_ca, "/run/credentials/turnpike/ca");
    config_deinit(&c);
}

static void test_config_load_every_relay_key_is_set(void **state)
{
    struct config c = {0};
    load(&c, good);
    const struct peer_policy_settings *policy = &c.relay.policy;
    assert_int_equal(c.relay.port_min, 50000);
    assert_int_equal(c.relay.port_max, 50001);
    assert_true(policy->deny_recommended);
    assert_int_equal(policy->deny_count, 2);
    assert_ip(&policy->deny[0].last, "203.0.113.255");
    assert_int_equal(policy->deny[0].port_min, 0);
    assert_ip(&policy->deny[1].first, "198.51.100.1");
    assert_int_equal(policy->deny[1].port_max, 90);
    assert_int_equal(policy->allow_count, 2);
    assert_int_equal(policy->allow[1].port_min, 53);
    assert_int_equal(policy->nat64_count, 1);
    assert_int_equal(policy->nat64[0].bits, 96);
    assert_int_equal(c.relay.default_lifetime_s, 660);
    assert_int_equal(c.relay.max_lifetime_s, 7200);
    assert_int_equal(c.relay.max_allocation_age_s, 86400);
    assert_int_equal(c.relay.max_allocations, 500);
    assert_int_equal(c.relay.permissions_per_allocation, 20);
    assert_int_equal(c.relay.channels_per_allocation, 10);
    assert_true(c.relay.rfc5766_channels && c.relay.software && c.relay.end_on_expiry);
    config_deinit(&c);
}

static void test_config_load_every_admin_key_is_set(void **state)
{
    struct config c = {0};
    struct addr addr = {0};
    assert_int_equal(config_init(&c), 0);
    assert_int_equal(c.admin.listen, ADMIN_PLACE_AUTO);
    assert_int_equal(c.admin.control, ADMIN_PLACE_AUTO);
    assert_int_equal(c.admin.token.len, 0);
    assert_true(admin_settings_address(&c.admin, &addr));
    assert_true(addr_is_loopback(&addr)); /* THREATS row 24 */
    assert_int_equal(addr.port, 9641);
    load(&c, good);
    assert_int_equal(c.admin.listen, ADMIN_PLACE_SET);
    assert_ip(&c.admin.addr, "2001:db8::1");
    assert_int_equal(c.admin.addr.port, 9642);
    assert_int_equal(c.admin.control, ADMIN_PLACE_SET);
    assert_string_equal(c.admin.socket, "/tmp/a b.sock");
    assert_string_equal((char *)c.admin.token.data, "0123456789abcDEF-._~+/=");
    assert_int_equal(c.admin.host_count, 3);
    assert_string_equal(c.admin.hosts[0], "relay.example");
    assert_string_equal(c.admin.hosts[2], "2001:db8::1");
    const struct admin_tls_settings *tls = &c.admin.tls;
    assert_string_equal(tls->pair.cert, "/a/cert");
    assert_string_equal(tls->pair.key, "/a/key");
    assert_string_equal(tls->client_ca, "/a/ca");
    assert_string_equal(tls->client_crl, "/a/crl");
    assert_int_equal(tls->client_name_count, 1);
    assert_string_equal(tls->client_names[0], "ops.example");
    assert_true(tls->client_required);
    load(
        &c, "auth: { users: [{ name: a, password: b }] }\nadmin: { listen: none, socket: none }\n");
    assert_false(admin_settings_address(&c.admin, &addr));
    assert_int_equal(c.admin.control, ADMIN_PLACE_NONE);
    assert_null(c.admin.socket);
    config_deinit(&c);
}

static void test_config_load_every_limit_is_set(void **state)
{
    struct config c = {0};
    load(&c, good);
    const struct rate a_minute = {30, 60, 30}, an_hour = {7, 3600, 9};
    const struct quota_limits quota = {1, 2, 3, 4, 5, 6, 0};
    assert_memory_equal(&c.limits.unauthenticated_per_address, &a_minute, sizeof(a_minute));
    assert_int_equal(c.limits.unauthenticated_per_prefix.count, 0);
    assert_memory_equal(&c.limits.unauthenticated_per_network, &an_hour, sizeof(an_hour));
    assert_memory_equal(&c.limits.quota, &quota, sizeof(quota));
    const struct rate source = {5, 60, 50}, user = {9, 3600, 9}, network = {8, 1, 80};
    assert_memory_equal(&c.limits.guesses_per_source, &source, sizeof(source));
    assert_int_equal(c.limits.guesses_per_prefix.count, 0);
    assert_memory_equal(&c.limits.guesses_per_network, &network, sizeof(network));
    assert_memory_equal(&c.limits.guesses_per_user, &user, sizeof(user));
    config_deinit(&c);
}

static void assert_rate(const struct rate *rate, uint32_t count, uint32_t period, uint32_t burst)
{
    assert_int_equal(rate->count, count);
    assert_int_equal(rate->period_s, period);
    assert_int_equal(rate->burst, burst);
}

static void test_config_load_every_allocation_rate_and_bandwidth_is_set(void **state)
{
    struct config c = {0};
    load(&c, good);
    assert_rate(&c.limits.allocations_per_address, 21, 1, 21);
    assert_rate(&c.limits.allocations_per_prefix, 22, 1, 220);
    assert_rate(&c.limits.allocations_per_network, 23, 60, 1);
    assert_rate(&c.limits.handshakes_per_instance, 31, 1, 310);
    assert_rate(&c.limits.rates.allocations_per_user, 24, 3600, 24);
    assert_rate(&c.limits.rates.allocations_per_realm, 1000000, 1, 1000000);
    assert_rate(&c.limits.allocations_per_instance, 26, 1, 26);
    assert_int_equal(c.limits.rates.bandwidth_per_allocation, 312500);
    assert_int_equal(c.limits.rates.bandwidth_per_user, 1000000);
    assert_int_equal(c.limits.rates.bandwidth_per_realm, 125000000);
    assert_int_equal(c.limits.bandwidth_per_instance, 125000000000);
    assert_int_equal(c.limits.bandwidth_burst_ms, 250);
    assert_true(c.limits.deny_alone);
    config_deinit(&c);
}

/* What comes back within a day, a burst of any size, is a rate. */
static void test_config_load_bursts_up_to_a_day_are_taken(void **state)
{
    struct config c = {0};
    load(&c, "auth: { users: [{ name: a, password: b }] }\n"
             "limits: { allocation_rate_per_user: 1/h burst 24, guesses_per_user: 0,\n"
             "  allocation_rate_per_realm: 700/min burst 1000000 }\n");
    assert_rate(&c.limits.rates.allocations_per_user, 1, 3600, 24);
    assert_rate(&c.limits.rates.allocations_per_realm, 700, 60, 1000000);
    assert_rate(&c.limits.guesses_per_user, 0, 1, 0);
    config_deinit(&c);
}

static void test_config_load_over_a_loaded_one_replaces_all_of_it(void **state)
{
    struct config c = {0};
    load(&c, good);
    load(&c, "auth: { users: [{ name: a, password: b }] }\n");
    assert_string_equal(c.auth.realms[0].name, "turnpike");
    assert_int_equal(c.auth.realms[0].user_count, 1);
    assert_int_equal(c.auth.realms[0].secret_count, 0);
    assert_int_equal(c.relay.policy.deny_count, 0);
    assert_null(c.auth.nonce_secret.data);
    config_deinit(&c);
}

static void test_config_load_deny_none_takes_the_recommended_away(void **state)
{
    struct config c = {0};
    load(&c,
        "relay: { deny_peers: [none, 10.0.0.0/8] }\nauth: { secrets: [{ id: a, secret: b }] }\n");
    assert_false(c.relay.policy.deny_recommended);
    assert_int_equal(c.relay.policy.deny_count, 1);
    config_deinit(&c);
}

static void assert_one_line(const char *text)
{
    assert_true(*text != '\0');
    for (; *text != '\0'; text++)
        assert_true((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void test_config_load_cut_at_any_byte_is_good_or_one_line(void **state)
{
    unsigned refused = 0;
    for (size_t len = 0; len < sizeof(good); len++) {
        struct config c = {0};
        struct config_error error;
        char *exact = malloc(len > 0 ? len : 1); /* a sanitizer sees a byte read too far */
        assert_non_null(exact);
        memcpy(exact, good, len);
        memset(&error, 0, sizeof(error));
        const int rc = config_parse(&c, "cut.yaml", slice_of(exact, len), &error);
        if (rc < 0) {
            assert_int_equal(rc, -EINVAL);
            assert_one_line(error.text);
            assert_memory_equal(error.text, "cut.yaml:", 9);
            assert_null(c.auth.realms);
            refused++;
        }
        config_deinit(&c);
        free(exact);
    }
    assert_true(refused > sizeof(good) / 2);
}

static void test_example_loads(void **state)
{
    struct config c = {0};
    struct config_error error;
    size_t len;
    char *text = source_file("deploy/examples/turnpike.yaml", &len);
    setenv("CREDENTIALS_DIRECTORY", scratch.folder, 1);
    assert_int_equal(scratch_write(&scratch, "rest-secret", "s\n", 2), 0);
    assert_int_equal(scratch_write(&scratch, "nonce-secret", "0123456789abcdef\n", 17), 0);
    const int rc = config_parse(&c, "turnpike.yaml", slice_of(text, len), &error);
    scratch_remove(&scratch, "rest-secret");
    scratch_remove(&scratch, "nonce-secret");
    unsetenv("CREDENTIALS_DIRECTORY");
    if (rc != 0)
        fail_msg("%s", error.text);
    assert_string_equal(c.auth.realms[0].secrets[0].id, "a");
    assert_int_equal(c.limits.quota.allocations_per_user, 20);
    assert_rate(&c.limits.rates.allocations_per_user, 5, 1, 30);
    assert_int_equal(c.limits.rates.bandwidth_per_allocation, 1000000);
    free(text);
    config_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_init_gives_the_documented_defaults),
        cmocka_unit_test(test_config_init_gives_relay_and_limits_defaults),
        cmocka_unit_test(test_config_init_gives_stream_and_tls_defaults),
        cmocka_unit_test(test_config_init_observes_media),
        cmocka_unit_test(test_config_load_every_key_of_media_is_set),
        cmocka_unit_test(test_config_load_every_level_of_media),
        cmocka_unit_test(test_config_load_every_network_key_is_set),
        cmocka_unit_test(test_config_load_every_listener_key_is_set),
        cmocka_unit_test(test_config_load_every_tls_key_is_set),
        cmocka_unit_test(test_config_load_every_stream_key_is_set),
        cmocka_unit_test(test_config_load_a_certificate_adds_listeners_to_the_built_in_ones),
        cmocka_unit_test(test_config_load_the_usual_listeners),
        cmocka_unit_test(test_config_load_same_port_of_tcp_and_udp_is_taken),
        cmocka_unit_test(test_config_load_tls_paths_are_expanded),
        cmocka_unit_test(test_config_load_every_relay_key_is_set),
        cmocka_unit_test(test_config_load_every_admin_key_is_set),
        cmocka_unit_test(test_config_load_every_limit_is_set),
        cmocka_unit_test(test_config_load_every_allocation_rate_and_bandwidth_is_set),
        cmocka_unit_test(test_config_load_bursts_up_to_a_day_are_taken),
        cmocka_unit_test(test_config_load_over_a_loaded_one_replaces_all_of_it),
        cmocka_unit_test(test_config_load_deny_none_takes_the_recommended_away),
        cmocka_unit_test(test_config_load_cut_at_any_byte_is_good_or_one_line),
        cmocka_unit_test(test_example_loads),
    };
    return cmocka_run_group_tests_name("config", tests, open_scratch, close_scratch);
}

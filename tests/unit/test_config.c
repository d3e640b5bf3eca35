/*
 * The configuration as a whole: defaults, what each key does, secrets from files, the dump that can
 * be read back, the difference of two, and the reference document.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/reference.h"
#include "tests/unit/config_files.h"

#define ROUND_TRIPS 300

static struct scratch scratch;

static const char good[] =
    "realm: turn.example.com\n"
    "public_ip: [203.0.113.4/10.0.0.4, \"2001:db8::4\"]\n"
    "listen:\n"
    "  - { proto: udp, addr: 192.0.2.1, port: 3478-3480 }\n"
    "  - { proto: udp, addr: \"2001:db8::4\", port: 3478 }\n"
    "  - { proto: udp, port: 5000 }\n"
    "workers: 3\n"
    "receive_buffer: 512KiB\n"
    "relay:\n"
    "  ports: 50000-50001\n"
    "  deny_peers: [recommended, 203.0.113.0/24, \"198.51.100.1-198.51.100.9:80-90\"]\n"
    "  allow_peers: [10.1.0.0/16, \"[2001:db8::/32]:53\"]\n"
    "  nat64_prefixes: [\"2001:db8:64::/96\"]\n"
    "  default_lifetime: 11min\n"
    "  max_lifetime: 2h\n"
    "  max_allocation_age: 1d\n"
    "  max_allocations: 500\n"
    "  permissions_per_allocation: 20\n"
    "  channels_per_allocation: 10\n"
    "  software: true\n"
    "auth:\n"
    "  users:\n"
    "    - { name: alice, password: \"p w\" }\n"
    "    - { name: \"b\\\"o\\u2028b\", key: 000102030405060708090A0b0c0d0e0f }\n"
    "    - name: carol\n"
    "      key: 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
    "  secrets: [{ id: new, secret: s1 }, { id: old, secret: s2 }]\n"
    "  max_ttl: 24h\n"
    "  end_on_expiry: true\n"
    "  nonce_lifetime: 60s\n"
    "  nonce_secret: 0123456789abcdef\n"
    "  password_sha256: false\n"
    "limits:\n"
    "  unauthenticated_per_address: 30/min\n"
    "  unauthenticated_per_prefix: 0\n"
    "  unauthenticated_per_network: 7/h\n"
    "  allocations_per_user: 1\n"
    "  allocations_per_realm: 2\n"
    "  allocations_total: 3\n"
    "  permissions_per_user: 4\n"
    "  permissions_per_prefix: 5\n"
    "  channels_per_user: 6\n"
    "  channels_per_prefix: unlimited\n"
    "log: { level: debug, format: json }\n";

/* Loads text that must be good. */
static void load(struct config *c, const char *text)
{
    struct config_error error;
    if (scratch_load(&scratch, c, text, strlen(text), &error) != 0)
        fail_msg("%s", error.text);
}

static void assert_refused(const char *text, const char *reason)
{
    struct config c = {0};
    struct config_error error;
    assert_int_equal(scratch_load(&scratch, &c, text, strlen(text), &error), -EINVAL);
    if (!strstr(error.text, reason))
        fail_msg("no '%s' in: %s", reason, error.text);
}

static void assert_secret(const struct secret *s, const char *text)
{
    assert_int_equal(s->len, strlen(text));
    assert_memory_equal(s->data, text, s->len);
}

static void assert_ip(const struct addr *a, const char *text)
{
    char ip[ADDR_TEXT_MAX];
    assert_string_equal(addr_format_ip(a, ip, sizeof(ip)), text);
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
    assert_int_equal(c.net.udp_count, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(c.net.udp[i].addr.family, ADDR_IPV6);
        assert_true(addr_is_unspecified(&c.net.udp[i].addr));
        assert_int_equal(c.net.udp[i].addr.port, 3478 + i);
    }
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
    assert_int_equal(c.log_level, LOG_INFO);
    assert_int_equal(c.log_format, LOG_TEXT);
    config_deinit(&c);
}

static void test_config_load_every_network_key_is_set(void **state)
{
    struct config c = {0};
    load(&c, good);
    assert_int_equal(c.net.udp_count, 5);
    assert_ip(&c.net.udp[2].addr, "192.0.2.1");
    assert_int_equal(c.net.udp[2].addr.port, 3480);
    assert_ip(&c.net.udp[3].addr, "2001:db8::4");
    assert_ip(&c.net.udp[4].addr, "::");
    assert_int_equal(c.net.udp[4].addr.port, 5000);
    assert_int_equal(c.net.workers, 3);
    assert_int_equal(c.net.receive_buffer, 512 << 10);
    assert_int_equal(c.relay.address_count, 2);
    assert_ip(&c.relay.addresses[0].public, "203.0.113.4");
    assert_ip(&c.relay.addresses[0].local, "10.0.0.4");
    assert_ip(&c.relay.addresses[1].local, "2001:db8::4");
    assert_int_equal(c.log_level, LOG_DEBUG);
    assert_int_equal(c.log_format, LOG_JSON);
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
    assert_true(c.relay.software && c.relay.end_on_expiry);
    config_deinit(&c);
}

static void test_config_load_every_auth_key_is_set(void **state)
{
    struct config c = {0};
    load(&c, good);
    const struct auth_realm_settings *realm = &c.auth.realms[0];
    assert_string_equal(realm->name, "turn.example.com");
    assert_int_equal(realm->user_count, 3);
    assert_string_equal(realm->users[0].name, "alice");
    assert_secret(&realm->users[0].password, "p w");
    assert_int_equal(realm->users[0].key_len, 0);
    assert_string_equal(realm->users[1].name, "b\"o\xe2\x80\xa8"
                                              "b");
    assert_int_equal(realm->users[1].key_len, 16);
    assert_int_equal(realm->users[2].key_len, 32);
    for (unsigned i = 0; i < 32; i++) {
        assert_int_equal(realm->users[1].key[i], i < 16 ? i : 0);
        assert_int_equal(realm->users[2].key[i], i);
    }
    assert_int_equal(realm->secret_count, 2);
    assert_string_equal(realm->secrets[1].id, "old");
    assert_secret(&realm->secrets[1].secret, "s2");
    assert_int_equal(c.auth.max_ttl_s, 86400);
    assert_int_equal(c.auth.nonce_lifetime_s, 60);
    assert_secret(&c.auth.nonce_secret, "0123456789abcdef");
    assert_false(c.auth.password_sha256);
    config_deinit(&c);
}

static void test_config_load_every_limit_is_set(void **state)
{
    struct config c = {0};
    load(&c, good);
    const struct rate a_minute = {30, 60, 30}, an_hour = {7, 3600, 7};
    const struct quota_limits quota = {1, 2, 3, 4, 5, 6, 0};
    assert_memory_equal(&c.limits.unauthenticated_per_address, &a_minute, sizeof(a_minute));
    assert_int_equal(c.limits.unauthenticated_per_prefix.count, 0);
    assert_memory_equal(&c.limits.unauthenticated_per_network, &an_hour, sizeof(an_hour));
    assert_memory_equal(&c.limits.quota, &quota, sizeof(quota));
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

static const char from_files[] =
    "auth:\n"
    "  users: [{ name: a, password_file: \"${CREDENTIALS_DIRECTORY}/password\" }]\n"
    "  secrets: [{ id: a, file: \"${CREDENTIALS_DIRECTORY}/rest\" }]\n"
    "  nonce_secret_file: \"${CREDENTIALS_DIRECTORY}/nonce\"\n";

static void write_secrets(const char *password, const char *rest, const char *nonce)
{
    setenv("CREDENTIALS_DIRECTORY", scratch.folder, 1);
    assert_int_equal(scratch_write(&scratch, "password", password, strlen(password)), 0);
    assert_int_equal(scratch_write(&scratch, "rest", rest, strlen(rest)), 0);
    assert_int_equal(scratch_write(&scratch, "nonce", nonce, strlen(nonce)), 0);
}

static int remove_secrets(void **state)
{
    scratch_remove(&scratch, "password");
    scratch_remove(&scratch, "rest");
    scratch_remove(&scratch, "nonce");
    unsetenv("CREDENTIALS_DIRECTORY");
    return 0;
}

static void test_config_load_secret_files_lose_one_newline(void **state)
{
    struct config c = {0};
    write_secrets("hunter2\n", " s \n\n", "0123456789abcdef");
    load(&c, from_files);
    assert_secret(&c.auth.realms[0].users[0].password, "hunter2");
    assert_secret(&c.auth.realms[0].secrets[0].secret, " s \n");
    assert_secret(&c.auth.nonce_secret, "0123456789abcdef");
    config_deinit(&c);
}

static void test_config_load_bad_secret_files_are_refused(void **state)
{
    write_secrets("\n", "rest", "0123456789abcdef");
    assert_refused(from_files, ":2: 'auth.users[].password_file' must have 1 to 512 bytes");
    write_secrets("a", "rest", "0123456789abcde\n");
    assert_refused(from_files, ":4: 'auth.nonce_secret_file' must have 16 to 512 bytes");
    write_secrets("a", "rest", "0123456789abcdef");
    assert_int_equal(scratch_write(&scratch, "password", "a\0b", 3), 0);
    assert_refused(from_files, ":2: the password of user 'a' holds a NUL");
    write_secrets("a", "rest", "0123456789abcdef");
    assert_refused("auth:\n  nonce_secret_file: \"${CREDENTIALS_DIRECTORY}/nonce\"\n"
                   "  nonce_secret: 0123456789abcdef\n",
        ":3: 'auth.nonce_secret': the same secret is given twice");
    setenv("CREDENTIALS_DIRECTORY", "relative", 1);
    assert_refused(from_files, ":2: 'auth.users[].password_file' must be an absolute path");
}

static void test_config_load_secret_file_of_513_bytes_is_refused(void **state)
{
    char secret[514];
    struct config c = {0};
    write_secrets("a", "rest", "0123456789abcdef");
    memset(secret, 's', sizeof(secret));
    assert_int_equal(scratch_write(&scratch, "rest", secret, 514), 0);
    assert_refused(from_files, "/rest': too large");
    assert_int_equal(scratch_write(&scratch, "rest", secret, 513), 0);
    assert_refused(from_files, "1 to 512 bytes");
    secret[512] = '\n';
    assert_int_equal(scratch_write(&scratch, "rest", secret, 513), 0);
    load(&c, from_files);
    assert_int_equal(c.auth.realms[0].secrets[0].secret.len, 512);
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

/* The dump, secrets filled in, must mean the same. */
static void assert_dump_reads_back(const struct config *c)
{
    struct config again = {0};
    char *dump = config_text(c), *text = config_unmask(dump);
    assert_true(dump && text);
    load(&again, text);
    char *second = config_text(&again);
    assert_string_equal(second, dump);
    assert_int_equal(again.net.udp_count, c->net.udp_count);
    assert_memory_equal(&again.limits, &c->limits, sizeof(again.limits));
    assert_int_equal(again.relay.policy.deny_count, c->relay.policy.deny_count);
    for (size_t i = 0; i < c->relay.policy.deny_count; i++)
        assert_memory_equal(
            &again.relay.policy.deny[i], &c->relay.policy.deny[i], sizeof(struct prefix_rule));
    for (size_t i = 0; i < c->auth.realms[0].user_count; i++)
        assert_string_equal(again.auth.realms[0].users[i].name, c->auth.realms[0].users[i].name);
    free(dump);
    free(text);
    free(second);
    config_deinit(&again);
}

static void test_config_dump_is_read_back(void **state)
{
    struct config c = {0};
    load(&c, good);
    assert_dump_reads_back(&c);
    config_deinit(&c);
}

static void test_config_dump_with_its_masks_is_refused(void **state)
{
    struct config c = {0};
    load(&c, good);
    char *dump = config_text(&c);
    assert_refused(dump, "*** stands for a secret that a dump has hidden");
    free(dump);
    config_deinit(&c);
}

static void test_config_dump_shows_no_secret(void **state)
{
    static const char *const canaries[] = {"canary", "deadbeef"};
    struct config c = {0};
    load(&c, "auth:\n  users: [{ name: a, password: canary-1 },\n"
             "    { name: b, key: deadbeefdeadbeefdeadbeefdeadbeef }]\n"
             "  secrets: [{ id: c, secret: canary-2 }]\n  nonce_secret: canary-3-canary-3\n");
    char *dump = config_text(&c);
    for (size_t i = 0; i < 2; i++)
        assert_null(strstr(dump, canaries[i]));
    assert_non_null(strstr(dump, "nonce_secret: \"***\""));
    free(dump);
    config_deinit(&c);
}

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint32_t below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16) % n;
}

static void write_random_rules(FILE *out)
{
    fprintf(out, "  deny_peers: [%s", below(2) ? "recommended" : "none");
    for (uint32_t i = 0, n = below(5); i < n; i++) {
        const uint32_t from = below(200), to = from + below(56);
        fprintf(out, ", \"10.%u.0.%u-10.%u.%u.%u", i, from, i, below(3), to);
        if (below(2))
            fprintf(out, ":%u-%u", 1 + below(100), 200 + below(65000));
        fputs("\"", out);
        fprintf(out, ", \"[2001:db8:%x::/%u]:%u\"", 1 + i, 48 + below(80), 1 + below(65535));
        fprintf(out, ", 172.16.%u.0/%u", i, 24 + below(8));
    }
    fputs("]\n", out);
}

static void write_random_users(FILE *out)
{
    static const char *const pieces[] = {"a", " ", "\\\"", "\\\\", "#", ": ", "\\u00e9", "\\u2028",
        "\\ufeff", "\\U0001f600", "%n", "${X}", "{", "*", "\\x85", "~", "password: \\\"***\\\""};
    fputs("auth:\n  users:\n", out);
    for (uint32_t i = 0, n = 1 + below(4); i < n; i++) {
        fprintf(out, "    - { name: \"%u", i);
        for (uint32_t k = below(8); k > 0; k--)
            fputs(pieces[below(sizeof(pieces) / sizeof(pieces[0]))], out);
        fputs(below(2) ? "\", password: x }\n" : "\", key: 00112233445566778899aabbccddeeff }\n",
            out);
    }
    fprintf(out, "  max_ttl: %us\n  nonce_lifetime: %umin\n", 60 + below(100000), 1 + below(10));
}

/* The text of a configuration drawn at random; the caller frees it. */
static char *random_text(void)
{
    static const char *const periods[] = {"s", "min", "h"};
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    fprintf(out, "workers: %u\nreceive_buffer: %u\n", below(65), below(1u << 30));
    fprintf(out, "listen:\n  - { proto: udp, addr: 10.0.0.1, port: %u-%u }\n", 1 + below(10),
        20 + below(10));
    fprintf(out, "  - { proto: udp, addr: \"::\", port: %u }\nrelay:\n", 100 + below(60000));
    fprintf(out, "  ports: %u-%u\n", 1024 + below(20000), 30000 + below(20000));
    write_random_rules(out);
    fprintf(out, "  default_lifetime: %us\n  max_lifetime: %uh\n", 60 + below(3000), 1 + below(24));
    write_random_users(out);
    fprintf(out, "limits:\n  unauthenticated_per_address: %u/%s\n", 1 + below(1000000),
        periods[below(3)]);
    fprintf(out, "  channels_per_user: %u\n", below(1000));
    fclose(out);
    return text;
}

static void test_config_dump_of_random_configurations_is_read_back(void **state)
{
    for (unsigned i = 0; i < ROUND_TRIPS; i++) {
        struct config c = {0};
        char *text = random_text();
        load(&c, text);
        assert_dump_reads_back(&c);
        free(text);
        config_deinit(&c);
    }
}

static char *diff_of(const char *a, const char *b, bool *restart)
{
    struct config running = {0}, next = {0};
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    load(&running, a);
    load(&next, b);
    *restart = config_diff(&running, &next, out);
    fclose(out);
    config_deinit(&running);
    config_deinit(&next);
    return text;
}

#define WHO "auth: { users: [{ name: a, password: b }] }\n"

static void assert_diff(const char *b, const char *expected, bool expect_restart)
{
    bool restart;
    char *text = diff_of(WHO, b, &restart);
    assert_string_equal(text, expected);
    assert_int_equal(restart, expect_restart);
    free(text);
}

static void test_config_diff_of_equals_is_empty(void **state)
{
    bool restart = true;
    char *text = diff_of(good, good, &restart);
    assert_string_equal(text, "");
    assert_false(restart);
    free(text);
}

static void test_config_diff_names_what_is_applied(void **state)
{
    assert_diff(WHO "realm: b\n", "realm: \"turnpike\" -> \"b\"\n", false);
    assert_diff(WHO "relay: { max_lifetime: 2h, software: true }\n",
        "relay.max_lifetime: 1h -> 2h\nrelay.software: false -> true\n", false);
    assert_diff(WHO "relay: { deny_peers: [recommended, 192.0.2.0/24] }\n",
        "relay.deny_peers: changed\n", false);
    assert_diff(WHO "limits: { allocations_per_user: 5, unauthenticated_per_prefix: 1/h }\n",
        "limits.unauthenticated_per_prefix: 1000/s -> 1/h\n"
        "limits.allocations_per_user: unlimited -> 5\n",
        false);
    assert_diff(WHO "log: { level: warn }\n", "log.level: info -> warn\n", false);
}

static void test_config_diff_names_what_needs_a_restart(void **state)
{
    assert_diff(WHO "workers: 2\n", "workers: 0 -> 2, needs a restart\n", true);
    assert_diff(
        WHO "receive_buffer: 1MiB\n", "receive_buffer: 4MiB -> 1MiB, needs a restart\n", true);
    assert_diff(
        WHO "listen: [{ proto: udp, port: 3478 }]\n", "listen: changed, needs a restart\n", true);
    assert_diff(WHO "relay: { max_allocations: 7, ports: 50000-50009 }\n",
        "relay.ports: 49152-65535 -> 50000-50009\n"
        "relay.max_allocations: 100000 -> 7, needs a restart\n",
        true);
}

/* A dump hides secrets; the difference must still see them, and not show them. */
static void test_config_diff_sees_secrets_and_hides_them(void **state)
{
    assert_diff("auth: { users: [{ name: a, password: c }] }\n", "auth.users: changed\n", false);
    assert_diff("auth: { users: [{ name: a, key: 00112233445566778899aabbccddeeff }] }\n",
        "auth.users: changed\n", false);
    assert_diff("auth: { users: [{ name: a, password: b }], secrets: [{ id: a, secret: b }] }\n",
        "auth.secrets: changed\n", false);
    assert_diff("auth: { users: [{ name: a, password: b }], nonce_secret: 0123456789abcdef }\n",
        "auth.nonce_secret: changed\n", false);
}

/* A file of the source tree; the caller frees it. */
static char *source_file(const char *name, size_t *len)
{
    const char *root = getenv("TURNPIKE_SOURCE_ROOT");
    char path[4096];
    char *text = malloc(1u << 20);
    assert_true(root && text);
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s is not there", path);
    *len = fread(text, 1, (1u << 20) - 1, file);
    text[*len] = '\0';
    fclose(file);
    return text;
}

static void test_reference_document_is_what_the_key_table_says(void **state)
{
    size_t len, made_len;
    char *document = source_file("docs/configuration.md", &len), *made = NULL;
    FILE *out = open_memstream(&made, &made_len);
    assert_non_null(out);
    assert_int_equal(reference_write(out), 0);
    fclose(out);
    assert_string_equal(document, made);
    free(document);
    free(made);
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
    free(text);
    config_deinit(&c);
}

/* 20 000 users are read at once, not compared each with each. */
static void test_config_load_many_users_are_read(void **state)
{
    struct config c = {0};
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    fputs("auth:\n  users:\n", out);
    for (unsigned i = 0; i < 20000; i++)
        fprintf(out, "    - { name: user%u, password: p }\n", i);
    fclose(out);
    load(&c, text);
    assert_int_equal(c.auth.realms[0].user_count, 20000);
    assert_string_equal(c.auth.realms[0].users[19999].name, "user19999");
    free(text);
    config_deinit(&c);
}

static int open_scratch(void **state)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    return scratch_open(&scratch);
}

static int close_scratch(void **state)
{
    scratch_close(&scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_init_gives_the_documented_defaults),
        cmocka_unit_test(test_config_init_gives_relay_and_limits_defaults),
        cmocka_unit_test(test_config_load_every_network_key_is_set),
        cmocka_unit_test(test_config_load_every_relay_key_is_set),
        cmocka_unit_test(test_config_load_every_auth_key_is_set),
        cmocka_unit_test(test_config_load_every_limit_is_set),
        cmocka_unit_test(test_config_load_over_a_loaded_one_replaces_all_of_it),
        cmocka_unit_test(test_config_load_deny_none_takes_the_recommended_away),
        cmocka_unit_test_teardown(test_config_load_secret_files_lose_one_newline, remove_secrets),
        cmocka_unit_test_teardown(test_config_load_bad_secret_files_are_refused, remove_secrets),
        cmocka_unit_test_teardown(
            test_config_load_secret_file_of_513_bytes_is_refused, remove_secrets),
        cmocka_unit_test(test_config_load_cut_at_any_byte_is_good_or_one_line),
        cmocka_unit_test(test_config_load_many_users_are_read),
        cmocka_unit_test(test_config_dump_is_read_back),
        cmocka_unit_test(test_config_dump_with_its_masks_is_refused),
        cmocka_unit_test(test_config_dump_shows_no_secret),
        cmocka_unit_test(test_config_dump_of_random_configurations_is_read_back),
        cmocka_unit_test(test_config_diff_of_equals_is_empty),
        cmocka_unit_test(test_config_diff_names_what_is_applied),
        cmocka_unit_test(test_config_diff_names_what_needs_a_restart),
        cmocka_unit_test(test_config_diff_sees_secrets_and_hides_them),
        cmocka_unit_test(test_reference_document_is_what_the_key_table_says),
        cmocka_unit_test(test_example_loads),
    };
    return cmocka_run_group_tests_name("config", tests, open_scratch, close_scratch);
}

/*
 * What the key table writes: the dump that can be read back, the difference of two configurations,
 * the reference document.
 */
#include "config/reference.h"
#include "tests/unit/config_good.h"

#define ROUND_TRIPS 300

/* The dump, secrets filled in, must mean the same. */
static void assert_dump_reads_back(const struct config *c)
{
    struct config again = {0};
    char *dump = config_text(c), *text = config_unmask(dump);
    assert_true(dump && text);
    load(&again, text);
    char *second = config_text(&again);
    assert_string_equal(second, dump);
    assert_int_equal(again.net.listener_count, c->net.listener_count);
    assert_int_equal(again.listen_auto, c->listen_auto);
    assert_memory_equal(&again.net.streams, &c->net.streams, sizeof(again.net.streams));
    assert_memory_equal(&again.net.dtls, &c->net.dtls, sizeof(again.net.dtls));
    assert_memory_equal(&again.limits, &c->limits, sizeof(again.limits));
    assert_int_equal(again.relay.policy.deny_count, c->relay.policy.deny_count);
    for (size_t i = 0; i < c->relay.policy.deny_count; i++)
        assert_memory_equal(
            &again.relay.policy.deny[i], &c->relay.policy.deny[i], sizeof(struct prefix_rule));
    assert_int_equal(again.auth.realm_count, c->auth.realm_count);
    assert_memory_equal(again.realm_quotas, c->realm_quotas, sizeof(again.realm_quotas));
    assert_memory_equal(again.realm_rates, c->realm_rates, sizeof(again.realm_rates));
    assert_memory_equal(again.realm_guards, c->realm_guards, sizeof(again.realm_guards));
    assert_int_equal(again.srtp.guard, c->srtp.guard);
    assert_int_equal(again.srtp.replay, c->srtp.replay);
    assert_int_equal(again.srtp.window, c->srtp.window);
    assert_int_equal(again.srtp.streams_per_direction, c->srtp.streams_per_direction);
    assert_int_equal(again.srtp.key_grace_s, c->srtp.key_grace_s);
    assert_int_equal(again.usage.every_s, c->usage.every_s);
    assert_int_equal(again.redis.limits, c->redis.limits);
    assert_int_equal(again.redis.fleet_size, c->redis.fleet_size);
    assert_string_equal(again.redis.prefix, c->redis.prefix);
    for (size_t i = 0; i < c->net.listener_count; i++) {
        assert_int_equal(again.net.listeners[i].realm, c->net.listeners[i].realm);
        assert_int_equal(again.net.listeners[i].realms, c->net.listeners[i].realms);
        assert_int_equal(again.net.listeners[i].guard, c->net.listeners[i].guard);
    }
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

/* What a file must not name is no line of a dump either. */
static void test_config_dump_without_sharing_is_read_back(void **state)
{
    static const char *const texts[] = {"auth: { users: [{ name: a, password: b }] }\n",
        "auth: { users: [{ name: a, password: b }] }\nredis: { url: redis://h, limits: false }\n"};
    struct config c = {0};
    for (size_t i = 0; i < 2; i++) {
        load(&c, texts[i]);
        char *dump = config_text(&c);
        assert_null(strstr(dump, "fleet_size"));
        assert_null(strstr(dump, "on_failure"));
        assert_null(strstr(dump, "  prefix"));
        assert_int_equal(strstr(dump, "\n  limits: false\n") != NULL, i == 1);
        free(dump);
        assert_dump_reads_back(&c);
    }
    config_deinit(&c);
}

static void test_config_dump_says_rates_and_bandwidths_as_people_do(void **state)
{
    struct config c = {0};
    load(&c, "auth: { users: [{ name: a, password: b }] }\nredis: { url: redis://h }\n"
             "limits: { allocation_rate_per_user: 60/min burst 60, guesses_per_user: 5/h burst 7,\n"
             "  bandwidth_per_user: 8000kbit, bandwidth_per_realm: 1500kbit,\n"
             "  bandwidth_per_instance: 2000mbit, bandwidth_burst: 1000ms }\n");
    char *dump = config_text(&c);
    assert_non_null(strstr(dump, "\n  allocation_rate_per_user: 60/min\n"));
    assert_non_null(strstr(dump, "\n  guesses_per_user: 5/h burst 7\n"));
    assert_non_null(strstr(dump, "\n  bandwidth_per_allocation: unlimited\n"));
    assert_non_null(strstr(dump, "\n  bandwidth_per_user: 8mbit\n"));
    assert_non_null(strstr(dump, "\n  bandwidth_per_realm: 1500kbit\n"));
    assert_non_null(strstr(dump, "\n  bandwidth_per_instance: 2gbit\n"));
    assert_non_null(strstr(dump, "\n  bandwidth_burst: 1s\n"));
    assert_non_null(strstr(dump, "\n  limits: true\n  fleet_size: 1\n  on_failure: local\n"
                                 "  prefix: \"turnpike\"\n"));
    free(dump);
    config_deinit(&c);
}

static void test_config_dump_of_the_built_in_listeners_is_read_back(void **state)
{
    struct config c = {0};
    load(&c, "auth: { users: [{ name: a, password: b }] }\n"
             "tls: { certificates: [{ cert: /c, key: /k }] }\n");
    char *dump = config_text(&c);
    assert_non_null(strstr(dump, "listen: auto\n"));
    assert_non_null(strstr(dump, "# { proto: tls, addr: \"::\", port: 443 }\n"));
    free(dump);
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
    static const char *const canaries[] = {"canary", "deadbeef", "Y2FuYXJ5"};
    struct config c = {0};
    load(&c,
        "auth:\n  users: [{ name: a, password: canary-1 },\n"
        "    { name: b, key: deadbeefdeadbeefdeadbeefdeadbeef }]\n"
        "  secrets: [{ id: c, secret: canary-2 }]\n  nonce_secret: canary-3-canary-3\n"
        "  nonce_secret_old: canary-5-canary-5\n"
        "  oauth: { keys: [{ kid: d, algorithm: A128GCM, key: Y2FuYXJ5Y2FuYXJ5Y2FuYQ== }] }\n"
        "srtp_verify: { wrap_key: Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2E=,\n"
        "  wrap_key_old: Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2E= }\n"
        "redis: { url: redis+sentinel://me:canary-6/@canary@h/m, sentinel_password: canary-7 }\n"
        "admin: { token: canary-4-canary-4 }\n");
    char *dump = config_text(&c);
    for (size_t i = 0; i < sizeof(canaries) / sizeof(canaries[0]); i++)
        assert_null(strstr(dump, canaries[i]));
    assert_non_null(strstr(dump, "url: \"redis+sentinel://***@h/m\"\n"));
    assert_non_null(strstr(dump, "{ kid: \"d\", algorithm: A128GCM, key: \"***\" }"));
    assert_non_null(strstr(dump, "sentinel_password: \"***\""));
    assert_non_null(strstr(dump, "wrap_key: \"***\""));
    assert_non_null(strstr(dump, "wrap_key_old: \"***\""));
    assert_non_null(strstr(dump, "nonce_secret_old: \"***\""));
    assert_non_null(strstr(dump, "nonce_secret: \"***\""));
    assert_non_null(strstr(dump, "token: \"***\""));
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

static void write_random_realms(FILE *out, uint32_t count)
{
    fputs("realms:\n", out);
    for (uint32_t i = 0; i < count; i++) {
        fprintf(out, "  - { name: \"%u{ x\", secrets: [{ id: a, secret: b", i);
        fputs(below(2) ? ", hash: sha256 }" : " }", out);
        fputs(below(2) ? ", { id: b, secret: c, retired: true }]" : "]", out);
        if (below(2))
            fprintf(out, ", allocations_per_user: %u", below(1000));
        if (below(2))
            fprintf(out, ", channels_per_user: %u", below(1000));
        if (below(2))
            fprintf(out, ", allocation_rate_per_user: %u/s burst %u", 1 + below(9), 1 + below(99));
        if (below(2))
            fprintf(out, ", bandwidth_per_user: %ukbit", 8 + below(3000000));
        if (below(2))
            fprintf(out,
                ", oauth: { keys: [{ kid: k, algorithm: A128GCM, "
                "key: AAECAwQFBgcICQoLDA0ODw==, not_after: 20%u-0%u-%uT0%u:%u:%uZ }] }",
                30 + below(60), 1 + below(9), 10 + below(18), below(10), 10 + below(50),
                10 + below(50));
        fputs(" }\n", out);
    }
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
    const uint32_t realms = 1 + below(4), home = below(realms);
    fprintf(out, "  - { proto: udp, addr: \"::\", port: %u, realms: [\"%u{ x\"", 100 + below(60000),
        home);
    for (uint32_t i = 0; i < realms; i++)
        if (i != home)
            fprintf(out, ", \"%u{ x\"", i);
    fputs(below(2) ? ", turnpike] }\n" : "] }\n", out);
    fprintf(out, "  - { proto: tcp, port: %u-%u, proxy_from: [10.%u.0.0/16] }\n", 1 + below(10),
        20 + below(10), below(256));
    fprintf(out, "streams: { frame_timeout: %ums }\nrelay:\n", 100 + below(599901));
    fprintf(out, "  ports: %u-%u\n", 1024 + below(20000), 30000 + below(20000));
    write_random_rules(out);
    fprintf(out, "  default_lifetime: %us\n  max_lifetime: %uh\n", 60 + below(3000), 1 + below(24));
    write_random_users(out);
    fprintf(out, "limits:\n  unauthenticated_per_address: %u/%s\n", 1 + below(1000000),
        periods[below(3)]);
    fprintf(out, "  channels_per_user: %u\n", below(1000));
    fprintf(out, "  allocation_rate_per_realm: %u/%s burst %u\n", 1000 + below(999001),
        periods[below(3)], 1 + below(1000));
    fprintf(out, "  bandwidth_per_realm: %umbit\n", 1 + below(1000000));
    fprintf(out, "  bandwidth_burst: %ums\n", 10 + below(9991));
    write_random_realms(out, realms);
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
    assert_diff(WHO "relay: { max_lifetime: 2h, software: true }\n",
        "relay.max_lifetime: 1h -> 2h\nrelay.software: false -> true\n", false);
    assert_diff(WHO "relay: { deny_peers: [recommended, 192.0.2.0/24] }\n",
        "relay.deny_peers: changed\n", false);
    assert_diff(WHO "limits: { allocations_per_user: 5, unauthenticated_per_prefix: 1/h }\n",
        "limits.unauthenticated_per_prefix: 1000/s -> 1/h\n"
        "limits.allocations_per_user: unlimited -> 5\n",
        false);
    assert_diff("auth: { users: [{ name: a, password: b }], key_ttl: 2min, key_stale: 0s }\n"
                "limits: { guesses_per_user: unlimited }\n",
        "auth.key_ttl: 1min -> 2min\nauth.key_stale: 10min -> 0s\n"
        "limits.guesses_per_user: 1000/min -> unlimited\n",
        false);
    assert_diff(WHO
        "limits: { allocation_rate_per_address: 5/s burst 9, bandwidth_per_user: 9mbit,\n"
        "  bandwidth_burst: 1s, guesses_per_source: 10/min burst 11 }\n",
        "limits.allocation_rate_per_address: unlimited -> 5/s burst 9\n"
        "limits.bandwidth_per_user: unlimited -> 9mbit\n"
        "limits.bandwidth_burst: 500ms -> 1s\n"
        "limits.guesses_per_source: 10/min -> 10/min burst 11\n",
        false);
    assert_diff(WHO "log: { level: warn }\n", "log.level: info -> warn\n", false);
    assert_diff(WHO "listen: [{ proto: udp, port: 3478 }]\n", "listen: changed\n", false);
    assert_diff(WHO "streams: { idle_timeout: 500s, frame_timeout: 1500ms }\n",
        "streams.frame_timeout: 5s -> 1500ms\nstreams.idle_timeout: 5min -> 500s\n", false);
    /* The built-in list has grown. */
    assert_diff(WHO "tls: { cert: /c, key: /k, min_version: 1.3 }\n",
        "listen: changed\ntls.cert: none -> \"/c\"\ntls.key: none -> \"/k\"\n"
        "tls.min_version: \"1.2\" -> \"1.3\"\n",
        false);
}

static void test_config_diff_names_what_becomes_of_media(void **state)
{
    bool restart;
    assert_diff(WHO "srtp: verify\nsrtp_verify: { replay: count, window: 128, key_grace: 1min }\n",
        "srtp: observe -> verify\nsrtp_verify.replay: drop -> count\n"
        "srtp_verify.window: 1024 -> 128\nsrtp_verify.key_grace: 30s -> 1min\n",
        false);
    assert_diff(WHO "srtp_verify: { wrap_key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= }\n",
        "srtp_verify.wrap_key: changed\n", false);
    char *text = diff_of(WHO "listen: [{ proto: udp, port: 1-2 }]\n",
        WHO "listen: [{ proto: udp, port: 1-2, srtp: off }]\n", &restart);
    assert_string_equal(text, "listen: changed\n");
    free(text);
    text = diff_of(WHO "listen: auto\nrealms: [{ name: b, users: [{ name: a, password: b }] }]\n",
        WHO "listen: auto\n"
            "realms: [{ name: b, users: [{ name: a, password: b }], srtp: classify }]\n",
        &restart);
    assert_string_equal(text, "realms: \"b\" changed\n");
    assert_false(restart);
    free(text);
}

static void test_config_diff_names_what_is_shared(void **state)
{
    bool restart;
    char *text = diff_of(WHO "redis: { url: redis://h }\n",
        WHO "redis: { url: redis://h, on_failure: deny }\n", &restart);
    assert_string_equal(text, "redis.on_failure: local -> deny\n");
    assert_false(restart);
    free(text);
    text = diff_of(WHO "redis: { url: redis://h, fleet_size: 2, prefix: a }\n",
        WHO "redis: { url: redis://h, limits: false }\n", &restart);
    assert_string_equal(text, "redis.limits: true -> false, needs a restart\n"
                              "redis.fleet_size: 2 -> 1, needs a restart\n"
                              "redis.prefix: \"a\" -> \"turnpike\", needs a restart\n");
    assert_true(restart);
    free(text);
}

static void test_config_diff_usage_changes_while_it_runs(void **state)
{
    assert_diff(WHO "usage: { file: /a, every: 10s }\n",
        "usage.file: none -> \"/a\"\nusage.every: 5min -> 10s\n", false);
}

static void test_config_diff_names_what_needs_a_restart(void **state)
{
    assert_diff(WHO "workers: 2\n", "workers: 0 -> 2, needs a restart\n", true);
    assert_diff(
        WHO "receive_buffer: 1MiB\n", "receive_buffer: 4MiB -> 1MiB, needs a restart\n", true);
    assert_diff(WHO "streams: { max_connections: 7 }\ndtls: { max_sessions: 8 }\n",
        "streams.max_connections: 65536 -> 7, needs a restart\n"
        "dtls.max_sessions: 65536 -> 8, needs a restart\n",
        true);
    assert_diff(WHO "relay: { max_allocations: 7, ports: 50000-50009 }\n",
        "relay.ports: 49152-65535 -> 50000-50009\n"
        "relay.max_allocations: 100000 -> 7, needs a restart\n",
        true);
    assert_diff(WHO "admin: { listen: none, socket: /a, token: 0123456789abcdef }\n",
        "admin.listen: auto -> none, needs a restart\n"
        "admin.socket: auto -> \"/a\", needs a restart\nadmin.token: changed\n",
        true);
    assert_diff(WHO "admin: { hosts: [a.example], tls: { cert: /c, key: /k, client_ca: /a,\n"
                    "  client_crl: /l, client_names: [b.example], client_required: true } }\n",
        "admin.hosts: [] -> [\"a.example\"]\nadmin.tls.cert: none -> \"/c\"\n"
        "admin.tls.key: none -> \"/k\"\nadmin.tls.client_ca: none -> \"/a\"\n"
        "admin.tls.client_crl: none -> \"/l\"\nadmin.tls.client_names: [] -> [\"b.example\"]\n"
        "admin.tls.client_required: false -> true\n",
        false);
    assert_diff(WHO
        "redis: { url: rediss://:p@h, client_name: a, connect_timeout: 2s, tls: { ca: /c } }\n",
        "redis.url: changed, needs a restart\nredis.client_name: none -> \"a\", needs a restart\n"
        "redis.connect_timeout: 1s -> 2s, needs a restart\n"
        "redis.tls.ca: none -> \"/c\", needs a restart\n",
        true);
    assert_diff(WHO "realm: other\n", "realm: \"turnpike\" -> \"other\", needs a restart\n", true);
}

static void test_config_keep_takes_over_what_needs_a_restart(void **state)
{
    struct config running = {0}, next = {0};
    struct config_error error;
    struct slice a = slice_of_string(WHO "realm: one\nworkers: 2\n"
                                         "admin: { listen: 127.0.0.1:1, socket: /a }\n");
    struct slice b = slice_of_string(WHO "realm: two\nworkers: 3\nreceive_buffer: 1MiB\n"
                                         "streams: { max_connections: 7, frame_timeout: 1s }\n"
                                         "dtls: { max_sessions: 7 }\n"
                                         "relay: { max_allocations: 7, max_lifetime: 700s }\n");
    assert_int_equal(config_parse(&running, "a", a, &error), 0);
    assert_int_equal(config_parse(&next, "b", b, &error), 0);
    assert_int_equal(config_keep(&next, &running), 0);
    assert_string_equal(next.auth.realms[0].name, "one");
    assert_int_equal(next.net.workers, 2);
    assert_int_equal(next.net.receive_buffer, running.net.receive_buffer);
    assert_int_equal(next.relay.max_allocations, running.relay.max_allocations);
    assert_int_equal(next.net.streams.max_connections, running.net.streams.max_connections);
    assert_int_equal(next.net.dtls.max_sessions, running.net.dtls.max_sessions);
    assert_int_equal(next.net.streams.frame_timeout_ms, 1000);
    assert_int_equal(next.relay.max_lifetime_s, 700);
    assert_int_equal(next.admin.listen, ADMIN_PLACE_SET);
    assert_int_equal(next.admin.addr.port, 1);
    assert_string_equal(next.admin.socket, "/a");
    assert_int_equal(next.admin.control, ADMIN_PLACE_SET);
    config_deinit(&running);
    config_deinit(&next);
}

#define OAUTH "oauth: { keys: [{ kid: a, algorithm: A128GCM, key: AAECAwQFBgcICQoLDA0ODw== }] }"

static void assert_kept(const char *running_text, const char *next_text, struct config *next)
{
    struct config running = {0};
    load(&running, running_text);
    load(next, next_text);
    assert_int_equal(config_keep(next, &running), 0);
    config_deinit(&running);
}

/* What is shared stays as it was; what becomes of allocations without Redis does not have to. */
static void test_config_keep_takes_over_what_is_shared(void **state)
{
    struct config next = {0};
    assert_kept(WHO "redis: { url: redis://h, fleet_size: 2, prefix: a }\n",
        WHO "redis: { url: redis://h, fleet_size: 3, prefix: b, on_failure: deny }\n", &next);
    assert_true(next.redis.limits);
    assert_int_equal(next.redis.fleet_size, 2);
    assert_string_equal(next.redis.prefix, "a");
    assert_true(next.limits.deny_alone);
    /* Nobody is alone who shares nothing yet. */
    assert_kept(WHO "redis: { url: redis://h, limits: false }\n",
        WHO "redis: { url: redis://h, on_failure: deny }\n", &next);
    assert_false(next.redis.limits);
    assert_false(next.limits.deny_alone);
    assert_kept(WHO, WHO "redis: { url: redis://h, on_failure: deny }\n", &next);
    assert_false(next.limits.deny_alone);
    config_deinit(&next);
}

/* The link stays as it was until the restart, and so does what would need the new one. */
static void test_config_keep_takes_over_redis(void **state)
{
    struct config running = {0}, next = {0};
    struct config_error error;
    struct slice without = slice_of_string("realm: one\n" WHO);
    struct slice with = slice_of_string(
        "realm: two\nauth: { redis_users: true, " OAUTH
        " }\nredis: { url: redis+sentinel://:p@h/m,\n"
        "  client_name: a, sentinel_user: u, sentinel_password: p, handshake_timeout: 5s }\n");
    assert_int_equal(config_parse(&running, "a", without, &error), 0);
    assert_int_equal(config_parse(&next, "b", with, &error), 0);
    assert_true(next.auth.realms[0].store_users);
    assert_int_equal(config_keep(&next, &running), 0);
    assert_null(next.redis.url);
    assert_null(next.redis.client_name);
    assert_false(next.auth.realms[0].store_users);
    assert_string_equal(next.auth.realms[0].oauth_server_name, "one");
    assert_int_equal(
        config_parse(&next, "b",
            slice_of_string("auth: { redis_oauth_keys: true }\nredis: { url: redis://h }\n"),
            &error),
        0);
    assert_int_equal(config_keep(&next, &running), 0);
    assert_null(next.auth.realms[0].oauth_server_name);
    assert_int_equal(config_parse(&running, "b", with, &error), 0);
    assert_int_equal(config_parse(&next, "a", without, &error), 0);
    assert_int_equal(config_keep(&next, &running), 0);
    assert_string_equal(next.redis.url, "redis+sentinel://:p@h/m");
    assert_string_equal(next.redis.client_name, "a");
    assert_string_equal(next.redis.sentinel_user, "u");
    assert_int_equal(next.redis.sentinel_password.len, 1);
    assert_int_equal(next.redis.handshake_ms, 5000);
    config_deinit(&running);
    config_deinit(&next);
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
    assert_diff("auth: { users: [{ name: a, password: b }], " OAUTH " }\n",
        "auth.oauth.server_name: none -> \"turnpike\"\nauth.oauth.keys: changed\n", false);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_dump_is_read_back),
        cmocka_unit_test(test_config_dump_without_sharing_is_read_back),
        cmocka_unit_test(test_config_dump_says_rates_and_bandwidths_as_people_do),
        cmocka_unit_test(test_config_dump_of_the_built_in_listeners_is_read_back),
        cmocka_unit_test(test_config_dump_with_its_masks_is_refused),
        cmocka_unit_test(test_config_dump_shows_no_secret),
        cmocka_unit_test(test_config_dump_of_random_configurations_is_read_back),
        cmocka_unit_test(test_config_diff_of_equals_is_empty),
        cmocka_unit_test(test_config_diff_names_what_is_applied),
        cmocka_unit_test(test_config_diff_names_what_becomes_of_media),
        cmocka_unit_test(test_config_diff_names_what_is_shared),
        cmocka_unit_test(test_config_diff_usage_changes_while_it_runs),
        cmocka_unit_test(test_config_diff_names_what_needs_a_restart),
        cmocka_unit_test(test_config_keep_takes_over_what_needs_a_restart),
        cmocka_unit_test(test_config_keep_takes_over_what_is_shared),
        cmocka_unit_test(test_config_keep_takes_over_redis),
        cmocka_unit_test(test_config_diff_sees_secrets_and_hides_them),
        cmocka_unit_test(test_reference_document_is_what_the_key_table_says),
    };
    return cmocka_run_group_tests_name("config_dump", tests, open_scratch, close_scratch);
}

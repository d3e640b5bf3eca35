/* What the tests of a whole configuration share: one file that sets every key, and the source tree.
 */
#ifndef TESTS_UNIT_CONFIG_GOOD_H
#define TESTS_UNIT_CONFIG_GOOD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/config_files.h"

static struct scratch scratch;

static const char good[] =
    "realm: turn.example.com\n"
    "public_ip: [203.0.113.4/10.0.0.4, \"2001:db8::4\"]\n"
    "listen:\n"
    "  - { proto: udp, addr: 192.0.2.1, port: 3478-3480, srtp: verify }\n"
    "  - { proto: udp, addr: \"2001:db8::4\", port: 3478 }\n"
    "  - { proto: udp, port: 5000, realms: [tenant b, turn.example.com, \"c\\u00e9\"] }\n"
    "  - { proto: tcp, addr: 192.0.2.1, port: 3478-3479, proxy_from: [10.0.0.0/8, 192.0.2.9] }\n"
    "  - { proto: tls, addr: 192.0.2.1, port: 443, accept_plain: true }\n"
    "  - { proto: tls, addr: 192.0.2.1, port: 444, client_certificate: true,\n"
    "      proxy_from: [\"2001:db8::/32\"] }\n"
    "  - { proto: dtls, port: 5349 }\n"
    "srtp: classify\n"
    "workers: 3\n"
    "receive_buffer: 512KiB\n"
    "tls:\n"
    "  cert: /etc/turnpike/a b.pem\n"
    "  key: /etc/turnpike/key.pem\n"
    "  certificates:\n"
    "    - { cert: /c1, key: /k1 }\n"
    "    - { cert: /c2, key: /k2 }\n"
    "  min_version: \"1.3\"\n"
    "  client_ca: /ca\n"
    "  client_crl: /crl\n"
    "  client_crl_check: false\n"
    "  client_names: [a.example, B.example]\n"
    "streams:\n"
    "  max_connections: 1000\n"
    "  connections_per_prefix: 11\n"
    "  half_open_per_prefix: 12\n"
    "  handshake_timeout: 1500ms\n"
    "  frame_timeout: 4s\n"
    "  first_message_timeout: 1min\n"
    "  idle_timeout: 2h\n"
    "  write_queue: 64KiB\n"
    "dtls:\n"
    "  max_sessions: 13\n"
    "  half_open_per_prefix: unlimited\n"
    "  handshake_timeout: 2s\n"
    "  idle_timeout: 90s\n"
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
    "  rfc5766_channels: true\n"
    "  software: true\n"
    "auth:\n"
    "  users:\n"
    "    - { name: alice, password: \"p w\" }\n"
    "    - { name: \"b\\\"o\\u2028b\", key: 000102030405060708090A0b0c0d0e0f }\n"
    "    - name: carol\n"
    "      key: 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
    "  secrets: [{ id: new, secret: s1, hash: sha256 }, { id: old, secret: s2 },\n"
    "    { id: older, secret: s3, hash: sha1, retired: true }]\n"
    "  oauth:\n"
    "    server_name: stun1@example.com\n"
    "    keys:\n"
    "      - { kid: \"22BIjxU93h/IgwEb\", key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,\n"
    "          not_before: 2026-02-28T23:59:59Z, not_after: 2028-02-29T00:00:00Z }\n"
    "      - { kid: b, algorithm: A128GCM, key: \"AAECAwQFBgcICQoLDA0ODw==\" }\n"
    "  redis_users: true\n"
    "  redis_secrets: true\n"
    "  redis_oauth_keys: true\n"
    "  key_ttl: 30s\n"
    "  key_negative_ttl: 2s\n"
    "  key_stale: 1h\n"
    "  max_ttl: 24h\n"
    "  end_on_expiry: true\n"
    "  nonce_lifetime: 60s\n"
    "  nonce_secret: 0123456789abcdef\n"
    "  nonce_secret_old: fedcba9876543210\n"
    "  password_sha256: false\n"
    "limits:\n"
    "  unauthenticated_per_address: 30/min\n"
    "  unauthenticated_per_prefix: 0\n"
    "  unauthenticated_per_network: 7/h burst 9\n"
    "  handshakes_per_instance: 31/s burst 310\n"
    "  allocations_per_user: 1\n"
    "  allocations_per_realm: 2\n"
    "  allocations_total: 3\n"
    "  permissions_per_user: 4\n"
    "  permissions_per_prefix: 5\n"
    "  channels_per_user: 6\n"
    "  channels_per_prefix: unlimited\n"
    "  allocation_rate_per_address: 21/s\n"
    "  allocation_rate_per_prefix: 22/s burst 220\n"
    "  allocation_rate_per_network: 23/min burst 1\n"
    "  allocation_rate_per_user: 24/h\n"
    "  allocation_rate_per_realm: 1000000/s burst 1000000\n"
    "  allocation_rate_per_instance: 26/s\n"
    "  bandwidth_per_allocation: 2500kbit\n"
    "  bandwidth_per_user: 8mbit\n"
    "  bandwidth_per_realm: 1gbit\n"
    "  bandwidth_per_instance: 1000gbit\n"
    "  bandwidth_burst: 250ms\n"
    "  guesses_per_source: 5/min burst 50\n"
    "  guesses_per_prefix: unlimited\n"
    "  guesses_per_network: 8/s burst 80\n"
    "  guesses_per_user: 9/h\n"
    "usage: { file: /var/log/u.jsonl, every: 1min }\n"
    "srtp_verify:\n"
    "  replay: count\n"
    "  window: 256\n"
    "  streams: 5\n"
    "  key_grace: 0s\n"
    "  wrap_key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    "  wrap_key_old: HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    "realms:\n"
    "  - name: tenant b\n"
    "    users:\n"
    "      - { name: alice, password: other }\n"
    "      - { name: bob, key: 000102030405060708090a0b0c0d0e0f }\n"
    "    secrets: [{ id: new, secret: s4 }, { id: old, secret: s5, retired: true }]\n"
    "    oauth:\n"
    "      keys: [{ kid: b, algorithm: A128GCM, key: AQECAwQFBgcICQoLDA0ODw==,\n"
    "        not_after: 2028-02-29T00:00:00Z }]\n"
    "    redis_users: true\n"
    "    redis_secrets: true\n"
    "    allocations_per_user: 11\n"
    "    allocations_per_realm: 12\n"
    "    permissions_per_user: unlimited\n"
    "    channels_per_user: 14\n"
    "    allocation_rate_per_user: unlimited\n"
    "    allocation_rate_per_realm: 31/s burst 32\n"
    "    bandwidth_per_allocation: 8kbit\n"
    "    bandwidth_per_user: unlimited\n"
    "    srtp: verify_required\n"
    "  - { name: \"c\\u00e9\", redis_oauth_keys: true, oauth: { server_name: c } }\n"
    "redis:\n"
    "  url: rediss+sentinel://me:p%40w@s1.example,[2001:db8::1]:26380/main/7\n"
    "  client_name: turnpike-a\n"
    "  sentinel_user: watcher\n"
    "  sentinel_password: \"s p\"\n"
    "  connect_timeout: 700ms\n"
    "  handshake_timeout: 3s\n"
    "  limits: true\n"
    "  fleet_size: 5\n"
    "  on_failure: deny\n"
    "  prefix: a/B-c.d:9_\n"
    "  tls: { ca: /r/ca, crl: /r/crl, cert: /r/cert, key: /r/key, server_name: redis.example }\n"
    "drain:\n"
    "  deadline: 10min\n"
    "  alternate_servers: [192.0.2.7:3479, 192.0.2.8, \"[2001:db8::7]:3478\", \"2001:db8::8\"]\n"
    "  alternate_domain: other.example\n"
    "  stop: true\n"
    "  on_sigterm: true\n"
    "log: { level: debug, format: json }\n"
    "admin: { listen: \"[2001:db8::1]:9642\", socket: /tmp/a b.sock, token: "
    "0123456789abcDEF-._~+/=,\n"
    "  hosts: [relay.example, 198.51.100.1, \"2001:db8::1\"],\n"
    "  tls: { cert: /a/cert, key: /a/key, client_ca: /a/ca, client_crl: /a/crl,\n"
    "    client_names: [ops.example], client_required: true } }\n";

/* Loads text that must be good. */
static inline void load(struct config *c, const char *text)
{
    struct config_error error;
    if (scratch_load(&scratch, c, text, strlen(text), &error) != 0) {
        fail_msg("%s", error.text);
        abort(); /* not reached, which only the reader knows */
    }
}

static inline void assert_refused(const char *text, const char *reason)
{
    struct config c = {0};
    struct config_error error;
    assert_int_equal(scratch_load(&scratch, &c, text, strlen(text), &error), -EINVAL);
    if (!strstr(error.text, reason))
        fail_msg("no '%s' in: %s", reason, error.text);
}

/* A file of the source tree; the caller frees it. */
static inline char *source_file(const char *name, size_t *len)
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

static inline int open_scratch(void **state)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    return scratch_open(&scratch);
}

static inline int close_scratch(void **state)
{
    scratch_close(&scratch);
    return 0;
}

#endif

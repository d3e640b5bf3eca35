/*
 * What turnpikectl doctor makes of the facts: of a relay that is set up well it says nothing, and
 * each of the common mistakes is found by its name, with what to do about it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "cli/doctor.h"
#include "tests/tls/certs.h"

#define NOW 1800000000

/* What is set up well, in parts that a row may replace. */
struct setting {
    const char *realm, *public_ip, *listen, *relay, *auth, *redis, *more;
};

static const struct setting good = {
    .realm = "realm: example.org\n",
    .public_ip = "public_ip: [203.0.113.4]\n",
    .listen = "listen:\n"
              "  - { proto: udp, addr: 203.0.113.4, port: 3478 }\n"
              "  - { proto: tls, addr: 203.0.113.4, port: 443 }\n",
    .relay = "",
    .auth = "auth: { secrets: [{ id: a, secret: 0123456789abcdef }] }\n",
    .redis = "",
    .more = "",
};

#define TLS "tls: { cert: /etc/turnpike/cert.pem, key: /etc/turnpike/key.pem }\n"

struct examined {
    struct config config;
    struct doctor_facts facts;
    struct doctor_findings findings;
};

static struct examined e;

static struct addr address(const char *text, uint16_t port)
{
    struct addr a;
    assert_int_equal(addr_parse_ip(&a, text), 0);
    a.port = port;
    return a;
}

/* A daemon that does what the configuration says, on a machine that gives it what it needs. */
static void begin(const struct setting *s)
{
    struct doctor_facts *f = &e.facts;
    struct config_error error;
    char text[2048];
    snprintf(text, sizeof(text), "%s%s%s%s%s%s%s%s", s->realm, s->public_ip, s->listen, s->relay,
        s->auth, s->redis, s->more, strstr(s->more, "tls:") ? "" : TLS);
    config_deinit(&e.config);
    e = (struct examined){0};
    if (config_parse(&e.config, "test.yaml", slice_of_string(text), &error) < 0)
        fail_msg("%s\n%s", error.text, text);
    *f = (struct doctor_facts){.now = NOW, .config_file = "test.yaml", .config = &e.config};
    f->host.addresses[f->host.address_count++] = address("127.0.0.1", 0);
    f->host.addresses[f->host.address_count++] = address("203.0.113.4", 0);
    f->host.local_port_min = 32768;
    f->host.local_port_max = 49151;
    f->host.receive_max = 8 << 20;
    f->host.files = 524288;
    f->daemon.reached = f->daemon.ready = true;
    snprintf(f->daemon.state, sizeof(f->daemon.state), "running");
    for (size_t i = 0; i < e.config.net.listener_count; i++)
        f->daemon.listeners.list[f->daemon.listeners.count++] =
            (struct cli_listener){.transport = e.config.net.listeners[i].transport,
                .addr = e.config.net.listeners[i].addr};
    for (size_t i = 0; i < e.config.relay.address_count; i++)
        f->daemon.listeners.relayed[f->daemon.listeners.relayed_count++] = (struct cli_relayed){
            e.config.relay.addresses[i].public, e.config.relay.addresses[i].local};
    f->certificates[f->certificate_count++] = (struct doctor_certificate){
        .file = "/etc/turnpike/cert.pem", .begins = NOW - 86400, .ends = NOW + 60 * 86400};
}

static void expect_nothing(void)
{
    doctor_judge(&e.facts, &e.findings);
    for (size_t i = 0; i < e.findings.count; i++)
        print_error("%s: %s\n", e.findings.list[i].check, e.findings.list[i].what);
    assert_int_equal(e.findings.count, 0);
}

/* One finding, of this check and level, that says so and what to do. */
static void expect(const char *check, enum doctor_level level, const char *what, const char *remedy)
{
    doctor_judge(&e.facts, &e.findings);
    const struct doctor_finding *f = &e.findings.list[0];
    for (size_t i = 0; i < e.findings.count; i++)
        if (i > 0 || strcmp(f->check, check) != 0 || !strstr(f->what, what) ||
            !strstr(f->remedy, remedy))
            print_error("%s: %s -> %s\n", f[i].check, f[i].what, f[i].remedy);
    assert_int_equal(e.findings.count, 1);
    assert_string_equal(f->check, check);
    assert_int_equal(f->level, level);
    assert_non_null(strstr(f->what, what));
    assert_non_null(strstr(f->remedy, remedy));
}

static void test_doctor_good_setting_is_not_blamed(void **state)
{
    begin(&good);
    expect_nothing();
    for (size_t i = 0; doctor_check_name(i); i++)
        assert_int_equal(e.findings.unknown[i], strcmp(doctor_check_name(i), "relaying") == 0);
}

/* What the configuration alone shows. */
static void test_doctor_finds_what_the_configuration_has_wrong(void **state)
{
    static const struct {
        struct setting in_place; /* NULL: as it is good */
        const char *check;
        enum doctor_level level;
        const char *what, *remedy;
    } rows[] = {
        {{.relay = "relay: { ports: 50000-50999, max_allocations: 5000 }\n"}, "ports", DOCTOR_WRONG,
            "1000 ports", "relay.ports"},
        {{.relay = "relay: { ports: 50000-50999 }\nlimits: { allocations_total: 2000 }\n"}, "ports",
            DOCTOR_WRONG, "2000 allocations", "relay.ports"},
        {{.relay = "relay: { ports: 50000-50099 }\n"}, "ports", DOCTOR_ADVICE, "100 ports",
            "49152-65535"},
        {{.realm = ""}, "credentials", DOCTOR_ADVICE, "built-in", "domain"},
        {{.auth = "auth: { secrets: [{ id: a, secret: short }] }\n"}, "credentials", DOCTOR_WRONG,
            "5 bytes", "urandom"},
        {{.relay = "relay: { deny_peers: [none] }\n"}, "peers", DOCTOR_WRONG, "deny_peers is none",
            "deny_peers"},
        {{.relay = "relay: { allow_peers: [0.0.0.0/0] }\n"}, "peers", DOCTOR_WRONG, "127.0.0.1",
            "only"},
        {{.relay = "relay: { allow_peers: [169.254.0.0/16] }\n"}, "peers", DOCTOR_WRONG,
            "169.254.169.254", "only"},
        {{.relay = "relay: { allow_peers: [10.0.0.0/8] }\n"}, "peers", DOCTOR_ADVICE, "10.0.0.1",
            "only"},
        {{.listen = "listen:\n  - { proto: tls, addr: 203.0.113.4, port: 443, "
                    "proxy_from: [64.0.0.0/2] }\n"},
            "proxies", DOCTOR_WRONG, "trusts 64.0.0.0/2", "balancers"},
        {{.listen = "listen: [{ proto: udp, addr: 203.0.113.4, port: 3478 }]\n"}, "listeners",
            DOCTOR_ADVICE, "no TLS", "tls.cert"},
        {{.more = "admin: { listen: 127.0.0.1:9641 }\n"}, "secrets", DOCTOR_ADVICE,
            "without a token", "token_file"},
        {{.redis = "redis: { url: redis://127.0.0.1 }\n"}, "redis", DOCTOR_WRONG, "nonce_secret",
            "same"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct setting *r = &rows[i].in_place;
        const struct setting s = {.realm = r->realm ? r->realm : good.realm,
            .public_ip = good.public_ip,
            .listen = r->listen ? r->listen : good.listen,
            .relay = r->relay ? r->relay : good.relay,
            .auth = r->auth ? r->auth : good.auth,
            .redis = r->redis ? r->redis : good.redis,
            .more = r->more ? r->more : good.more};
        begin(&s);
        expect(rows[i].check, rows[i].level, rows[i].what, rows[i].remedy);
    }
}

static void test_doctor_finds_credentials_that_are_made_up(void **state)
{
    begin(&good);
    e.facts.config_file = NULL;
    expect("credentials", DOCTOR_WRONG, "made up anew", "auth.secrets");
}

static void test_doctor_finds_a_public_address_that_is_none(void **state)
{
    struct setting s = good;
    begin(&s);
    e.facts.host.addresses[1] = address("203.0.113.5", 0);
    expect("public_address", DOCTOR_WRONG, "203.0.113.4", "PUBLIC/PRIVATE");
    s.public_ip = "public_ip: [203.0.113.4/10.0.0.4]\n";
    begin(&s);
    e.facts.host.addresses[1] = address("10.0.0.4", 0);
    expect_nothing();
    static const char *const private[] = {"10.0.0.4", "172.31.0.1", "192.168.1.1", "100.64.0.1"};
    for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
        begin(&good);
        e.facts.host.addresses[1] = address(private[i], 0);
        e.facts.daemon.listeners.relayed[0] =
            (struct cli_relayed){address(private[i], 0), address(private[i], 0)};
        expect("public_address", DOCTOR_WRONG, private[i], "PUBLIC/PRIVATE");
    }
}

static void test_doctor_finds_what_the_machine_lacks(void **state)
{
    begin(&good);
    e.facts.host.local_port_max = 60999;
    expect("ports", DOCTOR_ADVICE, "32768-60999", "ip_local_reserved_ports=49152-65535");
    e.facts.host.ports_reserved = true;
    expect_nothing();
    begin(&good);
    e.facts.host.files = 4096;
    expect("files", DOCTOR_WRONG, "4096 files", "LimitNOFILE");
    begin(&good);
    e.facts.host.receive_max = 212992;
    expect("buffer", DOCTOR_ADVICE, "212992", "net.core.rmem_max=4194304");
    e.facts.host.receive_forced = true;
    expect_nothing();
    begin(&good);
    e.facts.host.clock_unsynchronised = true;
    expect("clock", DOCTOR_ADVICE, "clock", "NTP");
}

static void test_doctor_finds_a_certificate_that_fails_clients(void **state)
{
    begin(&good);
    e.facts.certificates[0].ends = NOW - 1;
    snprintf(e.facts.certificates[0].untrusted, 32, "certificate has expired");
    expect("certificates", DOCTOR_WRONG, "expired at", "renew");
    begin(&good);
    e.facts.certificates[0].ends = NOW + 13 * 86400 + 5;
    expect("certificates", DOCTOR_WRONG, "expires in 13 days", "renew");
    begin(&good);
    e.facts.certificates[0].begins = NOW + 5;
    expect("certificates", DOCTOR_WRONG, "not valid before", "clock");
    begin(&good);
    snprintf(e.facts.certificates[0].untrusted, 64, "unable to get local issuer certificate");
    expect("certificates", DOCTOR_WRONG, "local issuer", "fullchain.pem");
    begin(&good);
    snprintf(e.facts.certificates[0].fault, 64, "its key belongs to another certificate");
    expect("certificates", DOCTOR_WRONG, "another certificate", "tls.key");
    begin(&good);
    e.facts.name = "turn.example.org";
    expect("certificates", DOCTOR_WRONG, "turn.example.org", "issue");
    e.facts.certificates[0].named = true;
    expect_nothing();
}

static void test_doctor_finds_a_daemon_that_does_not_serve(void **state)
{
    begin(&good);
    e.facts.daemon.listeners.count--;
    expect("listeners", DOCTOR_WRONG, "tls 203.0.113.4:443", "not_listening");
    begin(&good);
    e.facts.daemon.ready = false;
    expect("daemon", DOCTOR_WRONG, "not ready", "");
    snprintf(e.facts.daemon.state, sizeof(e.facts.daemon.state), "draining");
    expect("daemon", DOCTOR_WRONG, "draining, and not ready", "drain --undo");
    begin(&good);
    e.facts.daemon = (struct doctor_daemon){.state = "Connection refused"};
    expect("daemon", DOCTOR_WRONG, "Connection refused", "start it");
    begin(&good);
    e.facts.daemon.redis = true;
    expect("redis", DOCTOR_WRONG, "no link to Redis", "redis_");
    e.facts.daemon.redis_up = true;
    expect_nothing();
    begin(&good);
    e.facts.config = NULL;
    e.facts.config_error = "test.yaml:1: unknown key";
    expect("configuration", DOCTOR_WRONG, "test.yaml:1: unknown key", "--check-config");
}

static void test_doctor_finds_a_public_address_that_does_not_relay(void **state)
{
    struct probe p = {.to = address("203.0.113.4", 3478)};
    begin(&good);
    e.facts.probe = &p;
    snprintf(p.why, sizeof(p.why), "nothing answers");
    expect("relaying", DOCTOR_WRONG, "203.0.113.4:3478 does not answer", "packet filter");
    e.facts.probe_mapped = true;
    expect("relaying", DOCTOR_ADVICE, "does not answer", "from outside");
    p.reached = PROBE_ALLOCATE;
    snprintf(p.why, sizeof(p.why), "508: no port is free");
    expect("relaying", DOCTOR_WRONG, "allocate: 508", "selftest");
    p.no_credential = true;
    expect("relaying", DOCTOR_ADVICE, "508", "--secret-file");
    p.ok = true;
    expect_nothing();
    e.facts.probe = NULL;
    e.facts.nowhere_public = true;
    expect("relaying", DOCTOR_ADVICE, "at an address of public_ip", "take 0.0.0.0");
}

static char folder[64];

static void test_doctor_finds_secrets_that_everybody_reads(void **state)
{
    static const struct {
        const char *text, *rest; /* around the path of the secret */
        mode_t config, secret;
        const char *found; /* NULL: none */
    } rows[] = {
        {"auth: { secrets: [{ id: a, file: ", " }] }\n", 0644, 0640, NULL},
        {"auth: { secrets: [{ id: a, file: ", " }] }\n", 0644, 0644, "/secret"},
        {"tls: { cert: /c, key: ", " }\n", 0644, 0604, "/secret"},
        {"admin: { token_file: ", " }\n", 0644, 0644, "/secret"},
        {"auth: { users: [{ name: a, password: b }] } # ", "\n", 0644, 0644, "/t.yaml"},
        {"redis: { url: \"redis://:p@h\" } # ", "\n", 0644, 0644, "/t.yaml"},
        {"auth: { users: [{ name: a, password: b }] } # ", "\n", 0640, 0644, NULL},
        {"usage: { file: ", " }\n", 0644, 0644, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char secret[128], text[256];
        begin(&good);
        snprintf(secret, sizeof(secret), "%s", test_write_text(folder, "secret", "x"));
        snprintf(text, sizeof(text), "%s%s%s", rows[i].text, secret, rows[i].rest);
        const char *config = test_write_text(folder, "t.yaml", text);
        assert_int_equal(chmod(config, rows[i].config) | chmod(secret, rows[i].secret), 0);
        doctor_read_files(&e.facts, config);
        if (rows[i].found)
            expect("secrets", DOCTOR_WRONG, rows[i].found, "chmod 0640");
        else
            expect_nothing();
        assert_int_equal(remove(config) | remove(secret), 0);
    }
}

/* From files, by the clock of the machine. */
static void test_doctor_reads_certificates_as_clients_would(void **state)
{
    struct test_identity ca =
        test_identity_new(&(struct test_certificate){.name = "CA", .authority = true});
    struct test_identity other = test_identity_new(&(struct test_certificate){.name = "x"});
    struct test_identity leaf = test_identity_new(
        &(struct test_certificate){.issuer = &ca, .name = "leaf", .san = "DNS:turn.example.org"});
    char *cert = strdup(test_write_cert(folder, "cert.pem", leaf.cert));
    char *key = strdup(test_write_key(folder, "key.pem", leaf.key, NULL));
    char *wrong = strdup(test_write_key(folder, "wrong.pem", other.key, NULL));
    char *root = strdup(test_write_cert(folder, "ca.pem", ca.cert));
    struct tls_certificate_settings pairs[] = {{cert, key}, {cert, wrong}, {key, key}};
    struct config config = {.tls = {.certificates = pairs, .certificate_count = 3}};
    struct doctor_facts *f = &e.facts;
    begin(&good);
    *f = (struct doctor_facts){.config = &config, .name = "turn.example.org"};
    doctor_read_certificates(f, root);
    assert_int_equal(f->certificate_count, 3);
    assert_string_equal(f->certificates[0].fault, "");
    assert_string_equal(f->certificates[0].untrusted, "");
    assert_true(f->certificates[0].named && f->certificates[0].begins < f->certificates[0].ends);
    assert_non_null(strstr(f->certificates[1].fault, "another certificate"));
    assert_non_null(strstr(f->certificates[2].fault, "no certificate"));
    f->certificate_count = 0;
    f->name = "www.example.org";
    doctor_read_certificates(f, NULL);
    assert_non_null(strstr(f->certificates[0].untrusted, "issuer"));
    assert_false(f->certificates[0].named);
    free(cert), free(key), free(wrong), free(root);
    test_identity_free(&leaf), test_identity_free(&other), test_identity_free(&ca);
}

static int set_up(void **state)
{
    test_folder_new(folder, sizeof(folder));
    return 0;
}

static int tear_down(void **state)
{
    config_deinit(&e.config);
    test_folder_remove(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doctor_good_setting_is_not_blamed),
        cmocka_unit_test(test_doctor_finds_what_the_configuration_has_wrong),
        cmocka_unit_test(test_doctor_finds_credentials_that_are_made_up),
        cmocka_unit_test(test_doctor_finds_a_public_address_that_is_none),
        cmocka_unit_test(test_doctor_finds_what_the_machine_lacks),
        cmocka_unit_test(test_doctor_finds_a_certificate_that_fails_clients),
        cmocka_unit_test(test_doctor_finds_a_daemon_that_does_not_serve),
        cmocka_unit_test(test_doctor_finds_a_public_address_that_does_not_relay),
        cmocka_unit_test(test_doctor_finds_secrets_that_everybody_reads),
        cmocka_unit_test(test_doctor_reads_certificates_as_clients_would),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

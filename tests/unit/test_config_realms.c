/* Realms as tenants: what a realm inherits, which listener serves it, and that its id stays. */
#include "tests/unit/config_good.h"

#define WHO    "auth: { users: [{ name: a, password: b }] }\n"
#define SECRET "secrets: [{ id: a, secret: b }]"

static void parse(struct config *c, const char *text)
{
    struct config_error error;
    if (config_parse(c, "test.yaml", slice_of_string(text), &error) != 0) {
        fail_msg("%s", error.text);
        abort(); /* not reached, which only the reader knows */
    }
}

static void test_realms_load_every_key_is_set(void **state)
{
    struct config c = {0};
    parse(&c, good);
    const struct auth_realm_settings *b = &c.auth.realms[1], *last = &c.auth.realms[2];
    assert_int_equal(c.auth.realm_count, 3);
    assert_string_equal(b->name, "tenant b");
    assert_int_equal(b->user_count, 2);
    assert_string_equal(b->users[0].name, "alice");
    assert_memory_equal(b->users[0].password.data, "other", 5);
    assert_int_equal(b->users[1].key_len, 16);
    assert_int_equal(b->secret_count, 2);
    assert_true(b->secrets[1].retired);
    assert_int_equal(b->oauth_key_count, 1);
    assert_int_equal(b->oauth_keys[0].key.data[0], 1);
    assert_int_equal(b->oauth_keys[0].not_after, 1835395200);
    assert_string_equal(b->oauth_server_name, "tenant b");
    assert_true(b->store_users && b->store_secrets && !b->store_oauth_keys);
    assert_string_equal(last->name, "c\xc3\xa9");
    assert_string_equal(last->oauth_server_name, "c");
    assert_true(last->store_oauth_keys && !last->store_users && !b->removed);
    assert_int_equal(c.auth.realms[0].user_count, 3);
    config_deinit(&c);
}

static void test_realms_inherit_limits_that_they_do_not_set(void **state)
{
    struct config c = {0};
    parse(&c, good);
    const struct quota_limits first = {1, 2, 3, 4, 5, 6, 0}, own = {11, 12, 3, 0, 5, 14, 0};
    assert_memory_equal(&c.realm_quotas[0], &first, sizeof(first));
    assert_memory_equal(&c.realm_quotas[1], &own, sizeof(own));
    assert_memory_equal(&c.realm_quotas[2], &first, sizeof(first));
    config_deinit(&c);
}

static void assert_rate(const struct rate *rate, uint32_t count, uint32_t burst)
{
    assert_int_equal(rate->count, count);
    assert_int_equal(rate->burst, burst);
}

static void test_realms_inherit_rates_that_they_do_not_set(void **state)
{
    struct config c = {0};
    parse(&c, good);
    const struct realm_rates *own = &c.realm_rates[1];
    assert_memory_equal(&c.realm_rates[0], &c.limits.rates, sizeof(c.limits.rates));
    assert_rate(&own->allocations_per_user, 0, 0);
    assert_rate(&own->allocations_per_realm, 31, 32);
    assert_int_equal(own->bandwidth_per_allocation, 1000);
    assert_int_equal(own->bandwidth_per_user, 0);
    assert_int_equal(own->bandwidth_per_realm, 125000000);
    assert_memory_equal(&c.realm_rates[2], &c.limits.rates, sizeof(c.limits.rates));
    config_deinit(&c);
}

static void assert_served(const struct listener_settings *l, uint32_t home, uint64_t realms)
{
    assert_int_equal(l->realm, home);
    assert_int_equal(l->realms, realms);
}

static void test_realms_listeners_serve_what_they_name(void **state)
{
    struct config c = {0};
    parse(&c, good);
    for (size_t i = 0; i < c.net.listener_count; i++) {
        if (c.net.listeners[i].addr.port == 5000)
            assert_served(&c.net.listeners[i], 1, 7);
        else
            assert_served(&c.net.listeners[i], 0, 1);
    }
    parse(&c, "listen:\n  - { proto: udp, port: 1-3, realms: [b] }\n"
              "  - { proto: tcp, port: 1, realms: [turnpike, b] }\n"
              "  - { proto: tcp, port: 2 }\n" WHO "realms: [{ name: b, " SECRET " }]\n");
    assert_int_equal(c.net.listener_count, 5);
    for (size_t i = 0; i < 3; i++)
        assert_served(&c.net.listeners[i], 1, 2);
    assert_served(&c.net.listeners[3], 0, 3);
    assert_served(&c.net.listeners[4], 0, 1);
    config_deinit(&c);
}

static void test_realms_built_in_listeners_serve_all(void **state)
{
    struct config c = {0};
    assert_int_equal(config_init(&c), 0);
    for (size_t i = 0; i < c.net.listener_count; i++)
        assert_served(&c.net.listeners[i], 0, 1);
    parse(&c, WHO "realms: [{ name: b, " SECRET " }, { name: c, " SECRET " }]\n");
    for (size_t i = 0; i < c.net.listener_count; i++)
        assert_served(&c.net.listeners[i], 0, 7);
    config_deinit(&c);
}

/* Nobody has to be in the first realm where no listener serves it. */
static void test_realms_first_one_may_be_left_out(void **state)
{
    struct config c = {0};
    parse(
        &c, "listen: [{ proto: udp, port: 1, realms: [b] }]\nrealms: [{ name: b, " SECRET " }]\n");
    assert_served(&c.net.listeners[0], 1, 2);
    config_deinit(&c);
}

/* A configuration with so many realms in the list, named from `first` on. */
static char *many(unsigned first, unsigned count)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    fputs(WHO "realms:\n", out);
    for (unsigned i = first; i < first + count; i++)
        fprintf(out, "  - { name: r%u, " SECRET ", allocations_per_user: %u }\n", i, i + 1);
    fclose(out);
    return text;
}

static void test_realms_load_63_and_no_more(void **state)
{
    struct config c = {0};
    char *text = many(0, 63);
    parse(&c, text);
    assert_int_equal(c.auth.realm_count, AUTH_REALMS_MAX);
    assert_true(c.net.listeners[0].realms == UINT64_MAX);
    free(text);
    text = many(0, 64);
    assert_refused(text, ":3: 'realms' must not hold more than 63 realms");
    free(text);
    config_deinit(&c);
}

static void assert_realm(const struct config *c, size_t id, const char *name, bool removed)
{
    assert_true(id < c->auth.realm_count);
    assert_string_equal(c->auth.realms[id].name, name);
    assert_int_equal(c->auth.realms[id].removed, removed);
    assert_int_equal(c->auth.realms[id].secret_count, removed || id == 0 ? 0 : 1);
}

#define LISTEN(realms)                                                                             \
    "listen: [{ proto: udp, port: 1, realms: [" realms "] }, { proto: tcp, port: 1 }]\n"
#define REALM(name) "{ name: " name ", " SECRET " }"

/* Reads, keeps and places `text` over *c, as a reload does. */
static int reload(struct config *c, const char *text, struct config_error *error)
{
    struct config next = {0};
    parse(&next, text);
    assert_int_equal(config_keep(&next, c), 0);
    const int rc = config_place_realms(&next, c, error);
    if (rc == 0) {
        config_deinit(c);
        *c = next;
    } else {
        config_deinit(&next);
    }
    return rc;
}

static void test_realms_keep_their_ids_over_reloads(void **state)
{
    struct config c = {0};
    struct config_error error;
    parse(&c, WHO LISTEN("b, c, turnpike") "limits: { allocations_per_user: 9 }\n"
                                           "realms: [" REALM("b") ", { name: c, " SECRET
                                                                  ", allocations_per_user: 3 }]\n");
    /* Turned round, and one in front. */
    assert_int_equal(
        reload(&c,
            WHO LISTEN("d, c, b") "limits: { allocations_per_user: 9 }\n"
                                  "realms: [" REALM(
                                      "d") ", { name: c, " SECRET
                                           ", allocations_per_user: 4, srtp: off }, " REALM(
                                               "b") "]\n",
            &error),
        0);
    assert_int_equal(c.auth.realm_count, 4);
    assert_realm(&c, 0, "turnpike", false);
    assert_realm(&c, 1, "b", false);
    assert_realm(&c, 2, "c", false);
    assert_realm(&c, 3, "d", false);
    assert_served(&c.net.listeners[0], 3, 8 | 4 | 2);
    assert_served(&c.net.listeners[1], 0, 1);
    assert_int_equal(c.realm_quotas[1].allocations_per_user, 9);
    assert_int_equal(c.realm_quotas[2].allocations_per_user, 4);
    assert_int_equal(c.realm_quotas[3].allocations_per_user, 9);
    assert_int_equal(c.realm_guards[2], SRTP_GUARD_OFF);
    assert_int_equal(c.realm_guards[1], SRTP_GUARD_INHERIT);
    assert_int_equal(c.realm_guards[3], SRTP_GUARD_INHERIT);
    /* Two are gone; what is left keeps its id. */
    c.realm_guards[3] = SRTP_GUARD_CLASSIFY;
    assert_int_equal(reload(&c, WHO LISTEN("c") "realms: [" REALM("c") "]\n", &error), 0);
    assert_int_equal(c.auth.realm_count, 4);
    /* Allocations of them go on, as closely looked at as before. */
    assert_int_equal(c.realm_guards[3], SRTP_GUARD_CLASSIFY);
    assert_int_equal(c.realm_guards[2], SRTP_GUARD_INHERIT);
    assert_realm(&c, 1, "b", true);
    assert_realm(&c, 2, "c", false);
    assert_realm(&c, 3, "d", true);
    assert_served(&c.net.listeners[0], 2, 4);
    assert_int_equal(c.realm_quotas[3].allocations_per_user, 0);
    assert_int_equal(c.realm_guards[2], SRTP_GUARD_INHERIT);
    /* One comes back, another is new. */
    assert_int_equal(
        reload(&c, WHO LISTEN("e, d") "realms: [" REALM("e") ", " REALM("d") "]\n", &error), 0);
    assert_int_equal(c.auth.realm_count, 5);
    assert_realm(&c, 2, "c", true);
    assert_realm(&c, 3, "d", false);
    assert_realm(&c, 4, "e", false);
    assert_served(&c.net.listeners[0], 4, 16 | 8);
    config_deinit(&c);
}

#define RATED(name, more) "{ name: " name ", " SECRET ", " more " }"

static void test_realms_rates_follow_their_realm_over_reloads(void **state)
{
    struct config c = {0};
    struct config_error error;
    parse(&c, WHO "limits: { allocation_rate_per_user: 9/s }\nrealms: [" REALM("b") ", " RATED(
                  "c", "allocation_rate_per_user: 3/s, bandwidth_per_user: 8kbit") "]\n");
    assert_int_equal(
        reload(&c,
            WHO "limits: { allocation_rate_per_user: 8/s, bandwidth_per_user: 16kbit }\n"
                "realms: [" RATED("c", "allocation_rate_per_user: 4/s burst 5") "]\n",
            &error),
        0);
    assert_rate(&c.realm_rates[0].allocations_per_user, 8, 8);
    assert_rate(&c.realm_rates[1].allocations_per_user, 8, 8); /* gone */
    assert_rate(&c.realm_rates[2].allocations_per_user, 4, 5);
    assert_int_equal(c.realm_rates[2].bandwidth_per_user, 2000);
    config_deinit(&c);
}

static void test_realms_ids_that_run_out_need_a_restart(void **state)
{
    struct config c = {0};
    struct config_error error;
    char *first = many(0, 60), *second = many(60, 3), *third = many(63, 1);
    parse(&c, first);
    assert_int_equal(reload(&c, second, &error), 0);
    assert_int_equal(c.auth.realm_count, AUTH_REALMS_MAX);
    assert_int_equal(reload(&c, third, &error), -EINVAL);
    assert_string_equal(error.text, "realm 'r63': there have been 64 since the start, removed ones "
                                    "among them: needs a restart");
    assert_realm(&c, 63, "r62", false);
    assert_int_equal(reload(&c, first, &error), 0);
    assert_realm(&c, 60, "r59", false);
    free(first);
    free(second);
    free(third);
    config_deinit(&c);
}

static void test_realms_name_of_the_running_first_one_needs_a_restart(void **state)
{
    struct config c = {0};
    struct config_error error;
    parse(&c, "realm: one\n" WHO);
    assert_int_equal(
        reload(&c, "realm: two\n" WHO "realms: [" REALM("one") "]\n", &error), -EINVAL);
    assert_string_equal(error.text, "realm 'one': is that of the top level until a restart");
    assert_realm(&c, 0, "one", false);
    config_deinit(&c);
}

static void assert_diff(const struct config *running, const char *text, const char *expected)
{
    struct config next = {0};
    char *diff = NULL;
    size_t len;
    FILE *out = open_memstream(&diff, &len);
    assert_non_null(out);
    parse(&next, text);
    assert_false(config_diff(running, &next, out));
    fclose(out);
    assert_string_equal(diff, expected);
    free(diff);
    config_deinit(&next);
}

static void test_realms_diff_says_which(void **state)
{
    struct config c = {0};
    struct config_error error;
    parse(&c, WHO "realms: [" REALM("b") ", " REALM("c") "]\n");
    assert_diff(&c, WHO "realms: [" REALM("c") ", " REALM("b") "]\n", "");
    assert_diff(&c, WHO "realms: [{ name: b, secrets: [{ id: a, secret: x }] }, " REALM("d") "]\n",
        "realms: \"b\" changed, \"d\" added, \"c\" removed\n");
    assert_diff(&c, WHO "realms: [{ name: b, " SECRET ", channels_per_user: 1 }, " REALM("c") "]\n",
        "realms: \"b\" changed\n");
    assert_diff(&c,
        WHO "realms: [" REALM("b") ", " RATED("c", "allocation_rate_per_realm: 1/s") "]\n",
        "realms: \"c\" changed\n");
    assert_diff(&c, WHO "realms: [" REALM("b") ", " RATED("c", "bandwidth_per_realm: 1mbit") "]\n",
        "realms: \"c\" changed\n");
    assert_diff(&c,
        WHO "realms: [{ name: b, " SECRET
            ", users: [{ name: a, password: b }] }, " REALM("c") "]\n",
        "realms: \"b\" changed\n");
    assert_diff(&c, WHO, "realms: \"b\" removed, \"c\" removed\n");
    /* What was removed is no difference, and neither is an id. */
    assert_int_equal(reload(&c, WHO "realms: [" REALM("d") ", " REALM("c") "]\n", &error), 0);
    assert_diff(&c, WHO "realms: [" REALM("d") ", " REALM("c") "]\n", "");
    assert_diff(&c, WHO "realms: [" REALM("b") ", " REALM("d") ", " REALM("c") "]\n",
        "realms: \"b\" added\n");
    config_deinit(&c);
}

static void test_realms_diff_of_listeners_goes_by_names(void **state)
{
    struct config c = {0};
    struct config_error error;
    parse(&c, WHO LISTEN("b, c, turnpike") "realms: [" REALM("b") ", " REALM("c") "]\n");
    assert_diff(&c, WHO LISTEN("b, turnpike, c") "realms: [" REALM("c") ", " REALM("b") "]\n", "");
    assert_diff(&c, WHO LISTEN("c, turnpike, b") "realms: [" REALM("c") ", " REALM("b") "]\n",
        "listen: changed\n");
    assert_int_equal(
        reload(&c, WHO LISTEN("d, c") "realms: [" REALM("d") ", " REALM("c") "]\n", &error), 0);
    assert_diff(&c, WHO LISTEN("d, c") "realms: [" REALM("d") ", " REALM("c") "]\n", "");
    config_deinit(&c);
}

static void test_realms_dump_leaves_out_removed_ones(void **state)
{
    struct config c = {0}, again = {0};
    struct config_error error;
    parse(&c, WHO "realms: [" REALM("b") ", " REALM("c") "]\n");
    assert_int_equal(reload(&c, WHO "realms: [" REALM("d") "]\n", &error), 0);
    char *dump = config_text(&c), *text = config_unmask(dump);
    assert_null(strstr(dump, "\"b\""));
    assert_non_null(strstr(dump, "{ name: \"d\",\n"));
    parse(&again, text);
    assert_int_equal(again.auth.realm_count, 2);
    free(dump);
    free(text);
    config_deinit(&again);
    config_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_realms_load_every_key_is_set),
        cmocka_unit_test(test_realms_inherit_limits_that_they_do_not_set),
        cmocka_unit_test(test_realms_inherit_rates_that_they_do_not_set),
        cmocka_unit_test(test_realms_rates_follow_their_realm_over_reloads),
        cmocka_unit_test(test_realms_listeners_serve_what_they_name),
        cmocka_unit_test(test_realms_built_in_listeners_serve_all),
        cmocka_unit_test(test_realms_first_one_may_be_left_out),
        cmocka_unit_test(test_realms_load_63_and_no_more),
        cmocka_unit_test(test_realms_keep_their_ids_over_reloads),
        cmocka_unit_test(test_realms_ids_that_run_out_need_a_restart),
        cmocka_unit_test(test_realms_name_of_the_running_first_one_needs_a_restart),
        cmocka_unit_test(test_realms_diff_says_which),
        cmocka_unit_test(test_realms_diff_of_listeners_goes_by_names),
        cmocka_unit_test(test_realms_dump_leaves_out_removed_ones),
    };
    return cmocka_run_group_tests_name("config_realms", tests, open_scratch, close_scratch);
}

/*
 * THREATS row 2: a policy enforced on one path only. The only way to reach a peer takes a
 * permission object and the policy's word at the send; there is one egress. Every path is tried in
 * every state in which it must not pass.
 */
#include "tests/scenario/fixture.h"

#include <dirent.h>
#include <stdio.h>

static const char *const ways[] = {"Send", "ChannelData", "from the peer"};

/* True if a datagram passed. The channel 0x4000 is the peer's, if it is bound. */
static bool passes(struct fixture *f, unsigned way, const struct addr *peer)
{
    struct received m;
    switch (way) {
    case 0:
        client_indicate(&f->a, peer, "x", 1);
        return world_take_to_peer(f->w) != NULL;
    case 1:
        client_channel_data(&f->a, 0x4000, "x", 1);
        return world_take_to_peer(f->w) != NULL;
    default:
        world_from_peer(f->w, peer, &f->a_relayed, slice_of_string("x"), 0);
        return client_receive(&f->a, &m);
    }
}

static void none_passes(struct fixture *f, const struct addr *peer, const char *state)
{
    for (unsigned way = 0; way < 3; way++)
        if (passes(f, way, peer))
            fail_msg("%s: %s passed", state, ways[way]);
}

static void all_pass(struct fixture *f, const struct addr *peer)
{
    for (unsigned way = 0; way < 3; way++)
        if (!passes(f, way, peer))
            fail_msg("%s does not pass", ways[way]);
}

static void test_no_path_passes_without_a_permission(void **state)
{
    struct fixture *f = *state;
    struct response r;
    const struct addr peer = world_peer(1, 5000);
    none_passes(f, &peer, "no allocation");
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_LIFETIME("\0\0\x0e\x10")), 200);
    f->a_relayed = r.relayed[0];
    none_passes(f, &peer, "no permission");
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    all_pass(f, &peer);
    world_advance(f->w, 301);
    none_passes(f, &peer, "expired permission, live channel");
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    none_passes(f, &peer, "deleted allocation");
}

static void test_no_path_passes_against_the_policy(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    f->a_relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    struct prefix_rule rules[2];
    const char *why = "";
    assert_int_equal(prefix_rule_parse(&rules[0], "45.45.0.1", &why), 0);
    assert_int_equal(prefix_rule_parse(&rules[1], "45.45.0.0/16:5000", &why), 0);
    f->settings.relay.policy.deny_count = 1;
    for (unsigned i = 0; i < 2; i++) {
        f->settings.relay.policy.deny = &rules[i];
        world_reload(f->w, &f->settings);
        none_passes(f, &peer, i ? "denied port" : "denied address");
    }
    assert_int_equal(world_dropped(f->w, REASON_PEER_DENIED), 6);
    f->settings.relay.policy.deny_count = 0;
    world_reload(f->w, &f->settings);
    all_pass(f, &peer);
}

static void test_no_path_passes_to_a_dead_port_of_ours(void **state)
{
    struct fixture *f = *state;
    f->a_relayed = fixture_allocate(&f->a);
    f->b_relayed = fixture_allocate(&f->b);
    assert_int_equal(client_bind(&f->a, 0x4000, &f->b_relayed), 200);
    all_pass(f, &f->b_relayed);
    assert_int_equal(client_refresh(&f->b, 0, NULL), 200);
    world_clear(f->w);
    none_passes(f, &f->b_relayed, "dead port");
    assert_int_equal(world_dropped(f->w, REASON_PEER_PORT_NOT_LIVE), 3);
}

static void test_no_permission_is_made_against_the_policy(void **state)
{
    struct fixture *f = *state;
    f->a_relayed = fixture_allocate(&f->a);
    const struct addr denied[] = {addr_ipv4(10, 0, 0, 1, 5000), addr_ipv4(127, 0, 0, 1, 5000),
        addr_ipv4(198, 51, 100, 10, 3478), addr_ipv4(224, 0, 0, 5, 5000)};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(client_permit(&f->a, &denied[i]), 403);
        assert_int_equal(client_bind(&f->a, 0x4000, &denied[i]), 403);
        none_passes(f, &denied[i], "refused permission");
    }
}

/* Occurrences of a word in the sources of relay/. */
static unsigned count_in_relay(const char *word)
{
    char path[1024];
    const char *root = getenv("TURNPIKE_SOURCE_ROOT");
    assert_non_null(root);
    snprintf(path, sizeof(path), "%s/relay", root);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    unsigned count = 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        const size_t len = strlen(e->d_name);
        if (len < 3 || strcmp(e->d_name + len - 2, ".c") != 0)
            continue;
        snprintf(path, sizeof(path), "%s/relay/%s", root, e->d_name);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        char line[512];
        while (fgets(line, sizeof(line), file))
            count += strstr(line, word) != NULL;
        fclose(file);
    }
    closedir(dir);
    return count;
}

static void test_there_is_one_egress(void **state)
{
    assert_int_equal(count_in_relay("= OUTBOX_TO_PEER"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_no_path_passes_without_a_permission),
        SCENARIO(test_no_path_passes_against_the_policy),
        SCENARIO(test_no_path_passes_to_a_dead_port_of_ours),
        SCENARIO(test_no_permission_is_made_against_the_policy),
        SCENARIO(test_there_is_one_egress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Two clients of one relay reach each other through their relayed addresses, wherever the relay
 * runs; but only ports that are live, at the send and at the receipt (THREATS row 1). Also behind
 * 1:1 NAT, where both sides must see public addresses only.
 */
#include "tests/scenario/fixture.h"

/* Alice and bob have allocations and permissions for each other. */
static void meet(struct fixture *f)
{
    f->a_relayed = fixture_allocate(&f->a);
    f->b_relayed = fixture_allocate(&f->b);
    assert_int_equal(client_permit(&f->a, &f->b_relayed), 200);
    assert_int_equal(client_permit(&f->b, &f->a_relayed), 200);
}

static void passes_both_ways(struct fixture *f)
{
    struct received m;
    client_indicate(&f->a, &f->b_relayed, "to bob", 6);
    assert_true(client_receive(&f->b, &m));
    assert_true(slice_equal(m.data, slice_of_string("to bob")));
    assert_true(addr_equal(&m.peer, &f->a_relayed));
    client_indicate(&f->b, &f->a_relayed, "to alice", 8);
    assert_true(client_receive(&f->a, &m));
    assert_true(slice_equal(m.data, slice_of_string("to alice")));
    assert_true(addr_equal(&m.peer, &f->b_relayed));
}

static void over_channels_too(struct fixture *f)
{
    struct received m;
    assert_int_equal(client_bind(&f->a, 0x4001, &f->b_relayed), 200);
    assert_int_equal(client_bind(&f->b, 0x4002, &f->a_relayed), 200);
    client_channel_data(&f->a, 0x4001, "to bob", 6);
    assert_true(client_receive(&f->b, &m));
    assert_true(m.channel && m.number == 0x4002);
    client_channel_data(&f->b, 0x4002, "to alice", 8);
    assert_true(client_receive(&f->a, &m));
    assert_true(m.channel && m.number == 0x4001);
}

static void test_hairpin_passes_both_ways(void **state)
{
    struct fixture *f = *state;
    meet(f);
    passes_both_ways(f);
    over_channels_too(f);
}

static void test_hairpin_passes_between_workers(void **state)
{
    struct fixture *f = *state;
    f->settings.workers = 2;
    fixture_restart(f);
    assert_int_not_equal(f->a.worker, f->b.worker);
    meet(f);
    passes_both_ways(f);
    over_channels_too(f);
}

static void test_hairpin_needs_the_permission_of_both(void **state)
{
    struct fixture *f = *state;
    struct received m;
    f->a_relayed = fixture_allocate(&f->a);
    f->b_relayed = fixture_allocate(&f->b);
    client_indicate(&f->a, &f->b_relayed, "x", 1);
    assert_false(client_receive(&f->b, &m));
    assert_int_equal(client_permit(&f->a, &f->b_relayed), 200);
    client_indicate(&f->a, &f->b_relayed, "x", 1);
    assert_false(client_receive(&f->b, &m));
    assert_int_equal(world_dropped(f->w, REASON_NO_PERMISSION), 2);
}

static void test_hairpin_to_a_port_that_is_not_live_is_dropped(void **state)
{
    struct fixture *f = *state;
    meet(f);
    struct addr dead = f->b_relayed;
    for (dead.port = 1; dead.port < 60000; dead.port = (uint16_t)(dead.port + 997)) {
        if (dead.port == f->b_relayed.port || dead.port == f->a_relayed.port)
            continue;
        client_indicate(&f->a, &dead, "x", 1);
        assert_null(world_take_to_peer(f->w));
    }
    assert_true(world_dropped(f->w, REASON_PEER_PORT_NOT_LIVE) > 50);
}

static void test_hairpin_ends_with_the_other_allocation(void **state)
{
    struct fixture *f = *state;
    meet(f);
    passes_both_ways(f);
    over_channels_too(f);
    assert_int_equal(client_refresh(&f->b, 0, NULL), 200);
    world_clear(f->w);
    client_indicate(&f->a, &f->b_relayed, "x", 1);
    client_channel_data(&f->a, 0x4001, "x", 1);
    assert_null(world_take_to_peer(f->w));
    assert_int_equal(world_dropped(f->w, REASON_PEER_PORT_NOT_LIVE), 2);
    /* What still comes from there, by whoever has the port now, is not let in either. */
    struct received m;
    world_from_peer(f->w, &f->b_relayed, &f->a_relayed, slice_of_string("x"), 0);
    assert_false(client_receive(&f->a, &m));
    assert_int_equal(world_dropped(f->w, REASON_PEER_PORT_NOT_LIVE), 3);
}

static void test_hairpin_to_a_reserved_port_is_dropped_until_it_is_claimed(void **state)
{
    struct fixture *f = *state;
    struct response r;
    f->a_relayed = fixture_allocate(&f->a);
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    struct addr reserved = r.relayed[0];
    reserved.port++;
    assert_int_equal(client_permit(&f->a, &reserved), 200);
    assert_false(fixture_to_peer(&f->a, &reserved, "no"));
    assert_int_equal(world_dropped(f->w, REASON_PEER_PORT_NOT_LIVE), 1);
    struct client second;
    client_init(&second, f->w, 9);
    client_set_user(&second, "bob", "builder");
    assert_int_equal(CLIENT_ASK(&second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(r.token)), 200);
    assert_true(fixture_to_peer(&f->a, &reserved, "yes"));
}

static void test_hairpin_to_the_servers_own_listener_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &f->w->server_ipv4), 403);
    assert_int_equal(client_bind(&f->a, 0x4000, &f->w->server_ipv4), 403);
}

static void test_hairpin_to_itself_comes_back_once(void **state)
{
    struct fixture *f = *state;
    struct received m;
    f->a_relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &f->a_relayed), 200);
    client_indicate(&f->a, &f->a_relayed, "echo", 4);
    assert_true(client_receive(&f->a, &m));
    assert_true(addr_equal(&m.peer, &f->a_relayed));
    assert_false(client_receive(&f->a, &m));
}

static void test_hairpin_of_ipv6_passes_both_ways(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_FAMILY6), 200);
    f->a_relayed = r.relayed[0];
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_FAMILY6), 200);
    f->b_relayed = r.relayed[0];
    assert_int_equal(client_permit(&f->a, &f->b_relayed), 200);
    assert_int_equal(client_permit(&f->b, &f->a_relayed), 200);
    passes_both_ways(f);
    over_channels_too(f);
}

static void behind_nat(struct fixture *f, unsigned workers)
{
    f->settings.relay.addresses[0].local = addr_ipv4(10, 0, 0, 20, 0);
    f->settings.workers = workers;
    fixture_restart(f);
}

static void test_nat_clients_are_told_the_public_address(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    behind_nat(f, 1);
    f->a_relayed = fixture_allocate(&f->a);
    assert_true(addr_equal_ip(&f->a_relayed, &f->settings.relay.addresses[0].public));
    const struct fake_socket *s = fake_sockets_at(&f->w->sockets, &f->a_relayed);
    assert_non_null(s);
    assert_true(addr_equal_ip(&s->local, &f->settings.relay.addresses[0].local));
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_true(fixture_to_peer(&f->a, &peer, "out"));
    assert_true(fixture_from_peer(&f->a, &peer, &f->a_relayed, "in"));
}

static void test_nat_two_clients_see_public_addresses_only(void **state)
{
    struct fixture *f = *state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        behind_nat(f, workers);
        meet(f);
        client_indicate(&f->a, &f->b_relayed, "x", 1);
        const struct sent *s = world_take_to_peer(f->w);
        assert_non_null(s);
        struct addr local = f->settings.relay.addresses[0].local;
        local.port = f->b_relayed.port;
        assert_true(addr_equal(&s->to, &local));
        assert_true(addr_equal_ip(&s->from, &local));
        world_clear(f->w);
        passes_both_ways(f);
        over_channels_too(f);
    }
}

static void test_nat_private_address_names_the_same_peer(void **state)
{
    /* "the private becomes public on receipt, before permissions and XOR-PEER-ADDRESS are looked
     * at" */
    struct fixture *f = *state;
    behind_nat(f, 1);
    f->a_relayed = fixture_allocate(&f->a);
    f->b_relayed = fixture_allocate(&f->b);
    struct addr private_b = f->settings.relay.addresses[0].local;
    private_b.port = f->b_relayed.port;
    assert_int_equal(client_permit(&f->a, &private_b), 200);
    assert_int_equal(client_permit(&f->b, &f->a_relayed), 200);
    struct received m;
    client_indicate(&f->a, &private_b, "x", 1);
    assert_true(client_receive(&f->b, &m));
    assert_true(addr_equal(&m.peer, &f->a_relayed));
    /* One peer has one channel, by whichever name. */
    assert_int_equal(client_bind(&f->a, 0x4000, &private_b), 200);
    assert_int_equal(client_bind(&f->a, 0x4001, &f->b_relayed), 400);
    assert_int_equal(client_bind(&f->a, 0x4000, &f->b_relayed), 200);
}

static void test_nat_icmp_names_the_public_address(void **state)
{
    struct fixture *f = *state;
    struct received m;
    behind_nat(f, 1);
    meet(f);
    struct addr local = f->settings.relay.addresses[0].local;
    local.port = f->b_relayed.port;
    assert_true(world_icmp(f->w, &f->a_relayed, &local, (const uint8_t[]){3, 3}, 0));
    assert_true(client_receive(&f->a, &m));
    assert_true(m.icmp);
    assert_true(addr_equal(&m.peer, &f->b_relayed));
}

static void test_nat_other_private_addresses_stay_denied(void **state)
{
    struct fixture *f = *state;
    behind_nat(f, 1);
    fixture_allocate(&f->a);
    struct addr neighbour = addr_ipv4(10, 0, 0, 21, 5000);
    assert_int_equal(client_permit(&f->a, &neighbour), 403);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_hairpin_passes_both_ways),
        SCENARIO(test_hairpin_passes_between_workers),
        SCENARIO(test_hairpin_needs_the_permission_of_both),
        SCENARIO(test_hairpin_to_a_port_that_is_not_live_is_dropped),
        SCENARIO(test_hairpin_ends_with_the_other_allocation),
        SCENARIO(test_hairpin_to_a_reserved_port_is_dropped_until_it_is_claimed),
        SCENARIO(test_hairpin_to_the_servers_own_listener_is_refused),
        SCENARIO(test_hairpin_to_itself_comes_back_once),
        SCENARIO(test_hairpin_of_ipv6_passes_both_ways),
        SCENARIO(test_nat_clients_are_told_the_public_address),
        SCENARIO(test_nat_two_clients_see_public_addresses_only),
        SCENARIO(test_nat_private_address_names_the_same_peer),
        SCENARIO(test_nat_icmp_names_the_public_address),
        SCENARIO(test_nat_other_private_addresses_stay_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

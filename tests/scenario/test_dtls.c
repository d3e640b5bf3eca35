/*
 * What the relay does otherwise for a client over DTLS (RFC 7350), and what it tells net/ before
 * there is a message: who is never answered, and whose budget is used up.
 */
#include "tests/scenario/fixture.h"

static const struct sent *send_over(
    struct fixture *f, enum transport transport, const uint8_t *bytes, size_t len)
{
    const struct world_datagram d = {.worker = f->a.worker,
        .realm = f->a.realm_id,
        .flow = {.transport = (uint8_t)transport,
            .local = f->a.server,
            .remote = f->a.addr,
            .connection = transport == TRANSPORT_DTLS ? 77 : 0},
        .bytes = slice_of(bytes, len)};
    world_from_client(f->w, &d);
    return world_take_to_client(f->w, &f->a.addr);
}

static void assert_is_error_500(const struct sent *s, const uint8_t *request)
{
    assert_non_null(s);
    assert_int_equal(s->len, 28);
    assert_int_equal(s->bytes[0] << 8 | s->bytes[1], 0x0110 | request[1]);
    assert_memory_equal(s->bytes + 4, request + 4, 16);
    assert_memory_equal(s->bytes + 20, "\x00\x09\x00\x04\x00\x00\x05\x00", 8);
}

static void test_dtls_request_without_cookie_is_500(void **state)
{
    struct fixture *f = *state;
    const uint8_t methods[] = {STUN_BINDING, STUN_ALLOCATE, STUN_REFRESH};
    for (unsigned i = 0; i < sizeof(methods); i++) {
        const uint8_t request[20] = {0, methods[i], 0, 0, 1, 2, 3, 4, 5, 6, (uint8_t)i};
        assert_is_error_500(send_over(f, TRANSPORT_DTLS, request, sizeof(request)), request);
        assert_int_equal(world_refused(f->w, REASON_STUN_NO_COOKIE), i + 1);
    }
    assert_int_equal(world_dropped(f->w, REASON_STUN_NO_COOKIE), 0);
}

/* "silently" is not said of indications, but there is nothing to answer one with. */
static void test_dtls_indication_without_cookie_is_dropped(void **state)
{
    struct fixture *f = *state;
    const uint8_t methods[] = {0x11, 0x16};
    for (unsigned i = 0; i < sizeof(methods); i++) {
        const uint8_t indication[20] = {0, methods[i], 0, 0, 1, 2, 3, 4};
        assert_null(send_over(f, TRANSPORT_DTLS, indication, sizeof(indication)));
        assert_int_equal(world_dropped(f->w, REASON_STUN_NO_COOKIE), i + 1);
    }
}

static void test_dtls_unknown_method_without_cookie_is_dropped(void **state)
{
    struct fixture *f = *state;
    const uint8_t request[20] = {0, 0x0e, 0, 0, 1, 2, 3, 4};
    assert_null(send_over(f, TRANSPORT_DTLS, request, sizeof(request)));
    assert_int_equal(world_dropped(f->w, REASON_STUN_UNKNOWN_METHOD), 1);
}

static void test_udp_request_without_cookie_is_no_error(void **state)
{
    struct fixture *f = *state;
    const uint8_t binding[20] = {0, STUN_BINDING, 0, 0, 1, 2, 3, 4};
    const uint8_t allocate[20] = {0, STUN_ALLOCATE, 0, 0, 1, 2, 3, 4};
    const struct sent *s = send_over(f, TRANSPORT_UDP, binding, sizeof(binding));
    assert_non_null(s);
    assert_memory_equal(s->bytes, "\x01\x01", 2);
    assert_null(send_over(f, TRANSPORT_UDP, allocate, sizeof(allocate)));
}

static void test_dtls_client_is_answered_beyond_any_budget(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.unauthenticated_per_address =
        (struct rate){.count = 1, .period_s = 1, .burst = 1};
    fixture_restart(f);
    struct request q;
    for (unsigned i = 0; i < 5; i++) {
        request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
        request_close(&q);
        assert_non_null(send_over(f, TRANSPORT_DTLS, q.bytes, q.len));
    }
    assert_int_equal(world_dropped(f->w, REASON_ANSWER_BUDGET), 0);
}

static void test_dtls_hello_takes_from_the_budget_of_challenges(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.unauthenticated_per_address =
        (struct rate){.count = 3, .period_s = 1, .burst = 3};
    fixture_restart(f);
    struct relay *relay = f->w->worker[0].relay;
    for (unsigned i = 0; i < 3; i++) {
        f->a.addr.port++;
        assert_true(relay_charge_answer(relay, &f->a.addr, &f->w->now));
    }
    assert_false(relay_charge_answer(relay, &f->a.addr, &f->w->now));
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_close(&q);
    assert_int_equal(client_send(&f->a, &q, NULL), 0);
    assert_int_equal(world_dropped(f->w, REASON_ANSWER_BUDGET), 1);
    assert_true(relay_charge_answer(relay, &f->b.addr, &f->w->now));
}

/* Nobody who forges an address empties what its owner begins handshakes with. */
static void test_dtls_handshakes_have_a_budget_apart_from_answers(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.unauthenticated_per_address =
        (struct rate){.count = 3, .period_s = 1, .burst = 3};
    fixture_restart(f);
    struct relay *relay = f->w->worker[0].relay;
    while (relay_charge_answer(relay, &f->a.addr, &f->w->now)) {
    }
    for (unsigned i = 0; i < 3; i++) {
        f->a.addr.port++;
        assert_true(relay_charge_handshake(relay, &f->a.addr, &f->w->now));
    }
    assert_false(relay_charge_handshake(relay, &f->a.addr, &f->w->now));
    assert_true(relay_charge_handshake(relay, &f->b.addr, &f->w->now));
}

/* Each prefix keeps to its own budget, and all of them together have more signed than there is time
 * for. */
static void test_handshakes_of_all_prefixes_have_a_budget_together(void **state)
{
    struct fixture *f = *state;
    const struct rate each = {.count = 3, .period_s = 1, .burst = 3};
    f->settings.limits.unauthenticated_per_address = each;
    f->settings.limits.handshakes_per_instance =
        (struct rate){.count = 50, .period_s = 1, .burst = 50};
    fixture_restart(f);
    struct relay *relay = f->w->worker[0].relay;
    unsigned begun = 0;
    for (unsigned i = 0; i < 1000; i++) {
        const struct addr source = addr_ipv4(93, (uint8_t)(i >> 8), (uint8_t)i, 1, 5000);
        begun += relay_charge_handshake(relay, &source, &f->w->now);
    }
    assert_int_equal(begun, 50);
    world_advance_ms(f->w, 100);
    for (begun = 0; relay_charge_handshake(relay, &f->a.addr, &f->w->now); begun++) {
    }
    assert_int_equal(begun, 3); /* of the five that have come back */
    assert_true(relay_charge_answer(relay, &f->a.addr, &f->w->now));
}

static void test_dtls_hello_of_our_own_is_never_answered(void **state)
{
    struct fixture *f = *state;
    const struct relay *relay = f->w->worker[0].relay;
    struct flow flow = {.local = f->a.server, .remote = f->a.addr};
    assert_int_equal(relay_judge_source(relay, &flow), REASON_NONE);
    flow.remote = fixture_allocate(&f->a);
    assert_int_equal(relay_judge_source(relay, &flow), REASON_SOURCE_IS_OURS);
    flow.remote = f->a.server;
    assert_int_equal(relay_judge_source(relay, &flow), REASON_SOURCE_IS_OURS);
    flow.remote = f->a.addr;
    flow.remote.port = 0;
    assert_int_equal(relay_judge_source(relay, &flow), REASON_SOURCE_PORT_ZERO);
    flow.remote = addr_ipv4(224, 0, 0, 1, 5000);
    assert_int_equal(relay_judge_source(relay, &flow), REASON_SOURCE_NOT_UNICAST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_dtls_request_without_cookie_is_500),
        SCENARIO(test_dtls_indication_without_cookie_is_dropped),
        SCENARIO(test_dtls_unknown_method_without_cookie_is_dropped),
        SCENARIO(test_udp_request_without_cookie_is_no_error),
        SCENARIO(test_dtls_client_is_answered_beyond_any_budget),
        SCENARIO(test_dtls_hello_takes_from_the_budget_of_challenges),
        SCENARIO(test_dtls_handshakes_have_a_budget_apart_from_answers),
        SCENARIO(test_handshakes_of_all_prefixes_have_a_budget_together),
        SCENARIO(test_dtls_hello_of_our_own_is_never_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

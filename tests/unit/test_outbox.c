/* relay/outbox: order, flushing when full, the arena. */
#include "relay/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct sink {
    unsigned flushes, entries;
    uint64_t last_socket;
    bool in_order;
};

static void sink_send(void *ctx, struct outbox *o)
{
    struct sink *s = ctx;
    s->flushes++;
    for (unsigned i = 0; i < o->count; i++) {
        s->in_order = s->in_order && o->entries[i].socket == s->last_socket + 1;
        s->last_socket = o->entries[i].socket;
        s->entries++;
    }
}

static struct outbox *new_outbox(struct sink *s)
{
    *s = (struct sink){.in_order = true};
    struct outbox *o = malloc(sizeof(*o));
    assert_non_null(o);
    outbox_init(o, sink_send, s);
    return o;
}

static void test_outbox_flush_of_nothing_sends_nothing(void **state)
{
    struct sink s;
    struct outbox *o = new_outbox(&s);
    outbox_flush(o);
    assert_int_equal(s.flushes, 0);
    free(o);
}

static void test_outbox_full_flushes_and_keeps_order(void **state)
{
    struct sink s;
    struct outbox *o = new_outbox(&s);
    for (unsigned i = 1; i <= 3 * OUTBOX_ENTRIES + 5; i++) {
        outbox_append(o)->socket = i;
    }
    assert_int_equal(s.flushes, 3);
    outbox_flush(o);
    assert_int_equal(s.entries, 3 * OUTBOX_ENTRIES + 5);
    assert_true(s.in_order);
    free(o);
}

static void test_outbox_append_gives_a_clean_entry(void **state)
{
    struct sink s;
    struct outbox *o = new_outbox(&s);
    struct outbox_entry *e = outbox_append(o);
    memset(e, 0xff, sizeof(*e));
    outbox_flush(o);
    e = outbox_append(o);
    assert_false(e->media);
    assert_false(e->dont_fragment);
    assert_int_equal(e->tos, 0);
    assert_int_equal(e->header_len, 0);
    assert_int_equal(e->padding, 0);
    assert_int_equal(e->head.len, 0);
    assert_int_equal(e->body.len, 0);
    free(o);
}

static void test_outbox_reserve_when_the_arena_is_full_flushes_first(void **state)
{
    struct sink s;
    struct outbox *o = new_outbox(&s);
    for (unsigned i = 1; i <= OUTBOX_ARENA / 8192; i++) {
        uint8_t *room = outbox_reserve(o, 8192);
        memset(room, (int)i, 8192);
        struct outbox_entry *e = outbox_append(o);
        e->socket = i;
        e->head = slice_of(room, 8192);
    }
    assert_int_equal(s.flushes, 0);
    assert_int_equal(o->entries[0].head.data[8191], 1);
    uint8_t *room = outbox_reserve(o, 8);
    assert_int_equal(s.flushes, 1);
    assert_ptr_equal(room, o->arena);
    free(o);
}

static void test_outbox_reserve_then_append_never_flushes_in_between(void **state)
{
    struct sink s;
    struct outbox *o = new_outbox(&s);
    for (unsigned i = 1; i <= OUTBOX_ENTRIES; i++) {
        outbox_append(o)->socket = i;
    }
    outbox_reserve(o, 16);
    assert_int_equal(s.flushes, 1);
    outbox_append(o);
    assert_int_equal(s.flushes, 1);
    free(o);
}

static void test_outbox_trim_gives_back_what_was_not_used(void **state)
{
    struct sink s;
    struct outbox *o = new_outbox(&s);
    uint8_t *room = outbox_reserve(o, 8192);
    outbox_trim(o, room, 20);
    assert_int_equal(o->arena_used, 24);
    outbox_trim(o, room, 0);
    assert_int_equal(o->arena_used, 0);
    free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outbox_flush_of_nothing_sends_nothing),
        cmocka_unit_test(test_outbox_full_flushes_and_keeps_order),
        cmocka_unit_test(test_outbox_append_gives_a_clean_entry),
        cmocka_unit_test(test_outbox_reserve_when_the_arena_is_full_flushes_first),
        cmocka_unit_test(test_outbox_reserve_then_append_never_flushes_in_between),
        cmocka_unit_test(test_outbox_trim_gives_back_what_was_not_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Every first byte, against the table of RFC 7983 section 7. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "wire/demux.h"

static void test_demux_every_first_byte_is_classified(void **state)
{
    static const struct {
        unsigned first, last;
        enum demux_kind kind;
    } table[] = {
        {0, 3, DEMUX_STUN},
        {4, 15, DEMUX_OTHER},
        {16, 19, DEMUX_ZRTP},
        {20, 63, DEMUX_DTLS},
        {64, 79, DEMUX_CHANNEL},
        {80, 127, DEMUX_OTHER},
        {128, 191, DEMUX_RTP},
        {192, 255, DEMUX_OTHER},
    };
    unsigned seen = 0;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        for (unsigned byte = table[i].first; byte <= table[i].last; byte++, seen++) {
            const uint8_t datagram[] = {(uint8_t)byte, 0xff};
            assert_int_equal(demux(slice_of(datagram, 1)), table[i].kind);
            assert_int_equal(demux(slice_of(datagram, 2)), table[i].kind);
        }
    }
    assert_int_equal(seen, 256);
}

static void test_demux_no_byte_is_empty(void **state)
{
    const uint8_t byte = 0x40;
    assert_int_equal(demux(slice_of(&byte, 0)), DEMUX_EMPTY);
    assert_int_equal(demux(slice_of(NULL, 0)), DEMUX_EMPTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demux_every_first_byte_is_classified),
        cmocka_unit_test(test_demux_no_byte_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

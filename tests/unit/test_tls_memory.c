/* Established sessions go on where malloc has nothing; malloc and the time when spare memory may be
 * used are wrapped. */
#include "tls/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tls/client.h"
#include "tests/tls/dtls_server.h"
#include "tls/certificate.h"
#include <openssl/x509v3.h>

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void __real_tls_memory_begin(void);
void __wrap_tls_memory_begin(void);
void __real_tls_memory_end(void);
void __wrap_tls_memory_end(void);

static unsigned fails_next;               /* of OpenSSL's allocations; 0: none */
static bool out_of_memory, within, asked; /* asked: by OpenSSL */
static unsigned refused;

void *__wrap_malloc(size_t size)
{
    if (out_of_memory && within && asked) {
        refused++;
        return NULL;
    }
    return __real_malloc(size);
}

void __wrap_tls_memory_begin(void)
{
    within = true;
    __real_tls_memory_begin();
}

void __wrap_tls_memory_end(void)
{
    within = false;
    __real_tls_memory_end();
}

static void *on_malloc(size_t size, const char *file, int line)
{
    if (fails_next > 0 && --fails_next == 0) {
        refused++;
        return NULL;
    }
    asked = true;
    void *at = tls_memory_take(size);
    asked = false;
    return at;
}

static void *on_realloc(void *old, size_t size, const char *file, int line)
{
    return tls_memory_resize(old, size);
}

static void on_free(void *old, const char *file, int line)
{
    tls_memory_give_back(old);
}

static int begin(void **state)
{
    refused = 0;
    return 0;
}

static int end(void **state)
{
    out_of_memory = within = asked = false;
    return 0;
}

static void test_tls_memory_streams_outlive_a_want_of_it(void **state)
{
    const struct tls_stream_options options = {.context = context};
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct test_pair pair;
        SSL_CTX *ctx = test_client_ctx(version, version);
        test_pair_init(&pair, ctx, &options);
        assert_true(test_pair_handshake(&pair));
        out_of_memory = true;
        for (unsigned i = 0; i < 100; i++) {
            assert_true(test_pair_say(&pair, "from the client"));
            assert_int_equal(tls_stream_write(pair.server, slice_of_string("from the server")), 0);
            assert_string_equal(test_pair_hear(&pair), "from the server");
        }
        out_of_memory = false;
        assert_true(refused > 100);
        test_pair_deinit(&pair);
        SSL_CTX_free(ctx);
    }
}

static void test_tls_memory_dtls_sessions_outlive_a_want_of_it(void **state)
{
    static struct test_dtls t;
    uint8_t heard[16];
    test_dtls_init(&t, client_ctx, context);
    assert_true(test_dtls_handshake(&t));
    out_of_memory = true;
    for (unsigned i = 0; i < 100; i++) {
        assert_true(test_dtls_say(&t, slice_of_string("from the client")));
        assert_int_equal(dtls_session_write(t.session, slice_of_string("yes")), 0);
        assert_int_equal(test_dtls_hear(&t, heard, sizeof(heard)), 3);
    }
    out_of_memory = false;
    assert_true(refused > 100);
    test_dtls_deinit(&t);
}

/* The hello with a cookie makes the session: each of its allocations may fail. */
static void test_tls_memory_dtls_hello_survives_the_want_of_any_piece(void **state)
{
    unsigned n = 0;
    do {
        static struct test_dtls t;
        test_dtls_init(&t, client_ctx, context);
        for (unsigned i = 0; i < 2; i++) {
            SSL_do_handshake(t.client);
            struct test_datagram hello = test_queue_take(&t.to_server, 0);
            refused = 0;
            fails_next = i == 1 ? ++n : 0;
            test_dtls_deliver(&t, slice_of(hello.data, hello.len));
            fails_next = 0;
            free(hello.data);
        }
        assert_true(refused > 0 || t.hello == DTLS_HELLO_ACCEPTED);
        test_dtls_deinit(&t);
    } while (refused > 0);
    assert_true(n > 20);
}

/* A certificate that is taken can be shown: what OpenSSL remembers of it is whole. */
static void test_tls_memory_certificate_is_read_whole_or_refused(void **state)
{
    char text[256];
    const struct tls_report report = {text, sizeof(text)};
    unsigned n = 0, taken = 0, turned_down = 0;
    do {
        struct tls_certificate c;
        refused = 0;
        fails_next = ++n;
        const int r = tls_certificate_read(&c, &server.certificates[0], &report);
        fails_next = 0;
        turned_down += r < 0;
        if (r < 0)
            continue;
        taken++;
        assert_int_equal(X509_check_purpose(c.leaf, -1, 0), 1);
        for (int i = 0; i < sk_X509_num(c.chain); i++)
            assert_int_equal(X509_check_purpose(sk_X509_value(c.chain, i), -1, 0), 1);
        tls_certificate_deinit(&c);
    } while (refused > 0);
    assert_true(taken > 0 && turned_down > 20);
}

static void test_tls_memory_spare_is_bounded_and_comes_back(void **state)
{
    uint8_t *taken[64];
    for (unsigned turn = 0; turn < 2; turn++) {
        size_t count = 0;
        while ((taken[count] = tls_memory_take_spare(17000)))
            memset(taken[count++], 0x5a, 17000);
        assert_in_range(count, 4, 16);
        while (count > 0)
            tls_memory_give_back(taken[--count]);
    }
    assert_null(tls_memory_take_spare(1 << 20));
}

static void test_tls_memory_spare_grows_into_what_is_larger(void **state)
{
    char *at = tls_memory_take_spare(100);
    assert_non_null(at);
    memset(at, 'x', 100);
    assert_ptr_equal(tls_memory_resize(at, 200), at);
    char *larger = tls_memory_resize(at, 5000);
    assert_ptr_not_equal(larger, at);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(larger[i], 'x');
    assert_ptr_equal(tls_memory_take_spare(100), at); /* it was given back */
    tls_memory_give_back(at);
    tls_memory_give_back(larger);
}

static void test_tls_memory_spare_is_not_for_everybody(void **state)
{
    out_of_memory = within = asked = true;
    assert_null(tls_memory_take(100));
    tls_memory_begin();
    void *at = tls_memory_take(100);
    assert_non_null(at);
    tls_memory_end();
    tls_memory_give_back(at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tls_memory_streams_outlive_a_want_of_it, begin, end),
        cmocka_unit_test_setup_teardown(
            test_tls_memory_dtls_sessions_outlive_a_want_of_it, begin, end),
        cmocka_unit_test_setup_teardown(
            test_tls_memory_dtls_hello_survives_the_want_of_any_piece, begin, end),
        cmocka_unit_test_setup_teardown(
            test_tls_memory_certificate_is_read_whole_or_refused, begin, end),
        cmocka_unit_test_setup_teardown(
            test_tls_memory_spare_is_bounded_and_comes_back, begin, end),
        cmocka_unit_test_setup_teardown(
            test_tls_memory_spare_grows_into_what_is_larger, begin, end),
        cmocka_unit_test_setup_teardown(test_tls_memory_spare_is_not_for_everybody, begin, end),
    };
    if (!CRYPTO_set_mem_functions(on_malloc, on_realloc, on_free))
        return EXIT_FAILURE;
    return cmocka_run_group_tests(tests, dtls_server_set_up, dtls_server_tear_down);
}

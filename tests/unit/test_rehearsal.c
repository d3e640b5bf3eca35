/* A context is not had unless clients can complete a handshake with each of its certificates: here
 * the host's own configuration of OpenSSL lets nobody sign as these keys do. */
#include "tls/rehearsal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/conf.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tls/server.h"
#include "tls/context_internal.h"

static const char host_configuration[] = "openssl_conf = all\n"
                                         "[all]\nssl_conf = ssl\n"
                                         "[ssl]\nsystem_default = everybody\n"
                                         "[everybody]\nSignatureAlgorithms = ed448\n";

static void test_rehearsal_of_each_certificate_succeeds(void **state)
{
    struct test_server *server = *state;
    struct tls_context *c = test_server_context(server, TEST_SECRET);
    assert_true(c->certificate_count > 0);
    for (size_t i = 0; i < c->certificate_count; i++) {
        assert_true(tls_rehearse(c->tls, &c->certificates[i]));
        assert_int_equal(ERR_peek_error(), 0);
    }
    tls_context_release(c);
}

/* The last one: the host's configuration stays. */
static void test_rehearsal_that_fails_refuses_the_context(void **state)
{
    struct test_server *server = *state;
    struct tls_context *made = NULL;
    char error[512] = "", begins[300];
    struct tls_context *before = test_server_context(server, TEST_SECRET);
    assert_true(
        CONF_modules_load_file(
            test_write_text(server->folder, "openssl.cnf", host_configuration), NULL, 0) == 1);
    assert_int_equal(tls_context_new(&made, &server->settings, slice_of_string(TEST_SECRET), error,
                         sizeof(error)),
        -EINVAL);
    assert_null(made);
    snprintf(begins, sizeof(begins),
        "tls.cert %s: no client can complete a handshake with it: ", server->certificates[0].cert);
    assert_memory_equal(error, begins, strlen(begins));
    assert_int_equal(ERR_peek_error(), 0);
    tls_context_release(before);
}

static int set_up(void **state)
{
    static struct test_server server;
    test_server_init(&server);
    *state = &server;
    return 0;
}

static int tear_down(void **state)
{
    test_server_deinit(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rehearsal_of_each_certificate_succeeds),
        cmocka_unit_test(test_rehearsal_that_fails_refuses_the_context),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

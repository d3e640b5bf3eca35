/*
 * THREATS row 25: what a client asks over TLS carries the token and passwords. None of it stays in
 * what is freed: neither by our code nor by OpenSSL, which is given its memory here.
 */
#include <malloc.h>
#include <openssl/crypto.h>

#include "tests/unit/admin_tls.h"

#define CANARY "canary-of-a-password"
#define BODY   "{\"user\":\"a\",\"password\":\"" CANARY "\"}"

static unsigned frees, dirty;

void __real_free(void *p);
void __wrap_free(void *p);

void __wrap_free(void *p)
{
    frees++;
    dirty += p && memmem(p, malloc_usable_size(p), CANARY, strlen(CANARY)) != NULL;
    __real_free(p);
}

static void *openssl_malloc(size_t len, const char *file, int line)
{
    return malloc(len);
}

static void *openssl_realloc(void *p, size_t len, const char *file, int line)
{
    return realloc(p, len);
}

static void openssl_free(void *p, const char *file, int line)
{
    free(p);
}

static void threat_25_requests_over_tls_leave_no_secret_behind(void **state)
{
    struct fixture *f = *state;
    char request[512];
    snprintf(request, sizeof(request),
        "POST /api/v1/explain HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " TOKEN "\r\n"
        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n" BODY,
        strlen(BODY));
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        frees = dirty = 0;
        assert_starts(ask_tls(f, version, NULL, request), "HTTP/1.1 200 ");
        for (int i = 0; i < 5; i++)
            run(f);
        assert_true(frees > 10);
        assert_int_equal(dirty, 0);
    }
    assert_int_equal(f->explains, 2);
}

int main(void)
{
    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
        return 1;
    const struct CMUnitTest tests[] = {
        OVER_TLS(threat_25_requests_over_tls_leave_no_secret_behind),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}

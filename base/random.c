/*
 * The system's random generator behind the interface that tests replace, and numbers without modulo
 * bias. Called by whoever needs tokens, keys, ports or nonces.
 */
#include "base/random.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/rand.h>

static int random_fill_system(void *ctx, void *out, size_t len)
{
    (void)ctx;
    if (len > INT_MAX)
        return -EIO;
    if (len == 0)
        return 0;
    /* What is left in OpenSSL's error queue would be taken for an error of the thread's next TLS
     * call. */
    ERR_set_mark();
    int ok = RAND_bytes(out, (int)len);
    ERR_pop_to_mark();
    return ok == 1 ? 0 : -EIO;
}

const struct random_source *random_system(void)
{
    static const struct random_source source = {random_fill_system, NULL};
    return &source;
}

int random_fill(const struct random_source *r, void *out, size_t len)
{
    return r->fill(r->ctx, out, len);
}

int random_below(const struct random_source *r, uint32_t bound, uint32_t *out)
{
    /* The lowest 2^32 mod bound values are thrown away: what remains divides into equal shares. */
    uint32_t reject = (uint32_t)-bound % bound;
    /* A sound generator is rejected less than every second time: 128 in a row means that it is
     * broken. */
    for (int attempt = 0; attempt < 128; attempt++) {
        uint32_t v = 0;
        if (random_fill(r, &v, sizeof(v)) != 0)
            return -EIO;
        if (v >= reject) {
            *out = v % bound;
            return 0;
        }
    }
    return -EIO;
}

/* Owned secret bytes: every copy made here is wiped before its memory goes back. Called by auth/
 * and config/. */
#include "base/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>

int secret_set(struct secret *out, struct slice bytes)
{
    if (bytes.len == 0) {
        *out = (struct secret){0};
        return 0;
    }
    if (bytes.len == SIZE_MAX)
        return -ENOMEM;
    uint8_t *data = malloc(bytes.len + 1);
    if (!data)
        return -ENOMEM;
    memcpy(data, bytes.data, bytes.len);
    data[bytes.len] = '\0';
    *out = (struct secret){data, bytes.len};
    return 0;
}

void secret_wipe(struct secret *s)
{
    if (s->data) {
        OPENSSL_cleanse(s->data, s->len);
        free(s->data);
    }
    *s = (struct secret){0};
}

struct slice secret_slice(const struct secret *s)
{
    return slice_of(s->data, s->len);
}

bool secret_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.data, b.data, a.len) == 0);
}

void secret_cleanse(void *data, size_t len)
{
    OPENSSL_cleanse(data, len);
}

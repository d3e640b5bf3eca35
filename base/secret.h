/*
 * Bytes that must not leak: wiped at free, never formatted (log_secret prints ***), compared in
 * constant time only.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/slice.h"

struct secret {
    uint8_t *data; /* owned; NULL when empty; followed by a NUL that is not counted */
    size_t len;
};

/* Copies. 0 or -ENOMEM. `out` must be empty ({0}) or already wiped. */
int secret_set(struct secret *out, struct slice bytes);
void secret_wipe(struct secret *s); /* OPENSSL_cleanse, free, back to empty */
struct slice secret_slice(const struct secret *s);
/* Constant time for equal lengths; lengths are not secret. */
bool secret_equal(struct slice a, struct slice b);
/* OPENSSL_cleanse of any memory. */
void secret_cleanse(void *data, size_t len);

#endif

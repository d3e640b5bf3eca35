/* The only source of randomness. Tests hand in a seeded one. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random_source {
    int (*fill)(void *ctx, void *out, size_t len); /* 0, or -EIO when the generator fails */
    void *ctx;
};

/* RAND_bytes of OpenSSL. Any thread. */
const struct random_source *random_system(void);

int random_fill(const struct random_source *r, void *out, size_t len);
/* Uniform in [0, bound), bound > 0, without modulo bias. 0 or -EIO; *out untouched on failure. */
int random_below(const struct random_source *r, uint32_t bound, uint32_t *out);

#endif

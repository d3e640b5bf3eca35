/* A key and a crypto context for tests that sign and verify STUN messages. */
#ifndef TESTS_UNIT_STUN_KEY_H
#define TESTS_UNIT_STUN_KEY_H

#include "tests/unit/stun_raw.h"

static const uint8_t key_bytes[] = "a key of no importance";
static struct crypto *crypto;
static struct slice key;

static inline int stun_key_set_up(void **state)
{
    crypto = crypto_new();
    key = slice_of(key_bytes, sizeof(key_bytes) - 1);
    return crypto == NULL ? -1 : 0;
}

static inline int stun_key_tear_down(void **state)
{
    crypto_free(crypto);
    return 0;
}

#endif

/*
 * Keys that lie elsewhere: users, shared secrets and OAuth keys in coturn's Redis layout. Declared
 * here, implemented by fleet/, faked by tests. Questions and answers are plain values: they cross
 * threads, and who asks does not wait.
 */
#ifndef AUTH_STORE_H
#define AUTH_STORE_H

#include "auth/identity.h"
#include "base/secret.h"
#include <stdlib.h>

enum store_kind {
    STORE_USER = 1, /* name: a user; the answer is a key of MD5 or SHA-256 */
    STORE_OAUTH_KEY /* name: a kid; the answer is a long-term key */
};

#define STORE_NAME_MAX    508 /* bytes, as USERNAME */
#define STORE_SECRETS_MAX 16  /* of one realm */

/* What a request needs; the name is borrowed. */
struct store_need {
    enum store_kind kind;
    uint32_t realm; /* id */
    struct slice name;
};

struct store_question {
    uint8_t kind; /* enum store_kind */
    uint32_t realm;
    uint16_t name_len; /* 1 to STORE_NAME_MAX */
    uint8_t name[STORE_NAME_MAX];
};

enum store_verdict {
    STORE_FOUND,
    STORE_NOT_FOUND,
    STORE_UNREACHABLE /* no answer in time, or one that means nothing */
};

struct store_oauth_key {
    uint8_t key[32], key_len;      /* 32 or 16 */
    uint8_t algorithm;             /* enum auth_oauth_algorithm */
    int64_t not_before, not_after; /* wall clock, s; 0: no bound */
};

/* Holds a key when FOUND: who is done with it wipes it. */
struct store_answer {
    struct store_question question;
    uint8_t verdict; /* enum store_verdict */
    union {
        struct auth_key user; /* len 16: MD5, 32: SHA-256 */
        struct store_oauth_key oauth;
    } u;
};

/* All REST secrets that the store has for a realm. */
struct store_secrets {
    uint32_t realm;
    size_t count; /* 0: none, or no longer any */
    struct secret list[STORE_SECRETS_MAX];
};

/* On the heap, for another thread. NULL: out of memory. */
struct store_secrets *store_secrets_copy(const struct store_secrets *s);

/* Wipes what it holds; the structure itself may lie anywhere. */
static inline void store_secrets_deinit(struct store_secrets *s)
{
    for (size_t i = 0; i < s->count; i++)
        secret_wipe(&s->list[i]);
    s->count = 0;
}

/* The same, and frees a copy. NULL: nothing happens. */
static inline void store_secrets_free(struct store_secrets *s)
{
    if (s)
        store_secrets_deinit(s);
    free(s);
}

/* The answer is borrowed for the call. */
typedef void store_done_fn(void *ctx, const struct store_answer *answer);

/*
 * Control thread. `done` is called exactly once, within 2 s, never from within ask unless memory is
 * out: if it cannot even be asked, with STORE_UNREACHABLE. The same question asked twice at once is
 * asked once.
 */
struct store {
    void *ctx;
    void (*ask)(void *ctx, const struct store_question *question, struct slice realm_name,
        store_done_fn *done, void *done_ctx);
};

#endif

/*
 * Deposits of this instance's own until they end: what allocations that come later ask for, and
 * what replaces what. Bounded; everything in it is wiped when it goes. Control thread.
 */
#ifndef SRTP_KEY_STORE_H
#define SRTP_KEY_STORE_H

#include "srtp/keys.h"

#define KEY_STORE_MAX       65536
#define KEY_STORE_PER_PLACE 64 /* of one allocation or user */

struct key_store;

struct key_store *key_store_new(const uint8_t hash_key[16]); /* NULL: out of memory */
void key_store_free(struct key_store *s);                    /* wipes; NULL is fine */
/* Copies; replaces one of the same binding; one that is past takes back. 0, -ENOSPC, -ENOMEM, or
 * -ESTALE: it has ended, and there was nothing to take back. */
int key_store_put(struct key_store *s, const struct srtp_deposit *d, int64_t now_s);
/* Calls `found` for each that a live allocation may use; borrowed for the call. */
void key_store_find(const struct key_store *s, const struct srtp_wanted *wanted, int64_t now_s,
    void (*found)(void *ctx, const struct srtp_deposit *d), void *ctx);
void key_store_tick(struct key_store *s, int64_t now_s); /* once a second: wipes what has ended */
size_t key_store_count(const struct key_store *s);

#endif

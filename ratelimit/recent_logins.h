/*
 * Who has logged in from where within 24 h, for sparing them what strangers do to their account
 * (THREATS row 19). Shared by all workers: atomics, no lock, fixed size; the oldest of a set is
 * overwritten. A forgotten one is spared nothing, and that is all.
 */
#ifndef RATELIMIT_RECENT_LOGINS_H
#define RATELIMIT_RECENT_LOGINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECENT_LOGIN_S 86400u

struct recent_logins;

/* `entries` is rounded up to a power of two ≥ 1024. NULL: out of memory. */
struct recent_logins *recent_logins_new(size_t entries);
void recent_logins_free(struct recent_logins *t); /* NULL: nothing happens */

/* `who`: a keyed hash of address and account, so that nobody chooses whom theirs meets. `now_s`:
 * monotonic. Any thread. */
void recent_logins_note(struct recent_logins *t, uint64_t who, uint32_t now_s);
bool recent_logins_has(const struct recent_logins *t, uint64_t who, uint32_t now_s);

#endif

/*
 * What runs inside Redis for revocations. Redis executes a script whole, so that what it reads and
 * what it writes belong together. Redis 5 and later.
 *
 * Four keys, of which nothing is ever found with KEYS:
 *
 *   turnpike/revocations/entries    hash: name -> "VERSION UNTIL EXPIRES"
 *   turnpike/revocations/order      sorted set: name by position: where in the row of all changes
 *   turnpike/revocations/expiry     sorted set: name by EXPIRES
 *   turnpike/revocations/clock      hash: born (when this set was begun, µs), last (position)
 *
 * All four go away by themselves an hour after the last entry has expired.
 */
#ifndef FLEET_REDIS_REVOKED_SCRIPTS_H
#define FLEET_REDIS_REVOKED_SCRIPTS_H

#define REDIS_REVOKED_KEYS 4u
extern const char *const redis_revoked_keys[REDIS_REVOKED_KEYS]; /* in the order above */

/*
 * Arguments: how many entries the set may have; how long, in seconds, what was taken back is
 * remembered at least; then for each change NAME, UNTIL, EXPIRES, VERSION, MODE:
 *
 *   new     said just now: newer than everything
 *   late    said earlier, at VERSION; counts if nothing newer has been said
 *   again   was in Redis before, with this VERSION and EXPIRES
 *
 * Nothing changes where the entry that is there is as new. Reply: clock, born, how many found no
 * room (integer), how many were outdated (integer; of `late` only).
 */
#define REDIS_REVOKED_PUT_FIXED 2u
#define REDIS_REVOKED_PUT_EACH  5u
extern const char redis_revoked_put[];

/* Arguments: a position, at most how many entries, after how many bytes to stop. Reply: clock, born
 * ("0": no set), the position reached, whether there is more (integer), and the entries. */
extern const char redis_revoked_poll[];

#endif

/*
 * What runs inside Redis for limits that instances share. Redis executes a script whole, on its own
 * clock. Redis 5 and later: what a script writes after it has asked for the time goes to replicas
 * as the commands that it ran, which Redis 5 and 6 do unless `lua-replicate-commands` is turned
 * off, and Redis 7 always.
 *
 * Keys, S being the low four bits of the name in hexadecimal, so that each call touches keys with
 * one hash tag only:
 *
 *   PREFIX/{limits-S}epoch           "RUNID US": since when this server has been asked
 *   PREFIX/{limits-S}rate/NAME       "TAT COST": a bucket, µs
 *   PREFIX/{limits-S}alive           sorted set: instance by until when it counts as alive, µs
 *   PREFIX/{limits-S}held/NAME       hash: instance -> how many it holds
 *
 * Every one of them goes away by itself. Nothing is ever found with KEYS or SCAN. A key of buckets
 * that holds something else counts as one that is not there, and is written over.
 *
 * All arguments and all elements of a reply are decimal numbers but for RUNID and INSTANCE; times
 * are microseconds below 2^53, which Lua's doubles hold exactly.
 */
#ifndef FLEET_REDIS_LIMITS_SCRIPTS_H
#define FLEET_REDIS_LIMITS_SCRIPTS_H

/*
 * KEYS: epoch, then buckets. ARGV: RUNID, FLOOR, then for each bucket "COUNT COST TAU CAP COLD".
 *
 * An epoch begins where there is none, where another server began it, where it is older than FLOOR
 * (a time before which nothing counts, since the clock was set; 0: none), and where the clock was
 * set back behind it. From then on no bucket is fuller than if it had been empty when the epoch
 * began: what a server that lost its data, or came up with old data, knows of it, is not believed.
 *
 *   tat  = max(tat, epoch + COLD)                       rescaled first, where COST is another
 *   tat  = min(max(tat, now) + COUNT * COST, now + TAU + CAP)
 *   deny = max(0, tat + COST - TAU - now)
 *
 * Reply: now, then deny of each bucket.
 */
extern const char redis_limits_debit[];

/* As debit, as if COUNT were 0, and writes nothing. Reply: now, then tat - now and deny of each. */
extern const char redis_limits_look[];

/*
 * KEYS: alive, then holdings. ARGV: INSTANCE, for how many ms it counts as alive, then how many it
 * holds of each. What those hold that do not count as alive is dropped.
 *
 * Reply: now; 1 if the instance counted as alive before, else 0; then of each what the others hold.
 */
extern const char redis_limits_lease[];

/*
 * KEYS: alive. ARGV as of lease; 0 ms: it leaves. Reply: now; 1 or 0 as of lease; how many count as
 * alive.
 */
extern const char redis_limits_heartbeat[];

#endif

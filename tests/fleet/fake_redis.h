/*
 * Somebody in a server's place, who says what the test wants: on 127.0.0.1, on the loop of the
 * test.
 */
#ifndef TESTS_FLEET_FAKE_REDIS_H
#define TESTS_FLEET_FAKE_REDIS_H

#include <stdint.h>
#include <uv.h>

#include "base/slice.h"

/* The replies to the first flight of a link without password, database and channels. */
#define FAKE_RUN_ID   "0123456789abcdef0123456789abcdef01234567"
#define FAKE_GREETING "+OK\r\n$49\r\n\r\nrun_id:" FAKE_RUN_ID "\r\n+PONG\r\n"

struct fake_redis;

struct fake_redis *fake_redis_new(uv_loop_t *loop);
void fake_redis_free(struct fake_redis *f); /* its memory goes as the loop runs on */
uint16_t fake_redis_port(const struct fake_redis *f);

/* What each connection is told when its first bytes have come; borrowed. Empty: nothing. */
void fake_redis_greet(struct fake_redis *f, struct slice greeting);
/* What it is told whenever more bytes have come; empty: nothing. */
void fake_redis_answer(struct fake_redis *f, struct slice answer);
/* Says it on the newest connection, if that has been greeted. */
void fake_redis_say(struct fake_redis *f, struct slice bytes);
void fake_redis_hang_up(struct fake_redis *f);               /* all connections */
unsigned fake_redis_connections(const struct fake_redis *f); /* so far */
uint64_t fake_redis_heard(const struct fake_redis *f);       /* bytes so far */

#endif

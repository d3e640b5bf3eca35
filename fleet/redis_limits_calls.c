/*
 * One argument holds all numbers of a bucket: 64 of them and their keys stay within the arguments
 * that a script may have. Called by redis_limits.c and by the simulation of tests/scenario/.
 */
#include "fleet/redis_limits_calls.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static_assert(REDIS_LIMITS_ARGV_MAX <= 253, "more arguments than redis_link_script takes");

bool redis_limits_is_prefix(const char *prefix)
{
    const size_t len = strlen(prefix);
    for (size_t i = 0; i < len; i++) {
        if (prefix[i] <= ' ' || prefix[i] > '~' || prefix[i] == '{' || prefix[i] == '}')
            return false;
    }
    return len > 0 && len <= REDIS_LIMITS_PREFIX_MAX;
}

static void begin(struct redis_limits_call *c)
{
    c->argc = c->text_len = 0;
    c->key_count = 0;
}

static void add(struct redis_limits_call *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct redis_limits_call *c, const char *format, ...)
{
    char *text = c->text + c->text_len;
    va_list arguments;
    va_start(arguments, format);
    const int len = vsnprintf(text, sizeof(c->text) - c->text_len, format, arguments);
    va_end(arguments);
    assert(len >= 0 && (size_t)len < sizeof(c->text) - c->text_len);
    c->argv[c->argc++] = slice_of(text, (size_t)len);
    c->text_len += (size_t)len + 1;
}

/* What is made for every key that is reported is not made by printf, which costs more than all the
 * rest of it. */
static char *put_decimal(char *at, uint64_t value)
{
    char digits[20];
    unsigned count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static char *put_hex(char *at, uint64_t value, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--)
        *at++ = "0123456789abcdef"[value >> 4 * (i - 1) & 15];
    return at;
}

static char *put_text(char *at, const char *text)
{
    const size_t len = strlen(text);
    memcpy(at, text, len);
    return at + len;
}

/* Room for one more argument, a bound for all that are put so. */
static char *begin_text(struct redis_limits_call *c)
{
    assert(sizeof(c->text) - c->text_len > REDIS_LIMITS_PREFIX_MAX + 5 * 21);
    return c->text + c->text_len;
}

static void end_text(struct redis_limits_call *c, char *begun, char *end)
{
    c->argv[c->argc++] = slice_of(begun, (size_t)(end - begun));
    c->text_len = (size_t)(end - c->text);
}

static void add_key(
    struct redis_limits_call *c, const char *prefix, unsigned shard, const char *kind)
{
    add(c, "%s/{limits-%x}%s", prefix, shard, kind);
    c->key_count++;
}

static void add_named_key(
    struct redis_limits_call *c, const char *prefix, uint64_t name, const char *kind)
{
    char *begun = begin_text(c), *at = put_text(begun, prefix);
    at = put_hex(put_text(at, "/{limits-"), share_shard(name), 1);
    at = put_text(put_text(put_text(at, "}"), kind), "/");
    end_text(c, begun, put_hex(at, name, 16));
    c->key_count++;
}

static uint64_t bounded(uint64_t us)
{
    return us < REDIS_LIMITS_TIME_MAX_US ? us : REDIS_LIMITS_TIME_MAX_US;
}

static bool are_rates(const char *prefix, const struct redis_limits_server *server,
    const struct rate_debit *items, size_t count)
{
    if (count == 0 || count > SHARE_BATCH_MAX || !redis_limits_is_prefix(prefix) ||
        server->run_id[0] == '\0')
        return false;
    for (size_t i = 1; i < count; i++) {
        if (share_shard(items[i].name) != share_shard(items[0].name))
            return false;
    }
    return true;
}

static void add_terms(struct redis_limits_call *c, const struct rate_debit *d)
{
    char *begun = begin_text(c), *at = put_decimal(begun, d->count);
    at = put_decimal(put_text(at, " "), bounded(d->cost_us > 0 ? d->cost_us : 1));
    at = put_decimal(put_text(at, " "), bounded(d->tau_us));
    at = put_decimal(put_text(at, " "), bounded(d->cap_us));
    end_text(c, begun, put_decimal(put_text(at, " "), d->warm ? 0 : bounded(d->tau_us)));
}

static bool are_equal_terms(const struct rate_debit *a, const struct rate_debit *b)
{
    return a->count == b->count && a->cost_us == b->cost_us && a->tau_us == b->tau_us &&
           a->cap_us == b->cap_us && a->warm == b->warm;
}

int redis_limits_call_rates(struct redis_limits_call *out, const char *prefix,
    const struct redis_limits_server *server, const struct rate_debit *items, size_t count)
{
    if (!are_rates(prefix, server, items, count))
        return -EINVAL;
    begin(out);
    add_key(out, prefix, share_shard(items[0].name), "epoch");
    for (size_t i = 0; i < count; i++)
        add_named_key(out, prefix, items[i].name, "rate");
    out->argv[out->argc++] = slice_of_string(server->run_id);
    add(out, "%" PRIu64, server->floor_us);
    for (size_t i = 0; i < count; i++) {
        /* Most are one admission of one limit: their words may be the same bytes. */
        if (i > 0 && are_equal_terms(&items[i - 1], &items[i])) {
            out->argv[out->argc] = out->argv[out->argc - 1];
            out->argc++;
        } else {
            add_terms(out, &items[i]);
        }
    }
    return 0;
}

int redis_limits_call_epoch(struct redis_limits_call *out, const char *prefix,
    const struct redis_limits_server *server, unsigned shard)
{
    if (shard >= SHARE_SHARDS || !redis_limits_is_prefix(prefix) || server->run_id[0] == '\0')
        return -EINVAL;
    begin(out);
    add_key(out, prefix, shard, "epoch");
    out->argv[out->argc++] = slice_of_string(server->run_id);
    add(out, "%" PRIu64, server->floor_us);
    return 0;
}

static void add_instance(struct redis_limits_call *c, const struct redis_limits_instance *who)
{
    c->argv[c->argc++] = slice_of(who->id, REDIS_LIMITS_INSTANCE_LEN);
    add(c, "%" PRIu32, who->alive_ms);
}

static bool is_instance(const struct redis_limits_instance *who)
{
    return memchr(who->id, '\0', sizeof(who->id)) == who->id + REDIS_LIMITS_INSTANCE_LEN;
}

int redis_limits_call_lease(struct redis_limits_call *out, const char *prefix,
    const struct redis_limits_instance *who, const struct quota_lease *items, size_t count)
{
    if (count == 0 || count > SHARE_BATCH_MAX || !redis_limits_is_prefix(prefix) ||
        !is_instance(who))
        return -EINVAL;
    const unsigned shard = share_shard(items[0].name);
    begin(out);
    add_key(out, prefix, shard, "alive");
    for (size_t i = 0; i < count; i++) {
        if (share_shard(items[i].name) != shard)
            return -EINVAL;
        add_named_key(out, prefix, items[i].name, "held");
    }
    add_instance(out, who);
    for (size_t i = 0; i < count; i++)
        add(out, "%" PRIu32, items[i].held);
    return 0;
}

int redis_limits_call_heartbeat(struct redis_limits_call *out, const char *prefix,
    const struct redis_limits_instance *who, unsigned shard)
{
    if (shard >= SHARE_SHARDS || !redis_limits_is_prefix(prefix) || !is_instance(who))
        return -EINVAL;
    begin(out);
    add_key(out, prefix, shard, "alive");
    add_instance(out, who);
    return 0;
}

/* `count` numbers from the n-th element on. */
static bool read_numbers(uint64_t *out, const struct redis_reply *reply, size_t n, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!redis_reply_number(redis_reply_string(reply, n + i), &out[i]))
            return false;
    }
    return true;
}

int redis_limits_reply_debit(
    uint64_t *now_us, uint64_t *deny_us, size_t count, const struct redis_reply *reply)
{
    uint64_t read[1 + SHARE_BATCH_MAX];
    if (count > SHARE_BATCH_MAX || reply->kind != REDIS_KIND_ARRAY || reply->count != 1 + count ||
        !read_numbers(read, reply, 0, 1 + count))
        return -EBADMSG;
    *now_us = read[0];
    memcpy(deny_us, read + 1, count * sizeof(read[0]));
    return 0;
}

int redis_limits_reply_look(
    uint64_t *now_us, struct rate_found *found, size_t count, const struct redis_reply *reply)
{
    uint64_t read[1 + 2 * SHARE_BATCH_MAX];
    if (count > SHARE_BATCH_MAX || reply->kind != REDIS_KIND_ARRAY ||
        reply->count != 1 + 2 * count || !read_numbers(read, reply, 0, 1 + 2 * count))
        return -EBADMSG;
    *now_us = read[0];
    for (size_t i = 0; i < count; i++)
        found[i] = (struct rate_found){.tat_us = read[1 + 2 * i], .deny_us = read[2 + 2 * i]};
    return 0;
}

static uint32_t clamped(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

int redis_limits_reply_lease(struct redis_limits_alive *alive, uint32_t *others, size_t count,
    const struct redis_reply *reply)
{
    uint64_t read[2 + SHARE_BATCH_MAX];
    if (count > SHARE_BATCH_MAX || reply->kind != REDIS_KIND_ARRAY || reply->count != 2 + count ||
        !read_numbers(read, reply, 0, 2 + count))
        return -EBADMSG;
    *alive = (struct redis_limits_alive){.now_us = read[0], .known = read[1] != 0};
    for (size_t i = 0; i < count; i++)
        others[i] = clamped(read[2 + i]);
    return 0;
}

int redis_limits_reply_heartbeat(struct redis_limits_alive *alive, const struct redis_reply *reply)
{
    uint64_t read[3];
    if (reply->kind != REDIS_KIND_ARRAY || reply->count != 3 || !read_numbers(read, reply, 0, 3))
        return -EBADMSG;
    *alive = (struct redis_limits_alive){
        .now_us = read[0], .known = read[1] != 0, .count = clamped(read[2])};
    return 0;
}

/*
 * A script reads all that it needs before it writes: one that ends with an error has changed
 * nothing, so that nothing is debited twice for it. Numbers from keys are read strictly: anybody
 * may have written there. Called by redis_limits.c, and by the simulation of tests/scenario/, which
 * runs these texts in plain Lua 5.1.
 */
#include "fleet/redis_limits_scripts.h"

#define COMMON                                                                                     \
    "local function whole(n) return string.format('%.0f', n) end\n"                                \
    "local function number(text)\n"                                                                \
    "  return text and #text <= 16 and string.match(text, '^%d+$') and tonumber(text) or 0\n"      \
    "end\n"                                                                                        \
    "local time = redis.call('TIME')\n"                                                            \
    "local now = tonumber(time[1]) * 1000000 + tonumber(time[2])\n"

/* epoch, and bucket(i): its tat with `count` more, its cost as text, and for how long to deny. MGET
 * says nil of a key that is no string. */
#define BUCKETS                                                                                    \
    "local stored = redis.call('MGET', unpack(KEYS))\n"                                            \
    "local id, since = string.match(stored[1] or '', '^(%x+) (%d+)$')\n"                           \
    "local epoch, floor = number(since), tonumber(ARGV[2])\n"                                      \
    "if id ~= ARGV[1] or epoch > now or (epoch < floor and floor <= now) then epoch = now end\n"   \
    "local function bucket(i, debits)\n"                                                           \
    "  local count, cost, tau, cap, cold = string.match(ARGV[i + 1],\n"                            \
    "    '^(%d+) (%d+) (%d+) (%d+) (%d+)$')\n"                                                     \
    "  local tat, was = string.match(stored[i] or '', '^(%d+) (%d+)$')\n"                          \
    "  tat, was = math.max(number(tat), now), number(was)\n"                                       \
    "  local each = tonumber(cost)\n"                                                              \
    "  if was > 0 and was ~= each then tat = now + math.ceil((tat - now) * each / was) end\n"      \
    "  tat = math.max(tat, epoch + tonumber(cold))\n"                                              \
    "  if debits then tat = tat + tonumber(count) * each end\n"                                    \
    "  tat = math.min(tat, now + tonumber(tau) + tonumber(cap))\n"                                 \
    "  return tat, cost, math.max(0, tat + each - tonumber(tau) - now)\n"                          \
    "end\n"                                                                                        \
    "local reply = {whole(now)}\n"

/* An epoch lasts 30 days from its last debit, and instances make one of nothing once a day. */
const char redis_limits_debit[] = COMMON BUCKETS
    "redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. whole(epoch), 'PX', '2592000000')\n"
    "for i = 2, #KEYS do\n"
    "  local tat, cost, deny = bucket(i, true)\n"
    "  redis.call('SET', KEYS[i], whole(tat) .. ' ' .. cost, 'PX', whole((tat - now) / 1000 + "
    "1000))\n"
    "  reply[i] = whole(deny)\n"
    "end\n"
    "return reply\n";

const char redis_limits_look[] = COMMON BUCKETS "for i = 2, #KEYS do\n"
                                                "  local tat, cost, deny = bucket(i, false)\n"
                                                "  reply[#reply + 1] = whole(tat - now)\n"
                                                "  reply[#reply + 1] = whole(deny)\n"
                                                "end\n"
                                                "return reply\n";

/*
 * Whoever counts until later than now + ttl was written before the clock was set back: it is not
 * known for how long that would be. It tells again what it holds, if it lives.
 */
#define ALIVE                                                                                      \
    "local alive, me, ttl = KEYS[1], ARGV[1], tonumber(ARGV[2])\n"                                 \
    "local latest = now + ttl * 1000 + 1000000\n"                                                  \
    "local till = tonumber(redis.call('ZSCORE', alive, me) or '0')\n"                              \
    "local known = (till > now and till <= latest) and '1' or '0'\n"

#define REFRESH                                                                                    \
    "redis.call('ZREMRANGEBYSCORE', alive, '-inf', whole(now))\n"                                  \
    "redis.call('ZREMRANGEBYSCORE', alive, '(' .. whole(latest), '+inf')\n"                        \
    "redis.call('ZADD', alive, whole(now + ttl * 1000), me)\n"                                     \
    "redis.call('PEXPIRE', alive, whole(ttl + 1000))\n"

/* What is held is told again at least once a day: 49 hours outlast that. */
const char redis_limits_lease[] = COMMON ALIVE
    "local living, held = {}, {}\n"
    "for _, id in ipairs(redis.call('ZRANGEBYSCORE', alive, '(' .. whole(now), whole(latest))) do\n"
    "  living[id] = true\n"
    "end\n"
    "for i = 2, #KEYS do held[i] = redis.call('HGETALL', KEYS[i]) end\n" REFRESH
    "local reply = {whole(now), known}\n"
    "for i = 2, #KEYS do\n"
    "  local key, others = KEYS[i], 0\n"
    "  for k = 1, #held[i], 2 do\n"
    "    local id = held[i][k]\n"
    "    if id ~= me and living[id] then\n"
    "      others = others + number(held[i][k + 1])\n"
    "    elseif id ~= me then\n"
    "      redis.call('HDEL', key, id)\n"
    "    end\n"
    "  end\n"
    "  if ARGV[i + 1] == '0' then\n"
    "    redis.call('HDEL', key, me)\n"
    "  else\n"
    "    redis.call('HSET', key, me, ARGV[i + 1])\n"
    "  end\n"
    "  redis.call('PEXPIRE', key, '176400000')\n"
    "  reply[i + 1] = whole(others)\n"
    "end\n"
    "return reply\n";

const char redis_limits_heartbeat[] =
    COMMON ALIVE "if ttl > 0 then\n" REFRESH "else\n"
                 "  redis.call('ZREM', alive, me)\n"
                 "end\n"
                 "return {whole(now), known, whole(redis.call('ZCARD', alive))}\n";

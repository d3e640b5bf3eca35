/*
 * Lua's numbers are doubles: whole up to 2^53, which microseconds since 1970 reach in 2255; %.0f
 * prints them whole. Positions and versions are one row of numbers: Redis's clock in microseconds,
 * pushed on where the clock has not moved on or has been set back. Called by redis_revocations.c.
 */
#include "fleet/redis_revoked_scripts.h"

const char *const redis_revoked_keys[REDIS_REVOKED_KEYS] = {"turnpike/revocations/entries",
    "turnpike/revocations/order", "turnpike/revocations/expiry", "turnpike/revocations/clock"};

/* A Redis that is short of memory evicts key by key: what is left of the set is no set. */
#define IS_WHOLE                                                                                   \
    "local function is_whole()\n"                                                                  \
    "  local some = redis.call('HLEN', KEYS[1]) > 0\n"                                             \
    "  return some == (#redis.call('ZREVRANGE', KEYS[2], 0, 0) > 0) and\n"                         \
    "    some == (#redis.call('ZREVRANGE', KEYS[3], 0, 0) > 0)\n"                                  \
    "end\n"

const char redis_revoked_put[] =
    "local function whole(n) return string.format('%.0f', n) end\n" IS_WHOLE
    "local entries, order, expiry, clock = KEYS[1], KEYS[2], KEYS[3], KEYS[4]\n"
    "local time = redis.call('TIME')\n"
    "local now = tonumber(time[1])\n"
    "local us = now * 1000000 + tonumber(time[2])\n"
    /* In the past: all of it goes, and is told again. */
    "if not is_whole() then\n"
    "  for _, key in ipairs(KEYS) do redis.call('EXPIREAT', key, 1) end\n"
    "end\n"
    "local born = redis.call('HGET', clock, 'born')\n"
    "if not born then\n"
    "  born = whole(us)\n"
    "  redis.call('HSET', clock, 'born', born)\n"
    "end\n"
    "local last = tonumber(redis.call('HGET', clock, 'last') or '0')\n"
    /* A minute more than clocks differ. More go than one call can bring. */
    "local gone = redis.call('ZRANGEBYSCORE', expiry, '-inf', now - 60, 'LIMIT', 0, 100)\n"
    "if #gone > 0 then\n"
    "  redis.call('ZREM', expiry, unpack(gone))\n"
    "  redis.call('ZREM', order, unpack(gone))\n"
    "  redis.call('HDEL', entries, unpack(gone))\n"
    "end\n"
    "local full, outdated = 0, 0\n"
    "for i = 3, #ARGV, 5 do\n"
    "  local name, mode = ARGV[i], ARGV[i + 4]\n"
    "  local till, expires = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])\n"
    "  local version = tonumber(ARGV[i + 3])\n"
    "  local old = redis.call('HGET', entries, name)\n"
    "  local old_version, old_expires = 0, 0\n"
    "  if old then\n"
    "    local v, e = string.match(old, '^(%d+) %d+ (%d+)$')\n"
    "    old_version, old_expires = tonumber(v or '0'), tonumber(e or '0')\n"
    "  end\n"
    "  local position = math.max(last + 1, us)\n"
    "  if mode == 'new' then version = math.max(position, old_version + 1) end\n"
    "  if mode == 'late' then version = math.min(version, us) end\n"
    "  if version <= old_version then\n"
    "    if mode == 'late' then outdated = outdated + 1 end\n"
    "  elseif not old and redis.call('HLEN', entries) >= tonumber(ARGV[1]) then\n"
    "    full = full + 1\n"
    "  else\n"
    "    if till <= now and mode ~= 'again' then\n"
    "      expires = math.max(expires, now + tonumber(ARGV[2]))\n"
    "    end\n"
    "    expires = math.max(expires, old_expires)\n"
    "    last = math.max(position, version)\n"
    "    redis.call('HSET', entries, name, whole(version) .. ' ' .. whole(till) .. ' ' .. "
    "whole(expires))\n"
    "    redis.call('ZADD', order, whole(last), name)\n"
    "    redis.call('ZADD', expiry, whole(expires), name)\n"
    "  end\n"
    "end\n"
    "redis.call('HSET', clock, 'last', whole(last))\n"
    "local top = redis.call('ZREVRANGE', expiry, 0, 0, 'WITHSCORES')\n"
    "local ends = whole(math.max(now, tonumber(top[2] or '0')) + 3600)\n"
    "for _, key in ipairs(KEYS) do redis.call('EXPIREAT', key, ends) end\n"
    "return {whole(us), born, full, outdated}\n";

const char redis_revoked_poll[] =
    "local function whole(n) return string.format('%.0f', n) end\n" IS_WHOLE
    "local time = redis.call('TIME')\n"
    "local us = whole(tonumber(time[1]) * 1000000 + tonumber(time[2]))\n"
    "local born = is_whole() and redis.call('HGET', KEYS[4], 'born') or '0'\n"
    "local found = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES',\n"
    "  'LIMIT', 0, ARGV[2])\n"
    "local reply, bytes, at = {us, born, ARGV[1], 0}, 0, 1\n"
    "while at < #found and bytes < tonumber(ARGV[3]) do\n"
    "  local name = found[at]\n"
    "  local entry = redis.call('HGET', KEYS[1], name)\n"
    "  reply[3] = whole(tonumber(found[at + 1]))\n"
    "  at = at + 2\n"
    "  if entry then\n"
    "    reply[#reply + 1] = entry .. ' ' .. name\n"
    "    bytes = bytes + #entry + #name + 128\n"
    "  end\n"
    "end\n"
    "if at < #found or #found >= 2 * tonumber(ARGV[2]) then reply[4] = 1 end\n"
    "return reply\n";

/*
 * Numbers behave as in Redis: what a script returns as a number is cut to an integer, what it gives
 * to a command as a number becomes "%.17g", nil comes as false, and a command refuses what is no
 * integer where it needs one. One Lua state; a script is compiled at its first call. Used by the
 * simulation of shared limits only.
 */
#include "tests/scenario/shared_limits_redis.h"

#include <errno.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#define SCRIPTS  4
#define ELEMENTS 192

/* Small blocks of Lua, which makes and frees them all the time; by size, in steps of 16 bytes. */
#define POOL_BLOCK 512u

struct pool {
    void *spare[POOL_BLOCK / 16 + 1];
    struct chunk {
        struct chunk *next;
        _Alignas(16) uint8_t bytes[16 * 1024];
    } * chunks;
    size_t used; /* bytes of the first chunk */
};

static void *pool_take(struct pool *p, size_t size)
{
    const size_t step = (size + 15) / 16;
    void *block = p->spare[step];
    if (block) {
        memcpy(&p->spare[step], block, sizeof(block));
        return block;
    }
    if (!p->chunks || p->used + 16 * step > sizeof(p->chunks->bytes)) {
        struct chunk *chunk = malloc(sizeof(*chunk));
        if (!chunk)
            return NULL;
        chunk->next = p->chunks;
        p->chunks = chunk;
        p->used = 0;
    }
    block = p->chunks->bytes + p->used;
    p->used += 16 * step;
    return block;
}

static void pool_give(struct pool *p, void *block, size_t size)
{
    if (size > POOL_BLOCK) {
        free(block);
        return;
    }
    memcpy(block, &p->spare[(size + 15) / 16], sizeof(void *));
    p->spare[(size + 15) / 16] = block;
}

/* lua_Alloc */
static void *allocate(void *ctx, void *block, size_t old_size, size_t size)
{
    struct pool *p = ctx;
    if (old_size > POOL_BLOCK && size > POOL_BLOCK)
        return realloc(block, size);
    void *fresh = NULL;
    if (size > 0) {
        fresh = size > POOL_BLOCK ? malloc(size) : pool_take(p, size);
        if (!fresh)
            return NULL;
    }
    if (fresh && block)
        memcpy(fresh, block, old_size < size ? old_size : size);
    if (block)
        pool_give(p, block, old_size);
    return fresh;
}

struct fake_redis {
    struct fake_data data;
    struct pool pool;
    lua_State *lua;
    struct {
        const char *text;
        int reference;
    } scripts[SCRIPTS];
    const struct slice *keys; /* of the call that runs */
    uint32_t key_count;
    uint64_t us, calls;
    struct redis_reply reply, elements[ELEMENTS];
    struct redis_reply *pointers[ELEMENTS];
    char texts[ELEMENTS][FAKE_TEXT];
};

static int64_t now_ms(const struct fake_redis *r)
{
    return (int64_t)(r->us / 1000);
}

static struct fake_redis *of(lua_State *lua)
{
    return lua_touserdata(lua, lua_upvalueindex(1));
}

/* One argument of redis.call, as Redis makes a string of it. */
static struct slice argument(lua_State *lua, int at, char number[32])
{
    if (lua_type(lua, at) == LUA_TNUMBER) {
        const int len = snprintf(number, 32, "%.17g", lua_tonumber(lua, at));
        return slice_of(number, (size_t)len);
    }
    if (lua_type(lua, at) != LUA_TSTRING)
        luaL_error(lua, "Lua redis() command arguments must be strings or integers");
    size_t len;
    const char *text = lua_tolstring(lua, at, &len);
    return slice_of(text, len);
}

/* A key that the script announced: Redis Cluster would refuse another. */
static struct slice key_argument(lua_State *lua, int at)
{
    const struct fake_redis *r = of(lua);
    char number[32];
    const struct slice key = argument(lua, at, number);
    for (uint32_t i = 0; i < r->key_count; i++)
        if (slice_equal(key, r->keys[i]))
            return r->keys[i];
    luaL_error(lua, "ERR Script attempted to access a non local key");
    return key;
}

static int64_t integer_argument(lua_State *lua, int at)
{
    char number[32], *end;
    const struct slice text = argument(lua, at, number);
    errno = 0;
    const long long value = strtoll((const char *)text.data, &end, 10);
    if (text.len == 0 || errno != 0 || (const uint8_t *)end != text.data + text.len ||
        (text.data[0] != '-' && (text.data[0] < '0' || text.data[0] > '9')))
        luaL_error(lua, "ERR value is not an integer or out of range");
    return value;
}

static void forget(struct fake_redis *r, struct fake_entry *e)
{
    *e = r->data.entries[--r->data.count];
}

/* An entry that is there and has not expired, or NULL. */
static struct fake_entry *find(struct fake_redis *r, struct slice key)
{
    for (size_t i = 0; i < r->data.count; i++) {
        struct fake_entry *e = &r->data.entries[i];
        if (!slice_equal(slice_of(e->key, e->key_len), key))
            continue;
        if (now_ms(r) <= e->until_ms)
            return e;
        forget(r, e);
        return NULL;
    }
    return NULL;
}

static int call_time(lua_State *lua)
{
    const struct fake_redis *r = of(lua);
    char text[32];
    lua_createtable(lua, 2, 0);
    snprintf(text, sizeof(text), "%" PRIu64, r->us / 1000000);
    lua_pushstring(lua, text);
    lua_rawseti(lua, -2, 1);
    snprintf(text, sizeof(text), "%" PRIu64, r->us % 1000000);
    lua_pushstring(lua, text);
    lua_rawseti(lua, -2, 2);
    return 1;
}

static void push_value(lua_State *lua, const struct fake_entry *e)
{
    if (e)
        lua_pushlstring(lua, e->value, e->value_len);
    else
        lua_pushboolean(lua, 0);
}

static int call_get(lua_State *lua)
{
    push_value(lua, find(of(lua), key_argument(lua, 2)));
    return 1;
}

static int call_mget(lua_State *lua)
{
    const int top = lua_gettop(lua);
    lua_createtable(lua, top - 1, 0);
    for (int i = 2; i <= top; i++) {
        push_value(lua, find(of(lua), key_argument(lua, i)));
        lua_rawseti(lua, -2, i - 1);
    }
    return 1;
}

/* SET key value PX milliseconds: whatever is written here has to expire. */
static int call_set(lua_State *lua)
{
    struct fake_redis *r = of(lua);
    char number[32], unit[32];
    const struct slice key = key_argument(lua, 2), value = argument(lua, 3, number);
    if (lua_gettop(lua) != 5 || !slice_equal(argument(lua, 4, unit), slice_of_string("PX")))
        return luaL_error(lua, "ERR syntax error");
    const int64_t ttl = integer_argument(lua, 5);
    if (ttl <= 0)
        return luaL_error(lua, "ERR invalid expire time in 'set' command");
    if (key.len > FAKE_TEXT || value.len > FAKE_TEXT)
        return luaL_error(lua, "too long for this fake");
    struct fake_entry *e = find(r, key);
    if (!e && r->data.count == FAKE_KEYS)
        return luaL_error(lua, "OOM command not allowed when used memory > 'maxmemory'.");
    if (!e)
        e = &r->data.entries[r->data.count++];
    memcpy(e->key, key.data, key.len);
    memcpy(e->value, value.data, value.len);
    e->key_len = key.len;
    e->value_len = value.len;
    e->until_ms = now_ms(r) + ttl;
    lua_createtable(lua, 0, 1);
    lua_pushliteral(lua, "OK");
    lua_setfield(lua, -2, "ok");
    return 1;
}

static int call(lua_State *lua)
{
    static const struct {
        const char *name;
        lua_CFunction run;
    } commands[] = {{"TIME", call_time}, {"GET", call_get}, {"MGET", call_mget}, {"SET", call_set}};
    const char *name = luaL_checkstring(lua, 1);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(lua);
    return luaL_error(lua, "ERR unknown command '%s'", name);
}

struct fake_redis *fake_redis_new(void)
{
    static const luaL_Reg libraries[] = {{"", luaopen_base}, {LUA_TABLIBNAME, luaopen_table},
        {LUA_STRLIBNAME, luaopen_string}, {LUA_MATHLIBNAME, luaopen_math}};
    struct fake_redis *r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    r->lua = lua_newstate(allocate, &r->pool);
    if (!r->lua)
        abort();
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        lua_pushcfunction(r->lua, libraries[i].func);
        lua_pushstring(r->lua, libraries[i].name);
        lua_call(r->lua, 1, 0);
    }
    lua_createtable(r->lua, 0, 1);
    lua_pushlightuserdata(r->lua, r);
    lua_pushcclosure(r->lua, call, 1);
    lua_setfield(r->lua, -2, "call");
    lua_setglobal(r->lua, "redis");
    for (size_t i = 0; i < ELEMENTS; i++)
        r->pointers[i] = &r->elements[i];
    return r;
}

void fake_redis_free(struct fake_redis *r)
{
    if (!r)
        return;
    lua_close(r->lua);
    for (struct chunk *c = r->pool.chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(r);
}

struct fake_data *fake_redis_data(struct fake_redis *r)
{
    return &r->data;
}

uint64_t fake_redis_calls(const struct fake_redis *r)
{
    return r->calls;
}

static struct redis_reply *error(struct fake_redis *r, const char *text)
{
    snprintf(r->texts[0], FAKE_TEXT, "%s", text);
    r->reply = (struct redis_reply){.kind = REDIS_KIND_ERROR, .text = slice_of_string(r->texts[0])};
    return &r->reply;
}

/* Pushes the compiled script. */
static bool push_script(struct fake_redis *r, const char *text)
{
    size_t at = 0;
    while (at < SCRIPTS && r->scripts[at].text && r->scripts[at].text != text)
        at++;
    if (at == SCRIPTS)
        at = r->calls % SCRIPTS;
    if (r->scripts[at].text != text) {
        if (luaL_loadbuffer(r->lua, text, strlen(text), "@user_script") != 0)
            return false;
        if (r->scripts[at].text)
            luaL_unref(r->lua, LUA_REGISTRYINDEX, r->scripts[at].reference);
        r->scripts[at].reference = luaL_ref(r->lua, LUA_REGISTRYINDEX);
        r->scripts[at].text = text;
    }
    lua_rawgeti(r->lua, LUA_REGISTRYINDEX, r->scripts[at].reference);
    return true;
}

static void set_global(lua_State *lua, const char *name, const struct slice *items, size_t count)
{
    lua_createtable(lua, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(lua, (const char *)items[i].data, items[i].len);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    lua_setglobal(lua, name);
}

/* The value on top of the stack as Redis sends it; false: no scalar that a script may return. */
static bool convert(struct fake_redis *r, size_t at, struct redis_reply *out)
{
    size_t len;
    const char *text;
    switch (lua_type(r->lua, -1)) {
    case LUA_TNUMBER:
        *out = (struct redis_reply){
            .kind = REDIS_KIND_INTEGER, .integer = (int64_t)lua_tonumber(r->lua, -1)};
        return true;
    case LUA_TSTRING:
        text = lua_tolstring(r->lua, -1, &len);
        if (len >= FAKE_TEXT)
            return false;
        memcpy(r->texts[at], text, len);
        r->texts[at][len] = '\0';
        *out = (struct redis_reply){.kind = REDIS_KIND_STRING, .text = slice_of(r->texts[at], len)};
        return true;
    case LUA_TBOOLEAN:
        *out = lua_toboolean(r->lua, -1)
                   ? (struct redis_reply){.kind = REDIS_KIND_INTEGER, .integer = 1}
                   : (struct redis_reply){.kind = REDIS_KIND_NIL};
        return true;
    default:
        return false;
    }
}

/* A table is an array up to its first nil. */
static const struct redis_reply *result(struct fake_redis *r)
{
    if (!lua_istable(r->lua, -1))
        return convert(r, 0, &r->reply) ? &r->reply : error(r, "ERR reply of this kind");
    size_t count = 0;
    for (;; count++) {
        lua_rawgeti(r->lua, -1, (int)count + 1);
        const bool end = lua_isnil(r->lua, -1);
        const bool good = end || (count < ELEMENTS && convert(r, count, &r->elements[count]));
        lua_pop(r->lua, 1);
        if (!good)
            return error(r, "ERR reply of this kind");
        if (end)
            break;
    }
    r->reply =
        (struct redis_reply){.kind = REDIS_KIND_ARRAY, .elements = r->pointers, .count = count};
    return &r->reply;
}

static struct slice hash_tag(struct slice key)
{
    const uint8_t *open = memchr(key.data, '{', key.len);
    if (!open)
        return key;
    const uint8_t *close = memchr(open, '}', key.len - (size_t)(open - key.data));
    return close && close > open + 1 ? slice_of(open, (size_t)(close - open)) : key;
}

const struct redis_reply *fake_redis_evaluate(
    struct fake_redis *r, const struct fake_call *c, uint64_t us)
{
    r->calls++;
    r->us = us;
    r->keys = c->argv;
    r->key_count = c->key_count;
    for (uint32_t i = 1; i < c->key_count; i++)
        if (!slice_equal(hash_tag(c->argv[i]), hash_tag(c->argv[0])))
            return error(r, "CROSSSLOT Keys in request don't hash to the same slot");
    if (!push_script(r, c->script)) {
        lua_pop(r->lua, 1);
        return error(r, "ERR Error compiling script");
    }
    set_global(r->lua, "KEYS", c->argv, c->key_count);
    set_global(r->lua, "ARGV", c->argv + c->key_count, c->argc - c->key_count);
    const struct redis_reply *reply;
    if (lua_pcall(r->lua, 0, 1, 0) != 0)
        reply = error(r, lua_tostring(r->lua, -1));
    else
        reply = result(r);
    lua_pop(r->lua, 1);
    return reply;
}

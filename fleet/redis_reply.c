/*
 * hiredis's reader with objects of ours: its own make an array of as many elements as are
 * announced, 16 GiB for a dozen bytes, and never stop. Each object is charged before it is made.
 *
 * Replies hold keys of users, so text is wiped when it is freed, and what has been parsed is wiped
 * in the parser's buffer. What that buffer leaves behind when it grows is the allocator's.
 *
 * Called by redis_link.c with whatever a server, or somebody in its place, sends.
 */
#include "fleet/redis_reply.h"

#include <hiredis/read.h>
#include <stdlib.h>

#include "base/secret.h"

/* A buffer that was larger than this is given back when it is empty. */
#define BUFFER_KEPT (128u * 1024)
#define EXACT_MAX   (1ull << 53) /* of a double */

struct redis_reader {
    redisReader *parser;
    size_t reply_max;
    size_t charged;          /* bytes of the reply that is being read */
    size_t buffered;         /* the most since the parser was made */
    enum redis_read failure; /* REDIS_READ_MORE: none */
};

/* Memory for an object, charged to the reply that it is part of. NULL: too large, or out of memory.
 */
static struct redis_reply *make(const redisReadTask *task, enum redis_kind kind, size_t more)
{
    struct redis_reader *r = task->privdata;
    const size_t size = sizeof(struct redis_reply) + more;
    if (more > r->reply_max || size > r->reply_max - r->charged) {
        r->failure = REDIS_READ_TOO_LARGE;
        return NULL;
    }
    struct redis_reply *reply = calloc(1, size);
    if (!reply) {
        r->failure = REDIS_READ_NO_MEMORY;
        return NULL;
    }
    r->charged += size;
    reply->kind = kind;
    if (task->parent) {
        struct redis_reply *parent = task->parent->obj;
        parent->elements[task->idx] = reply;
    }
    return reply;
}

static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    const enum redis_kind kind = task->type == REDIS_REPLY_ERROR    ? REDIS_KIND_ERROR
                                 : task->type == REDIS_REPLY_STATUS ? REDIS_KIND_STATUS
                                                                    : REDIS_KIND_STRING;
    struct redis_reply *reply = make(task, kind, len < SIZE_MAX ? len + 1 : len);
    if (!reply)
        return NULL;
    uint8_t *copy = (uint8_t *)(reply + 1);
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    reply->text = slice_of(copy, len);
    return reply;
}

static void *create_array(const redisReadTask *task, int elements)
{
    const size_t count = elements > 0 ? (size_t)elements : 0;
    struct redis_reply *reply = make(task, REDIS_KIND_ARRAY, count * sizeof(struct redis_reply *));
    if (!reply)
        return NULL;
    reply->elements = (struct redis_reply **)(void *)(reply + 1);
    reply->count = count;
    return reply;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    struct redis_reply *reply = make(task, REDIS_KIND_INTEGER, 0);
    if (reply)
        reply->integer = value;
    return reply;
}

static void *create_nil(const redisReadTask *task)
{
    return make(task, REDIS_KIND_NIL, 0);
}

static void free_object(void *object)
{
    struct redis_reply *reply = object;
    if (!reply)
        return;
    for (size_t i = 0; i < reply->count; i++)
        free_object(reply->elements[i]); /* NULL behind the last one of a cut reply */
    if (reply->text.len > 0)
        secret_cleanse(reply + 1, reply->text.len);
    free(reply);
}

static redisReplyObjectFunctions functions = {
    create_string, create_array, create_integer, create_nil, free_object};

void redis_reply_free(struct redis_reply *reply)
{
    free_object(reply);
}

bool redis_reply_is(const struct redis_reply *reply, const char *text)
{
    return (reply->kind == REDIS_KIND_STRING || reply->kind == REDIS_KIND_STATUS) &&
           slice_equal(reply->text, slice_of_string(text));
}

bool redis_reply_is_error(const struct redis_reply *reply, const char *code)
{
    const size_t len = strlen(code);
    return reply->kind == REDIS_KIND_ERROR && reply->text.len >= len &&
           memcmp(reply->text.data, code, len) == 0 &&
           (reply->text.len == len || reply->text.data[len] == ' ');
}

struct slice redis_reply_string(const struct redis_reply *reply, size_t n)
{
    if (reply->kind != REDIS_KIND_ARRAY || n >= reply->count ||
        reply->elements[n]->kind != REDIS_KIND_STRING)
        return slice_of(NULL, 0);
    return reply->elements[n]->text;
}

bool redis_reply_number(struct slice text, uint64_t *out)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 16)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (value >= EXACT_MAX)
        return false;
    *out = value;
    return true;
}

/* Wipes what has been parsed. The parser keeps that in front, and behind its text what it has moved
 * away; it has no buffer after an error. */
static void scrub(struct redis_reader *r)
{
    redisReader *p = r->parser;
    if (!p->buf || r->buffered < p->len)
        return;
    secret_cleanse(p->buf, p->pos);
    secret_cleanse(p->buf + p->len, r->buffered - p->len);
}

static void free_parser(struct redis_reader *r)
{
    if (r->parser->buf)
        secret_cleanse(r->parser->buf, r->buffered);
    redisReaderFree(r->parser);
}

/* Replaces the parser: true, or the old one stays. */
static bool renew(struct redis_reader *r)
{
    redisReader *parser = redisReaderCreateWithFunctions(&functions);
    if (!parser)
        return false;
    parser->privdata = r;
    parser->maxbuf = 0; /* hiredis would assert that memory is there for a smaller one */
    if (r->parser)
        free_parser(r);
    r->parser = parser;
    r->charged = r->buffered = 0;
    r->failure = REDIS_READ_MORE;
    return true;
}

struct redis_reader *redis_reader_new(size_t reply_max)
{
    struct redis_reader *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->reply_max = reply_max;
    if (renew(r))
        return r;
    free(r);
    return NULL;
}

void redis_reader_free(struct redis_reader *r)
{
    if (!r)
        return;
    free_parser(r);
    free(r);
}

void redis_reader_reset(struct redis_reader *r)
{
    if (!renew(r))
        r->failure = REDIS_READ_NO_MEMORY;
}

void redis_reader_feed(struct redis_reader *r, struct slice bytes)
{
    if (r->failure != REDIS_READ_MORE || bytes.len == 0)
        return;
    if (redisReaderFeed(r->parser, (const char *)bytes.data, bytes.len) != REDIS_OK)
        r->failure = REDIS_READ_NO_MEMORY;
    if (r->parser->len > r->buffered)
        r->buffered = r->parser->len;
}

static size_t unparsed(const struct redis_reader *r)
{
    return r->parser->len - r->parser->pos;
}

static void shrink(struct redis_reader *r)
{
    if (unparsed(r) == 0 && r->charged == 0 && r->buffered > BUFFER_KEPT)
        renew(r);
}

enum redis_read redis_reader_next(struct redis_reader *r, struct redis_reply **out)
{
    void *reply = NULL;
    if (r->failure != REDIS_READ_MORE)
        return r->failure;
    if (redisReaderGetReply(r->parser, &reply) != REDIS_OK) {
        if (r->failure == REDIS_READ_MORE)
            r->failure = r->parser->err == REDIS_ERR_OOM ? REDIS_READ_NO_MEMORY : REDIS_READ_BAD;
        return r->failure;
    }
    if (reply) {
        r->charged = 0;
        *out = reply;
        return REDIS_READ_REPLY;
    }
    if (unparsed(r) > r->reply_max)
        return r->failure = REDIS_READ_TOO_LARGE;
    scrub(r);
    shrink(r);
    return REDIS_READ_MORE;
}

const char *redis_read_text(enum redis_read outcome)
{
    static const char *const text[] = {[REDIS_READ_REPLY] = "reply",
        [REDIS_READ_MORE] = "more",
        [REDIS_READ_BAD] = "what it sent is no RESP2",
        [REDIS_READ_TOO_LARGE] = "a reply was too large",
        [REDIS_READ_NO_MEMORY] = "out of memory"};
    return text[outcome];
}

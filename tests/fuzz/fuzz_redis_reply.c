/*
 * Any bytes as what a Redis server, or somebody in its place, sends: read as a whole and in small
 * pieces they give the same replies, each within its bound, and what has failed stays so.
 */
#include "fleet/redis_reply.h"
#include "tests/fuzz/fuzz.h"

#define REPLY_MAX 1024
#define PIECE     7u
#define FNV_START 14695981039346656037u
#define FNV_PRIME 1099511628211u

enum outcome { STRING, STATUS, ERROR, INTEGER, NIL, ARRAY, MORE, BAD, TOO_LARGE, OUTCOMES };

static const char *const names[OUTCOMES] = {
    "string", "status", "error", "integer", "nil", "array", "more", "bad", "too_large"};

struct fuzz_reasons fuzz_reasons = {.names = names, .count = OUTCOMES};

/* What was read. */
struct seen {
    uint64_t digest;
    unsigned replies;
    enum redis_read end;
};

static void digest(struct seen *s, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        s->digest = (s->digest ^ ((const uint8_t *)bytes)[i]) * FNV_PRIME;
}

/* Looks at every byte of a reply; returns what it takes in memory. */
static size_t visit(struct seen *s, const struct redis_reply *reply, unsigned depth)
{
    size_t size = sizeof(*reply) + reply->count * sizeof(reply->elements[0]) + reply->text.len;
    FUZZ_REQUIRE(depth <= 8);
    FUZZ_REQUIRE(reply->kind <= REDIS_KIND_ARRAY);
    FUZZ_REQUIRE(reply->kind == REDIS_KIND_ARRAY || reply->count == 0);
    digest(s, &reply->kind, sizeof(reply->kind));
    digest(s, &reply->integer, sizeof(reply->integer));
    digest(s, reply->text.data, reply->text.len);
    if (reply->kind <= REDIS_KIND_ERROR)
        FUZZ_REQUIRE(reply->text.data[reply->text.len] == '\0');
    for (size_t i = 0; i < reply->count; i++)
        size += visit(s, reply->elements[i], depth + 1);
    return size;
}

static struct seen read_in_pieces(const uint8_t *data, size_t size, size_t piece)
{
    struct seen seen = {.digest = FNV_START, .end = REDIS_READ_MORE};
    struct redis_reader *reader = redis_reader_new(REPLY_MAX);
    struct redis_reply *reply;
    FUZZ_REQUIRE(reader != NULL);
    for (size_t at = 0; at < size && seen.end == REDIS_READ_MORE; at += piece) {
        redis_reader_feed(reader, slice_of(data + at, size - at < piece ? size - at : piece));
        while ((seen.end = redis_reader_next(reader, &reply)) == REDIS_READ_REPLY) {
            FUZZ_REQUIRE(visit(&seen, reply, 0) <= REPLY_MAX);
            fuzz_note_outcome(reply->kind);
            seen.replies++;
            redis_reply_free(reply);
        }
    }
    if (seen.end != REDIS_READ_MORE) {
        redis_reader_feed(reader, slice_of_string("+OK\r\n"));
        FUZZ_REQUIRE(redis_reader_next(reader, &reply) == seen.end);
    }
    redis_reader_free(reader);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct seen whole = read_in_pieces(data, size, size > 0 ? size : 1);
    const struct seen pieces = read_in_pieces(data, size, PIECE);
    FUZZ_REQUIRE(whole.digest == pieces.digest && whole.replies == pieces.replies);
    /* A line too long may be found so before it is found bad. */
    FUZZ_REQUIRE((whole.end == REDIS_READ_MORE) == (pieces.end == REDIS_READ_MORE));
    fuzz_note_outcome(whole.end == REDIS_READ_MORE  ? MORE
                      : whole.end == REDIS_READ_BAD ? BAD
                                                    : TOO_LARGE);
    return 0;
}

/*
 * Any bytes as what a Redis server, or somebody in its place, sends: read as a whole and in small
 * pieces they give the same replies, each within its bound, and what has failed stays so. Each
 * reply then goes through all that reads records from replies: what is taken is well-formed, what
 * is not writes nothing.
 */
#include "fleet/redis_limits_calls.h"
#include "fleet/redis_records.h"
#include "fleet/redis_revoked.h"
#include "tests/fuzz/fuzz.h"

#define REPLY_MAX 1536
#define PIECE     7u
#define FNV_START 14695981039346656037u
#define FNV_PRIME 1099511628211u

#define UNTOUCHED 0xa5

enum outcome {
    STRING,
    STATUS,
    ERROR,
    INTEGER,
    NIL,
    ARRAY,
    MORE,
    BAD,
    TOO_LARGE,
    USER,
    OAUTH_KEY,
    SECRETS,
    SECRETS_CUT,
    PAGE,
    REVOKED,
    PUT,
    DEBITED,
    LOOKED,
    LEASED,
    ALIVE,
    OUTCOMES
};

static const char *const names[OUTCOMES] = {"string", "status", "error", "integer", "nil", "array",
    "more", "bad", "too_large", "user", "oauth_key", "secrets", "secrets_cut", "page", "revoked",
    "put", "debited", "looked", "leased", "alive"};

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

static bool is_untouched(const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (((const uint8_t *)data)[i] != UNTOUCHED)
            return false;
    }
    return true;
}

static void check_keys(const struct redis_reply *reply)
{
    struct redis_complaint why;
    struct auth_key user;
    struct store_oauth_key key;
    memset(&user, UNTOUCHED, sizeof(user));
    memset(&key, UNTOUCHED, sizeof(key));
    if (redis_record_user(reply, &user, &why) == STORE_FOUND) {
        FUZZ_REQUIRE(user.len == 16 || user.len == 32);
        FUZZ_REQUIRE(reply->text.len == 2u * user.len && !why.record && why.error[0] == '\0');
        fuzz_note_outcome(USER);
    } else {
        FUZZ_REQUIRE(is_untouched(&user, sizeof(user)));
    }
    FUZZ_REQUIRE(memchr(why.error, '\0', sizeof(why.error)) != NULL);
    if (redis_record_oauth(reply, slice_of_string("r"), &key, &why) == STORE_FOUND) {
        FUZZ_REQUIRE(key.key_len == 16 || key.key_len == 32);
        FUZZ_REQUIRE(key.not_before >= 0 && (key.not_after == 0 || key.not_after > key.not_before));
        fuzz_note_outcome(OAUTH_KEY);
    } else {
        FUZZ_REQUIRE(is_untouched(&key, sizeof(key)));
    }
}

static void check_secrets(const struct redis_reply *reply)
{
    struct redis_complaint why;
    struct store_secrets secrets;
    size_t left_out;
    if (redis_record_secrets(reply, &secrets, &left_out, &why) < 0) {
        FUZZ_REQUIRE(why.record || why.error[0] != '\0');
        return;
    }
    FUZZ_REQUIRE(secrets.count <= STORE_SECRETS_MAX);
    FUZZ_REQUIRE(secrets.count + left_out == reply->count);
    for (size_t i = 0; i < secrets.count; i++) {
        const struct secret *s = &secrets.list[i];
        FUZZ_REQUIRE(s->len > 0 && s->len <= REDIS_SECRET_MAX);
        for (size_t k = 0; k < i; k++)
            FUZZ_REQUIRE(!secret_equal(secret_slice(s), secret_slice(&secrets.list[k])));
    }
    if (secrets.count > 0)
        fuzz_note_outcome(left_out > 0 ? SECRETS_CUT : SECRETS);
    store_secrets_deinit(&secrets);
}

/* A name that is taken is the one that would be written. */
static void check_name(struct slice name)
{
    static struct redis_revoked_subject subject;
    static struct redis_key again;
    if (redis_revoked_subject(&subject, name) < 0)
        return;
    FUZZ_REQUIRE(redis_revoked_name(
                     &again, &subject.revocation, slice_of(subject.realm, subject.realm_len)) == 0);
    FUZZ_REQUIRE(slice_equal(redis_key_slice(&again), name));
    fuzz_note_outcome(REVOKED);
}

static void check_revocations(const struct redis_reply *reply)
{
    struct redis_revoked_page page;
    struct redis_revoked_put_reply put;
    struct redis_revoked revoked;
    if (redis_revoked_put_reply(&put, reply) == 0)
        fuzz_note_outcome(PUT);
    if (redis_revoked_page(&page, reply) < 0)
        return;
    fuzz_note_outcome(PAGE);
    FUZZ_REQUIRE(page.count == reply->count - 4);
    for (size_t i = 0; i < page.count; i++) {
        if (redis_revoked_entry(&revoked, &page, i) < 0)
            continue;
        FUZZ_REQUIRE(revoked.version > 0 && revoked.until >= 0 && revoked.expires >= 0);
        check_name(revoked.name);
    }
}

#define EXACT_MAX (1ull << 53)

static void check_debited(const struct redis_reply *reply, size_t count)
{
    uint64_t now, deny[SHARE_BATCH_MAX];
    memset(&now, UNTOUCHED, sizeof(now));
    memset(deny, UNTOUCHED, sizeof(deny));
    if (redis_limits_reply_debit(&now, deny, count, reply) < 0) {
        FUZZ_REQUIRE(is_untouched(&now, sizeof(now)) && is_untouched(deny, sizeof(deny)));
        return;
    }
    FUZZ_REQUIRE(reply->count == count + 1 && now < EXACT_MAX);
    for (size_t i = 0; i < count; i++)
        FUZZ_REQUIRE(deny[i] < EXACT_MAX);
    fuzz_note_outcome(DEBITED);
}

static void check_looked(const struct redis_reply *reply, size_t count)
{
    uint64_t now;
    struct rate_found found[SHARE_BATCH_MAX];
    memset(&now, UNTOUCHED, sizeof(now));
    memset(found, UNTOUCHED, sizeof(found));
    if (redis_limits_reply_look(&now, found, count, reply) < 0) {
        FUZZ_REQUIRE(is_untouched(&now, sizeof(now)) && is_untouched(found, sizeof(found)));
        return;
    }
    FUZZ_REQUIRE(reply->count == 2 * count + 1 && now < EXACT_MAX);
    for (size_t i = 0; i < count; i++)
        FUZZ_REQUIRE(found[i].tat_us < EXACT_MAX && found[i].deny_us < EXACT_MAX);
    fuzz_note_outcome(LOOKED);
}

static void check_leased(const struct redis_reply *reply, size_t count)
{
    struct redis_limits_alive alive;
    uint32_t others[SHARE_BATCH_MAX];
    memset(&alive, UNTOUCHED, sizeof(alive));
    memset(others, UNTOUCHED, sizeof(others));
    if (redis_limits_reply_heartbeat(&alive, reply) == 0) {
        FUZZ_REQUIRE(reply->count == 3 && alive.now_us < EXACT_MAX);
        fuzz_note_outcome(ALIVE);
        memset(&alive, UNTOUCHED, sizeof(alive));
    }
    if (redis_limits_reply_lease(&alive, others, count, reply) < 0) {
        FUZZ_REQUIRE(is_untouched(&alive, sizeof(alive)) && is_untouched(others, sizeof(others)));
        return;
    }
    FUZZ_REQUIRE(reply->count == count + 2 && alive.now_us < EXACT_MAX);
    fuzz_note_outcome(LEASED);
}

/* Whatever was asked for: as many as there are, one more, and more than can be asked for. */
static void check_limits(const struct redis_reply *reply)
{
    const size_t counts[] = {reply->count - 1, (reply->count - 1) / 2, reply->count - 2,
        reply->count, SHARE_BATCH_MAX + 1};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        check_debited(reply, counts[i]);
        check_looked(reply, counts[i]);
        check_leased(reply, counts[i]);
    }
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
            check_keys(reply);
            check_secrets(reply);
            check_revocations(reply);
            check_limits(reply);
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

/*
 * Reads what coturn's tools have written, as coturn reads it where that lets somebody in, and
 * strictly where it does not. Complaints quote the class of an error and nothing of a record.
 * Called by redis_store.c and redis_secrets.c.
 */
#include "fleet/redis_records.h"

#include "base/base64.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "auth/auth_settings.h"

#define IKM_MAX     256 /* bytes, which is what coturn keeps */
#define IKM_MIN     16
#define SECONDS_MAX 253402300799 /* the end of the year 9999 */

const char *const redis_oauth_fields[REDIS_OAUTH_FIELDS] = {
    "ikm_key", "as_rs_alg", "timestamp", "lifetime", "realm"};

enum field { IKM_KEY, ALGORITHM, TIMESTAMP, LIFETIME, REALM };

/* The first word of an error, if it is one: "NOPERM this user has no permissions ...". */
static void name_error(char out[REDIS_CLASS_MAX], struct slice text)
{
    size_t len = 0;
    while (len < text.len && len < REDIS_CLASS_MAX - 1 && text.data[len] >= 'A' &&
           text.data[len] <= 'Z')
        len++;
    if (len == 0 || (len < text.len && text.data[len] != ' ')) {
        memcpy(out, "ERR", sizeof("ERR"));
        return;
    }
    memcpy(out, text.data, len);
    out[len] = '\0';
}

/* What is no record at all. */
static enum store_verdict judge_other(const struct redis_reply *reply, struct redis_complaint *why)
{
    if (reply->kind == REDIS_KIND_NIL)
        return STORE_NOT_FOUND;
    if (reply->kind != REDIS_KIND_ERROR) {
        why->record = "the reply is of the wrong kind";
        return STORE_UNREACHABLE;
    }
    name_error(why->error, reply->text);
    return redis_reply_is_error(reply, "WRONGTYPE") ? STORE_NOT_FOUND : STORE_UNREACHABLE;
}

static enum store_verdict complain(struct redis_complaint *why, const char *record)
{
    why->record = record;
    return STORE_NOT_FOUND;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum store_verdict redis_record_user(
    const struct redis_reply *reply, struct auth_key *out, struct redis_complaint *why)
{
    struct auth_key key = {0};
    *why = (struct redis_complaint){0};
    if (reply->kind != REDIS_KIND_STRING)
        return judge_other(reply, why);
    if (reply->text.len != 32 && reply->text.len != 64)
        return complain(why, "the key has not 32 or 64 hexadecimal digits");
    for (size_t i = 0; i < reply->text.len; i++) {
        const int value = hex_value(reply->text.data[i]);
        if (value < 0) {
            secret_cleanse(&key, sizeof(key));
            return complain(why, "the key has not 32 or 64 hexadecimal digits");
        }
        key.bytes[i / 2] = (uint8_t)(key.bytes[i / 2] << 4 | value);
    }
    key.len = (uint8_t)(reply->text.len / 2);
    *out = key;
    secret_cleanse(&key, sizeof(key));
    return STORE_FOUND;
}

/* Absent: 0. */
static bool read_seconds(struct slice text, int64_t *out)
{
    int64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || value > SECONDS_MAX / 10)
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *out = value;
    return true;
}

static bool is_word(struct slice text, const char *word)
{
    return text.len == strlen(word) && strncasecmp((const char *)text.data, word, text.len) == 0;
}

static const char *read_key(const struct redis_reply *reply, struct store_oauth_key *key)
{
    uint8_t bytes[IKM_MAX] = {0};
    const char *problem = NULL;
    const struct slice algorithm = redis_reply_string(reply, ALGORITHM);
    if (is_word(algorithm, "A256GCM")) {
        key->algorithm = AUTH_OAUTH_A256GCM;
        key->key_len = 32;
    } else if (is_word(algorithm, "A128GCM")) {
        key->algorithm = AUTH_OAUTH_A128GCM;
        key->key_len = 16;
    } else {
        return "as_rs_alg is neither A256GCM nor A128GCM";
    }
    const int len = base64_decode(bytes, sizeof(bytes), redis_reply_string(reply, IKM_KEY));
    if (len < IKM_MIN)
        problem = "ikm_key is not 16 bytes and more in base64";
    else
        memcpy(key->key, bytes, key->key_len); /* behind its end are zeros */
    secret_cleanse(bytes, sizeof(bytes));
    return problem;
}

static const char *read_window(const struct redis_reply *reply, struct store_oauth_key *key)
{
    int64_t timestamp = 0, lifetime = 0;
    if (!read_seconds(redis_reply_string(reply, TIMESTAMP), &timestamp) ||
        !read_seconds(redis_reply_string(reply, LIFETIME), &lifetime))
        return "timestamp or lifetime is no number of seconds";
    key->not_before = timestamp;
    key->not_after = lifetime > 0 ? timestamp + lifetime : 0;
    return NULL;
}

static bool is_empty(const struct redis_reply *reply)
{
    for (size_t i = 0; i < reply->count; i++) {
        if (reply->elements[i]->kind != REDIS_KIND_NIL)
            return false;
    }
    return true;
}

enum store_verdict redis_record_oauth(const struct redis_reply *reply, struct slice realm,
    struct store_oauth_key *out, struct redis_complaint *why)
{
    struct store_oauth_key key = {0};
    *why = (struct redis_complaint){0};
    if (reply->kind == REDIS_KIND_ERROR)
        return judge_other(reply, why);
    if (reply->kind != REDIS_KIND_ARRAY || reply->count != REDIS_OAUTH_FIELDS) {
        why->record = "the reply is of the wrong kind"; /* HMGET has no nil */
        return STORE_UNREACHABLE;
    }
    if (is_empty(reply))
        return STORE_NOT_FOUND;
    const struct slice given = redis_reply_string(reply, REALM);
    if (given.len > 0 && !slice_equal(given, realm))
        return STORE_NOT_FOUND;
    const char *problem = read_key(reply, &key);
    if (!problem)
        problem = read_window(reply, &key);
    if (!problem)
        *out = key;
    secret_cleanse(&key, sizeof(key));
    return problem ? complain(why, problem) : STORE_FOUND;
}

/* Of two equal beginnings the shorter comes first. */
static int compare(struct slice a, struct slice b)
{
    const int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

/* Keeps `list` sorted; what falls off its end, or is in it, is not taken. */
static void take(struct slice *list, size_t *count, struct slice secret)
{
    size_t at = *count;
    while (at > 0 && compare(secret, list[at - 1]) < 0)
        at--;
    if (at == STORE_SECRETS_MAX || (at > 0 && slice_equal(secret, list[at - 1])))
        return;
    const size_t end = *count < STORE_SECRETS_MAX ? *count : STORE_SECRETS_MAX - 1;
    memmove(list + at + 1, list + at, (end - at) * sizeof(*list));
    list[at] = secret;
    *count = end + 1;
}

int redis_record_secrets(const struct redis_reply *reply, struct store_secrets *out,
    size_t *left_out, struct redis_complaint *why)
{
    struct slice list[STORE_SECRETS_MAX];
    struct store_secrets found = {0};
    size_t count = 0;
    *why = (struct redis_complaint){0};
    if (reply->kind != REDIS_KIND_ARRAY) {
        judge_other(reply, why);
        if (!why->record && why->error[0] == '\0')
            why->record = "the reply is of the wrong kind";
        return -EBADMSG;
    }
    for (size_t i = 0; i < reply->count; i++) {
        const struct slice secret = redis_reply_string(reply, i);
        if (secret.len > 0 && secret.len <= REDIS_SECRET_MAX)
            take(list, &count, secret);
    }
    for (; found.count < count; found.count++) {
        if (secret_set(&found.list[found.count], list[found.count]) == 0)
            continue;
        store_secrets_deinit(&found);
        return -ENOMEM;
    }
    *left_out = reply->count - count;
    out->count = found.count;
    memcpy(out->list, found.list, sizeof(found.list));
    return 0;
}

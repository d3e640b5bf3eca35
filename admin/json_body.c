/*
 * Reading JSON that may hold secrets: the library copies text around and frees it, so it gets
 * memory that is wiped when it is freed. Called by the resources that take a body.
 */
#include "admin/json_body.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/secret.h"

#define ID_LEN 16

struct block {
    size_t len;
    max_align_t data[];
};

static void *block_new(size_t len)
{
    struct block *b = len < SIZE_MAX - sizeof(*b) ? malloc(sizeof(*b) + len) : NULL;
    if (!b) {
        return NULL;
    }
    b->len = len;
    return b->data;
}

static void block_free(void *data)
{
    if (data) {
        struct block *b = (void *)((char *)data - offsetof(struct block, data));
        secret_cleanse(data, b->len);
        free(b);
    }
}

void admin_json_init(void)
{
    json_set_alloc_funcs(block_new, block_free);
}

json_t *admin_json_parse(struct slice body)
{
    json_error_t error;
    json_t *json = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES, &error);
    /* It may quote what it did not understand. */
    secret_cleanse(&error, sizeof(error));
    return json;
}

int admin_json_text(const json_t *json, const char *key, size_t max, struct slice *out)
{
    const json_t *value = json_object_get(json, key);
    if (!value) {
        *out = (struct slice){0};
        return 0;
    }
    if (!json_is_string(value) || json_string_length(value) > max) {
        return -EINVAL;
    }
    *out = slice_of(json_string_value(value), json_string_length(value));
    return 0;
}

int admin_json_id(const json_t *json, const char *key, uint64_t *out)
{
    struct slice text;
    uint64_t id = 0;
    if (admin_json_text(json, key, ID_LEN, &text) < 0) {
        return -EINVAL;
    }
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) {
            return -EINVAL;
        }
        id = id << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (json_object_get(json, key) && (text.len != ID_LEN || id == 0)) {
        return -EINVAL;
    }
    *out = id;
    return 0;
}

int admin_json_number(const json_t *json, const char *key, uint64_t max, uint64_t *out)
{
    const json_t *value = json_object_get(json, key);
    if (!value) {
        return 0;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max) {
        return -EINVAL;
    }
    *out = (uint64_t)json_integer_value(value);
    return 0;
}

int admin_json_address(const json_t *json, const char *key, struct addr *out)
{
    struct slice text;
    char copy[ADDR_TEXT_MAX];
    if (admin_json_text(json, key, sizeof(copy) - 1, &text) < 0) {
        return -EINVAL;
    }
    if (text.len == 0) {
        return 0;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return addr_parse_ip(out, copy) == 0 ? 0 : -EINVAL;
}

bool admin_json_only(const json_t *json, const char *const *known, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        found += json_object_get(json, known[i]) != NULL;
    }
    return found == json_object_size(json);
}

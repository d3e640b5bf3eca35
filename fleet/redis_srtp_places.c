/* Places and fields are made and judged here and nowhere else. Called by redis_srtp_keys.c and
 * daemon/media_keys.c. */
#include "fleet/redis_srtp_places.h"

#include <errno.h>
#include <stdio.h>

#include "base/escape.h"
#include "fleet/redis_keys.h"

static const char allocation_prefix[] = "allocation/";
static const char user_prefix[] = "user/";

#define ID_LEN 16

void redis_srtp_place_allocation(struct redis_srtp_place *out, uint64_t id)
{
    char text[sizeof(allocation_prefix) + ID_LEN];
    out->len = (size_t)snprintf(
        text, sizeof(text), "%s%016llx", allocation_prefix, (unsigned long long)id);
    memcpy(out->text, text, out->len);
}

int redis_srtp_place_user(struct redis_srtp_place *out, struct slice realm, struct slice user)
{
    struct redis_key key;
    if (redis_key_escaped(&key, "user", realm, user) < 0 || key.len > sizeof(out->text))
        return -EINVAL;
    out->len = key.len;
    memcpy(out->text, key.bytes, key.len);
    return 0;
}

static bool take_prefix(struct slice *text, const char *prefix)
{
    const size_t len = strlen(prefix);
    if (text->len < len || memcmp(text->data, prefix, len) != 0)
        return false;
    *text = slice_of(text->data + len, text->len - len);
    return true;
}

static bool is_id(struct slice text)
{
    bool zero = true;
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        zero = zero && c == '0';
    }
    return text.len == ID_LEN && !zero;
}

static bool is_name(struct slice text, int max)
{
    uint8_t name[REDIS_SRTP_PLACE_MAX];
    const int len = escape_read(name, text);
    return len > 0 && len <= max;
}

bool redis_srtp_is_place(struct slice text)
{
    if (text.len > REDIS_SRTP_PLACE_MAX)
        return false;
    if (take_prefix(&text, allocation_prefix))
        return is_id(text);
    if (!take_prefix(&text, user_prefix))
        return false;
    const uint8_t *slash = text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
    if (!slash)
        return false;
    const size_t realm = (size_t)(slash - text.data);
    return is_name(slice_of(text.data, realm), REDIS_KEY_REALM_MAX) &&
           is_name(slice_of(slash + 1, text.len - realm - 1), REDIS_KEY_NAME_MAX);
}

static bool read_ssrc(struct slice text, uint32_t *out)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 10 || (text.data[0] == '0' && text.len > 1))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *out = (uint32_t)value;
    return value <= UINT32_MAX;
}

int redis_srtp_field(struct srtp_binding *out, struct slice text)
{
    static const char *const directions[SRTP_DIRECTIONS] = {
        [SRTP_TO_PEER] = "to_peer", [SRTP_TO_CLIENT] = "to_client"};
    for (uint8_t i = 0; i < SRTP_DIRECTIONS; i++) {
        struct slice rest = text;
        uint32_t ssrc = 0;
        if (!take_prefix(&rest, directions[i]))
            continue;
        const bool has_ssrc = take_prefix(&rest, "/");
        if (has_ssrc ? !read_ssrc(rest, &ssrc) : rest.len > 0)
            return -EINVAL;
        out->direction = i;
        out->has_ssrc = has_ssrc;
        out->ssrc = ssrc;
        return 0;
    }
    return -EINVAL;
}

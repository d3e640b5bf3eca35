/* Strict, so that nothing is taken for a key or a nonce that its owner has not written. Called by
 * auth/, config/, fleet/, admin/ and cli/. */
#include "base/base64.h"

#include <errno.h>

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode_bare(uint8_t *out, size_t cap, struct slice text)
{
    size_t len = 0;
    uint32_t bits = 0;
    unsigned held = 0;

    if (text.len % 4 == 1 || text.len > INT32_MAX)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        const int value = value_of(text.data[i]);
        if (value < 0)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        if (len == cap)
            return -EINVAL;
        out[len++] = (uint8_t)(bits >> held);
        bits &= (1u << held) - 1;
    }
    /* RFC 4648 section 3.5: pad bits "MUST be set to zero by conforming encoders". */
    return bits == 0 ? (int)len : -EINVAL;
}

int base64_decode(uint8_t *out, size_t cap, struct slice text)
{
    size_t digits = text.len;

    if (text.len % 4 != 0)
        return -EINVAL;
    while (digits > 0 && text.len - digits < 2 && text.data[digits - 1] == '=')
        digits--;
    return base64_decode_bare(out, cap, slice_of(text.data, digits));
}

/*
 * Commands are made from argument vectors only, each with its length in front: there is no format
 * string, and no byte of an argument can end it. They are written where they are to stay: hiredis's
 * formatter makes a copy that has to be wiped and prints every length, which cost a report of
 * limits as much as all the rest of it. Called by redis_link.c, redis_stream.c and redis_hello.c.
 */
#include "fleet/redis_buffer.h"

#include <errno.h>
#include <stdlib.h>

#include "base/secret.h"

#define CAP_MIN     1024u
#define CAP_KEPT    (64u * 1024)
#define COMMAND_MAX (512u * 1024 * 1024) /* Redis's own limit of an argument; fits an int */
#define FRAME_MAX   24u                  /* "$", a length, and two line ends */

/* Not realloc: what it leaves behind cannot be wiped. */
static int reserve(struct redis_buffer *b, size_t more)
{
    size_t cap = b->cap > 0 ? b->cap : CAP_MIN;
    while (cap - b->len < more)
        cap *= 2;
    if (cap == b->cap)
        return 0;
    uint8_t *data = malloc(cap);
    if (!data)
        return -ENOMEM;
    if (b->len > 0)
        memcpy(data, b->data, b->len);
    if (b->data)
        secret_cleanse(b->data, b->len);
    free(b->data);
    b->data = data;
    b->cap = cap;
    return 0;
}

int redis_buffer_append(struct redis_buffer *b, struct slice bytes)
{
    if (bytes.len == 0)
        return 0;
    if (reserve(b, bytes.len) < 0)
        return -ENOMEM;
    memcpy(b->data + b->len, bytes.data, bytes.len);
    b->len += bytes.len;
    return 0;
}

void redis_buffer_clear(struct redis_buffer *b)
{
    if (b->cap > CAP_KEPT) {
        redis_buffer_deinit(b);
        return;
    }
    if (b->len > 0)
        secret_cleanse(b->data, b->len);
    b->len = 0;
}

void redis_buffer_deinit(struct redis_buffer *b)
{
    if (b->data)
        secret_cleanse(b->data, b->len);
    free(b->data);
    *b = (struct redis_buffer){0};
}

size_t redis_command_len_max(const struct slice *argv, size_t argc)
{
    size_t len = FRAME_MAX;
    for (size_t i = 0; i < argc; i++) {
        if (argv[i].len > COMMAND_MAX)
            return SIZE_MAX;
        len += argv[i].len + FRAME_MAX;
    }
    return len;
}

/* "*3\r\n", "$12\r\n" (RESP: a type, a decimal number, CR LF) */
static uint8_t *put_frame(uint8_t *at, char type, size_t number)
{
    uint8_t digits[20];
    unsigned count = 0;
    do
        digits[count++] = (uint8_t)('0' + number % 10);
    while ((number /= 10) > 0);
    *at++ = (uint8_t)type;
    while (count > 0)
        *at++ = digits[--count];
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

int redis_buffer_append_command(struct redis_buffer *b, const struct slice *argv, size_t argc)
{
    if (argc == 0 || argc > REDIS_ARGUMENTS_MAX)
        return -E2BIG;
    const size_t len_max = redis_command_len_max(argv, argc);
    if (len_max > COMMAND_MAX)
        return -E2BIG;
    if (reserve(b, len_max) < 0)
        return -ENOMEM;
    uint8_t *at = put_frame(b->data + b->len, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        at = put_frame(at, '$', argv[i].len);
        if (argv[i].len > 0)
            memcpy(at, argv[i].data, argv[i].len);
        at += argv[i].len;
        *at++ = '\r';
        *at++ = '\n';
    }
    b->len = (size_t)(at - b->data);
    return 0;
}

/*
 * Commands are made by hiredis's redisFormatCommandArgv from argument vectors only: there is no
 * format string, and no byte of an argument can end it. Called by redis_link.c, redis_stream.c and
 * redis_hello.c.
 */
#include "fleet/redis_buffer.h"

#include <errno.h>
#include <hiredis/hiredis.h>
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

int redis_buffer_append_command(struct redis_buffer *b, const struct slice *argv, size_t argc)
{
    const char *text[REDIS_ARGUMENTS_MAX];
    size_t len[REDIS_ARGUMENTS_MAX];
    if (argc == 0 || argc > REDIS_ARGUMENTS_MAX || redis_command_len_max(argv, argc) > COMMAND_MAX)
        return -E2BIG;
    for (size_t i = 0; i < argc; i++) {
        text[i] = argv[i].len > 0 ? (const char *)argv[i].data : "";
        len[i] = argv[i].len;
    }
    char *command = NULL;
    const int made = redisFormatCommandArgv(&command, (int)argc, text, len);
    if (made < 0)
        return -ENOMEM;
    const int result = redis_buffer_append(b, slice_of(command, (size_t)made));
    secret_cleanse(command, (size_t)made);
    redisFreeCommand(command);
    return result;
}

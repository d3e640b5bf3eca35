/*
 * A call keeps its command until it is answered, and sends it a second time at most. Replies come
 * in order, so between a SCRIPT LOAD and its reply nothing else has to load the same script. Called
 * by what uses scripts: shared limits.
 */
#include "fleet/redis_script.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "fleet/redis_buffer.h"
#include "fleet/redis_link_internal.h"

#define OWN_ARGUMENTS 3u /* EVALSHA, the SHA-1, how many keys */

struct call {
    struct redis_link *link;
    struct redis_script *script;
    redis_done_fn *done;
    void *ctx;
    struct redis_waiting waiting;
    bool again;
    struct redis_buffer command;
};

int redis_script_init(struct redis_script *s, const char *text)
{
    uint8_t digest[20];
    if (EVP_Q_digest(NULL, "SHA1", NULL, text, strlen(text), digest, NULL) != 1)
        return -EIO;
    *s = (struct redis_script){.text = slice_of_string(text)};
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(s->sha1 + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

static void free_call(struct call *c)
{
    redis_link_unkeep(c->link, c->command.len);
    redis_buffer_deinit(&c->command);
    free(c);
}

static void finish(struct call *c, enum redis_result result, const struct redis_reply *reply)
{
    redis_done_fn *done = c->done;
    void *ctx = c->ctx;
    free_call(c);
    done(ctx, result, reply);
}

static void on_loaded(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct redis_script *s = ctx;
    s->loading = false;
}

static void on_evaluated(void *ctx, enum redis_result result, const struct redis_reply *reply);

static int evaluate(struct call *c)
{
    c->waiting.sent_us = clock_now().mono_us;
    return redis_link_send(c->link, slice_of(c->command.data, c->command.len), &c->waiting);
}

static int load(struct call *c)
{
    struct redis_script *s = c->script;
    struct redis_buffer command = {0};
    const struct slice argv[] = {slice_of_string("SCRIPT"), slice_of_string("LOAD"), s->text};
    if (s->loading)
        return 0;
    int result = redis_buffer_append_command(&command, argv, 3);
    if (result == 0)
        result = redis_link_send(c->link, slice_of(command.data, command.len),
            &(struct redis_waiting){.done = on_loaded,
                .ctx = s,
                .sent_us = clock_now().mono_us,
                .deadline_us = c->waiting.deadline_us});
    redis_buffer_deinit(&command);
    if (result == 0) {
        s->loading = true;
        s->loads++;
    }
    return result;
}

static void on_evaluated(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct call *c = ctx;
    if (result != REDIS_REPLIED || c->again || !redis_reply_is_error(reply, "NOSCRIPT")) {
        finish(c, result, reply);
        return;
    }
    c->again = true;
    if (load(c) < 0 || evaluate(c) < 0)
        finish(c, REDIS_REFUSED, NULL);
}

/* The whole command, formatted and charged. */
static int prepare(struct call *c, uint32_t key_count, const struct redis_request *request)
{
    struct slice argv[REDIS_ARGUMENTS_MAX];
    char keys[12];
    snprintf(keys, sizeof(keys), "%u", (unsigned)key_count);
    if (request->argc > REDIS_ARGUMENTS_MAX - OWN_ARGUMENTS || key_count > request->argc)
        return -E2BIG;
    argv[0] = slice_of_string("EVALSHA");
    argv[1] = slice_of(c->script->sha1, REDIS_SHA1_HEX_LEN);
    argv[2] = slice_of_string(keys);
    for (size_t i = 0; i < request->argc; i++)
        argv[OWN_ARGUMENTS + i] = request->argv[i];
    int result = redis_link_check(c->link, argv, OWN_ARGUMENTS + request->argc);
    if (result == 0)
        result = redis_buffer_append_command(&c->command, argv, OWN_ARGUMENTS + request->argc);
    if (result == 0)
        result = redis_link_keep(c->link, c->command.len);
    if (result < 0)
        redis_buffer_deinit(&c->command);
    return result;
}

int redis_link_script(struct redis_link *l, struct redis_script *script, uint32_t key_count,
    const struct redis_request *request)
{
    struct call *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    *c = (struct call){.link = l,
        .script = script,
        .done = request->done,
        .ctx = request->ctx,
        .waiting = {.done = on_evaluated,
            .ctx = c,
            .deadline_us = clock_now().mono_us + request->deadline_ms * US_PER_MS}};
    int result = prepare(c, key_count, request);
    if (result == 0)
        result = evaluate(c);
    if (result < 0)
        free_call(c);
    return result;
}

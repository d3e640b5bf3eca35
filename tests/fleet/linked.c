/* Waiting is running the loop: a tick of 1 ms ends each turn. */
#include "tests/fleet/linked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define WORDS_MAX 64

/* A multiple of every range of redis_backoff_next, and not so small that it is thrown away. */
static int fill_hurry(void *ctx, void *out, size_t len)
{
    const uint32_t value = 80000;
    memset(out, 0, len);
    memcpy(out, &value, len < sizeof(value) ? len : sizeof(value));
    return 0;
}

const struct random_source linked_hurry = {fill_hurry, NULL};

static void on_state(void *ctx, const struct redis_state *state)
{
    struct linked *l = ctx;
    if (state->up) {
        l->ups++;
        l->server = state->server;
        l->address = state->address;
    } else {
        l->downs++;
        snprintf(l->cause, sizeof(l->cause), "%s", state->cause);
    }
    snprintf(l->run_id, sizeof(l->run_id), "%s", state->run_id);
    if (l->on_state)
        l->on_state(l, state->up);
}

static void on_message(void *ctx, struct slice channel, struct slice payload)
{
    struct linked *l = ctx;
    l->messages++;
    snprintf(l->channel, sizeof(l->channel), "%.*s", (int)channel.len, (const char *)channel.data);
    snprintf(l->payload, sizeof(l->payload), "%.*s", (int)payload.len, (const char *)payload.data);
}

static void on_tick(uv_timer_t *tick)
{
}

void linked_loop(struct linked *l)
{
    if (l->has_loop)
        return;
    l->has_loop = true;
    uv_loop_init(&l->loop);
    uv_timer_init(&l->loop, &l->tick);
}

static void end_loop(struct linked *l)
{
    l->has_loop = false;
    uv_close((uv_handle_t *)&l->tick, NULL);
    uv_run(&l->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&l->loop) == 0)
        return;
    fprintf(stderr, "the loop has handles left\n");
    abort();
}

int linked_try(struct linked *l, const char *url, char *error, size_t error_cap)
{
    char copy[512];
    snprintf(copy, sizeof(copy), "%s", url);
    l->settings.url = copy;
    l->ups = l->downs = l->messages = 0;
    l->cause[0] = l->run_id[0] = '\0';
    linked_loop(l);
    const struct redis_link_options options = {.settings = &l->settings,
        .random = l->random ? l->random : random_system(),
        .channels = l->channels,
        .channel_count = l->channel_count,
        .hooks = {on_state, on_message, l}};
    const int result = redis_link_new(&l->link, &l->loop, &options, error, error_cap);
    l->settings.url = NULL;
    if (result < 0)
        end_loop(l);
    return result;
}

void linked_begin(struct linked *l, const char *url)
{
    char error[256] = "";
    if (linked_try(l, url, error, sizeof(error)) == 0)
        return;
    fprintf(stderr, "no link: %s\n", error);
    abort();
}

void linked_end(struct linked *l)
{
    redis_link_free(l->link);
    l->link = NULL;
    end_loop(l);
}

bool linked_run(struct linked *l, linked_done_fn *done, void *ctx, unsigned ms)
{
    const uint64_t end = clock_now().mono_us + ms * US_PER_MS;
    uv_timer_start(&l->tick, on_tick, 1, 1);
    while (!done(l, ctx) && clock_now().mono_us < end)
        uv_run(&l->loop, UV_RUN_ONCE);
    uv_timer_stop(&l->tick);
    return done(l, ctx);
}

static bool never(struct linked *l, void *ctx)
{
    return false;
}

void linked_sleep(struct linked *l, unsigned ms)
{
    linked_run(l, never, NULL, ms);
}

static bool has_ups(struct linked *l, void *ctx)
{
    return l->ups >= *(unsigned *)ctx;
}

bool linked_up(struct linked *l, unsigned ups)
{
    return linked_run(l, has_ups, &ups, 8000) && l->ups == ups && redis_link_is_up(l->link);
}

static bool has_downs(struct linked *l, void *ctx)
{
    return l->downs >= *(unsigned *)ctx;
}

bool linked_down(struct linked *l, unsigned downs)
{
    return linked_run(l, has_downs, &downs, 8000) && l->downs == downs;
}

void linked_answer(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct answer *a = ctx;
    a->calls++;
    a->result = result;
    a->after_us = clock_now().mono_us - a->asked_us;
    if (!reply)
        return;
    a->kind = reply->kind;
    a->integer = reply->integer;
    a->count = reply->count;
    a->len = reply->text.len;
    if (a->len > 0)
        memcpy(a->text, reply->text.data, a->len < sizeof(a->text) ? a->len : sizeof(a->text));
}

int linked_issue(struct linked *l, const char *words, unsigned deadline_ms, struct answer *out)
{
    char text[512];
    struct slice argv[WORDS_MAX];
    size_t argc = 0;
    char *rest = text;
    snprintf(text, sizeof(text), "%s", words);
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL;)
        argv[argc++] = slice_of_string(word);
    *out = (struct answer){.asked_us = clock_now().mono_us};
    return redis_link_command(l->link, &(struct redis_request){.argv = argv,
                                           .argc = argc,
                                           .deadline_ms = deadline_ms,
                                           .done = linked_answer,
                                           .ctx = out});
}

static bool was_called(struct linked *l, void *ctx)
{
    return ((struct answer *)ctx)->calls > 0;
}

bool linked_answered(struct linked *l, struct answer *a, unsigned ms)
{
    return linked_run(l, was_called, a, ms) && a->calls == 1;
}

struct answer linked_ask(struct linked *l, const char *words)
{
    struct answer a;
    const int result = linked_issue(l, words, 5000, &a);
    if (result == 0 && linked_answered(l, &a, 8000))
        return a;
    fprintf(stderr, "%s: %d, %u calls\n", words, result, a.calls);
    abort();
}

bool answer_is(const struct answer *a, const char *text)
{
    if (a->calls != 1 || a->result != REDIS_REPLIED)
        return false;
    char number[24] = "(nil)";
    if (a->kind == REDIS_KIND_INTEGER)
        snprintf(number, sizeof(number), "%lld", (long long)a->integer);
    if (a->kind == REDIS_KIND_INTEGER || a->kind == REDIS_KIND_NIL)
        return strcmp(number, text) == 0;
    return a->len == strlen(text) && a->len <= sizeof(a->text) &&
           memcmp(a->text, text, a->len) == 0;
}

/*
 * The flight is fixed, so each reply is judged by its place. The first that is not what a healthy
 * server with the right rights answers ends the connection: half a link (another database, a
 * replica, one that is still loading) would be worse than none. Called by redis_link.c.
 */
#include "fleet/redis_hello.h"

#include <ctype.h>
#include <stdio.h>

enum step { AUTH, NAME, SELECT, ROLE, INFO, PING, SUBSCRIBE, ASK };

static const char *const refused[] = {
    [AUTH] = "AUTH: wrong user or password",
    [NAME] = "CLIENT SETNAME is refused",
    [SELECT] = "SELECT: there is no such database",
    [ROLE] = "it is not the master",
    [INFO] = "INFO: there is no run_id",
    [PING] = "PING is refused",
    [SUBSCRIBE] = "SUBSCRIBE is refused",
    [ASK] = "the Sentinel does not know the master",
};
static const char *const forbidden[] = {
    [AUTH] = "AUTH is forbidden to the user",
    [NAME] = "CLIENT SETNAME is forbidden to the user",
    [SELECT] = "SELECT is forbidden to the user",
    [ROLE] = "ROLE is forbidden to the user",
    [INFO] = "INFO is forbidden to the user",
    [PING] = "PING is forbidden to the user",
    [SUBSCRIBE] = "SUBSCRIBE is forbidden to the user",
    [ASK] = "SENTINEL is forbidden to the user",
};

static int say(struct redis_hello *h, struct redis_buffer *out, enum step step,
    const struct slice *argv, size_t argc)
{
    h->steps[h->count++] = (uint8_t)step;
    return redis_buffer_append_command(out, argv, argc);
}

static int say_words(
    struct redis_hello *h, struct redis_buffer *out, enum step step, const char *const words[3])
{
    struct slice argv[3];
    size_t argc = 0;
    while (argc < 3 && words[argc]) {
        argv[argc] = slice_of_string(words[argc]);
        argc++;
    }
    return say(h, out, step, argv, argc);
}

static int say_auth(
    struct redis_hello *h, const struct redis_hello_plan *plan, struct redis_buffer *out)
{
    const struct slice with_user[] = {slice_of_string("AUTH"), plan->user, plan->password};
    const struct slice without[] = {slice_of_string("AUTH"), plan->password};
    if (plan->password.len == 0)
        return 0;
    return plan->user.len > 0 ? say(h, out, AUTH, with_user, 3) : say(h, out, AUTH, without, 2);
}

static int say_subscribe(
    struct redis_hello *h, const struct redis_hello_plan *plan, struct redis_buffer *out)
{
    struct slice argv[1 + REDIS_CHANNELS_MAX] = {slice_of_string("SUBSCRIBE")};
    if (plan->channel_count == 0)
        return 0;
    for (size_t i = 0; i < plan->channel_count; i++) {
        argv[1 + i] = slice_of_string(plan->channels[i]);
        if (i > 0)
            h->steps[h->count++] = SUBSCRIBE; /* each channel is confirmed by itself */
    }
    return say(h, out, SUBSCRIBE, argv, 1 + plan->channel_count);
}

int redis_hello_begin(
    struct redis_hello *h, const struct redis_hello_plan *plan, struct redis_buffer *out)
{
    *h = (struct redis_hello){0};
    int result = say_auth(h, plan, out);
    if (result < 0)
        return result;
    if (plan->master)
        return say_words(h, out, ASK,
            (const char *const[3]){"SENTINEL", "get-master-addr-by-name", plan->master});
    result =
        say_words(h, out, NAME, (const char *const[3]){"CLIENT", "SETNAME", plan->client_name});
    if (result == 0 && plan->database > 0) {
        char number[16];
        snprintf(number, sizeof(number), "%u", (unsigned)plan->database);
        result = say_words(h, out, SELECT, (const char *const[3]){"SELECT", number});
    }
    if (result == 0 && plan->must_be_master)
        result = say_words(h, out, ROLE, (const char *const[3]){"ROLE"});
    if (result == 0)
        result = say_words(h, out, INFO, (const char *const[3]){"INFO", "server"});
    if (result == 0)
        result = say_words(h, out, PING, (const char *const[3]){"PING"});
    return result < 0 ? result : say_subscribe(h, plan, out);
}

/* "run_id:" at the beginning of a line of INFO, and 40 hexadecimal digits. */
static bool read_run_id(struct redis_hello *h, const struct redis_reply *reply)
{
    static const char key[] = "\nrun_id:";
    if (reply->kind != REDIS_KIND_STRING)
        return false;
    const uint8_t *found = memmem(reply->text.data, reply->text.len, key, sizeof(key) - 1);
    if (!found)
        return false;
    const uint8_t *id = found + sizeof(key) - 1;
    if ((size_t)(reply->text.data + reply->text.len - id) < REDIS_RUN_ID_LEN)
        return false;
    for (size_t i = 0; i < REDIS_RUN_ID_LEN; i++) {
        if (!isxdigit(id[i]))
            return false;
    }
    memcpy(h->run_id, id, REDIS_RUN_ID_LEN);
    return true;
}

/* A name or an address, and a port, as Sentinel answers them. */
static bool read_master(struct redis_hello *h, const struct redis_reply *reply)
{
    const struct slice host = redis_reply_string(reply, 0), port = redis_reply_string(reply, 1);
    uint32_t number = 0;
    if (host.len == 0 || host.len > REDIS_HOST_MAX || port.len == 0 || port.len > 5)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if (!isalnum(host.data[i]) && (host.data[i] == '\0' || !strchr(".:-_", host.data[i])))
            return false;
    }
    for (size_t i = 0; i < port.len; i++) {
        if (!isdigit(port.data[i]))
            return false;
        number = number * 10 + (uint32_t)(port.data[i] - '0');
    }
    if (host.data[0] == '.' || number == 0 || number > UINT16_MAX)
        return false;
    memcpy(h->master.host, host.data, host.len);
    h->master.port = (uint16_t)number;
    return true;
}

static bool is_expected(struct redis_hello *h, enum step step, const struct redis_reply *reply)
{
    switch (step) {
    case AUTH:
    case NAME:
    case SELECT:
        return redis_reply_is(reply, "OK");
    case ROLE:
        return slice_equal(redis_reply_string(reply, 0), slice_of_string("master"));
    case INFO:
        return read_run_id(h, reply);
    case PING:
        /* A server that cannot save answers so, and still serves. */
        return redis_reply_is(reply, "PONG") || redis_reply_is_error(reply, "MISCONF");
    case SUBSCRIBE:
        return slice_equal(redis_reply_string(reply, 0), slice_of_string("subscribe"));
    case ASK:
    default:
        return read_master(h, reply);
    }
}

static const char *refusal_of(enum step step, const struct redis_reply *reply)
{
    if (redis_reply_is_error(reply, "NOAUTH"))
        return "it demands a password";
    if (redis_reply_is_error(reply, "NOPERM"))
        return forbidden[step];
    if (redis_reply_is_error(reply, "LOADING"))
        return "it is loading its data";
    if (redis_reply_is_error(reply, "BUSY"))
        return "it is busy with a script";
    if (redis_reply_is_error(reply, "MASTERDOWN"))
        return "it is a replica without a master";
    return refused[step];
}

enum redis_hello_outcome redis_hello_reply(struct redis_hello *h, const struct redis_reply *reply)
{
    const enum step step = h->steps[h->at];
    if (!is_expected(h, step, reply)) {
        h->refusal = refusal_of(step, reply);
        return REDIS_HELLO_REFUSED;
    }
    return ++h->at == h->count ? REDIS_HELLO_DONE : REDIS_HELLO_MORE;
}

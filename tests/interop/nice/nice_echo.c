/*
 * Two ends on libnice that may use relayed candidates only: one sends, the other echoes.
 *
 *   nice_echo SERVER USER PASSWORD MESSAGES
 *
 * Prints each candidate and selected pair, and how many echoes came back as they were sent; one
 * message is on its way at a time, and one that is lost ends it. tests/interop/browsers.py runs it.
 */
#include <nice/agent.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT = 3478, MESSAGE_SIZE = 1000, LIMIT_S = 30, COMPONENT = 1, BOTH = 2 };

struct end {
    struct echo *echo;
    NiceAgent *agent;
    guint stream;
    gboolean gathered, ready;
};

struct echo {
    GMainLoop *loop;
    struct end ends[BOTH];
    guint wanted, echoed, closed;
    gboolean started, failed;
};

static void fail(struct echo *e, const char *why)
{
    printf("failed: %s\n", why);
    e->failed = TRUE;
    g_main_loop_quit(e->loop);
}

static void fill(char *message, guint number)
{
    for (guint i = 0; i < MESSAGE_SIZE; i++)
        message[i] = (char)(number * 31 + i * 7 + i / 251);
}

static void send_message(struct echo *e)
{
    const struct end *end = &e->ends[0];
    char message[MESSAGE_SIZE];
    fill(message, e->echoed);
    if (nice_agent_send(end->agent, end->stream, COMPONENT, MESSAGE_SIZE, message) != MESSAGE_SIZE)
        fail(e, "nice_agent_send took less than the message");
}

static const char *type_name(const NiceCandidate *c)
{
    return c->type == NICE_CANDIDATE_TYPE_RELAYED ? "relay" : "other";
}

static gboolean on_time_out(gpointer data)
{
    fail(data, "no end in time");
    return G_SOURCE_REMOVE;
}

static void on_closed(GObject *agent, GAsyncResult *result, gpointer data)
{
    struct echo *e = data;
    if (++e->closed == BOTH)
        g_main_loop_quit(e->loop);
}

static void take_echo(struct echo *e, guint len, const char *message)
{
    char sent[MESSAGE_SIZE];
    fill(sent, e->echoed);
    if (len != sizeof(sent) || memcmp(message, sent, len) != 0) {
        fail(e, "an echo differs from what was sent");
        return;
    }
    if (++e->echoed < e->wanted) {
        send_message(e);
        return;
    }
    for (guint i = 0; i < BOTH; i++)
        nice_agent_close_async(e->ends[i].agent, on_closed, e);
}

static void on_received(
    NiceAgent *agent, guint stream, guint component, guint len, gchar *bytes, gpointer data)
{
    struct end *end = data;
    if (end == &end->echo->ends[0])
        take_echo(end->echo, len, bytes);
    else if (nice_agent_send(agent, stream, component, len, bytes) != (gint)len)
        fail(end->echo, "nice_agent_send took less than the echo");
}

/* What one end would signal to the other. */
static void introduce(const struct end *from, const struct end *to)
{
    gchar *name = NULL, *password = NULL;
    nice_agent_get_local_credentials(from->agent, from->stream, &name, &password);
    nice_agent_set_remote_credentials(to->agent, to->stream, name, password);
    GSList *candidates = nice_agent_get_local_candidates(from->agent, from->stream, COMPONENT);
    for (GSList *c = candidates; c != NULL; c = c->next) {
        const NiceCandidate *candidate = c->data;
        char ip[NICE_ADDRESS_STRING_LEN];
        nice_address_to_string(&candidate->addr, ip);
        printf("candidate %s %s\n", type_name(candidate), ip);
    }
    nice_agent_set_remote_candidates(to->agent, to->stream, COMPONENT, candidates);
    g_slist_free_full(candidates, (GDestroyNotify)nice_candidate_free);
    g_free(name);
    g_free(password);
}

static void on_gathered(NiceAgent *agent, guint stream, gpointer data)
{
    struct end *end = data, *ends = end->echo->ends;
    end->gathered = TRUE;
    if (!ends[0].gathered || !ends[1].gathered)
        return;
    introduce(&ends[0], &ends[1]);
    introduce(&ends[1], &ends[0]);
}

static void print_pair(const struct end *end)
{
    NiceCandidate *local = NULL, *remote = NULL;
    if (!nice_agent_get_selected_pair(end->agent, end->stream, COMPONENT, &local, &remote))
        fail(end->echo, "ready without a selected pair");
    else
        printf("pair %s %s\n", type_name(local), type_name(remote));
}

static void on_state(NiceAgent *agent, guint stream, guint component, guint state, gpointer data)
{
    struct end *end = data;
    struct echo *e = end->echo;
    if (state == NICE_COMPONENT_STATE_FAILED)
        fail(e, "no pair of candidates connects");
    end->ready = state == NICE_COMPONENT_STATE_READY;
    if (e->started || !e->ends[0].ready || !e->ends[1].ready)
        return;
    e->started = TRUE;
    print_pair(&e->ends[0]);
    print_pair(&e->ends[1]);
    send_message(e);
}

static gboolean open_end(struct end *end, gboolean controlling, char **arguments)
{
    GMainContext *context = g_main_loop_get_context(end->echo->loop);
    end->agent = nice_agent_new(context, NICE_COMPATIBILITY_RFC5245);
    g_object_set(end->agent, "force-relay", TRUE, "upnp", FALSE, "ice-tcp", FALSE,
        "controlling-mode", controlling, NULL);
    g_signal_connect(end->agent, "candidate-gathering-done", G_CALLBACK(on_gathered), end);
    g_signal_connect(end->agent, "component-state-changed", G_CALLBACK(on_state), end);
    end->stream = nice_agent_add_stream(end->agent, 1);
    NiceAddress local;
    nice_address_init(&local);
    return end->stream != 0 && nice_address_set_from_string(&local, arguments[1]) &&
           nice_agent_add_local_address(end->agent, &local) &&
           nice_agent_set_relay_info(end->agent, end->stream, COMPONENT, arguments[1], PORT,
               arguments[2], arguments[3], NICE_RELAY_TYPE_TURN_UDP) &&
           nice_agent_attach_recv(end->agent, end->stream, COMPONENT, context, on_received, end) &&
           nice_agent_gather_candidates(end->agent, end->stream);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return EXIT_FAILURE;
    struct echo e = {
        .loop = g_main_loop_new(NULL, FALSE), .wanted = (guint)strtoul(argv[4], NULL, 10)};
    g_timeout_add_seconds(LIMIT_S, on_time_out, &e);
    for (guint i = 0; i < BOTH && !e.failed; i++) {
        e.ends[i].echo = &e;
        if (!open_end(&e.ends[i], i == 0, argv))
            fail(&e, "an end cannot be made");
    }
    if (!e.failed)
        g_main_loop_run(e.loop);
    for (guint i = 0; i < BOTH; i++)
        g_clear_object(&e.ends[i].agent);
    g_main_loop_unref(e.loop);
    printf("echoed %u of %u\n", e.echoed, e.wanted);
    return e.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

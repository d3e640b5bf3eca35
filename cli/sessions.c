/*
 * turnpikectl sessions: a line for each allocation, and with --media one for each of its streams,
 * page after page. Names are what clients sent: nothing in them reaches the terminal that it would
 * obey. Called by main.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/print.h"
#include "cli/session_pages.h"
#include "config/values.h"

#define USER_WIDTH 20 /* characters; longer names are cut, and whole in --json */

static long long number_of(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "?";
}

static void print_time(long long seconds)
{
    char text[32];
    if (seconds >= 3600) {
        snprintf(text, sizeof(text), "%lldh%02lldm", seconds / 3600, seconds / 60 % 60);
    } else {
        snprintf(text, sizeof(text), "%lldm%02llds", seconds / 60, seconds % 60);
    }
    printf("  %7s", text);
}

/* To three digits or so; --json has them all. */
static void print_bytes(long long bytes)
{
    static const char units[] = "kMGTPE";
    double amount = (double)bytes / 1000;
    size_t unit = 0;
    if (bytes < 1000) {
        printf(" %7lld", bytes);
        return;
    }
    while (amount >= 999.95 && unit + 2 < sizeof(units)) {
        amount /= 1000;
        unit++;
    }
    printf(" %6.1f%c", amount, units[unit]);
}

static void print_traffic(const json_t *of)
{
    printf("  %9lld", number_of(of, "packets"));
    print_bytes(number_of(of, "bytes"));
}

static void print_relayed(const json_t *list)
{
    char text[256] = "";
    size_t i, len = 0;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *addr = json_string_value(item);
        const int n =
            snprintf(text + len, sizeof(text) - len, "%s%s", i ? "," : "", addr ? addr : "?");
        len += n > 0 && (size_t)n < sizeof(text) - len ? (size_t)n : 0;
    }
    printf("  %-21s", text);
}

static void print_head(void)
{
    printf("%-16s  %-*s  %-4s  %-21s  %-21s  %7s  %7s  %9s %7s  %9s %7s  %-8s  %4s  %s\n", "ID",
        USER_WIDTH, "USER", "VIA", "CLIENT", "RELAYED", "AGE", "EXPIRES", "TO PEER", "BYTES",
        "TO CLIENT", "BYTES", "GUARD", "KEYS", "REALM");
}

static void print_session(const json_t *s)
{
    printf("%-16s  ", text_of(s, "id"));
    cli_print_text(stdout, json_object_get(s, "user"), USER_WIDTH, true);
    printf("  %-4s  %-21s", text_of(s, "transport"), text_of(s, "client"));
    print_relayed(json_object_get(s, "relayed"));
    print_time(number_of(s, "age_s"));
    print_time(number_of(s, "expires_s"));
    print_traffic(json_object_get(s, "to_peer"));
    print_traffic(json_object_get(s, "to_client"));
    printf("  %-8s  %4lld  ", text_of(s, "guard"), number_of(s, "keys"));
    cli_print_text(stdout, json_object_get(s, "realm"), 0, false);
    putchar('\n');
}

static void print_share(long long part, long long all)
{
    printf(" (%.1f %%)", all > 0 ? 100.0 * (double)part / (double)all : 0.0);
}

static void print_jitter(const json_t *jitter)
{
    if (json_is_integer(jitter)) {
        printf("  jitter %.1f ms", (double)json_integer_value(jitter) / 1000);
    } else {
        printf("  jitter unknown");
    }
}

static void print_stream(const json_t *m)
{
    const bool to_peer = strcmp(text_of(m, "direction"), "to_peer") == 0;
    printf("    %-9s  ssrc %08llx  type %3lld  %lld packets  lost %lld",
        to_peer ? "to peer" : "to client", (unsigned long long)number_of(m, "ssrc"),
        number_of(m, "payload_type"), number_of(m, "packets"), number_of(m, "lost"));
    print_share(number_of(m, "lost"), number_of(m, "expected"));
    printf("  late %lld  duplicates %lld", number_of(m, "late"), number_of(m, "duplicates"));
    print_jitter(json_object_get(m, "jitter_us"));
    printf("  dropped %lld  rtcp %lld  seen %.1f s ago\n", number_of(m, "dropped"),
        number_of(m, "rtcp_packets"), (double)number_of(m, "seen_ms") / 1000);
}

static void print_media(const json_t *s)
{
    const json_t *media = json_object_get(s, "media");
    const long long streams = number_of(s, "streams"), untracked = number_of(s, "untracked");
    size_t i;
    json_t *stream;
    json_array_foreach(media, i, stream)
    {
        print_stream(stream);
    }
    if (json_is_array(media) && streams > (long long)json_array_size(media)) {
        printf("    %zu of %lld streams are shown\n", json_array_size(media), streams);
    }
    if (json_is_array(media) && untracked > 0) {
        printf("    %lld packets of streams for which there was no place (srtp_verify.streams)\n",
            untracked);
    }
}

/* What is printed so far. */
struct listing {
    bool json;
    uint64_t sessions;
};

static void print_sessions(struct listing *l, const json_t *sessions)
{
    size_t i;
    json_t *s;
    json_array_foreach(sessions, i, s)
    {
        if (l->json) {
            fputs(l->sessions ? ",\n" : "\n", stdout);
            json_dumpf(s, stdout, JSON_COMPACT);
        } else {
            if (l->sessions == 0) {
                print_head();
            }
            print_session(s);
            print_media(s);
        }
        l->sessions++;
    }
}

static void print_end(const struct listing *l)
{
    if (l->json) {
        puts(l->sessions ? "\n]}" : "]}");
    } else if (l->sessions == 0) {
        puts("no sessions");
    }
}

/* The page at asked's cursor, which it moves on. CLI_GOES_ON: there is another. */
static int show_page(const struct cli_options *options, struct listing *l, json_t *asked)
{
    json_t *sessions = NULL;
    const int code = cli_session_page(options, asked, &sessions);
    if (sessions) {
        print_sessions(l, sessions);
    }
    json_decref(sessions);
    return code;
}

struct arguments {
    const char *user, *realm, *id, *peer, *older, *younger;
    bool media;
};

/* A time as `key` of the question, if there is one. */
static bool add_age(json_t *asked, const char *key, const char *text)
{
    uint64_t seconds;
    if (!text) {
        return true;
    }
    if (value_duration(text, &seconds) && seconds > 0 && seconds <= UINT32_MAX &&
        json_object_set_new(asked, key, json_integer((json_int_t)seconds)) == 0) {
        return true;
    }
    fputs("turnpikectl: --older and --younger take a time such as 90s, 10min or 48h\n", stderr);
    return false;
}

/* NULL: the line is said. */
static json_t *question(const struct arguments *a)
{
    json_t *asked = json_pack("{s:i, s:b, s:s*, s:s*, s:s*, s:s*}", "cursor", 0, "media", a->media,
        "user", a->user, "realm", a->realm, "id", a->id, "peer", a->peer);
    if (!asked) {
        fputs("turnpikectl: a name is no UTF-8 text\n", stderr);
    } else if (!add_age(asked, "older_s", a->older) || !add_age(asked, "younger_s", a->younger)) {
        json_decref(asked);
        return NULL;
    }
    return asked;
}

int cli_sessions(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    struct arguments a = {0};
    const struct cli_flag flags[] = {{"media", NULL, &a.media}, {"user", &a.user, NULL},
        {"realm", &a.realm, NULL}, {"id", &a.id, NULL}, {"peer", &a.peer, NULL},
        {"older", &a.older, NULL}, {"younger", &a.younger, NULL}, {NULL, NULL, NULL}};
    int code = cli_read_options(&options, argc, argv, flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    json_t *asked = question(&a);
    if (!asked) {
        return CLI_USAGE;
    }
    struct listing l = {.json = options.json};
    if (l.json) {
        fputs("{\"sessions\": [", stdout);
    }
    while ((code = show_page(&options, &l, asked)) == CLI_GOES_ON) {
    }
    if (code == CLI_DONE) {
        print_end(&l);
    }
    json_decref(asked);
    return code;
}

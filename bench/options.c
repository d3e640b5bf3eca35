/*
 * The command line of the load generator. Everything is checked here, so that the rows can rely on
 * it: sizes hold the probe, segments fit one datagram, addresses suffice for the allocations.
 *
 * Called by main.
 */
#include "bench/options.h"

#include "bench/media.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GSO_BYTES_MAX 60000u
#define BURST_MAX     32u

#define GUESS_TEXT_MAX    400u
#define GUESS_NAMES_MAX   999999u /* six digits, and one for the warm-up */
#define GUESS_SAMPLES_MAX 10000000u

static const char usage[] =
    "usage: turnpike-bench media|setup|binding|idle|flood|connections|guess --server IP:PORT "
    "[options]\n"
    "       turnpike-bench srtp --srtp SUITE [--size BYTES] [--seconds S] [--allocations N]\n"
    "                                          libsrtp2 alone\n"
    "  --user NAME --password TEXT  long-term credentials (bench, bench)\n"
    "  --clients IP/BITS            addresses of the clients, all local here (127.77.0.0/16)\n"
    "  --peer IP                    address of the peer (127.0.0.1)\n"
    "  --peer-netns FILE            network namespace of the peer\n"
    "  --pid PID --server-cpu N     measure this process, and ksoftirqd of its core\n"
    "  --transport udp|tcp|tls|dtls  between the clients and the server (udp)\n"
    "  --resume               TLS: each connection resumes the session of the one before it\n"
    "  --label TEXT                 names the server in the output\n"
    "  --allocations N (200)  --size BYTES (160)  --burst N (1)  --coalesced\n"
    "  --to-client            from the peer to the clients instead of the other way\n"
    "  --indications          Send and Data indications instead of channels\n"
    "  --srtp SUITE           payloads are SRTP, under a key that everybody knows\n"
    "  --wait                 says ready when all is set up, and waits for a line before it sends\n"
    "  --pps N (20000)        packets a second in all; 0: as fast as goes\n"
    "                         of setup and binding: sessions; 0 unless it is given\n"
    "  --window N (128)       in flight at once when not paced\n"
    "  --flood malformed|unauthenticated|wrong-password  --flood-pps N (20000)\n"
    "  --seconds S (2)  --warmup S (0.5)\n"
    "  guess: --known TEXT  --unknown TEXT   six digits are added, from 000000 on\n"
    "         --names N (1) of either  --samples N (100000) of either  --userhash\n"
    "         --cold                         each name once, and none before\n";

enum {
    OPT_SERVER = 256,
    OPT_USER,
    OPT_PASSWORD,
    OPT_CLIENTS,
    OPT_PEER,
    OPT_PEER_NETNS,
    OPT_PID,
    OPT_SERVER_CPU,
    OPT_LABEL,
    OPT_TRANSPORT,
    OPT_RESUME,
    OPT_ALLOCATIONS,
    OPT_SIZE,
    OPT_BURST,
    OPT_COALESCED,
    OPT_TO_CLIENT,
    OPT_INDICATIONS,
    OPT_SRTP,
    OPT_WAIT,
    OPT_PPS,
    OPT_WINDOW,
    OPT_FLOOD,
    OPT_FLOOD_PPS,
    OPT_SECONDS,
    OPT_WARMUP,
    OPT_KNOWN,
    OPT_UNKNOWN,
    OPT_NAMES,
    OPT_SAMPLES,
    OPT_COLD,
    OPT_USERHASH
};

static const struct option long_options[] = {
    {"server", required_argument, NULL, OPT_SERVER},
    {"user", required_argument, NULL, OPT_USER},
    {"password", required_argument, NULL, OPT_PASSWORD},
    {"clients", required_argument, NULL, OPT_CLIENTS},
    {"peer", required_argument, NULL, OPT_PEER},
    {"peer-netns", required_argument, NULL, OPT_PEER_NETNS},
    {"pid", required_argument, NULL, OPT_PID},
    {"server-cpu", required_argument, NULL, OPT_SERVER_CPU},
    {"label", required_argument, NULL, OPT_LABEL},
    {"transport", required_argument, NULL, OPT_TRANSPORT},
    {"resume", no_argument, NULL, OPT_RESUME},
    {"allocations", required_argument, NULL, OPT_ALLOCATIONS},
    {"size", required_argument, NULL, OPT_SIZE},
    {"burst", required_argument, NULL, OPT_BURST},
    {"coalesced", no_argument, NULL, OPT_COALESCED},
    {"to-client", no_argument, NULL, OPT_TO_CLIENT},
    {"indications", no_argument, NULL, OPT_INDICATIONS},
    {"srtp", required_argument, NULL, OPT_SRTP},
    {"wait", no_argument, NULL, OPT_WAIT},
    {"pps", required_argument, NULL, OPT_PPS},
    {"window", required_argument, NULL, OPT_WINDOW},
    {"flood", required_argument, NULL, OPT_FLOOD},
    {"flood-pps", required_argument, NULL, OPT_FLOOD_PPS},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"known", required_argument, NULL, OPT_KNOWN},
    {"unknown", required_argument, NULL, OPT_UNKNOWN},
    {"names", required_argument, NULL, OPT_NAMES},
    {"samples", required_argument, NULL, OPT_SAMPLES},
    {"cold", no_argument, NULL, OPT_COLD},
    {"userhash", no_argument, NULL, OPT_USERHASH},
    {NULL, 0, NULL, 0},
};

static bool parse_unsigned(const char *text, unsigned max, unsigned *out)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || text[0] == '-' || value > max) {
        return false;
    }
    *out = (unsigned)value;
    return true;
}

static bool parse_seconds(const char *text, double *out)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= 0.05 && value <= 600)) {
        return false;
    }
    *out = value;
    return true;
}

/* "IP:PORT" or "IP/BITS": splits, and reads both halves. */
static bool parse_pair(const char *text, char between, struct in_addr *ip, unsigned *number)
{
    char copy[64];
    const char *mark = strchr(text, between);

    if (mark == NULL || (size_t)(mark - text) >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text, (size_t)(mark - text));
    copy[mark - text] = '\0';
    return inet_pton(AF_INET, copy, ip) == 1 && parse_unsigned(mark + 1, 65535, number);
}

static bool parse_server(const char *text, struct sockaddr_in *out)
{
    unsigned port;
    struct in_addr ip;

    if (!parse_pair(text, ':', &ip, &port) || port == 0) {
        return false;
    }
    *out = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = ip};
    return true;
}

static bool parse_clients(const char *text, struct place *out)
{
    unsigned bits;
    struct in_addr ip;

    if (!parse_pair(text, '/', &ip, &bits) || bits < 8 || bits > 24) {
        return false;
    }
    out->first_client = ntohl(ip.s_addr) + 1;
    out->clients = (1u << (32 - bits)) - 2;
    return true;
}

static bool parse_kind(const char *text, enum row_kind *out)
{
    static const char *const names[] = {
        "media", "setup", "binding", "idle", "flood", "connections", "guess", "srtp"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum row_kind)i;
            return true;
        }
    }
    return false;
}

static bool parse_flood(const char *text, enum flood_kind *out)
{
    static const char *const names[] = {"malformed", "unauthenticated", "wrong-password"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum flood_kind)i;
            return true;
        }
    }
    return false;
}

static bool parse_transport(const char *text, enum transport *out)
{
    for (unsigned i = 0; i < TRANSPORTS; i++) {
        if (strcmp(text, transport_name((enum transport)i)) == 0) {
            *out = (enum transport)i;
            return true;
        }
    }
    return false;
}

static bool parse_target(struct target *t, int option, const char *value)
{
    unsigned number;

    switch (option) {
    case OPT_SERVER:
        return parse_server(value, &t->address);
    case OPT_USER:
        t->user = value;
        return true;
    case OPT_PASSWORD:
        t->password = value;
        return true;
    case OPT_LABEL:
        t->label = value;
        return true;
    case OPT_TRANSPORT:
        return parse_transport(value, &t->transport);
    case OPT_RESUME:
        t->resume = true;
        return true;
    case OPT_PID:
        if (!parse_unsigned(value, 1u << 30, &number)) {
            return false;
        }
        t->pid = (pid_t)number;
        return true;
    case OPT_SERVER_CPU:
        if (!parse_unsigned(value, 4095, &number)) {
            return false;
        }
        t->cpu = (int)number;
        return true;
    default:
        return false;
    }
}

static bool parse_place(struct place *p, int option, const char *value)
{
    switch (option) {
    case OPT_CLIENTS:
        return parse_clients(value, p);
    case OPT_PEER:
        return inet_pton(AF_INET, value, &p->peer) == 1;
    case OPT_PEER_NETNS:
        p->peer_netns = value;
        return true;
    default:
        return false;
    }
}

static bool parse_work(struct work *w, int option, const char *value)
{
    switch (option) {
    case OPT_ALLOCATIONS:
        return parse_unsigned(value, 100000, &w->allocations);
    case OPT_SIZE:
        return parse_unsigned(value, 1400, &w->size);
    case OPT_BURST:
        return parse_unsigned(value, BURST_MAX, &w->burst);
    case OPT_PPS:
        return parse_unsigned(value, 10000000, &w->pps);
    case OPT_WINDOW:
        return parse_unsigned(value, 4096, &w->window);
    case OPT_FLOOD:
        return parse_flood(value, &w->flood);
    case OPT_FLOOD_PPS:
        return parse_unsigned(value, 10000000, &w->flood_pps);
    case OPT_SECONDS:
        return parse_seconds(value, &w->seconds);
    case OPT_WARMUP:
        return parse_seconds(value, &w->warmup_seconds);
    case OPT_COALESCED:
        w->coalesced = true;
        return true;
    case OPT_TO_CLIENT:
        w->to_client = true;
        return true;
    case OPT_INDICATIONS:
        w->indications = true;
        return true;
    case OPT_SRTP:
        w->srtp = value;
        return true;
    case OPT_WAIT:
        w->waits = true;
        return true;
    default:
        return false;
    }
}

static const char *transport_contradiction(const struct options *o)
{
    enum transport transport = o->target.transport;

    if (o->target.resume && transport != TRANSPORT_TLS) {
        return "--resume is for --transport tls";
    }
    if (transport != TRANSPORT_UDP && (o->work.coalesced || o->work.kind == ROW_FLOOD)) {
        return "--coalesced and floods are for --transport udp";
    }
    if (transport == TRANSPORT_UDP && o->work.kind == ROW_CONNECTIONS) {
        return "connections are of --transport tcp, tls or dtls";
    }
    return NULL;
}

static bool parse_guessing(struct guessing *g, int option, const char *value)
{
    switch (option) {
    case OPT_KNOWN:
        g->known = value;
        return strlen(value) <= GUESS_TEXT_MAX;
    case OPT_UNKNOWN:
        g->unknown = value;
        return strlen(value) <= GUESS_TEXT_MAX;
    case OPT_NAMES:
        return parse_unsigned(value, GUESS_NAMES_MAX, &g->names);
    case OPT_SAMPLES:
        return parse_unsigned(value, GUESS_SAMPLES_MAX, &g->samples);
    case OPT_COLD:
        g->cold = true;
        return true;
    case OPT_USERHASH:
        g->userhash = true;
        return true;
    default:
        return false;
    }
}

static const char *guess_contradiction(const struct options *o)
{
    const struct guessing *g = &o->guess;

    if (o->target.transport != TRANSPORT_UDP) {
        return "guess is for --transport udp";
    }
    if (g->known == NULL || g->unknown == NULL) {
        return "guess needs --known and --unknown";
    }
    if (g->names == 0 || g->samples < 2 || (g->cold && g->names < 2)) {
        return "guess needs --names and --samples";
    }
    return NULL;
}

static const char *srtp_contradiction(const struct work *w)
{
    if (w->allocations == 0) {
        return "--allocations is at least 1";
    }
    return w->size < MEDIA_SIZE_MIN + MEDIA_TAG_MAX ? "--size is too small for SRTP" : NULL;
}

/* What is wrong with the whole, or NULL. */
static const char *contradiction(const struct options *o)
{
    const struct work *w = &o->work;

    if (w->kind == ROW_SRTP) {
        return w->srtp == NULL ? "srtp needs --srtp" : srtp_contradiction(w);
    }
    if (o->target.address.sin_port == 0) {
        return "--server is missing";
    }
    if (w->kind == ROW_GUESS) {
        return guess_contradiction(o);
    }
    if (w->size < MEDIA_SIZE_MIN) {
        return "--size is too small for the time stamp";
    }
    if (w->srtp != NULL && srtp_contradiction(w) != NULL) {
        return srtp_contradiction(w);
    }
    if (w->allocations == 0 || w->burst == 0 || w->window == 0) {
        return "--allocations, --burst and --window are at least 1";
    }
    if (w->coalesced && (w->indications || (w->size + 4) * w->burst > GSO_BYTES_MAX)) {
        return "--coalesced is for channels, and for bursts that fit one datagram";
    }
    if (w->indications && w->size % 4 != 0) {
        return "--indications takes sizes that need no padding";
    }
    if (w->kind == ROW_FLOOD && (w->pps == 0 || w->flood_pps == 0)) {
        return "a flood is paced: --pps and --flood-pps are at least 1";
    }
    if (w->kind == ROW_IDLE && w->pps == 0) {
        return "idle is paced: --pps is at least 1";
    }
    if (w->allocations > o->place.clients / 2) {
        return "--clients holds too few addresses";
    }
    return transport_contradiction(o);
}

int options_parse(struct options *out, int argc, char **argv)
{
    struct options o = {
        .target = {.label = "server", .user = "bench", .password = "bench", .cpu = -1},
        .place = {.peer.s_addr = htonl(INADDR_LOOPBACK)},
        .work = {.allocations = 200,
            .size = 160,
            .burst = 1,
            .pps = 20000,
            .window = 128,
            .seconds = 2,
            .warmup_seconds = 0.5},
        .guess = {.names = 1, .samples = 100000},
    };
    int option;

    parse_clients("127.77.0.0/16", &o.place);
    if (argc < 2 || !parse_kind(argv[1], &o.work.kind)) {
        fputs(usage, stderr);
        return -EINVAL;
    }
    if (o.work.kind == ROW_SETUP || o.work.kind == ROW_BINDING) {
        o.work.pps = 0;
    }
    o.work.flood_pps = o.work.kind == ROW_FLOOD ? 20000 : 0;
    optind = 2;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == '?' ||
            !(parse_target(&o.target, option, optarg) || parse_place(&o.place, option, optarg) ||
                parse_work(&o.work, option, optarg) || parse_guessing(&o.guess, option, optarg))) {
            fprintf(stderr, "turnpike-bench: bad argument near %s\n%s", argv[optind - 1], usage);
            return -EINVAL;
        }
    }
    const char *wrong = optind < argc ? "an argument too many" : contradiction(&o);
    if (wrong != NULL) {
        fprintf(stderr, "turnpike-bench: %s\n", wrong);
        return -EINVAL;
    }
    if (o.guess.cold) {
        o.guess.samples = o.guess.names;
    }
    *out = o;
    return 0;
}

/*
 * Two endpoints of a call, and what became of every packet between them: the client, behind a relay
 * whose allocation and channel somebody else has made, and its peer. Sockets come open.
 *
 *   srtp_caller CLIENT_FD SERVER_IP SERVER_PORT CHANNEL PEER_FD RELAYED_IP RELAYED_PORT
 *
 * CHANNEL 0: the two talk to each other without a relay, and without ChannelData. Commands come as
 * lines on standard input; each is done before the next is read:
 *
 *   stream NAME to_peer|to_client SSRC SUITE KEY [seq=N] [roc=N] [size=N] [mki=HEX]    KEY in hex
 *   rekey NAME KEY
 *   send NAME[,NAME...] COUNT [rtcp=N]     of each, in turn; every N-th is an SRTCP packet
 *   fault NAME[,OTHER] FAULT COUNT [rtcp]  OTHER: a stream the other way
 *   report                                 waits for what is on its way; prints one line of JSON
 *
 * A report tells by direction and label (the fault, with "_rtcp" where it is one), since the one
 * before: how many were sent and arrived, as they were sent; what libsrtp2 at the far end said of
 * those; of faulty ones, what it would say if it had seen nothing before. "altered" arrived and was
 * never sent. tests/interop/calls.py runs it.
 */
#include "tests/srtp/media_stream.h"
#include "tests/srtp/sent_packets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STREAMS_MAX   16
#define LINE_MAX_LEN  1024
#define WORDS_MAX     16
#define FLIGHT_MAX    64   /* whole packets that have not arrived */
#define PATIENCE_MS   1000 /* without an arrival: what is on its way is lost */
#define DIRECTIONS    2    /* to_peer, to_client */
#define LABELS        (2 * FAULT_COUNT)
#define MISSING_SHOWN 8
#define RECEIVE_BYTES (4 << 20)

struct tally {
    uint64_t sent, arrived, received[MEDIA_STATUSES], alone[MEDIA_STATUSES];
};

struct end {
    int fd;
    struct sockaddr_in to;
    uint16_t channel; /* 0: no ChannelData */
};

struct caller {
    struct end ends[DIRECTIONS]; /* who sends in this direction */
    struct media_stream streams[STREAMS_MAX];
    unsigned stream_count;
    struct sent_packets *sent;
    size_t reported; /* of sent, those before the latest report */
    struct tally tallies[DIRECTIONS][LABELS];
    uint64_t altered, in_flight;
};

static const char *const direction_names[] = {"to_peer", "to_client"};
static const char *const fault_names[] = {
#define FAULT(id, name) name,
    MEDIA_FAULTS(FAULT)
#undef FAULT
};

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "srtp_caller: %s%s%s\n", what, detail[0] != '\0' ? ": " : "", detail);
    exit(EXIT_FAILURE);
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t number(const char *text, uint64_t max)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0' || value > max) {
        die("no such number", text);
    }
    return value;
}

static size_t read_hex(const char *text, uint8_t *out, size_t cap)
{
    size_t len = strlen(text) / 2;

    if (strlen(text) % 2 != 0 || len > cap) {
        die("no such bytes", text);
    }
    for (size_t i = 0; i < len; i++) {
        unsigned value;
        if (sscanf(text + 2 * i, "%2x", &value) != 1) {
            die("no hexadecimal", text);
        }
        out[i] = (uint8_t)value;
    }
    return len;
}

static struct media_stream *find_stream(struct caller *c, const char *name)
{
    for (unsigned i = 0; i < c->stream_count; i++) {
        if (strcmp(c->streams[i].name, name) == 0) {
            return &c->streams[i];
        }
    }
    die("no such stream", name);
    return NULL;
}

static struct media_stream *stream_of(struct caller *c, unsigned direction, uint32_t ssrc)
{
    for (unsigned i = 0; i < c->stream_count; i++) {
        if (c->streams[i].direction == direction && c->streams[i].ssrc == ssrc) {
            return &c->streams[i];
        }
    }
    return NULL;
}

static void take(struct caller *c, unsigned direction, const uint8_t *bytes, size_t len)
{
    struct sent_packet *p = sent_packets_find(c->sent, (uint8_t)direction, bytes, len);

    if (p == NULL || p->arrived == p->copies) {
        c->altered++;
        return;
    }
    uint8_t label = p->arrived == 0 ? p->first_label : p->later_label;
    struct tally *t = &c->tallies[direction][label];
    struct media_stream *s = stream_of(c, direction, media_ssrc(bytes, p->rtcp));
    p->arrived++;
    t->arrived++;
    t->received[s == NULL ? srtp_err_status_no_ctx : media_stream_receive(s, bytes, len)]++;
    if (label % FAULT_COUNT == FAULT_PLAIN && c->in_flight > 0) {
        c->in_flight--;
    }
}

/* Reads all that has come in this direction. */
static bool receive(struct caller *c, unsigned direction)
{
    const struct end *to = &c->ends[1 - direction];
    uint8_t bytes[2048];
    ssize_t got;
    bool any = false;

    while ((got = recv(to->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        size_t skipped = 0;
        any = true;
        if (to->channel != 0) {
            bool good = got >= 4 && (bytes[0] << 8 | bytes[1]) == to->channel &&
                        (bytes[2] << 8 | bytes[3]) == got - 4;
            if (!good) {
                c->altered++;
                continue;
            }
            skipped = 4;
        }
        take(c, direction, bytes + skipped, (size_t)got - skipped);
    }
    return any;
}

static bool pump(struct caller *c, int timeout_ms)
{
    struct pollfd fds[] = {
        {.fd = c->ends[0].fd, .events = POLLIN}, {.fd = c->ends[1].fd, .events = POLLIN}};

    if (timeout_ms > 0) {
        poll(fds, 2, timeout_ms);
    }
    bool one = receive(c, 0), other = receive(c, 1);
    return one || other;
}

/* Until at most so many are on their way, or nothing comes any more. */
static void wait_for_arrivals(struct caller *c, uint64_t most)
{
    uint64_t moved = now_ms();

    pump(c, 0);
    while (c->in_flight > most) {
        if (pump(c, 10)) {
            moved = now_ms();
        } else if (now_ms() > moved + PATIENCE_MS) {
            c->in_flight = 0;
        }
    }
}

static void send_packet(struct caller *c, struct media_stream *s, enum media_fault fault, bool rtcp,
    struct media_packet *p)
{
    const struct end *from = &c->ends[s->direction];
    uint8_t bytes[4 + sizeof(p->bytes)] = {(uint8_t)(from->channel >> 8), (uint8_t)from->channel,
        (uint8_t)(p->len >> 8), (uint8_t)p->len};
    size_t skipped = from->channel != 0 ? 0 : 4;
    uint8_t label = (uint8_t)(fault + (rtcp ? FAULT_COUNT : 0));
    struct tally *t = &c->tallies[s->direction][label];
    const struct sent_packet sent = {.bytes = p->bytes,
        .len = (uint16_t)p->len,
        .direction = s->direction,
        .first_label = label,
        .rtcp = rtcp};

    sent_packets_add(c->sent, &sent);
    t->sent++;
    if (fault == FAULT_PLAIN) {
        c->in_flight++;
    } else {
        t->alone[media_stream_judge_alone(s, p, rtcp)]++;
    }
    memcpy(bytes + 4, p->bytes, p->len);
    if (sendto(from->fd, bytes + skipped, 4 + p->len - skipped, 0,
            (const struct sockaddr *)&from->to, sizeof(from->to)) < 0) {
        die("sendto", strerror(errno));
    }
}

static void do_stream(struct caller *c, char **words, unsigned count)
{
    struct media_stream *s = &c->streams[c->stream_count];
    size_t key_len;

    if (count < 6 || c->stream_count == STREAMS_MAX) {
        die("stream", "too few words, or too many streams");
    }
    *s = (struct media_stream){.size = 160, .direction = strcmp(words[2], "to_client") == 0};
    snprintf(s->name, sizeof(s->name), "%s", words[1]);
    s->ssrc = (uint32_t)number(words[3], UINT32_MAX);
    s->seed = s->ssrc;
    if (!media_suite(words[4], &s->key.suite, &key_len)) {
        die("no such suite", words[4]);
    }
    s->key.len = read_hex(words[5], s->key.bytes, sizeof(s->key.bytes));
    for (unsigned i = 6; i < count; i++) {
        if (strncmp(words[i], "seq=", 4) == 0) {
            s->sequence = (uint16_t)number(words[i] + 4, UINT16_MAX);
        } else if (strncmp(words[i], "roc=", 4) == 0) {
            s->roc = (uint32_t)number(words[i] + 4, UINT32_MAX);
        } else if (strncmp(words[i], "size=", 5) == 0) {
            s->size = (unsigned)number(words[i] + 5, 1200);
        } else if (strncmp(words[i], "mki=", 4) == 0) {
            s->key.mki_len = read_hex(words[i] + 4, s->key.mki, sizeof(s->key.mki));
        } else {
            die("no such option", words[i]);
        }
    }
    if (s->key.len != key_len || s->size == 0 || !media_stream_init(s)) {
        die("no such stream", words[1]);
    }
    c->stream_count++;
}

static void do_rekey(struct caller *c, char **words, unsigned count)
{
    if (count != 3) {
        die("rekey", "a name and a key");
    }
    struct media_stream *s = find_stream(c, words[1]);
    struct media_key key = s->key;
    wait_for_arrivals(c, 0);
    if (read_hex(words[2], key.bytes, sizeof(key.bytes)) != key.len ||
        !media_stream_rekey(s, &key)) {
        die("no such key", words[1]);
    }
}

/* "A,B" into streams. */
static unsigned find_streams(struct caller *c, char *names, struct media_stream **out)
{
    unsigned count = 0;
    char *rest = NULL;

    for (char *name = strtok_r(names, ",", &rest); name != NULL && count < STREAMS_MAX;
         name = strtok_r(NULL, ",", &rest)) {
        out[count++] = find_stream(c, name);
    }
    return count;
}

static void do_send(struct caller *c, char **words, unsigned count)
{
    struct media_stream *streams[STREAMS_MAX];
    struct media_packet p;

    if (count < 3) {
        die("send", "names and a number");
    }
    unsigned of = find_streams(c, words[1], streams);
    uint64_t each = number(words[2], 10000000);
    uint64_t rtcp =
        count > 3 && strncmp(words[3], "rtcp=", 5) == 0 ? number(words[3] + 5, each) : 0;
    for (uint64_t i = 0; i < each * of; i++) {
        struct media_stream *s = streams[i % of];
        bool is_rtcp = rtcp > 0 && (i / of + 1) % rtcp == 0;
        if (!media_stream_make(s, NULL, FAULT_PLAIN, is_rtcp, &p)) {
            die("libsrtp2 refuses a packet", s->name);
        }
        send_packet(c, s, FAULT_PLAIN, is_rtcp, &p);
        wait_for_arrivals(c, FLIGHT_MAX);
    }
}

static enum media_fault find_fault(const char *name)
{
    for (unsigned i = FAULT_PLAIN + 1; i < FAULT_COUNT; i++) {
        if (strcmp(name, fault_names[i]) == 0) {
            return (enum media_fault)i;
        }
    }
    die("no such fault", name);
    return FAULT_PLAIN;
}

static void do_fault(struct caller *c, char **words, unsigned count)
{
    struct media_stream *streams[STREAMS_MAX];
    struct media_packet p;

    if (count < 4) {
        die("fault", "a stream, a fault and a number");
    }
    unsigned of = find_streams(c, words[1], streams);
    enum media_fault fault = find_fault(words[2]);
    bool rtcp = count > 4 && strcmp(words[4], "rtcp") == 0;
    wait_for_arrivals(c, 0);
    for (uint64_t i = number(words[3], 1000); i > 0; i--) {
        if (!media_stream_make(streams[0], of > 1 ? streams[1] : NULL, fault, rtcp, &p)) {
            die("such a packet cannot be made", words[2]);
        }
        send_packet(c, streams[0], fault, rtcp, &p);
    }
}

static void print_statuses(const char *name, const uint64_t counts[MEDIA_STATUSES])
{
    const char *comma = "";

    printf(", \"%s\": {", name);
    for (unsigned i = 0; i < MEDIA_STATUSES; i++) {
        if (counts[i] > 0) {
            printf("%s\"%s\": %llu", comma, media_status_text((srtp_err_status_t)i),
                (unsigned long long)counts[i]);
            comma = ", ";
        }
    }
    putchar('}');
}

static void print_direction(const struct caller *c, unsigned direction)
{
    const char *comma = "";

    printf("\"%s\": {", direction_names[direction]);
    for (unsigned label = 0; label < LABELS; label++) {
        const struct tally *t = &c->tallies[direction][label];
        if (t->sent == 0) {
            continue;
        }
        printf("%s\"%s%s\": {\"sent\": %llu, \"arrived\": %llu", comma,
            fault_names[label % FAULT_COUNT], label >= FAULT_COUNT ? "_rtcp" : "",
            (unsigned long long)t->sent, (unsigned long long)t->arrived);
        print_statuses("received", t->received);
        print_statuses("alone", t->alone);
        putchar('}');
        comma = ", ";
    }
    printf("}, ");
}

/* The first of those that were sent since the report before, whole, and did not arrive. */
static void print_missing(struct caller *c)
{
    const struct sent_packet *p;
    unsigned shown = 0;

    printf("\"missing\": [");
    for (; (p = sent_packets_at(c->sent, c->reported)) != NULL; c->reported++) {
        if (p->arrived > 0 || p->first_label % FAULT_COUNT != FAULT_PLAIN ||
            shown == MISSING_SHOWN) {
            continue;
        }
        printf("%s\"%s ssrc %u %s %u\"", shown++ > 0 ? ", " : "", direction_names[p->direction],
            media_ssrc(p->bytes, p->rtcp), p->rtcp ? "rtcp" : "sequence",
            p->rtcp ? 0u : (unsigned)(p->bytes[2] << 8 | p->bytes[3]));
    }
    printf("]}\n");
}

static void do_report(struct caller *c)
{
    wait_for_arrivals(c, 0);
    putchar('{');
    for (unsigned i = 0; i < DIRECTIONS; i++) {
        print_direction(c, i);
    }
    printf("\"altered\": %llu, ", (unsigned long long)c->altered);
    print_missing(c);
    fflush(stdout);
    memset(c->tallies, 0, sizeof(c->tallies));
    c->altered = 0;
}

static void obey(struct caller *c, char *line)
{
    char *words[WORDS_MAX], *rest = NULL;
    unsigned count = 0;

    for (char *word = strtok_r(line, " \n", &rest); word != NULL && count < WORDS_MAX;
         word = strtok_r(NULL, " \n", &rest)) {
        words[count++] = word;
    }
    if (count == 0) {
        return;
    }
    if (strcmp(words[0], "stream") == 0) {
        do_stream(c, words, count);
    } else if (strcmp(words[0], "rekey") == 0) {
        do_rekey(c, words, count);
    } else if (strcmp(words[0], "send") == 0) {
        do_send(c, words, count);
    } else if (strcmp(words[0], "fault") == 0) {
        do_fault(c, words, count);
    } else if (strcmp(words[0], "report") == 0) {
        do_report(c);
    } else {
        die("no such command", words[0]);
    }
}

static void open_end(struct end *end, char **words, uint16_t channel)
{
    int bytes = RECEIVE_BYTES;

    end->fd = (int)number(words[0], 65535);
    end->channel = channel;
    end->to = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)number(words[2], 65535))};
    if (inet_pton(AF_INET, words[1], &end->to.sin_addr) != 1) {
        die("no IPv4 address", words[1]);
    }
    if (setsockopt(end->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0) {
        die("setsockopt", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    static struct caller c;
    char line[LINE_MAX_LEN];

    if (argc != 8) {
        die("usage", "CLIENT_FD SERVER_IP SERVER_PORT CHANNEL PEER_FD RELAYED_IP RELAYED_PORT");
    }
    open_end(&c.ends[0], argv + 1, (uint16_t)number(argv[4], 0x4fff));
    open_end(&c.ends[1], argv + 5, 0);
    c.sent = sent_packets_new();
    if (srtp_init() != srtp_err_status_ok) {
        die("srtp_init", "");
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        obey(&c, line);
    }
    for (unsigned i = 0; i < c.stream_count; i++) {
        media_stream_deinit(&c.streams[i]);
    }
    sent_packets_free(c.sent);
    srtp_shutdown();
    return EXIT_SUCCESS;
}

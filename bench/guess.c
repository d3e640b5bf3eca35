/*
 * The row that looks for users. One socket, one request in flight: the time from just before the
 * send to just behind the receive, with the receiver spinning, is one value. Requests are built and
 * answers read outside of it, in the same buffers for both kinds.
 *
 * Equal state of caches: all names are asked equally often, in blocks in which each of them comes
 * equally often, each block in an order of its own. What is asked first is not counted, or with
 * `cold` is asked for another name, so that each value is of a name that was never asked before.
 *
 * Called by main.
 */
#include "bench/guess.h"

#include "base/crypto.h"
#include "bench/usage.h"
#include "wire/stun.h"
#include "wire/stun_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_MAX     1500
#define NAME_MAX_BYTES  508
#define REALM_MAX       128
#define NONCE_MAX       160
#define UDP_PROTOCOL    17
#define ANSWER_LIMIT_NS 200000000u
#define BLOCK_MIN       64u   /* requests */
#define WARM_UP         5000u /* requests; at least each name twice */
#define LOST_PERMILLE   5
#define CROP_PERCENT    10.0
#define REFUSED         401
#define STALE_NONCE     438

struct guess {
    const struct options *options;
    int fd;
    struct crypto *crypto;
    uint64_t random;
    uint32_t serial;
    uint64_t lost;
    size_t realm_len, nonce_len;
    uint8_t realm[REALM_MAX], nonce[NONCE_MAX];
    uint8_t request[MESSAGE_MAX], answer[MESSAGE_MAX];
    uint32_t *block; /* names of both kinds: 2 * index + kind */
    uint32_t *values[2];
    size_t counts[2];
};

/* splitmix64: an order that the server cannot follow, not a secret. */
static uint64_t next_random(struct guess *g)
{
    uint64_t z = (g->random += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void write_begin(struct guess *g, struct stun_writer *w)
{
    uint8_t transaction[STUN_TRANSACTION_LEN];
    struct writer id;

    writer_init(&id, transaction, sizeof(transaction));
    writer_u32(&id, STUN_MAGIC_COOKIE);
    writer_u32(&id, (uint32_t)getpid());
    writer_u32(&id, 0);
    writer_u32(&id, ++g->serial);
    stun_write_begin(w, g->request, sizeof(g->request), STUN_REQUEST, STUN_ALLOCATE, transaction);
    stun_write_u32(w, STUN_ATTR_REQUESTED_TRANSPORT, (uint32_t)UDP_PROTOCOL << 24);
}

static int write_name(struct guess *g, struct stun_writer *w, const char *name)
{
    const struct slice parts[] = {
        slice_of_string(name), slice_of(":", 1), slice_of(g->realm, g->realm_len)};
    uint8_t hash[CRYPTO_SHA256_LEN];

    if (!g->options->guess.userhash) {
        stun_write_attr(w, STUN_ATTR_USERNAME, parts[0]);
        return 0;
    }
    int rc = crypto_digest(g->crypto, CRYPTO_SHA256, parts, 3, hash);
    stun_write_attr(w, STUN_ATTR_USERHASH, slice_of(hash, sizeof(hash)));
    return rc;
}

/* A request whose integrity is of nobody's key. Its length; 0: it cannot be made. */
static size_t write_guess(struct guess *g, const char *name)
{
    static const uint8_t key[CRYPTO_MD5_LEN] = "not of any user";
    struct stun_writer w;

    write_begin(g, &w);
    if (write_name(g, &w, name) < 0) {
        return 0;
    }
    stun_write_attr(&w, STUN_ATTR_REALM, slice_of(g->realm, g->realm_len));
    stun_write_attr(&w, STUN_ATTR_NONCE, slice_of(g->nonce, g->nonce_len));
    stun_write_integrity(&w, g->crypto, slice_of(key, sizeof(key)), false);
    return stun_write_end(&w);
}

static bool is_answer(const struct guess *g, size_t len)
{
    return len >= STUN_HEADER_LEN &&
           memcmp(g->answer + 4, g->request + 4, STUN_TRANSACTION_LEN) == 0;
}

/* ns from the send to the answer, which is then in `answer`; 0: lost. -errno. */
static int64_t exchange(struct guess *g, size_t len, size_t *answer_len)
{
    const uint64_t start = monotonic_ns();

    if (send(g->fd, g->request, len, 0) < 0) {
        return -errno;
    }
    for (;;) {
        const ssize_t n = recv(g->fd, g->answer, sizeof(g->answer), MSG_DONTWAIT);
        const uint64_t now = monotonic_ns();
        if (n > 0 && is_answer(g, (size_t)n)) {
            *answer_len = (size_t)n;
            return (int64_t)(now - start);
        }
        if (n < 0 && errno != EAGAIN) {
            return -errno;
        }
        if (now - start > ANSWER_LIMIT_NS) {
            return 0;
        }
    }
}

static bool keep(uint8_t *out, size_t cap, size_t *len, const struct stun_msg *msg, uint16_t type)
{
    struct slice value;

    if (!stun_find(msg, type, &value) || value.len == 0 || value.len > cap) {
        return false;
    }
    memcpy(out, value.data, value.len);
    *len = value.len;
    return true;
}

/* The answer's error code, with its realm and nonce taken for what is asked next; 0: not one. */
static unsigned take_challenge(struct guess *g, size_t len)
{
    struct stun_msg msg;
    struct slice error;

    if (stun_parse(&msg, slice_of(g->answer, len)) != REASON_NONE || msg.class != STUN_ERROR ||
        !stun_find(&msg, STUN_ATTR_ERROR_CODE, &error) || error.len < 4 ||
        !keep(g->realm, sizeof(g->realm), &g->realm_len, &msg, STUN_ATTR_REALM) ||
        !keep(g->nonce, sizeof(g->nonce), &g->nonce_len, &msg, STUN_ATTR_NONCE)) {
        return 0;
    }
    return (error.data[2] & 7u) * 100 + error.data[3];
}

static int first_challenge(struct guess *g)
{
    struct stun_writer w;
    size_t len = 0;

    write_begin(g, &w);
    const int64_t ns = exchange(g, stun_write_end(&w), &len);
    if (ns <= 0 || take_challenge(g, len) != REFUSED) {
        fputs("turnpike-bench: the server sends no challenge\n", stderr);
        return ns < 0 ? (int)ns : -EPROTO;
    }
    return 0;
}

/* Asks for one name. ns; 0: nothing to count; -errno. */
static int64_t ask(struct guess *g, unsigned kind, unsigned index)
{
    const struct guessing *what = &g->options->guess;
    char name[NAME_MAX_BYTES + 1];
    size_t len = 0;

    snprintf(name, sizeof(name), "%s%06u", kind == 0 ? what->known : what->unknown, index);
    const int64_t ns = exchange(g, write_guess(g, name), &len);
    if (ns <= 0) {
        g->lost += ns == 0;
        return ns;
    }
    const unsigned code = take_challenge(g, len);
    if (code != REFUSED && code != STALE_NONCE) {
        fprintf(stderr, "turnpike-bench: a wrong password of %s drew error %u\n", name, code);
        return -EPROTO;
    }
    return code == REFUSED ? ns : 0;
}

/* With a name that is asked nowhere else: the path is warm, the names are cold. */
static int warm_up_with_another(struct guess *g)
{
    for (unsigned i = 0; i < WARM_UP; i++) {
        const int64_t ns = ask(g, 1, g->options->guess.names);
        if (ns < 0) {
            return (int)ns;
        }
    }
    return 0;
}

static void shuffle(struct guess *g, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        const size_t j = next_random(g) % i;
        const uint32_t other = g->block[j];
        g->block[j] = g->block[i - 1];
        g->block[i - 1] = other;
    }
}

/* Asks for every name equally often, in an order of its own; the values count if `counted`. */
static int ask_block(struct guess *g, size_t size, bool counted)
{
    const unsigned samples = g->options->guess.samples;

    shuffle(g, size);
    for (size_t i = 0; i < size; i++) {
        const unsigned kind = g->block[i] & 1;
        const int64_t ns = ask(g, kind, g->block[i] >> 1);
        if (ns < 0) {
            return (int)ns;
        }
        if (ns > 0 && counted && g->counts[kind] < samples) {
            g->values[kind][g->counts[kind]++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
        }
    }
    return 0;
}

static int ask_all(struct guess *g)
{
    const struct guessing *what = &g->options->guess;
    size_t size = 2 * (size_t)what->names;
    int rc = first_challenge(g);

    while (!what->cold && size < BLOCK_MIN) {
        size *= 2;
    }
    g->block = calloc(size, sizeof(*g->block));
    if (g->block == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < size; i++) {
        g->block[i] = (uint32_t)(i % (2 * (size_t)what->names));
    }
    if (what->cold) {
        rc = rc < 0 ? rc : warm_up_with_another(g);
        return rc < 0 ? rc : ask_block(g, size, true);
    }
    for (size_t warm = 0; rc == 0 && warm < WARM_UP + size; warm += size) {
        rc = ask_block(g, size, false);
    }
    g->lost = 0;
    fputs("measuring\n", stderr);
    const uint64_t limit = (uint64_t)what->samples * LOST_PERMILLE / 1000 + 10;
    while (rc == 0 && g->lost <= limit &&
           (g->counts[0] < what->samples || g->counts[1] < what->samples)) {
        rc = ask_block(g, size, true);
    }
    return rc < 0 ? rc : g->lost > limit ? -ETIMEDOUT : 0;
}

static int guess_init(struct guess *g, const struct options *options)
{
    const struct sockaddr_in *server = &options->target.address;
    const size_t samples = options->guess.samples;

    *g = (struct guess){.options = options, .random = realtime_ns()};
    g->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    g->crypto = crypto_new();
    g->values[0] = calloc(samples, sizeof(*g->values[0]));
    g->values[1] = calloc(samples, sizeof(*g->values[1]));
    if (g->fd < 0 || connect(g->fd, (const struct sockaddr *)server, sizeof(*server)) < 0) {
        return -errno;
    }
    return g->crypto && g->values[0] && g->values[1] ? 0 : -ENOMEM;
}

static void guess_deinit(struct guess *g)
{
    if (g->fd >= 0) {
        close(g->fd);
    }
    crypto_free(g->crypto);
    free(g->block);
    free(g->values[0]);
    free(g->values[1]);
}

int guess_run(const struct options *options, struct guess_result *out)
{
    struct guess g;
    int rc = guess_init(&g, options);

    rc = rc < 0 ? rc : ask_all(&g);
    if (rc == 0) {
        const struct welch_sample samples[2] = {
            {g.values[0], g.counts[0]}, {g.values[1], g.counts[1]}};
        out->lost = g.lost;
        rc = welch_compare(&out->compare, samples, CROP_PERCENT);
    }
    guess_deinit(&g);
    return rc;
}

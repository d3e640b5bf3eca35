/*
 * What a verifier leaves in memory: keys nowhere once it is freed, master keys not even before,
 * once something has fitted; and forged packets nothing at all. Memory is read as a dump of the
 * process would have it.
 */
#include <fcntl.h>
#include <malloc.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/srtp_sender.h"

#define SSRC        0x12345678u
#define REGION_MAX  (1ul << 28) /* larger ones are a sanitizer's shadow */
#define NEEDLES     7
#define NEEDLE_MAX  32
#define NEEDLE_MASK 0x5a /* needles lie in memory like this only */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static unsigned own_allocations; /* what our code asks for; libraries do not pass here */

void *__wrap_malloc(size_t size)
{
    own_allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    own_allocations++;
    return __real_calloc(count, size);
}

/* Of a build with a sanitizer, which replaces malloc. The C library's own count is not exact: what
 * a thread keeps for later counts as in use. */
size_t __attribute__((weak)) __sanitizer_get_current_allocated_bytes(void);

static size_t inexact(void)
{
    return __sanitizer_get_current_allocated_bytes ? 0 : 8192;
}

static size_t bytes_in_use(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct needle {
    const char *name;
    size_t len;
    uint8_t masked[NEEDLE_MAX];
    unsigned hits;
};

static void set_needle(struct needle *n, const char *name, const uint8_t *bytes, size_t len)
{
    *n = (struct needle){.name = name, .len = len};
    for (size_t i = 0; i < len; i++)
        n->masked[i] = bytes[i] ^ NEEDLE_MASK;
}

/* Unmasked on the stack only, which is not looked at. */
static void count_hits(struct needle *n, const uint8_t *p, size_t len)
{
    uint8_t bytes[NEEDLE_MAX];
    const uint8_t *end = p + len;
    for (size_t i = 0; i < n->len; i++)
        bytes[i] = n->masked[i] ^ NEEDLE_MASK;
    while ((p = memmem(p, (size_t)(end - p), bytes, n->len)) != NULL) {
        n->hits++;
        p++;
    }
    memset(bytes, 0, sizeof(bytes));
}

static uint8_t window[1u << 16];

/* Windows overlap, so that no needle lies across an edge; some are counted twice. */
static void scan_region(int memory, unsigned long start, unsigned long end, struct needle *needles)
{
    for (unsigned long at = start; at < end;) {
        const size_t want = end - at < sizeof(window) ? end - at : sizeof(window);
        if (pread(memory, window, want, (off_t)at) != (ssize_t)want)
            return;
        for (unsigned i = 0; i < NEEDLES; i++)
            count_hits(&needles[i], window, want);
        if (want < sizeof(window))
            return;
        at += sizeof(window) - NEEDLE_MAX;
    }
}

/* All that is writable but stacks, and but the window that it is read into. */
static void scan_memory(struct needle *needles)
{
    char line[512], mode[8];
    unsigned long start, end;
    FILE *maps = fopen("/proc/self/maps", "r");
    const int memory = open("/proc/self/mem", O_RDONLY);
    assert_non_null(maps);
    assert_true(memory >= 0);
    for (unsigned i = 0; i < NEEDLES; i++)
        needles[i].hits = 0;
    const unsigned long own = (unsigned long)(uintptr_t)window;
    while (fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) != 3 || mode[1] != 'w' ||
            strstr(line, "[stack]") || end - start > REGION_MAX)
            continue;
        if (own >= start && own < end) {
            scan_region(memory, start, own, needles);
            start = own + sizeof(window);
        }
        scan_region(memory, start, end, needles);
    }
    close(memory);
    fclose(maps);
    memset(window, 0, sizeof(window));
}

/* RFC 3711 section 4.3.3. */
static void derive(const struct srtp_keys *keys, unsigned label, uint8_t *out, size_t len)
{
    const struct srtp_suite_facts *facts = &srtp_suites[keys->suite];
    const uint8_t *master = keys->masters[0].key_and_salt;
    uint8_t iv[16] = {0};
    memcpy(iv, master + facts->key_len, facts->salt_len);
    iv[7] ^= (uint8_t)label;
    memset(out, 0, len);
    int done = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_non_null(ctx);
    assert_int_equal(
        EVP_EncryptInit_ex(
            ctx, facts->key_len == 16 ? EVP_aes_128_ctr() : EVP_aes_256_ctr(), NULL, master, iv),
        1);
    assert_int_equal(EVP_EncryptUpdate(ctx, out, &done, out, (int)len), 1);
    EVP_CIPHER_CTX_free(ctx);
}

static void set_needles(struct needle needles[NEEDLES], const struct srtp_keys *keys)
{
    static const char *const names[] = {
        "SRTP key", "SRTP tag key", "SRTP salt", "SRTCP key", "SRTCP tag key", "SRTCP salt"};
    const struct srtp_suite_facts *facts = &srtp_suites[keys->suite];
    uint8_t key[NEEDLE_MAX];
    set_needle(&needles[NEEDLES - 1], "master key", keys->masters[0].key_and_salt, facts->key_len);
    for (unsigned label = 0; label < 6; label++) {
        const size_t lens[] = {facts->key_len, 20, facts->salt_len};
        derive(keys, label, key, lens[label % 3]);
        set_needle(&needles[label], names[label], key, lens[label % 3]);
    }
    memset(key, 0, sizeof(key));
}

struct recorded {
    struct sent rtp[20], rtcp[20];
};

/* The sender ends before memory is looked at, and its copies of the keys with it. */
static void record(const struct srtp_keys *keys, struct recorded *r)
{
    struct sender tx;
    assert_true(sender_init(&tx, keys));
    for (unsigned i = 0; i < 20; i++) {
        assert_true(sender_rtp(&tx, SSRC + i % 4, (uint16_t)i, 100, &r->rtp[i]));
        assert_true(sender_rtcp(&tx, SSRC + i % 4, &r->rtcp[i]));
    }
    sender_deinit(&tx);
}

static struct recorded recorded;

static void test_verifier_keys_are_in_memory_until_it_is_freed_and_then_nowhere(void **state)
{
    static const struct srtp_verifier_options options = {
        .window = 128, .streams = 8, .tell_duplicates = true};
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        struct needle needles[NEEDLES];
        struct srtp_keys keys = sender_keys((enum srtp_suite)suite, (uint8_t)(40 + suite));
        set_needles(needles, &keys);
        record(&keys, &recorded);
        struct srtp_verifier *v = NULL;
        assert_int_equal(srtp_verifier_new(&v, &keys, &options), 0);
        memset(&keys, 0, sizeof(keys));
        for (unsigned i = 0; i < 20; i++) {
            assert_int_equal(judge_sent(v, &recorded.rtp[i], false, 0), SRTP_VERIFIED);
            assert_int_equal(judge_sent(v, &recorded.rtcp[i], true, 0), SRTP_VERIFIED);
            assert_int_equal(judge_sent(v, &recorded.rtp[i], false, 0), SRTP_REPLAYED);
        }
        scan_memory(needles);
        const unsigned key = srtp_suites[suite].aead ? 0 : 1; /* tag key: AEAD has none */
        assert_true(needles[key].hits > 0 && needles[3 + key].hits > 0);
        assert_int_equal(needles[NEEDLES - 1].hits, 0);
        srtp_verifier_free(v);
        scan_memory(needles);
        for (unsigned i = 0; i < NEEDLES; i++) {
            if (needles[i].hits > 0)
                print_error("%s: %s\n", srtp_suites[suite].name, needles[i].name);
            assert_int_equal(needles[i].hits, 0);
        }
    }
}

static void forge(struct srtp_verifier *v, unsigned n)
{
    static struct sent sent;
    sent = recorded.rtp[n % 20];
    sent.u.bytes[2 + n % 10] ^= (uint8_t)(n >> 4); /* sequence, time, SSRC, payload */
    sent.u.bytes[sent.len - 1] ^= 1;
    assert_int_not_equal(judge_sent(v, &sent, false, n), SRTP_VERIFIED);
    sent = recorded.rtcp[n % 20];
    sent.u.bytes[4 + n % 20] ^= (uint8_t)(n >> 4);
    sent.u.bytes[sent.len - 1] ^= 1;
    assert_int_not_equal(judge_sent(v, &sent, true, n), SRTP_VERIFIED);
}

/* Anybody can make the relay try a key. */
static void test_verifier_costs_little_until_something_fits(void **state)
{
    static const struct srtp_verifier_options options = {.window = 1024, .streams = 32};
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        struct needle needles[NEEDLES];
        struct srtp_verifier *v = NULL;
        struct srtp_keys keys = sender_keys((enum srtp_suite)suite, (uint8_t)(90 + suite));
        set_needles(needles, &keys);
        record(&keys, &recorded);
        const size_t before = bytes_in_use();
        assert_int_equal(srtp_verifier_new(&v, &keys, &options), 0);
        memset(&keys, 0, sizeof(keys));
        for (unsigned n = 0; n < 20; n++)
            forge(v, n);
        assert_true(bytes_in_use() < before + 8192 + inexact());
        scan_memory(needles);
        assert_true(needles[NEEDLES - 1].hits > 0);
        srtp_verifier_free(v);
        scan_memory(needles);
        assert_int_equal(needles[NEEDLES - 1].hits, 0);
    }
}

/* The count can differ: streams are made. */
static void begin_streams(struct srtp_verifier *v, const struct srtp_keys *keys)
{
    static struct sent sent[100];
    struct sender tx;
    assert_true(sender_init(&tx, keys));
    for (uint32_t i = 0; i < 100; i++)
        assert_true(sender_rtp(&tx, 1000 + i, 1, 10, &sent[i]));
    sender_deinit(&tx);
    const size_t before = bytes_in_use();
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(judge_sent(v, &sent[i], false, 0), SRTP_VERIFIED);
    assert_true(bytes_in_use() > before + inexact());
}

static void test_verifier_forged_packets_leave_nothing_and_allocate_nothing(void **state)
{
    static const struct srtp_verifier_options options = {
        .window = 128, .streams = 1000, .tell_duplicates = true};
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        const struct srtp_keys keys = sender_keys((enum srtp_suite)suite, (uint8_t)(40 + suite));
        record(&keys, &recorded);
        for (unsigned begun = 0; begun < 2; begun++) {
            struct srtp_verifier *v = NULL;
            assert_int_equal(srtp_verifier_new(&v, &keys, &options), 0);
            for (unsigned i = 0; begun && i < 20; i++)
                assert_int_equal(judge_sent(v, &recorded.rtp[i], false, 0), SRTP_VERIFIED);
            forge(v, 0); /* contexts of libraries that are made once */
            const size_t before = bytes_in_use();
            own_allocations = 0;
            for (unsigned n = 0; n < 2000; n++)
                forge(v, n);
            assert_int_equal(own_allocations, 0);
            assert_true(bytes_in_use() <= before + inexact());
            begin_streams(v, &keys);
            srtp_verifier_free(v);
        }
    }
}

static void test_verifier_gives_all_its_memory_back(void **state)
{
    static const struct srtp_verifier_options options = {.window = 1024, .streams = 32};
    size_t first = 0;
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned suite = 0; suite < 2 * SRTP_SUITE_COUNT; suite++) {
            const enum srtp_suite id = suite % SRTP_SUITE_COUNT;
            const struct srtp_keys keys =
                suite < SRTP_SUITE_COUNT ? sender_keys(id, 3) : sender_keys_mki(id, 3, 4);
            struct srtp_verifier *v = NULL;
            record(&keys, &recorded);
            assert_int_equal(srtp_verifier_new(&v, &keys, &options), 0);
            if (round % 2 == 0)
                assert_int_equal(judge_sent(v, &recorded.rtp[0], false, 0), SRTP_VERIFIED);
            assert_int_equal(judge_sent(v, &recorded.rtcp[1], true, 0), SRTP_VERIFIED);
            srtp_verifier_free(v);
        }
        if (round == 1)
            first = bytes_in_use();
    }
    assert_true(bytes_in_use() <= first + 1024 + inexact());
}

static int set_up(void **state)
{
    return srtp_verifier_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verifier_keys_are_in_memory_until_it_is_freed_and_then_nowhere),
        cmocka_unit_test(test_verifier_costs_little_until_something_fits),
        cmocka_unit_test(test_verifier_forged_packets_leave_nothing_and_allocate_nothing),
        cmocka_unit_test(test_verifier_gives_all_its_memory_back),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}

/*
 * THREATS row 9: relayed ports cannot be predicted. Each port is equally likely, whether the range
 * is empty or nearly full, a port says nothing about the next, no draw falls back to something
 * weaker, and the tree calls no generator of the C library.
 */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/port_fixture.h"

enum { PORT_MIN = 49152, PORT_MAX = 65535, PORTS = PORT_MAX - PORT_MIN + 1, DRAWS = 100000 };

static double cube_root(double v)
{
    double x = 1;

    for (int i = 0; i < 100; i++)
        x -= (x - v / (x * x)) / 3;
    return x;
}

/*
 * Chi-squared over `count` cells lies within 6 standard deviations of its mean (one false alarm in
 * 10^8; Wilson and Hilferty: its cube root is nearly normal): above, some ports are likelier;
 * below, the draws are too even to be random.
 */
static void assert_uniform(const unsigned *cells, unsigned count, double draws)
{
    double expected = draws / count, chi = 0, degrees = count - 1.0, v = 2 / (9 * degrees);

    for (unsigned i = 0; i < count; i++)
        chi += (cells[i] - expected) * (cells[i] - expected) / expected;
    double off = cube_root(chi / degrees) - (1 - v);
    if (off * off > 36 * v)
        fail_msg("chi-squared %.0f with %.0f degrees of freedom", chi, degrees);
}

static void test_ports_are_uniform(void **state)
{
    struct port_fixture *f = *state;
    static unsigned cells[PORTS];
    uint16_t port;

    for (unsigned i = 0; i < DRAWS; i++) {
        assert_int_equal(port_map_claim(f->map, PORT_MIN, PORT_MAX, random_system(), &port), 0);
        port_map_release(f->map, port);
        cells[port - PORT_MIN]++;
    }
    assert_uniform(cells, PORTS, DRAWS);
}

static void test_a_port_says_nothing_about_the_next(void **state)
{
    struct port_fixture *f = *state;
    static unsigned distance[256], next[64 * 64];
    uint16_t port, before = PORT_MIN;

    for (unsigned i = 0; i < DRAWS; i++) {
        assert_int_equal(port_map_claim(f->map, PORT_MIN, PORT_MAX, random_system(), &port), 0);
        port_map_release(f->map, port);
        distance[(uint16_t)(port - before) % PORTS / (PORTS / 256)]++;
        next[(before - PORT_MIN) / (PORTS / 64) * 64 + (port - PORT_MIN) / (PORTS / 64)]++;
        before = port;
    }
    assert_uniform(distance, 256, DRAWS);
    assert_uniform(next, 64 * 64, DRAWS);
}

static void test_even_ports_and_pairs_are_uniform(void **state)
{
    struct port_fixture *f = *state;
    static unsigned even[PORTS / 2], pair[PORTS / 2];
    uint16_t port;

    for (unsigned i = 0; i < DRAWS; i++) {
        assert_int_equal(
            port_map_claim_even(f->map, PORT_MIN, PORT_MAX, random_system(), &port), 0);
        port_map_release(f->map, port);
        even[(port - PORT_MIN) / 2]++;
        assert_int_equal(
            port_map_claim_pair(f->map, PORT_MIN, PORT_MAX, random_system(), &port), 0);
        port_map_release(f->map, port);
        port_map_release(f->map, (uint16_t)(port + 1));
        pair[(port - PORT_MIN) / 2]++;
    }
    assert_uniform(even, PORTS / 2, DRAWS);
    assert_uniform(pair, PORTS / 2, DRAWS);
}

/* Sixteen free ports, fifteen of them side by side: a scan from where a draw fell would nearly
 * always give the same one. */
static void test_nearly_full_range_stays_uniform(void **state)
{
    struct port_fixture *f = *state;
    static const uint16_t lone = PORT_MAX;
    unsigned cells[16] = {0};
    uint16_t port;

    for (unsigned i = PORT_MIN; i <= PORT_MAX; i++)
        assert_int_equal(
            port_map_claim(f->map, (uint16_t)i, (uint16_t)i, random_system(), &port), 0);
    for (unsigned i = 0; i < 15; i++)
        port_map_release(f->map, (uint16_t)(50000 + i));
    port_map_release(f->map, lone);
    for (unsigned i = 0; i < 10000; i++) {
        assert_int_equal(port_map_claim(f->map, PORT_MIN, PORT_MAX, random_system(), &port), 0);
        cells[port == lone ? 15 : port - 50000]++;
        port_map_release(f->map, port);
    }
    assert_uniform(cells, 16, 10000);
    for (unsigned i = PORT_MIN; i <= PORT_MAX; i++) {
        if (i != lone && (i < 50000 || i >= 50015))
            port_map_release(f->map, (uint16_t)i);
    }
}

static int fill_fails(void *ctx, void *out, size_t len)
{
    return -EIO;
}

static void test_without_randomness_no_port_is_given(void **state)
{
    struct port_fixture *f = *state;
    struct random_source broken = {fill_fails, NULL};
    uint16_t port = 0;

    assert_int_equal(port_map_claim(f->map, PORT_MIN, PORT_MAX, &broken, &port), -EIO);
    assert_int_equal(port_map_claim_even(f->map, PORT_MIN, PORT_MAX, &broken, &port), -EIO);
    assert_int_equal(port_map_claim_pair(f->map, PORT_MIN, PORT_MAX, &broken, &port), -EIO);
    assert_int_equal(port_map_claimed(f->map), 0);
}

/* Generators that can be predicted, and their seeds. */
static const char *const forbidden[] = {"rand", "srand", "rand_r", "random", "srandom", "random_r",
    "srandom_r", "initstate", "setstate", "drand48", "erand48", "lrand48", "nrand48", "mrand48",
    "jrand48", "srand48", "seed48", "lcong48"};

/* The end of a comment or literal that begins at `at`, or `at`: their words are no calls. */
static const char *skip_words(const char *at)
{
    const char *end;

    if (at[0] == '/' && at[1] == '*') {
        end = strstr(at + 2, "*/");
        return end ? end + 2 : at + strlen(at);
    }
    if (at[0] == '/' && at[1] == '/')
        return at + strcspn(at, "\n");
    if (*at != '"' && *at != '\'')
        return at;
    for (end = at + 1; *end && *end != *at && *end != '\n'; end++) {
        if (*end == '\\' && end[1])
            end++;
    }
    return *end ? end + 1 : end;
}

/* The first forbidden call in a C text, or NULL. */
static const char *find_forbidden_call(const char *text)
{
    while (*text) {
        const char *skipped = skip_words(text);
        if (skipped != text) {
            text = skipped;
            continue;
        }
        size_t len =
            strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
        const char *after = text + len + strspn(text + len, " \t\n");
        for (size_t i = 0; len > 0 && *after == '(' && i < sizeof forbidden / sizeof *forbidden;
             i++) {
            if (strlen(forbidden[i]) == len && memcmp(text, forbidden[i], len) == 0)
                return forbidden[i];
        }
        text += len ? len : 1;
    }
    return NULL;
}

static unsigned files_read;
static bool saw_ports;

static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0;

    assert_non_null(file);
    if (getdelim(&text, &size, '\0', file) < 0) {
        free(text);
        text = NULL; /* empty */
    }
    fclose(file);
    return text;
}

static int visit(const char *path, const struct stat *info, int type, struct FTW *at)
{
    const char *name = path + at->base, *dot = strrchr(name, '.');

    if (type == FTW_D && at->level > 0 && (name[0] == '.' || strncmp(name, "build", 5) == 0))
        return FTW_SKIP_SUBTREE;
    if (type != FTW_F || !dot || (strcmp(dot, ".c") != 0 && strcmp(dot, ".h") != 0))
        return FTW_CONTINUE;
    char *text = read_whole(path);
    const char *call = text ? find_forbidden_call(text) : NULL;
    free(text);
    if (call)
        fail_msg("%s calls %s()", path, call);
    files_read++;
    saw_ports |= strstr(path, "/relay/ports.c") != NULL;
    return FTW_CONTINUE;
}

static void test_scan_finds_calls_and_nothing_else(void **state)
{
    assert_string_equal(find_forbidden_call("int a = rand();"), "rand");
    assert_string_equal(find_forbidden_call("x+random ( )"), "random");
    assert_string_equal(find_forbidden_call("/* a */ f(\"\\\"\", lrand48());"), "lrand48");
    assert_string_equal(find_forbidden_call("c = '\"'; srand(time(0));"), "srand");
    assert_null(find_forbidden_call("random_below(r, 3, &x); my_rand(1); rand_bytes(2);"));
    assert_null(
        find_forbidden_call("/* rand() */ // random()\n puts(\"rand()\"); random->fill(0);"));
}

static void test_tree_calls_no_predictable_generator(void **state)
{
    const char *root = getenv("TURNPIKE_SOURCE_ROOT");

    if (!root) {
        fail_msg("TURNPIKE_SOURCE_ROOT must name the source tree");
        return;
    }
    assert_int_equal(nftw(root, visit, 16, FTW_PHYS | FTW_ACTIONRETVAL), 0);
    assert_true(files_read > 50);
    assert_true(saw_ports);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, port_fixture_set_up, port_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ports_are_uniform),
        TEST(test_a_port_says_nothing_about_the_next),
        TEST(test_even_ports_and_pairs_are_uniform),
        TEST(test_nearly_full_range_stays_uniform),
        TEST(test_without_randomness_no_port_is_given),
        cmocka_unit_test(test_scan_finds_calls_and_nothing_else),
        cmocka_unit_test(test_tree_calls_no_predictable_generator),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

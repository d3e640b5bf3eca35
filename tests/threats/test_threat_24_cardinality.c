/*
 * THREATS row 24: what clients send makes no series. A hundred thousand users, known and unknown,
 * leave /metrics as many lines as it had before, and nobody's name or address in it.
 */
#include "tests/scenario/fixture.h"

#include <stdio.h>

#include "admin/metrics_text.h"

#define USERS      100000
#define SERIES_MAX 500

static char *metrics(struct world *w)
{
    struct counters_sum sum = {0};
    char *text = NULL;
    size_t len;
    counters_sum_add(&sum, &w->worker[0].counters);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    metrics_text_write(&(struct metrics_text){.sum = &sum, .version = "0"}, out);
    fclose(out);
    return text;
}

/* The names and labels alone, which must not change; returns how many. */
static size_t strip_values(char *text)
{
    size_t series = 0;
    char *to = text;
    bool value = false;
    for (const char *from = text; *from != '\0'; from++) {
        series += *from == '\n';
        value = *from == ' ' || (value && *from != '\n');
        if (!value)
            *to++ = *from;
    }
    *to = '\0';
    return series;
}

static void act(struct fixture *f, unsigned i)
{
    struct client *c = &f->a;
    char name[40];
    snprintf(name, sizeof(name), "canary%u\n%%n\"}", i);
    client_init(c, f->w, 1);
    c->addr.port = (uint16_t)(1024 + i % 60000);
    if (i % 4 == 0) {
        client_set_user(c, name, "nothing");
        assert_int_equal(client_allocate(c, NULL), 401);
        return;
    }
    client_set_rest(c, name, 3600, "north");
    assert_int_equal(client_allocate(c, NULL), 200);
    assert_int_equal(client_refresh(c, 0, NULL), 200);
}

static void threat_24_a_hundred_thousand_users_make_no_series(void **state)
{
    struct fixture *f = *state;
    char *before = metrics(f->w);
    const size_t series = strip_values(before);
    assert_true(series > 100 && series <= SERIES_MAX);
    for (unsigned i = 0; i < USERS; i++) {
        act(f, i);
        world_clear(f->w);
    }
    assert_int_equal(world_metric(f->w, METRIC_ALLOCATIONS_CREATED), USERS - USERS / 4);
    assert_int_equal(world_refused(f->w, REASON_NAME_NOT_PREPARABLE), USERS / 4);
    char *after = metrics(f->w);
    assert_null(strstr(after, "canary"));
    assert_int_equal(strip_values(after), series);
    assert_string_equal(after, before);
    free(before);
    free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(threat_24_a_hundred_thousand_users_make_no_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

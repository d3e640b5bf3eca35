/* What hooks say is copied; nothing is judged here. */
#include "tests/fleet/fleets.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

static const char *const realm_names[] = {"", "example.org", "other.example"};

static void on_state(void *ctx, const struct redis_state *state)
{
    struct test_fleet *f = ctx;
    if (state->up)
        f->ups++;
    else
        f->downs++;
}

static void on_secrets(void *ctx, const struct store_secrets *secrets)
{
    struct test_fleet *f = ctx;
    store_secrets_deinit(&f->secrets);
    f->secrets_told++;
    f->secrets.realm = secrets->realm;
    for (size_t i = 0; i < secrets->count; i++)
        secret_set(&f->secrets.list[f->secrets.count++], secret_slice(&secrets->list[i]));
}

static void on_revoked(void *ctx, const struct revocation *v)
{
    struct test_fleet *f = ctx;
    if (f->revoked_told < TEST_FLEET_REVOKED_MAX)
        f->revoked[f->revoked_told] = *v;
    f->revoked_told++;
    f->until_sum += v->until;
}

static void on_instances(void *ctx, uint32_t count)
{
    struct test_fleet *f = ctx;
    f->instances_told++;
    f->instances = count;
}

static void on_forgotten(void *ctx)
{
    ((struct test_fleet *)ctx)->forgotten++;
}

static void on_srtp_deposited(void *ctx, struct slice place)
{
    ((struct test_fleet *)ctx)->srtp_deposited++;
}

static void on_srtp_found(void *ctx, const struct fleet_srtp_found *found)
{
    struct test_fleet *f = ctx;
    f->srtp_found++;
    f->srtp_fields = found->outcome == FLEET_SRTP_READ ? (unsigned)found->count : 0;
}

void test_fleet_begin(struct test_fleet *f, struct linked *l, const char *url)
{
    char copy[512], error[256] = "";
    const struct fleet_hooks hooks = {.state = on_state,
        .secrets = on_secrets,
        .revoked = on_revoked,
        .instances = on_instances,
        .forgotten = on_forgotten,
        .srtp_deposited = on_srtp_deposited,
        .srtp_found = on_srtp_found,
        .ctx = f};
    const struct fleet_realm realms[] = {
        {1, slice_of_string(realm_names[1]), true}, {2, slice_of_string(realm_names[2]), false}};
    struct redis_settings settings = l->settings;
    snprintf(copy, sizeof(copy), "%s", url);
    settings.url = copy;
    *f = (struct test_fleet){0};
    linked_loop(l);
    const int result = fleet_new(&f->fleet, &l->loop, &settings,
        l->random ? l->random : random_system(), &hooks, error, sizeof(error));
    if (result == 0 && fleet_set_realms(f->fleet, realms, 2) == 0)
        return;
    fprintf(stderr, "no fleet: %s\n", error);
    abort();
}

void test_fleet_end(struct test_fleet *f)
{
    fleet_free(f->fleet);
    store_secrets_deinit(&f->secrets);
    f->fleet = NULL;
}

struct wanted {
    const unsigned *value;
    unsigned least;
};

static bool has_reached(struct linked *l, void *ctx)
{
    const struct wanted *w = ctx;
    return *w->value >= w->least;
}

static bool reach(struct linked *l, const unsigned *value, unsigned least, unsigned ms)
{
    struct wanted w = {value, least};
    return linked_run(l, has_reached, &w, ms);
}

bool test_fleet_up(struct test_fleet *f, struct linked *l, unsigned ups)
{
    return reach(l, &f->ups, ups, 8000) && fleet_is_up(f->fleet);
}

static void on_answer(void *ctx, const struct store_answer *answer)
{
    struct test_asked *a = ctx;
    a->calls++;
    a->answer = *answer;
    a->after_us = clock_now().mono_us - a->asked_us;
}

void test_fleet_ask(struct test_fleet *f, enum store_kind kind, uint32_t realm, struct slice name,
    struct test_asked *out)
{
    struct store_question question = {
        .kind = (uint8_t)kind, .realm = realm, .name_len = (uint16_t)name.len};
    const struct store store = fleet_store(f->fleet);
    memcpy(question.name, name.data, name.len);
    *out = (struct test_asked){.asked_us = clock_now().mono_us};
    store.ask(store.ctx, &question, slice_of_string(realm_names[realm]), on_answer, out);
    if (out->calls == 0)
        return;
    fprintf(stderr, "answered from within the question\n");
    abort();
}

bool test_fleet_answered(struct linked *l, struct test_asked *a, unsigned ms)
{
    return reach(l, &a->calls, 1, ms) && a->calls == 1;
}

struct test_asked test_fleet_question(
    struct test_fleet *f, struct linked *l, enum store_kind kind, const char *name)
{
    struct test_asked a;
    test_fleet_ask(f, kind, 1, slice_of_string(name), &a);
    if (test_fleet_answered(l, &a, 4000))
        return a;
    fprintf(stderr, "%s: %u answers\n", name, a.calls);
    abort();
}

int test_fleet_revoke(struct test_fleet *f, uint32_t realm, const char *user, int64_t until)
{
    struct revocation v = {
        .kind = REVOKE_USER, .realm = realm, .until = until, .id_len = (uint16_t)strlen(user)};
    memcpy(v.id, user, v.id_len);
    return fleet_revoke(f->fleet, &v);
}

bool test_fleet_revoked(struct test_fleet *f, struct linked *l, unsigned count, unsigned ms)
{
    return reach(l, &f->revoked_told, count, ms);
}

bool test_fleet_secrets(struct test_fleet *f, struct linked *l, unsigned told, unsigned ms)
{
    return reach(l, &f->secrets_told, told, ms);
}

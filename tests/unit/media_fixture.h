/*
 * Keys of media between who deposits them and the workers, with a fleet and workers that the test
 * plays itself.
 */
#ifndef TESTS_UNIT_MEDIA_FIXTURE_H
#define TESTS_UNIT_MEDIA_FIXTURE_H

#include "tests/unit/mailboxes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "daemon/media_keys.h"
#include "daemon/media_places.h"
#include "srtp/verifier.h"
#include "srtp/wrapped_key.h"

#define ATTRIBUTE "AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"
#define ANOTHER   "AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
#define ASKED_MAX 2048

static const uint8_t wrap_key[32] = "a key of thirty-two bytes, yes!";
static const uint8_t wrap_key_before[32] = "the one that was there before it";
static const uint8_t strange_key[32] = "nobody's key, of thirty-two byte";

struct fixture {
    struct mailboxes m;
    struct config config;
    struct auth_realm_settings realms[2];
    struct crypto *crypto;
    struct media_keys *keys;
    struct media_watch *watch;
    /* The fleet. */
    int use, answer; /* in use; what fleet_srtp_ask returns */
    unsigned uses, asked;
    char place[ASKED_MAX][80];
    struct fleet_srtp_found found;
    char values[FLEET_SRTP_FIELDS_MAX][SRTP_WRAPPED_MAX + 1];
};

static struct fixture *f;

/* In place of fleet/fleet.c. */
void fleet_srtp_use(struct fleet *fleet, bool on)
{
    assert_ptr_equal(fleet, f);
    f->use = on;
    f->uses++;
}

int fleet_srtp_ask(struct fleet *fleet, struct slice place)
{
    assert_ptr_equal(fleet, f);
    assert_true(f->use);
    if (f->answer == 0) {
        assert_true(f->asked < ASKED_MAX && place.len < sizeof(f->place[0]));
        memcpy(f->place[f->asked++], place.data, place.len);
    }
    return f->answer;
}

static inline void set_key(struct secret *key, const uint8_t *bytes)
{
    secret_wipe(key);
    if (bytes)
        assert_int_equal(secret_set(key, slice_of(bytes, 32)), 0);
}

static inline int setup(void **state)
{
    f = calloc(1, sizeof(*f));
    mailboxes_init(&f->m);
    f->realms[0].name = (char *)(uintptr_t) "example.org";
    f->realms[1].name = (char *)(uintptr_t) "other";
    f->config.auth.realms = f->realms;
    f->config.auth.realm_count = 2;
    f->config.relay.max_allocation_age_s = 3600;
    set_key(&f->config.srtp.wrap_key, wrap_key);
    set_key(&f->config.srtp.wrap_key_old, wrap_key_before);
    f->crypto = crypto_new();
    f->keys = media_keys_new(&(struct media_keys_deps){.loop = &f->m.loop,
        .config = &f->config,
        .workers = &f->m.workers,
        .counters = &f->m.counters});
    assert_non_null(f->keys);
    f->watch = media_keys_watch(f->keys);
    return 0;
}

static inline int teardown(void **state)
{
    media_keys_end(f->keys);
    mailboxes_deinit(&f->m);
    media_keys_free(f->keys);
    crypto_free(f->crypto);
    secret_wipe(&f->config.srtp.wrap_key);
    secret_wipe(&f->config.srtp.wrap_key_old);
    free(f);
    return 0;
}

static inline void start(void)
{
    media_watch_start(f->watch, (struct fleet *)(void *)f);
    media_watch_link(f->watch, true);
}

/* Of worker 0 or 1, as allocations' ids say. */
static inline uint64_t id_of(unsigned worker, unsigned n)
{
    return (uint64_t)worker << 56 | (uint64_t)n << 32 | 0xabcd;
}

static inline void want_as(uint64_t id, const char *user, const char *account)
{
    struct srtp_wanted *w = NULL;
    while (!w)
        w = calloc(1, sizeof(*w)); /* which tests may let fail once */
    w->allocation = id;
    w->user_len = (uint16_t)strlen(user);
    w->account_len = (uint16_t)strlen(account);
    memcpy(w->user, user, w->user_len);
    memcpy(w->account, account, w->account_len);
    media_keys_want(f->keys, w, (unsigned)(id >> 56));
}

static inline void want(uint64_t id, const char *user)
{
    want_as(id, user, "");
}

struct told {
    unsigned keys, taken_back, others;
    struct srtp_deposit last;
};

/* What a worker was posted since it was asked last. */
static inline struct told told(unsigned worker)
{
    struct told t = {0};
    struct mailboxes_one *w = &f->m.worker[worker];
    while (mailbox_drain(w->mailbox) > 0) {
    }
    for (size_t i = 0; i < w->count; i++) {
        if (w->kept[i].kind != MAILBOX_SRTP_DEPOSIT) {
            t.others++;
            continue;
        }
        t.last = *w->kept[i].u.deposit;
        t.keys += t.last.until > clock_now().wall_s;
        t.taken_back += t.last.until <= clock_now().wall_s;
        mailbox_message_free(&w->kept[i]);
    }
    w->count = 0;
    return t;
}

static inline void assert_keys(const struct srtp_deposit *d, const char *attribute)
{
    struct srtp_keys keys;
    assert_int_equal(crypto_attribute_parse(&keys, slice_of_string(attribute)), 0);
    assert_true(srtp_keys_equal(&d->keys, &keys));
}

static inline struct fleet_srtp_found *found(const char *place)
{
    f->found = (struct fleet_srtp_found){
        .place = slice_of_string(place), .outcome = FLEET_SRTP_READ, .whole = true};
    return &f->found;
}

/* Adds a field that was wrapped so. */
static inline void add_field(
    const uint8_t *key, const char *place, const char *field, int64_t until)
{
    const struct srtp_deposit d = {.until = until};
    const struct wrapped_for whose = {slice_of_string(place), slice_of_string(field)};
    char *value = f->values[f->found.count];
    assert_int_equal(wrapped_key_make(f->crypto, random_system(), slice_of(key, 32), &whose, &d,
                         slice_of_string(ATTRIBUTE), value),
        0);
    f->found.fields[f->found.count++] =
        (struct fleet_srtp_field){slice_of_string(field), slice_of_string(value)};
}

static inline void add(const char *field)
{
    char place[80];
    snprintf(
        place, sizeof(place), "%.*s", (int)f->found.place.len, (const char *)f->found.place.data);
    add_field(wrap_key, place, field, clock_now().wall_s + 600);
}

static inline void add_text(const char *field, const char *value)
{
    f->found.fields[f->found.count++] =
        (struct fleet_srtp_field){slice_of_string(field), slice_of_string(value)};
}

static inline void answer(void)
{
    media_watch_found(f->watch, &f->found);
}

static inline void deposit_at(const char *place)
{
    media_watch_deposited(f->watch, slice_of_string(place));
}

static inline uint64_t refused(void)
{
    return f->m.counters.metric[METRIC_SRTP_KEYS_REFUSED];
}

static inline void run_for(unsigned ms)
{
    const uint64_t until = clock_now().mono_us + ms * US_PER_MS;
    while (clock_now().mono_us < until)
        mailboxes_run(&f->m);
}

/* Runs until so many places have been asked for, and no further turn; then there are no more. */
static inline void assert_asked(unsigned count)
{
    for (const uint64_t end = clock_now().mono_us + 5 * US_PER_S;
         f->asked < count && clock_now().mono_us < end;)
        mailboxes_run(&f->m);
    assert_int_equal(f->asked, count);
}

#endif

/* Fleets on the loop of a struct linked, and what they have said: tests wait for it. */
#ifndef TESTS_FLEET_FLEETS_H
#define TESTS_FLEET_FLEETS_H

#include "fleet/fleet.h"
#include "tests/fleet/linked.h"

#define TEST_FLEET_REVOKED_MAX 16

struct test_fleet {
    struct fleet *fleet;
    unsigned ups, downs;
    unsigned secrets_told;
    struct store_secrets secrets; /* the last */
    unsigned revoked_told;
    struct revocation revoked[TEST_FLEET_REVOKED_MAX]; /* the first of them */
    int64_t until_sum;                                 /* of all of them */
    unsigned instances_told, forgotten;
    uint32_t instances;                               /* the last */
    unsigned srtp_deposited, srtp_found, srtp_fields; /* fields: of what was found last */
};

/* What was answered. */
struct test_asked {
    unsigned calls; /* must become 1 */
    struct store_answer answer;
    uint64_t asked_us, after_us;
};

/* Realms 1 "example.org" with secrets and 2 "other.example" without. Aborts where there is no
 * fleet. Does not wait for Redis. */
void test_fleet_begin(struct test_fleet *f, struct linked *l, const char *url);
void test_fleet_end(struct test_fleet *f); /* linked_end, after all of them, ends the loop */
bool test_fleet_up(struct test_fleet *f, struct linked *l, unsigned ups); /* within 8 s */

void test_fleet_ask(struct test_fleet *f, enum store_kind kind, uint32_t realm, struct slice name,
    struct test_asked *out);
bool test_fleet_answered(struct linked *l, struct test_asked *a, unsigned ms);
/* Asks, and waits. */
struct test_asked test_fleet_question(
    struct test_fleet *f, struct linked *l, enum store_kind kind, const char *name);

/* What fleet_revoke returns. */
int test_fleet_revoke(struct test_fleet *f, uint32_t realm, const char *user, int64_t until);
/* Was told so many, within `ms`. */
bool test_fleet_revoked(struct test_fleet *f, struct linked *l, unsigned count, unsigned ms);
bool test_fleet_secrets(struct test_fleet *f, struct linked *l, unsigned told, unsigned ms);

#endif

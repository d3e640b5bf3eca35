/* A verifier that says what the test wants, by the first byte of the key. In place of libsrtp2's,
 * which the library then leaves out. */
#ifndef TESTS_UNIT_FAKE_VERIFIER_H
#define TESTS_UNIT_FAKE_VERIFIER_H

#include <errno.h>

#include "srtp/verifier.h"

#define FAKE_VERIFIERS 65536 /* of a test */

struct srtp_verifier {
    uint8_t name; /* the first byte of its key */
    bool live;
    unsigned judged;
    bool told; /* a counter */
    uint32_t roc;
    struct srtp_verifier_options options;
};

static struct srtp_verifier fakes[FAKE_VERIFIERS];
static unsigned fakes_made, fakes_live;
static bool fake_available = true;
static int fake_refuses;                     /* what srtp_verifier_new says; 0: it makes one */
static enum srtp_verdict fake_verdicts[256]; /* by name */
static uint8_t fake_order[8];                /* names, as they were asked for one packet */
static unsigned fake_asked;

static inline void fakes_reset(void)
{
    memset(fakes, 0, sizeof(fakes));
    memset(fake_verdicts, 0, sizeof(fake_verdicts));
    fakes_made = fakes_live = fake_asked = 0;
    fake_refuses = 0;
    fake_available = true;
}

int srtp_verifier_init(void)
{
    return 0;
}

bool srtp_verifier_available(void)
{
    return fake_available;
}

void srtp_verifier_tell_roc(struct srtp_verifier *v, const struct srtp_keys *keys)
{
    v->told = keys->has_roc;
    v->roc = keys->roc;
}

int srtp_verifier_new(struct srtp_verifier **out, const struct srtp_keys *keys,
    const struct srtp_verifier_options *options)
{
    if (fake_refuses)
        return fake_refuses;
    struct srtp_verifier *v = &fakes[fakes_made++ % FAKE_VERIFIERS];
    *v = (struct srtp_verifier){
        .name = keys->masters[0].key_and_salt[0], .live = true, .options = *options};
    srtp_verifier_tell_roc(v, keys);
    fakes_live++;
    *out = v;
    return 0;
}

void srtp_verifier_free(struct srtp_verifier *v)
{
    if (!v)
        return;
    v->live = false;
    fakes_live--;
}

enum srtp_verdict srtp_verifier_judge(
    struct srtp_verifier *v, struct slice packet, bool rtcp, uint64_t now_us)
{
    v->judged++;
    if (fake_asked < sizeof(fake_order))
        fake_order[fake_asked] = v->name;
    fake_asked++;
    return v->live ? fake_verdicts[v->name] : SRTP_VERDICT_COUNT;
}

#endif

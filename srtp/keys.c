/* Deposits as values: copied, compared, wiped. Called wherever keys travel. */
#include "srtp/keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

const struct srtp_suite_facts srtp_suites[SRTP_SUITE_COUNT] = {
#define SRTP_SUITE(id, name, key_len, salt_len, tag_len, aead)                                     \
    [SRTP_##id] = {name, key_len, salt_len, tag_len, aead},
#include "srtp/suites.def"
#undef SRTP_SUITE
};

struct srtp_deposit *srtp_deposit_copy(const struct srtp_deposit *d)
{
    struct srtp_deposit *copy = malloc(sizeof(*copy));
    if (copy)
        *copy = *d;
    return copy;
}

void srtp_deposit_free(struct srtp_deposit *d)
{
    if (d)
        secret_cleanse(d, sizeof(*d));
    free(d);
}

bool srtp_binding_equal(const struct srtp_binding *a, const struct srtp_binding *b)
{
    if (a->allocation != b->allocation || a->direction != b->direction ||
        a->has_ssrc != b->has_ssrc || (a->has_ssrc && a->ssrc != b->ssrc))
        return false;
    return a->allocation != 0 || (a->realm == b->realm && a->user_len == b->user_len &&
                                     memcmp(a->user, b->user, a->user_len) == 0);
}

static bool masters_equal(const struct srtp_master *a, const struct srtp_master *b)
{
    return secret_equal(slice_of(a->key_and_salt, sizeof(a->key_and_salt)),
               slice_of(b->key_and_salt, sizeof(b->key_and_salt))) &&
           a->mki_len == b->mki_len && memcmp(a->mki, b->mki, a->mki_len) == 0;
}

bool srtp_keys_same(const struct srtp_keys *a, const struct srtp_keys *b)
{
    if (a->suite != b->suite || a->count != b->count)
        return false;
    bool equal = true;
    for (unsigned i = 0; i < a->count; i++)
        equal = masters_equal(&a->masters[i], &b->masters[i]) && equal;
    return equal;
}

bool srtp_keys_equal(const struct srtp_keys *a, const struct srtp_keys *b)
{
    return a->has_roc == b->has_roc && (!a->has_roc || a->roc == b->roc) && srtp_keys_same(a, b);
}

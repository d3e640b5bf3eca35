/*
 * How closely media is looked at, and the keys that keys of media in Redis are wrapped by. These
 * are wiped wherever they passed and are never part of a fault or of a dump. Called through the
 * schema, and by config.c.
 */
#include "config/srtp.h"

#include "config/credentials.h"
#include "config/schema.h"

#define WRAP_KEY_LEN 32

void srtp_print_guard(uint8_t guard, FILE *out)
{
    if (guard != SRTP_GUARD_INHERIT)
        fprintf(out, ", srtp: %s", type_srtp_guard.choices[guard]);
}

/* A key of the right length in *out, or nothing. */
static int check_wrap_key(struct secret *out, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    if (out->len == WRAP_KEY_LEN)
        return 0;
    secret_wipe(out);
    return fault_set(fault, value->line, "'%s' must hold %s", key->path, type_srtp_wrap_key.form);
}

static struct secret *secret_of(void *base, const struct schema_key *key)
{
    return (struct secret *)(void *)((char *)base + key->offset);
}

static int set_wrap_key(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct secret *out = secret_of(base, key);
    int rc = credentials_set_base64(out, key, value, fault);

    return rc < 0 ? rc : check_wrap_key(out, key, value, fault);
}

static int set_wrap_key_file(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct schema_key held = *key;
    struct secret *out = secret_of(base, key);
    int rc;

    held.type = &type_srtp_wrap_key;
    rc = credentials_read_base64(out, &held, value, fault);
    return rc < 0 ? rc : check_wrap_key(out, key, value, fault);
}

static void print_wrap_key(const void *base, const struct schema_key *key, FILE *out)
{
    type_masked_secret.print(base, key, out);
}

static bool equal_wrap_keys(const void *a, const void *b, const struct schema_key *key)
{
    return type_masked_secret.equal(a, b, key);
}

static bool has_wrap_key(const void *base, const struct schema_key *key)
{
    return type_masked_secret.present(base, key);
}

const struct schema_type type_srtp_wrap_key = {.name = "key",
    .form = "base64 of 32 bytes",
    .set = set_wrap_key,
    .print = print_wrap_key,
    .equal = equal_wrap_keys,
    .present = has_wrap_key};
const struct schema_type type_srtp_wrap_key_file = {
    .name = "path", .form = CREDENTIALS_FILE_FORM, .set = set_wrap_key_file};

int srtp_check(const struct config *c, const struct document_node *root, struct fault *fault)
{
    if (c->srtp.wrap_key_old.len > 0 && c->srtp.wrap_key.len == 0)
        return fault_set(fault, document_line(root, "srtp_verify.wrap_key_old"),
            "'srtp_verify.wrap_key_old' means nothing without 'srtp_verify.wrap_key'");
    return 0;
}

void srtp_clear(struct srtp_settings *srtp)
{
    secret_wipe(&srtp->wrap_key);
    secret_wipe(&srtp->wrap_key_old);
}

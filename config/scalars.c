/*
 * Types of keys that hold one value: yes or no, numbers, durations, sizes, names from a list. Each
 * `set` writes its field whole or not at all. Called through the schema.
 */
#include "config/schema.h"
#include "config/values.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static void *field_of(void *base, const struct schema_key *key)
{
    return (char *)base + key->offset;
}

static const void *const_field_of(const void *base, const struct schema_key *key)
{
    return (const char *)base + key->offset;
}

static int set_section(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    return schema_read(key->path, value, base, fault);
}

const struct schema_type type_section = {
    .name = "section", .form = "a mapping of keys to values", .set = set_section};

static int set_boolean(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    bool *out = field_of(base, key);

    if (value->kind != DOCUMENT_SCALAR || !value->plain)
        return schema_bad_value(key, value, fault);
    if (strcmp(value->text, "true") != 0 && strcmp(value->text, "false") != 0)
        return schema_bad_value(key, value, fault);
    *out = value->text[0] == 't';
    return 0;
}

static void print_boolean(const void *base, const struct schema_key *key, FILE *out)
{
    fputs(*(const bool *)const_field_of(base, key) ? "true" : "false", out);
}

const struct schema_type type_boolean = {
    .name = "boolean", .form = "true or false", .set = set_boolean, .print = print_boolean};

/* Writes a number as the key's type writes it. */
static void print_u32(const struct schema_type *type, uint32_t value, FILE *out)
{
    if (type == &type_duration)
        value_print_duration(out, value);
    else if (type == &type_milliseconds)
        value_print_milliseconds(out, value);
    else if (type == &type_size)
        value_print_size(out, value);
    else if (type == &type_limit && value == 0)
        fputs("unlimited", out);
    else
        fprintf(out, "%u", value);
}

static void print_number(const void *base, const struct schema_key *key, FILE *out)
{
    print_u32(key->type, *(const uint32_t *)const_field_of(base, key), out);
}

static int fault_range(
    const struct schema_key *key, const struct document_node *value, struct fault *fault)
{
    char low[32] = "", high[32] = "";
    FILE *l = fmemopen(low, sizeof(low), "w"), *h = fmemopen(high, sizeof(high), "w");

    if (l)
        print_u32(key->type == &type_limit ? &type_number : key->type, (uint32_t)key->min, l);
    if (h)
        print_u32(key->type, (uint32_t)key->max, h);
    if (l)
        fclose(l);
    if (h)
        fclose(h);
    return fault_set(fault, value->line, "'%s' must be between %s and %s, not %s", key->path, low,
        high, fault_escape(value->text).text);
}

static bool parse_number(
    const struct schema_key *key, const struct document_node *value, uint64_t *out)
{
    if (key->type == &type_duration)
        return value_duration(value->text, out);
    if (key->type == &type_milliseconds)
        return value_milliseconds(value->text, out);
    if (key->type == &type_size)
        return value_size(value->text, out);
    if (key->type == &type_limit && strcmp(value->text, "unlimited") == 0) {
        *out = 0;
        return true;
    }
    return value->plain && value_number(value->text, out);
}

static int set_number(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    uint32_t *out = field_of(base, key);
    uint64_t number;

    if (value->kind != DOCUMENT_SCALAR || !parse_number(key, value, &number))
        return schema_bad_value(key, value, fault);
    if (number < key->min || number > key->max)
        return fault_range(key, value, fault);
    *out = (uint32_t)number;
    return 0;
}

const struct schema_type type_number = {.name = "number",
    .form = "a whole number without quotes",
    .set = set_number,
    .print = print_number};
const struct schema_type type_limit = {.name = "limit",
    .form = "a whole number, or unlimited",
    .set = set_number,
    .print = print_number};
const struct schema_type type_duration = {.name = "duration",
    .form = "a duration with its unit, such as 90s, 10min, 48h or 2d",
    .set = set_number,
    .print = print_number};
const struct schema_type type_milliseconds = {.name = "duration",
    .form = "a duration with its unit, such as 500ms, 5s or 10min",
    .set = set_number,
    .print = print_number};
const struct schema_type type_size = {.name = "size",
    .form = "a number of bytes, such as 65536, 512KiB, 4MiB or 1GiB",
    .set = set_number,
    .print = print_number};

static int set_relay_ports(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct config *c = base;
    struct port_range ports;

    if (value->kind != DOCUMENT_SCALAR || !value_ports(value->text, &ports))
        return schema_bad_value(key, value, fault);
    if (ports.min < key->min)
        return fault_set(
            fault, value->line, "'%s' must not go below port %u", key->path, (unsigned)key->min);
    if (ports.min == ports.max)
        return fault_set(fault, value->line, "'%s' must hold at least two ports", key->path);
    c->relay.port_min = ports.min;
    c->relay.port_max = ports.max;
    return 0;
}

static void print_relay_ports(const void *base, const struct schema_key *key, FILE *out)
{
    const struct config *c = base;

    value_print_ports(out, (struct port_range){c->relay.port_min, c->relay.port_max});
}

const struct schema_type type_relay_ports = {.name = "ports",
    .form = "a range of ports such as 49152-65535",
    .set = set_relay_ports,
    .print = print_relay_ports};

static int set_choice(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    int *out = field_of(base, key);

    if (value->kind != DOCUMENT_SCALAR)
        return schema_bad_value(key, value, fault);
    for (int i = 0; key->type->choices[i]; i++) {
        if (strcmp(value->text, key->type->choices[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    return schema_bad_value(key, value, fault);
}

static void print_choice(const void *base, const struct schema_key *key, FILE *out)
{
    fputs(key->type->choices[*(const int *)const_field_of(base, key)], out);
}

_Static_assert(sizeof(enum log_level) == sizeof(int) && sizeof(enum log_format) == sizeof(int),
    "set_choice writes an int");
_Static_assert(
    LOG_ERROR == 0 && LOG_WARN == 1 && LOG_INFO == 2 && LOG_DEBUG == 3, "order of log_levels");
_Static_assert(LOG_TEXT == 0 && LOG_JSON == 1, "order of log_formats");

static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};

const struct schema_type type_log_level = {.name = "choice",
    .form = "error, warn, info or debug",
    .set = set_choice,
    .print = print_choice,
    .choices = log_levels};
const struct schema_type type_log_format = {.name = "choice",
    .form = "text or json",
    .set = set_choice,
    .print = print_choice,
    .choices = log_formats};

/* The same for fields of a byte. */
static int set_small_choice(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    uint8_t *out = field_of(base, key);

    if (value->kind != DOCUMENT_SCALAR)
        return schema_bad_value(key, value, fault);
    for (uint8_t i = 0; key->type->choices[i]; i++) {
        if (strcmp(value->text, key->type->choices[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    return schema_bad_value(key, value, fault);
}

static void print_small_choice(const void *base, const struct schema_key *key, FILE *out)
{
    fputs(key->type->choices[*(const uint8_t *)const_field_of(base, key)], out);
}

_Static_assert(AUTH_REST_SHA1 == 0 && AUTH_REST_SHA256 == 1, "order of rest_hashes");
_Static_assert(AUTH_OAUTH_A256GCM == 0 && AUTH_OAUTH_A128GCM == 1, "order of oauth_algorithms");

static const char *const rest_hashes[] = {"sha1", "sha256", NULL};
static const char *const oauth_algorithms[] = {"A256GCM", "A128GCM", NULL};

const struct schema_type type_rest_hash = {
    .name = "choice", .form = "sha1 or sha256", .set = set_small_choice, .choices = rest_hashes};
const struct schema_type type_oauth_algorithm = {.name = "choice",
    .form = "A256GCM or A128GCM",
    .set = set_small_choice,
    .choices = oauth_algorithms};

_Static_assert(SRTP_GUARD_OFF == 0 && SRTP_GUARD_OBSERVE == 1 && SRTP_GUARD_CLASSIFY == 2 &&
                   SRTP_GUARD_VERIFY == 3 && SRTP_GUARD_VERIFY_REQUIRED == 4,
    "order of srtp_guards");
_Static_assert(SRTP_REPLAY_DROP == 0 && SRTP_REPLAY_COUNT == 1, "order of srtp_replays");

static const char *const srtp_guards[] = {
    "off", "observe", "classify", "verify", "verify_required", NULL};
static const char *const srtp_replays[] = {"drop", "count", NULL};

_Static_assert(
    SANDBOX_AUTO == 0 && SANDBOX_REQUIRED == 1 && SANDBOX_OFF == 2, "order of sandboxes");

static const char *const sandboxes[] = {"auto", "required", "off", NULL};

const struct schema_type type_sandbox = {.name = "choice",
    .form = "auto, required or off",
    .set = set_small_choice,
    .print = print_small_choice,
    .choices = sandboxes};

static bool says_guard(const void *base, const struct schema_key *key)
{
    return *(const uint8_t *)const_field_of(base, key) != SRTP_GUARD_INHERIT;
}

const struct schema_type type_srtp_guard = {.name = "choice",
    .form = "off, observe, classify, verify or verify_required",
    .set = set_small_choice,
    .print = print_small_choice,
    .present = says_guard,
    .choices = srtp_guards};
const struct schema_type type_srtp_replay = {.name = "choice",
    .form = "drop or count",
    .set = set_small_choice,
    .print = print_small_choice,
    .choices = srtp_replays};

/*
 * docs/configuration.md. What it says of a key (type, default, range, whether a restart is needed)
 * is read from the key table that config_load obeys; only the sentences around it are written here.
 * Called by generate_reference.c and tests.
 */
#include "config/reference.h"

#include "config/schema.h"
#include "config/values.h"

#include <errno.h>
#include <string.h>

static const char preface[] =
    "# Configuration\n"
    "\n"
    "<!-- Made from config/schema.def by configuration-reference: edit the table instead. -->\n"
    "\n"
    "Turnpike reads one YAML file. `turnpike --check-config` says whether it is good,\n"
    "`turnpike --dump-config` prints what is in force, defaults included and secrets masked.\n"
    "\n"
    "The file is read strictly. An unknown key, a key or list entry that appears twice, a\n"
    "value of the wrong type or out of range, an anchor, an alias, a tag, a second document:\n"
    "each is one line that names the file, the line and the reason, and the daemon does not\n"
    "start (or keeps the configuration it has, at reload). A file that names nobody who could\n"
    "authenticate is an error too. The file is at most 1 MiB.\n"
    "\n"
    "- **Numbers, booleans**: plain digits, `true` or `false`, without quotes.\n"
    "- **Durations** carry their unit: `90s`, `10min`, `48h`, `2d`. **Sizes**: `65536`,\n"
    "  `512KiB`, `4MiB`, `1GiB`.\n"
    "- **Rates**: `100/s`, `600/min`, `10/h`; `0` and `unlimited` mean no limit. As many as\n"
    "  the rate names may come at once, or as `burst` says: `100/s burst 300`.\n"
    "- **Bandwidths** are bits a second: `500kbit`, `8mbit`, `1gbit`; `0` and `unlimited` mean\n"
    "  no limit.\n"
    "- **Peer rules**: an address, a prefix or a range, with ports if wanted: `10.0.0.1`,\n"
    "  `10.0.0.0/8`, `10.0.0.1-10.0.0.9`, `2001:db8::/32`, `10.0.0.0/8:1024-65535`,\n"
    "  `[2001:db8::/32]:53`. Quote what begins with `[` or holds `: `.\n"
    "- **Files of secrets** are named by absolute path, or by one that begins with\n"
    "  `${CREDENTIALS_DIRECTORY}` (set by systemd for `LoadCredential=`); no other variable\n"
    "  is expanded. The whole content counts, minus one newline at the end. Who may read such\n"
    "  a file is not checked: make it readable by the daemon's user alone.\n"
    "\n"
    "A change of a key marked *restart* waits for the next start; every other key is applied\n"
    "by a reload.\n";

static void write_range(const struct schema_key *key, FILE *out)
{
    const struct schema_type *type = key->type;

    if (key->max == 0)
        return;
    if (type == &type_duration || type == &type_milliseconds || type == &type_size) {
        void (*print)(FILE *, uint32_t) = type == &type_duration ? value_print_duration
                                          : type == &type_size   ? value_print_size
                                                                 : value_print_milliseconds;

        fputs("; ", out);
        print(out, (uint32_t)key->min);
        fputs(" to ", out);
        print(out, (uint32_t)key->max);
    } else if (type == &type_number || type == &type_relay_ports || type == &type_listen_port ||
               type == &type_redis_fleet_size) {
        fprintf(out, "; %u to %u", (unsigned)key->min, (unsigned)key->max);
    } else if (type == &type_bandwidth) {
        fputs("; ", out);
        value_print_bandwidth(out, key->min);
        fputs(" to ", out);
        value_print_bandwidth(out, key->max);
    } else if (type == &type_rate) {
        fprintf(out, "; count and burst up to %u", (unsigned)key->max);
    } else if (type == &type_limit) {
        fprintf(out, "; up to %u", (unsigned)key->max);
    } else {
        fprintf(out, "; %u to %u bytes", (unsigned)key->min, (unsigned)key->max);
    }
}

static void write_key(const struct schema_key *key, unsigned level, FILE *out)
{
    fprintf(out, "\n%.*s `%s`\n\n%s\n\n- Value: %s", (int)level, "###", key->path, key->help,
        key->type->form);
    write_range(key, out);
    fputs("\n", out);
    if (key->flags & SCHEMA_REQUIRED)
        fputs("- Required\n", out);
    else if (key->initial)
        fprintf(out, "- Default: `%s`\n", key->initial);
    else
        fputs("- Default: none\n", out);
    if (key->flags & SCHEMA_RESTART)
        fputs("- Change: *restart*\n", out);
}

int reference_write(FILE *out)
{
    bool top = true; /* nothing but keys of the top level so far */

    fputs(preface, out);
    fputs("\n## Top level\n", out);
    for (size_t i = 0; i < schema_key_count; i++) {
        const struct schema_key *key = &schema_keys[i];
        unsigned level = !top && schema_depth(key) == 0 && !schema_of_item(key) ? 2 : 3;

        if (key->type == &type_section) {
            top = false;
            level = schema_depth(key) == 0 ? 2 : 3;
            if (key->help)
                fprintf(out, "\n%.*s `%s`\n\n%s\n", (int)level, "###", key->path, key->help);
        } else if (key->help) {
            write_key(key, level, out);
        }
    }
    return ferror(out) ? -EIO : 0;
}

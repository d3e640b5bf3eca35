/* The checks of doctor, in the order in which they are said. Called by doctor.c. */
#include <stdarg.h>
#include <stdio.h>

#include "cli/doctor.h"

static const struct {
    const char *name;
    doctor_rule *rule;
} checks[] = {
    {"configuration", doctor_rule_configuration},
    {"daemon", doctor_rule_daemon},
    {"listeners", doctor_rule_listeners},
    {"public_address", doctor_rule_public_address},
    {"ports", doctor_rule_ports},
    {"certificates", doctor_rule_certificates},
    {"credentials", doctor_rule_credentials},
    {"peers", doctor_rule_peers},
    {"proxies", doctor_rule_proxies},
    {"secrets", doctor_rule_secrets},
    {"redis", doctor_rule_redis},
    {"clock", doctor_rule_clock},
    {"files", doctor_rule_files},
    {"buffer", doctor_rule_buffer},
    {"relaying", doctor_rule_relaying},
};
#define CHECKS (sizeof(checks) / sizeof(checks[0]))
_Static_assert(CHECKS <= DOCTOR_CHECKS_MAX, "there is a place for each");

void doctor_judge(const struct doctor_facts *facts, struct doctor_findings *out)
{
    *out = (struct doctor_findings){0};
    for (size_t i = 0; i < CHECKS; i++) {
        out->check = checks[i].name;
        out->unknown[i] = !checks[i].rule(facts, out);
    }
}

const char *doctor_check_name(size_t n)
{
    return n < CHECKS ? checks[n].name : NULL;
}

void doctor_add(
    struct doctor_findings *out, enum doctor_level level, const char *remedy, const char *what, ...)
{
    va_list arguments;
    if (out->count == DOCTOR_FINDINGS_MAX) {
        return;
    }
    struct doctor_finding *f = &out->list[out->count++];
    f->check = out->check;
    f->level = level;
    va_start(arguments, what);
    vsnprintf(f->what, sizeof(f->what), what, arguments);
    va_end(arguments);
    snprintf(f->remedy, sizeof(f->remedy), "%s", remedy ? remedy : "");
}

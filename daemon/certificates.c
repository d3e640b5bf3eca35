/*
 * A certificate that ends unseen takes every TLS client with it: it is named when it is taken into
 * use, and each day of its last two weeks.
 *
 * Always: files and names only; nothing of a key. Called by control.
 */
#include "daemon/certificates.h"

#include "base/clock.h"
#include "base/log.h"

#define DAY_S  86400
#define SOON_S (14 * DAY_S)

/* RFC 3339, UTC. */
static void certificates_warn(const struct tls_certificate_info *info, int64_t now_s)
{
    char expires[CLOCK_UTC_MAX];
    if (info->expires_at - now_s >= SOON_S) {
        return;
    }
    log_event(LOG_WARN,
        info->expires_at <= now_s ? "certificate_expired" : "certificate_expires_soon",
        log_str("file", info->file), log_str("names", info->names),
        log_str("expires", clock_utc_text(info->expires_at, expires)));
}

void certificates_take(
    struct certificates *c, const struct tls_context *context, struct counters *counters)
{
    struct tls_certificate_info info;
    char expires[CLOCK_UTC_MAX];
    for (size_t i = 0; context && tls_context_certificate(context, i, &info); i++) {
        log_event(LOG_INFO, "certificate", log_str("file", info.file), log_str("names", info.names),
            log_str("serial", info.serial),
            log_str("expires", clock_utc_text(info.expires_at, expires)));
    }
    int64_t first = context ? tls_context_expires_at(context) : 0;
    if (counters) {
        counters_gauge_set(counters, GAUGE_TLS_CERT_EXPIRY, first > 0 ? (uint64_t)first : 0);
    }
    c->next_look_s = 0;
    certificates_watch(c, context);
}

void certificates_watch(struct certificates *c, const struct tls_context *context)
{
    struct tls_certificate_info info;
    int64_t now_s = clock_now().wall_s;
    if (now_s < c->next_look_s) {
        return;
    }
    for (size_t i = 0; context && tls_context_certificate(context, i, &info); i++) {
        certificates_warn(&info, now_s);
    }
    c->next_look_s = now_s + DAY_S;
}

/*
 * The admin server: metrics, health and the JSON API, over TCP, in clear on loopback or with TLS,
 * and over a unix socket. Lives on the control thread's loop. Made and freed by daemon/control.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <uv.h>

#include "admin/admin_settings.h"
#include "admin/ops.h"

struct admin;

struct admin_error {
    char text[512]; /* one line */
};

/*
 * What a reload can change of it: token, hosts, certificates; every file is read here. 0 with *out
 * the caller's; -errno, -EINVAL, -ENOMEM with one line in `error`: "admin.tls.key /etc/key.pem:
 * Permission denied".
 */
struct admin_policy;
int admin_policy_new(
    struct admin_policy **out, const struct admin_settings *settings, struct admin_error *error);
void admin_policy_free(struct admin_policy *p); /* NULL is fine */

/* Nothing is served yet. `ops` is copied, what it points to borrowed for life. NULL: no memory. */
struct admin *admin_new(const struct admin_ops *ops);
/*
 * Binds what `settings` names and serves as soon as the loop runs; once. 0, or -errno with one line
 * in `error`, "admin.listen 127.0.0.1:9641: Address already in use"; a built-in place that cannot
 * be had is a warning in the log.
 */
int admin_start(struct admin *a, uv_loop_t *loop, const struct admin_settings *settings,
    struct admin_error *error);
/* Takes `policy` over: from now on that; connections that are open keep their certificates. */
void admin_set_policy(struct admin *a, struct admin_policy *policy);
/* The certificates in force, borrowed until the next policy; NULL: there is no TLS. */
const struct tls_context *admin_certificates(const struct admin *a);
/* Ends every connection, also after a start that failed; the loop has to run until nothing is left
 * in it. NULL is fine. */
void admin_close(struct admin *a);
/* After that, before the loop is closed. NULL is fine. */
void admin_free(struct admin *a);
/* Instead of it, where the loop does not come to its end and will not run again: nothing is freed
 * that is still in it. NULL is fine. */
void admin_leave(struct admin *a);

#endif

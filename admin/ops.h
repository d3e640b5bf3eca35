/*
 * What the admin server may ask of the daemon, and later do to it. Filled in by daemon/; every
 * function is called on the control thread and returns at once.
 */
#ifndef ADMIN_OPS_H
#define ADMIN_OPS_H

#include <stdio.h>

#include "admin/ops_life.h"
#include "auth/explain.h"
#include "base/addr.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "ratelimit/ratelimit_settings.h"
#include "relay/sessions.h"
#include "srtp/keys.h"

/* Where the daemon is in its life. Only ADMIN_RUNNING is ready for clients. */
enum admin_state { ADMIN_STARTING, ADMIN_RUNNING, ADMIN_DRAINING, ADMIN_STOPPING };

/* Texts are borrowed until the handler returns. */
struct admin_status {
    const char *version;
    enum admin_state state;
    uint64_t uptime_s;
    unsigned workers, polling; /* threads, and how many of them poll their listeners */
    const char *config_file;   /* NULL: built-in defaults */
    uint64_t config_version;   /* 1 at start, one more with each reload */
    bool reloading;            /* a worker has not taken the latest configuration yet */
    const char *redis;         /* "up", "down"; NULL: none is configured */
    struct {
        const char *user; /* whom it runs as; "" before it is known */
        bool seccomp;     /* system calls are filtered */
        int landlock;     /* version of what closes folders; 0: none does */
    } sandbox;
};

struct admin_listener {
    const char *proto;
    struct addr addr;
    bool configured; /* false: taken out of the configuration, and polled until the next start */
    bool proxied;    /* connections must begin with a PROXY header */
    bool client_certificate; /* connections must show one */
};

struct admin_relayed {
    struct addr public, local;
};

/* Who is no longer to be let in, on every instance. */
struct admin_revocation {
    enum revocation_kind kind;
    struct slice realm; /* by name; empty: the first */
    struct slice id;
    uint32_t seconds; /* from now; 0: take back one that was made before */
};

/* `explained` is called exactly once, with the explanation borrowed; NULL: no such realm. */
struct admin_explain {
    struct slice realm;                 /* by name; empty: the first */
    struct slice user, password, token; /* see auth/explain.h; borrowed for the call */
    void (*explained)(void *ctx, const struct auth_explanation *explanation);
    void *ctx;
};

enum admin_sharing {
    ADMIN_LIMITS_OWN,    /* they are this instance's own */
    ADMIN_LIMITS_SHARED, /* Redis answers */
    ADMIN_LIMITS_ALONE,  /* it does not: each instance has its part */
};

/* A bucket. What is left could be admitted at once. */
struct admin_rate {
    const char *scope;
    struct rate limit;
    struct {
        uint32_t left; /* of this instance's part, or, where the limit is its own, of the whole */
        uint32_t unreported, owed; /* see ratelimit/rate_table.h */
        uint64_t denied_us;
        bool silent;
    } here;
    bool shared; /* the limit is the fleet's */
    bool found;  /* Redis has said what follows */
    struct {
        uint32_t left;
        uint64_t denied_us;
    } fleet;
};

/* What is held at once. */
struct admin_quota {
    const char *scope;
    uint32_t limit; /* 0: none */
    uint32_t here, elsewhere, unreported;
    bool shared, silent;
};

/* Bytes a second, each direction apart; 0: no limit. */
struct admin_bandwidth {
    uint64_t allocation, user, realm, instance;
    uint32_t burst_ms;
};

#define ADMIN_RATES_MAX  10
#define ADMIN_QUOTAS_MAX 3

struct admin_limits_found {
    enum admin_sharing sharing;
    bool deny_alone; /* while Redis does not answer, allocations are refused */
    uint32_t instances;
    const char *redis; /* as in admin_status */
    size_t rate_count, quota_count;
    struct admin_rate rates[ADMIN_RATES_MAX];
    struct admin_quota quotas[ADMIN_QUOTAS_MAX];
    struct admin_bandwidth bandwidth;
};

/* `found` is called exactly once, with what is borrowed; NULL: no such realm. */
struct admin_limits {
    bool scoped;         /* false: no rates and no quotas are asked for */
    struct slice realm;  /* by name; empty: the first. All borrowed for the call */
    struct slice user;   /* the account; empty: nobody */
    struct addr address; /* of a client; ADDR_NONE: none */
    void (*found)(void *ctx, const struct admin_limits_found *found);
    void *ctx;
};

/* Keys of media; see srtp/keys.h. Texts are borrowed for the call. */
struct admin_srtp_key {
    uint64_t allocation; /* 0: by user */
    struct slice realm;  /* of a user, by name; empty: the first */
    struct slice user;
    bool has_ssrc, has_roc, take_back;
    uint32_t ssrc, roc;
    uint8_t direction;   /* enum srtp_direction */
    struct slice crypto; /* RFC 4568's crypto attribute; empty to take back */
    uint32_t seconds;    /* from now */
};

/* Called exactly once, with a page that is borrowed, and where the next one begins, 0: there is
 * none; or with NULL, and `error` -ENOENT: no such realm; -EINVAL: a cursor that is none; anything
 * else: a worker cannot be asked now, or does not answer. */
typedef void admin_sessions_fn(
    void *ctx, int error, const struct session_page *page, uint64_t next_cursor);

/* Sessions of all workers, one worker after the other. */
struct admin_sessions {
    uint64_t cursor;    /* 0 at first, then what the answer before said */
    uint16_t max;       /* of a page: 1 to SESSIONS_PAGE_MAX */
    bool media;         /* streams of RTP too */
    uint64_t id;        /* 0: all */
    struct slice realm; /* by name; empty: all, or, of a user, the first. Borrowed for the call */
    struct slice user;  /* empty: all */
    bool by_peer;       /* those that may send to one of these */
    struct prefix peer;
    uint32_t older_s, younger_s; /* see session_page */
    admin_sessions_fn *found;
    void *ctx;
};

/* Called exactly once, with how many allocations were ended; or with an error, and then some may
 * have been: -ENOENT: no such realm; anything else: a worker cannot be asked now, or does not
 * answer. */
typedef void admin_kicked_fn(void *ctx, int error, uint64_t kicked);

/* Allocations to be ended: one of an id, a user and a peer. */
struct admin_kick {
    uint64_t id;        /* 0: none */
    struct slice realm; /* of a user, by name; empty: the first. Borrowed for the call */
    struct slice user;  /* as on the wire, or the account; empty: none */
    struct addr peer;   /* those with a permission for it; ADDR_NONE: none */
    admin_kicked_fn *done;
    void *ctx;
};

/* Of the log: what counts now, and for how long still if it is not what is configured, else 0. */
struct admin_log_level {
    enum log_level level, configured;
    uint32_t seconds;
};

#define ADMIN_NAME_MAX 508 /* bytes of a user's name on the wire */
#define ADMIN_URI_MAX  256 /* with its NUL */

/* A REST credential that is wanted. Texts are borrowed for the call. */
struct admin_credential {
    struct slice realm; /* by name; empty: the first */
    struct slice user;  /* the part behind the colon of its name */
    uint32_t ttl_s;     /* 0: a day, or as long as it may be */
};

/* To be wiped by who has it. */
struct admin_credential_made {
    char username[ADMIN_NAME_MAX + 1], password[64];
    uint32_t ttl_s;
    int64_t expires_at; /* wall clock, s */
    uint32_t realm;     /* id */
};

struct admin_ops {
    void *ctx;
    /* Reads the configuration again. */
    void (*reload)(void *ctx, const struct admin_reload *what);
    /* 0, and `done` is or will be called; -ECANCELED: the daemon stops, and it is not. */
    int (*drain)(void *ctx, const struct admin_drain_asked *what);
    void (*drain_state)(void *ctx, struct admin_drain *out);
    /* 0: in force here, and handed to the fleet where there is one. -ENOENT: no such realm;
     * -ENOSPC: too many; -EINVAL: a kind or an id that cannot be. *known: of a secret, whether this
     * instance has it; of a user or token AUTH_KNOWN_MAYBE. */
    int (*revoke)(void *ctx, const struct admin_revocation *what, enum auth_known *known);
    /* May call `explained` before it returns, or up to 3 s later. */
    void (*explain)(void *ctx, const struct admin_explain *what);
    /* The same of `found`. */
    void (*limits)(void *ctx, const struct admin_limits *what);
    /* 0: it is kept, and on its way to the workers. -ENOENT: no such realm; -ENOSPC: too many;
     * -ENOSYS: this build verifies nothing; -EINVAL with *why, a constant: what is wrong with it.
     */
    int (*srtp_key)(void *ctx, const struct admin_srtp_key *what, const char **why);
    /* As explain. A page may have nobody in it, and others behind it. */
    void (*sessions)(void *ctx, const struct admin_sessions *what);
    /* May call `done` before it returns, or later. */
    void (*kick)(void *ctx, const struct admin_kick *what);
    /* 0; -ENOENT: no such realm; -ENOKEY: it has no secret in use; -EINVAL: no such user can be;
     * -ERANGE: longer than credentials live; -EAGAIN: too many were asked for. */
    int (*credential)(
        void *ctx, const struct admin_credential *what, struct admin_credential_made *out);
    /* The n-th place where clients reach a realm (id), as a URI; false behind the last one. */
    bool (*uri)(void *ctx, uint32_t realm, size_t n, char out[ADMIN_URI_MAX]);
    /* What runs, as YAML with secrets masked. 0 or -EIO. */
    int (*config)(void *ctx, FILE *out);
    void (*log_level)(void *ctx, struct admin_log_level *out);
    /* For so many seconds; 0: what is configured, at once. */
    void (*ask_log_level)(void *ctx, enum log_level level, uint32_t seconds);
    /* Empty: there is none of this id. */
    struct slice (*realm_name)(void *ctx, uint32_t realm);
    enum admin_state (*state)(void *ctx);
    void (*status)(void *ctx, struct admin_status *out);
    /* All threads' counters; *out is overwritten. */
    void (*counters)(void *ctx, struct counters_sum *out);
    /* The n-th listener or relayed address; false behind the last one. */
    bool (*listener)(void *ctx, size_t n, struct admin_listener *out);
    bool (*relayed)(void *ctx, size_t n, struct admin_relayed *out);
    /* A socket that is bound to `addr`, or if it is NULL to `path`, already: a descriptor, which is
     * the caller's, or -ENOENT. NULL: there are none. */
    int (*given)(void *ctx, const struct addr *addr, const char *path);
    struct counters *own; /* of the control thread: the server counts what it does there */
};

#endif

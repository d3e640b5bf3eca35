/*
 * Every key of the configuration, once: schema.def. Reading, defaults, dump, diff, hints and the
 * reference document all walk this table, so a key that is not in it does not exist and none can be
 * described wrongly. Control thread only.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include "config/document.h"
#include "config/fault.h"

#include <stdio.h>

struct schema_key;

/* How the value of a key is read, written and compared. `base` is the structure that the key's
 * offset counts from. */
struct schema_type {
    const char *name; /* for the reference: "duration" */
    const char *form; /* what may be written, for the reference and for errors */
    int (*set)(void *base, const struct schema_key *key, const struct document_node *value,
        struct fault *fault);
    void (*print)(
        const void *base, const struct schema_key *key, FILE *out); /* NULL: not part of a dump */
    bool (*equal)(const void *a, const void *b,
        const struct schema_key *key); /* NULL: equal if printed alike */
    bool (*present)(const void *base,
        const struct schema_key *key); /* NULL: always; false: no line of a dump */
    void (*tell)(const void *running, const void *next,
        FILE *out);             /* how they differ; NULL: by their values */
    const char *const *choices; /* of a choice: NULL at the end */
};

enum schema_flags {
    SCHEMA_RESTART = 1,  /* a change waits for a restart */
    SCHEMA_REQUIRED = 2, /* must be there */
    SCHEMA_QUIET = 4     /* a difference is told without its values: secrets and long lists */
};

struct schema_key {
    const char *path; /* "relay.ports"; "listen[].proto" for the keys of a list's items */
    const struct schema_type *type;
    size_t offset;       /* in struct config, or in the item */
    const char *initial; /* default as YAML; NULL: none */
    uint64_t min, max;   /* of numbers, durations, sizes, rates; bytes of texts */
    unsigned flags;
    const char *help; /* one or more sentences of the reference */
};

extern const struct schema_key schema_keys[];
extern const size_t schema_key_count;

/* The name without what it lies in. */
const char *schema_leaf(const struct schema_key *key);
/* Is the key directly in `section` ("" for the top)? */
bool schema_in(const struct schema_key *key, const char *section);
/* How deep: 0 at the top. */
unsigned schema_depth(const struct schema_key *key);
/* True for the keys of a list's items. */
bool schema_of_item(const struct schema_key *key);

/* The section of the items of a list: its path and "[]". */
struct schema_section {
    char path[48];
};
struct schema_section schema_items(const struct schema_key *list);

/* Reads a mapping whose keys are those of `section`. 0, -EINVAL or -ENOMEM with the fault set. */
int schema_read(
    const char *section, const struct document_node *mapping, void *base, struct fault *fault);
/* Sets every key with a default: those of struct config for "", those of an item for "listen[]". 0
 * or -ENOMEM. */
int schema_set_defaults(const char *section, void *base);

/* The fault of a key nobody knows, with the nearest one that exists. Returns -EINVAL. */
int schema_unknown_key(const char *section, const struct document_node *name, struct fault *fault);

/* A mistyped value: "'relay.ports' must be …, not 'abc'". Returns -EINVAL. */
int schema_bad_value(
    const struct schema_key *key, const struct document_node *value, struct fault *fault);

/* scalars.c */
extern const struct schema_type type_section, type_boolean, type_number, type_limit, type_duration,
    type_size, type_milliseconds, type_relay_ports, type_log_level, type_log_format, type_rest_hash,
    type_oauth_algorithm, type_srtp_guard, type_srtp_replay, type_sandbox;
/* rates.c; max of a rate: of its count and of its burst; min and max of a bandwidth: bytes a
 * second. */
extern const struct schema_type type_rate, type_bandwidth;
/* texts.c */
extern const struct schema_type type_text, type_word, type_secret_id;
/* path.c */
extern const struct schema_type type_path, type_pem_file, type_pem_item;
/* realms.c */
extern const struct schema_type type_realm, type_realms;
/* listeners.c */
extern const struct schema_type type_listen, type_proto, type_listen_addr, type_listen_port,
    type_proxy_from;
/* served.c */
extern const struct schema_type type_listen_realms;
/* public_ip.c */
extern const struct schema_type type_public_ip;
/* tls.c */
extern const struct schema_type type_tls_file, type_tls_certificates, type_tls_version;
/* names.c */
extern const struct schema_type type_names, type_hosts;
/* peers.c */
extern const struct schema_type type_deny_peers, type_allow_peers, type_nat64_prefixes;
/* credentials.c */
extern const struct schema_type type_secret, type_secret_file, type_masked_secret, type_user_key,
    type_oauth_key, type_oauth_key_file;
/* users.c */
extern const struct schema_type type_users, type_secrets, type_store;
/* oauth.c */
extern const struct schema_type type_oauth_keys, type_oauth_server_name, type_instant;
/* redis.c */
extern const struct schema_type type_redis_url, type_redis_url_file, type_redis_limits,
    type_redis_fleet_size, type_redis_prefix, type_redis_on_failure;
/* srtp.c */
extern const struct schema_type type_srtp_wrap_key, type_srtp_wrap_key_file;
/* sandbox.c */
extern const struct schema_type type_account;
/* drain.c */
extern const struct schema_type type_alternate_servers, type_alternate_domain;
/* admin.c */
extern const struct schema_type type_admin_listen, type_admin_socket;
/* uris.c */
extern const struct schema_type type_admin_uris;

#endif

/*
 * What turnpikectl doctor knows of a relay, and what it makes of it. Facts are plain values, read
 * once by doctor_host.c, doctor_certificate.c and doctor_files.c; the rules look at nothing else.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "cli/listeners.h"
#include "cli/probe.h"
#include "config/config.h"

#define DOCTOR_ADDRESSES_MAX    64
#define DOCTOR_CERTIFICATES_MAX 16
#define DOCTOR_FILES_MAX        64
#define DOCTOR_PATH_MAX         256
#define DOCTOR_FINDINGS_MAX     48
#define DOCTOR_CHECKS_MAX       16
#define DOCTOR_TEXT_MAX         384

/* This machine. Numbers are 0 where they cannot be read. */
struct doctor_host {
    struct addr addresses[DOCTOR_ADDRESSES_MAX]; /* of its interfaces, ports 0 */
    size_t address_count;
    uint16_t local_port_min, local_port_max; /* net.ipv4.ip_local_port_range */
    bool ports_reserved;  /* all of them that are relayed ports stand in ip_local_reserved_ports */
    uint32_t receive_max; /* net.core.rmem_max, bytes */
    bool receive_forced;  /* the daemon may go over it */
    uint64_t files;       /* that the daemon may open at most */
    bool clock_unsynchronised; /* the kernel says so */
};

struct doctor_daemon {
    bool reached, ready;
    char state[32];                 /* as the status says it, or why it is not reached */
    bool redis, redis_up;           /* there is one; it answers */
    struct cli_listeners listeners; /* where reached */
};

/* One pair of `tls`. */
struct doctor_certificate {
    char file[DOCTOR_PATH_MAX];
    char fault[128];      /* why it cannot be used; "": it can */
    int64_t begins, ends; /* seconds since 1970 */
    char untrusted[128];  /* why a client would not believe it at this moment; "": it would */
    bool named;           /* carries the name that was asked for */
};

/* One file with something secret in it. */
struct doctor_file {
    char path[DOCTOR_PATH_MAX];
    bool everybody; /* may read it */
};

struct doctor_facts {
    int64_t now;                 /* seconds since 1970 */
    const char *config_file;     /* NULL: built-in defaults */
    const struct config *config; /* NULL: it cannot be read, and `config_error` says why */
    const char *config_error;
    const char *name; /* that clients' URLs have; NULL: not said */
    struct doctor_host host;
    struct doctor_daemon daemon;
    struct doctor_certificate certificates[DOCTOR_CERTIFICATES_MAX];
    size_t certificate_count;
    struct doctor_file files[DOCTOR_FILES_MAX]; /* those of the configuration */
    size_t file_count;
    const struct probe *probe; /* an allocation through the public address; NULL: not tried */
    bool probe_mapped;         /* that address is another than the machine's own */
    bool nowhere_public;       /* no listener to try at an address of public_ip */
};

enum doctor_level {
    DOCTOR_ADVICE, /* works, and could be better */
    DOCTOR_WRONG
};

struct doctor_finding {
    const char *check; /* one of doctor_check_name */
    enum doctor_level level;
    char what[DOCTOR_TEXT_MAX], remedy[DOCTOR_TEXT_MAX];
};

struct doctor_findings {
    struct doctor_finding list[DOCTOR_FINDINGS_MAX]; /* more are left out */
    size_t count;
    const char *check;               /* of what is added next */
    bool unknown[DOCTOR_CHECKS_MAX]; /* by check: facts for it are missing */
};

/* All that is found, check after check. */
void doctor_judge(const struct doctor_facts *facts, struct doctor_findings *out);
/* The n-th check's name; NULL behind the last. */
const char *doctor_check_name(size_t n);

/* For the rules. `remedy` may be NULL where `what` says it all. */
void doctor_add(struct doctor_findings *out, enum doctor_level level, const char *remedy,
    const char *what, ...) __attribute__((format(printf, 4, 5)));

/* False: the facts for it are missing, so that it says nothing. */
typedef bool doctor_rule(const struct doctor_facts *facts, struct doctor_findings *out);
doctor_rule doctor_rule_configuration, doctor_rule_daemon, doctor_rule_certificates,
    doctor_rule_credentials, doctor_rule_secrets, doctor_rule_redis, doctor_rule_clock,
    doctor_rule_files, doctor_rule_buffer;
doctor_rule doctor_rule_public_address, doctor_rule_ports, doctor_rule_listeners, doctor_rule_peers,
    doctor_rule_proxies, doctor_rule_relaying;

/* The facts. What cannot be read stays zero. `socket` as in client.h, `relayed` the relayed ports
 * of the configuration. */
void doctor_read_host(struct doctor_host *out, const char *socket, const uint16_t relayed[2]);
/* `ca` (NULL: none): a PEM file of authorities to believe besides the system's. */
void doctor_read_certificates(struct doctor_facts *facts, const char *ca);
/* The files that the configuration at `path` names for secrets, and itself if one stands in it. */
void doctor_read_files(struct doctor_facts *facts, const char *path);

#endif

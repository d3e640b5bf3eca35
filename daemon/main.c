/*
 * turnpike, the daemon: arguments, the configuration or its absence, and the process's own
 * protections; the rest is control's.
 *
 * Always: what is wrong at the start is one line on standard error and exit code 2; a clean stop is
 * exit code 0.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "admin/admin.h"
#include "auth/auth.h"
#include "daemon/banner.h"
#include "daemon/build_snapshot.h"
#include "daemon/control.h"
#include "daemon/privileges.h"
#include "daemon/sharing.h"
#include "srtp/verifier.h"
#include "tls/context.h"
#include "tls/memory.h"

#define DEFAULT_CONFIG "/etc/turnpike/turnpike.yaml"
#define EXIT_USAGE     2

struct options {
    const char *config; /* NULL: none named */
    bool check, dump, version, help;
};

static void main_usage(FILE *out)
{
    fputs("Usage: turnpike [--config FILE] [--check-config] [--dump-config] [--version] [--help]\n"
          "\n"
          "A TURN and STUN relay. Without --config it reads " DEFAULT_CONFIG ";\n"
          "without that file it runs with defaults and credentials made up for the run.\n"
          "\n"
          "  --config FILE    read this configuration\n"
          "  --check-config   say whether the configuration is good, and end\n"
          "  --dump-config    print the effective configuration, secrets masked, and end\n"
          "  --version        print the version, and end\n"
          "\n"
          "Signals: SIGHUP reads the configuration again, SIGUSR1 prints the counters,\n"
          "SIGTERM and SIGINT stop; a second one stops at once.\n"
          "Exit codes: 0 stopped cleanly, 2 wrong usage, configuration or start.\n",
        out);
}

/* False for arguments that mean nothing. */
static bool main_parse(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, 'k'},
        {"dump-config", no_argument, NULL, 'd'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'c':
            o->config = optarg;
            break;
        case 'k':
            o->check = true;
            break;
        case 'd':
            o->dump = true;
            break;
        case 'v':
            o->version = true;
            break;
        case 'h':
            o->help = true;
            break;
        default:
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "turnpike: what is '%s'? See turnpike --help\n", argv[optind]);
        return false;
    }
    return true;
}

static int main_fail(const char *text)
{
    fprintf(stderr, "turnpike: %s\n", text);
    return EXIT_USAGE;
}

/* No core file ever holds keys, and every descriptor the system allows may be used for relaying. */
static void main_protect(void)
{
    struct rlimit files, none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
}

static bool main_check_admin(const struct admin_settings *settings, char *error, size_t error_cap)
{
    struct admin_policy *policy = NULL;
    struct admin_error why;
    if (admin_policy_new(&policy, settings, &why) < 0) {
        snprintf(error, error_cap, "%s", why.text);
    }
    admin_policy_free(policy);
    return policy != NULL;
}

/* True, or false with a line in `error`. */
static bool main_check_folders(const struct config *config, char *error, size_t error_cap)
{
    struct tls_context *tls = NULL;
    struct auth *auth = auth_new(&config->auth, error, error_cap);
    bool ok = auth && (config->tls.certificate_count == 0 ||
                          tls_context_new(&tls, &config->tls,
                              secret_slice(&config->auth.nonce_secret), error, error_cap) == 0);
    ok = ok && snapshot_check_srtp(config, error, error_cap);
    ok = ok && sharing_check(&config->redis, error, error_cap) == 0;
    ok = ok && main_check_admin(&config->admin, error, error_cap);
    tls_context_release(tls);
    auth_free(auth);
    return ok;
}

/* What loading alone does not show: names, rules and files that the folders refuse. 0 or the exit
 * code. */
static int main_check(const struct config *config, const char *path)
{
    char error[512];
    struct config filled = *config;
    uint8_t stand_in[32] = {0};
    if (filled.auth.nonce_secret.len == 0) {
        filled.auth.nonce_secret = (struct secret){stand_in, sizeof(stand_in)};
    }
    if (!main_check_folders(&filled, error, sizeof(error))) {
        return main_fail(error);
    }
    printf("%s: good\n", path ? path : "built-in defaults");
    return EXIT_SUCCESS;
}

static int main_dump(const struct config *config)
{
    int r = config_dump(config, stdout);
    if (r == 0 && fflush(stdout) != 0) {
        r = -EIO;
    }
    return r < 0 ? main_fail("the configuration could not be written") : EXIT_SUCCESS;
}

/* The file to read, or NULL: none is named and the usual one is not there. */
static const char *main_config_path(const struct options *o)
{
    if (o->config) {
        return o->config;
    }
    return access(DEFAULT_CONFIG, F_OK) == 0 || errno != ENOENT ? DEFAULT_CONFIG : NULL;
}

static int main_run(struct config *config, const char *path, const struct credentials *credentials)
{
    char error[512], file[PATH_MAX] = "";
    int r = log_open(STDERR_FILENO, config->log_level, config->log_format);
    if (r < 0) {
        return main_fail("the log could not be started");
    }
    if (srtp_verifier_init() < 0) {
        log_deinit();
        return main_fail("libsrtp2 could not be started");
    }
    struct control *control = control_new(config, path, error, sizeof(error));
    if (!control) {
        log_deinit();
        return main_fail(error);
    }
    if (credentials && (r = banner_show(control_config(control), credentials, file)) < 0) {
        control_free(control);
        log_deinit();
        if (file[0]) {
            (void)unlink(file);
        }
        snprintf(error, sizeof(error), "the credentials could not be written anywhere: %s",
            strerror(-r));
        return main_fail(error);
    }
    control_run(control);
    control_free(control);
    if (file[0]) {
        (void)unlink(file);
    }
    log_event(LOG_INFO, "stopped", log_u64("log_lines_lost", log_lost()));
    log_deinit();
    return EXIT_SUCCESS;
}

/*
 * As whom it is to run. What root has read is read once more, as every reload will: better not to
 * start than to fail at the renewal of a certificate. 0 or the exit code.
 */
static int main_become(struct config *config, const char *path)
{
    char text[512];
    struct config_error error;
    const char *folder = config->admin.control == ADMIN_PLACE_AUTO ? ADMIN_DEFAULT_FOLDER : NULL;
    int r = privileges_become(&config->sandbox, folder, text, sizeof(text));
    if (r < 0) {
        return main_fail(text);
    }
    if (r > 0 && path && config_load(config, path, &error) < 0) {
        return main_fail(error.text);
    }
    return EXIT_SUCCESS;
}

/* With `config` read or made up. */
static int main_act(const struct options *o, struct config *config, const char *path)
{
    if (o->check) {
        return main_check(config, path);
    }
    if (o->dump) {
        return main_dump(config);
    }
    int code = main_become(config, path);
    if (code != EXIT_SUCCESS || path) {
        return code != EXIT_SUCCESS ? code : main_run(config, path, NULL);
    }
    struct credentials credentials;
    if (credentials_generate(&credentials, config) < 0) {
        return main_fail("no credentials could be made");
    }
    code = main_run(config, NULL, &credentials);
    credentials_wipe(&credentials);
    return code;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct config config = {0};
    struct config_error error;
    if (!main_parse(argc, argv, &options)) {
        return EXIT_USAGE;
    }
    if (options.help) {
        main_usage(stdout);
        return EXIT_SUCCESS;
    }
    if (options.version) {
        puts("turnpike " TURNPIKE_VERSION);
        return EXIT_SUCCESS;
    }
    if (tls_memory_init() < 0) {
        return main_fail("OpenSSL does not take its memory from here");
    }
    main_protect();
    const char *path = main_config_path(&options);
    int r = path ? config_load(&config, path, &error) : config_init(&config);
    if (r < 0) {
        return main_fail(path ? error.text : "out of memory");
    }
    int code = main_act(&options, &config, path);
    config_deinit(&config);
    /* Every secret is wiped: debuggers and leak checkers may look again. */
    (void)prctl(PR_SET_DUMPABLE, 1);
    return code;
}

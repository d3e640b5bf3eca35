/*
 * The first five minutes: what to paste where.
 *
 * Always: passwords go to a terminal or into a file of mode 0600 only. Called by main.
 */
#include "daemon/banner.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"

/*
 * "The "turns" URI scheme MUST be used when TURN is run over TLS-over-TCP", RFC 7065 section 3.2;
 * "the transport value of the TURN URI, if set, MUST be "udp"" over DTLS, RFC 7350 section 4.2.
 */
static void banner_write_url(FILE *out, const struct addr *a, enum transport transport)
{
    char text[ADDR_TEXT_MAX];
    bool secure = transport == TRANSPORT_TLS || transport == TRANSPORT_DTLS;
    fprintf(out, "  %s:%s?transport=%s\n", secure ? "turns" : "turn",
        addr_format(a, text, sizeof(text)), transport_is_stream(transport) ? "tcp" : "udp");
}

static void banner_write_urls(FILE *out, const struct config *config)
{
    for (size_t i = 0; i < config->relay.address_count; i++) {
        for (size_t k = 0; k < config->net.listener_count; k++) {
            struct addr a = config->relay.addresses[i].public;
            a.port = config->net.listeners[k].addr.port;
            banner_write_url(out, &a, config->net.listeners[k].transport);
        }
    }
}

void banner_write(FILE *out, const struct config *config, const struct credentials *credentials)
{
    char text[ADDR_TEXT_MAX];
    fprintf(out, "turnpike relays with credentials made up for this run.\n\nURLs:\n");
    banner_write_urls(out, config);
    fprintf(out, "Realm:       %s\nUser:        %s\nPassword:    %s\nREST secret: %s\n",
        config->auth.realms[0].name, credentials->user, credentials->password,
        credentials->rest_secret);
    if (config->net.listener_count > 0) {
        /* -s: this client's channel numbers go beyond 0x4FFF, which RFC 8656 section 12 reserves.
         */
        fprintf(out, "\nTry it from a second terminal of this host; it ends with \"Total lost "
                     "packets 0\":\n");
        fprintf(out, "  turnutils_uclient -y -s -c -n 100 -u %s -w %s -p %u %s\n\n",
            credentials->user, credentials->password, (unsigned)config->net.listeners[0].addr.port,
            addr_format_ip(&config->relay.addresses[0].local, text, sizeof(text)));
    }
}

int banner_show(
    const struct config *config, const struct credentials *credentials, char path[PATH_MAX])
{
    path[0] = '\0';
    if (isatty(STDOUT_FILENO)) {
        banner_write(stdout, config, credentials);
        return fflush(stdout) == 0 ? 0 : -errno;
    }
    int fd = credentials_create_file(path);
    if (fd < 0) {
        path[0] = '\0';
        return fd;
    }
    FILE *out = fdopen(fd, "w");
    if (!out) {
        close(fd);
        return -ENOMEM;
    }
    banner_write(out, config, credentials);
    if (fclose(out) != 0) {
        return -EIO;
    }
    log_event(LOG_INFO, "credentials_made", log_str("file", path));
    return 0;
}

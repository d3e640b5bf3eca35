/*
 * What selftest and doctor speak to the daemon's listeners over, as any client would: connected
 * sockets, with OpenSSL on top where the transport asks for it. Called by turn_client.c.
 */
#include "cli/turn_link.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "wire/stream_frame.h"

#define RETRANSMIT_MS 1000 /* DTLS: RFC 6347 section 4.2.4.1, the initial timer */

struct turn_link {
    enum transport transport;
    int fd;
    SSL_CTX *context; /* NULL: plain */
    SSL *ssl;
    size_t len, used; /* bytes in `buffer`, and of these returned by the last receive */
    uint8_t buffer[STREAM_FRAME_MAX + 4];
};

static int left_ms(uint64_t deadline_us)
{
    const uint64_t now = clock_now().mono_us;
    return now >= deadline_us ? 0 : (int)((deadline_us - now + US_PER_MS - 1) / US_PER_MS);
}

static uint64_t deadline_in(unsigned ms)
{
    return clock_now().mono_us + ms * US_PER_MS;
}

/* 0 when the socket is ready. */
static int wait_for(const struct turn_link *l, short events, uint64_t deadline_us)
{
    struct pollfd p = {.fd = l->fd, .events = events};
    for (;;) {
        int ms = left_ms(deadline_us);
        if (ms == 0) {
            return -ETIMEDOUT;
        }
        if (l->transport == TRANSPORT_DTLS && ms > RETRANSMIT_MS) {
            ms = RETRANSMIT_MS;
        }
        const int n = poll(&p, 1, ms);
        if (n > 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0 && l->transport == TRANSPORT_DTLS && l->ssl) {
            (void)DTLSv1_handle_timeout(l->ssl);
        }
    }
}

/* 0: once more; else why the call of OpenSSL failed for good. */
static int ssl_go_on(const struct turn_link *l, int result, uint64_t deadline_us)
{
    const int error = SSL_get_error(l->ssl, result), saved = errno;
    switch (error) {
    case SSL_ERROR_WANT_READ:
        return wait_for(l, POLLIN, deadline_us);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(l, POLLOUT, deadline_us);
    case SSL_ERROR_ZERO_RETURN:
        return -ECONNRESET;
    case SSL_ERROR_SYSCALL:
        return saved ? -saved : -ECONNRESET;
    default:
        return -EPROTO;
    }
}

static int connect_socket(struct turn_link *l, const struct addr *to, uint64_t deadline_us)
{
    struct sockaddr_storage sa;
    const socklen_t len = addr_to_sockaddr(to, &sa);
    const int type = transport_is_stream(l->transport) ? SOCK_STREAM : SOCK_DGRAM;
    int error = 0;
    socklen_t error_len = sizeof(error);
    l->fd = socket(sa.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0) {
        return -errno;
    }
    if (connect(l->fd, (struct sockaddr *)&sa, len) == 0) {
        return 0;
    }
    if (errno != EINPROGRESS) {
        return -errno;
    }
    const int r = wait_for(l, POLLOUT, deadline_us);
    if (r == 0 && getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &error_len) < 0) {
        return -errno;
    }
    return r < 0 ? r : -error;
}

static BIO *new_bio(const struct turn_link *l)
{
    BIO *bio = NULL;
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    if (l->transport == TRANSPORT_TLS) {
        return BIO_new_socket(l->fd, BIO_NOCLOSE);
    }
    if (getpeername(l->fd, (struct sockaddr *)&peer, &len) < 0) {
        return NULL;
    }
    bio = BIO_new_dgram(l->fd, BIO_NOCLOSE);
    if (bio) {
        (void)BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, &peer);
    }
    return bio;
}

static int handshake(struct turn_link *l, uint64_t deadline_us)
{
    const bool tls = l->transport == TRANSPORT_TLS;
    ERR_clear_error();
    l->context = SSL_CTX_new(tls ? TLS_client_method() : DTLS_client_method());
    l->ssl = l->context ? SSL_new(l->context) : NULL;
    BIO *bio = l->ssl ? new_bio(l) : NULL;
    if (!bio) {
        return -ENOMEM;
    }
    SSL_set_bio(l->ssl, bio, bio);
    for (;;) {
        errno = 0;
        const int result = SSL_connect(l->ssl);
        if (result == 1) {
            return 0;
        }
        const int r = ssl_go_on(l, result, deadline_us);
        if (r < 0) {
            return r;
        }
    }
}

int turn_link_new(
    struct turn_link **out, enum transport transport, const struct addr *to, unsigned timeout_ms)
{
    const uint64_t deadline = deadline_in(timeout_ms);
    struct turn_link *l = calloc(1, sizeof(*l));
    if (!l) {
        return -ENOMEM;
    }
    l->transport = transport;
    l->fd = -1;
    int r = connect_socket(l, to, deadline);
    if (r == 0 && (transport == TRANSPORT_TLS || transport == TRANSPORT_DTLS)) {
        r = handshake(l, deadline);
    }
    if (r < 0) {
        turn_link_free(l);
        return r;
    }
    *out = l;
    return 0;
}

void turn_link_free(struct turn_link *l)
{
    if (!l) {
        return;
    }
    if (l->ssl && SSL_is_init_finished(l->ssl)) {
        (void)SSL_shutdown(l->ssl);
    }
    SSL_free(l->ssl);
    SSL_CTX_free(l->context);
    if (l->fd >= 0) {
        close(l->fd);
    }
    free(l);
}

enum transport turn_link_transport(const struct turn_link *l)
{
    return l->transport;
}

/* Bytes written, at least one; -errno. */
static ssize_t write_some(struct turn_link *l, struct slice bytes, uint64_t deadline_us)
{
    for (;;) {
        errno = 0;
        const ssize_t n = l->ssl ? SSL_write(l->ssl, bytes.data, (int)bytes.len)
                                 : send(l->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n > 0) {
            return n;
        }
        const int r = l->ssl            ? ssl_go_on(l, (int)n, deadline_us)
                      : errno == EAGAIN ? wait_for(l, POLLOUT, deadline_us)
                                        : -errno;
        if (r < 0) {
            return r;
        }
    }
}

static int write_all(struct turn_link *l, struct slice bytes, uint64_t deadline_us)
{
    while (bytes.len > 0) {
        const ssize_t n = write_some(l, bytes, deadline_us);
        if (n < 0) {
            return (int)n;
        }
        bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
    }
    return 0;
}

int turn_link_send(struct turn_link *l, struct slice message, unsigned timeout_ms)
{
    static const uint8_t zeros[4];
    const uint64_t deadline = deadline_in(timeout_ms);
    const int r = write_all(l, message, deadline);
    if (r < 0 || !transport_is_stream(l->transport)) {
        return r;
    }
    /* RFC 8656 section 12.5: "Over TCP and TLS-over-TCP, the ChannelData message MUST be padded to
     * a multiple of four bytes". */
    return write_all(l, slice_of(zeros, -message.len & 3u), deadline);
}

/* Adds to the buffer. 0 or -errno. */
static int read_some(struct turn_link *l, uint64_t deadline_us)
{
    for (;;) {
        uint8_t *to = l->buffer + l->len;
        const size_t room = sizeof(l->buffer) - l->len;
        errno = 0;
        const ssize_t n =
            l->ssl ? SSL_read(l->ssl, to, (int)room) : recv(l->fd, to, room, MSG_DONTWAIT);
        if (n > 0) {
            l->len += (size_t)n;
            return 0;
        }
        if (n == 0 && !l->ssl) {
            return transport_is_stream(l->transport) ? -ECONNRESET : 0;
        }
        const int r = l->ssl            ? ssl_go_on(l, (int)n, deadline_us)
                      : errno == EAGAIN ? wait_for(l, POLLIN, deadline_us)
                                        : -errno;
        if (r < 0) {
            return r;
        }
    }
}

int turn_link_receive(struct turn_link *l, struct slice *message, unsigned timeout_ms)
{
    const uint64_t deadline = deadline_in(timeout_ms);
    const bool stream = transport_is_stream(l->transport);
    l->len = stream ? l->len - l->used : 0;
    memmove(l->buffer, l->buffer + l->used, l->len);
    l->used = 0;
    for (;;) {
        struct stream_frame frame;
        enum stream_frame_kind kind = STREAM_FRAME_MORE;
        if (stream) {
            kind = stream_frame_next(&frame, slice_of(l->buffer, l->len));
        } else if (l->len > 0) {
            kind = STREAM_FRAME_MESSAGE;
            frame = (struct stream_frame){slice_of(l->buffer, l->len), l->len};
        }
        if (kind == STREAM_FRAME_MESSAGE) {
            l->used = frame.len;
            *message = frame.message;
            return 0;
        }
        const int r = kind == STREAM_FRAME_BAD ? -EPROTO : read_some(l, deadline);
        if (r < 0) {
            return r;
        }
    }
}

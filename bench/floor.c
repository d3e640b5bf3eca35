/*
 * turnpike-floor: the least that a TURN relay in user space can cost, to compare servers with.
 *
 * A BENCHMARK TOOL, NOT A SERVER: one user, no permissions, no limits, no expiry. It relays to
 * whatever peer was named, for whoever knows the password, and therefore starts only when told that
 * it is a benchmark, and listens only on the address that it is given.
 *
 * One thread, one epoll, one socket an allocation, plain sends; the listening socket is read in
 * batches. It answers the one order of requests that the generator uses: Allocate, ChannelBind or
 * CreatePermission, Refresh, and Binding.
 */
#include "base/addr.h"
#include "base/crypto.h"
#include "wire/channel_data.h"
#include "wire/stun.h"
#include "wire/stun_writer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXIT_USAGE     2
#define BATCH          32
#define DATAGRAM_MAX   2048
#define TABLE_SIZE     (1u << 17) /* allocations fill at most half */
#define SOCKET_BUFFER  (4 * 1024 * 1024)
#define HEADER_ROOM    36 /* in front of what came from a peer: a Data indication's head */
#define SOFT_EVENTS    64
#define TIME_LIMIT_S   3600
#define NONCE          "floor"
#define REALM          "floor"
#define LISTENER_TOKEN UINT32_MAX

struct allocation {
    struct sockaddr_in client; /* port 0: free */
    struct sockaddr_in peer;
    struct sockaddr_in relayed;
    int fd;           /* -1: given back; the slot stays, so that probing goes on behind it */
    uint16_t channel; /* 0: Data indications */
};

struct relay {
    int listener, epoll;
    struct in_addr relay_ip;
    struct crypto *crypto;
    uint8_t key[CRYPTO_MD5_LEN];
    struct allocation *table;
    struct mmsghdr in[BATCH];
    struct iovec in_iov[BATCH];
    struct sockaddr_in in_from[BATCH];
    uint8_t in_bytes[BATCH][DATAGRAM_MAX];
};

static uint32_t slot_of(const struct sockaddr_in *client)
{
    uint64_t key = (uint64_t)client->sin_addr.s_addr << 16 | client->sin_port;

    return (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 40) % TABLE_SIZE;
}

/* The client's allocation, or the free slot where it would be. */
static struct allocation *find(struct relay *r, const struct sockaddr_in *client)
{
    uint32_t i = slot_of(client);

    while (r->table[i].client.sin_port != 0 &&
           (r->table[i].client.sin_port != client->sin_port ||
               r->table[i].client.sin_addr.s_addr != client->sin_addr.s_addr)) {
        i = (i + 1) % TABLE_SIZE;
    }
    return &r->table[i];
}

static bool is_live(const struct allocation *a)
{
    return a->client.sin_port != 0 && a->fd >= 0;
}

static int udp_socket(struct in_addr ip, uint16_t port, struct sockaddr_in *bound)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = ip};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    *bound = address;
    return fd;
}

static int watch(struct relay *r, int fd, uint32_t token)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = token};

    return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event);
}

static bool open_allocation(struct relay *r, struct allocation *a, const struct sockaddr_in *client)
{
    if (is_live(a)) {
        return true;
    }
    int fd = udp_socket(r->relay_ip, 0, &a->relayed);
    if (fd < 0) {
        return false;
    }
    if (watch(r, fd, (uint32_t)(a - r->table)) < 0) {
        close(fd);
        return false;
    }
    a->client = *client;
    a->channel = 0;
    a->fd = fd;
    return true;
}

static bool take_peer(struct allocation *a, const struct stun_msg *msg)
{
    struct slice value;
    struct addr peer;
    struct sockaddr_storage sa;

    if (!stun_find(msg, STUN_ATTR_XOR_PEER_ADDRESS, &value) ||
        !stun_read_xor_addr(msg, value, &peer) || peer.family != ADDR_IPV4) {
        return false;
    }
    addr_to_sockaddr(&peer, &sa);
    memcpy(&a->peer, &sa, sizeof(a->peer));
    return true;
}

static void write_xor(struct stun_writer *w, uint16_t type, const struct sockaddr_in *address)
{
    struct addr value;

    addr_from_sockaddr(&value, (const struct sockaddr *)address);
    stun_write_xor_addr(w, type, &value);
}

static void send_to(int fd, const struct sockaddr_in *to, const void *bytes, size_t len)
{
    /* What cannot be sent is lost, as on a network. */
    (void)!sendto(fd, bytes, len, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof(*to));
}

static void send_error(
    struct relay *r, const struct stun_msg *msg, const struct sockaddr_in *to, uint16_t code)
{
    uint8_t out[256];
    struct stun_writer w;

    stun_write_begin(&w, out, sizeof(out), STUN_ERROR, msg->method, msg->transaction);
    stun_write_error(&w, code);
    if (code == 401) {
        stun_write_attr(&w, STUN_ATTR_REALM, slice_of_string(REALM));
        stun_write_attr(&w, STUN_ATTR_NONCE, slice_of_string(NONCE));
    }
    send_to(r->listener, to, out, stun_write_end(&w));
}

/* Carries out the request. False: it makes no sense here. */
static bool carry_out(struct relay *r, const struct stun_msg *msg, struct allocation *a,
    const struct sockaddr_in *client)
{
    struct slice value;
    uint32_t lifetime = 600;

    switch (msg->method) {
    case STUN_ALLOCATE:
        return open_allocation(r, a, client);
    case STUN_CHANNEL_BIND:
        return is_live(a) && stun_find(msg, STUN_ATTR_CHANNEL_NUMBER, &value) &&
               stun_read_channel(value, &a->channel) && take_peer(a, msg);
    case STUN_CREATE_PERMISSION:
        return is_live(a) && take_peer(a, msg);
    case STUN_REFRESH:
        if (is_live(a) && stun_find(msg, STUN_ATTR_LIFETIME, &value) &&
            stun_read_u32(value, &lifetime) && lifetime == 0) {
            close(a->fd);
            a->fd = -1;
        }
        return true;
    default:
        return msg->method == STUN_BINDING;
    }
}

static void on_request(struct relay *r, const struct stun_msg *msg, const struct sockaddr_in *from)
{
    uint8_t out[256];
    struct stun_writer w;
    struct allocation *a = find(r, from);
    bool binding = msg->method == STUN_BINDING;

    if (!binding && stun_verify_integrity(msg, r->crypto, slice_of(r->key, sizeof(r->key))) != 0) {
        send_error(r, msg, from, 401);
        return;
    }
    if (!carry_out(r, msg, a, from)) {
        send_error(r, msg, from, 400);
        return;
    }
    stun_write_begin(&w, out, sizeof(out), STUN_SUCCESS, msg->method, msg->transaction);
    if (binding || msg->method == STUN_ALLOCATE) {
        write_xor(&w, STUN_ATTR_XOR_MAPPED_ADDRESS, from);
    }
    if (msg->method == STUN_ALLOCATE) {
        write_xor(&w, STUN_ATTR_XOR_RELAYED_ADDRESS, &a->relayed);
        stun_write_u32(&w, STUN_ATTR_LIFETIME, 600);
    }
    if (!binding) {
        stun_write_integrity(&w, r->crypto, slice_of(r->key, sizeof(r->key)), false);
    }
    send_to(r->listener, from, out, stun_write_end(&w));
}

static void on_client(struct relay *r, struct slice bytes, const struct sockaddr_in *from)
{
    struct channel_data channel;
    struct stun_msg msg;
    struct slice data;

    if (channel_data_parse(&channel, bytes) == REASON_NONE) {
        struct allocation *a = find(r, from);
        if (is_live(a) && a->channel == channel.number) {
            send_to(a->fd, &a->peer, channel.payload.data, channel.payload.len);
        }
        return;
    }
    if (stun_parse(&msg, bytes) != REASON_NONE) {
        return;
    }
    if (msg.class == STUN_REQUEST) {
        on_request(r, &msg, from);
    } else if (msg.class == STUN_INDICATION && stun_find(&msg, STUN_ATTR_DATA, &data)) {
        struct allocation *a = find(r, from);
        if (is_live(a)) {
            send_to(a->fd, &a->peer, data.data, data.len);
        }
    }
}

/* `buffer` has HEADER_ROOM bytes in front of the `len` bytes of payload, and room to pad behind. */
static void to_client(struct relay *r, const struct allocation *a, uint8_t *buffer, size_t len)
{
    static const uint8_t transaction[STUN_TRANSACTION_LEN] = {0x21, 0x12, 0xa4, 0x42};
    struct stun_writer w;
    uint8_t *start = buffer + HEADER_ROOM - CHANNEL_HEADER_LEN;

    if (a->channel != 0) {
        channel_data_header(start, a->channel, (uint16_t)len);
        send_to(r->listener, &a->client, start, len + CHANNEL_HEADER_LEN);
        return;
    }
    stun_write_begin(&w, buffer, HEADER_ROOM, STUN_INDICATION, STUN_DATA, transaction);
    write_xor(&w, STUN_ATTR_XOR_PEER_ADDRESS, &a->peer);
    stun_write_attr_header(&w, STUN_ATTR_DATA, (uint16_t)len);
    if (stun_write_end(&w) == HEADER_ROOM) {
        size_t padding = (4 - len % 4) % 4;
        memset(buffer + HEADER_ROOM + len, 0, padding);
        send_to(r->listener, &a->client, buffer, HEADER_ROOM + len + padding);
    }
}

static void read_relayed(struct relay *r, const struct allocation *a)
{
    uint8_t buffer[HEADER_ROOM + DATAGRAM_MAX + 4];

    if (!is_live(a)) {
        return;
    }
    ssize_t len = recv(a->fd, buffer + HEADER_ROOM, DATAGRAM_MAX, MSG_DONTWAIT);
    if (len >= 0) {
        to_client(r, a, buffer, (size_t)len);
    }
}

static void read_listener(struct relay *r)
{
    for (unsigned i = 0; i < BATCH; i++) {
        r->in[i].msg_hdr.msg_namelen = sizeof(r->in_from[i]);
    }
    int count = recvmmsg(r->listener, r->in, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        on_client(r, slice_of(r->in_bytes[i], r->in[i].msg_len), &r->in_from[i]);
    }
}

static int run(struct relay *r)
{
    struct epoll_event events[SOFT_EVENTS];

    for (;;) {
        int count = epoll_wait(r->epoll, events, SOFT_EVENTS, -1);
        if (count < 0 && errno != EINTR) {
            return -errno;
        }
        for (int i = 0; i < count; i++) {
            if (events[i].data.u32 == LISTENER_TOKEN) {
                read_listener(r);
            } else {
                read_relayed(r, &r->table[events[i].data.u32]);
            }
        }
    }
}

static int relay_start(struct relay *r, struct in_addr listen_ip, uint16_t port, const char *user,
    const char *password)
{
    const struct slice parts[] = {slice_of_string(user), slice_of_string(":"),
        slice_of_string(REALM), slice_of_string(":"), slice_of_string(password)};
    int buffer = SOCKET_BUFFER;
    struct sockaddr_in bound;

    r->crypto = crypto_new();
    r->table = calloc(TABLE_SIZE, sizeof(*r->table));
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (r->crypto == NULL || r->table == NULL || r->epoll < 0) {
        return -ENOMEM;
    }
    r->listener = udp_socket(listen_ip, port, &bound);
    if (r->listener < 0 || watch(r, r->listener, LISTENER_TOKEN) < 0) {
        return -errno;
    }
    setsockopt(r->listener, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    for (unsigned i = 0; i < BATCH; i++) {
        r->in_iov[i] = (struct iovec){r->in_bytes[i], DATAGRAM_MAX};
        r->in[i].msg_hdr =
            (struct msghdr){.msg_name = &r->in_from[i], .msg_iov = &r->in_iov[i], .msg_iovlen = 1};
    }
    return crypto_digest(r->crypto, CRYPTO_MD5, parts, 5, r->key);
}

int main(int argc, char **argv)
{
    static struct relay r;
    struct in_addr listen_ip;

    if (argc != 7 || strcmp(argv[1], "--i-am-a-benchmark") != 0 ||
        inet_pton(AF_INET, argv[2], &listen_ip) != 1 ||
        inet_pton(AF_INET, argv[4], &r.relay_ip) != 1 || listen_ip.s_addr == 0 ||
        r.relay_ip.s_addr == 0) {
        fputs("usage: turnpike-floor --i-am-a-benchmark LISTEN-IP PORT RELAY-IP USER PASSWORD\n"
              "A benchmark tool without permissions or limits, not a server: it never listens on "
              "all addresses.\n",
            stderr);
        return EXIT_USAGE;
    }
    alarm(TIME_LIMIT_S);
    int rc = relay_start(&r, listen_ip, (uint16_t)strtoul(argv[3], NULL, 10), argv[5], argv[6]);
    if (rc == 0) {
        rc = run(&r);
    }
    fprintf(stderr, "turnpike-floor: %s\n", strerror(-rc));
    return EXIT_FAILURE;
}

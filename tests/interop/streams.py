"""Clients over TCP and TLS: turnutils' rows, framing, balancers' headers and probes, and clients that read or send too slowly."""
import ipaddress
import os
import pathlib
import resource
import socket
import struct
import sys
import time

import stun
from admin import scrape, with_admin
from certificates import Authority
from harness import CONFIG, Process, case, expect, listening_peer, until
from relaying import relays
from transports import Tcp, padded, tls_context
from uclient import TO_PEER, TO_PEER6, row

HERE = pathlib.Path(__file__).resolve().parent
TCP, TLS = ("127.0.0.1", 3478), ("127.0.0.1", 5349)
LISTEN = """\
listen:
  - { proto: udp, addr: "::", port: 3478 }
  - { proto: tcp, addr: "::", port: 3478 }
"""
LISTEN_TLS = """\
  - { proto: tls, addr: "::", port: 5349 }
"""
HOST = "turn.test"
PLAIN = CONFIG + LISTEN


def secure(lab, listen=LISTEN_TLS, more=""):
    """The configuration with a certificate of this lab's own authority (lab.authority, lab.certificate)."""
    lab.authority = Authority(lab.folder)
    lab.certificate = lab.authority.issue(HOST)
    return f"{PLAIN}{listen}tls: {{ cert: {lab.certificate.cert}, key: {lab.certificate.key}{more} }}\n"


def tls_client(lab, server=TLS, **options):
    context = options.pop("tls", None) or tls_context(lab.authority.cert)
    return lab.client(server, kind=Tcp, tls=context, name=HOST, **options)


def all_closed(server, seconds=10):
    """Waits until no connection is open, and that each was closed for a reason; returns {reason: how often}."""
    def closed():
        accepted, active, reasons = server.connections()
        return (reasons,) if active == 0 and accepted == sum(reasons.values()) else None
    return until(closed, seconds, lambda: f"accepted, open, closed: {server.connections()}")[0]


def closed_for(server, reason, count=1, seconds=10):
    """Waits until that many were closed for this reason."""
    until(lambda: server.connections()[2].get(reason, 0) >= count, seconds,
          lambda: f"accepted, open, closed: {server.connections()}; expected {count} {reason}")


def success(answer):
    return answer is not None and answer.kind == stun.SUCCESS


def allocates(client):
    answer = client.allocate()
    expect(success(answer), f"Allocate: {answer and (answer.kind, answer.code)}")


def relays_and_ends(client):
    allocates(client)
    peer, port = listening_peer()
    relays(client, peer, port)
    expect(success(client.refresh(0)), "Refresh 0")


# turnutils over TLS only against turnpike: it takes what is in one record for one message, and coturn 4.6.1 sends several in one.
MANY = ("-m", "50", "-n", "100")
FORMS = {"channels": TO_PEER, "no_rtcp": ("-c", *TO_PEER), "send_indications": ("-s", *TO_PEER), "client_to_client": ("-y",),
         "ipv6_relay": ("-x", *TO_PEER6)}
for form, flags in FORMS.items():
    row(f"tcp_{form}", "-t", *flags, *MANY, config=lambda _: PLAIN, coturn=True)
    row(f"tls_{form}", "-t", "-S", "-p", "5349", *flags, *MANY, config=secure, coturn=False)


@case(coturn=True)
def tcp_relays_both_forms(lab):
    server = lab.server(PLAIN)
    relays_and_ends(lab.client(TCP, kind=Tcp))
    for client in lab.clients:
        client.close()
    if lab.kind == "turnpike":
        expect(all_closed(server) == {"closed_by_client": 1}, f"{server.connections()}")
    server.check()


@case
def tls_relays_both_forms(lab):
    server = lab.server(secure(lab))
    relays_and_ends(tls_client(lab))
    server.check()


@case(coturn=True)
def tcp_messages_arrive_in_any_pieces(lab):
    """A byte at a time, many in one segment, and ChannelData of every residue of four: nothing is lost, and order is kept."""
    server, client = lab.server(PLAIN), lab.client(TCP, kind=Tcp)
    allocates(client)
    peer, port = listening_peer()
    expect(success(client.bind_channel(0x4000, "127.0.0.1", port)), "ChannelBind")
    payloads = [bytes([65 + n % 26]) * n for n in (1, 2, 3, 4, 5, 160, 1199, 1200)]
    frames = [padded(struct.pack("!HH", 0x4000, len(p)) + p) for p in payloads]
    for byte in b"".join(frames[:6]):
        client.socket.sendall(bytes([byte]))
    client.socket.sendall(b"".join(frames))
    for payload in payloads[:6] + payloads:
        expect(peer.recvfrom(2048)[0] == payload, "a message was changed or reordered")
        peer.sendto(payload, client.relayed)
        got = client.receive()
        frame = struct.pack("!HH", 0x4000, len(payload)) + payload
        expect(got and got[0][:len(frame)] == frame, f"{got} for {len(payload)} bytes")
        expect(got[0] == padded(frame) or lab.kind == "coturn", f"what the padding tells: {got}")  # coturn pads with what lay there
    server.check()


@case
def tcp_allocation_ends_with_its_connection(lab):
    """RFC 8656 section 5 leaves the relayed address to the 5-tuple, which has ended: a new client gets nothing of the old."""
    server, client = lab.server(PLAIN), lab.client(TCP, kind=Tcp)
    allocates(client)
    client.close()
    until(lambda: server.counters()["turnpike_allocations_total"]['result="ended"'] == 1, 5, "the allocation stays")
    server.check()


# What balancers send

SOURCE, DESTINATION = ("198.51.100.7", 40001), ("203.0.113.4", 443)
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
BEHIND = """\
  - { proto: tcp, addr: 127.0.0.1, port: 4478, proxy_from: ["127.0.0.2/32"] }
"""
BEHIND_TLS = """\
  - { proto: tls, addr: 127.0.0.1, port: 4443, proxy_from: ["127.0.0.2/32"] }
"""


def proxy_v1(source=SOURCE, destination=DESTINATION):
    family = "TCP6" if ":" in source[0] else "TCP4"
    return f"PROXY {family} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()


def proxy_v2(source=SOURCE, destination=DESTINATION, more=b""):
    body = b"".join(ipaddress.ip_address(ip).packed for ip, _ in (source, destination))
    body += struct.pack("!HH", source[1], destination[1]) + more
    return SIGNATURE + struct.pack("!BBH", 0x21, 0x21 if ":" in source[0] else 0x11, len(body)) + body


# Without a client, as health checks send them
LOCAL, UNKNOWN = SIGNATURE + b"\x20\0\0\0", b"PROXY UNKNOWN\r\n"


def behind(lab, header, port=4478, source="127.0.0.2", **options):
    return lab.client(("127.0.0.1", port), kind=Tcp, bind=(source, 0), header=header, **options)


def clients_in_log(server):
    """The client addresses of the allocations."""
    return [word.split("=", 1)[1] for line in server.output().splitlines() if "allocation_created" in line
            for word in line.split() if word.startswith("client=")]


@case
def proxy_headers_say_who_the_client_is(lab):
    server = lab.server(secure(lab, LISTEN_TLS + BEHIND + BEHIND_TLS))
    for number, make in enumerate((proxy_v1, proxy_v2)):
        source = ("198.51.100.7", 40001 + number)
        client = behind(lab, make(source))
        answer = client.request(stun.BINDING)
        expect(answer and answer.address(stun.MAPPED) == source, f"mapped to {answer and answer.addresses(stun.MAPPED)}")
        relays_and_ends(client)
        expect(clients_in_log(server)[-1] == f"{source[0]}:{source[1]}", f"the log names {clients_in_log(server)}")
        source = ("2001:db8::7", 50001 + number)
        answer = behind(lab, make(source, ("2001:db8::4", 443))).request(stun.BINDING)
        expect(answer and answer.address(stun.MAPPED) == source, f"mapped to {answer and answer.addresses(stun.MAPPED)}")
    tlvs = struct.pack("!BH", 4, 200) + bytes(200)
    relays_and_ends(behind(lab, proxy_v2(("198.51.100.8", 1), more=tlvs), 4443, tls=tls_context(lab.authority.cert), name=HOST))
    for header in (LOCAL, UNKNOWN):
        client = behind(lab, header)
        answer = client.request(stun.BINDING)
        expect(answer and answer.address(stun.MAPPED) == client.local, f"{header}: not the connection's own address")
    for client in lab.clients:
        client.close()
    expect(all_closed(server) == {"closed_by_client": 7}, f"{server.connections()}")
    server.check()


@case
def proxy_headers_that_cannot_be_close_the_connection(lab):
    server = lab.server(with_admin(lab, PLAIN + BEHIND))
    long = SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 60000) + bytes(60000)
    bad = [("proxy_untrusted", dict(header=proxy_v2(), source="127.0.0.3")),
           ("proxy_untrusted", dict(header=proxy_v1(), source="127.0.0.3")),
           ("proxy_untrusted", dict(header=b"", source="127.0.0.3")),
           ("proxy_missing", dict(header=stun.build(stun.REQUEST, stun.BINDING))),
           ("proxy_missing", dict(header=b"GET / HTTP/1.1\r\n\r\n")),
           ("proxy_malformed", dict(header=b"PROXY TCP4 1.2.3.4.5 203.0.113.4 1 2\r\n")),
           ("proxy_malformed", dict(header=b"PROXY TCP4 198.51.100.7 203.0.113.4 1 70000\r\n")),
           ("proxy_malformed", dict(header=b"PROXY TCP4 " + b"1" * 200)),
           ("proxy_malformed", dict(header=SIGNATURE + b"\x31\x11\0\x0c" + bytes(12))),
           ("proxy_malformed", dict(header=SIGNATURE + b"\x21\x11\0\x04" + bytes(4))),
           ("proxy_malformed", dict(header=long)),
           ("proxy_unexpected", dict(header=proxy_v1(), port=3478)),
           ("proxy_unexpected", dict(header=proxy_v2(), port=3478))]
    expected = {}
    for reason, options in bad:
        try:
            client = behind(lab, **options)
            expect(client.ended(5) and not client.received, f"{reason}: {options} is served, or stays open")
        except ConnectionError:
            pass
        expected[reason] = expected.get(reason, 0) + 1
    expect(all_closed(server) == expected, f"{server.connections()[2]}, not {expected}")
    values, _ = scrape()
    for reason, count in expected.items():
        expect(values[f'turnpike_connections_closed_total{{reason="{reason}"}}'] == count, f"/metrics says otherwise of {reason}")
    expect(not clients_in_log(server), "an allocation")
    server.check()


PROBE = b"%s / HTTP/1.1\r\nHost: turn.test\r\nUser-Agent: a balancer\r\n\r\n"


@case
def http_probes_get_200_and_a_close(lab):
    """In plain TCP, behind a PROXY header without a client, and inside TLS."""
    server = lab.server(secure(lab, LISTEN_TLS + BEHIND))
    ways = [lambda: lab.client(TCP, kind=Tcp), lambda: behind(lab, LOCAL), lambda: tls_client(lab)]
    for way in ways:
        for method in (b"GET", b"HEAD"):
            client = way()
            client.socket.sendall(PROBE % method)
            expect(client.ended(5), f"{method} leaves the connection open")
            head, _, body = client.received.partition(b"\r\n\r\n")
            expect(head.startswith(b"HTTP/1.1 200 "), f"{method}: {client.received}")
            expect(bool(body) == (method == b"GET"), f"{method}: a body of {body}")
    expect(all_closed(server) == {"http_probe": 6}, f"{server.connections()}")
    server.check()


@case
def plain_stun_on_a_tls_port_is_refused_by_default(lab):
    config = secure(lab)
    server = lab.server(config)
    client = lab.client(TLS, kind=Tcp)
    client.send(stun.build(stun.REQUEST, stun.BINDING))
    expect(client.ended(5) and not client.received, f"served: {client.received}")
    closed_for(server, "plain_on_tls_port")
    for rubbish in (b"\xff" * 20, b"SSH-2.0-x\r\n"):
        client = lab.client(TLS, kind=Tcp)
        client.socket.sendall(rubbish)
        expect(client.ended(5), f"{rubbish} stays open")
    closed_for(server, "not_tls", 2)
    server.check()
    server = lab.server(config.replace("proto: tls,", "proto: tls, accept_plain: true,"), name="plain")
    relays_and_ends(lab.client(TLS, kind=Tcp))
    relays_and_ends(tls_client(lab))
    server.check()


# Slow clients (docs/threats.md, row 20)

def resident(server):
    """KiB"""
    line = next(x for x in pathlib.Path(f"/proc/{server.pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1])


def without_quarantine():
    """AddressSanitizer keeps what was freed, which would look like growth."""
    return {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}


@case(alone=True)
def threat_20_a_client_that_does_not_read_costs_its_queue_and_no_more(lab):
    server = lab.server(PLAIN, env=without_quarantine())
    stalled, other = lab.client(TCP, kind=Tcp), lab.client(TCP, kind=Tcp)
    for client in (stalled, other):
        allocates(client)
    peer, port = listening_peer()
    expect(success(stalled.bind_channel(0x4000, "127.0.0.1", port)), "ChannelBind")

    def flood(first, count):
        for number in range(first, first + count):
            peer.sendto(struct.pack("!I", number) * 300, stalled.relayed)
            if number % 20 == 0:
                time.sleep(0.001)
    flood(0, 6000)
    expect(server.dropped("write_queue_full") > 0, "7 MB fit somewhere")
    before = resident(server)
    flood(6000, 10000)
    began = time.monotonic()
    relays(other, *listening_peer())
    expect(time.monotonic() - began < 1, "another client is held up")
    flood(16000, 10000)
    grown = resident(server) - before
    print(f"24 MB that nobody reads cost {grown} KiB")
    expect(grown < 1024, f"24 MB that nobody reads cost {grown} KiB")
    last = read = 0
    while got := stalled.receive_now(0.5):
        number = struct.unpack("!I", got[0][4:8])[0]
        expect(got[0] == struct.pack("!HH", 0x4000, 1200) + struct.pack("!I", number) * 300, f"not what was sent: {got[0][:16]}")
        expect(number > last or not read, f"{number} behind {last}")
        last, read = number, read + 1
    expect(read > 100 and success(stalled.refresh(0)), f"after {read} messages the connection is dead")
    expect(success(other.refresh(0)), "Refresh 0")
    server.check()


def files_allowed(wanted):
    """Raises the limit of this case and of what it starts to `wanted` files, or as far as that is allowed; returns it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard > wanted:
        hard = wanted
    for limit in (wanted, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return limit
        except (OSError, ValueError):
            pass
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@case(alone=True)
def threat_20_slow_clients_hold_up_nobody(lab):
    """5 000 that say nothing and 5 000 that send a byte a second, from many addresses, who come back when they are closed; fewer
    where all files are not twice as many, because connections get half of them."""
    count = min(5000, (files_allowed(24000) // 2 - 1000) // 2)
    server = lab.server(secure(lab))
    slow = lab.start(Process, "slow_clients", [sys.executable, HERE / "slow_clients.py", count, TLS[1], TCP[1]])
    until(lambda: f"open {2 * count}" in slow.output() or slow.popen.poll() is not None, 40,
          lambda: f"not all are connected: {slow.output()[-200:]}")
    slowest, tries, end = 0, 0, time.monotonic() + 8
    while time.monotonic() < end:
        began = time.monotonic()
        relays_and_ends(tls_client(lab))
        slowest, tries = max(slowest, time.monotonic() - began), tries + 1
        time.sleep(0.1)
    print(f"{tries} new TLS clients among {2 * count} slow ones, each within {slowest:.3f} s")
    expect(slowest < 1 and tries > 5, f"of {tries} new TLS clients among {2 * count} slow ones one took {slowest:.2f} s")
    expect(slow.popen.poll() is None, f"the slow clients have ended: {slow.output()[-500:]}")
    reasons = server.connections()[2]
    print(reasons)
    expect(reasons.get("handshake_timeout", 0) + reasons.get("frame_timeout", 0) > count, f"slow clients are left alone: {reasons}")
    slow.end()
    for client in lab.clients:
        client.close()
    all_closed(server, 15)
    server.check()


@case
def threat_20_one_prefix_leaves_room_where_files_are_few(lab):
    """The half above which few half-open ones of a prefix are let in is of what the file limit leaves, if that is less."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1500, 1500))
    server = lab.server(PLAIN)
    crowd = []
    for number in range(1200):
        s = socket.socket()
        crowd.append(s)
        s.bind((f"127.9.9.{1 + number % 250}", 0))
        s.connect(TCP)
    closed_for(server, "half_open_cap", 500)
    client = lab.client(TCP, kind=Tcp)
    relays_and_ends(client)
    for s in (*crowd, client):
        s.close()
    expect("connection_files" not in all_closed(server), "connections took all files that they may")
    server.check()

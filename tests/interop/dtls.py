"""DTLS, and what else can arrive on the 5-tuple of a session or from those that have none."""
import socket
import struct
import time

from OpenSSL import SSL

import stun
from harness import case, expect, listening_peer, until
from relaying import relays
from streams import FORMS, MANY, allocates, relays_and_ends, resident, success, without_quarantine
from streams import secure as secure_streams
from tls import OLD, expect_refused, expect_served, shown, with_other_names
from transports import Dtls
from uclient import row

DTLS, UDP = ("127.0.0.1", 5349), ("127.0.0.1", 3478)  # a UDP listener takes DTLS too


def secure(lab):
    return secure_streams(lab, '  - { proto: dtls, addr: "::", port: 5349 }\n')


# turnutils, only against turnpike: coturn 4.6.1 hangs in some of the rows.
for form, flags in FORMS.items():
    row(f"dtls_{form}", "-S", "-p", "5349", *flags, *MANY, config=secure, coturn=False)
row("dtls_on_the_udp_port", "-S", "-p", "3478", *FORMS["channels"], *MANY, config=secure, coturn=False)


@case
def dtls_relays_both_forms(lab):
    server = lab.server(secure(lab))
    relays_and_ends(lab.client(DTLS, kind=Dtls))
    relays_and_ends(lab.client(UDP, kind=Dtls))
    server.check()


@case
def dtls_versions_and_names(lab):
    server = lab.server(with_other_names(lab, secure(lab)))
    expect_served("-dtls1_2", words=[b"DTLSv1.2"])
    expect_refused("-dtls1", *OLD, seconds=2)
    expect(shown("-dtls1_2", "-servername", "other.test") == "other.test", "the name is ignored")
    server.check()


def dropped(server):
    return sum(server.counters()["turnpike_packets_dropped_total"].values())


def answered_in_plain(client, seconds=0.3):
    """What comes back that is no DTLS record."""
    client.socket.settimeout(seconds)
    try:
        while (data := client.socket.recv(2048))[0] in range(20, 64):
            pass
        return data
    except TimeoutError:
        return None


@case
def dtls_plain_text_on_a_session_is_dropped(lab):
    """From the client's own address and port: a Binding request, ChannelData and a Send indication, all without DTLS."""
    server = lab.server(secure(lab))
    client = lab.client(UDP, kind=Dtls)
    allocates(client)
    peer, port = listening_peer()
    relays(client, peer, port)
    transaction, before = b"t" * 12, dropped(server)
    spoofed = [stun.build(stun.REQUEST, stun.BINDING), struct.pack("!HH", 0x4000, 4) + b"evil",
               stun.build(stun.INDICATION, stun.SEND, [(stun.PEER, stun.xor_address("127.0.0.1", port, transaction)),
                                                       (stun.PAYLOAD, b"evil")], transaction=transaction)]
    for data in spoofed:
        client.socket.send(data)
        expect(answered_in_plain(client) is None, f"{data[:4]} is answered")
    until(lambda: dropped(server) == before + len(spoofed), 5, lambda: f"{dropped(server) - before} dropped of {len(spoofed)}")
    peer.settimeout(0.3)
    try:
        got = peer.recvfrom(2048)
    except TimeoutError:
        got = None
    expect(got is None, f"the peer got {got}")
    peer.settimeout(2)
    relays(client, peer, port)
    expect(success(client.refresh(0)), "Refresh 0")
    server.check()


@case
def dtls_spoofed_client_hello_ends_nothing(lab):
    """From the client's own address and port: first ClientHellos, broken ones, records that no key has made, and last a handshake
    that gets as far as the cookie and the server's flight, but not to its end."""
    server = lab.server(secure(lab))
    client = lab.client(DTLS, kind=Dtls)
    allocates(client)
    peer, port = listening_peer()
    foreign = Dtls.begin()
    try:
        foreign.do_handshake()
    except SSL.WantReadError:
        pass
    hello = client.records(foreign)[0]
    for data in (hello, hello[:40], hello[:13], b"\x16" + bytes(60), b"\x15\xfe\xfd" + bytes(8) + b"\0\2\2\x28",
                 b"\x17\xfe\xfd\0\1" + bytes(6) + b"\0\x20" + bytes(32), b"\x14\xfe\xfd" + bytes(8) + b"\0\1\1"):
        client.socket.send(data)
        relays(client, peer, port)
    client.socket.settimeout(2)
    foreign = Dtls.begin()
    for _ in ("HelloVerifyRequest", "ServerHello"):
        try:
            foreign.do_handshake()
        except SSL.WantReadError:
            client.flush(foreign)
        foreign.bio_write(client.socket.recv(65536))
    relays(client, peer, port)
    expect(success(client.refresh(0)), "Refresh 0")
    server.check()


@case
def dtls_new_handshake_takes_over(lab):
    """RFC 6347 section 4.2.8: a client that lost its state comes back on the same 5-tuple."""
    server = lab.server(secure(lab))
    client = lab.client(DTLS, kind=Dtls)
    expect(client.request(stun.BINDING) is not None, "Binding")
    second = Dtls.begin()
    client.shake(second)
    client.session = second
    expect(client.request(stun.BINDING) is not None, "the new session is not served")
    allocates(client)
    expect(success(client.refresh(0)), "Refresh 0")
    server.check()


@case
def threat_06_client_hellos_without_cookie_cost_nothing(lab):
    """From 10 000 addresses, as after the first 10 000: no descriptor, 1 MiB at most, and no answer longer than what was asked."""
    server = lab.server(secure(lab), env=without_quarantine())
    probe = lab.client(DTLS, kind=Dtls)
    hellos = []
    for _ in range(4):
        session = Dtls.begin()
        try:
            session.do_handshake()
        except SSL.WantReadError:
            pass
        hellos.append(probe.records(session)[0])

    def flood(count):
        longest = 0
        for number in range(count):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.bind((f"127.{1 + number // 250}.{1 + number % 250}.1", 0))
                s.sendto(hellos[number % 4], DTLS)
                s.settimeout(2)
                longest = max(longest, len(s.recv(2048)) - len(hellos[number % 4]))
        return longest
    flood(10000)
    before, files = resident(server), len(server.open_files())
    began = time.monotonic()
    longer = flood(10000)
    expect(longer <= 0, f"an answer is {longer} bytes longer than its ClientHello")
    expect(resident(server) - before <= 1024, f"{resident(server) - before} KiB in {time.monotonic() - began:.1f} s")
    expect(len(server.open_files()) == files, "descriptors")
    expect(probe.request(stun.BINDING) is not None, "the session that was there is gone")
    server.check()

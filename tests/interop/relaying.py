"""Relaying seen by a client written apart from the server: both media forms, limits of the host, floods, sizes, addresses."""
import os
import pathlib
import re
import socket
import struct
import subprocess
import time

import stun
from harness import CONFIG, Failed, case, expect, listening_peer, until

FINGERPRINT_SIZE = 8


def relays(client, peer, port, channel=0x4000):
    """Channel and Send indications there and back; the permission and the channel are made here."""
    ip = peer.getsockname()[0]
    answer = client.bind_channel(channel, ip, port)
    expect(answer and answer.kind == stun.SUCCESS, f"ChannelBind: {answer and answer.code}")
    for number, send in enumerate((lambda p: client.send_channel(channel, p), lambda p: client.send_to(ip, port, p))):
        payload = b"media %d of %d" % (number, channel)
        send(payload)
        data, source = peer.recvfrom(2048)
        expect(data == payload, f"the peer got {data!r} for {payload!r}")
        expect(source[:2] == client.relayed, f"the peer got it from {source}, the relayed address is {client.relayed}")
        peer.sendto(payload[::-1], client.relayed)
        got = client.receive()
        expect(got and got[0][4:4 + len(payload)] == payload[::-1], f"the client got {got}")


@case(coturn=True)
def stun_client_relays_both_forms(lab):
    server, client = lab.server(), lab.client()
    peer, port = listening_peer()
    answer = client.allocate()
    expect(answer and answer.kind == stun.SUCCESS, f"Allocate: {answer and answer.code}")
    relays(client, peer, port)
    answer = client.refresh(0)
    expect(answer and answer.kind == stun.SUCCESS, f"Refresh 0: {answer and answer.code}")
    if lab.kind == "turnpike":  # coturn relays on for a moment
        peer.sendto(b"too late", client.relayed)
        expect(client.receive(0.3) is None, "media arrived after the allocation was deleted")
    server.check()


@case
def dual_allocation_relays_both_families(lab):
    """turnutils' -Z asks with a number that is not ADDITIONAL-ADDRESS-FAMILY's, so this is tried here."""
    server, client = lab.server(), lab.client()
    answer = client.allocate([(stun.ADDITIONAL_FAMILY, b"\x02\0\0\0")])
    expect(answer and answer.kind == stun.SUCCESS, f"Allocate: {answer and answer.code}")
    relayed = answer.addresses(stun.RELAYED)
    expect([ip for ip, _ in relayed] == ["127.0.0.1", "::1"], f"relayed addresses {relayed}")
    for number, (ip, port) in enumerate(relayed):
        peer, peer_port = listening_peer(ip)
        client.relayed = (ip, port)
        relays(client, peer, peer_port, 0x4000 + number)
    server.check()


@case(coturn=True)
def peer_without_permission_is_not_relayed(lab):
    server, client = lab.server(), lab.client()
    peer, port = listening_peer("127.0.0.2")
    client.allocate()
    client.send_to("127.0.0.2", port, b"no permission")
    peer.settimeout(0.3)
    try:
        raise Failed(f"the peer got {peer.recvfrom(2048)}")
    except TimeoutError:
        pass
    peer.sendto(b"no permission", client.relayed)
    expect(client.receive(0.3) is None, "the client got what no permission allows")
    server.check()


@case
def default_policy_refuses_loopback_peers(lab):
    server, client = lab.server(CONFIG.replace('127.0.0.0/8, "::1/128"', "")), lab.client()
    peer, port = listening_peer()
    peer.settimeout(0.3)
    client.allocate()
    answer = client.permit("127.0.0.2")
    expect(answer and answer.code == 403, f"CreatePermission to 127.0.0.2: {answer and answer.code}")
    # The relay's own address is allowed for the sake of relayed ports; this port is none.
    answer = client.permit("127.0.0.1")
    expect(answer and answer.kind == stun.SUCCESS, f"CreatePermission to our own address: {answer and answer.code}")
    client.send_to("127.0.0.1", port, b"to a port that is no live relayed port")
    until(lambda: server.dropped("peer_port_not_live") == 1, 2, "not dropped as peer_port_not_live")
    try:
        raise Failed(f"the peer got {peer.recvfrom(2048)}")
    except TimeoutError:
        pass
    server.check()


@case
def channels_of_rfc_5766_are_refused_by_default(lab):
    server, client = lab.server(re.sub("  rfc5766_channels: true.*\n", "", CONFIG)), lab.client()
    peer, port = listening_peer()
    client.allocate()
    for channel, code in ((0x3FFF, 400), (0x5000, 400), (0x7FFF, 400), (0x4FFF, 0)):
        answer = client.bind_channel(channel, "127.0.0.1", port)
        expect(answer and answer.code == code, f"ChannelBind {channel:#x}: {answer and answer.code}, not {code}")
    relays(client, peer, port, 0x4FFF)
    server.check()


@case
def file_limit_reached_draws_508_and_harms_nobody(lab):
    server = lab.server()
    peer, port = listening_peer()
    first = lab.client()
    first.allocate()
    relays(first, peer, port)
    server.limit_files(max(server.open_files()) + 1)
    for _ in range(3):
        answer = lab.client().allocate()
        expect(answer and answer.code == 508, f"Allocate without files: {answer and (answer.kind, answer.code)}")
    relays(first, peer, port)
    answer = first.refresh()
    expect(answer and answer.kind == stun.SUCCESS, "Refresh at the file limit")
    server.limit_files(4096)
    last = lab.client()
    expect(last.allocate().kind == stun.SUCCESS, "Allocate after the limit was raised")
    relays(last, peer, port)
    server.check()


@case
def ports_exhausted_draws_508_and_harms_nobody(lab):
    # Outside the range that the system takes ports for clients from, so that nobody else has one of the four.
    server = lab.server(CONFIG.replace("relay:\n", "relay:\n  ports: 62000-62003\n"))
    peer, port = listening_peer()
    clients = [lab.client() for _ in range(4)]
    for client in clients:
        answer = client.allocate()
        expect(answer and answer.kind == stun.SUCCESS, f"Allocate: {answer and answer.code}")
    expect({c.relayed[1] for c in clients} == set(range(62000, 62004)), "relayed ports outside the range, or one twice")
    late = lab.client()
    answer = late.allocate()
    expect(answer and answer.code == 508, f"Allocate without a port: {answer and (answer.kind, answer.code)}")
    relays(clients[0], peer, port)
    clients[1].refresh(0)
    answer = late.allocate()
    expect(answer and answer.kind == stun.SUCCESS, f"Allocate after a port came free: {answer and answer.code}")
    relays(late, peer, port)
    server.check()


@case
def replies_and_media_leave_from_the_address_asked(lab):
    for address in ("fd00::1/128", "fd00::2/128"):
        subprocess.run(["ip", "-6", "addr", "add", address, "dev", "lo", "nodad"], check=True)
    server = lab.server()
    peer, port = listening_peer()
    for ip in ("127.0.0.1", "127.0.0.2", "127.0.0.3", "fd00::1", "fd00::2", "::1"):
        for listener in (3478, 3481):
            client = lab.client((ip, listener))
            answer = client.exchange(stun.build(stun.REQUEST, stun.BINDING))
            expect(answer and answer.source == ip, f"Binding to {ip}:{listener} answered from {answer and answer.source}")
        answer = client.allocate([(stun.FAMILY, b"\x01\0\0\0")])
        expect(answer and answer.source == ip and answer.kind == stun.SUCCESS, f"Allocate at {ip}: {answer and answer.code}")
        client.permit("127.0.0.1")
        peer.sendto(b"to " + ip.encode(), client.relayed)
        got = client.receive()
        expect(got and got[1] == ip, f"media for the client of {ip} came from {got and got[1]}")
    expect(port, "no port")
    server.check()


def sized(answer, limit, code, what):
    expect(answer and answer.code == code, f"{what}: {answer and answer.code}, not {code}")
    expect(stun.SOFTWARE not in answer.attributes, f"{what}: SOFTWARE for a stranger")
    expect(len(answer.data) <= limit, f"{what}: {len(answer.data)} bytes, at most {limit}")


@case
def answers_to_strangers_are_as_small_as_threats_row_4_says(lab):
    server = lab.server()
    realm = 16  # "turnpike.test", padded
    for ip in ("127.0.0.1", "::1"):
        for fingerprint, more in ((False, 0), (True, FINGERPRINT_SIZE)):
            client = lab.client((ip, 3478))

            def ask(method, attributes=(), key=None, c=client, f=fingerprint):
                return c.exchange(stun.build(stun.REQUEST, method, attributes, key, f))
            udp = (stun.TRANSPORT, stun.UDP)
            sized(ask(stun.BINDING), 44 + more, 0, "Binding")
            challenge = ask(stun.ALLOCATE, [udp])
            sized(challenge, 80 + realm + more, 401, "401")
            expect(len(challenge.attributes[stun.NONCE]) <= 32, "the nonce is longer than 32 bytes")
            name = [(stun.USERNAME, b"u"), (stun.REALM, challenge.attributes[stun.REALM]), (stun.NONCE, b"x" * 32)]
            sized(ask(stun.ALLOCATE, [udp, *name], b"key"), 80 + realm + more, 438, "438")
            sized(ask(stun.BINDING, [(0x7FFF, b"")]), 36 + more, 420, "420")
            sized(ask(stun.ALLOCATE, name[:1], b"key"), 28 + more, 400, "400")
    server.check()


def resident(pid):
    fields = pathlib.Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def flood(sockets, request, count):
    """Sends `count` requests over the sockets in turn. Returns seconds taken and answers drawn by each."""
    answers = [0] * len(sockets)

    def drain():
        for index, s in enumerate(sockets):
            try:
                while True:
                    s.recv(2048)
                    answers[index] += 1
            except BlockingIOError:
                pass
    started = time.monotonic()
    for index in range(count):
        sockets[index % len(sockets)].send(request[:8] + struct.pack("!12x")[:8] + struct.pack("!I", index) + request[20:])
        if index % 64 == 0:
            drain()
    seconds = time.monotonic() - started
    time.sleep(0.5)
    drain()
    return seconds, answers


@case
def flood_of_strangers_draws_the_budget_and_keeps_nothing(lab):
    config = CONFIG.replace("1000/s", "50/s").replace("5000/s", "200/s")
    server = lab.server(config)
    peer, port = listening_peer()
    friend = lab.client(bind=("127.0.0.1", 0))
    friend.allocate()
    sockets = []
    for host in range(2, 42):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((f"127.7.7.{host}", 0))
        s.connect(("127.0.0.1", 3478))
        s.setblocking(False)
        sockets.append(s)
    request = stun.build(stun.REQUEST, stun.ALLOCATE, [(stun.TRANSPORT, stun.UDP)])
    flood(sockets, request, 40000)  # touches what is there from the start: rings and tables
    memory, files = resident(server.pid), len(server.open_files())
    seconds, answers = flood(sockets, request, 40000)
    # Budgets start full; what the first flood left of them only makes this one draw less.
    allowed = 200 + 200 * (seconds + 1)
    expect(0 < sum(answers) <= allowed, f"{sum(answers)} answers to a /24 in {seconds:.1f} s, at most {allowed:.0f}")
    worst = max(answers)
    expect(worst <= 50 + 50 * (seconds + 1), f"{worst} answers to one address in {seconds:.1f} s")
    expect(len(server.open_files()) == files, "strangers made the server open files")
    grown = resident(server.pid) - memory
    expect(grown <= 1 << 20, f"strangers made the server grow by {grown} bytes")
    expect(server.dropped("answer_budget") > 0, "nothing was dropped for the budget")
    relays(friend, peer, port)
    answer = friend.refresh()
    expect(answer and answer.kind == stun.SUCCESS, "Refresh after the flood")
    server.check()


@case
def flood_from_the_prefix_of_a_client_spares_its_allocation(lab):
    server = lab.server(CONFIG.replace("1000/s", "20/s").replace("5000/s", "40/s"))
    peer, port = listening_peer()
    friend = lab.client(bind=("127.7.7.1", 0))
    expect(friend.allocate().kind == stun.SUCCESS, "Allocate")
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(("127.7.7.1", 0))
    stranger.connect(("127.0.0.1", 3478))
    stranger.setblocking(False)
    request = stun.build(stun.REQUEST, stun.ALLOCATE, [(stun.TRANSPORT, stun.UDP)])
    for _ in range(5):
        flood([stranger], request, 1000)
        answer = friend.refresh()
        expect(answer and answer.kind == stun.SUCCESS, "a Refresh went unanswered in the flood")
        relays(friend, peer, port)
    until(lambda: server.dropped("answer_budget") > 0, 2, "the flood was within the budget")
    server.check()


@case
def garbage_draws_nothing_and_is_counted(lab):
    server = lab.server()
    client = lab.client()
    binding = stun.build(stun.REQUEST, stun.BINDING)
    garbage = [b"", b"\0", b"\xff" * 40, b"\x16\xfe\xff" + bytes(30), b"\x80" + bytes(40), binding[:19], binding + b"\0\0\0\0",
               binding[:2] + b"\0\4" + binding[4:], b"\x40\0\0\1", struct.pack("!HH", 0x4000, 9) + b"short",
               b"\x01\x01" + binding[2:], b"\x01\x11" + binding[2:], b"\x00\x12" + binding[2:]]
    before = server.counters()["turnpike_packets_dropped_total"]
    for data in garbage:
        client.send(data)
    expect(client.receive_now(0.5) is None, "garbage drew an answer")
    after = server.counters()["turnpike_packets_dropped_total"]
    dropped = sum(after.values()) - sum(before.values())
    expect(dropped == len(garbage), f"{dropped} of {len(garbage)} counted as dropped")
    server.check()


def passes(client, peer, packets):
    """How many of so many datagrams of 1000 bytes come out at the peer."""
    for _ in range(packets):
        client.send_channel(0x4000, bytes(1000))
    arrived = 0
    peer.settimeout(0.3)
    try:
        while True:
            peer.recv(2048)
            arrived += 1
    except TimeoutError:
        return arrived


@case
def bandwidth_of_the_file_holds_and_a_reload_changes_it(lab):
    """A rate so slow that next to nothing comes back while the case runs: the burst of 131,072 bytes is all that passes."""
    def reload(extra):
        server.config.write_text(CONFIG.replace("limits: { ", "limits: { " + extra))
        server.reload()
        time.sleep(0.3)  # workers take it after the line is logged
    server = lab.server()
    peer, port = listening_peer()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    for name in ("user", "realm", "instance", "allocation"):
        reload(f"bandwidth_per_{name}: 8kbit, ")
        client = lab.client()
        client.allocate()
        answer = client.bind_channel(0x4000, "127.0.0.1", port)
        expect(answer and answer.kind == stun.SUCCESS, f"ChannelBind: {answer and answer.code}")
        arrived = passes(client, peer, 150)
        # On a slow machine a packet a second comes on top.
        expect(131 <= arrived <= 136, f"{arrived} packets passed bandwidth_per_{name}")
        expect(server.dropped(f"bandwidth_{name}") == 150 - arrived, f"not counted as bandwidth_{name}")
        reload("")
        arrived = passes(client, peer, 150)
        expect(arrived == 150, f"{arrived} of 150 packets passed where nothing is limited any more")
    server.check()

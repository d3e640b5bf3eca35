"""What the daemon is doing when a call fails: each phase is one small piece of its work, done again for each fault."""
import os
import signal
import socket
import ssl
import struct
import subprocess
import time

from OpenSSL import SSL

import admin
import redis
import stun
from harness import PASSWORD, USER, Failed, Process, Server, expect, until
from streams import HOST, LISTEN_TLS, TCP, TLS, secure
from transports import Dtls, Tcp, tls_context

UDP, DTLS = ("127.0.0.1", 3478), ("127.0.0.1", 5349)
LISTENERS = LISTEN_TLS + '  - { proto: dtls, addr: "::", port: 5349 }\n'
STORED = "stored"
FAILURES = (OSError, Failed, ssl.SSLError, SSL.Error, AttributeError, KeyError)
ANSWER_S = 0.25


class Quick:
    """A client that does not wait long."""

    def exchange(self, data, tries=4, seconds=ANSWER_S):
        return super().exchange(data, tries, seconds)


class UdpClient(Quick, stun.Client):
    pass


class TcpClient(Quick, Tcp):
    def exchange(self, data, tries=1, seconds=4 * ANSWER_S):
        return super().exchange(data, tries, seconds)


class DtlsClient(Quick, Dtls):
    """A handshake whose flights are repeated."""

    def shake(self, session, seconds=2):
        deadline = time.monotonic() + seconds
        while True:
            try:
                session.do_handshake()
                return self.flush(session)
            except SSL.WantReadError:
                self.flush(session)
            expect(time.monotonic() < deadline, "no DTLS handshake")
            self.socket.settimeout(ANSWER_S)
            try:
                session.bio_write(self.socket.recv(65536))
            except TimeoutError:
                session.DTLSv1_handle_timeout()


class Daemon(Server):
    """The daemon with the page of faults. Ready, or ended, when the constructor returns."""

    def __init__(self, lab, page, config, name):
        super().__init__(lab, config, None, name, env=page.environment())

    def says(self, word, action, seconds):
        """Does it, and waits until the log has one more line with this word."""
        before = self.output().count(word)
        action()
        until(lambda: self.output().count(word) > before or self.popen.poll() is not None, seconds, f"no {word} in the log")

    def ended(self, seconds):
        """Whether it is gone, or goes within so many seconds: a crash takes its time to be reported."""
        try:
            return self.popen.wait(seconds) is not None
        except subprocess.TimeoutExpired:
            return False

    def wait_ready(self, address):
        deadline = time.monotonic() + 30
        while self.popen.poll() is None and " started " not in self.output():
            expect(time.monotonic() < deadline, f"neither started nor ended:\n{self.output()}")
            time.sleep(0.005)


class World:
    """What surrounds the daemon of a lab: a Redis server, certificates, a peer, and the configuration."""

    def __init__(self, lab, page):
        self.lab, self.page, self.number = lab, page, 0
        self.redis = lab.start(redis.Redis)
        self.config = redis.with_redis(lab, config=secure(lab, LISTENERS)) + "workers: 2\n"
        self.tls = tls_context(lab.authority.cert)
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind(("127.0.0.1", 0))
        self.peer_port = self.peer.getsockname()[1]
        self.control = str(lab.folder / "control.sock")
        self.daemon, self.open, self.clients, self.patience = None, [], {}, 2
        self.flips = self.users = 0
        self.renewed = time.monotonic()

    def start(self):
        """Starts it; it may have ended."""
        self.number += 1
        self.daemon = Daemon(self.lab, self.page, self.config, f"turnpike-{self.number}")
        return self.daemon

    def files(self):
        """What each open descriptor of the daemon is."""
        folder = f"/proc/{self.daemon.pid}/fd"
        links = {}
        for name in os.listdir(folder):
            try:
                links[name] = os.readlink(f"{folder}/{name}")
            except OSError:
                pass
        return [f"{name} {link}" for name, link in links.items()]

    def client(self, transport, **options):
        """Of those that `sweep` ends."""
        kind, server, more = {"udp": (UdpClient, UDP, {}), "tcp": (TcpClient, TCP, {"seconds": 1}),
                              "tls": (TcpClient, TLS, {"seconds": 1, "tls": self.tls, "name": HOST}),
                              "dtls": (DtlsClient, DTLS, {})}[transport]
        client = kind(server, **more, **options)
        self.open.append(client)
        return client

    def sweep(self):
        """Ends what clients have left behind, with nothing armed any more."""
        for client in self.open:
            self.leave(client)
        self.open = []

    def relays(self, client, tries=6):
        """A message to the peer and one back, on channel 0x4000; one that is lost is sent again."""
        for number in range(tries):
            payload = struct.pack("!QI", time.monotonic_ns(), number)
            client.send_channel(0x4000, payload)
            if self.arrived(self.peer, payload, client):
                return True
        return False

    def arrived(self, peer, payload, client):
        deadline = time.monotonic() + ANSWER_S
        while (left := deadline - time.monotonic()) > 0:
            peer.settimeout(left)
            try:
                got = peer.recvfrom(2048)
            except TimeoutError:
                return False
            if got[0] == payload:
                break
        else:
            return False
        for _ in range(3):
            peer.sendto(payload, client.relayed)
            while back := client.receive(ANSWER_S / 3):
                if back[0][4:4 + len(payload)] == payload:
                    return True
        return False

    def allocated(self, transport, **options):
        """A client that relays."""
        client = self.client(transport, **options)
        for ask in (client.allocate, lambda: client.permit("127.0.0.1"),
                    lambda: client.bind_channel(0x4000, "127.0.0.1", self.peer_port)):
            answer = ask()
            expect(answer is not None and answer.kind == stun.SUCCESS, f"{transport}: {answer and answer.code}")
        expect(self.relays(client), f"{transport}: nothing comes through")
        return client

    def keep(self, transport):
        """A client that is there for long."""
        client = self.allocated(transport)
        self.open.remove(client)
        return client

    def renew(self):
        """Permissions of those who stay, before they expire (RFC 8656 section 9: 300 s)."""
        if time.monotonic() - self.renewed < 100:
            return
        self.renewed = time.monotonic()
        for transport, client in self.clients.items():
            answer = client.permit("127.0.0.1")
            expect(answer is not None and answer.kind == stun.SUCCESS, f"{transport}: no permission again: {answer and answer.code}")

    @staticmethod
    def leave(client):
        try:
            if client.nonce:
                client.refresh(0)
        except FAILURES:
            pass
        client.close()

    def serves(self, transport="udp", **options):
        """A new client gets all that there is; raises Failed, or another of FAILURES."""
        answer = self.allocated(transport, **options).refresh(0)
        expect(answer is not None and answer.kind == stun.SUCCESS, f"{transport}: Refresh 0")

    def wait_linked(self):
        until(lambda: '"up"' in self.ask("/api/v1/status")[2], 15, "the link to Redis does not come up")

    def ask(self, path, method="GET", where=None, sent="", token=None):
        extra = f"Content-Length: {len(sent)}\r\nContent-Type: application/json\r\n" if sent else ""
        return admin.get(path, where=where or self.control, method=method, extra=extra, sent=sent, token=token)


# Phases. Each is done with a fault armed, and may come to nothing: then it raises one of FAILURES.

def set_up(transport):
    def phase(world):
        world.serves(transport)
    return phase


def refused(world):
    for transport in ("udp", "tls"):
        answer = world.client(transport, password="wrong").allocate()
        expect(answer is None or answer.kind == stun.ERROR, f"{transport}: a wrong password is let in")


def relaying(world):
    for client in world.clients.values():
        for _ in range(2):
            world.relays(client)
        client.send_to("127.0.0.1", world.peer_port, b"x" * 900)
        client.refresh()


ADMIN_READS = ("/metrics", "/ready", "/live", "/api/v1/status", "/api/v1/sessions?user=u&realm=turnpike.test", "/api/v1/limits")


def admin_requests(world):
    for where in (world.control, ("127.0.0.1", admin.PORT)):
        for path in ADMIN_READS:
            world.ask(path, where=where, token=admin.TOKEN)
    world.ask("/api/v1/revocations", "POST", sent='{"user": "nobody", "realm": "turnpike.test"}')
    world.ask("/api/v1/explain", "POST", sent='{"user": "u", "realm": "turnpike.test"}')


def reload(world):
    world.flips += 1
    text = world.config.replace("5000/s", "4000/s") if world.flips % 2 else world.config
    world.daemon.config.write_text(text)
    world.daemon.says("reload", lambda: world.daemon.popen.send_signal(signal.SIGHUP), world.patience)


def lookup(world):
    """A user that nobody has asked for."""
    world.users += 1
    name = f"{STORED}-{world.users}"
    world.redis.add_user(name, PASSWORD)
    world.allocated("udp", user=name)


def redis_link(world):
    """The link is cut and comes back."""
    world.daemon.says("redis_up", lambda: world.redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"), world.patience)
    lookup(world)


RUNNING = {"setup_udp": set_up("udp"), "setup_tcp": set_up("tcp"), "setup_tls": set_up("tls"), "setup_dtls": set_up("dtls"),
           "refused": refused, "relaying": relaying, "admin": admin_requests, "reload": reload, "lookup": lookup, "redis": redis_link}
SLOW = ("redis",)  # the link waits before it is tried again

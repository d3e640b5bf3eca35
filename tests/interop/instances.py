"""Three instances behind HAProxy on port 443, with deploy/haproxy/instances.cfg: one is drained, one is killed, one lives on.

    client 198.51.100.7 -- 198.51.100.1 balancer 10.0.0.4 -- 10.0.0.11, 10.0.0.12, 10.0.0.13 relays (this namespace)

And one instance alone that is killed: how soon it serves again.
"""
import collections
import contextlib
import json
import os
import ssl
import struct
import time

import balancers
import stun
import uclient
from admin import PORT, get, turnpikectl, with_admin
from certificates import Authority
from harness import CONFIG, PASSWORD, PEER_PORT, USER, Process, Server, case, expect, run_command, until
from namespaces import inside
from posts import post
from streams import LISTEN_TLS, TCP, TLS, allocates, secure, success, tls_client
from transports import Closed, Dtls, Tcp, tls_context

ADDRESSES = ("10.0.0.11", "10.0.0.12", "10.0.0.13")
PEER, CA = "10.0.0.5", "/etc/haproxy/admin-ca.pem"
TURNUTILS, SESSIONS, AGAIN_S, CHANNEL = 6, 9, 1.0, 0x4000
UDP = ("127.0.0.1", 3478)
LISTEN_DTLS = '  - { proto: dtls, addr: "::", port: 5349 }\n'


class Instance(Server):
    """Started together with the others, and waited for when all are."""

    def wait_ready(self, _):
        pass

    def wait(self, ip):
        Server.wait_ready(self, (ip, 3478))

    def allocations(self):
        return sum(self.counters()["turnpike_allocations_active"].values())


def config(lab, ip, relay, admin):
    users = "".join(f"{{ name: t{n}, password: {PASSWORD} }}, " for n in range(TURNUTILS))
    text = CONFIG.replace('public_ip: [127.0.0.1, "::1"]', f"public_ip: [{ip}]").replace("users: [", f"users: [{users}")
    text = text.replace("allow_peers: [", f"allow_peers: [{PEER}/32, ")
    listen = (f"listen:\n  - {{ proto: udp, addr: {ip}, port: 3478 }}\n"
              f"  - {{ proto: tls, addr: {ip}, port: 4443, proxy_from: [{balancers.INSIDE}] }}\n"
              f"tls: {{ cert: {relay.cert}, key: {relay.key} }}\n")
    text = with_admin(lab, text, listen=f"{ip}:9641", socket=lab.folder / f"{ip}.sock",
                      tls=f"{{ cert: {admin.cert}, key: {admin.key} }}")
    return text + listen


class Fleet:
    """The network, the relays, the balancer in front of them, and clients of the whole."""

    def __init__(self, lab):
        self.lab, self.network = lab, balancers.Network(lab)
        for ip in ADDRESSES:
            run_command("ip", "address", "add", f"{ip}/24", "dev", "relay0")
        self.authority = Authority(lab.folder)
        relay, admin = self.authority.issue(balancers.HOST), self.authority.issue("admin", hosts=ADDRESSES)
        self.servers = {ip: lab.start(Instance, config(lab, ip, relay, admin), name=f"turnpike-{ip}") for ip in ADDRESSES}
        for ip, server in self.servers.items():
            server.wait(ip)
        lab.start(Process, "peer", ["turnutils_peer", "-L", PEER, "-p", PEER_PORT])
        balancers.haproxy(lab, self.network, "instances.cfg", [(CA, self.authority.cert)])
        self.context = tls_context(self.authority.cert)

    def client(self):
        """A connection to whichever the balancer chooses."""
        with inside(self.network.client):
            return self.lab.client((balancers.BALANCER, 443), kind=Tcp, tls=self.context, name=balancers.HOST, seconds=3)

    def drain(self, ip, *arguments):
        code, out, errors = turnpikectl(self.lab, "--socket", self.lab.folder / f"{ip}.sock", "drain", *arguments)
        expect(code == 0, f"turnpikectl drain {arguments}: {code} {out} {errors}")

    def drained(self, ip):
        return json.loads(get("/api/v1/drain", str(self.lab.folder / f"{ip}.sock"))[2])

    def sessions(self, ip):
        found, cursor = [], 0
        while cursor is not None:
            page = json.loads(post(str(self.lab.folder / f"{ip}.sock"), "/api/v1/sessions", {"cursor": cursor})[1])
            found, cursor = found + page["sessions"], page["next"]
        return found

    def sent_away(self, ip):
        return self.servers[ip].counters()["turnpike_requests_refused_total"].get('reason="draining"', 0)

    def newcomer(self):
        """A client that tries until it is let in: (seconds, instance)."""
        begun = time.monotonic()
        while True:
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
                client = self.client()
                if success(client.allocate()):
                    return time.monotonic() - begun, client.relayed[0]
                client.close()
            expect(time.monotonic() - begun < 10, "a new client is not let in")
            time.sleep(0.02)

    def newcomers(self, seconds, elsewhere_than=()):
        """One after the other: each is served within a second, and at the end by none of these."""
        begun, slowest = time.monotonic(), 0.0
        while time.monotonic() - begun < seconds:
            took, instance = self.newcomer()
            expect(took <= AGAIN_S, f"a new client waited for {took:.2f} s")
            slowest = max(slowest, took)
            time.sleep(0.05)
        expect(instance not in elsewhere_than, f"{instance} still draws new clients")
        return slowest


class Turnutils:
    """One turnutils_uclient for each of its users, so that the log says which instance has it."""

    def __init__(self, fleet, messages):
        self.messages = messages
        flags = ["-t", "-S", "-s", "-p", "443", "-c", "-n", str(messages), "-z", "20", "-e", PEER, "-r", str(PEER_PORT)]
        with inside(fleet.network.client):
            self.runs = {f"t{n}": fleet.lab.start(Process, f"uclient-t{n}", uclient.command(
                flags, balancers.BALANCER, ("-u", f"t{n}", "-w", PASSWORD))) for n in range(TURNUTILS)}

    def instances(self, fleet):
        """{user: the instance that relays for it}. They connect several times: what relays has permissions."""
        def found():
            where = {session["user"]: ip for ip in ADDRESSES for session in fleet.sessions(ip) if session["permissions"]}
            return where if where.keys() >= self.runs.keys() else None
        where = until(found, 10, "not every turnutils_uclient relays")
        return {user: where[user] for user in self.runs}

    def end(self, users):
        """Those whose relay was killed compute without end."""
        for user in users:
            self.runs[user].end()

    def end_well(self, users):
        for user in users:
            process = self.runs[user]
            expect(process.popen.wait(30) == 0, f"{user}: exit code {process.popen.returncode}\n{process.output()[-2000:]}")
            uclient.check_output(process.output(), self.messages)


class Sessions:
    """Clients of our own, each with a channel to the peer, which sends everything back."""

    def __init__(self, fleet):
        self.clients = collections.defaultdict(list)
        for _ in range(SESSIONS):
            client = fleet.client()
            allocates(client)
            expect(success(client.bind_channel(CHANNEL, PEER, PEER_PORT)), "ChannelBind")
            self.clients[client.relayed[0]].append(client)

    def live(self, ip):
        """Each relays, and is refreshed."""
        for client in self.clients[ip]:
            payload = os.urandom(20)
            client.send_channel(CHANNEL, payload)
            got = client.receive(3)
            expect(got and got[0] == struct.pack("!HH", CHANNEL, len(payload)) + payload, f"{ip} does not relay: {got}")
            expect(success(client.refresh()), f"{ip} refuses a Refresh")

    def lost(self, ip):
        for client in self.clients[ip]:
            expect(client.ended(2), f"a connection to {ip}, which was killed, stays open")

    def gone(self, ip):
        for client in self.clients[ip]:
            try:
                answer = client.refresh()
            except (Closed, OSError):
                continue
            expect(answer and answer.code == 437, f"an allocation of {ip} outlives the deadline: {answer and answer.code}")


@case
def haproxy_one_of_three_drains_and_one_is_killed(lab):
    """Only what the killed one had is lost; what drains lives to its deadline; new clients are served within a second."""
    fleet = Fleet(lab)
    turnutils, sessions = Turnutils(fleet, messages=80), Sessions(fleet)
    where = turnutils.instances(fleet)
    drained, killed, other = sorted(ADDRESSES, key=lambda ip: -list(where.values()).count(ip))
    expect(all(sessions.clients[ip] for ip in ADDRESSES), f"sessions: { {ip: len(c) for ip, c in sessions.clients.items()} }")
    expect(killed in where.values(), f"turnutils are all at one: {where}")

    fleet.drain(drained, "--deadline", "1h")
    slowest = [fleet.newcomers(0.8, elsewhere_than=(drained,))]
    sent_away = fleet.sent_away(drained)
    sessions.live(drained)

    fleet.servers[killed].popen.kill()
    turnutils.end(user for user, ip in where.items() if ip == killed)
    slowest.append(fleet.newcomers(0.8, elsewhere_than=(drained, killed)))
    expect(fleet.sent_away(drained) == sent_away, "the balancer still sends clients to the one that drains")
    sessions.lost(killed)
    for ip in (drained, other):
        sessions.live(ip)
    turnutils.end_well(user for user, ip in where.items() if ip != killed)
    turnutils.end(where)

    mine = len(sessions.clients[drained])
    until(lambda: fleet.drained(drained)["allocations"] == mine, 3, lambda: f"{fleet.drained(drained)}, {mine} were made")
    begun = time.monotonic()
    fleet.drain(drained, "--deadline", "1s")
    sessions.live(drained)
    left = fleet.drained(drained)["allocations"]
    expect(left == mine or time.monotonic() - begun > 0.9, f"{left} of {mine} are left before the deadline")
    fleet.drain(drained, "--wait")
    expect(time.monotonic() - begun > 0.9, "they ended before the deadline")
    sessions.gone(drained)
    sessions.live(other)
    fleet.servers[killed].popen.wait()
    ended = fleet.servers[drained].counters()["turnpike_allocations_ended_total"]
    expect(ended['reason="drained"'] == mine, f"ended: {ended}")
    print(f"new clients waited for {slowest[0]:.2f} s at most while one began to drain, for {slowest[1]:.2f} s when one was killed")
    for ip in (drained, other):
        fleet.servers[ip].check()


def crowd(lab):
    """Clients with an allocation, over every transport; half of those with connections have ended them before the server does."""
    clients = [lab.client(UDP) for _ in range(6)] + [lab.client(TLS, kind=Dtls) for _ in range(2)]
    streams = [lab.client(TCP, kind=Tcp) for _ in range(6)] + [tls_client(lab) for _ in range(6)]
    for client in clients + streams:
        allocates(client)
    return clients, streams


def serves(lab):
    """Whether it is ready, and takes an allocation over every transport."""
    for where in (str(lab.folder / "control.sock"), ("127.0.0.1", PORT)):
        if get("/ready", where)[0] != 200:
            return False
    udp = lab.client(UDP)
    if not udp.exchange(stun.build(stun.REQUEST, stun.BINDING), 1, 0.05):
        return False
    for client in (udp, lab.client(TCP, kind=Tcp), tls_client(lab), lab.client(TLS, kind=Dtls)):
        allocates(client)
    return True


@case(alone=True)
def killed_it_serves_again_within_a_second(lab):
    """SIGKILL, and a start with the same configuration: neither the socket that it has left nor connections in TIME_WAIT are in the way."""
    text = with_admin(lab, secure(lab, LISTEN_TLS + LISTEN_DTLS))
    first = lab.start(Instance, text)
    first.wait("127.0.0.1")
    clients, streams = crowd(lab)
    get("/live", ("127.0.0.1", PORT))
    first.popen.kill()
    begun = time.monotonic()
    first.popen.wait()
    for client in streams[::2]:
        client.close()
    again = lab.start(Instance, text, name="again")

    def ready():
        expect(again.popen.poll() is None, f"it ended with {again.popen.returncode}:\n{again.output()}")
        try:
            return serves(lab)
        except OSError:
            return False
    until(ready, 10, again.output)
    took = time.monotonic() - begun
    print(f"ready {took:.2f} s after the kill")
    expect(took <= AGAIN_S, f"it serves again after {took:.2f} s")
    for client in streams[1::2]:
        expect(client.ended(2), "a connection of before goes on")
    for client in clients[:6]:
        answer = client.refresh()
        expect(answer and answer.code == 437, f"an allocation of before: {answer and answer.code}")
    again.check()

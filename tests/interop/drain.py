"""Draining and reloading with the daemon as a process: under traffic, undone, at a deadline, by SIGTERM, without Redis."""
import ipaddress
import json
import signal
import socket
import struct
import threading
import time

import stun
from admin import get, turnpikectl, with_admin
from harness import CONFIG, case, expect, listening_peer, until
from process import success
from redis import Redis, with_redis
from service_manager import Manager

ALTERNATE_SERVER = 0x8023
ALTERNATES = 'drain: { alternate_servers: [192.0.2.7, "[2001:db8::7]:3479"] }\n'
SO_RCVBUFFORCE = 33
SESSIONS, GAP_S = 12, 0.001


def ctl(lab, *arguments):
    """turnpikectl: (exit code, what it printed, errors)"""
    return turnpikectl(lab, "--socket", lab.folder / "control.sock", *arguments)


def done(lab, *arguments):
    code, out, errors = ctl(lab, *arguments)
    expect(code == 0, f"turnpikectl {arguments}: {code} {out} {errors}")
    return out


def state(lab):
    return json.loads(done(lab, "drain", "--state", "--json"))


def ready(lab):
    status, _, body = get("/ready", str(lab.folder / "control.sock"))
    return status, body


def servers(answer):
    """The addresses of ALTERNATE-SERVER, in their order."""
    found = []
    for number, value in answer.all:
        if number == ALTERNATE_SERVER:
            family, port = struct.unpack("!xBH", value[:4])
            found.append((str(ipaddress.ip_address(value[4:])), port))
            expect(family == (1 if len(value) == 8 else 2), "the family of an ALTERNATE-SERVER")
    return found


class Calls:
    """Sessions that send to a peer, which sends everything back, until `end`."""

    def __init__(self, lab, count=SESSIONS):
        self.peer, port = listening_peer()
        self.clients = [lab.client() for _ in range(count)]
        self.sent = self.came = 0
        self.stopped = threading.Event()
        for end in (self.peer, *(client.socket for client in self.clients)):
            end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)  # they are read now and then
        for client in self.clients:
            expect(success(client.allocate()), "Allocate")
            expect(success(client.bind_channel(0x4000, "127.0.0.1", port)), "ChannelBind")
            client.socket.setblocking(True)
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.echo, self.send)]
        for thread in self.threads:
            thread.start()

    def echo(self):
        self.peer.settimeout(0.2)
        while not self.stopped.is_set():
            try:
                data, source = self.peer.recvfrom(2048)
                self.peer.sendto(data, source)
            except TimeoutError:
                pass

    def send(self):
        """Each packet waits for none: what comes back is counted behind."""
        number = 0
        while not self.stopped.is_set():
            client = self.clients[number % len(self.clients)]
            client.send_channel(0x4000, struct.pack("!I", number))
            number += 1
            time.sleep(GAP_S)
        self.sent = number

    def end(self, seconds=2.0):
        """Ends the traffic; returns the numbers that did not come back."""
        self.stopped.set()
        for thread in self.threads[1:]:
            thread.join()
        came, deadline = set(), time.monotonic() + seconds
        for client in self.clients:
            for data, _ in client.media:
                came.add(struct.unpack("!I", data[4:8])[0])
            client.media = []
        while len(came) < self.sent and time.monotonic() < deadline:
            quiet = True
            for client in self.clients:
                client.socket.setblocking(False)
                try:
                    data = client.socket.recv(2048)
                    if data[0] & 0xC0 == 0x40:
                        came.add(struct.unpack("!I", data[4:8])[0])
                    quiet = False
                except BlockingIOError:
                    pass
            if quiet:
                time.sleep(0.02)
        return sorted(set(range(self.sent)) - came)

    def go_on(self):
        for client in self.clients:
            expect(success(client.refresh()), "a session of before the drain is refused its Refresh")


def redirected(lab):
    """A new client over IPv4 and one over IPv6 are sent elsewhere, each by its family, and a stranger is not."""
    answer = lab.client().allocate()
    expect(answer.code == 300 and stun.INTEGRITY in answer.attributes, f"{answer.code}, or without integrity")
    expect(servers(answer) == [("192.0.2.7", 3478), ("2001:db8::7", 3479)], f"sent to {servers(answer)}")
    answer = lab.client(("::1", 3478)).allocate()
    expect(answer.code == 300 and servers(answer) == [("2001:db8::7", 3479), ("192.0.2.7", 3478)], f"sent to {servers(answer)}")
    answer = lab.client(password="wrong").allocate()
    expect(answer.code == 401 and not servers(answer), f"a wrong password: {answer.code}")


@case
def drain_cuts_nothing_before_its_deadline(lab):
    config = with_admin(lab, CONFIG + ALTERNATES)
    server = lab.server(config)
    calls = Calls(lab)
    expect(ready(lab) == (200, "ready\n"), "not ready")
    expect("draining:     yes" in done(lab, "drain", "--deadline", "1h"), "it does not say so")
    redirected(lab)
    calls.go_on()
    expect(ready(lab) == (503, "draining\n"), f"/ready: {ready(lab)}")
    expect(state(lab)["allocations"] == state(lab)["at_first"] == SESSIONS, f"{state(lab)}")
    expect("draining, not ready" in done(lab, "status"), "status")

    # Reloads, whole and broken, go on draining.
    server.config.write_text(config + "relm: x\n")
    code, out, errors = ctl(lab, "reload")
    line = config.count("\n") + 1
    expect(code == 2 and not out and f"turnpike.yaml:{line}: unknown key 'relm'" in errors, f"reload: {code} {out} {errors}")
    server.config.write_text(config.replace("192.0.2.7", "192.0.2.9").replace("relay:\n", "relay:\n  max_lifetime: 1800s\n") + "workers: 3\n")
    report = json.loads(done(lab, "reload", "--json"))
    expect(report["version"] == 2 and any("relay.max_lifetime: 1h -> 30min" == line for line in report["changed"]) and
           [line.split(":")[0] for line in report["needs_restart"]] == ["workers"], f"{report}")
    answer = lab.client().allocate()
    expect(answer.code == 300 and servers(answer)[0] == ("192.0.2.9", 3478), f"after a reload: {answer.code} {servers(answer)}")

    # Undone, and begun again.
    done(lab, "drain", "--undo")
    expect(ready(lab) == (200, "ready\n"), "not ready after an undone drain")
    late = lab.client()
    expect(success(late.allocate()), "an undone drain lets nobody in")
    expect(ctl(lab, "drain", "--undo")[0] == 0, "no drain to undo is refused")
    out = done(lab, "drain", "--deadline", "3s", "--alternate", "192.0.2.8:3480")
    begun = time.monotonic()
    expect("192.0.2.8:3480" in out, out)
    answer = lab.client().allocate()
    expect(answer.code == 300 and servers(answer) == [("192.0.2.8", 3480)], f"sent to {servers(answer)}")
    calls.go_on()
    until(lambda: time.monotonic() - begun > 1.5, 5, "time")
    lost = calls.end(0.5)
    now = state(lab)
    expect(now["deadline_s"] > 0, "too slow to be judged")
    expect(now["allocations"] == SESSIONS + 1, f"some ended before the deadline: {now}")
    expect(not lost, f"{len(lost)} of {calls.sent} packets lost: {lost[:10]}")
    done(lab, "drain", "--wait")
    expect(state(lab)["allocations"] == 0, "something is left")
    expect(late.refresh().code == 437, "an allocation is left")
    values = server.counters()
    expect(values["turnpike_allocations_ended_total"]['reason="drained"'] == SESSIONS + 1, "ended for something else")
    expect(values["turnpike_requests_refused_total"]['reason="draining"'] == 4 and
           values["turnpike_requests_total"]['method="allocate",code="300"'] == 4 and values["turnpike_draining"][""] == 1,
           "what was refused is not counted")
    done(lab, "drain", "--stop")
    expect(server.popen.wait(5) == 0, "no stop, or not a clean one")
    expect(all(word in server.output() for word in ("drain_started", "drain_changed", "drain_undone", "drained")), server.output())


def refused(lab):
    """Whether a new client is; one that is let in leaves nothing behind."""
    client = lab.client()
    answer = client.allocate()
    if success(answer):
        expect(success(client.refresh(0)), "Refresh 0")
    return answer.code == 508


@case
def drain_by_sigterm_stops_when_nothing_is_left(lab):
    config, manager = with_admin(lab, CONFIG + "drain: { on_sigterm: true }\n"), Manager(lab)
    server = lab.server(config, env=manager.environment())
    expect("READY" in manager.hears_state(), "the first state is not READY")
    client = lab.client()
    expect(success(client.allocate()), "Allocate")
    server.popen.send_signal(signal.SIGTERM)
    until(lambda: refused(lab), 5, "SIGTERM does not drain")
    expect(success(client.refresh()), "SIGTERM has ended an allocation")
    expect(server.popen.poll() is None, "SIGTERM has stopped it")
    expect(manager.hears_state().keys() == {"EXTEND_TIMEOUT_USEC"}, "the service manager is not asked to wait")
    expect(success(client.refresh(0)), "Refresh 0")
    expect(server.popen.wait(5) == 0, "it goes on with nothing left")
    server = lab.server(config)
    expect(success(lab.client().allocate()), "Allocate")
    server.popen.send_signal(signal.SIGTERM)
    until(lambda: "drain_started" in server.output(), 5, "no word about the drain")
    server.popen.send_signal(signal.SIGTERM)
    expect(server.popen.wait(5) == 0, "a second SIGTERM does not stop it")


@case
def drain_without_redis_keeps_what_lives(lab):
    redis = lab.start(Redis)
    redis.add_user("stored", "x")
    server = lab.server(with_redis(lab) + ALTERNATES)
    client = lab.client(user="stored", password="x")
    until(lambda: success(client.allocate()), 5, "a user of Redis is not let in")
    redis.kill()
    until(lambda: "redis:        down" in done(lab, "status"), 5, "Redis is still up")
    done(lab, "drain", "--deadline", "1h")
    peer, port = listening_peer()
    expect(success(client.refresh()) and success(client.permit("127.0.0.1")), "a session that lives is refused")
    client.send_to("127.0.0.1", port, b"out")
    expect(peer.recv(100) == b"out", "nothing is relayed")
    expect(lab.client().allocate().code == 300, "a user of the configuration is not sent elsewhere")
    expect(success(client.refresh(0)), "Refresh 0")
    done(lab, "drain", "--wait", "--stop")
    expect(server.popen.wait(10) == 0, "it does not stop")


@case
def reload_storm_loses_nothing(lab):
    """Fifty signals and as many questions at once, under traffic: fewer reloads, one after the other."""
    config = with_admin(lab)
    server = lab.server(config)
    calls = Calls(lab)
    where = str(lab.folder / "control.sock")
    for number in range(50):
        server.config.write_text(config if number % 2 else config.replace("relay:\n", "relay:\n  max_lifetime: 1800s\n"))
        server.popen.send_signal(signal.SIGHUP)
        time.sleep(0.01)
    report = json.loads(done(lab, "reload", "--json"))
    expect(report["reloaded"] and not report["needs_restart"], f"{report}")
    status = json.loads(get("/api/v1/status", where)[2])
    expect(1 < status["config"]["version"] == report["version"] <= 52 and not status["config"]["reloading"], f"{status['config']}")
    calls.go_on()
    lost = calls.end()
    expect(calls.sent > 200 and not lost, f"{len(lost)} of {calls.sent} packets lost: {lost[:10]}")
    server.check()

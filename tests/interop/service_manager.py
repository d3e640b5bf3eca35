"""The daemon under a service manager: what it says of itself, a watchdog that hears of a hanging worker, and sockets that it is given."""
import contextlib
import ctypes
import json
import os
import pathlib
import socket
import subprocess
import time

import stun
from harness import CONFIG, Process, Server, case, expect, until
from transports import Tcp

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207


class Manager:
    """The notification socket of a service manager."""

    def __init__(self, lab):
        self.path = str(lab.folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)

    def environment(self, **more):
        return {**os.environ, "NOTIFY_SOCKET": self.path, **more}

    def hears(self, seconds=5):
        """The next datagram, as {key: value}."""
        self.socket.settimeout(seconds)
        text = self.socket.recv(4096).decode()
        return dict(line.split("=", 1) for line in text.splitlines())

    def hears_state(self):
        """The next that is neither a sign of life nor only for people."""
        while True:
            said = self.hears()
            if said.keys() - {"WATCHDOG", "STATUS"}:
                return said

    def signs_of_life(self, seconds):
        count, deadline = 0, time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                count += "WATCHDOG" in self.hears(left)
            except TimeoutError:
                break
        return count


class Unasked(Server):
    """Nobody asks it anything before it says that it is ready."""

    def wait_ready(self, address):
        pass


def thread_of(pid, name):
    return next(int(task.name) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
                if (task / "comm").read_text().strip() == name)


def hang(thread):
    """Stops one thread, and only it; returns what lets it go on."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        expect(libc.ptrace(request, thread, None, None) == 0, f"ptrace: {os.strerror(ctypes.get_errno())}")
    os.waitpid(thread, 0x40000000)  # __WALL: threads, too
    return lambda: libc.ptrace(PTRACE_DETACH, thread, None, None)


@case
def service_manager_hears_of_start_reload_and_stop(lab):
    manager = Manager(lab)
    server = lab.start(Unasked, CONFIG, env=manager.environment())
    expect(manager.hears_state().keys() == {"READY", "STATUS"}, "the first state is not READY")
    answer = lab.client().exchange(stun.build(stun.REQUEST, stun.BINDING), tries=1, seconds=2)
    expect(answer is not None, "ready, and the first request is not answered")
    for config, outcome in ((CONFIG + "log: { level: debug }\n", "reloaded"), (CONFIG + "nonsense: 1\n", "reload_failed")):
        server.config.write_text(config)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        expect(outcome in server.reload(), outcome)
        said = manager.hears_state()
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        expect(said.get("RELOADING") == "1" and before <= int(said["MONOTONIC_USEC"]) <= now, f"{said}, {before}..{now}")
        expect(manager.hears_state().get("READY") == "1", "no READY behind RELOADING")
    server.check()
    expect(manager.hears_state().get("STOPPING") == "1", "no STOPPING")


@case
def watchdog_hears_nothing_while_a_worker_hangs(lab):
    manager = Manager(lab)
    server = lab.server("workers: 2\n" + CONFIG, env=manager.environment(WATCHDOG_USEC="1000000"))
    expect("READY" in manager.hears_state(), "not ready")
    until(lambda: "WATCHDOG" in manager.hears(), 3, "no sign of life")
    go_on = hang(thread_of(server.pid, "worker-1"))
    try:
        manager.signs_of_life(0.6)  # one may be on its way
        expect(manager.signs_of_life(1.1) == 0, "a sign of life while a worker hangs")
        expect("worker_hangs worker=1" in server.output(), server.output())
    finally:
        go_on()
    until(lambda: "WATCHDOG" in manager.hears(), 3, "no sign of life afterwards")
    server.check()


def tcp_listener(address, family=socket.AF_INET, only=1):
    listener = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
    listener.bind(address)
    listener.listen(16)
    return listener


def given(command, sockets):
    """A command line that finds `sockets` from descriptor 3 on, and itself in LISTEN_PID; and what Popen needs for it."""
    numbers = [s.fileno() for s in sockets]
    moves = " ".join(f"{100 + i}<&{n} {n}<&-" for i, n in enumerate(numbers))
    down = " ".join(f"{3 + i}<&{100 + i} {100 + i}<&-" for i in range(len(numbers)))
    script = f"exec {moves}; exec {down}; LISTEN_PID=$$ LISTEN_FDS={len(numbers)} exec \"$@\""
    return ["/bin/bash", "-c", script, "sh", *command], {"pass_fds": numbers}


class Given(Server):
    """A server with sockets of ours."""

    def __init__(self, lab, config, sockets):
        self.config = lab.folder / "turnpike.yaml"
        self.config.write_text(config)
        command, options = given([lab.daemon, "--config", self.config], sockets)
        Process.__init__(self, lab, "turnpike", command, **options)


def http_get(address, path, family=socket.AF_UNIX):
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as client:
        client.settimeout(5)
        client.connect(address)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := client.recv(65536):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if b" 200 " in head.split(b"\r\n")[0] else None


def binding(client, seconds):
    answer = client.exchange(stun.build(stun.REQUEST, stun.BINDING), tries=1, seconds=seconds)
    expect(answer is not None, "no answer to Binding over TCP")


@case
def sockets_of_the_service_manager_outlive_the_daemon(lab):
    path = str(lab.folder / "control.sock")
    local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    local.bind(path)
    os.chmod(path, 0o660)
    local.listen(16)
    sockets = [tcp_listener(("127.0.0.1", 3478)), local, tcp_listener(("127.0.0.1", 9641)),
               tcp_listener(("::1", 3478), socket.AF_INET6)]
    config = "workers: 2\nlisten: [{ proto: tcp, addr: 127.0.0.1, port: 3478 }, { proto: tcp, addr: \"::1\", port: 3478 }]\n"
    config += CONFIG.replace("listen: none, socket: none", f"listen: 127.0.0.1:9641, socket: {path}")
    server = lab.start(Given, config, sockets)
    for to in (("127.0.0.1", 3478), ("::1", 3478)):
        for _ in range(4):
            binding(lab.client(to, kind=Tcp), 10)
    until(lambda: http_get(("127.0.0.1", 9641), "/ready", socket.AF_INET), 10, "not ready")  # one worker may answer all
    status = json.loads(http_get(path, "/api/v1/status") or "{}")
    expect(status.get("workers") == {"count": 2, "polling": 2}, status)
    server.check()
    expect(os.path.exists(path), "the daemon removed a socket that is not its own")
    waits = lab.client(("127.0.0.1", 3478), kind=Tcp)
    request = stun.build(stun.REQUEST, stun.BINDING)
    waits.send(request)
    server = lab.start(Given, config, sockets)
    expect(waits.receive(10) is not None, "what came during the restart is not answered")
    server.check()


@case
def sockets_that_nothing_would_serve_stop_the_start(lab):
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram.bind(("127.0.0.1", 4445))
    (lab.folder / "turnpike.yaml").write_text(CONFIG)
    for wrong, why in ((tcp_listener(("127.0.0.1", 4444)), "nothing in the configuration listens at 127.0.0.1:4444"),
                       (tcp_listener(("::", 4446), socket.AF_INET6, 0), "descriptor 3 takes IPv4 too"),
                       (datagram, "descriptor 3 is a datagram socket")):
        command, options = given([lab.daemon, "--config", "turnpike.yaml"], [wrong])
        result = subprocess.run(command, cwd=lab.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
                                check=False, **options)
        last = result.stderr.splitlines()[-1]
        expect(result.returncode == 2 and last.startswith("turnpike: socket activation: " + why), (result.returncode, result.stderr))
        wrong.close()


@case
def first_connection_starts_the_daemon(lab):
    """systemd's own program listens, and becomes the daemon when somebody connects."""
    config = lab.folder / "turnpike.yaml"
    config.write_text("listen: [{ proto: tcp, addr: 127.0.0.1, port: 3478 }]\n" + CONFIG)
    manager = lab.start(Process, "activate", ["systemd-socket-activate", "-l", "127.0.0.1:3478", "--fdname=turn", lab.daemon,
                                              "--config", config])
    until(lambda: "Listening on" in manager.output(), 5, manager.output)
    client = lab.client(("127.0.0.1", 3478), kind=Tcp)
    binding(client, 10)
    until(lambda: "given=true" in manager.output(), 5, manager.output)
    expect(manager.end() == 0, manager.output())

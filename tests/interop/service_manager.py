"""The daemon under a service manager: what it says of itself, a watchdog that hears of a hanging worker, and sockets that it is given."""
import ctypes
import os
import pathlib
import socket
import time

import stun
from harness import CONFIG, Server, case, expect, until

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

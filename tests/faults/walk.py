"""Walks: each call of each kind that a phase makes is let fail once, and what comes of it is judged."""
import dataclasses
import re
import subprocess
import time
import zlib

import libraries
from harness import SANITIZER, expect, until
from page import ERRORS
from phases import FAILURES, RUNNING

TRANSPORTS = ("udp", "tcp", "tls", "dtls")
ASKING = ("lookup", "redis")  # phases that need the link to Redis
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (?:debug|info|warn|error) ")
USAGE, STOP_S, DYING_S = 2, 20, 2


@dataclasses.dataclass
class Fault:
    phase: str
    kind: str
    error: str
    number: int

    def __str__(self):
        return f"{self.phase} {self.kind} {self.error} #{self.number}"


@dataclasses.dataclass
class Outcome:
    """Of one phase and kind."""
    phase: str
    kind: str
    calls: int = 0
    injected: int = 0
    excepted: int = 0
    problems: list = dataclasses.field(default_factory=list)
    slowest: tuple = (0, "")

    def slow(self, fault, seconds, page):
        if seconds > self.slowest[0]:
            self.slowest = (round(seconds, 2), f"{fault} {libraries.readable(page.caller()[:3])}")


class Chooser:
    """Which calls of how many: all, or `most` of them, spread evenly; `offset` makes another choice of the same size. Of calls
    made from the same place, as a walk that has noted places knows them, only `alike` are among them. Where a fault costs a process,
    only one in `thin` errors of all kinds is tried."""

    def __init__(self, most=0, offset=0, alike=0, thin=1):
        self.most, self.offset, self.alike, self.thin = most, offset, alike, thin

    def choose(self, count, sites=()):
        numbers = list(range(count))
        if self.alike and sites:
            seen, numbers = {}, []
            for number in range(count):
                site = sites[number] if number < len(sites) else None
                seen[site] = seen.get(site, 0) + 1
                if seen[site] <= self.alike:
                    numbers.append(number)
        if not self.most or len(numbers) <= self.most:
            return numbers
        return sorted({numbers[(i * len(numbers) // self.most + self.offset) % len(numbers)] for i in range(self.most)})


def faults(phase, kind, count, chooser, sites=()):
    for error in ERRORS[kind]:
        first = zlib.crc32(f"{phase} {kind} {error}".encode())  # anywhere, but always there
        if phase not in RUNNING and (first + chooser.offset) % chooser.thin:
            continue
        one = Chooser(chooser.most, chooser.offset + first, chooser.alike)
        for number in one.choose(count, sites):
            yield Fault(phase, kind, error, number)


class Walk:
    def __init__(self, world, chooser, kinds=None):
        self.world, self.page, self.chooser = world, world.page, chooser
        self.kinds = kinds or list(ERRORS)
        self.outcomes = {}
        self.site, self.given_up = None, set()  # of the call that fails; of those on which a library gives up, or its kind in a sample

    def outcome(self, fault):
        return self.outcomes.setdefault((fault.phase, fault.kind), Outcome(fault.phase, fault.kind))

    def problem(self, fault, text):
        self.outcome(fault).problems.append(f"{fault}: {text}\n" + "\n".join(f"    {x}" for x in libraries.readable(self.page.caller()[:12])))

    def gone_by_library(self, fault, daemon):
        """Whether it is a library that gave up on this call of its own, and is known for that."""
        known = libraries.gives_up(fault, self.page.caller(), self.page.aborter())
        if known and daemon.popen.returncode == -6:
            self.outcome(fault).excepted += 1
            self.given_up.add(self.site if self.chooser.most != 1 else fault.kind)
            return True
        return False

    def judge_end(self, fault, daemon, code, good):
        """What a process that has ended leaves behind."""
        if code not in good and self.gone_by_library(fault, daemon):
            return
        text = daemon.output()
        if SANITIZER.search(text) and (libraries.crashes(text, fault, self.page.caller()) or libraries.leaks(text, fault, self.page.caller())):
            self.outcome(fault).excepted += 1
            return
        if code is None:
            self.problem(fault, f"it does not end\n{tail(text)}")
        elif SANITIZER.search(text):
            self.problem(fault, f"a sanitizer's report, exit code {code}\n{report(text)}")
        elif code not in good:
            self.problem(fault, f"exit code {code}\n{tail(text)}")
        elif code == USAGE:
            said = [line for line in text.splitlines() if not LOG_LINE.match(line)]
            if len(said) != 1 or not said[0].startswith("turnpike: "):
                self.problem(fault, f"not one line but {said}")


def tail(text):
    return "\n".join(text.splitlines()[-4:])


def report(text):
    lines = text.splitlines()
    first = next((n for n, line in enumerate(lines) if SANITIZER.search(line)), 0)
    return "\n".join(lines[first:first + 30])


class Starts(Walk):
    """One process a fault, from its beginning: it runs and serves, or ends with 2 and one line."""

    def rehearse(self):
        daemon = self.world.start()
        expect(daemon.popen.poll() is None, f"it does not start:\n{daemon.output()}")
        counts, sites = self.page.counts(), self.page.sites()
        expect(daemon.end() == 0, f"it does not stop:\n{daemon.output()}")
        return counts, sites

    def run(self, _=None):
        self.page.clear()
        counts, sites = self.rehearse()
        for kind in (kind for kind in self.kinds if counts[kind]):
            count = counts[kind]
            if self.chooser.alike:
                self.page.record(kind)
                sites = self.rehearse()[1]
            for fault in faults("start", kind, count, self.chooser, sites):
                self.outcome(fault).calls = count
                self.one(fault)

    def one(self, fault):
        self.page.arm(fault.kind, fault.error, fault.number)
        try:
            daemon = self.world.start()
        except FAILURES as failure:
            self.world.lab.processes[-1].popen.kill()
            return self.problem(fault, str(failure))
        self.outcome(fault).injected += self.page.disarm()
        if daemon.popen.poll() is None:
            try:
                for transport in TRANSPORTS:
                    self.world.serves(transport)
                self.world.sweep()
                expect(self.world.ask("/api/v1/status")[0] == 200, "the admin server says nothing")
            except FAILURES as failure:
                if daemon.popen.poll() is None:
                    self.problem(fault, f"started, but {type(failure).__name__} {failure}\n{tail(daemon.output())}")
            self.world.sweep()
            daemon.end(STOP_S)
            self.judge_end(fault, daemon, daemon.popen.returncode, (0,))
        else:
            self.judge_end(fault, daemon, daemon.popen.returncode, (USAGE,))
        daemon.log.unlink()


class Stops(Walk):
    """One process a fault, which is told to stop while clients have allocations: it ends with 0."""

    def clients(self):
        return [self.world.keep(transport) for transport in TRANSPORTS]

    def stop(self, arm):
        """Returns the daemon, ended or not."""
        self.page.clear()
        daemon = self.world.start()
        expect(daemon.popen.poll() is None, f"it does not start:\n{daemon.output()}")
        clients = self.clients()
        arm()
        daemon.popen.terminate()
        try:
            daemon.popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            daemon.popen.kill()
            daemon.popen.wait()
            daemon.popen.returncode = None
        for client in clients:
            client.close()
        return daemon

    def run(self, _=None):
        self.stop(self.page.clear)
        counts, sites = self.page.counts(), ()
        for kind in (kind for kind in self.kinds if counts[kind]):
            count = counts[kind]
            if self.chooser.alike:
                self.stop(lambda k=kind: self.page.record(k))
                sites = self.page.sites()
            for fault in faults("stop", kind, count, self.chooser, sites):
                self.outcome(fault).calls = count
                daemon = self.stop(lambda f=fault: self.page.arm(f.kind, f.error, f.number))
                self.outcome(fault).injected += self.page.fired()
                self.judge_end(fault, daemon, daemon.popen.returncode, (0,))


class Runs(Walk):
    """Many faults a process: those who had an allocation before still relay, and who comes afterwards is served."""

    def begin(self):
        self.page.clear()
        world = self.world
        daemon = world.start()
        expect(daemon.popen.poll() is None, f"it does not start:\n{daemon.output()}")
        world.wait_linked()
        world.clients = {transport: world.keep(transport) for transport in TRANSPORTS}

    def end(self, fault):
        """Stops it, and looks at what it leaves."""
        self.world.sweep()
        for client in self.world.clients.values():
            self.world.leave(client)
        daemon = self.world.daemon
        try:
            daemon.check()
        except FAILURES as failure:
            self.problem(fault, f"at the end: {failure}\n{report(daemon.output())}")

    def run(self, *names):
        fault = Fault(names[0], "none", "0", 0)
        self.begin()
        for name in names:
            fault = self.walk(name, RUNNING[name]) or fault
        self.page.disarm()
        self.end(fault)

    def walk(self, name, phase):
        """Returns the last fault, or None."""
        fault = None
        self.rehearse(phase)
        self.page.clear()
        self.rehearse(phase)
        counts, files, sites = self.page.counts(), self.world.files(), ()
        for kind in (kind for kind in self.kinds if counts[kind] and kind not in self.given_up):
            count = counts[kind]
            if self.chooser.most != 1:
                self.page.record(kind)
                self.rehearse(phase)
                count, sites = self.page.counts()[kind], self.page.sites()
            for fault in faults(name, kind, count, self.chooser, sites):
                outcome, began = self.outcome(fault), time.monotonic()
                outcome.calls = count
                self.site = sites[fault.number] if fault.number < len(sites) else None
                if self.site is not None and self.site in self.given_up:
                    outcome.excepted += 1
                    continue
                self.one(fault, phase)
                outcome.slow(fault, time.monotonic() - began, self.page)
            files = self.left_open(fault, files)
        return fault

    def rehearse(self, phase):
        """With nothing armed it must come to its end."""
        self.world.patience = 20
        phase(self.world)
        self.world.sweep()
        self.world.patience = 2

    def left_open(self, fault, before):
        """Files that no fault may leave behind. Returns what is open now."""
        try:
            until(lambda: len(self.world.files()) <= len(before), 4, "")
        except FAILURES:
            more = set(self.world.files()) - set(before)
            self.problem(fault, f"of {fault.kind} some fault left files open: {len(before)} before, now also {more}")
        return self.world.files()

    def one(self, fault, phase):
        world = self.world
        world.renew()
        self.page.arm(fault.kind, fault.error, fault.number)
        try:
            phase(world)
        except FAILURES:
            pass
        self.outcome(fault).injected += self.page.disarm()
        if fault.phase in ASKING:
            self.linked()  # what waited for it makes the allocations that `sweep` ends
        world.sweep()
        if world.daemon.popen.poll() is None:
            self.judge(fault)
            world.sweep()
        if world.daemon.popen.poll() is not None:
            self.judge_end(fault, world.daemon, world.daemon.popen.returncode, ())
            for client in world.clients.values():
                client.close()
            self.begin()

    def linked(self):
        try:
            self.world.wait_linked()
        except FAILURES:
            pass  # judge finds out

    def judge(self, fault):
        world = self.world
        for transport, client in list(world.clients.items()):
            try:
                alive = world.relays(client)
                text = "nothing comes through"
            except FAILURES as failure:
                alive, text = False, f"{type(failure).__name__} {failure}"
            if alive:
                continue
            if world.daemon.ended(DYING_S):
                return
            self.problem(fault, f"an allocation over {transport} is lost: {text}\n{tail(world.daemon.output())}")
            client.close()
            world.clients[transport] = world.keep(transport)
        transport = fault.phase.removeprefix("setup_")
        try:
            world.serves(transport if transport in TRANSPORTS else "udp")
            if fault.phase in ASKING:
                world.wait_linked()
        except FAILURES as failure:
            if not world.daemon.ended(DYING_S):
                self.problem(fault, f"a new client is not served: {type(failure).__name__} {failure}\n{tail(world.daemon.output())}")

"""A daemon that may have no more than so many files, from its start or all of a sudden, and clients that want more: whoever it has
taken lives on, and whoever comes when they are gone is served."""
import socket

from harness import Server, expect, until
from phases import FAILURES, TCP, UDP
from walk import Outcome, tail

LIMITS = (64, 128, 256)
ENOUGH = 1024
TURNED_AWAY = 508  # Insufficient Capacity
FIRST, MANY, SILENT = 4, 250, 60


class Floods:
    def __init__(self, world):
        self.world, self.outcomes = world, {}

    def run(self, most):
        for limit in LIMITS[:most]:
            for kind in ("limit", "squeeze"):
                outcome = self.outcomes.setdefault((kind, limit), Outcome("files", f"{kind}_{limit}"))
                server = self.start(limit if kind == "limit" else ENOUGH)
                try:
                    self.world.wait_linked()
                    self.one(server, limit, kind, outcome)
                except FAILURES as failure:
                    outcome.problems.append(f"{limit} files: {type(failure).__name__} {failure}\n{tail(server.output())}")
                finally:
                    self.world.sweep()
                    server.end()

    def start(self, limit):
        """A daemon that may never have more."""
        lab = self.world.lab
        script = lab.folder / f"limited-{limit}"
        script.write_text(f'#!/bin/sh\nulimit -n {limit}\nexec "{lab.daemon}" "$@"\n')
        script.chmod(0o755)
        daemon, lab.daemon = lab.daemon, script
        try:
            return lab.start(Server, self.world.config, UDP, f"turnpike-{limit}-{len(lab.processes)}")
        finally:
            lab.daemon = daemon

    def allocate(self, client):
        answer = client.allocate()
        return answer and answer.code

    def take(self, client):
        """One who relays, if there is room. Returns whether there is."""
        if self.allocate(client) == 0:
            for answer in (client.permit("127.0.0.1"), client.bind_channel(0x4000, "127.0.0.1", self.world.peer_port)):
                expect(answer is not None and answer.code == 0, f"after Allocate: {answer and answer.code}")
            return True
        return False

    def one(self, server, limit, kind, outcome):
        world = self.world
        idle = len(server.open_files())
        first = [client for client in (world.client("udp") for _ in range(FIRST)) if self.take(client)]
        expect(len(first) == FIRST or kind == "limit", f"only {len(first)} of {FIRST}")
        expect(bool(first) != (" files_too_few " in server.output()), f"{len(first)} allocations, and what the log says of files")
        if kind == "squeeze":
            server.limit_files(limit)
        more = [world.client("udp") for _ in range(MANY)]
        codes = [self.allocate(client) for client in more]
        silent = [socket.create_connection(TCP, timeout=2) for _ in range(SILENT)]
        codes += [self.allocate(client) for client in more if client.relayed is None][:20]
        outcome.calls, outcome.injected = len(codes) + SILENT, len(codes) - codes.count(0)
        outcome.slowest = (idle, f"files before the flood, {len(server.open_files())} in it; {codes.count(0)} of {MANY} allocations")
        for client in first:
            expect(world.relays(client), "who was there before no longer relays")
        expect(set(codes) <= {0, TURNED_AWAY}, f"answers {set(codes)}")
        for client in silent:
            client.close()
        world.sweep()
        if kind == "squeeze":
            server.limit_files(ENOUGH)
        until(lambda: len(server.open_files()) <= idle, 10, lambda: f"{idle} files before, {len(server.open_files())} afterwards")
        if first:
            for transport in ("udp", "tcp", "tls"):
                until(lambda t=transport: self.served(t), 10, f"over {transport} nobody is served afterwards")
            world.sweep()
        expect(world.ask("/live")[0] == 200, "the admin server says nothing")
        server.check()

    def served(self, transport):
        try:
            self.world.serves(transport)
            return True
        except FAILURES:
            return False

"""What the soak reads of the daemon: memory, the heap in use, files, threads, sockets that relay, and its own gauges."""
import dataclasses
import mmap
import pathlib
import re
import struct
import subprocess

import admin

IN_USE = struct.Struct("3q")  # as tests/soak/inuse.c has it


class Page:
    """Where the library counts: bytes, blocks, blocks that there ever were."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), IN_USE.size, prot=mmap.PROT_READ)

    def read(self):
        return IN_USE.unpack(self.map[:])


@dataclasses.dataclass
class Sample:
    at: float
    rss: int
    pss: int
    in_use: int
    blocks: int
    files: int
    threads: int
    relay_sockets: int
    allocations: int
    connections: int
    parked: int


def memory(pid):
    """(RSS, PSS) in bytes."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return tuple(int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M)[1]) << 10 for name in ("Rss", "Pss"))


def bound(ports):
    """UDP sockets of this namespace with a port of this range."""
    found = 0
    for family in ("udp", "udp6"):
        for line in pathlib.Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            found += int(line.split()[1].rsplit(":", 1)[1], 16) in ports
    return found


def total(values, family):
    return sum(value for name, value in values.items() if name == family or name.startswith(family + "{"))


def take(at, pid, page, ports):
    """Files are counted before the scrape, whose connection is closed a moment after its answer."""
    rss, pss = memory(pid)
    in_use, blocks, _ = page.read()
    files, threads = (len(list(pathlib.Path(f"/proc/{pid}/{what}").iterdir())) for what in ("fd", "task"))
    values, _ = admin.scrape()
    return Sample(at, rss, pss, in_use, blocks, files, threads, bound(ports), total(values, "turnpike_allocations_active"),
                  total(values, "turnpike_connections_active"), total(values, "turnpike_requests_parked"))


def sockets(pid):
    """What of the network is open, a line each; without what changes while nothing happens."""
    shown = subprocess.run(["ss", "-H", "-a", "-n", "-p"], stdout=subprocess.PIPE, text=True, check=False).stdout.splitlines()
    return [" ".join(words[:2] + words[4:]) for words in map(str.split, shown) if f"pid={pid}," in words[-1]]


HEADER = f"{'':<26}{'s':>6}{'RSS kB':>9}{'PSS kB':>9}{'heap kB':>10}{'blocks':>9}{'files':>7}{'threads':>9}{'sockets':>9}{'allocations':>13}{'connections':>13}"


def line(what, s):
    return (f"{what:<26}{s.at:>6.0f}{s.rss >> 10:>9}{s.pss >> 10:>9}{s.in_use / 1024:>10.1f}{s.blocks:>9}{s.files:>7}{s.threads:>9}"
            f"{s.relay_sockets:>9}{s.allocations:>13}{s.connections:>13}")

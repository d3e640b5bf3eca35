"""Where a comparison takes place: three network namespaces joined by veth, or loopback where they cannot be made.

      client                        relay                         peer
  10.201.0.2  ---- veth ----  10.201.0.1 | 10.203.0.1  ---- veth ----  10.203.0.2
  10.202.0.0/16 (every client
  is an address of its own)

Servers listen on 10.201.0.1 and relay from 10.203.0.1. Nothing has a route to anywhere else.
"""
import os
import pathlib
import re
import subprocess

PORT = 34780


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)


class Loopback:
    """No namespaces: everything on 127.0.0.0/8."""
    name = "loopback"
    listen, relay, peer = "127.0.0.1", "127.0.0.1", "127.88.0.1"
    clients, peers = "127.77.0.0/16", "127.88.0.0/16"
    peer_netns = None

    def inside(self, role, command):
        """The command so that it runs in the role's (client, relay, peer) place."""
        return command

    def close(self):
        pass


class Namespaces:
    name = "network namespaces over veth"
    listen, relay, peer = "10.201.0.1", "10.203.0.1", "10.203.0.2"
    clients, peers = "10.202.0.0/16", "10.203.0.0/24"

    def __init__(self):
        self.names = {role: f"turnpike-bench-{os.getpid()}-{role}" for role in ("client", "relay", "peer")}
        self.peer_netns = f"/run/netns/{self.names['peer']}"
        try:
            self.make()
        except BaseException:
            self.close()
            raise

    def make(self):
        for name in self.names.values():
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        self.join("client", "10.201.0.2/24", "10.201.0.1/24")
        self.join("peer", "10.203.0.2/24", "10.203.0.1/24")
        client, relay, peer = self.names.values()
        run("ip", "-n", client, "route", "add", "local", self.clients, "dev", "lo")
        run("ip", "-n", relay, "route", "add", self.clients, "via", "10.201.0.2")
        run("ip", "-n", peer, "route", "add", "10.201.0.0/24", "via", "10.203.0.1")

    def join(self, role, outer, inner):
        """A veth pair from the relay's namespace to the role's."""
        relay, other = self.names["relay"], self.names[role]
        run("ip", "-n", relay, "link", "add", f"to-{role}", "type", "veth", "peer", "name", "to-relay", "netns", other)
        for name, link, address in ((relay, f"to-{role}", inner), (other, "to-relay", outer)):
            run("ip", "-n", name, "addr", "add", address, "dev", link)
            run("ip", "-n", name, "link", "set", link, "up")

    def inside(self, role, command):
        return ["ip", "netns", "exec", self.names[role], *command]

    def close(self):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, stdin=subprocess.DEVNULL, capture_output=True)


def remove_leftovers():
    """Namespaces of comparisons that were killed before they could remove them."""
    folder = pathlib.Path("/run/netns")
    for path in folder.glob("turnpike-bench-*") if folder.is_dir() else ():
        owner = re.fullmatch(r"turnpike-bench-(\d+)-\w+", path.name)
        if owner and not pathlib.Path("/proc", owner.group(1)).exists():
            subprocess.run(["ip", "netns", "del", path.name], check=False, capture_output=True)


def make():
    """(network, why it is not namespaces or None)"""
    remove_leftovers()
    try:
        return Namespaces(), None
    except (subprocess.CalledProcessError, OSError) as failed:
        return Loopback(), (getattr(failed, "stderr", None) or str(failed)).strip()

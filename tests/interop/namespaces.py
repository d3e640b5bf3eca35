"""Network namespaces of a case: each ends with the process that holds it."""
import contextlib
import ctypes
import os

from harness import Process, expect, run_command, until

CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def inside(process):
    """Sockets and processes made in here belong to that process's namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", "rb") as own, open(f"/proc/{process.pid}/ns/net", "rb") as other:
        expect(libc.setns(other.fileno(), CLONE_NEWNET) == 0, f"setns: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            expect(libc.setns(own.fileno(), CLONE_NEWNET) == 0, f"setns: {os.strerror(ctypes.get_errno())}")


def namespace(lab, name):
    """A new one with lo up: the process that holds it."""
    process = lab.start(Process, f"{name}-namespace", ["unshare", "--net", "sleep", "infinity"])
    own = os.readlink("/proc/self/ns/net")
    until(lambda: os.readlink(f"/proc/{process.pid}/ns/net") != own, 5, "no new namespace")
    with inside(process):
        up("lo")
    return process


def link(interface, other, process):
    """A cable from here, as `interface`, into that process's namespace, as `other`."""
    run_command("ip", "link", "add", interface, "type", "veth", "peer", "name", other, "netns", process.pid)


def up(interface, address=None):
    if address:
        run_command("ip", "address", "add", f"{address}/24", "dev", interface)
    run_command("ip", "link", "set", interface, "up")

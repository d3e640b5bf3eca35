"""The page that interpose.c shares with who drives it: which call fails, and what was counted."""
import errno
import mmap
import os
import pathlib
import re
import struct

KINDS = re.findall(r"^KIND\((\w+)\)", (pathlib.Path(__file__).parent / "kinds.def").read_text(), re.M)
SHORT = 0
# How each kind is let fail: what a kernel short of something, or interrupted, answers.
ERRORS = {
    "malloc": ["ENOMEM"], "socket": ["EMFILE", "ENOBUFS"], "socketpair": ["EMFILE"], "bind": ["ENOMEM"], "listen": ["ENOMEM"],
    "accept": ["EMFILE", "ENFILE", "ECONNABORTED", "EINTR", "ENOBUFS"], "connect": ["EAGAIN", "ENOBUFS"],
    "getsockname": ["ENOBUFS"], "setsockopt": ["ENOBUFS"], "getsockopt": ["ENOBUFS"], "epoll_create": ["EMFILE"],
    "epoll_ctl": ["ENOMEM"], "epoll_wait": ["EINTR"], "recvmmsg": ["EAGAIN", "EINTR", "ENOMEM", "SHORT"],
    "recvmsg": ["EAGAIN", "EINTR", "ENOMEM"], "recv": ["EAGAIN", "EINTR"], "sendmmsg": ["EAGAIN", "EINTR", "ENOBUFS", "SHORT"],
    "sendmsg": ["EAGAIN", "EINTR", "ENOBUFS", "SHORT"], "send": ["EAGAIN", "EINTR", "ENOBUFS", "SHORT"],
    "read": ["EAGAIN", "EINTR", "SHORT"], "write": ["EAGAIN", "EINTR", "ENOSPC", "SHORT"], "writev": ["EAGAIN", "EINTR", "SHORT"],
    "open": ["EMFILE", "ENFILE", "EINTR"], "fopen": ["EMFILE", "ENOMEM"], "close": ["EINTR", "EIO"], "fcntl": ["ENOMEM"],
    "ioctl": ["ENOMEM"], "mmap": ["ENOMEM"], "eventfd": ["EMFILE"], "pipe": ["EMFILE"], "pthread_create": ["EAGAIN"],
    "getrandom": ["EINTR", "EAGAIN"], "stat": ["ENOMEM"], "prctl": ["EPERM"], "setrlimit": ["EPERM"],
    "syscall": ["ENOSYS", "ENOMEM"],
}
COUNTS, TEXT, SITES = 64, 4096, 1 << 17
ARMED, LEFT, ERROR, REPEAT, FIRED, RECORDED, SITE_COUNT = (COUNTS * 8 + 8 * n for n in range(7))
FAULT = COUNTS * 8 + 8 * 8
ABORTED = FAULT + TEXT
SITE = ABORTED + TEXT
SIZE = SITE + SITES * 8


class Page:
    def __init__(self, path, library):
        self.path, self.library = path, library
        with open(path, "w+b") as file:
            file.truncate(SIZE)
            self.map = mmap.mmap(file.fileno(), SIZE)

    def environment(self):
        """For the process that shares it. AddressSanitizer comes second here, and does not mind."""
        options = os.environ.get("ASAN_OPTIONS", "")
        return {**os.environ, "LD_PRELOAD": str(self.library), "TURNPIKE_FAULTS": str(self.path),
                "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0".lstrip(":")}

    def put(self, at, value):
        self.map[at:at + 8] = struct.pack("<q", value)

    def get(self, at):
        return struct.unpack("<q", self.map[at:at + 8])[0]

    def clear(self):
        """Nothing armed, nothing counted."""
        self.put(ARMED, 0)
        self.map[:FAULT + 1] = bytes(FAULT + 1)
        self.map[ABORTED:ABORTED + 1] = b"\0"

    def arm(self, kind, error, skip, repeat=1):
        """The call of this kind behind `skip` others fails, and as many as `repeat` says in all."""
        self.clear()
        self.put(LEFT, skip)
        self.put(ERROR, SHORT if error == "SHORT" else getattr(errno, error))
        self.put(REPEAT, repeat)
        self.put(ARMED, KINDS.index(kind) + 1)

    def disarm(self):
        """Returns whether it has failed."""
        self.put(ARMED, 0)
        return self.fired()

    def fired(self):
        return self.get(FIRED) > 0

    def record(self, kind):
        self.clear()
        self.put(RECORDED, KINDS.index(kind) + 1)

    def sites(self):
        """Of the kind recorded: who made each call, as a number of its stack."""
        count = min(self.get(SITE_COUNT), SITES)
        return struct.unpack(f"<{count}Q", self.map[SITE:SITE + 8 * count])

    def counts(self):
        return dict(zip(KINDS, struct.unpack(f"<{len(KINDS)}Q", self.map[:8 * len(KINDS)])))

    def text(self, at):
        return self.map[at:at + TEXT].split(b"\0", 1)[0].decode(errors="replace").splitlines()

    def caller(self):
        """Who made the call that failed, innermost first: "object+offset symbol"."""
        return self.text(FAULT)

    def aborter(self):
        """Who called abort; nobody: empty."""
        return self.text(ABORTED)

"""Calls whose failure a library answers with abort(), or with a crash of its own: nothing above it can survive that.

Each entry is proven whenever it is met: the call that failed was made by the library, and what gave up was its own code.
"""
import os
import re
import subprocess

# (kind, errors, who made the call, who gave up, why)
KNOWN = [
    ("epoll_ctl", ["ENOMEM"], "libuv", "libuv", "uv__io_poll aborts where it cannot add a file, which uv_poll_init could a moment before"),
    ("pipe", ["EMFILE"], "libuv", "libuv", "uv__signal_global_init aborts without its pipe"),
]
# What libwebsockets destroys of a context that it could not make (uv_run without a loop), and as a frame of a report names it. Its
# memory does not come to an end in there (admin/lws_memory.h), and /dev/urandom was opened a moment before.
UNMADE = re.compile(r"^ +#[0-4] .* in lws_create_context ", re.M)


def made_by(lines):
    """The object whose code made the call."""
    objects = (os.path.basename(line.split("+", 1)[0]) for line in lines)
    return next((o for o in objects if not o.startswith("libasan")), "")


def gives_up(fault, caller, aborter):
    """Why that is so, or None."""
    for kind, errors, made, gave_up, why in KNOWN:
        if fault.kind == kind and fault.error in errors and made_by(caller).startswith(made) and \
                made_by(aborter).startswith(gave_up):
            return why
    return None


def crashes(text, fault, caller):
    """Whether the report of a sanitizer shows a library's clean-up, after a call of that library's has failed."""
    return fault.kind == "open" and "SEGV" in text and UNMADE.search(text) and any(line.endswith(" lws_create_context") for line in caller)


def leaks(text):
    """Whether all that a report says to be lost was made by OpenSSL: a name or a list of its own, of which it loses sight."""
    blocks = re.split(r"\n\n", text[text.find("LeakSanitizer"):])
    lost = [block for block in blocks if block.lstrip().startswith(("Direct leak", "Indirect leak"))]
    frames = [re.findall(r"^ +#\d+ \S+ in (.*)", block, re.M) for block in lost]
    hooks = ("interceptor", "tls_memory_take", "on_malloc")

    def own(frame):
        first = next((f for f in frame if not any(hook in f for hook in hooks)), "libcrypto")
        return "libcrypto" in first
    return bool(lost) and all(own(frame) for frame in frames)


def readable(lines):
    """Frames of programs that know their lines, by function and line."""
    out = []
    for line in lines:
        place, _, symbol = line.partition(" ")
        path, _, offset = place.rpartition("+")
        name = os.path.basename(path)
        if symbol == "?" and name == "turnpike":
            found = subprocess.run(["addr2line", "-f", "-s", "-e", path, hex(int(offset, 16) - 1)], capture_output=True, text=True,
                                   check=False).stdout.split()
            symbol = " ".join(found)
        if not name.startswith("libasan"):
            out.append(f"{name}+{offset} {symbol}")
    return out

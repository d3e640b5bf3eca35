"""Calls whose failure a library answers with abort(), or with a crash of its own: nothing above it can survive that.

Each entry is proven whenever it is met: the call that failed was made by the library, and what gave up was its own code.
"""
import os
import re
import subprocess

# (kind, errors, who made the call, who gave up, why)
KNOWN = [
    ("epoll_ctl", ["ENOMEM"], "libuv", "libuv", "uv__io_poll aborts where it cannot add a file, which uv_poll_init could a moment before"),
    ("malloc", ["ENOMEM"], "libuv", "libuv", "uv__io_start aborts where its table of files cannot grow"),
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


# They use what they could not make: NSS, on which Debian's libsrtp2 stands, OpenSSL where it fetches an algorithm, libseccomp where it
# builds a filter, glibc where it reads nsswitch.conf. Who made the call, and what the crash shows.
NSS = ("libnss", "libnspr", "libplds", "libplc", "libsoftokn", "libfreebl")
CRASHES = [(NSS, re.compile("|".join(NSS))), (("libcrypto",), re.compile(r"EVP_[A-Z]+_fetch .*libcrypto")),
           (("libseccomp",), re.compile("libseccomp")), (("libc.so",), re.compile(r"^nss_database_\w+ nss/nss_database\.c"))]


def crashes(text, fault, caller):
    """Whether the report of a sanitizer shows a library's own code, after a call of that library's has failed."""
    if fault.kind == "malloc" and "CHECK failed: sanitizer_" in text:
        return True  # the sanitizer's own: pthread_getattr_np has no memory for it
    if "SEGV" not in text:
        return False
    if fault.kind == "open":
        return UNMADE.search(text) and any(line.endswith(" lws_create_context") for line in caller)
    made = made_by([line for line in caller if "turnpike" not in line])
    stack = own_frames(text[text.find("SEGV"):].split("\n\n", 1)[0])
    return fault.kind == "malloc" and any(made.startswith(who) and any(map(shows.search, stack)) for who, shows in CRASHES)


def own_frames(block):
    """Of a stack, what lies above the first frame of the program, without those that only take memory."""
    hooks = ("interceptor", "sanitizer", "__asan", "tls_memory_take", "lws_memory_take", "on_malloc", "pthread", "libsanitizer")
    frames = [frame for frame in re.findall(r"^ +#\d+ (?:\S+ in |\S+ +\()(.*)", block, re.M) if not any(hook in frame for hook in hooks)]
    end = next((n for n, frame in enumerate(frames) if "../" in frame), len(frames))
    return frames[:end]


def leaks(text, fault, caller):
    """Whether all that a report says to be lost was made by a library that loses sight of it: OpenSSL of a name or a list, NSS and
    libsrtp2 of what they had begun, libseccomp of half a filter, libwebsockets of what its eventfd was to have and of the plugins
    that it looked for."""
    blocks = re.split(r"\n\n", text[text.find("LeakSanitizer"):])
    lost = [block for block in blocks if block.lstrip().startswith(("Direct leak", "Indirect leak"))]
    files = ["libcrypto"]
    if fault.kind == "malloc" and made_by([line for line in caller if "turnpike" not in line]).startswith(NSS):
        files += [*NSS, "libsrtp2"]
    if fault.kind == "malloc" and any(line.endswith(" seccomp_load") for line in caller):
        files.append("libseccomp")
    if any(line.endswith(" lws_create_context") for line in caller):
        files += {"eventfd": ["libwebsockets"], "malloc": ["scandir"]}.get(fault.kind, [])

    def own(block):
        first = next(iter(own_frames(block)), "libcrypto")
        return any(file in first for file in files)
    return bool(lost) and all(map(own, lost))


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

#!/usr/bin/python3
"""What systemd/ holds, judged by systemd's own programs, without a running systemd: check_systemd.py BUILD. TAP.

BUILD is a build of both programs, in which meson has made the service from its template.
"""
import pathlib
import re
import stat
import subprocess
import sys
import tempfile

import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNITS = ROOT / "systemd"
EXPOSURE_MAX = 1.6


def run(*command):
    result = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, errors="replace", timeout=60, check=False)
    return result.returncode, result.stdout


def lay_out(build, folder):
    """The units as installed, with the programs of this build: (service, socket)."""
    programs = folder / "bin"
    programs.mkdir()
    for name, path in (("turnpike", "daemon/turnpike"), ("turnpikectl", "cli/turnpikectl")):
        (programs / name).symlink_to(build / path)
    text = (build / "systemd/turnpike.service").read_text()
    service, listening = folder / "turnpike.service", folder / "turnpike.socket"
    service.write_text(re.sub(r"^(Exec\w+=)\S+/", rf"\g<1>{programs}/", text, flags=re.M))
    listening.write_text((UNITS / "turnpike.socket").read_text())
    return service, listening


def verified(*units):
    """Lines about our units; other units of the host are not our business."""
    _, said = run("systemd-analyze", "verify", "--man=no", *units)
    return [line for line in said.splitlines() if "turnpike" in line]


def exposed(service):
    """The threshold is in tenths, and makes the exit code; what is said on failure names what costs how much."""
    code, said = run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={round(EXPOSURE_MAX * 10)}", service)
    level = re.search(r"Overall exposure level for turnpike.service: ([\d.]+)", said)
    if code or not level or float(level.group(1)) > EXPOSURE_MAX:
        return [f"exposure {level.group(1) if level else 'unknown'}, exit code {code}", said]
    return []


def capabilities(service):
    text = service.read_text()
    return [f"{key} is not CAP_NET_BIND_SERVICE alone" for key in ("CapabilityBoundingSet", "AmbientCapabilities")
            if re.findall(rf"^{key}=(.*)$", text, re.M) != ["CAP_NET_BIND_SERVICE"]]


def call_sets():
    """{name of a set: its lines} of systemd's sets of system calls."""
    text = run("systemd-analyze", "syscall-filter")[1]
    sets, name = {}, None
    for line in re.sub(r"\x1b\[[\d;]*m", "", text).splitlines():
        if line.startswith("@"):
            name = line.strip()
            sets[name] = set()
        elif name and line.strip() and not line.strip().startswith("#"):
            sets[name].add(line.strip())
    return sets


def expand(sets, words):
    calls = set()
    for word in words:
        calls |= expand(sets, sets[word]) if word.startswith("@") else {word}
    return calls


def allowed_calls(service):
    sets, allowed = call_sets(), set()
    for value in re.findall(r"^SystemCallFilter=(.*)$", service.read_text(), re.M):
        calls = expand(sets, value.lstrip("~").split())
        allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed | expand(sets, ["@default"])


def filtered(service):
    """The filter lets the daemon set up its own, and nothing pass that would undo it."""
    allowed = allowed_calls(service)
    needed = {"capset", "prctl", "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "recvmmsg",
              "sendmmsg", "epoll_wait", "clone", "prlimit64"}
    forbidden = {"ptrace", "mount", "bpf", "init_module", "setuid", "chown", "reboot", "process_vm_readv", "perf_event_open",
                 "add_key", "unshare", "setns", "swapon", "clock_settime"} & allowed
    return [f"not allowed: {call}" for call in sorted(needed - allowed)] + [f"allowed: {call}" for call in sorted(forbidden)]


def made(folder):
    """The user and folders, made under an empty root."""
    root = folder / "root"
    (root / "etc").mkdir(parents=True)
    problems = []
    for command in ("systemd-sysusers", f"--root={root}", UNITS / "turnpike.sysusers"), \
                   ("systemd-tmpfiles", f"--root={root}", "--create", UNITS / "turnpike.tmpfiles"):
        code, said = run(*command)
        problems += [f"{command[0]}: exit code {code}\n{said}"] if code else []
    users = (root / "etc/passwd").read_text() if not problems else ""
    if not re.search(r"^turnpike:.*:/usr/sbin/nologin$", users, re.M):
        problems.append(f"no user turnpike without a shell:\n{users}")
    for path, mode in (("etc/turnpike", 0o750), ("etc/turnpike/tls", 0o750), ("etc/turnpike/credentials", 0o700),
                       ("run/turnpike", 0o750), ("var/log/turnpike", 0o750)):
        found = stat.S_IMODE((root / path).stat().st_mode) if (root / path).is_dir() else None
        problems += [f"{path}: mode {found and oct(found)}"] if found != mode else []
    return problems


def main(build):
    report = tap.Report()
    with tempfile.TemporaryDirectory(prefix="turnpike-systemd-") as name:
        folder = pathlib.Path(name)
        service, listening = lay_out(pathlib.Path(build).resolve(), folder)
        report.case("units_are_what_systemd_understands", verified(service, listening))
        broken = folder / "turnpike-broken.service"
        broken.write_text(service.read_text().replace("Type=notify", "Type=notfy"))
        report.case("a_broken_unit_is_found", [] if verified(broken) else ["a wrong Type= is not"])
        report.case(f"exposure_is_at_most_{EXPOSURE_MAX}", exposed(service))
        report.case("one_capability_is_left", capabilities(service))
        report.case("filter_allows_what_the_daemon_needs_and_little_else", filtered(service))
        report.case("user_and_folders_are_made", made(folder))
    return report.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

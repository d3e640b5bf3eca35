#!/usr/bin/python3
"""A release build starts, is hardened, and the example configuration is checked by the commands in its own header:
check_release.py BUILD.

TAP. The commands are the indented lines of deploy/examples/turnpike.yaml's header; docs/troubleshooting.md shows the same.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import hardening
import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "deploy/examples/turnpike.yaml"
GUIDE = ROOT / "docs/troubleshooting.md"


def run(command, folder, **environment):
    """What is wrong with how it ended, as a list."""
    result = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=60, check=False)
    return result.stdout, [f"exit code {result.returncode}\n{result.stdout}"] if result.returncode else []


def header_commands():
    header = EXAMPLE.read_text().split("\n\n", 1)[0]
    return re.findall(r"^#   (\S.*)$", header, re.M)


def check_example(build):
    """Runs the header's commands in an empty folder beside a copy of the example."""
    commands = header_commands()
    if not any("--check-config" in c for c in commands):
        return ["its header has no command with --check-config"]
    guide = GUIDE.read_text()
    problems = [f"{GUIDE.name} does not show: {c}" for c in commands if c not in guide]
    with tempfile.TemporaryDirectory(prefix="turnpike-example-") as folder:
        shutil.copy(EXAMPLE, folder)
        path = f"{build}/daemon:{os.environ.get('PATH', '/usr/bin:/bin')}"
        problems += run(["/bin/sh", "-euc", "\n".join(commands)], folder, PATH=path)[1]
        secrets = sorted((pathlib.Path(folder) / "credentials").glob("*"))
        problems += [f"{s.name}: mode {s.stat().st_mode & 0o777:o}" for s in secrets if s.stat().st_mode & 0o077]
        if len({s.read_bytes() for s in secrets}) < 2:
            problems.append(f"not two secrets that differ: {[s.name for s in secrets]}")
    return problems


# What tests/sandbox/probe.c tries, and how it ends: an errno, SIGSYS, or nothing in its way.
FORBIDDEN = {"ptrace": "SIGSYS", "process_vm": "SIGSYS", "execve": "SIGSYS", "packet": "SIGSYS", "raw": "EPERM",
             "netlink_other": "EPERM", "vsock": "EPERM", "fork": "EPERM", "clone3": "ENOSYS", "setuid": "EPERM",
             "write_and_run": "EPERM", "written_then_run": "EPERM", "dumpable": "EPERM", "limit": "EPERM", "rename": "EPERM"}
ALLOWED = ("udp", "netlink_route")


def probe(program, what):
    """How it ended: "" if it worked."""
    result = subprocess.run([program, what], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    if result.returncode < 0:
        return signal.Signals(-result.returncode).name
    return result.stdout.strip() if result.returncode in (0, 1) else f"exit code {result.returncode}"


def check_sandbox(report, program):
    for what, wanted in {**FORBIDDEN, **dict.fromkeys(ALLOWED, "")}.items():
        ended = probe(program, what)
        report.case(f"sandbox_{what}", [f"ended with {ended!r}, not {wanted!r}"] if ended != wanted else [])


def main(build):
    build = pathlib.Path(build).resolve()
    report = tap.Report()
    for program in ("daemon/turnpike", "cli/turnpikectl"):
        output, problems = run([build / program, "--version"], ROOT)
        if not re.search(r"\d+\.\d+\.\d+", output):
            problems.append(f"no version in {output!r}")
        report.case(f"{pathlib.Path(program).name}_tells_its_version", problems)
        for check in hardening.CHECKS:
            report.case(f"{pathlib.Path(program).name}_{check.__name__}", check(build / program))
    check_sandbox(report, build / "tests/sandbox/sandbox_probe")
    report.case("objects_track_branches", hardening.of_objects(build))
    report.case("objects_are_compiled_hardened", hardening.of_compilation(build))
    report.case("checks_find_a_program_that_is_not_hardened", hardening.of_checks())
    report.case("example_is_checked_by_the_commands_in_its_header", check_example(build))
    return report.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

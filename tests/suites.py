"""What tests/run runs: builds, suites, and one number for everything that passed or failed.

Every test program prints TAP, and each of its cases counts. Whatever ends otherwise than planned, a crash, a timeout, a
sanitizer's report, a missing result, a build that fails, a suite without tests, counts as failed: nothing is lost.
"""
import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILDS = ROOT / "build"
COVERED = ("wire", "auth", "relay", "ratelimit", "srtp")
COVERAGE_MIN = 90.0
SANITIZER = re.compile(r"(?:Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error:")
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}
# Scripts of a clone call git as root too, when another user owns it.
GIT = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT)]
CONFIGURATIONS = {
    # -O1 and lines only compile in half the time of -O2 and run as fast: what runs is the sanitizers. The compiler then guesses
    # how long a number can be, and is not asked: release-checked says what is true of that.
    "asan": ("gcc", ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1", "-Ddebug=false",
                     "-Dc_args=-g1 -fno-sanitize-recover=all -Wno-format-truncation"]),
    # As deploy/run builds, but for -Werror: optimisation and _FORTIFY_SOURCE bring warnings that no other build shows.
    "release-checked": ("gcc", ["--buildtype=release", "-Dtests=false"]),
    "fuzz": ("clang-14", ["-Dfuzz=true", "-Dtests=false", "-Doptimization=1", "-Ddebug=false", "-Dc_args=-g1"]),
    "tsan": ("gcc", ["-Db_sanitize=thread", "-Db_lundef=false"]),
    # Counts of several threads go wrong, even below zero, unless they are atomic.
    "coverage": ("gcc", ["-Db_coverage=true", "-Dbuildtype=debug", "-Dc_args=-fprofile-update=atomic"]),
    "lint": ("clang-14", []),
}


@dataclasses.dataclass
class Program:
    """Something to run: its cases count one by one if it prints TAP, else it counts as one."""
    name: str
    command: list
    timeout: float = 120
    tap: bool = True
    env: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Outcome:
    cases: list  # (result, name)
    output: str


class BuildFailed(Exception):
    pass


def build(name, targets=("all",)):
    """build/NAME, configured and up to date; raises BuildFailed with the output."""
    compiler, options = CONFIGURATIONS[name]
    folder = BUILDS / name
    env = {**os.environ, "CC": compiler}
    again = ["--reconfigure"] if (folder / "build.ninja").exists() else []
    commands = [["meson", "setup", *again, *options, str(folder), str(ROOT)]]
    if targets:
        commands.append(["ninja", "-C", str(folder), "-k", "0", *targets])
    for command in commands:
        try:
            result = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        except FileNotFoundError as missing:
            raise BuildFailed(f"{command[0]} is not installed; ./tests/run does that") from missing
        if result.returncode:
            raise BuildFailed(f"{' '.join(command)}\n{result.stdout[-8000:]}")
    return folder


def execute(program):
    """Runs one program in a session of its own, which ends with it. Returns an Outcome."""
    env = {**os.environ, **SANITIZER_OPTIONS, **program.env, "CMOCKA_MESSAGE_OUTPUT": "TAP"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(program.command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                   start_new_session=True)
        try:
            code, ended = process.wait(program.timeout), f"exit code {process.returncode}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code, ended = -1, f"no end within {program.timeout:.0f} s"
        out.seek(0), err.seek(0)
        stdout, stderr = (f.read().decode(errors="replace") for f in (out, err))
    return judge(program, code, ended, stdout, stderr)


def judge(program, code, ended, stdout, stderr):
    problems = []
    planned, cases = tap.parse(stdout) if program.tap else (1, [])
    if program.tap:
        problems += [f"{planned} cases planned, {len(cases)} ended"] if planned != len(cases) or not planned else []
    if SANITIZER.search(stdout + stderr):
        problems.append("a sanitizer's report")
    failed = any(result == "failed" for result, _ in cases)
    if code and not failed:
        problems.append(ended)
    cases = [(result, f"{program.name}:{name}") for result, name in cases]
    lost = max(planned - len(cases), 1)
    if problems:
        cases += [("failed", f"{program.name} ({'; '.join(problems)})")] * lost
    elif not program.tap:
        cases.append(("passed", program.name))
    return Outcome(cases, stdout + stderr)


def allowed_skips():
    lines = (ROOT / "tests/allowed_skips").read_text().splitlines()
    return {line.split(maxsplit=1)[0] for line in lines if len(line.split(maxsplit=1)) == 2 and line[0] != "#"}


class Totals:
    """Counts over all suites, and their seconds."""

    def __init__(self):
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.seconds = []
        self.allowed = allowed_skips()

    def suite(self, name, programs, jobs=None):
        """Runs a suite; `programs` is a list, or a function that makes it (and may raise BuildFailed)."""
        started, before = time.monotonic(), dict(self.counts)
        print(f"== {name}", flush=True)
        try:
            programs = programs() if callable(programs) else programs
            if not programs:
                raise BuildFailed("no tests")
            with concurrent.futures.ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
                for outcome in pool.map(execute, programs):
                    self.count(name, outcome)
        except (BuildFailed, OSError) as error:
            print(f"{error}\nFAILED {name}", flush=True)
            self.counts["failed"] += 1
        self.seconds.append((name, time.monotonic() - started))
        new = {key: self.counts[key] - before[key] for key in before}
        print(f"   {summary(new)}, {self.seconds[-1][1]:.1f} s", flush=True)

    def together(self, names, programs_of):
        """Several suites side by side, the longest programs first: some compute, most wait."""
        started, before = time.monotonic(), {}
        print(f"== {', '.join(names)}", flush=True)
        programs = [(name, program) for name in names for program in programs_of(name)]
        programs.sort(key=lambda named: -(named[1].timeout or 0))
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() + 1) as pool:
            for (name, _), outcome in zip(programs, pool.map(lambda named: execute(named[1]), programs)):
                own = before.setdefault(name, {key: 0 for key in self.counts})
                now = dict(self.counts)
                self.count(name, outcome)
                for key in own:
                    own[key] += self.counts[key] - now[key]
        for name in names:
            if name not in before:
                print(f"no tests\nFAILED {name}", flush=True)
                self.counts["failed"] += 1
        self.seconds.append((names[0] + " ...", time.monotonic() - started))
        print("\n".join(f"   {name}: {summary(own)}" for name, own in before.items()))
        print(f"   {self.seconds[-1][1]:.1f} s", flush=True)

    def count(self, suite, outcome):
        bad = False
        for result, name in outcome.cases:
            unlisted = result == "skipped" and f"{suite}/{name}" not in self.allowed
            if result == "failed" or unlisted:
                print(f"FAILED {suite}/{name}{' (skipped, but not in tests/allowed_skips)' if unlisted else ''}")
                result, bad = "failed", True
            self.counts[result] += 1
        if bad:
            print("\n".join("   | " + line for line in excerpt(outcome.output)), flush=True)

    def end(self):
        print("\n" + "\n".join(f"{name:<12}{seconds:7.1f} s" for name, seconds in self.seconds))
        print(f"{'sum':<12}{sum(s for _, s in self.seconds):7.1f} s")
        print(summary(self.counts), flush=True)
        return 1 if self.counts["failed"] else 0


def excerpt(output):
    """The cases that are not ok, with what stands below them, the first sanitizer's report, and the end."""
    lines, kept, wanted, report = output.splitlines(), [], False, 0
    for line in lines[:-40]:
        wanted = line.startswith("not ok") or wanted and not line.startswith("ok ")
        report = 40 if report == 0 and SANITIZER.search(line) else report - (report > 1)
        kept += [line] if wanted or report > 1 else []
    return kept[-400:] + lines[-40:]


def summary(counts):
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return f"{counts['passed']} passed, {counts['failed']} failed{skipped}"


def python(*arguments):
    return [sys.executable, *(str(a) for a in arguments)]


def introspect(folder, what):
    result = subprocess.run(["meson", "introspect", f"--{what}", str(folder)], check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


def meson_suite(folder, suite, factor=1, prefix=()):
    """The programs that the meson.build files put into a suite; `factor` stretches their time limits."""
    return [Program(t["name"], [*prefix, *t["cmd"]], t["timeout"] * factor, tap=suite != "fuzz", env=t["env"])
            for t in introspect(folder, "tests") if any(s.split(":")[-1] == suite for s in t["suite"])]


def one_suite(name, suite):
    """A suite's programs, with nothing else built."""
    programs = meson_suite(build(name, targets=()), suite)
    own = {p.command[0] for p in programs if p.command[0].startswith(str(BUILDS / name))}
    build(name, targets=[os.path.relpath(program, BUILDS / name) for program in sorted(own)])
    return programs


def layer_programs():
    script = ROOT / "tests/check_layers.py"
    return [Program("check_layers", python(script)), Program("check_layers_self_test", python(script, "--self-test"))]


def fuzz_programs(seconds):
    """Fuzzing of each target from its corpus; what it finds is left in build/fuzz/findings."""
    folder = build("fuzz", targets=())
    findings = folder / "findings"
    findings.mkdir(exist_ok=True)
    programs = []
    for target in introspect(folder, "targets"):
        if not target["name"].startswith("fuzz_"):
            continue
        name, exe = target["name"], target["filename"][0]
        grown = folder / "grown" / name
        grown.mkdir(parents=True, exist_ok=True)
        command = [exe, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
                   f"-artifact_prefix={findings}/{name}-", str(grown),
                   str(ROOT / "tests/fuzz/corpus" / name.removeprefix("fuzz_"))]
        programs.append(Program(name, command, timeout=seconds + 60, tap=False))
    build("fuzz", targets=[os.path.relpath(p.command[0], folder) for p in programs])
    return programs


def interop_programs(folder, prefix=()):
    script = ROOT / "tests/interop/run"
    return [Program("interop", [*prefix, *python(script, "--daemon", folder / "daemon/turnpike")], timeout=420)]


def fault_programs(every=False):
    build("asan", targets=("daemon/turnpike", "tests/faults/libinterpose.so"))
    more = ["--every"] if every else []
    return [Program("faults", python(ROOT / "tests/faults/run", *more), timeout=86400 if every else 120)]


def soak_programs(seconds):
    folder = build("release-checked", targets=("daemon/turnpike", "cli/turnpikectl", "tests/soak/libinuse.so"))
    return [Program("soak", python(ROOT / "tests/soak/run", "--build", folder, seconds), timeout=5 * seconds + 600)]


def thorough_programs():
    """The scenarios with many more seeds."""
    return [dataclasses.replace(program, timeout=program.timeout * 20, env={**program.env, "TURNPIKE_THOROUGH": "1"})
            for program in one_suite("asan", "scenario")]


def release_programs():
    folder = build("release-checked", targets=("daemon/turnpike", "cli/turnpikectl", "tests/sandbox/sandbox_probe"))
    return [Program("check_release", python(ROOT / "tests/check_release.py", folder)),
            Program("check_systemd", python(ROOT / "tests/check_systemd.py", folder))]


def run_all(totals):
    try:
        started = time.monotonic()
        asan = build("asan")
        totals.seconds.append(("build", time.monotonic() - started))
        link = ROOT / "compile_commands.json"
        link.unlink(missing_ok=True)
        link.symlink_to("build/asan/compile_commands.json")
    except BuildFailed as error:
        asan, failure = None, error
    totals.suite("layers", layer_programs)
    if not asan:
        def broken():
            raise failure
        totals.suite("build", broken)
        return
    totals.together(("unit", "scenario", "threats"), lambda suite: meson_suite(asan, suite))
    totals.suite("fuzz", lambda: meson_suite(asan, "fuzz") + fuzz_programs(3))
    check = ROOT / "tests/check_headers.py"
    totals.suite("headers", [Program("check_headers", python(check, asan, BUILDS / "fuzz"))])
    totals.suite("release", release_programs)
    totals.suite("interop", lambda: interop_programs(asan))
    totals.suite("faults", fault_programs)


def run_unit(totals):
    totals.suite("layers", layer_programs)
    totals.suite("unit", lambda: one_suite("asan", "unit"))


def run_tsan(totals):
    # ThreadSanitizer of gcc 12 does not start where the kernel spreads addresses widely.
    fixed = ["setarch", "-R"]
    for suite in ("unit", "scenario", "threats"):
        totals.suite(suite, lambda: meson_suite(build("tsan"), suite, factor=5, prefix=fixed))
    totals.suite("interop", lambda: interop_programs(build("tsan"), fixed))


def run_coverage(totals):
    folder = BUILDS / "coverage"
    for stale in folder.rglob("*.gcda"):
        stale.unlink()
    for suite in ("unit", "scenario", "threats"):
        totals.suite(suite, lambda: meson_suite(build("coverage"), suite, factor=2))
    totals.suite("coverage", [Program("coverage", python(ROOT / "tests/coverage.py", folder, COVERAGE_MIN, *COVERED))])
    print((folder / "coverage.txt").read_text() if (folder / "coverage.txt").exists() else "")


def sources():
    command = [*GIT, "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.c", "*.h"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return [name for name in names if (ROOT / name).exists()]


def run_lint(totals):
    def programs():
        database = build("lint", targets=())
        return [Program(name, ["clang-tidy-14", "-p", str(database), "--quiet", "--warnings-as-errors=*", name],
                        timeout=300, tap=False) for name in sources() if name.endswith(".c")
                and not name.startswith("tests/fuzz/")]
    totals.suite("lint", programs)


def run_format(totals):
    totals.suite("format", [Program(name, ["clang-format-14", "--dry-run", "--Werror", name], tap=False)
                            for name in sources()])


def run_format_apply(totals):
    totals.suite("format", [Program(name, ["clang-format-14", "-i", name], tap=False) for name in sources()])


def run_faults(totals):
    totals.suite("faults", lambda: fault_programs(every=True))


def run_soak(totals, seconds):
    totals.suite("soak", lambda: soak_programs(seconds))
    measured = BUILDS / "release-checked/soak.txt"
    print(measured.read_text() if measured.exists() else "", flush=True)
    totals.suite("scenario", thorough_programs)


def run_mutants(totals):
    totals.suite("mutants", [Program("mutants", python(ROOT / "tests/mutants/run"), timeout=7200)])


def main():
    parser = argparse.ArgumentParser(prog="tests/run", allow_abbrev=False)
    modes = {"unit": run_unit, "tsan": run_tsan, "coverage": run_coverage, "mutants": run_mutants, "faults": run_faults,
             "lint": run_lint,
             "format": run_format, "format-apply": run_format_apply}
    choice = parser.add_mutually_exclusive_group()
    for mode, function in modes.items():
        choice.add_argument(f"--{mode}", dest="mode", action="store_const", const=function)
    choice.add_argument("--fuzz", type=int, metavar="SECONDS")
    choice.add_argument("--soak", type=int, metavar="SECONDS", nargs="?", const=300)
    arguments = parser.parse_args()
    totals = Totals()
    if arguments.fuzz is not None:
        totals.suite("fuzz", lambda: one_suite("asan", "fuzz") + fuzz_programs(arguments.fuzz))
    elif arguments.soak is not None:
        run_soak(totals, arguments.soak)
    else:
        (arguments.mode or run_all)(totals)
    return totals.end()


if __name__ == "__main__":
    sys.exit(main())

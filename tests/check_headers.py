#!/usr/bin/python3
"""Every header compiled alone, and twice, with the flags of the build; and no source file that nobody builds.

check_headers.py BUILD...   build folders with their compile_commands.json; TAP, one case a header, one for all sources
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent


def tracked(*patterns):
    """Files of the tree, new ones included, ignored ones not."""
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "--cached", "--others",
               "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    return [name for name in names if name and (ROOT / name).exists()]


def flags(entry):
    """Compiler and flags of one compile command, without its input, output and dependency files."""
    words, kept = iter(shlex.split(entry["command"])), []
    for word in words:
        if word in ("-o", "-MF", "-MQ", "-MT"):
            next(words)
        elif word not in ("-c", "-MD", "-MMD", entry["file"]):
            kept.append(word)
    return kept


def check_header(name, command, directory):
    program = f'#include "{name}"\n#include "{name}"\n'
    result = subprocess.run([*command, "-Werror", "-fsyntax-only", "-x", "c", "-"], input=program, cwd=directory,
                            capture_output=True, text=True, check=False)
    return [result.stderr or "the compiler failed"] if result.returncode else []


def main(builds):
    if not builds:
        sys.exit(__doc__)
    report = tap.Report()
    databases = [pathlib.Path(b) / "compile_commands.json" for b in builds]
    if missing := [f"{d} is not there: that build was not configured" for d in databases if not d.exists()]:
        report.case("builds_are_configured", missing)
        return report.end()
    entries = [e for d in databases for e in json.loads(d.read_text())]
    command, directory = flags(entries[0]), entries[0]["directory"]
    headers = tracked("*.h")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda name: check_header(name, command, directory), headers)
        for name, problems in zip(headers, results):
            report.case(f"header_{name}", problems)
    built = {os.path.realpath(os.path.join(e["directory"], e["file"])) for e in entries}
    lost = [f"{name}:1: no meson.build names it" for name in tracked("*.c") if str(ROOT / name) not in built]
    report.case("sources_are_all_built", lost)
    return report.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a compiler and linker were to put into a program, read back from the program, its objects and how they were compiled.

Each check takes text of readelf and gives a list of what is wrong. Called by check_release.py.
"""
import json
import pathlib
import re
import subprocess
import tempfile

# What leaves no trace in the program: options that each of our files is compiled with.
OPTIONS = ("-D_FORTIFY_SOURCE=3", "-fstack-protector-strong", "-fstack-clash-protection", "-fcf-protection=full",
           "-ftrivial-auto-var-init=zero", "-fno-delete-null-pointer-checks", "-fno-strict-overflow", "-fno-strict-aliasing",
           "-fexceptions", "-Wtrampolines", "-Wformat=2", "-Werror=format-security")
# Copies an unknown number of bytes into a buffer of eight: what all of it is against.
WEAK_SOURCE = """
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) { char b[8]; strcpy(b, argv[argc - 1]); return puts(b); }
"""
WEAK_OPTIONS = ("-O2", "-w", "-no-pie", "-fno-pie", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-fcf-protection=none",
                "-Wl,-z,lazy", "-Wl,-z,norelro", "-Wl,-z,execstack", "-Wl,-rpath,/opt/lib")


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True).stdout


def position_independent(program):
    text = readelf("-hd", program)
    return [] if re.search(r"Type:\s+DYN", text) and re.search(r"FLAGS_1.*\bPIE\b", text) else ["no PIE"]


def read_only_after_relocation(program):
    text = readelf("-ld", program)
    return ([] if "GNU_RELRO" in text else ["no RELRO"]) + ([] if re.search(r"\(FLAGS\).*BIND_NOW", text) else ["binds lazily"])


def never_writable_and_executable(program):
    segments = re.findall(r"^\s+(\w+)(?:\s+0x\w+){5}\s([R ][W ][E ])", readelf("-l", program), re.M)
    wrong = [f"{name} is {flags}" for name, flags in segments if "W" in flags and "E" in flags]
    return wrong if any(name == "GNU_STACK" for name, _ in segments) else ["no GNU_STACK"]


def stack_is_guarded(program):
    return [] if "__stack_chk_fail" in readelf("--dyn-syms", program) else ["no canary"]


def copies_are_checked(program):
    found = set(re.findall(r"\b__(\w+)_chk\b", readelf("--dyn-syms", program)))
    return [] if {"memcpy", "snprintf"} <= found else [f"fortified are only {sorted(found)}"]


def branches_are_tracked(program):
    return [] if re.search(r"x86 feature:.*IBT, SHSTK", readelf("-n", program)) else ["no IBT and SHSTK note"]


def loads_from_nowhere_else(program):
    return re.findall(r"\((?:RPATH|RUNPATH|TEXTREL)\).*", readelf("-d", program))


CHECKS = (position_independent, read_only_after_relocation, never_writable_and_executable, stack_is_guarded, copies_are_checked,
          branches_are_tracked, loads_from_nowhere_else)


def compiled(build):
    return json.loads(pathlib.Path(build, "compile_commands.json").read_text())


def of_objects(build):
    """The linker takes our word for the note of the program: each object must have it by itself."""
    objects = [path for entry in compiled(build) if (path := pathlib.Path(build, entry["output"])).exists()]
    parts = re.split(r"^File: ", readelf("-n", *objects), flags=re.M)[1:]
    wrong = [part.split("\n", 1)[0] for part in parts if "IBT, SHSTK" not in part]
    return wrong if len(parts) == len(objects) > 1 else [f"{len(objects)} objects, {len(parts)} read"]


def of_compilation(build):
    commands = compiled(build)
    wrong = [f"{entry['file']}: without {option}" for entry in commands for option in OPTIONS
             if option not in entry["command"].split()]
    return wrong[:20] if commands else ["nothing is compiled"]


def of_checks():
    """Each check must find a program that has none of it."""
    with tempfile.TemporaryDirectory(prefix="turnpike-weak-") as folder:
        source, program = pathlib.Path(folder, "weak.c"), pathlib.Path(folder, "weak")
        source.write_text(WEAK_SOURCE)
        subprocess.run(["gcc", *WEAK_OPTIONS, "-o", program, source], check=True, stdin=subprocess.DEVNULL)
        return [check.__name__ for check in CHECKS if not check(program)]

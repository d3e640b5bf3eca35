#!/usr/bin/python3
"""Who may include whom (tests/layers.txt), and the small rules of the tree that a compiler does not know.

check_layers.py               checks the tree this file lies in; TAP, one case a rule, each finding as file:line
check_layers.py --self-test   plants one violation of each rule in a temporary tree and demands that it is found
"""
import fnmatch
import pathlib
import re
import sys
import tempfile

import tap

LINES_MAX = 600
CLOCKS = r"\b(clock_gettime|clock|time|gettimeofday|ftime|uv_now|uv_hrtime|uv_gettimeofday|uv_clock_gettime)\s*\("
BANNED = r"\b(rand|rand_r|srand|random|srandom|drand48|lrand48|strcpy|stpcpy|strcat|sprintf|vsprintf|gets|alloca)\s*\("
# rule: (pattern, folders or files where it is allowed, what to say)
PATTERNS = {
    "banned_calls": (BANNED, (), "call that does not belong here"),
    "clock": (CLOCKS, ("base/clock.c", "tests/", "bench/"), "time is an argument; only base/clock.c reads a clock"),
    "randomness": (r"\b(RAND_\w*bytes|getrandom|getentropy)\s*\(", ("base/random.c", "tests/", "bench/"),
                   "randomness is an argument; only base/random.c makes it"),
    "sockets": (r"(?<![\w.>])(recvfrom|recvmsg|recvmmsg|sendto|sendmsg|sendmmsg)\s*\(", ("net/", "daemon/", "tests/", "bench/"),
                "only net/ touches the network"),
}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
LEXEMES = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|(<[^>\n]+>))', re.M)


def without_comments(text, strings):
    """The code with comments (and, if asked, strings) blanked, every line where it was."""
    def blank(match):
        lexeme = match.group(0)
        if lexeme[0] == "/" or strings:
            return re.sub(r"[^\n]", " ", lexeme)
        return lexeme
    return LEXEMES.sub(blank, text)


class Tree:
    """The sources below a root, read once."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.files = {}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            hidden = name.startswith((".", "build")) or "node_modules/" in name
            if path.suffix in (".c", ".h", ".def") and not hidden and path.is_file():
                self.files[name] = path.read_text(encoding="utf-8")
        self.read_layers()

    def read_layers(self):
        self.folders, self.headers = {}, {}
        for line in (self.root / "tests/layers.txt").read_text().splitlines():
            line = line.split("#")[0].strip()
            if line:
                name, allowed = line.split(":")
                (self.headers if name[0] == "<" else self.folders)[name] = allowed.split()

    def may_include(self, folder, included):
        owner = included.split("/")[0]
        return owner == folder or any(a in ("*", owner) or fnmatch.fnmatch(included, a) for a in self.folders[folder])

    def owners(self, system):
        """The folders that may include a system header; None: all."""
        return next((f for p, f in self.headers.items() if system and fnmatch.fnmatchcase(system, p)), None)

    def layers(self):
        """Includes that layers.txt does not allow."""
        for name, text in self.files.items():
            folder = name.split("/")[0]
            if folder not in self.folders:
                yield f"{name}:1: the folder {folder}/ is not in tests/layers.txt"
                continue
            code = without_comments(text, strings=False)
            for match in INCLUDE.finditer(code):
                where = f"{name}:{code.count(chr(10), 0, match.start()) + 1}"
                own, system = match.groups()
                owners = self.owners(system)
                if owners is not None and folder not in owners:
                    yield f"{where}: {system} is for {' '.join(owners) or 'nobody'} only"
                elif own and own not in self.files:
                    yield f"{where}: \"{own}\" is not a path from the root of the tree"
                elif own and not self.may_include(folder, own):
                    yield f"{where}: {folder}/ may not include \"{own}\""

    def links(self):
        """link_with in a folder's meson.build that layers.txt does not allow."""
        for folder, allowed in self.folders.items():
            build = self.root / folder / "meson.build"
            if folder == "tests" or not build.exists():
                continue
            text = re.sub(r"#[^\n]*", "", build.read_text())
            for match in re.finditer(r"link_with\s*:\s*\[([^\]]*)\]", text):
                for library in re.findall(r"\w+", match.group(1)):
                    linked = library.removesuffix("_lib")
                    if linked != folder and linked not in allowed and "*" not in allowed:
                        line = text.count("\n", 0, match.start()) + 1
                        yield f"{folder}/meson.build:{line}: {folder}/ may not link {linked}"

    def long_files(self):
        for name, text in self.files.items():
            if text.count("\n") > LINES_MAX:
                yield f"{name}:{LINES_MAX + 1}: {text.count(chr(10))} lines, at most {LINES_MAX}"

    def unfinished(self):
        for name, text in self.files.items():
            for match in UNFINISHED.finditer(text):
                yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group(0)}"

    def calls(self, pattern, allowed, says):
        for name, text in self.files.items():
            if name.startswith(allowed):
                continue
            code = without_comments(text, strings=True)
            for match in re.finditer(pattern, code):
                yield f"{name}:{code.count(chr(10), 0, match.start(1)) + 1}: {match.group(1)}: {says}"

    def rules(self):
        """(rule, findings) for every rule."""
        yield "layers", self.layers()
        yield "links", self.links()
        yield "long_files", self.long_files()
        yield "unfinished", self.unfinished()
        for rule, (pattern, allowed, says) in PATTERNS.items():
            yield rule, self.calls(pattern, allowed, says)


# What must be found: rule, file, its text, line. And what must not be.
PLANTED = [
    ("layers", "wire/a.c", '#include "base/ok.h"\n#include "relay/ok.h"\n', 2),
    ("layers", "base/a.h", '/* x */ \n  # include  "wire/ok.h"\n', 2),
    ("layers", "relay/a.c", "#include <stdio.h>\n#include <uv.h>\n", 2),
    ("layers", "auth/b.c", "#include <hiredis/read.h>\n", 1),
    ("layers", "fleet/a.c", "#include <hiredis/read.h>\n#include <hiredis/async.h>\n", 2),
    ("layers", "fleet/b.c", '#include "base/ok.h"\n#include "relay/ok.h"\n', 2),
    ("layers", "config/a.c", '#include "relay/relay_settings.h"\n#include "relay/ok.h"\n', 2),
    ("layers", "auth/a.c", '#include "ok.h"\n', 1),
    ("layers", "stray/a.c", "int x;\n", 1),
    ("links", "wire/meson.build", "wire_lib = static_library('wire', s,\n  link_with: [base_lib, relay_lib])\n", 2),
    ("long_files", "base/b.c", "\n" * (LINES_MAX + 1), LINES_MAX + 1),
    ("unfinished", "base/c.c", "int x; // TO" "DO later\n", 1),
    ("banned_calls", "tests/d.c", "int f(void)\n{\n    return rand ();\n}\n", 3),
    ("banned_calls", "net/e.c", "/* strcpy(a, b) */\nchar *s = \"gets(\";\nvoid f(void) { sprintf(s, \"\"); }\n", 3),
    ("clock", "relay/f.c", "long f(void)\n{ return time(0); }\n", 2),
    ("clock", "net/g.c", "long f(void *l)\n{ return uv_now(l); }\n", 2),
    ("randomness", "auth/h.c", "int f(void *p)\n{ return RAND_bytes(p, 4); }\n", 2),
    ("sockets", "relay/i.c", "int f(void *p)\n{ return sendmsg(1, p, 0); }\n", 2),
]
CLEAN = {
    "base/ok.h": "", "wire/ok.h": "", "relay/ok.h": "", "relay/relay_settings.h": "",
    "base/clock.c": "long f(void *p)\n{ return clock_gettime(1, p); }\n",
    "base/random.c": "int f(void *p)\n{ return RAND_bytes(p, 4); }\n",
    "net/ok.c": "#include <uv.h>\n#include \"relay/ok.h\"\n/* time(0) */\nint first_time(int x);\nint uptime(int x);\n",
    "relay/ok.c": "struct s;\nint f(struct s *s) { return s->sendmsg(1); }\n",
    "daemon/meson.build": "link_with: [base_lib, relay_lib]\n",
    "build/x.c": "int x = rand();\n",
    "tests/interop/node_modules/x.c": "int x = rand();\n",
}


def findings(layers, files):
    """All that is found in a temporary tree of these files: {(rule, "file:line")}."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {"tests/layers.txt": layers, **files}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return {(rule, ":".join(f.split(":")[:2])) for rule, found in Tree(root).rules() for f in found}


def self_test(report, layers):
    clean = findings(layers, CLEAN)
    report.case("self_test_clean_tree", [f"found {rule} at {where}" for rule, where in sorted(clean)])
    for rule, name, text, line in PLANTED:
        found = findings(layers, {**CLEAN, name: text})
        expected = {(rule, f"{name}:{line}")}
        problems = [] if found == expected else [f"expected {sorted(expected)}", f"found {sorted(found)}"]
        report.case(f"self_test_{rule}_{name}", problems)


def main(arguments):
    root = pathlib.Path(__file__).resolve().parent.parent
    report = tap.Report()
    if arguments == ["--self-test"]:
        self_test(report, (root / "tests/layers.txt").read_text())
    elif arguments:
        sys.exit(__doc__)
    else:
        for rule, found in Tree(root).rules():
            report.case(rule, found)
    return report.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

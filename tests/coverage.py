#!/usr/bin/python3
"""Line coverage by folder, from a build that was run: coverage.py BUILD PERCENT FOLDER...

TAP, one case a folder, failed under PERCENT. The same table is left in BUILD/coverage.txt, what is not covered in
BUILD/coverage.html.
"""
import json
import pathlib
import subprocess
import sys

import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main(build, minimum, *folders):
    summary = pathlib.Path(build) / "coverage.json"
    command = ["gcovr", "--root", str(ROOT), "--object-directory", build, "--json-summary", str(summary),
               "--html-details", f"{build}/coverage.html"]
    for folder in folders:
        command += ["--filter", f"{ROOT}/{folder}/.*\\.c$"]
    subprocess.run([*command, build], check=True, stdout=sys.stderr)
    files = json.loads(summary.read_text())["files"]
    report, table = tap.Report(), []
    for folder in folders:
        own = [f for f in files if f["filename"].startswith(f"{folder}/")]
        total, covered = sum(f["line_total"] for f in own), sum(f["line_covered"] for f in own)
        percent = 100.0 * covered / total if total else 0.0
        table.append(f"{folder + '/':<12}{percent:6.1f} % of {total} lines")
        for f in sorted(own, key=lambda f: f["filename"]):
            table.append(f"    {f['filename']:<32}{f['line_percent'] or 0.0:6.1f} %")
        report.case(f"coverage_{folder}", [] if percent >= float(minimum) else [f"{percent:.1f} %, at least {minimum} %"])
    (pathlib.Path(build) / "coverage.txt").write_text("\n".join(table) + "\n")
    return report.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

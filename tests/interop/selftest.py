"""turnpikectl selftest and doctor against a running relay: what works is said to work, and what does not is named."""
import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import termios

from admin import with_admin
from certificates import Authority
from harness import CONFIG, PASSWORD, SECRET, USER, case, expect

STEPS = {"connect", "allocate", "permission", "channel", "echo"}
LISTEN = """
listen:
  - { proto: udp, addr: "::", port: 3478 }
  - { proto: tcp, addr: 127.0.0.1, port: 3478 }
  - { proto: tls, addr: 127.0.0.1, port: 5349 }
  - { proto: dtls, addr: 127.0.0.1, port: 5350 }
  - { proto: tcp, addr: 127.0.0.1, port: 8080, proxy_from: [192.0.2.0/24] }
"""


def begin(lab):
    """A daemon with every kind of listener, and peers refused as without a configuration."""
    chain = Authority(lab.folder).issue("turn.test", ["turn.test"])
    config = with_admin(lab, CONFIG.replace('  allow_peers: [127.0.0.0/8, "::1/128"]\n', ""))
    config += LISTEN + f"tls: {{ cert: {chain.cert}, key: {chain.key} }}\n"
    for name, text in (("secret", SECRET), ("password", PASSWORD), ("wrong", "canary-wrong")):
        (lab.folder / name).write_text(text)
    return lab.server(config)


def run(lab, *arguments):
    program = pathlib.Path(lab.daemon).parent.parent / "cli/turnpikectl"
    command = [str(c) for c in (program, "--socket", lab.folder / "control.sock", *arguments)]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    expect("Sanitizer" not in result.stderr and "runtime error" not in result.stderr, result.stderr)
    return result.returncode, result.stdout, result.stderr


@case
def selftest_and_doctor_say_what_works(lab):
    server = begin(lab)
    selftest_calls_through_every_listener(lab)
    doctor_finds_what_is_wrong_and_nothing_else(lab, server.config)
    top_shows_allocations_and_leaves_the_terminal_as_it_was(lab)
    server.check()


def selftest_calls_through_every_listener(lab):
    for credential in ((), ("--secret-file", lab.folder / "secret"), ("--user", USER, "--password-file", lab.folder / "password")):
        code, out, errors = run(lab, "selftest", "--json", *credential)
        expect(code == 0 and not errors, f"{credential}: {code} {out} {errors}")
        tried = json.loads(out)
        expect(tried["ok"] and len(tried["listeners"]) == 6, out)
        for listener in tried["listeners"][:-1]:
            expect(listener["result"] == "ok" and set(listener["steps_ms"]) == STEPS, f"{listener}")
        expect([t["proto"] for t in tried["listeners"]] == ["udp", "udp", "tcp", "tls", "dtls", "tcp"], out)
        expect(tried["listeners"][-1]["result"] == "skipped" and "PROXY" in tried["listeners"][-1]["why"], out)
    code, out, _ = run(lab, "selftest", "--secret-file", lab.folder / "secret")
    expect(code == 0 and "5 of 5 listeners relay; others were skipped\n" in out and out.count(" echo ") == 5, out)
    code, out, _ = run(lab, "selftest", "--json", "--user", USER, "--password-file", lab.folder / "wrong")
    tried = json.loads(out)
    expect(code == 1 and not tried["ok"] and "canary" not in out, out)
    for listener in tried["listeners"][:-1]:
        expect(listener["result"] == "failed" and listener["step"] == "allocate" and "401" in listener["why"], f"{listener}")
    code, _, errors = run(lab, "selftest", "--user", USER)
    expect(code == 2 and "go together" in errors, f"a user without password: {code} {errors}")
    expect(not json.loads(run(lab, "sessions", "--json")[1])["sessions"], "allocations are left behind")


def examined(lab, *arguments):
    """{check: level} of what is found, and all of the answer. What depends on the machine is left out."""
    code, out, errors = run(lab, "doctor", "--json", *arguments)
    seen = json.loads(out)
    expect(not errors and code == (0 if seen["ok"] else 1), f"{code} {out} {errors}")
    return {f["check"]: f["level"] for f in seen["findings"] if f["check"] not in ("clock", "buffer", "files", "ports")}, seen


def doctor_finds_what_is_wrong_and_nothing_else(lab, config):
    known = ("--secret-file", lab.folder / "secret", "--ca", lab.folder / "authority/ca.pem")
    config.chmod(0o644)
    found, seen = examined(lab, *known, "--name", "turn.test")
    expect(found == {"public_address": "wrong", "certificates": "wrong", "secrets": "wrong"}, f"{seen}")
    texts = [f["what"] for f in seen["findings"]]
    # Made for two days, and asked after at once, or a second later.
    expect(any(re.search("expires in [12] days", t) for t in texts) and any(str(config) in t for t in texts), f"{texts}")
    expect({seen["others"][c] for c in ("configuration", "daemon", "listeners", "relaying", "proxies", "redis")} == {"ok"}, f"{seen}")
    config.chmod(0o600)
    found, seen = examined(lab, "--name", "other.test") # with a credential that the daemon makes
    expect(seen["others"]["relaying"] == "ok", f"{seen}")
    expect("secrets" not in found and sum("authority" in f["what"] or "trust" in f["what"] for f in seen["findings"]), f"{seen}")
    expect(any("other.test" in f["what"] for f in seen["findings"]), f"{seen}")
    broken = lab.folder / "broken.yaml"
    broken.write_text("relm: x\n")
    found, seen = examined(lab, "--config", broken)
    expect(found["configuration"] == "wrong" and "did you mean 'realm'" in seen["findings"][0]["what"], f"{seen}")
    expect(seen["others"]["certificates"] == "unknown", f"{seen}")
    code, out, _ = run(lab, "doctor", "--socket", lab.folder / "nowhere", "--config", config)
    expect(code == 1 and "the daemon cannot be asked: No such file" in out and "unknown  relaying" in out, out)


def top_shows_allocations_and_leaves_the_terminal_as_it_was(lab):
    client = lab.client()
    client.allocate()
    code, out, _ = run(lab, "top", "--once", "--json")
    seen = json.loads(out)
    expect(code == 0 and [a["user"] for a in seen["allocations"]] == [USER], out)
    expect(run(lab, "top")[0] == 2, "top without a terminal")
    for leave in (lambda top, keys: os.write(keys, b"q"), lambda top, keys: top.send_signal(signal.SIGQUIT)):
        top_on_a_terminal(lab, leave)


def top_on_a_terminal(lab, leave):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 40, 0, 0))
    before = termios.tcgetattr(theirs)
    program = pathlib.Path(lab.daemon).parent.parent / "cli/turnpikectl"
    with subprocess.Popen([program, "--socket", lab.folder / "control.sock", "top"], stdin=theirs, stdout=theirs) as top:
        shown = b""
        while b"q: quit" not in shown:
            shown += os.read(ours, 4096)
        expect(termios.tcgetattr(theirs) != before, "keys are read by the line")
        top.send_signal(signal.SIGTSTP)  # Ctrl-Z does not leave a shell without echo
        leave(top, ours)
        expect(top.wait(10) == 0, f"{top.returncode}")
    shown += os.read(ours, 4096)
    lines = shown.decode().split("\r\n")
    expect("1 allocations" in lines[0] and USER in lines[2] and len(lines[1].split("\x1b")[0]) == 40, f"{lines}")
    expect(lines[-1].endswith("\x1b[?25h\x1b[?1049l") and termios.tcgetattr(theirs) == before, f"{lines[-1]}")
    os.close(ours), os.close(theirs)

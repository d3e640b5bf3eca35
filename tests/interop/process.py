"""The daemon as a process: starting wrong, reloading under traffic, signals, and the first five minutes."""
import os
import pty
import re
import select
import shlex
import signal
import socket
import subprocess
import time

import stun
import uclient
from harness import CONFIG, SANITIZER, USER, Failed, case, expect, listening_peer, until
from relaying import relays

USAGE = 2


def start(lab, *arguments):
    """Runs it to its end: (exit code, stdout, stderr)."""
    try:
        result = subprocess.run([lab.daemon, *map(str, arguments)], cwd=lab.folder, stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, errors="replace", timeout=20, check=False)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"turnpike {' '.join(map(str, arguments))} started, or hangs") from late
    expect(not SANITIZER.search(result.stderr), result.stderr)
    return result.returncode, result.stdout, result.stderr


def refused(lab, what, *arguments):
    """It must end with 2 and one line that contains each of `what`."""
    code, _, errors = start(lab, *arguments)
    lines = errors.strip().splitlines()
    expect(code == USAGE, f"{arguments}: exit code {code}, not {USAGE}\n{errors}")
    expect(len(lines) == 1, f"{arguments}: {len(lines)} lines, not one\n{errors}")
    for word in what:
        expect(word in lines[0], f"{arguments}: {word!r} is missing in: {lines[0]}")


@case
def bad_configuration_ends_with_one_line_and_2(lab):
    bad = [
        ("relm: x\n" + CONFIG, (":1:", "relm", "realm")),
        (CONFIG + "realm: twice\n", (f":{CONFIG.count(chr(10)) + 1}:", "realm")),
        (CONFIG.replace("127.0.0.0/8", "127.0.0.0/33"), (":5:", "127.0.0.0/33")),
        (CONFIG.replace("127.0.0.0/8", "127.0.0.300"), (":5:", "127.0.0.300")),
        (CONFIG + "log: { level: loud }\n", ("level", "loud")),
        (CONFIG + "workers: -1\n", ("workers",)),
        (CONFIG + "listen: [{ proto: udp, addr: 127.0.0.1 }]\n", ("port",)),
        (CONFIG + "listen: [{ proto: udp, addr: 127.0.0.1, port: 70000 }]\n", ("70000",)),
        (CONFIG.replace("users:", "users"), (":",)),
        ("realm: x\n", ("auth",)),
        ("", ()),
        (CONFIG + "---\nrealm: second\n", (":",)),
    ]
    path = lab.folder / "bad.yaml"
    for text, words in bad:
        path.write_text(text)
        for mode in (["--config", path], ["--config", path, "--check-config"]):
            refused(lab, ("bad.yaml", *words), *mode)
    refused(lab, ("missing.yaml",), "--config", lab.folder / "missing.yaml")
    refused(lab, (str(lab.folder),), "--config", lab.folder)
    refused(lab, ("--no-such-option",), "--no-such-option")


@case
def good_configuration_is_checked_dumped_and_read_back(lab):
    path = lab.folder / "good.yaml"
    path.write_text(CONFIG.replace("password: p", "password: canary-password").replace("a secret of tests", "canary-secret"))
    code, _, errors = start(lab, "--config", path, "--check-config")
    expect(code == 0, f"--check-config: {code}\n{errors}")
    code, dump, errors = start(lab, "--config", path, "--dump-config")
    expect(code == 0, f"--dump-config: {code}\n{errors}")
    expect("canary" not in dump + errors, "a secret in the dump")
    expect("***" in dump and "127.0.0.0/8" in dump, f"no configuration in the dump:\n{dump}")
    path.write_text(dump.replace('"***"', "canary-password-0123456789"))
    code, again, errors = start(lab, "--config", path, "--dump-config")
    expect(code == 0 and again == dump, f"the dump is not read back: {code}\n{errors}")
    code, version, _ = start(lab, "--version")
    expect(code == 0 and re.search(r"turnpike \d+\.\d+\.\d+", version), f"--version: {code} {version!r}")


@case
def port_in_use_ends_with_one_line_and_2(lab):
    path = lab.folder / "turnpike.yaml"
    path.write_text(CONFIG)
    for ip, family in (("127.0.0.9", socket.AF_INET), ("::1", socket.AF_INET6)):
        with socket.socket(family, socket.SOCK_DGRAM) as taken:
            taken.bind((ip, 3480))
            refused(lab, ("3480",), "--config", path)
    server = lab.server()
    refused(lab, ("3478",), "--config", path)
    server.check()


@case
def signals_end_it_with_0(lab):
    for number in (signal.SIGTERM, signal.SIGINT):
        server = lab.server(name=f"turnpike-{number}")
        lab.client().allocate()
        server.popen.send_signal(number)
        late = time.monotonic() + 10
        while server.popen.poll() is None and time.monotonic() < late:
            server.popen.send_signal(signal.SIGHUP)  # who rotates its files need not know that it stops
            time.sleep(0.0005)
        code = server.popen.wait(10)
        expect(code == 0, f"exit code {code} after signal {number}\n{server.output()}")
        expect(not SANITIZER.search(server.output()), server.output())


def success(answer):
    return answer is not None and answer.kind == stun.SUCCESS


@case
def reload_under_traffic_loses_nothing(lab):
    server = lab.server()
    lab.peer()
    _, finish = uclient.background(lab, ["-c", "-m", "10", "-n", "300", *uclient.TO_PEER])
    changes = [CONFIG, CONFIG.replace("5000/s", "4000/s"), CONFIG.replace("relay:\n", "relay:\n  max_lifetime: 1800s\n")]
    for number in range(12):
        server.config.write_text(changes[number % len(changes)])
        server.reload()
        time.sleep(0.4)
    finish()
    server.check()


@case
def reload_applies_what_changed(lab):
    server = lab.server()
    client = lab.client(user="late", password="x")
    expect(client.allocate().code == 401, "an unknown user was let in")
    old = lab.client()
    expect(success(old.allocate()), "Allocate")
    server.config.write_text(CONFIG.replace(f"{{ name: {USER}, password: p }}", "{ name: late, password: x }"))
    server.reload()
    until(lambda: success(client.allocate()), 5, "the new user is refused after the reload")
    answer = lab.client().allocate()
    expect(answer and answer.code == 401, f"the user that was taken out is let in: {answer and answer.code}")
    expect(success(old.refresh()), "an allocation that lived before the reload is refused a Refresh")
    server.check()


@case
def reload_of_a_broken_file_changes_nothing_and_says_why(lab):
    server = lab.server()
    _, finish = (lab.peer(), uclient.background(lab, ["-c", "-m", "2", "-n", "100", *uclient.TO_PEER]))[1]
    broken = ["relm: x\n", CONFIG.replace("127.0.0.0/8", "127.0.0.0/99"), "", CONFIG + "\t: [\n"]
    for text in broken:
        server.config.write_text(text)
        said = server.reload()
        expect("reload_failed" in said and "turnpike.yaml" in said, f"no word about the file:\n{said}")
        expect(success(lab.client().allocate()), f"the old configuration is gone after {text[:20]!r}")
    server.config.unlink()
    expect("reload_failed" in server.reload(), "a missing file was taken")
    expect(success(lab.client().allocate()), "the old configuration is gone with its file")
    finish()
    server.check()


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, lab, command):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(lab.folder)
            os.execv(command[0], command)
        self.text = ""

    def read(self, seconds=0.1):
        while select.select([self.descriptor], [], [], seconds)[0]:
            try:
                data = os.read(self.descriptor, 65536)
            except OSError:
                data = b""
            if not data:
                break
            self.text += data.decode(errors="replace").replace("\r\n", "\n")
        return self.text

    def end(self):
        """SIGTERM; returns the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None


def public_interface(*addresses):
    """An interface with a default route, as a host on the internet has."""
    subprocess.run(["ip", "link", "add", "public0", "type", "veth", "peer", "name", "far0"], check=True)
    for address in addresses:
        subprocess.run(["ip", "addr", "add", address, "dev", "public0", *(["nodad"] if ":" in address else [])], check=True)
    for interface in ("public0", "far0"):
        subprocess.run(["ip", "link", "set", interface, "up"], check=True)
    for address in addresses:
        subprocess.run(["ip", "-6" if ":" in address else "-4", "route", "add", "default", "dev", "public0"], check=True)


def paste(terminal):
    """The turnutils_uclient line of the banner."""
    lines = until(lambda: re.findall(r"^.*?(turnutils_uclient .*)$", terminal.read(), re.M), 15,
                  lambda: f"no turnutils_uclient line:\n{terminal.text}")
    expect(len(lines) == 1, f"{len(lines)} turnutils_uclient lines:\n{terminal.text}")
    return lines[0].strip()


def relays_pasted(line):
    flags = shlex.split(line)[1:]
    messages = int(flags[flags.index("-n") + 1]) if "-n" in flags else 5
    result = subprocess.run(line, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            timeout=60, text=True, errors="replace", check=False)
    uclient.check_output(result.stdout, messages * uclient.sessions(flags))


def first_five_minutes(lab, *addresses):
    public_interface(*addresses)
    terminal = Terminal(lab, [lab.daemon])
    try:
        line = paste(terminal)
        expect(addresses[0].split("/")[0] in line, f"the line does not name the public address: {line}")
        relays_pasted(line)
        for url in (r"turn:\S+:3481\?transport=udp\b", r"turn:\S+:3478\?transport=tcp\b"):
            expect(re.search(url, terminal.text), f"no URL {url}:\n{terminal.text}")
        expect("turns:" not in terminal.text, f"TLS without a certificate:\n{terminal.text}")
    finally:
        code = terminal.end()
    expect(code == 0, f"exit code {code}\n{terminal.text}")
    expect(not SANITIZER.search(terminal.text), terminal.text)


@case
def banner_line_relays_when_pasted(lab):
    first_five_minutes(lab, "192.0.2.10/24")


@case
def banner_line_relays_when_pasted_on_both_families(lab):
    first_five_minutes(lab, "192.0.2.10/24", "2001:db8::10/64")


@case
def threat_25_without_terminal_credentials_go_to_a_file_of_ours(lab):
    public_interface("192.0.2.10/24")
    server = lab.server(None, ready=("192.0.2.10", 3478), env={**os.environ, "XDG_RUNTIME_DIR": str(lab.folder)})
    # Workers answer before the log says everything.
    paths = until(lambda: [p for p in re.findall(r"/[^\s\"']+", server.output()) if os.path.isfile(p)], 5,
                  lambda: f"no file is named:\n{server.output()}")
    output = server.output()
    text = open(paths[0], encoding="utf-8").read()
    expect(os.stat(paths[0]).st_mode & 0o777 == 0o600, f"{paths[0]} has mode {os.stat(paths[0]).st_mode & 0o777:o}")
    for secret in re.findall(r"(?:password|secret)\W+([\w+/=.-]{12,})", text):
        expect(secret not in output, "a credential in the log")
    lines = re.findall(r"turnutils_uclient .*$", text, re.M)
    expect(lines, f"no turnutils_uclient line in the file:\n{text}")
    relays_pasted(lines[0])
    if not paths[0].startswith(str(lab.folder)):
        os.unlink(paths[0])
    server.check()


@case
def threat_25_core_dumps_are_off(lab):
    server = lab.server()
    limits = open(f"/proc/{server.pid}/limits", encoding="ascii").read()
    line = next(x for x in limits.splitlines() if x.startswith("Max core file size"))
    expect(line.split()[4] == "0", line)
    cmdline = open(f"/proc/{server.pid}/cmdline", "rb").read()
    expect(b"secret" not in cmdline, "a secret on the command line")
    server.check()


@case
def threat_25_secrets_appear_nowhere(lab):
    """Canaries in every place where a secret is configured: 0 hits in the log of a session at debug level and of a reload."""
    canaries = {"p": "canary-password-1", "a secret of tests": "canary-secret-2"}
    config = CONFIG.replace("password: p", "password: canary-password-1").replace("a secret of tests", "canary-secret-2")
    server = lab.server(config + "log: { level: debug }\n")
    client = lab.client(password=canaries["p"])
    expect(success(client.allocate()), "Allocate")
    peer, port = listening_peer()
    relays(client, peer, port)
    expect(lab.client(password="canary-guess-3").allocate().code == 401, "a wrong password was let in")
    user, password = stun.rest_credential(canaries["a secret of tests"], "someone")
    expect(success(lab.client(user=user, password=password).allocate()), "Allocate with a REST credential")
    server.config.write_text(config.replace("canary-password-1", "canary-password-4"))
    server.reload()
    server.check()
    expect("canary" not in server.output(), [x for x in server.output().splitlines() if "canary" in x][:3])
    expect(password not in server.output(), "a REST password in the log")


@case
def blocked_log_and_vanished_reader_stop_nothing(lab):
    """Standard error is a pipe that nobody reads, standard output one whose reader is gone."""
    path = lab.folder / "turnpike.yaml"
    path.write_text(CONFIG)
    reader, writer = os.pipe()
    gone, out = os.pipe()
    os.close(gone)
    server = subprocess.Popen([lab.daemon, "--config", path], stdin=subprocess.DEVNULL, stdout=out, stderr=writer)
    try:
        os.close(out), os.close(writer)
        peer, port = listening_peer()
        clients = [lab.client() for _ in range(12)]
        until(lambda: clients[0].exchange(stun.build(stun.REQUEST, stun.BINDING), 1, 0.1) is not None, 15, "no answer")
        for client in clients:
            expect(success(client.allocate()), "Allocate")
            for number in range(250):  # each is a line of the log
                expect(success(client.permit(f"127.1.1.{number + 1}")), f"CreatePermission {number}")
        server.send_signal(signal.SIGUSR1)
        relays(clients[0], peer, port)
        relays(clients[-1], peer, port)
        expect(server.poll() is None, f"the server ended with {server.poll()}")
        server.terminate()
        expect(server.wait(10) == 0, f"exit code {server.returncode}")
        os.set_blocking(reader, False)
        said = os.read(reader, 1 << 20)
        expect(not SANITIZER.search(said.decode(errors="replace")), "a sanitizer's report")
        lines = said.count(b"permission_created")
        expect(0 < lines < 12 * 250, f"{lines} lines in {len(said)} bytes: the log was not blocked")
    finally:
        os.close(reader)
        server.kill()
        server.wait()

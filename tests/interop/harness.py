"""What the cases share: servers under test, turnutils, and the checks that hold after every one of them.

A case is a function that takes a Lab. It runs in a network namespace and a process of its own, where lo is up, so that ports
are free and nothing leaves the machine; every process it starts is ended by its own id when the lab closes.
"""
import ctypes
import pathlib
import re
import resource
import signal
import socket
import subprocess
import tempfile
import time

import stun

REALM, USER, PASSWORD, SECRET = "turnpike.test", "u", "p", "a secret of tests"
PEER_PORT = 3490  # turnutils_peer also listens on the port behind
CONFIG = f"""\
realm: {REALM}
public_ip: [127.0.0.1, "::1"]
relay:
  rfc5766_channels: true # turnutils of Debian 12 picks its channels from 0x4000-0x7FFF
  allow_peers: [127.0.0.0/8, "::1/128"]
auth:
  users: [{{ name: {USER}, password: {PASSWORD} }}]
  secrets: [{{ id: a, secret: {SECRET} }}]
limits: {{ unauthenticated_per_address: 1000/s, unauthenticated_per_prefix: 5000/s }}
admin: {{ listen: none, socket: none }} # namespaces share the file system: admin.py names its own
user: root # folders of cases are their own: who else could be become reads nothing there
"""
SANITIZER = re.compile(r"(?:Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:")
COUNTER = re.compile(r"(turnpike_\w+)(?:\{([^}]*)\})? (\d+(?:\.\d+)?)$", re.M)
CASES = []


def case(function=None, *, coturn=False, prepare=None, alone=False):
    """Registers a case; `coturn`: it holds for Debian's turnserver as well; `prepare` is run once, outside all namespaces;
    `alone`: it measures time, so that no other case runs beside it."""
    def register(f):
        f.prepare, f.alone = prepare, alone
        CASES.append((f.__name__, f, coturn))
        return f
    return register(function) if function else register


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failed(text)


def until(condition, seconds, text):
    """Waits until condition() holds, and returns what it returned."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        expect(time.monotonic() < deadline, text() if callable(text) else text)
        time.sleep(0.02)
    return value


def run_command(*command, seconds=20):
    """Runs it to its end, which must be a good one; returns what it printed."""
    try:
        result = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, errors="replace", timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{command[0]}: {error}") from error
    expect(result.returncode == 0, f"{' '.join(map(str, command))}: exit code {result.returncode}\n{result.stdout[-3000:]}")
    return result.stdout


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Process:
    """A process with its output in a file."""

    def __init__(self, lab, name, command, **options):
        self.log = lab.folder / f"{name}.log"
        with open(self.log, "wb") as out:
            try:
                self.popen = subprocess.Popen([str(c) for c in command], cwd=lab.folder, stdin=subprocess.DEVNULL, stdout=out,
                                              stderr=subprocess.STDOUT, preexec_fn=die_with_parent, **options)
            except FileNotFoundError as missing:
                raise Failed(f"{command[0]} is not there; ./tests/run installs and builds what the cases need") from missing
        self.pid = self.popen.pid

    def output(self):
        return self.log.read_text(errors="replace")

    def end(self, seconds=10):
        """SIGTERM, and SIGKILL if that does not help. Returns the exit code."""
        if self.popen.poll() is None:
            self.popen.terminate()
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            return None


class Server(Process):
    """The turnpike under test. Every case that starts one ends with the checks of `check`."""

    def __init__(self, lab, config=CONFIG, ready=("127.0.0.1", 3478), name="turnpike", **options):
        command = [lab.daemon]
        self.config = lab.folder / f"{name}.yaml"
        if config is not None:
            self.config.write_text(config)
            command += ["--config", self.config]
        super().__init__(lab, name, command, **options)
        self.wait_ready(ready)

    def wait_ready(self, address):
        client = stun.Client(address)

        def answered():
            expect(self.popen.poll() is None, f"the server ended with {self.popen.returncode}:\n{self.output()}")
            try:
                return client.exchange(stun.build(stun.REQUEST, stun.BINDING), tries=1, seconds=0.1)
            except ConnectionError:
                return None
        until(answered, 20, lambda: f"the server answers nothing:\n{self.output()}")
        client.close()

    def counters(self):
        """{name: {labels: value}} of a fresh dump."""
        before = len(self.output())
        self.popen.send_signal(signal.SIGUSR1)
        last = "turnpike_log_lost_total"

        def dumped():
            text = self.output()[before:]
            return text if last in text and "turnpike_packets_dropped_total" in text else None
        text = until(dumped, 5, "no counters after SIGUSR1")
        time.sleep(0.1)
        values = {}
        for name, labels, value in COUNTER.findall(self.output()[before:] or text):
            values.setdefault(name, {})[labels] = float(value) if "." in value else int(value)
        return values

    def refusals(self):
        """What was refused or dropped so far, by reason: "family{reason}" and how often, without what never happened."""
        families = ("turnpike_requests_refused_total", "turnpike_packets_dropped_total", "turnpike_ratelimit_hits_total")
        values = self.counters()
        return {f"{family}{{{labels}}}": value for family in families for labels, value in values.get(family, {}).items()
                if value}

    def dropped(self, reason):
        return self.counters()["turnpike_packets_dropped_total"].get(f'reason="{reason}"', 0)

    def check_balance(self):
        """received = relayed + consumed + dropped, over both legs."""
        def imbalance():
            values = self.counters()
            packets = values["turnpike_packets_total"]
            received = packets['leg="client",direction="in"'] + packets['leg="peer",direction="in"']
            relayed = packets['leg="client",direction="out"'] + packets['leg="peer",direction="out"']
            consumed = sum(values["turnpike_packets_consumed_total"].values())
            dropped = values["turnpike_packets_dropped_total"]
            text = f"received {received} = relayed {relayed} + consumed {consumed} + dropped {dropped}"
            return received > 0 and received - relayed - consumed - sum(dropped.values()), text
        for _ in range(5):
            difference, text = imbalance()
            if difference == 0 and difference is not False:
                return
            time.sleep(0.3)
        raise Failed(f"counters do not add up ({difference}): {text}")

    def connections(self):
        """(accepted, open, {reason: closed}) of TCP and TLS."""
        values = self.counters()
        accepted, active = (sum(values[f"turnpike_connections_{what}"].values()) for what in ("total", "active"))
        closed = {label[len('reason="'):-1]: count for label, count in values["turnpike_connections_closed_total"].items() if count}
        return accepted, active, closed

    def check_connections(self):
        """Every connection is open, or was closed for one reason."""
        accepted, active, closed = self.connections()
        expect(accepted == active + sum(closed.values()), f"accepted {accepted}, open {active}, closed {closed}")

    def check(self):
        expect(self.popen.poll() is None, f"the server ended with {self.popen.returncode}")
        self.check_balance()
        self.check_connections()
        code = self.end()
        expect(code == 0, f"exit code {code} after SIGTERM")
        expect(not SANITIZER.search(self.output()), "a sanitizer's report")

    def open_files(self):
        return {int(p.name) for p in pathlib.Path(f"/proc/{self.pid}/fd").iterdir()}

    def limit_files(self, limit):
        hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (limit, hard))

    def reload(self):
        """SIGHUP, and what the server says about it."""
        before = len(self.output())
        self.popen.send_signal(signal.SIGHUP)
        return until(lambda: self.output()[before:] if "reload" in self.output()[before:].lower() else None, 5,
                     "nothing is logged about SIGHUP")


class Coturn(Server):
    """Debian's turnserver with the same users, to prove the cases themselves."""

    def __init__(self, lab, _config=None, **_options):
        command = ["turnserver", "--no-cli", "-n", "-L", "127.0.0.1", "-L", "::1", "--allow-loopback-peers", "--lt-cred-mech",
                   "-r", REALM, "--log-file", "stdout", "--simple-log", "-m", "2", "--no-tls", "--no-dtls", "--pidfile",
                   lab.folder / "turnserver.pid"]
        rest = ["--use-auth-secret", "--static-auth-secret", SECRET]
        user = ["-u", f"{USER}:{PASSWORD}"]
        Process.__init__(self, lab, "turnserver", command + (rest if lab.rest else user))
        self.wait_ready(("127.0.0.1", 3478))

    def refusals(self):
        return {}

    def check(self):
        self.end()


class Lab:
    """Folder, processes and servers of one case."""

    def __init__(self, daemon, server, name):
        self.daemon, self.kind, self.rest = daemon, server, "rest" in name
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.open()

    def open(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="turnpike-interop-")
        self.folder = pathlib.Path(self.temporary.name)
        self.processes, self.clients = [], []

    def renew(self):
        """Ends everything and begins anew, with nothing left of what was."""
        self.close()
        self.open()

    def start(self, kind, *arguments, **options):
        process = kind(self, *arguments, **options)
        self.processes.append(process)
        return process

    def server(self, *arguments, **options):
        return self.start(Coturn if self.kind == "coturn" else Server, *arguments, **options)

    def peer(self):
        self.start(Process, "peer", ["turnutils_peer", "-L", "127.0.0.1", "-L", "::1", "-p", PEER_PORT])
        for family in ("/proc/net/udp", "/proc/net/udp6"):
            until(lambda f=family: f":{PEER_PORT:04X} " in pathlib.Path(f).read_text(), 5, "turnutils_peer does not listen")

    def client(self, server=("127.0.0.1", 3478), kind=stun.Client, **options):
        client = kind(server, **options)
        self.clients.append(client)
        return client

    def close(self):
        for client in self.clients:
            client.close()
        for process in reversed(self.processes):
            process.end()
        self.remove_folder()

    def remove_folder(self):
        """A browser's last processes may still be writing their profile."""
        deadline = time.monotonic() + 5
        while True:
            try:
                return self.temporary.cleanup()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def logs(self):
        for process in self.processes:
            lines = process.output().splitlines()[-40:]
            if isinstance(process, Server):
                yield f"--- {process.log.name}: refused and dropped"
                yield from what_was_refused(process)
            yield f"--- {process.log.name} (last lines)"
            yield from lines


def what_was_refused(server):
    """Lines for the report of a failure, whatever state the server is in."""
    if server.popen.poll() is not None:
        return [f"not known: it ended with {server.popen.returncode}"]
    try:
        return [f"{name} {value}" for name, value in server.refusals().items()] or ["nothing"]
    except Failed as failure:
        return [f"not known: {failure}"]


def listening_peer(ip="127.0.0.1"):
    """A socket of a peer: (socket, port)."""
    peer = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind((ip, 0))
    peer.settimeout(2)
    return peer, peer.getsockname()[1]

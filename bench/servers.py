"""The servers of a comparison: how each is started, found to answer, and ended by its own process id."""
import ctypes
import json
import pathlib
import resource
import shlex
import signal
import subprocess
import time

import network

USER, PASSWORD, REALM = "bench", "bench", "bench"
PORTS = (20000, 65535)
FILES = 20000  # descriptors a process may have, if the hard limit allows
READY_S, END_S = 10, 5

# Nothing is limited, the guesses of the flood with wrong passwords neither: what an answer costs is to be measured.
CONFIG = """\
realm: {realm}
public_ip: ["{relay}"]
workers: 1
listen: [{{ proto: {transport}, addr: "{listen}", port: {port} }}]
{tls}relay:
  ports: {first}-{last}
  allow_peers: ["{peers}"]
auth:
  users: [{{ name: {user}, password: {password} }}]
limits:
  unauthenticated_per_address: unlimited
  unauthenticated_per_prefix: unlimited
  unauthenticated_per_network: unlimited
  guesses_per_source: unlimited
  guesses_per_prefix: unlimited
  guesses_per_network: unlimited
  guesses_per_user: unlimited
log: {{ level: warn }}
"""
CONFIG_TLS = """\
tls: {{ cert: {cert}, key: {key} }}
"""
COTURN = """\
turnserver -n {only} --no-cli --no-rfc5780 --lt-cred-mech -u {user}:{password} -r {realm} -L {listen} -E {relay}
-m 1 --min-port {first} --max-port {last} --allow-loopback-peers --userdb {folder}/turndb --pidfile {folder}/coturn.pid
--log-file {folder}/coturn.log --simple-log --no-stdout-log
"""
# Over UDP as ever: with a TCP listener that nobody uses. The port of the plain listeners lies aside where TLS is measured.
COTURN_ONLY = {
    "udp": "--no-tls --no-dtls -p {port}",
    "tcp": "--no-tls --no-dtls --no-udp -p {port}",
    "tls": "--no-udp --no-tcp --no-dtls -p {other_port} --tls-listening-port {port} --cert {cert} --pkey {key}",
    "dtls": "--no-udp --no-tcp --no-tls -p {other_port} --tls-listening-port {port} --cert {cert} --pkey {key}",
}


class Failed(Exception):
    pass


def make_certificate(cert, key):
    """Of a P-256 key, for TLS and DTLS; good for the run."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=turnpike-bench", "-keyout", key, "-out", cert], check=True, stdin=subprocess.DEVNULL,
                   capture_output=True)


def dies_with_parent():
    """Runs in the child: it ends when the comparison is killed, and may open as many files as is allowed."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


def end(process):
    """Ends a process that we started, and waits for it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Kind:
    """One server under test: a name, a command line with {places}, and over what it may be asked to serve."""

    def __init__(self, name, command, transports=tuple(COTURN_ONLY)):
        self.name, self.command, self.transports = name, command, transports

    def arguments(self, place, folder, transport):
        """The command line for clients over this transport alone."""
        files = {"cert": f"{folder}/cert.pem", "key": f"{folder}/key.pem"}
        if transport in ("tls", "dtls") and not pathlib.Path(files["cert"]).exists():
            make_certificate(**files)
        values = {"listen": place.listen, "relay": place.relay, "peers": place.peers, "port": network.PORT, "user": USER,
                  "password": PASSWORD, "realm": REALM, "first": PORTS[0], "last": PORTS[1], "folder": folder,
                  "transport": transport, "other_port": network.PORT + 10, **files}
        values["only"] = COTURN_ONLY[transport].format(**values)
        values["tls"] = CONFIG_TLS.format(**values) if transport in ("tls", "dtls") else ""
        (pathlib.Path(folder) / "turnpike.yaml").write_text(CONFIG.format(**values))
        return shlex.split(self.command.format(**values))


def builtin(build):
    """The servers that need no command line."""
    return {
        "turnpike": Kind("turnpike", f"{shlex.quote(str(build / 'daemon/turnpike'))} --config {{folder}}/turnpike.yaml"),
        "coturn": Kind("coturn", COTURN),
        "floor": Kind("floor", f"{shlex.quote(str(build / 'bench/turnpike-floor'))} --i-am-a-benchmark {{listen}} {{port}} "
                               "{relay} {user} {password}", ("udp",)),
    }


class Server:
    """A running server; use as a context."""

    def __init__(self, kind, lab, transport="udp"):
        self.kind, self.lab, self.transport = kind, lab, transport
        self.log = open(f"{lab.folder}/{kind.name}.out", "w+", encoding="utf-8", errors="replace")
        command = ["taskset", "-c", str(lab.server_cpu), *kind.arguments(lab.place, lab.folder, transport)]
        self.process = subprocess.Popen(lab.place.inside("relay", command), stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT, preexec_fn=dies_with_parent)
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.__exit__()
            raise

    def wait_until_it_answers(self):
        deadline = time.monotonic() + READY_S
        seconds = 0.05
        while time.monotonic() < deadline and self.process.poll() is None:
            result = self.lab.generate(self, ["binding", "--window", "1", "--seconds", f"{seconds:.2f}", "--warmup", "0.05"])
            if result and result["completed"] > 0:
                return
            time.sleep(0.05)
            seconds = min(1.5 * seconds, 1)  # under a profiler a handshake takes its time
        self.log.seek(0)
        raise Failed(f"{self.kind.name} does not answer over {self.transport}; it said:\n{self.log.read()[-2000:].strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)
        self.log.close()


class Lab:
    """What every run needs: the place, the cores, the generator."""

    def __init__(self, place, build, folder, cores):
        self.place, self.folder = place, folder
        self.generator = str(build / "bench/turnpike-bench")
        self.generator_cpu, self.server_cpu = cores
        self.recorder = None  # perf command to run beside a row in place of counting system calls
        self.calls_a_second = None  # system calls of the server, of the last run that was watched
        self.said = []

    def generate(self, server, arguments, watch_for=0, when_ready=None):
        """Runs one row; its result, or None. With watch_for, perf looks at the server for so many seconds meanwhile; `when_ready` is
        called when the sessions stand and nothing has been sent yet."""
        place = self.place
        command = ["taskset", "-c", str(self.generator_cpu), self.generator, *arguments, "--server",
                   f"{place.listen}:{network.PORT}", "--user", USER, "--password", PASSWORD, "--clients", place.clients,
                   "--peer", place.peer, "--pid", str(server.process.pid), "--server-cpu", str(self.server_cpu),
                   "--label", server.kind.name, "--transport", server.transport]
        if place.peer_netns:
            command += ["--peer-netns", place.peer_netns]
        command += ["--wait"] if when_ready else []
        process = subprocess.Popen(place.inside("client", command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, preexec_fn=dies_with_parent)
        try:
            if when_ready and self.wait_for(process, "ready\n"):
                when_ready()
                process.stdin.write("go\n")
                process.stdin.flush()
            self.calls_a_second = self.watch(server, process, watch_for) if watch_for else None
            out, said = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            out, said = "", "the generator hangs"
        finally:
            end(process)
        self.said = said.strip().splitlines()[-1:]
        return json.loads(out) if process.returncode == 0 else None

    @staticmethod
    def wait_for(generator, word):
        """Reads what it says until it says this; false: it has ended."""
        while (line := generator.stderr.readline()) not in (word, ""):
            pass
        return line == word

    def watch(self, server, generator, seconds):
        """From the moment the generator says that it measures. System calls a second; None where perf cannot count them."""
        self.wait_for(generator, "measuring\n")
        command = self.recorder or ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter"]
        try:
            result = subprocess.run([*command, "-p", str(server.process.pid), "--", "sleep", str(seconds)], check=False,
                                    stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + 20)
            return int(result.stderr.strip().splitlines()[-1].split(",")[0]) / seconds
        except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
            return None

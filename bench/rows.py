"""The rows of the benchmark, and what makes a run of one void."""
import dataclasses

PACED_BUSY_PERCENT = 80  # a busier generator measures itself
OTHERS_PERCENT = 15  # of a core, used meanwhile by what is neither server nor generator
LATE_PERCENT = 10  # packets that the generator could not send in time arrive in batches, and batches cost less
SATURATED_BUSY_PERCENT = 95  # a server with time left is not saturated
RESUMED_PERCENT = 99  # of the connections of a row that is about resuming
DIRECTIONS = (("to-peer", ()), ("to-client", ("--to-client",)))


@dataclasses.dataclass
class Row:
    group: str  # what --rows names
    name: str
    arguments: tuple
    saturated: bool = False
    closed_loop: bool = False  # set-up: as fast as the server answers, whoever is the slower
    cost: str = "cpu_ns"  # what is compared
    unit: str = "packet"
    transport: str = "udp"  # between clients and server
    resumes: bool = False  # each connection resumes the session of the one before it

    @property
    def is_memory(self):
        return self.cost == "rss_each"

    @property
    def measure(self):
        return "B" if self.is_memory else "ns"

    @property
    def counts_calls(self):
        """System calls can be told for each of what the row does."""
        return self.group != "flood" and not self.is_memory

    def disturbed(self, result):
        return not self.is_memory and result["others_percent"] > OTHERS_PERCENT

    def void_transactions(self, result):
        if result["failed"] or not result["completed"]:
            return f"{result['failed']:.0f} transactions failed"
        if self.resumes and 100 * result["resumed"] < RESUMED_PERCENT * result["established"]:
            return f"{result['resumed']:.0f} of {result['established']:.0f} connections resumed a session"
        return None

    def void(self, result):
        """Why this result counts for nothing, or None."""
        if result is None:
            return "no result"
        if self.disturbed(result):
            return f"others used {result['others_percent']:.0f} % of a core"
        if self.is_memory:
            return f"{result['connections_ended']:.0f} connections ended" if result["connections_ended"] else None
        if self.closed_loop:
            return self.void_transactions(result)
        if not result["received"]:
            return "nothing came through"
        if self.saturated and result["server_busy_percent"] < SATURATED_BUSY_PERCENT:
            return f"server only {result['server_busy_percent']:.0f} % busy"
        if not self.saturated and result["generator_busy_percent"] > PACED_BUSY_PERCENT:
            return f"generator {result['generator_busy_percent']:.0f} % busy"
        if not self.saturated and result["late_percent"] > LATE_PERCENT:
            return f"{result['late_percent']:.0f} % sent late"
        return None


def audio():
    for allocations in (200, 2000):
        for direction, flags in DIRECTIONS:
            yield Row("audio", f"audio {allocations} {direction}", ("media", "--allocations", str(allocations), *flags))


def video():
    for burst in (1, 4, 8):
        for coalesced in ((), ("--coalesced",)) if burst > 1 else ((),):
            for direction, flags in DIRECTIONS:
                name = f"video burst {burst}{' coalesced' if coalesced else ''} {direction}"
                yield Row("video", name, ("media", "--allocations", "50", "--size", "1200", "--burst", str(burst), *coalesced,
                                          *flags))


def saturation():
    for size in (160, 1200):
        for direction, flags in DIRECTIONS:
            yield Row("saturation", f"saturation {size} B {direction}", ("media", "--pps", "0", "--size", str(size), *flags),
                      saturated=True)


def indications():
    for direction, flags in DIRECTIONS:
        yield Row("indications", f"indications {direction}", ("media", "--indications", *flags))


def setup():
    yield Row("setup", "set-up", ("setup", "--window", "32"), closed_loop=True, unit="session")
    yield Row("setup", "binding", ("binding", "--window", "32"), closed_loop=True, unit="transaction")


def idle():
    for allocations in (1000, 5000, 10000):
        yield Row("idle", f"idle {allocations}", ("idle", "--allocations", str(allocations)))


def flood():
    for kind in ("malformed", "unauthenticated", "wrong-password"):
        yield Row("flood", f"flood {kind}", ("flood", "--flood", kind, "--pps", "5000"), cost="refused_ns", unit="refusal")


def streams():
    """Audio over every other transport. A client costs more there than over UDP, so that it takes bursts to saturate a server."""
    for transport in ("tcp", "tls", "dtls"):
        for direction, flags in DIRECTIONS:
            yield Row("streams", f"audio {transport} {direction}", ("media", *flags), transport=transport)
    for transport in ("tcp", "tls"):
        for direction, flags in DIRECTIONS:
            yield Row("streams", f"saturation {transport} {direction}",
                      ("media", "--pps", "0", "--allocations", "16", "--burst", "8", "--window", "256", *flags), saturated=True,
                      transport=transport)


def handshakes():
    for name, transport, flags in (("tls full", "tls", ()), ("tls resumed", "tls", ("--resume",)), ("dtls full", "dtls", ())):
        yield Row("handshakes", f"handshake {name}", ("binding", "--window", "32", *flags), closed_loop=True, unit="handshake",
                  transport=transport, resumes=bool(flags))


def connections():
    yield Row("connections", "idle tls 1000", ("connections", "--allocations", "1000"), cost="rss_each", unit="idle connection",
              transport="tls")


GROUPS = {f.__name__: f for f in (audio, video, saturation, indications, setup, idle, flood, streams, handshakes, connections)}


def of(names):
    return [row for name in names for row in GROUPS[name]()]

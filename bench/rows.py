"""The rows of the benchmark, and what makes a run of one void."""
import dataclasses

PACED_BUSY_PERCENT = 80  # a busier generator measures itself
OTHERS_PERCENT = 15  # of a core, used meanwhile by what is neither server nor generator
LATE_PERCENT = 10  # packets that the generator could not send in time arrive in batches, and batches cost less
SATURATED_BUSY_PERCENT = 95  # a server with time left is not saturated
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

    def disturbed(self, result):
        return result["others_percent"] > OTHERS_PERCENT

    def void(self, result):
        """Why this result counts for nothing, or None."""
        if result is None:
            return "no result"
        if self.disturbed(result):
            return f"others used {result['others_percent']:.0f} % of a core"
        if self.closed_loop:
            return f"{result['failed']:.0f} transactions failed" if result["failed"] or not result["completed"] else None
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


GROUPS = {f.__name__: f for f in (audio, video, saturation, indications, setup, idle, flood)}


def of(names):
    return [row for name in names for row in GROUPS[name]()]

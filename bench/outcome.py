"""Medians, spreads and ratios of a comparison, and how they are printed."""
import statistics

MEDIANS = ("user_ns", "turns", "loss_percent", "latency_p50_us", "latency_p99_us", "latency_p999_us", "rss_each", "slab_each",
           "rss_after", "per_second", "received_per_second", "duration_p50_us", "duration_p99_us", "answered", "flooded",
           "generator_busy_percent", "server_busy_percent", "quiet_latency_p50_us", "quiet_latency_p99_us")


class Cell:
    """One server in one row: the runs that count, and why others do not."""

    def __init__(self):
        self.runs, self.void, self.calls, self.skipped = [], [], None, None

    def summary(self, row):
        out = {"runs": len(self.runs), "void": self.void}
        if self.skipped:
            out["skipped"] = self.skipped
        costs = [run[row.cost] for run in self.runs if row.cost in run]
        if costs:
            out.update(median=statistics.median(costs), least=min(costs), most=max(costs))
        for key in MEDIANS:
            values = [run[key] for run in self.runs if key in run]
            if values:
                out[key] = statistics.median(values)
        if self.calls is not None:
            out["calls"] = self.calls
        return out


def summarise(rows, cells, servers):
    """[{row, unit, measure, servers: {name: summary with ratios}}]"""
    table = []
    for row in rows:
        entry = {"row": row.name, "group": row.group, "unit": row.unit, "measure": row.measure, "saturated": row.saturated,
                 "servers": {name: cells[row.name, name].summary(row) for name in servers}}
        for reference in ("coturn", "floor"):
            base = entry["servers"].get(reference, {}).get("median")
            for name, summary in entry["servers"].items():
                if base and base > 0 and name != reference and "median" in summary:
                    summary[f"to_{reference}"] = summary["median"] / base
        table.append(entry)
    add_idle_slopes(table)
    return table


def add_idle_slopes(table):
    """Memory an allocation between the smallest and the largest idle row, and CPU against the smallest."""
    idle = [entry for entry in table if entry["group"] == "idle"]
    if len(idle) < 2:
        return
    small, large = idle[0], idle[-1]
    steps = int(large["row"].split()[-1]) - int(small["row"].split()[-1])
    for name, summary in large["servers"].items():
        first = small["servers"][name]
        if "rss_after" in summary and "rss_after" in first:
            summary["rss_slope"] = (summary["rss_after"] - first["rss_after"]) / steps
        if "median" in summary and first.get("median"):
            summary["to_smallest"] = summary["median"] / first["median"]


def number(summary, key, form="{:,.0f}"):
    return form.format(summary[key]) if key in summary else "-"


def times(summary):
    prefix = "latency" if "latency_p50_us" in summary else "duration"
    keys = [f"{prefix}_{p}_us" for p in ("p50", "p99", "p999")]
    return " / ".join(number(summary, key) for key in keys if key in summary) or "-"


def remarks(entry, summary):
    said = []
    if "skipped" in summary:
        return summary["skipped"]
    if entry["unit"] == "handshake" and summary.get("median"):
        said.append(f"{summary['median'] / 1000:,.0f} us, {1e9 / summary['median']:,.0f}/s and core")
    elif "per_second" in summary:
        said.append(f"{summary['per_second']:,.0f}/s")
    if entry["saturated"] and "received_per_second" in summary:
        said.append(f"{summary['received_per_second']:,.0f}/s")
    if entry["measure"] == "B" and "slab_each" in summary:
        said.append(f"and kernel {summary['slab_each']:,.0f} B each")
    if entry["group"] == "idle" and "rss_each" in summary:
        said.append(f"{summary['rss_each']:,.0f} B + kernel {summary['slab_each']:,.0f} B each")
    if "rss_slope" in summary:
        said.append(f"slope {summary['rss_slope']:,.0f} B")
    if "to_smallest" in summary:
        said.append(f"{summary['to_smallest']:.2f}x the smallest")
    if summary.get("flooded"):
        said.append(f"{100 * summary.get('answered', 0) / summary['flooded']:.0f} % answered")
        said.append(f"p99 before {number(summary, 'quiet_latency_p99_us')}")
    if summary["void"]:
        said.append(f"{len(summary['void'])} void: {summary['void'][-1]}")
    return ", ".join(said)


HEADER = ("", "CPU ns", "spread", "/coturn", "/floor", "user", "calls", "loss %", "p50 / p99 / p99.9 us", "")


def title(entry):
    unit = entry["unit"]
    return f"bytes an {unit}" if entry["measure"] == "B" else f"a {unit}"


def lines(table):
    """The table as text, one line a server and row; Markdown that is legible as it stands."""
    rows = [HEADER]
    for entry in table:
        rows.append((f"**{entry['row']}**, {title(entry)}",) + ("",) * (len(HEADER) - 1))
        for name, s in entry["servers"].items():
            spread = f"{number(s, 'least')}-{number(s, 'most')}"
            rows.append((name, number(s, "median"), spread, number(s, "to_coturn", "{:.2f}"), number(s, "to_floor", "{:.2f}"),
                         number(s, "user_ns"), number(s, "calls", "{:.2f}"), number(s, "loss_percent", "{:.2f}"), times(s),
                         remarks(entry, s)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    out = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    out.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return out

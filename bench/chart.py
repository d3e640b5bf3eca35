"""The comparison as a picture: one group of bars a row, one bar a server, a line for the spread. SVG without help."""
import textwrap
from xml.sax.saxutils import escape

COLOURS = ("#1f6f8b", "#d08a2e", "#8a8f98", "#6b4c9a", "#3d8b4f")
LEFT, PLOT, RIGHT, BAR, GAP, TOP = 250, 560, 150, 15, 14, 88
FONT = 'font-family="system-ui, sans-serif"'


def ticks(most):
    """Round steps, five or so."""
    step = 1
    while most / step > 6:
        step *= 5 if str(step)[0] == "1" else 2
    return range(0, int(most) + step, step)


def bar(y, colour, name, summary, scale):
    median, least, most = (summary[k] for k in ("median", "least", "most"))
    start = LEFT + scale(max(least, 0))
    ratio = f" ({summary['to_coturn']:.2f}× coturn)" if "to_coturn" in summary else ""
    middle = y + BAR / 2
    return [
        f'<rect x="{LEFT}" y="{y}" width="{max(scale(max(median, 0)), 1):.1f}" height="{BAR - 2}" fill="{colour}">'
        f"<title>{escape(name)}: {median:,.0f}, {least:,.0f} to {most:,.0f}</title></rect>",
        f'<path d="M{start:.1f} {middle - 1}H{LEFT + scale(max(most, 0)):.1f}" stroke="#222" stroke-width="1.5"/>',
        f'<text x="{LEFT + scale(max(most, median, 0)) + 6:.1f}" y="{y + 11}" font-size="11" {FONT} fill="#222">'
        f"{median:,.0f}{escape(ratio)}</text>",
    ]


def group(y, entry, colours, axis):
    """The bars of one row; and where the next row begins."""
    out = [f'<text x="{LEFT - 8}" y="{y + 11}" font-size="12" text-anchor="end" {FONT} fill="#222">{escape(entry["row"])}</text>']

    def scale(value):
        return value / axis * PLOT

    for name, summary in entry["servers"].items():
        if "skipped" in summary:
            continue
        if "median" in summary:
            out += bar(y, colours[name], f"{name}, {entry['measure']}", summary, scale)
        else:
            why = "void" if summary["void"] else "not measured"
            out.append(f'<text x="{LEFT + 4}" y="{y + 11}" font-size="11" {FONT} fill="#888">{escape(name)}: {why}</text>')
        y += BAR
    return out, y + GAP


def panel(y, title, entries, colours):
    """Rows of one magnitude on one axis."""
    most = max((s.get("most", 0) for entry in entries for s in entry["servers"].values()), default=0) or 1
    marks = ticks(most)
    out = [f'<text x="{LEFT}" y="{y}" font-size="13" font-weight="600" {FONT} fill="#222">{escape(title)}</text>']
    y += 24
    first = y
    bars = []
    for entry in entries:
        more, y = group(y, entry, colours, marks[-1])
        bars += more
    for mark in marks:
        x = LEFT + mark / marks[-1] * PLOT
        out.append(f'<path d="M{x:.1f} {first - 4}V{y - GAP + 2}" stroke="#ddd"/>')
        out.append(f'<text x="{x:.1f}" y="{first - 8}" font-size="10" text-anchor="middle" {FONT} fill="#666">{mark:,}</text>')
    return out + bars, y + 20


def draw(table, servers, title, subtitle):
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(servers)}
    panels = (("CPU a relayed packet, ns", [e for e in table if e["unit"] == "packet"]),
              ("CPU a session or transaction, ns", [e for e in table if e["unit"] in ("session", "transaction")]),
              ("CPU a handshake, ns", [e for e in table if e["unit"] == "handshake"]),
              ("CPU a refused request, ns", [e for e in table if e["unit"] == "refusal"]),
              ("Memory of the server an idle connection, bytes", [e for e in table if e["measure"] == "B"]))
    body, y = [], TOP + 30
    for name, entries in panels:
        if entries:
            more, y = panel(y, name, entries, colours)
            body += more
    width = LEFT + PLOT + RIGHT
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}">',
            f'<rect width="{width}" height="{y}" fill="#fff"/>',
            f'<text x="16" y="26" font-size="17" font-weight="600" {FONT} fill="#111">{escape(title)}</text>',
            *(f'<text x="16" y="{44 + 14 * i}" font-size="11" {FONT} fill="#555">{escape(line)}</text>'
              for i, line in enumerate(textwrap.wrap(subtitle, 150)[:3]))]
    for i, name in enumerate(servers):
        x = 16 + 130 * i
        head.append(f'<rect x="{x}" y="{TOP - 2}" width="12" height="12" fill="{colours[name]}"/>')
        head.append(f'<text x="{x + 18}" y="{TOP + 8}" font-size="12" {FONT} fill="#222">{escape(name)}</text>')
    return "\n".join([*head, *body, "</svg>", ""])

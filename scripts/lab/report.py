"""What the bench tells: a table on the terminal, JSON, and a page of HTML that needs nothing else."""

import html
import json
import math
import os
import pathlib
import platform
import re
import subprocess

LINE = "{:<13} {:<8} {:>9} {:>5} {:>16} {:>16} {:>16} {:>6} {:>7}"
COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#34495e")
STEP_COLOURS = ("#b0b0b0", "#d68910", "#1b6ca8", "#c0392b", "#8e44ad", "#2e8b57", "#34495e", "#e0e0e0")
# Of its core that a worker has on a quiet machine.
LEAST_SHARE = 0.95
QUANTILES = (("p50", "p50_ns"), ("p99", "p99_ns"), ("p99.9", "p999_ns"))
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}.bad{color:#c0392b}.good{color:#2e8b57}
pre{background:#f5f5f5;padding:.6em;overflow-x:auto;font-size:12px}svg{margin:.5em 1em .5em 0}"""


def header():
    return LINE.format("scenario", "run", "flows", "size", "floor", "vrouter", "net", "reach", "Mpps")


def line(row):
    """A row of the table: medians with their spread, in cycles a packet."""
    if "failure" in row:
        return f"{row['scenario']:<13} {row['run']:<8} {row['flows']:>9} {row['size']:>5} FAILED: {row['failure']}"
    told = [row["scenario"], row["run"], row["flows"], row["size"]]
    if "latency" in row:
        figures = row["latency"]
        told += [f"{name} {row['floor_latency'][key] / 1000:.1f}/{figures[key] / 1000:.1f}us" for name, key in QUANTILES]
        return LINE.format(*told, "", f"{row['rate'] / 1e6:.2f}") + "  " + "; ".join(filter(None, ("latency of the floor / with forwarding", note(row))))
    reach = row.get("reach")
    return LINE.format(*told, *(spread(row[name]) for name in ("floor", "vrouter", "net")), "" if reach is None else f"{reach:g}", f"{row['mpps']:.2f}") + "  " + note(row)


def note(row):
    notes = []
    if ratio := row.get("ratio"):
        notes.append(f"{ratio['is']:.3f} of {ratio['to']} by {ratio['of']}{bounds(ratio)}")
    if rates := row.get("changes_per_second"):
        notes.append(f"{rates['median']:.0f} route changes a second, {row['decided_again'] / max(row['received'], 1):.0%} of packets decided again, {row['lost']} lost")
    if row.get("share", 1) < LEAST_SHARE:
        notes.append(f"the worker had {row['share']:.0%} of its core: others were at work")
    return "; ".join(notes)


def bounds(ratio):
    """What a ratio may be, in words."""
    told = "".join(f", {name} {ratio[key]}" for key, name in (("most", "at most"), ("least", "at least")) if ratio[key] is not None)
    return told and told + ("" if ratio["reached"] else ": NOT REACHED")


def ratios(rows):
    """A line for each ratio."""
    these = [row for row in rows if "ratio" in row]
    return [f"ratio of {row['ratio']['of']}: {title(row)} to {row['ratio']['to']}: {spread(row['ratio']['rounds'], 3)}{bounds(row['ratio'])}" for row in these]


def spread(figures, digits=0):
    return f"{figures['median']:.{digits}f} ({figures['least']:.{digits}f}-{figures['most']:.{digits}f})"


def machine():
    """What figures depend on."""
    cpu = pathlib.Path("/proc/cpuinfo").read_text()
    memory = pathlib.Path("/proc/meminfo").read_text()

    def asked(*command):
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        return done.stdout.strip()
    return {
        "cpu": re.search(r"model name\s*:\s*(.*)", cpu).group(1), "cores": os.cpu_count(),
        "tsc_mhz": float(re.search(r"bogomips\s*:\s*([\d.]+)", cpu).group(1)) / 2,
        "cache": re.search(r"cache size\s*:\s*(.*)", cpu).group(1),
        "memory_kib": int(re.search(r"MemTotal:\s*(\d+)", memory).group(1)),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "dpdk": asked("pkg-config", "--modversion", "libdpdk"), "rustc": asked("rustc", "--version"),
        "commit": asked("git", "-c", "safe.directory=*", "describe", "--always", "--dirty"), "load": os.getloadavg(),
    }


def write_json(path, report):
    pathlib.Path(path).write_text(json.dumps(report, indent=1) + "\n")


def write_html(path, report):
    rows = report["rows"]
    good = [row for row in rows if "failure" not in row]
    parts = [f"<!DOCTYPE html><html lang=en><meta charset=utf-8><title>vrouter: bench</title><style>{STYLE}</style><h1>vrouter: bench</h1>",
             "<p>Cycles of the time stamp counter a packet, by CPU time of the worker's thread: medians of the rounds, least and most in "
             "brackets. The floor is what moving the same frames between the same ports costs; net is what forwarding adds.</p>"]
    parts.append(section("Machine", table(("", ""), [(name, value) for name, value in report["machine"].items()])))
    for group, name in (("scenarios", "Scenarios"), ("rig", "Shared rig: a file again and again to a device that swallows")):
        these = [row for row in rows if row["group"] == group and "latency" not in row]
        if these:
            parts.append(section(name, figures(these) + plots([row for row in good if row["group"] == group])))
    if compared := [row for row in good if "ratio" in row]:
        parts.append(section("Ratios, each measured in the same turns", ratio_table(compared) + ratio_plot(compared)))
    paced = [row for row in good if "latency" in row]
    if paced:
        parts.append(section("Latency", latencies(paced)))
    if budget := report.get("budget"):
        parts.append(section("Instructions a packet, by step of its path", "<p>Counted by callgrind on one core, ports of the bench included; an "
                             "instruction counts to the step in whose file it is written, or which calls it.</p>" + steps_table(budget) + steps_plot(budget)))
    if searched := [row for row in good if row["group"] == "ndr"]:
        parts.append(section("Non-drop rate (RFC 2544, section 26.1)", non_drop(searched)))
    failed = [row for row in rows if row["group"] == "ndr" and "failure" in row]
    parts += [f"<p class=bad>{escape(title(row))}: {escape(row['failure'])}</p>" for row in failed]
    commands = "".join(f"<h3>{escape(title(row))}</h3><pre>{escape(chr(10).join(told(row)))}</pre>" for row in good)
    parts.append(section("Every command line", f"<pre>{escape(report['command'])}</pre><details><summary>by row</summary>{commands}</details>"))
    pathlib.Path(path).write_text("\n".join(parts) + "\n")


def steps_table(budget):
    steps = [step for step, _ in next(iter(budget.values()))]
    return table(("", "all", *steps), [(name, f"{sum(cost for _, cost in costs):.0f}", *(f"{cost:.0f}" for _, cost in costs)) for name, costs in budget.items()])


def steps_plot(budget, width=720, line=24):
    """A bar for each scenario, cut into steps. Bars of new flows are so long that each has a scale of its own."""
    left, right = 150, width - 10
    parts = [f'<svg width="{width}" height="{line * (len(budget) + 1) + 10}" font-size="11" role="img"><title>instructions by step</title>']
    for number, (name, costs) in enumerate(budget.items()):
        x, y, scale = left, number * line + 5, (right - left) / (sum(cost for _, cost in costs) or 1)
        parts.append(f'<text x="{left - 6}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        for colour, (step, cost) in zip(STEP_COLOURS, costs):
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{cost * scale:.1f}" height="{line - 6}" fill="{colour}"><title>{escape(step)} {cost:.0f}</title></rect>')
            x += cost * scale
    x, y = left, len(budget) * line + 18
    for colour, (step, _) in zip(STEP_COLOURS, next(iter(budget.values()))):
        parts.append(f'<rect x="{x}" y="{y - 9}" width="9" height="9" fill="{colour}"/><text x="{x + 12}" y="{y}">{escape(step)}</text>')
        x += 70
    return "".join([*parts, "</svg>"])


def non_drop(rows):
    """Rates, and each trial of the searches."""
    rates = [(title(row), row["generator"], f"{rate['loss']:.3%}", f"{rate['rate'] / 1e6:.3f}", len(rate["trials"]), f"{row['seconds']:g}",
              f"{row['precision'] * row['most'] / 1e6:.3f}") for row in rows for rate in row["rates"]]
    trials = [(title(row), f"{rate['loss']:.3%}", f"{trial['offered'] / 1e6:.3f}", trial["sent"], trial["lost"], "yes" if trial["passed"] else "no")
              for row in rows for rate in row["rates"] for trial in rate["trials"]]
    return (table(("", "generator", "loss", "Mpps", "trials", "seconds of a trial", "precision, Mpps"), rates)
            + "<details><summary>trials</summary>" + table(("", "loss", "Mpps offered", "sent", "lost", "passed"), trials) + "</details>")


def told(row):
    return [*row.get("commands", []), *(f"{name}: {devargs}" for name, devargs in row.get("devargs", {}).items())]


def title(row):
    return f"{row['scenario']} {row['run']}, {row['flows']} flows of {row['size']}"


def section(title, body):
    return f"<h2>{escape(title)}</h2>{body}"


def escape(text):
    return html.escape(str(text))


def table(head, rows):
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(cell if str(cell).startswith("<td") else f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{lines}</table>"


def figures(rows):
    def cells(row):
        if "failure" in row:
            return (row["scenario"], row["run"], row["flows"], row["size"], f"<td colspan=6 class=bad>{escape(row['failure'])}</td>")
        reach, net = row.get("reach"), row["net"]["median"]
        paint = "" if reach is None else f" class={'good' if net <= reach else 'bad'}"
        others = [spread(row["peers"][name]) for name in sorted(row.get("peers", {}))]
        return (row["scenario"], row["run"], row["flows"], row["size"], spread(row["floor"]), spread(row["vrouter"]),
                f"<td{paint}>{escape(spread(row['net']))}</td>", "" if reach is None else reach, f"{row['mpps']:.2f}", note(row), *others)
    peers = sorted({name for row in rows for name in row.get("peers", {})})
    return table(("scenario", "run", "flows", "size", "floor", "vrouter", "net", "reach", "Mpps", "", *peers), map(cells, rows))


def ratio_table(rows):
    def cells(row):
        ratio = row["ratio"]
        bound = bounds(ratio).strip(", ")
        paint = "" if not bound else f" class={'good' if ratio['reached'] else 'bad'}"
        return (title(row), ratio["to"], ratio["of"], f"<td{paint}>{escape(spread(ratio['rounds'], 3))}</td>", bound)
    return table(("", "to", "by", "ratio", "may be"), map(cells, rows))


def ratio_plot(rows, width=640, line=22):
    """A bar for each ratio, with what it may be as a stroke."""
    left, most = 320, max(max(row["ratio"]["is"], row["ratio"]["most"] or 0, row["ratio"]["least"] or 0) for row in rows) * 1.05
    scale = (width - left - 60) / most
    parts = [f'<svg width="{width}" height="{line * len(rows) + 10}" font-size="11" role="img"><title>ratios</title>']
    for number, row in enumerate(rows):
        ratio, y = row["ratio"], number * line + 5
        colour = COLOURS[2] if ratio["reached"] else COLOURS[1]
        parts.append(f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{escape(title(row))}</text>'
                     f'<rect x="{left}" y="{y}" width="{ratio["is"] * scale:.1f}" height="{line - 8}" fill="{colour}"/>'
                     f'<text x="{left + ratio["is"] * scale + 5:.1f}" y="{y + 12}">{ratio["is"]:.2f}</text>')
        for bound in (ratio["most"], ratio["least"]):
            if bound is not None:
                parts.append(f'<path d="M{left + bound * scale:.1f} {y - 3}V{y + line - 5}" stroke="#222" stroke-width="2"/>')
    return "".join([*parts, "</svg>"])


def latencies(rows):
    """Of the daemon and of its floor, in one table."""
    names = [key for _, key in QUANTILES] + ["longest_ns"]
    cells = [(title(row) + who, f"{row['rate'] / 1e6:.3f}", *(f"{row[which][name] / 1000:.1f}" for name in names))
             for row in rows for who, which in (("", "latency"), (": floor", "floor_latency"))]
    return f"<p>{escape(rows[0]['policy'])}.</p>" + table(("", "Mpps offered", "p50 us", "p99 us", "p99.9 us", "longest us"), cells)


def plots(rows):
    """Net cycles over flows, a plot for each scenario; what is to be reached is dashed."""
    drawn = []
    for scenario in dict.fromkeys(row["scenario"] for row in rows):
        lines = {}
        for row in rows:
            if row["scenario"] == scenario and isinstance(row["flows"], int) and "latency" not in row:
                lines.setdefault(f"{row['run']} {row['size']}", []).append((row["flows"], row["net"], row.get("reach")))
        lines = {name: sorted(points, key=lambda point: point[0]) for name, points in lines.items() if len(points) > 1}
        if lines:
            drawn.append(plot(scenario, lines))
    return "".join(drawn)


def plot(name, lines, width=460, height=260):
    """An SVG with flows on a logarithmic axis."""
    left, bottom, top = 50, height - 30, 30
    flows = sorted({point[0] for points in lines.values() for point in points})
    low, high = math.log10(flows[0]), math.log10(flows[-1])
    most = max(max(net["most"], reach or 0) for points in lines.values() for _, net, reach in points) * 1.1 or 1

    def x(count):
        return left + (math.log10(count) - low) / (high - low) * (width - left - 110)

    def y(cycles):
        return bottom - max(cycles, 0) / most * (bottom - top)
    parts = [f'<svg width="{width}" height="{height}" font-size="11" role="img"><title>{escape(name)}</title>'
             f'<text x="{left}" y="16" font-size="13">{escape(name)}: net cycles a packet over flows</text>'
             f'<path d="M{left} {top}V{bottom}H{width - 110}" fill="none" stroke="#888"/>']
    parts += [f'<text x="{x(count):.0f}" y="{bottom + 16}" text-anchor="middle">{count:,}</text>' for count in flows]
    parts += [f'<text x="{left - 6}" y="{y(most * part / 4) + 4:.0f}" text-anchor="end">{most * part / 4:.0f}</text>' for part in range(5)]
    for number, (run, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x(count):.1f},{y(net['median']):.1f}" for count, net, _ in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<path d="M{x(count):.1f} {y(net["least"]):.1f}V{y(net["most"]):.1f}" stroke="{colour}"/>' for count, net, _ in points]
        reach = [f"{x(count):.1f},{y(goal):.1f}" for count, _, goal in points if goal is not None]
        parts.append(f'<polyline points="{" ".join(reach)}" fill="none" stroke="{colour}" stroke-dasharray="4"/>')
        parts.append(f'<text x="{width - 104}" y="{top + 14 * number + 10}" fill="{colour}">{escape(run)}</text>')
    return "".join([*parts, "</svg>"])

"""Medians, spread and ratios of what was run in turn, and tables of them in Markdown."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from speed.process import Run
from speed.rows import Row

Record = dict[str, Any]


def spread(values: Sequence[float]) -> Record:
    """Return `median`, `low`, `high` and all values, in their order."""
    return {"median": median(values), "low": min(values), "high": max(values), "all": list(values)}


def spread_each(records: Sequence[Mapping[str, float]]) -> Record:
    """Return the spread of each value of records that are alike, one of each round."""
    return {key: spread([r[key] for r in records]) for key in (records[0] if records else ())}


def row_figures(rows: Sequence[Row], runs: Mapping[str, Sequence[Run]]) -> list[Record]:
    """Return what the runs of each row give.

    A ratio is taken within a round, where the machine's speed has had little time to drift, and the median of
    those is given, rather than the ratio of medians.
    """
    speeds = {row.name: [r.said["frames"] / r.said["seconds"] for r in runs[row.name]] for row in rows}
    records = []
    for row in rows:
        each = runs[row.name]
        record: Record = {
            "name": row.name,
            "title": row.title,
            "size": [row.clip.width, row.clip.height],
            "frames": each[0].said["frames"],
            "fps": spread(speeds[row.name]),
            "cpu_ms": spread([1000 * r.said["cpu_seconds"] / r.said["frames"] for r in each]),
            "process_s": spread([r.wall_s for r in each]),
            "peak_mb": spread([r.peak_mb for r in each]),
        }
        if "copied_frames" in each[0].said:
            record["copied_frames"] = spread([r.said["copied_frames"] for r in each])
        if row.reference:
            pairs = zip(speeds[row.name], speeds[row.reference], strict=True)
            record["reference"] = row.reference
            record["ratio"] = spread([own / limit for own, limit in pairs])
        records.append(record)
    return records


def rows_table(records: Sequence[Record]) -> str:
    """Return the table of `row_figures`."""
    head = ("", "size", "frames/s", "of transcode only", "CPU ms a frame", "peak MB", "process s")
    body = [
        (
            r["title"],
            "×".join(map(str, r["size"])),
            _text(r["fps"]),
            _text(r["ratio"]) if "ratio" in r else "",
            _number(r["cpu_ms"]["median"]),
            f"{r['peak_mb']['median']:.0f}",
            f"{r['process_s']['median']:.1f}",
        )
        for r in records
    ]
    return table(head, body)


def stages_table(stages: Mapping[str, Record]) -> str:
    """Return the table of what each stage costs."""
    body = [(name, _text(cost)) for name, cost in stages.items()]
    body.append(("all", _number(sum(cost["median"] for cost in stages.values()))))
    return table(("stage", "CPU ms a frame"), body)


def server_table(servers: Sequence[Record]) -> str:
    """Return the table of the server's answers to pictures."""
    head = ("clients", "healthy after s", "pictures/s", "p50 ms", "p99 ms", "peak MB")
    keys = ("start_s", "per_second", "p50_ms", "p99_ms", "peak_mb")
    body = [(f"{s['clients']['median']:g}", *(_text(s[key]) for key in keys)) for s in servers]
    return table(head, body)


def memory_table(memory: Sequence[Record]) -> str:
    """Return the table of memory by a video's length, and how much more the longest takes than the first."""
    body = [(f"{m['minutes']:g}", str(m["frames"]), f"{m['peak_mb']:.0f}") for m in memory]
    body.append(("growth", "", f"{memory[-1]['peak_mb'] / memory[0]['peak_mb'] - 1:+.1%}"))
    return table(("minutes", "frames", "peak MB"), body)


def _text(figure: Record) -> str:
    """Write `median (low to high)`."""
    return f"{_number(figure['median'])} ({_number(figure['low'])} to {_number(figure['high'])})"


def _number(value: float) -> str:
    """Write three significant digits, whole numbers in full."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, all columns but the first to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *body))

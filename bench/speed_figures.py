"""Measure the speed of the whole job beside what bounds it, each runtime, the stages, the server, and peers.

python bench/speed_figures.py [CLIP] [--rounds 3] [--only PART ...]

Prints tables in Markdown and writes build/bench/speed.json; docs/explanation/performance.md says how to read
them. All rows work on the same clip, each in a process of its own, in turn, every other round backwards: a
machine whose speed drifts then slows down all of them alike. Nothing else should run meanwhile.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from pothole.entrypoints.cli.common import positive, seconds
from pothole.errors import PotholeError
from speed.clips import Clip, mixed, rendered, repeated
from speed.figures import memory_table, row_figures, rows_table, server_table, spread_each, stages_table
from speed.process import Failed, run
from speed.rows import ENVIRONMENT, PEERS, STAGE_FRAMES, Row, our_rows, peer_rows, smart_rows, work
from speed.serving import measure_server
from speed.steps import Steps

SIZES = ((720, 1280), (1080, 1920))
TIMES = 3  # that a rendered road is shown, one after the other
MARKED = (0, 10, 25, 100)  # percent of a road's GOPs
CLIENTS = (1, 4)
MINUTES = (1, 10)
PARTS = ("stages", "server", "memory")
PACKAGES = ("av", "keras", "numpy", "opencv-python-headless", "openvino", "tensorflow-cpu", "tensorflow")
console = Console(stderr=True)
Record = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path, nargs="?", help="a video (default: rendered, 720p and 1080p)")
    parser.add_argument("--rounds", type=positive, default=3, metavar="N", help="how often (default: 3)")
    parser.add_argument(
        "--seconds", type=seconds, default=10.0, metavar="S", help="of a rendered road (default: 10)"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="PART", help=f"names of rows, {', '.join(PARTS)} (default: all)"
    )
    parser.add_argument("--json", type=Path, default=Path("build", "bench", "speed.json"), metavar="FILE")
    parser.add_argument("--cache", type=Path, default=Path("build", "bench"), metavar="DIR")
    given = parser.parse_args(arguments)
    try:
        measured = measure(given)
    except (Failed, PotholeError, OSError) as exc:
        console.print(f"{exc}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(measured, indent=1) + "\n")
    print(tables(measured))
    console.print(f"All figures: {given.json}", highlight=False)
    return 0


def measure(given: argparse.Namespace) -> Record:
    """Measure everything that is asked for.

    Raises:
        Failed: Something fails that is not of a peer, or there is no part of a name.
        InvalidMedia: The clip is no video that can be read.
    """
    with console.status("Making the clips ..."):
        clip, *large = [Clip.of(given.clip.absolute())] if given.clip else roads(given)
        rows = our_rows(clip, large, given.cache.absolute())
        if not given.clip:
            rows += smart_rows(partly_marked(clip, given))
    peers, skipped = peer_rows(clip, given.cache.absolute())
    rows, parts = chosen([*rows, *peers], given.only)
    if given.only:
        skipped = {name: why for name, why in skipped.items() if name in given.only}
    measured: dict[str, list[Any]] = {name: [] for name in [*(row.name for row in rows), *parts]}
    prepared = [row for row in rows if row.first]
    in_a_round = sum(row.name not in skipped for row in rows) + bool({"stages", "server"} & set(parts))
    steps = Steps(len(prepared) + given.rounds * in_a_round, console)
    for row in prepared:
        with steps.step(f"preparing {row.title}"):
            run(row.first, ENVIRONMENT)
    for number in range(given.rounds):
        for row in [row for row in rows if row.name not in skipped][:: -1 if number % 2 else 1]:
            with steps.step(f"round {number + 1} of {given.rounds}, {row.title}"):
                try:
                    measured[row.name].append(run(row.command, ENVIRONMENT | row.environment))
                except Failed as exc:
                    if row.name not in PEERS:
                        raise
                    skipped[row.name] = str(exc)
        if not {"stages", "server"} & set(parts):
            continue
        with steps.step(f"round {number + 1} of {given.rounds}, stages and server"):
            if "stages" in parts:
                command = work("stages", clip.path, str(STAGE_FRAMES))
                measured["stages"].append(run(command, ENVIRONMENT).said["stages"])
            if "server" in parts:
                measured["server"].append([measure_server(clip.path, clients) for clients in CLIENTS])
    for name, why in skipped.items():
        console.print(f"{name} is left out: {why}", style="yellow", markup=False, soft_wrap=True)
    return {
        "schema": 1,
        "machine": machine(),
        "clip": {"name": clip.path.name, "size": [clip.width, clip.height], "rate": str(clip.rate)},
        "rounds": given.rounds,
        "rows": row_figures([row for row in rows if row.name not in skipped], measured),
        "skipped": skipped,
        "stages": spread_each(measured.get("stages", [])),
        "server": [spread_each(each) for each in zip(*measured.get("server", []), strict=True)],
        "memory": [memory(clip, minutes, given.cache) for minutes in MINUTES if "memory" in parts],
    }


def roads(given: argparse.Namespace) -> list[Clip]:
    """Return a rendered road in each size, repeated: real videos are long, and a job has its ends once."""
    cache = given.cache.absolute()
    short = [Clip.of(rendered(cache, size, given.seconds)) for size in SIZES]
    return [Clip.of(repeated(clip, TIMES * clip.seconds / 60, cache)) for clip in short]


def partly_marked(clip: Clip, given: argparse.Namespace) -> dict[int, Clip]:
    """Return roads as long as the shared one, with potholes in so many of a hundred of their GOPs."""
    cache = given.cache.absolute()
    short = Clip.of(rendered(cache, (clip.height, clip.width), given.seconds, has_potholes=False))
    plain = Clip.of(repeated(short, clip.seconds / 60, cache))
    return {percent: Clip.of(mixed(clip, plain, percent, cache)) for percent in MARKED}


def chosen(rows: Sequence[Row], names: Sequence[str] | None) -> tuple[list[Row], list[str]]:
    """Return the rows and parts of these names, and the rows that those are compared with.

    Raises:
        Failed: A name is none of a row or part.
    """
    if names is None:
        return list(rows), list(PARTS)
    known = [*(row.name for row in rows), *PEERS, *PARTS]
    if unknown := set(names) - set(known):
        raise Failed(f"There is no {', '.join(sorted(unknown))}. Known are {', '.join(known)}.")
    wanted = {*names, *(row.reference for row in rows if row.name in names)}
    return [row for row in rows if row.name in wanted], [part for part in PARTS if part in names]


def memory(clip: Clip, minutes: float, cache: Path) -> Record:
    """Do the whole job on a clip of so many minutes."""
    with console.status(f"Memory at {minutes:g} minutes ..."):
        longer = repeated(clip, minutes, cache)
        done = run(work("job", longer), ENVIRONMENT)
    return {"minutes": minutes, "frames": done.said["frames"], "peak_mb": done.peak_mb}


def machine() -> Record:
    """Return what the figures hold for."""
    about = Path("/proc/cpuinfo").read_text()
    names = [line.partition(":")[2].strip() for line in about.splitlines() if line.startswith("model name")]
    packages = {}
    for package in PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "cpu": names[0] if names else platform.machine(),
        "kind": cpu_kind(about),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "packages": packages,
    }


def cpu_kind(about: str) -> str:
    """Return by what a CPU computes 8-bit networks, which decides how long a look takes.

    Args:
        about: The content of /proc/cpuinfo.
    """
    flags = set(about.split())
    vector = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    return f"{vector} with VNNI" if flags & {"avx512_vnni", "avx_vnni"} else f"{vector} without VNNI"


def tables(measured: Record) -> str:
    """Return all tables that there are figures for."""
    about = measured["machine"]
    cpu = f"{about['cpu']} ({about['kind']}), {about['cores']} cores"
    head = f"{cpu}; {measured['clip']['name']}; {measured['rounds']} rounds"
    parts = (
        (measured["rows"], rows_table),
        (measured["stages"], stages_table),
        (measured["server"], server_table),
        (measured["memory"], memory_table),
    )
    return "\n\n".join([head, *(table_of(part) for part, table_of in parts if part)])


if __name__ == "__main__":
    sys.exit(main())

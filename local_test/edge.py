"""Plays a camera at the edge: sends pictures to the live API at a steady rate, and says how it was answered.

python local_test/edge.py URL [PICTURE ...] [--key KEY] [--rate 5] [--seconds 120]

URL is that of the API, or of a server: http://127.0.0.1:8080. API_KEY in the environment is the key where
none is given.
"""

import argparse
import mimetypes
import os
import statistics
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import requests
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROAD = Path(__file__).with_name("road.jpg")
TIMEOUT_S = 30.0  # as long as API Gateway waits, and a little more


class Outcome(NamedTuple):
    """What became of a picture: HTTP's status or the kind of a broken connection, and after how long."""

    what: str
    seconds: float

    @property
    def is_answer(self) -> bool:
        """Say whether the picture was looked at."""
        return self.what == "200"


def main() -> int:
    """Send the pictures; return 1 when one was not answered."""
    args = parser().parse_args()
    outcomes = send(args.url, args.pictures or [ROAD], args.key, args.rate, args.seconds)
    console = Console()
    console.print(summary(outcomes, args.rate))
    return 0 if all(outcome.is_answer for outcome in outcomes) else 1


def parser() -> argparse.ArgumentParser:
    """Return the command's flags."""
    result = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("url")
    result.add_argument("pictures", nargs="*", type=Path, metavar="PICTURE")
    result.add_argument("--key", default=os.environ.get("API_KEY", ""))
    result.add_argument("--rate", type=float, default=5.0, help="pictures a second (default: 5)")
    result.add_argument("--seconds", type=float, default=120.0, help="for so long (default: 120)")
    return result


def send(url: str, pictures: list[Path], key: str, rate: float, seconds: float) -> list[Outcome]:
    """Send pictures, each at its time, whether those before are answered or not."""
    bodies = cycle(
        [(path.read_bytes(), mimetypes.guess_type(path)[0] or "application/x-image") for path in pictures]
    )
    session, started = requests.Session(), time.monotonic()
    headers = {"X-Api-Key": key} if key else {}

    def look(body: bytes, kind: str) -> Outcome:
        begun = time.monotonic()
        try:
            answer = session.post(
                f"{url.rstrip('/')}/liveinference",
                body,
                headers=headers | {"Content-Type": kind},
                timeout=TIMEOUT_S,
            )
            what = str(answer.status_code)
        except requests.RequestException as exc:
            what = type(exc).__name__
        return Outcome(what, time.monotonic() - begun)

    with ThreadPoolExecutor(64) as pool:
        pending = []
        for number in track(range(round(rate * seconds)), "sending", console=Console(file=sys.stderr)):
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
            pending.append(pool.submit(look, *next(bodies)))
        return [future.result() for future in pending]


def summary(outcomes: list[Outcome], rate: float) -> Table:
    """Return how many were answered, how fast, and how the others ended."""
    table = Table("", "is")
    answered = sorted(outcome.seconds for outcome in outcomes if outcome.is_answer)
    table.add_row("sent", f"{len(outcomes)}, {rate:g} a second")
    table.add_row("answered", str(len(answered)))
    for what, count in Counter(o.what for o in outcomes if not o.is_answer).most_common():
        table.add_row(what, str(count))
    if len(answered) > 1:
        parts = statistics.quantiles(answered, n=100, method="inclusive")
        for name, value in (("p50", parts[49]), ("p95", parts[94]), ("longest", answered[-1])):
            table.add_row(name, f"{1000 * value:.0f} ms")
    return table


if __name__ == "__main__":
    sys.exit(main())

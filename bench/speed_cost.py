"""Say what an hour of video costs, from frames per second that were measured and prices that you give.

python bench/speed_cost.py build/bench/speed.json --rate 30 ml.c5.large=PRICE ml.c5.xlarge=PRICE:FPS ...

PRICE is that of an hour of the instance, in any currency. Frames per second hold for the machine that they
were measured on: measure on the instance itself, or give FPS.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from speed.figures import table


@dataclass(frozen=True)
class Instance:
    """An instance is a machine and what it costs.

    Attributes:
        name: Of the instance.
        price: Of one hour.
        fps: Frames that the whole job does a second there; as measured when None.
    """

    name: str
    price: float
    fps: float | None

    @classmethod
    def parse(cls, text: str) -> "Instance":
        """Read `NAME=PRICE` or `NAME=PRICE:FPS`.

        Raises:
            argparse.ArgumentTypeError: It is neither.
        """
        name, equals, numbers = text.partition("=")
        price, _, fps = numbers.partition(":")
        try:
            instance = cls(name, float(price), float(fps) if fps else None)
        except ValueError:
            equals = ""
        if not (name and equals and instance.price >= 0 and (instance.fps is None or instance.fps > 0)):
            raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PRICE or NAME=PRICE:FPS")
        return instance


def hours_for_an_hour(rate: float, fps: float) -> float:
    """Return the hours of work for an hour of video of `rate` frames a second, at `fps` frames a second."""
    return rate / fps


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", type=Path, help="what speed_figures.py wrote")
    parser.add_argument("instances", type=Instance.parse, nargs="+", metavar="NAME=PRICE[:FPS]")
    parser.add_argument("--rate", type=Fraction, default=Fraction(30), help="frames a second of the videos")
    parser.add_argument("--row", default="job", help="the row whose speed counts (default: job)")
    given = parser.parse_args(arguments)
    rows = {row["name"]: row["fps"]["median"] for row in json.loads(given.figures.read_text())["rows"]}
    if given.row not in rows:
        parser.error(f"{given.figures} has no row {given.row}; it has {', '.join(rows)}")
    body = []
    for instance in given.instances:
        fps = instance.fps or rows[given.row]
        hours = hours_for_an_hour(float(given.rate), fps)
        body.append(
            (
                instance.name,
                f"{fps:.1f}",
                f"{hours:.3f}",
                f"{instance.price:g}",
                f"{hours * instance.price:.4f}",
            )
        )
    print(table(("instance", "frames/s", "hours of work", "price an hour", "cost an hour of video"), body))


if __name__ == "__main__":
    main()

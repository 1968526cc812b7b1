"""Mark videos of all containers, audio codecs and troubles, and see whether pictures and sound stay together.

PYTHONPATH=tests python bench/media_matrix.py [--containers mp4 …] [--codecs aac …] [--no-browser]

Each source is made here: numbered pictures, and a tone that begins and ends with two of them. Prints a table
in Markdown: for each container and codec the largest time, in ms, by which a tone is off its picture.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from pothole.errors import PotholeError
from pothole.media import Video
from support.browser import CHROMIUM, play
from support.clips import transcode
from support.recordings import Stamp, heard, marked_clip, remux, shown

FRAMES, RATE, MARKS = 72, 30, [12, 24, 54, 66]
LATE = 36  # frames that are left out where pictures begin late
VIDEO: dict[str, dict[str, Any]] = {
    "mpg": {"codec": "mpeg2video"},
    "vob": {"codec": "mpeg2video"},
    "webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
}
CONTAINERS = ("mp4", "mov", "mkv", "webm", "avi", "ts", "m2ts", "mpg", "vob", "wmv", "flv", "3gp")
CODECS: dict[str, dict[str, Any]] = {
    "aac": {"audio": "aac"},
    "mp3": {"audio": "libmp3lame", "audio_rate": 44_100},
    "mp3 at 11 kHz": {"audio": "libmp3lame", "audio_rate": 11_025, "layout": "mono"},
    "ac3": {"audio": "ac3"},
    "flac": {"audio": "flac"},
    "opus": {"audio": "libopus"},
    "mp2": {"audio": "mp2"},
    "pcm": {"audio": "pcm_s16le"},
}
ONE_STAMP = {"avi", "wmv"}
JOINED_AS_BYTES = {"ts", "m2ts", "mpg", "vob"}
SYNC_S = 0.025
MIN_TONE_S = 0.05


@dataclass(frozen=True)
class Outcome:
    """An outcome says what became of a source.

    Attributes:
        container: Its.
        codec: Of its sound.
        trouble: What is wrong with it.
        off_s: Seconds by which a tone and its picture part, None when it was refused.
        sentence: The error or the warning, None when there was none.
        output: Name of the output's file, None when there is none.
        played: Whether a browser played its pictures and its sound, None when none was asked.
    """

    container: str
    codec: str
    trouble: str
    off_s: float | None
    sentence: str | None
    output: str | None = None
    played: bool | None = None

    @property
    def right(self) -> bool:
        """Say whether the source was marked, in time and playable, or refused with a sentence."""
        if self.output is None:
            return self.sentence is not None
        in_time = self.off_s is not None and self.off_s <= SYNC_S
        return in_time and self.played is not False and (self.sentence is None or self.trouble == "cut")


Schedule = dict[int, float]  # seconds at which each frame is due
EVEN: Schedule = {i: i / RATE for i in range(FRAMES)}


def plain(base: Path, target: Path) -> Schedule:
    """Copy a clip. All troubles return when its frames are due."""
    if base.suffix == target.suffix:
        target.write_bytes(base.read_bytes())
    else:
        remux(base, target, lambda stamp: None)
    return EVEN


def late(base: Path, target: Path) -> Schedule:
    """Let the pictures begin more than a second after the sound."""
    remux(base, target, lambda stamp: stamp.kind == "audio" or stamp.number >= LATE)
    return EVEN


def joined(base: Path, target: Path) -> Schedule:
    """Join it with itself where a container allows that, else let time jump ahead."""
    if target.suffix[1:] in JOINED_AS_BYTES:
        plain(base, target)
        target.write_bytes(2 * target.read_bytes())
    else:
        remux(base, target, _jump)
    return EVEN


def _jump(stamp: Stamp) -> None:
    if stamp.shown >= Fraction(LATE, RATE):
        stamp.shown, stamp.decoded = stamp.shown + 5000, stamp.decoded + 5000


def cut(base: Path, target: Path) -> Schedule:
    """Cut its end off."""
    if target.suffix in {".mp4", ".mov", ".3gp"}:
        remux(base, target, lambda stamp: None, options={"movflags": "+faststart"})
    else:
        plain(base, target)
    data = target.read_bytes()
    target.write_bytes(data[: len(data) * 7 // 10])
    return EVEN


def uneven(base: Path, target: Path) -> Schedule:
    """Show its frames for various times."""

    def change(stamp: Stamp) -> None:
        if stamp.kind == "video":
            later = Fraction(stamp.number % 5, 250)
            stamp.shown, stamp.decoded = stamp.shown + later, stamp.decoded + later

    remux(base, target, change)
    return {i: time + i % 5 / 250 for i, time in EVEN.items()}


TROUBLES = {"plain": plain, "late": late, "joined": joined, "cut": cut, "uneven": uneven}


def outcomes(
    folder: Path, container: str, codec: str, troubles: Iterable[str] = TROUBLES
) -> Iterator[Outcome]:
    """Try some troubles of a container and a codec; none where the one has no place for the other."""
    # An AVI has no time stamps that could be wrong.
    base = folder / f"{container}_{codec.replace(' ', '_')}{'.avi' if container == 'avi' else '.mkv'}"
    possible = [t for t in troubles if container != "avi" or t in {"plain", "cut"}]
    if (container, codec) == ("wmv", "flac"):  # which FFmpeg gives other times than those of its samples
        return
    if (container, codec) == ("mov", "pcm"):  # its sound has no stamps either
        possible = [t for t in possible if t != "joined"]
    first = folder / f"{base.stem}.plain.{container}"
    video = {"options": {"bf": "0"}} | VIDEO.get(container, {})
    try:
        marked_clip(base, MARKS, FRAMES, rate=RATE, **video, **CODECS[codec])
        plain(base, first)
        edges, pictures = heard(first), {number: time for time, number in reversed(shown(first))}
        # FFmpeg guesses when pictures with one stamp are shown, and is a frame late.
        late_by = 1 / RATE if container in ONE_STAMP else 0.0
        lag = statistics.median(e - pictures[m] + late_by for e, m in zip(edges, MARKS, strict=True))
    except (av.FFmpegError, ValueError, KeyError, IndexError):
        return
    for trouble in possible:
        source = folder / f"{base.stem}.{trouble}.{container}"
        due = TROUBLES[trouble](base, source)
        yield _outcome(source, due, lag, (container, codec, trouble))


def _outcome(source: Path, due: Schedule, lag: float, case: tuple[str, str, str]) -> Outcome:
    output = source.with_name(f"{source.name}.out.mp4")
    try:
        transcode(source, output)
        with Video.open(source) as video:
            list(video.frames())
    except PotholeError as exc:
        return Outcome(*case, None, str(exc))
    edges = heard(output) if video.info.scan.sounds else []
    if case[2] == "cut":  # the last tone ends where the file does, and what is left of a packet may be noise
        tones = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > MIN_TONE_S]
        edges = [edge for tone in tones for edge in tone][:-1]
    return Outcome(*case, _apart(edges, shown(output), due, lag), video.decode_warning, output.name)


def _apart(edges: list[float], pictures: list[tuple[float, int]], due: Schedule, lag: float) -> float:
    """Return by how many seconds, at most, a tone that begins or ends is off the frame at which it should."""
    if pictures[-1][0] > 3 * FRAMES / RATE:  # a jump that was not seen
        return pictures[-1][0]
    begin = pictures[0][0] - due[pictures[0][1]]
    expected = [time - due[number] + EVEN[number] + lag for time, number in pictures if number in MARKS]
    expected += [EVEN[mark] + begin + lag for mark in MARKS if mark < pictures[0][1]]
    return max((min(abs(edge - time) for time in expected) for edge in edges), default=0.0)


def table(found: Sequence[Outcome]) -> Iterator[str]:
    """Yield the lines of a table of ms, a row a container; in brackets how many troubles went right."""
    yield "| container | " + " | ".join(CODECS) + " |"
    yield "| --- |" + " --- |" * len(CODECS)
    for container in dict.fromkeys(o.container for o in found):
        cells = []
        for codec in CODECS:
            these = [o for o in found if (o.container, o.codec) == (container, codec)]
            worst = max((o.off_s for o in these if o.off_s is not None), default=0.0)
            right = sum(o.right for o in these)
            cells.append(f"{1000 * worst:.0f} ({right} of {len(these)})" if these else "")
        yield f"| {container} | " + " | ".join(cells) + " |"


def played(folder: Path, found: Sequence[Outcome]) -> list[Outcome]:
    """Play all outputs in a browser, four times as fast."""
    names = [o.output for o in found if o.output]
    seen = dict(zip(names, play(folder, names, 4), strict=True))
    return [replace(o, played=_whole(seen[o.output])) if o.output else o for o in found]


def _whole(seen: dict[str, Any]) -> bool:
    return seen["error"] is None and seen["frames"] > 0 and seen["audioBytes"] > 0


def main() -> int:
    """Try all, print the table and what went wrong; 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--containers", nargs="+", choices=CONTAINERS, default=CONTAINERS)
    parser.add_argument("--codecs", nargs="+", choices=CODECS, default=list(CODECS))
    parser.add_argument("--no-browser", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = [
            o
            for container in args.containers
            for codec in args.codecs
            for o in outcomes(folder, container, codec)
        ]
        if CHROMIUM and not args.no_browser:
            found = played(folder, found)
    print("\n".join(table(found)))
    wrong = [o for o in found if not o.right]
    print(f"\n{len(found)} videos, {len(found) - len(wrong)} right.")
    for outcome in wrong:
        print(outcome)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

"""This module carries a file's title, dates, chapters and the like over to the output."""

from __future__ import annotations

import re
from fractions import Fraction

import av
from av.container import InputContainer, OutputContainer

# An MP4 has a place for these.
TAGS = ("creation_time", "location", "title", "artist", "comment", "copyright", "date", "description")
# The last sign tells a time code that drops frames, as only those of 30 and 60 frames a second do.
TIMECODE = re.compile(r"\d\d:\d\d:\d\d([:;.])\d\d")
# Apple has names of its own for some of these.
APPLE = {
    "com.apple.quicktime.location.iso6709": "location",
    "com.apple.quicktime.creationdate": "creation_time",
    "com.apple.quicktime.title": "title",
}


def carry_over(
    source: InputContainer,
    pictures: av.VideoStream,
    output: OutputContainer,
    target: av.VideoStream,
    start: Fraction,
    until: Fraction | None,
) -> None:
    """Carry over when, where and in which language a video was taken, its title, chapters and time code.

    Args:
        source: The source.
        pictures: The stream of it that is marked.
        output: The output, before anything is written to it.
        target: Its stream of pictures.
        start: Seconds of the source's timeline that are 0 in the output.
        until: Seconds at which the output ends; None for all of the source.
    """
    given = {key.lower(): value for key, value in source.metadata.items()}
    tags = {name: given[key] for key, name in APPLE.items() if key in given}
    tags |= {key: given[key] for key in TAGS if key in given}
    output.metadata.update(tags)
    if language := pictures.metadata.get("language"):
        target.metadata["language"] = language
    timecode, rate = pictures.metadata.get("timecode", ""), pictures.average_rate
    if rate and (form := TIMECODE.fullmatch(timecode)) and (form[1] == ":" or round(rate) % 30 == 0):
        target.metadata["timecode"] = timecode
        target.codec_context.framerate = rate  # the time code counts in this rate
    if until is None:
        _chapters(source, output, start)


def _chapters(source: InputContainer, output: OutputContainer, start: Fraction) -> None:
    chapters = source.chapters()
    for chapter in chapters:
        unit = chapter["time_base"] or Fraction(1, av.time_base)
        shift = round(start / unit)
        chapter["start"], chapter["end"] = max(0, chapter["start"] - shift), max(0, chapter["end"] - shift)
    if chapters:
        output.set_chapters([c for c in chapters if c["start"] < c["end"]])

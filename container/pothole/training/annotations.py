"""This module reads the files of labelling tools as COCO, whichever tool wrote them.

Which one it is shows in the content, not in the name.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pothole.errors import DatasetError, TooLarge, reason
from pothole.training.coco import CocoBuilder, normalised, reading
from pothole.training.formats import cvat, label_studio, labelme, via
from pothole.training.layouts import other_layout
from pothole.types import Json

_logger = logging.getLogger(__name__)

EXPECTED = (
    "Expected annotations.json in COCO's form, VIA 2's via_region_data.json, Label Studio's JSON, CVAT's"
    " annotations.xml, or labelme's file of each picture, with the pictures beside it or in images/."
)
MAX_BYTES = 2**30
"""Largest annotation file."""

Read = Callable[[Any, CocoBuilder], None]

TOOLS: tuple[tuple[Callable[[Any], bool], Read], ...] = (
    (labelme.matches, labelme.read),
    (via.matches, via.read),
    (label_studio.matches, label_studio.read),
    (cvat.matches, cvat.read),
)


def read_annotations(folder: Path) -> Json:
    """Read the annotations of a folder, whichever tool wrote them.

    Returns:
        COCO's `images`, `annotations` and `categories`; what labels stand for is left to the caller.

    Raises:
        DatasetError: There are no annotations, or a file is of no known form; the message names it.
        TooLarge: A file is larger than `MAX_BYTES`.
    """
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}.")
    files = _files(folder) or _files(folder / "annotations")
    if not files:
        raise DatasetError(*(other_layout(folder) or (f"{folder} holds no annotations.", EXPECTED)))
    contents = {path: _parse_xml(path) if path.suffix == ".xml" else parse_json(path) for path in files}
    readers = {path: _reader(path, content) for path, content in contents.items()}
    if len(files) > 1 and set(readers.values()) != {labelme.read}:
        raise DatasetError(
            f"{files[0]} and {files[1].name} both hold annotations.",
            "Keep one file in a folder; only labelme has one for each picture.",
        )
    coco = CocoBuilder()
    for path, content in contents.items():
        try:
            with reading("It"):
                readers[path](content, coco)
        except DatasetError as exc:
            exc.about(str(path))
            raise
    if coco.left_out:
        listed = ", ".join(f"{kind} ({n})" for kind, n in coco.left_out.most_common())
        _logger.warning("%s: shapes without an outline are left out: %s", folder, listed)
    try:
        return normalised(coco.json)
    except DatasetError as exc:
        exc.about(str(files[0] if len(files) == 1 else folder))
        raise


def _files(folder: Path) -> list[Path]:
    """Return the JSON files in a folder, or else those of XML, without macOS's own that begin with a dot."""
    for pattern in ("*.json", "*.xml"):
        if files := sorted(path for path in folder.glob(pattern) if not path.name.startswith(".")):
            return files
    return []


def parse_json(path: Path) -> Any:
    """Read a file of annotations as JSON.

    Raises:
        DatasetError: It cannot be read; names it.
        TooLarge: It is larger than `MAX_BYTES`.
    """
    return _parse(path, "JSON", json.loads)


def _parse_xml(path: Path) -> Any:
    return _parse(path, "XML", ElementTree.fromstring)  # expat bounds what entities grow to


def _parse(path: Path, form: str, parse: Callable[[bytes], Any]) -> Any:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TooLarge(f"{path} is larger than {MAX_BYTES} bytes.", "Split the data set.")
        return parse(path.read_bytes())
    except TooLarge:
        raise
    except (OSError, ElementTree.ParseError, LookupError, ValueError, RecursionError) as exc:
        raise DatasetError(f"{path} cannot be read as {form}: {reason(exc)}.", EXPECTED) from exc


def _reader(path: Path, content: Any) -> Read:
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        return _read_coco
    for matches, read in TOOLS:
        if matches(content):
            return read
    if told := other_layout(path.parent):
        raise DatasetError(*told)
    raise DatasetError(f"{path} is not an annotation file that is known here.", EXPECTED)


def _read_coco(content: Json, coco: CocoBuilder) -> None:
    coco.json = content

"""This module brings COCO files to one form, whichever tool wrote them.

The format is described at cocodataset.org/#format-data, and written in many ways. What differs is mended here
where it has one meaning; all else is refused by name.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import PureWindowsPath
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from pothole.errors import DatasetError, reason
from pothole.types import Json

TRUE = {"1", "true", "yes"}
# Words may stand between: "no deep pothole". "No water in pothole" and "not repaired pothole" are potholes.
BETWEEN = r"(?:(?!\w*ed\b|(?:in|on|at|and|but|with)\b|pot)\w+ ){0,3}"
# Words may be joined, with anything or nothing between them: "no_pothole", "NonPothole", "pothole-free".
NO_POTHOLE = re.compile(
    rf"\b(?:no|none|without|zero|false|fake|negative) ?(?:(?<= ){BETWEEN})?pot ?hole"
    rf"|\b(?:non|not|isn t) ?(?:(?:an?|any|the|real|visible) {BETWEEN})?pot ?hole"
    r"|\bpot ?hole(?:s? ?(?:free|negative|absent)|less)\b"
    r"|^pot ?holes? (?:are |is )?(?:no|none|not|false|less)(?: visible| there| here| present| found| seen)?$"
)
POTHOLE = re.compile(r"pot ?hole")


def is_pothole(label: str) -> bool:
    """Say whether a label names a pothole, as "Pothole" or "deep pot-holes" do, and "no_pothole" does not.

    It may have several parts with commas between them: "pothole, no water".
    """
    parts = [_words(part) for part in label.split(",")]
    return any(map(POTHOLE.search, parts)) and not any(map(NO_POTHOLE.search, parts))


def _words(text: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", text))
    return " ".join(re.findall(r"[^\W_]+", spaced.casefold()))


def normalised(content: Json) -> Json:
    """Return COCO's `images`, `annotations` and `categories` with what others expect of them.

    Ids are whole numbers, where files have text as well; `iscrowd` is 0 or 1; `bbox` and `area` are there
    when they can be right; `segmentation` is a list of polygons, or run lengths, and the box where there is
    none.

    Raises:
        DatasetError: A field is missing or of another kind; names it.
    """
    if not content.get("images"):
        raise DatasetError("It lists no pictures.", "Expected COCO's form.")
    images, categories = _records(content, "images"), _records(content, "categories")
    of_images, of_categories = _ids(images, "images"), _ids(categories, "categories")
    annotations = []
    for number, region in enumerate(_records(content, "annotations")):
        known = {**region, "image_id": _known(of_images, region, "image_id", number)}
        if of_categories and region.get("category_id") is not None:
            known["category_id"] = _known(of_categories, region, "category_id", number)
        else:
            known.pop("category_id", None)
        annotations.append(_region(known, f"annotations[{number}]"))
    return {
        "images": [_picture(image, of_images) for image in images],
        "annotations": annotations,
        "categories": [
            {**c, "id": of_categories[_key(c["id"])], "name": str(c.get("name") or "")} for c in categories
        ],
    }


def file_names(name: str) -> list[str]:
    """Return the names under which a picture may lie, likely ones first.

    Tools write the paths of their own machine, with the slashes of Windows, or addresses with %20 in them.
    Label Studio puts eight digits in front of the names of the pictures that it takes.
    """
    if "://" in name:
        name = urlsplit(name).path
    posix = PureWindowsPath(name).as_posix()
    last = posix.rpartition("?d=")[2].rpartition("/")[2]
    as_given = re.sub(r"^[0-9a-f]{8}-", "", unquote(last))
    return list(dict.fromkeys([name, posix, unquote(posix), last, unquote(last), as_given]))


def _records(content: Json, field: str) -> list[Json]:
    records = content.get(field) or []
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise DatasetError(f"{field} is not a list of objects.", "Expected COCO's form.")
    return records


def _ids(records: Iterable[Json], field: str) -> dict[str, int]:
    """Return a whole number for each id; an id that is one already keeps it."""
    found: dict[str, int] = {}
    named = []
    for number, record in enumerate(records):
        if record.get("id") is None:
            raise DatasetError(f"{field}[{number}] has no id.", "Expected COCO's form.")
        key = _key(record["id"])
        if key in found or key in named:
            raise DatasetError(f"{field} lists the id {record['id']!r} twice.", "Give each one of its own.")
        if re.fullmatch(r"-?\d{1,18}", key):
            found[key] = int(key)
        else:
            named.append(key)
    taken = set(found.values())
    free = (n for n in count(1) if n not in taken)
    return found | {key: next(free) for key in named}


def _key(value: Any) -> str:
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if is_whole else value).strip()


def _known(ids: dict[str, int], region: Json, field: str, number: int) -> int:
    value = region.get(field)
    if _key(value) not in ids:
        raise DatasetError(
            f"annotations[{number}].{field} is {value!r}, which the file does not list.",
            "Export the data set anew, whole.",
        )
    return ids[_key(value)]


def _picture(image: Json, ids: dict[str, int]) -> Json:
    name = image.get("file_name")
    if not isinstance(name, str) or not name.strip():
        raise DatasetError(f"The image {image['id']!r} has no file_name.", "Expected COCO's form.")
    sizes = {side: _number(image.get(side)) for side in ("width", "height")}
    others = {key: value for key, value in image.items() if key not in sizes}
    stated = {side: int(value) for side, value in sizes.items() if value}
    return {**others, **stated, "id": ids[_key(image["id"])]}


def _region(region: Json, place: str) -> Json:
    box, area = region.pop("bbox", None), _number(region.pop("area", None))
    region["iscrowd"] = int(str(region.get("iscrowd", 0)).casefold() in TRUE)
    segmentation = _segmentation(region.get("segmentation"), f"{place}.segmentation")
    if corners := _box(box):
        x, y, width, height = region["bbox"] = corners
        if not segmentation:
            segmentation = [[x, y, x + width, y, x + width, y + height, x, y + height]]
            region["is_box"] = True
    if area and not region.get("is_box"):
        region["area"] = area
    return {**region, "segmentation": segmentation}


def _segmentation(value: Any, place: str) -> Json | list[Any]:
    """Return run lengths, or a list of those polygons that have three corners."""
    if value and isinstance(value, dict):
        if {"counts", "size"} <= value.keys():
            return value
        raise DatasetError(f"{place} has no counts or no size.", "Expected COCO's run lengths.")
    if value and not isinstance(value, list):
        raise DatasetError(f"{place} is {value!r:.60}.", "Expected a list of polygons, or run lengths.")
    polygons = value or []
    if polygons and not isinstance(polygons[0], list | dict):
        polygons = [polygons]  # one polygon, not in a list of its own
    return [polygon for polygon in polygons if _corners(polygon, place) > 2]


def _corners(polygon: Any, place: str) -> int:
    """Return the number of a polygon's corners."""
    try:
        numbers = np.array(polygon, np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.array([math.nan])
    if numbers.size % 2 or not np.isfinite(numbers).all():
        raise DatasetError(f"{place} has a polygon {polygon!r:.60}.", "Expected x and y of each corner.")
    return numbers.size // 2


def _box(value: Any) -> list[float] | None:
    """Return left, top, width and height; None where there is no such area."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    (left, top), (width, height) = map(_finite, value[:2]), map(_number, value[2:])
    return [left, top, width, height] if None not in (left, top) and width and height else None  # type: ignore[list-item]


def _number(value: Any) -> float | None:
    """Return a number of 0 or more, also one that is written as text; None for anything else."""
    number = _finite(value)
    return number if number is not None and number >= 0 else None


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Raise `DatasetError` that names the place for what damaged annotations make Python raise."""
    try:
        with np.errstate(over="raise", invalid="raise"):
            yield
    except DatasetError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as exc:
        raise DatasetError(f"{place} cannot be read: {reason(exc)}.", "Export it anew.") from exc


class CocoBuilder:
    """A builder fills COCO's form picture by picture.

    Attributes:
        json: What is filled.
        left_out: How many shapes of each kind have no outline that could be taken.
    """

    def __init__(self) -> None:
        self.json: Json = {"images": [], "annotations": [], "categories": []}
        self.left_out: Counter[str] = Counter()
        self._categories: dict[str, int] = {}

    def add_picture(self, file_name: str, **fields: Any) -> int:
        """Add a picture, with more fields of its record; return its number."""
        number = len(self.json["images"]) + 1
        self.json["images"].append({"id": number, "file_name": file_name, **fields})
        return number

    def add_region(self, image: int, label: str, polygons: Iterable[NDArray[np.floating]]) -> None:
        """Add a region of a picture: polygons `(n, 2)` x, y in pixels; its label may be ""."""
        region: Json = {"image_id": image, "segmentation": [p.ravel().tolist() for p in polygons]}
        if label:
            if label not in self._categories:
                self._categories[label] = len(self._categories) + 1
                self.json["categories"].append({"id": self._categories[label], "name": label})
            region["category_id"] = self._categories[label]
        self.json["annotations"].append(region)

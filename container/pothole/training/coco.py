"""COCO files are brought to one form, whichever tool wrote them.

The format is described at cocodataset.org/#format-data, and written in many ways. What differs is mended here
where it has one meaning; all else is refused by name.
"""

import math
import re
from collections.abc import Iterable
from itertools import count
from pathlib import PureWindowsPath
from typing import Any
from urllib.parse import unquote

from pothole.errors import DatasetError

Json = dict[str, Any]

TRUE = {"1", "true", "yes"}
NEGATIONS = "no|non|not|without|zero|false|fake|negative"
# Words may be joined, with anything or nothing between them: "no_pothole", "NonPothole", "pothole-free".
NO_POTHOLE = re.compile(
    rf"\b(?:{NEGATIONS}) ?(?:an? |any |the )?pot ?holes?\b|\bpot ?holes? ?(?:free|negative)\b"
)
POTHOLE = re.compile(r"pot ?hole")


def is_pothole(label: str) -> bool:
    """Say whether a label names a pothole, as "Pothole" or "deep pot-holes" do, and "no_pothole" does not."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    words = " ".join(re.findall(r"[^\W_]+", spaced.casefold()))
    return bool(POTHOLE.search(words)) and not NO_POTHOLE.search(words)


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
        if region.get("category_id") is not None:
            known["category_id"] = _known(of_categories, region, "category_id", number)
        else:
            known.pop("category_id", None)
        annotations.append(_region(known))
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
    """
    posix = PureWindowsPath(name).as_posix()
    last = posix.rpartition("/")[2].rpartition("?d=")[2]
    return list(dict.fromkeys([name, posix, unquote(posix), last, unquote(last)]))


def _records(content: Json, field: str) -> list[Json]:
    records = content.get(field) or []
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise DatasetError(f"{field} is not a list of objects.", "Expected COCO's form.")
    return records


def _ids(records: Iterable[Json], field: str) -> dict[str, int]:
    """Return a whole number for each id, the same number where it is one."""
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


def _region(region: Json) -> Json:
    box, area = region.pop("bbox", None), _number(region.pop("area", None))
    sides = [_number(v) for v in box] if isinstance(box, list) and len(box) == 4 else []
    region["iscrowd"] = int(str(region.get("iscrowd", 0)).casefold() in TRUE)
    segmentation = region.get("segmentation")
    if isinstance(segmentation, list) and segmentation and not isinstance(segmentation[0], list | dict):
        segmentation = [segmentation]  # one polygon, not in a list of its own
    if all(side is not None for side in sides) and sides and sides[2] and sides[3]:
        region["bbox"] = sides
        if not segmentation:
            x, y, width, height = sides
            segmentation = [[x, y, x + width, y, x + width, y + height, x, y + height]]  # type: ignore[operator]
            region["is_box"] = True
    if area and not region.get("is_box"):
        region["area"] = area
    return {**region, "segmentation": segmentation or []}


def _number(value: Any) -> float | None:
    """Return a number above or at 0, also one that is written as text; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < math.inf else None

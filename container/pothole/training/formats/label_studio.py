"""Label Studio exports tasks as JSON, whole or in its short form ("JSON-MIN").

Places are in percent of the picture's sides (labelstud.io/guide/export).
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pothole.errors import DatasetError
from pothole.training.coco import CocoBuilder, reading
from pothole.training.polygons import Polygon, mask_polygons
from pothole.training.shapes import ellipse, rectangle, turned
from pothole.types import Json

PICTURE = re.compile(r"\.(jpe?g|png|bmp|gif|webp|tiff?|avif|heic|heif)([?#]|$)", re.IGNORECASE)

NO_OUTLINE = {"keypointlabels", "vectorlabels"}


def matches(content: Any) -> bool:
    """Say whether a file's JSON is Label Studio's: a list of tasks."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(task, dict) and (_is_whole(task) or _is_short(task)) for task in content)
    )


def read(content: list[Json], coco: CocoBuilder) -> None:
    """Read tasks; of several annotations of one picture, that which is the ground truth, or else the last."""
    for number, task in enumerate(content):
        with reading(f"[{number}]"):
            name = _picture(task["data"] if _is_whole(task) else task)
            if not name:
                raise DatasetError(f"[{number}].data names no picture.")
            regions = list(_regions(task))
            size = next((s for region in regions if (s := _size(region))), None)
            image = coco.add_picture(name, **({"height": size[0], "width": size[1]} if size else {}))
            seen = set()
            for place, region in enumerate(regions):
                # With tools for shapes and labels apart, a region comes once for each.
                key = _id(region) or place
                label = _label(regions, region)
                if key in seen or label is None:
                    continue
                if kinds := NO_OUTLINE & region["value"].keys():
                    coco.left_out.update(kinds)
                    continue
                with reading(f"[{number}], region {place}"):
                    if polygons := _polygons(region):
                        seen.add(key)
                        coco.add_region(image, label, polygons)


def _is_whole(task: Json) -> bool:
    return isinstance(task.get("data"), dict) and isinstance(_annotations(task), list)


def _is_short(task: Json) -> bool:
    """Say whether it is of the short form: other tools, too, write lists of pictures."""
    said = any(isinstance(value, dict) and "original_width" in value for value in _values(task))
    return bool(_picture(task)) and (said or "annotation_id" in task)


def _annotations(task: Json) -> Any:
    return task.get("annotations", task.get("completions"))  # the name of old


def _values(task: Json) -> Iterator[Any]:
    for values in task.values():
        yield from values if isinstance(values, list) else []


def _picture(values: Json) -> str:
    texts = [value for value in values.values() if isinstance(value, str)]
    return next((text for text in texts if PICTURE.search(text)), "")


def _regions(task: Json) -> Iterator[Json]:
    """Yield a task's regions in the whole export's form."""
    if _is_whole(task):
        done = [a for a in _annotations(task) if not a.get("was_cancelled")]
        done.sort(key=lambda a: (bool(a.get("ground_truth")), str(a.get("updated_at"))))
        for annotation in done[-1:]:
            yield from annotation.get("result") or []
        return
    for value in _values(task):
        if isinstance(value, dict) and "original_width" in value:
            yield {**value, "value": value}


def _label(regions: list[Json], region: Json) -> str | None:
    """Return the label of a region, also where it comes apart from the shape; None for what is no region."""
    if not isinstance(region.get("value"), dict):
        return None
    same = [r for r in regions if _id(region) and _id(r) == _id(region)] or [region]
    for other in same:
        for kind, labels in other["value"].items():
            if kind.endswith("labels") and labels:
                return " ".join(map(str, labels)) if isinstance(labels, list) else str(labels)
    return ""


def _id(region: Json) -> str | None:
    """Return a region's id as text; None where it has none, or null."""
    return None if region.get("id") is None else str(region["id"])


def _size(region: Json) -> tuple[int, int] | None:
    width, height = region.get("original_width"), region.get("original_height")
    return (int(height), int(width)) if width and height else None


def _polygons(region: Json) -> list[NDArray[np.float64] | Polygon]:
    """Return the outline of a region in pixels; nothing for what is no shape."""
    value, size = region["value"], _size(region)
    known = {"points", "radiusX", "rle", "width"} & value.keys()
    if not known:
        return []
    if size is None:
        raise ValueError("no original_width or original_height")
    scale = np.array([size[1], size[0]]) / 100.0
    theta = math.radians(float(value.get("rotation") or 0.0))
    if "points" in value:
        return [np.array(value["points"], np.float64).reshape(-1, 2) * scale]
    if "rle" in value:
        return list(mask_polygons(brush_mask(value["rle"], size), (0, 0)))
    x, y = value["x"] * scale[0], value["y"] * scale[1]
    if "radiusX" in value:
        return [ellipse((x, y), value["radiusX"] * scale[0], value["radiusY"] * scale[1], theta)]
    corner = x + value["width"] * scale[0], y + value["height"] * scale[1]
    return [turned(rectangle((x, y), corner), (x, y), theta)]


def brush_mask(packed: list[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Unpack what a brush has painted: the fourth of each pixel's four values, in packed run lengths.

    The form is that of the library `@thi.ng/rle-pack`: 32 bits for the count of values, 5 for the size of
    one, four times 4 for the sizes of lengths; then runs, each with a bit that says whether it repeats one
    value.

    Args:
        packed: Bytes.
        size: Picture `(height, width)`.

    Returns:
        `(height, width)`.

    Raises:
        ValueError: They are damaged, or for another size.
    """
    bits = "".join(f"{byte:08b}" for byte in bytes(packed))
    place = 0

    def number(size: int) -> int:
        nonlocal place
        place += size
        if place > len(bits):
            raise ValueError("rle ends too early")
        return int(bits[place - size : place], 2)

    count, word, lengths = number(32), number(5) + 1, [number(4) + 1 for _ in range(4)]
    if count != 4 * size[0] * size[1]:
        raise ValueError(f"rle has {count} values, for a picture of {size[1]}x{size[0]}")
    values, done = np.zeros(count, np.uint8), 0
    while done < count:
        is_run = number(1)
        end = done + 1 + number(lengths[number(2)])
        if is_run:
            values[done:end] = number(word) & 255
        else:
            for at in range(done, min(end, count)):
                values[at] = number(word) & 255
        done = end
    return values.reshape(*size, 4)[..., 3] > 0

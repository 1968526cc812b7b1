"""Folders that are no data set here may be one of another form, or hold several; this module says which."""

from pathlib import Path

MAX_LOOKED_AT = 2**16  # bytes of a file
MAX_NAMED = 5
CONVERT = "Export it as COCO with outlines, as Roboflow's `COCO Segmentation`, CVAT and Label Studio can."


def other_layout(folder: Path) -> tuple[str, str] | None:
    """Say what a folder without annotations of a known form holds instead.

    Returns:
        A sentence and the way out; None where nothing is recognised.
    """
    if parts := _parts(folder):
        names = ", ".join(part.name for part in parts[:MAX_NAMED])
        return (
            f"{folder} holds no annotations itself, but folders that do: {names}.",
            f"Name one of them: {parts[0]}.",
        )
    if _is_yolo(folder):
        return f"{folder} is in YOLO's form, which is not read here.", CONVERT
    if any(_is_voc(path) for path in _some(folder, "*.xml")):
        return f"{folder} is in Pascal VOC's form, which has boxes alone and is not read here.", CONVERT
    return None


def _parts(folder: Path) -> list[Path]:
    """Return the folders in a folder that hold annotations, such as `train` and `valid`."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [part for part in inside if any((*part.glob("*.json"), *part.glob("annotations/*.json")))]


def _is_yolo(folder: Path) -> bool:
    """Say whether there are labels as YOLO has them: a text file for each picture, numbers in lines."""
    return any(_is_label(path) for pattern in ("*.txt", "labels/*.txt") for path in _some(folder, pattern))


def _some(folder: Path, pattern: str) -> list[Path]:
    """Return the first file that fits in the folder itself, and in the folders in it and in those."""
    found = (next(folder.glob(f"{above}{pattern}"), None) for above in ("", "*/", "*/*/"))
    return [path for path in found if path is not None]


def _is_label(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            values = [float(value) for value in file.readline(MAX_LOOKED_AT).split()]
    except (OSError, ValueError):
        return False
    return len(values) > 4 and values[0].is_integer() and all(0 <= value <= 1 for value in values[1:])


def _is_voc(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(MAX_LOOKED_AT)
    return b"<annotation" in head and b"<size>" in head

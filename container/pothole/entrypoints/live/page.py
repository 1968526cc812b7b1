"""A page shows one picture with its potholes outlined, and a list of them."""

import base64
import hashlib
from html import escape
from pathlib import Path
from string import Template
from typing import Any

_HERE = Path(__file__).parent
_STYLE = (_HERE / "page.css").read_text()
_TEMPLATE = Template((_HERE / "page.html").read_text())
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# Nothing is loaded and nothing runs: a name or a label can at worst be seen.
PAGE_POLICY = (
    f"default-src 'none'; img-src data:; style-src 'sha256-{_STYLE_DIGEST}'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
NUMBERS_OF_A_WIDTH = 40  # so small are the numbers of potholes, and readable on a phone
# What the first bytes say; a browser shows no other kind of those that the detector reads.
_KINDS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"GIF8": "image/gif", b"BM": "image/bmp"}


def page(name: str, picture: bytes, found: dict[str, Any]) -> str:
    """Return the page.

    Args:
        name: What the picture is called.
        picture: The file.
        found: What `POST /invocations` answers for it.
    """
    marks, width = found["output"], int(found["image"]["width"])
    count = (
        f"{len(marks)} pothole{'' if len(marks) == 1 else 's'}"
        if _all_potholes(marks)
        else f"{len(marks)} found"
    )
    return _TEMPLATE.substitute(
        style=_STYLE,
        name=escape(name),
        count=count,
        width=width,
        height=int(found["image"]["height"]),
        size=width // NUMBERS_OF_A_WIDTH,
        picture=f"data:{_kind(picture)};base64,{base64.b64encode(picture).decode()}",
        outlines="".join(_outline(number, mark) for number, mark in enumerate(marks, 1)),
        rows="".join(_row(number, mark) for number, mark in enumerate(marks, 1)),
    )


def _all_potholes(marks: list[dict[str, Any]]) -> bool:
    return all(mark["label"] == "pothole" for mark in marks)


def _kind(picture: bytes) -> str:
    if picture[4:8] == b"ftyp":
        return "image/avif"
    if picture[:4] == b"RIFF":
        return "image/webp"
    return next((kind for start, kind in _KINDS.items() if picture.startswith(start)), "image/jpeg")


def _outline(number: int, mark: dict[str, Any]) -> str:
    x, y = (float(value) for value in mark["box"][:2])
    shapes = "".join(
        f'<polygon points="{" ".join(str(float(value)) for value in polygon)}"/>'
        for polygon in mark["polygons"]
    )
    return f'<g>{shapes}<text x="{x}" y="{max(y, 20)}">{number}</text></g>'


def _row(number: int, mark: dict[str, Any]) -> str:
    left, top, right, bottom = (round(float(value)) for value in mark["box"])
    return (
        f"<tr><th>{number}</th><td>{escape(str(mark['label']))}</td><td>{float(mark['score']):.2f}</td>"
        f"<td>{right - left} × {bottom - top}</td></tr>"
    )

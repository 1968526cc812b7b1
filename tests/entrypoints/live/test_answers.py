"""What the live API asks the detector, whichever server it is in."""

from typing import Any

import pytest

from pothole.entrypoints.live.answers import LiveApi, Question
from pothole.entrypoints.live.public_web import PublicWeb


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        (Question("POST", "/liveinference", kind="image/png", body=b"sent"), "image/png"),
        (Question("GET", "/liveinference", {"key": "a.jpg"}, kind="image/png"), "application/x-image"),
    ],
)
def test_a_picture_has_the_type_that_it_was_sent_with_and_any_type_where_none_is_known(
    question: Question, kind: str
) -> None:
    asked: list[tuple[bytes, str]] = []

    def detect(picture: bytes, kind: str) -> dict[str, Any]:
        asked.append((picture, kind))
        return {"output": [], "image": {"width": 1, "height": 1}}

    api = LiveApi(detect, lambda key: b"kept", PublicWeb(frozenset(), 9), max_bytes=9)
    assert api.answer(question).status == 200
    assert asked == [(b"sent" if question.body else b"kept", kind)]


def test_a_picture_that_is_too_large_is_refused() -> None:
    api = LiveApi(lambda picture, kind: {}, None, PublicWeb(frozenset(), 9), max_bytes=9)
    assert api.answer(Question("POST", "/liveinference", body=b"0123456789")).status == 413

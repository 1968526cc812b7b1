"""Errors say what they are about without losing the words they were raised with."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pothole.errors import InvalidMedia, PotholeError, StorageUnavailable, reason


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (lambda: Path("/no/such.json").read_text(), "no such file or directory"),
        (lambda: json.loads('{"a":'), "it is no JSON at line 1, column 6"),
        (b"\xff".decode, "it is no text in UTF-8"),
        (lambda: {"a": 1}["image_id"], "'image_id' is missing"),
        (lambda: len(3), "a value in it is of another kind than expected"),  # type: ignore[arg-type]
        (lambda: socket.create_connection(("127.0.0.1", 9)), "connection refused"),
        (lambda: float("three"), "could not convert string to float: 'three'"),
    ],
)
def test_why_something_failed_is_told_without_what_only_programmers_read(
    action: Callable[[], object], said: str
) -> None:
    with pytest.raises(Exception) as caught:  # each is another one
        action()
    assert reason(caught.value) == said


def test_of_a_librarys_lines_the_last_one_is_told() -> None:
    error = RuntimeError(
        "Exception from src/core.cpp:84:\nCheck 'x' failed at y.cpp:9:\nIncorrect weights!\n\n"
    )
    assert reason(error) == "Incorrect weights"
    assert reason(TimeoutError()) == "TimeoutError"


def test_the_source_stands_in_front_and_the_message_stays() -> None:
    error = InvalidMedia("There is no picture in it.", "Send another file.")
    assert error.about("s3://b/clip.mp4") is error
    assert error.message == "There is no picture in it."
    assert str(error) == "s3://b/clip.mp4: There is no picture in it. Send another file."
    assert error.to_json()["error"]["message"] == "s3://b/clip.mp4: There is no picture in it."


def test_a_message_that_names_the_source_says_it_once() -> None:
    error = InvalidMedia("/roads/clip.mp4 is no video.").about("clip.mp4")
    assert str(error) == "/roads/clip.mp4 is no video."


def test_whoever_tells_a_person_names_the_source_their_way() -> None:
    error = InvalidMedia("There is no picture in it.").about("/a/long/way/clip.mp4").about("clip.mp4")
    assert str(error) == "clip.mp4: There is no picture in it."


def test_an_error_survives_its_json() -> None:
    error = StorageUnavailable("S3 is silent.", "Ask later.").about("s3://b/clip.mp4")
    again = PotholeError.from_json(error.to_json()["error"])
    assert type(again) is StorageUnavailable
    assert str(again) == str(error)

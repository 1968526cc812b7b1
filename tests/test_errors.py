"""Errors say what they are about without losing the words they were raised with."""

from pothole.errors import InvalidMedia, PotholeError, StorageUnavailable


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

"""What a request says of positions."""

from typing import Any

import pytest

from pothole.errors import RequestError
from pothole.geo.plane import Camera
from pothole.jobs.request import JobRequest


def request(**fields: Any) -> JobRequest:
    return JobRequest.from_json({"input": {"s3_bucket": "b", "s3_source_filename": "clip.mp4", **fields}})


def test_track_offset_and_camera_reach_the_job() -> None:
    job = request(track="clip.gpx", track_offset_s=-1, camera={"height_m": 1.4, "fov_deg": 70}).job
    assert (job.track, job.track_offset_s, job.camera) == ("clip.gpx", -1.0, Camera(1.4, None, 70.0))
    assert request().job.camera is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"track": ""}, "input.track is"),
        ({"track_offset_s": float("nan")}, "input.track_offset_s is NaN, expected"),
        ({"track_offset_s": 1e9}, "at most 86400"),
        ({"camera": 3}, "input.camera is 3, expected a JSON object"),
        ({"camera": {"height_m": "x"}}, "input.camera.height_m is"),
        ({"camera": {"height_m": 9}}, "camera.height_m is 9, expected 0.4 to 4.5"),
        ({"camera": {"zoom": 2}}, "camera.zoom is not known"),
    ],
)
def test_what_cannot_be_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        request(**fields)


@pytest.mark.parametrize(
    "fields", [{"x" * 100_000: 1}, {"camera": {"x" * 100_000: 1}}, {"track": "x" * 100_000}]
)
def test_an_answer_is_short_however_long_a_name_is(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        request(**fields)
    assert len(str(caught.value)) < 1000

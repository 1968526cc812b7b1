"""An endpoint that fails in every way loses no picture, and holds no more of them than it may."""

import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from pothole.entrypoints.stream.endpoint import Endpoint
from pothole.entrypoints.stream.inference import Inference, Passing, Places
from pothole.entrypoints.stream.metrics import StreamMetrics
from pothole.errors import Interrupted, PotholeError, TooLarge
from pothole.media.picture import encode_picture
from support.streams import FaultyEndpoint, numbered


def started(endpoint: Endpoint, timeout_s: float = 5, threads: int = 20) -> Inference[bytes, bytes]:
    return Inference(endpoint, threads, timeout_s, "look-{}".format, StreamMetrics())


@pytest.mark.parametrize(
    ("content_type", "begin"),
    [
        ("image/jpeg", b"\xff\xd8\xff"),
        ("image/png", b"\x89PNG"),
        ("image/bmp", b"BM"),
        ("image/gif", b"GIF8"),
        ("application/x-image", b"\xff\xd8\xff"),
    ],
)
def test_a_picture_is_sent_as_the_endpoint_takes_it(
    endpoint: FaultyEndpoint, content_type: str, begin: bytes
) -> None:
    predictor = endpoint.predictor(content_type=content_type)
    predictor.predict(predictor.prepare(numbered(3).image), time.monotonic() + 5)
    [(sent_type, body)] = endpoint.bodies
    assert sent_type == content_type and body.startswith(begin)


@pytest.mark.parametrize("fault", [503, 500, 429, 0.6], ids=["503", "model-500", "model-429", "sleeps"])
def test_an_endpoint_that_fails_for_half_of_the_calls_loses_no_picture(
    endpoint: FaultyEndpoint, fault: int | float
) -> None:
    endpoint.fault = lambda number: fault if number % 2 else None
    predictor = endpoint.predictor(timeout_s=0.3)
    bodies = [predictor.prepare(numbered(number).image) for number in range(20)]
    with started(predictor, timeout_s=0.3) as inference:
        answers = [inference.submit(body) for body in bodies]
        digests = [answer.result(timeout=30) for answer in answers]
    assert len(set(digests)) == 20
    if not isinstance(fault, float):  # of those that sleep, some were given up already
        assert endpoint.most <= 20


def test_a_picture_that_the_model_refuses_is_not_tried_again(endpoint: FaultyEndpoint) -> None:
    endpoint.fault = lambda number: 415
    predictor = endpoint.predictor()
    with started(predictor) as inference:
        answer = inference.submit(predictor.prepare(numbered(1).image))
        with pytest.raises(PotholeError, match="objects answers ModelError with 415: no picture"):
            answer.result(timeout=5)
    assert len(endpoint.bodies) == 1
    with pytest.raises(TooLarge, match=r"endpoints take 26214400. Let the endpoint take image/jpeg"):
        predictor.predict(bytes(25 * 2**20 + 1), time.monotonic() + 5)


def test_no_call_goes_on_beyond_the_time_of_its_picture(endpoint: FaultyEndpoint) -> None:
    """The second try, begun with less time left than the first had, is cut short, too."""
    endpoint.fault = lambda number: 5.0
    predictor, started_at = endpoint.predictor(timeout_s=0.8), time.monotonic()
    deadline = started_at + 0.8
    looks = count()
    while True:
        try:
            predictor.predict(b"x", deadline - 0.3 if next(looks) == 0 else deadline)
        except Passing as exc:
            if "in time" in str(exc):
                break
    assert len(endpoint.bodies) >= 2
    assert time.monotonic() - started_at < 2


def test_a_full_queue_lets_the_reader_wait_for_pictures_and_for_bytes() -> None:
    stopped = threading.Event()
    stopped.set()
    places = Places(most=3, most_bytes=100)
    assert [places.take(10, stopped) for _ in range(4)] == [True, True, True, False]
    places.leave(10)
    assert not places.take(81, stopped) and places.take(80, stopped)
    assert Places(1, 100).take(1000, stopped), "a picture of more than all bytes waits for ever"


def test_the_end_of_the_consumer_ends_what_is_tried_again_and_again(endpoint: FaultyEndpoint) -> None:
    endpoint.fault = lambda number: 503
    predictor = endpoint.predictor()
    with started(predictor, threads=2) as inference:
        answers = [inference.submit(b"x") for _ in range(6)]
        while not endpoint.bodies:
            time.sleep(0.01)
    for answer in answers:
        with pytest.raises(Interrupted):
            answer.result(timeout=1)


def test_threads_have_the_name_that_the_configuration_gives() -> None:
    class Naming:
        def predict(self, body: str, deadline: float) -> str:
            return threading.current_thread().name

    predictor: Any = Naming()
    name: Callable[[int], str] = "SageMakerThreadPool-{}".format
    with Inference[str, str](predictor, 1, 1, name, StreamMetrics()) as inference:
        assert inference.submit("").result() == "SageMakerThreadPool-1"


def test_a_picture_is_coded_without_loss_where_the_type_allows(endpoint: FaultyEndpoint) -> None:
    image = numbered(200).image
    assert endpoint.predictor().prepare(image) == encode_picture(image, "image/png")

"""What the web application does beside invocations, and how many it takes."""

import threading
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask.testing import FlaskClient

from pothole.entrypoints.http.app import create_app
from pothole.entrypoints.http.invocations import Invocations
from pothole.errors import Busy, ModelError
from pothole.settings import Settings
from support.fakes import MagentaDetector
from support.pictures import coded, road
from support.server_requests import picture

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.usefixtures("no_temporary_file_is_left")


def test_ping_says_503_while_the_model_loads_and_200_afterwards(settings: Settings) -> None:
    loaded = threading.Event()

    def load(_: Path) -> MagentaDetector:
        loaded.wait(10)
        return MagentaDetector()

    app = create_app(settings, load)
    client = app.test_client()
    for response in (client.get("/ping"), client.post("/invocations", json={})):
        assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert response.json is not None
        assert response.json["error"]["code"] == "not_ready"
        assert response.headers["Retry-After"]
    loaded.set()
    app.extensions["worker"].result()
    assert client.get("/ping").status_code == HTTPStatus.OK


def test_the_model_folder_of_the_settings_is_loaded(settings: Settings) -> None:
    asked: list[Path] = []

    def load(model_dir: Path) -> MagentaDetector:
        asked.append(model_dir)
        return MagentaDetector()

    create_app(settings, load).extensions["worker"].result()
    assert asked == [settings.model_dir]


def test_a_model_that_cannot_be_loaded_is_said_by_ping(settings: Settings) -> None:
    def load(model_dir: Path) -> MagentaDetector:
        raise ModelError("The model folder has no config.json.")

    app = create_app(settings, load)
    app.extensions["worker"].exception()
    response = app.test_client().get("/ping")
    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert response.json is not None
    assert response.json["error"]["message"] == "The model folder has no config.json."


def test_execution_parameters_stay_within_what_batch_transform_allows(client: FlaskClient) -> None:
    parameters = client.get("/execution-parameters").get_json()
    assert parameters["BatchStrategy"] == "SINGLE_RECORD"
    assert parameters["MaxConcurrentTransforms"] * parameters["MaxPayloadInMB"] <= 100


@pytest.mark.parametrize("path", ["/nothing", "/invocations/", "/static/app.py"])
def test_other_paths_are_a_404_as_json(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == HTTPStatus.NOT_FOUND
    assert response.json is not None
    assert response.json["error"]["code"] == "not_found"


def test_other_methods_are_a_405_as_json_that_says_which_is_allowed(client: FlaskClient) -> None:
    response = client.get("/invocations")
    assert response.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert "POST" in response.headers["Allow"]
    assert response.json is not None
    assert response.json["error"]["code"] == "method_not_allowed"


def test_a_failure_of_ours_shows_the_client_no_traceback_and_the_log_all(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(MagentaDetector):
        def predict(self, *_: object, **__: object) -> Any:
            raise ZeroDivisionError("secret detail")

    app = create_app(settings, lambda _: Broken())
    app.extensions["worker"].result()
    response = app.test_client().post("/invocations", data=coded(road()), content_type="image/png")
    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert response.json is not None
    assert response.json["error"]["code"] == "internal_error"
    assert b"secret" not in response.data
    assert "secret detail" in caplog.text


def test_requests_above_the_number_of_threads_are_turned_away_and_the_next_is_served(
    settings: Settings,
) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(MagentaDetector):
        def predict(self, *args: Any) -> Any:
            entered.set()
            leave.wait(10)
            return super().predict(*args)

    app = create_app(replace(settings, threads=1), lambda _: Slow())
    app.extensions["worker"].result()

    def post(statuses: list[int]) -> None:
        with app.test_client().post("/invocations", data=coded(road()), content_type="image/png") as response:
            statuses.append(response.status_code)

    first: list[int] = []
    thread = threading.Thread(target=post, args=(first,))
    thread.start()
    entered.wait(10)
    others: list[int] = []
    post(others)
    leave.set()
    thread.join()
    post(others)
    assert (first, others) == ([200], [429, 200])


def test_refused_requests_take_no_thread_from_the_next(settings: Settings) -> None:
    app = create_app(replace(settings, threads=1), lambda _: MagentaDetector())
    app.extensions["worker"].result()
    client = app.test_client()
    for _ in range(3):
        assert client.post("/invocations", json={}).status_code == HTTPStatus.BAD_REQUEST
    with client.post("/invocations", data=coded(road()), content_type="image/png") as response:
        assert response.status_code == HTTPStatus.OK


def test_a_request_id_is_taken_and_answered(
    client: FlaskClient,
) -> None:
    given = client.get("/ping", headers={"X-Request-Id": "lambda-1.2_3"})
    assert given.headers["X-Request-Id"] == "lambda-1.2_3"
    passed = client.get("/ping", headers={"X-Amzn-SageMaker-Inference-Id": "upload-1"})
    assert passed.headers["X-Request-Id"] == "upload-1"
    ids = {client.get("/ping").headers["X-Request-Id"] for _ in range(2)}
    assert len(ids) == 2
    forged = client.get("/ping", headers={"X-Request-Id": 'x" injected="1'})
    assert forged.headers["X-Request-Id"] != 'x" injected="1'


def test_a_picture_is_not_taken_into_memory_before_there_is_a_place_for_it(settings: Settings) -> None:
    """Else as many large bodies lie there as the server has threads."""
    nobody: Any = None
    worker: Any = type("Worker", (), {"detector": MagentaDetector()})()
    invocations = Invocations(nobody, replace(settings, threads=1))
    read: list[str] = []

    def file() -> bytes:
        read.append("read")
        return picture()

    with invocations.look(file, worker), pytest.raises(Busy), invocations.look(file, worker):
        pass
    assert read == ["read"]

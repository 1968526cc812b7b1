"""The web application answers `/ping`, `/invocations`, `/execution-parameters` and `/metrics`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from prometheus_client import CONTENT_TYPE_LATEST

from pothole.detection.detector import Detector
from pothole.entrypoints.http.error_answers import answer_errors_as_json
from pothole.entrypoints.http.invocations import Invocations
from pothole.entrypoints.http.job_queue import JobQueue
from pothole.entrypoints.http.live import add_live_routes
from pothole.entrypoints.http.logs import log_requests
from pothole.errors import NotReady
from pothole.files import MIB
from pothole.jobs.samples import SamplePublisher
from pothole.jobs.shutdown import ShutdownSignal
from pothole.jobs.worker import Worker
from pothole.metrics import Metrics
from pothole.settings import Settings
from pothole.storage import Storage, check_disk, open_s3


def create_app(
    settings: Settings,
    load_detector: Callable[[Path], Detector],
    open_store: Callable[[str], Storage] | None = None,
) -> Flask:
    """Build the application; the model loads in the background, and until then `/ping` says 503.

    `app.extensions["worker"]` is the future of the worker with its model. Before the process ends
    `app.extensions["queue"]` is to be stopped, and `app.extensions["samples"]` closed unless it is None.

    Args:
        settings: Limits and folders.
        load_detector: Loads a model folder.
        open_store: Opens a bucket; of S3 when None.
    """
    app = Flask(__name__, static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider
    metrics, shutdown = Metrics(settings.metrics_namespace), ShutdownSignal()
    log_requests(app)
    answer_errors_as_json(app, metrics)

    opener = open_store or partial(open_s3, settings=settings)
    loading = ThreadPoolExecutor(1).submit(Worker.load, settings, load_detector, opener, metrics, shutdown)
    queue = JobQueue(settings, metrics, shutdown)
    samples = SamplePublisher.of(settings)
    app.extensions |= {"worker": loading, "queue": queue, "samples": samples}

    def worker() -> Worker:
        if not loading.done():
            raise NotReady("The model is still loading.", hint="Ask again in some seconds.")
        return loading.result()

    invocations = Invocations(queue, settings, samples)
    _add_routes(app, worker, invocations, settings, metrics)
    add_live_routes(app, worker, invocations, opener, settings)
    return app


def _add_routes(
    app: Flask,
    worker: Callable[[], Worker],
    invocations: Invocations,
    settings: Settings,
    metrics: Metrics,
) -> None:
    @app.after_request
    def discard_refused_body(response: Response) -> Response:
        # Closing on a sender in the middle of a body makes nginx say 502 at times in place of our reason.
        # Only where a body has an end, as gunicorn's has: the thread of `/ping` would wait for more for ever.
        ends, body = request.environ.get("wsgi.input_terminated"), request.environ["wsgi.input"]
        while response.status_code >= HTTPStatus.BAD_REQUEST and ends and body.read(MIB):
            pass
        return response

    @app.get("/ping")
    def ping() -> dict[str, str]:
        if worker().shutdown.soon.is_set():
            raise NotReady("The server is stopping.", hint="Ask another one.")
        return {"status": "ready", "model": worker().detector.name}

    @app.get("/room")
    def room() -> tuple[str, HTTPStatus]:
        # nginx asks this before it takes a body in, and lets nobody else ask.
        check_disk(settings, request.headers.get("X-Body-Length", 0, int))
        return "", HTTPStatus.NO_CONTENT

    @app.get("/metrics")
    def prometheus() -> Response:
        return Response(metrics.text(), content_type=CONTENT_TYPE_LATEST)

    @app.get("/execution-parameters")
    def execution_parameters() -> dict[str, Any]:
        # One at a time, since the product of both may not be above 100 MB.
        payload = min(100, settings.max_video_bytes // MIB)
        return {
            "MaxConcurrentTransforms": 1,
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": payload,
        }

    @app.post("/invocations")
    def invoke() -> Response:
        return invocations.answer(request, worker())

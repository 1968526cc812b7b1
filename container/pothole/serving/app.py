"""The web application: `/ping`, `/invocations`, `/execution-parameters`."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from flask import Flask, Response, request

from pothole.detector import Detector
from pothole.errors import NotReady
from pothole.serving.error_answers import answer_errors_as_json
from pothole.serving.invocations import answer
from pothole.serving.logs import log_requests
from pothole.settings import Settings
from pothole.storage import Storage, open_s3

MIB = 2**20


def create_app(
    settings: Settings,
    load_detector: Callable[[Path], Detector],
    open_store: Callable[[str], Storage] | None = None,
) -> Flask:
    """Build the application; the model loads in the background, and until then `/ping` says 503.

    `app.extensions["detector"]` is the future of the model.

    Args:
        settings: Limits and folders.
        load_detector: Loads a model folder.
        open_store: Opens a bucket; of S3 when None.
    """
    open_store = open_store or partial(open_s3, settings=settings)
    app = Flask(__name__, static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider
    log_requests(app)
    answer_errors_as_json(app)
    loading: Future[Detector] = ThreadPoolExecutor(1).submit(load_detector, settings.model_dir)
    app.extensions["detector"] = loading
    slots = BoundedSemaphore(settings.threads)

    def detector() -> Detector:
        if not loading.done():
            raise NotReady("The model is still loading.", hint="Ask again in some seconds.")
        return loading.result()

    @app.after_request
    def discard_refused_body(response: Response) -> Response:
        # Closing on a sender in the middle of a body makes nginx say 502 at times in place of our reason.
        while response.status_code >= HTTPStatus.BAD_REQUEST and request.environ["wsgi.input"].read(MIB):
            pass
        return response

    @app.get("/ping")
    def ping() -> dict[str, str]:
        return {"status": "ready", "model": detector().name}

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
    def invocations() -> Response:
        # gunicorn has more threads than there are slots, so that one is always left for /ping.
        if not slots.acquire(blocking=False):
            raise NotReady(
                f"The server works on {settings.threads} requests already.",
                hint="Send the request again later, or start more servers.",
            )
        try:
            response = answer(request, detector(), open_store, settings)
        except BaseException:
            slots.release()
            raise
        response.call_on_close(slots.release)  # a marked video is sent after this function has returned
        return response

    return app

"""The live API as routes of the server."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from flask import Flask, Response, request

from pothole.entrypoints.http.invocations import Invocations, body
from pothole.entrypoints.live.answers import Found, LiveApi, Question
from pothole.entrypoints.live.public_web import PublicWeb
from pothole.jobs.worker import Worker
from pothole.settings import Settings
from pothole.storage import Storage


def add_live_routes(
    app: Flask,
    worker: Callable[[], Worker],
    invocations: Invocations,
    open_store: Callable[[str], Storage],
    settings: Settings,
) -> None:
    """Add `/`, `/liveinference` and `/image`.

    Args:
        app: Gets the routes.
        worker: Returns the worker, or raises NotReady.
        invocations: Look at pictures, within limits that all requests share.
        open_store: Opens a bucket.
        settings: Limits, and where pictures may come from.
    """

    def detect(picture: bytes, _: str) -> Found:
        with invocations.look(lambda: picture, worker()) as (_image, detections):
            return detections.picture_json()

    def read(key: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="picture-", dir=settings.temp_dir) as folder:
            store = open_store(settings.live_bucket)
            return store.fetch(key, Path(folder), settings.max_image_bytes).read_bytes()

    web = PublicWeb(frozenset(host.lower() for host in settings.live_hosts), settings.max_image_bytes)
    api = LiveApi(detect, read if settings.live_bucket else None, web, settings.max_image_bytes)

    @app.get("/")
    @app.get("/image")
    @app.route("/liveinference", methods=["GET", "POST"])
    def live() -> Response:
        sent = body(request, settings.max_image_bytes) if request.method == "POST" else b""
        accepted = request.headers.get("Accept", "")
        answer = api.answer(
            Question(request.method, request.path, request.args, accepted, request.mimetype, sent)
        )
        return Response(answer.text, answer.status, answer.headers, content_type=answer.kind)

"""What `/invocations` does with each content type."""

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

from flask import Request, Response, jsonify
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wsgi import FileWrapper

from pothole.detector import Detector
from pothole.draw import draw
from pothole.errors import RequestError, TooLarge, UnsupportedMedia
from pothole.job import Job, Progress, run_job
from pothole.picture import FORMATS, encode_picture, read_picture
from pothole.request import EXAMPLE
from pothole.settings import Settings
from pothole.storage import LocalStorage, Storage

MIB = 2**20
PROGRESS_EVERY_S = 10.0
_logger = logging.getLogger("pothole.jobs")


def answer(
    request: Request, detector: Detector, open_store: Callable[[str], Storage], settings: Settings
) -> Response:
    """Answer one invocation.

    Raises:
        UnsupportedMedia: The body is of a type that is not read here.
        PotholeError: Whatever the job or the picture raises.
    """
    kind = request.mimetype
    if kind == "application/json":
        return _job(request, detector, open_store, settings)
    if kind in FORMATS or kind == "application/x-image":
        return _picture(request, detector, settings)
    if kind.startswith("video/"):
        return _video(request, detector, settings)
    raise UnsupportedMedia(
        f"The content type is {kind!r}." if kind else "There is no Content-Type header.",
        hint=f"Send application/json with a job, {', '.join(FORMATS)} or application/x-image with a picture, "
        "or video/* with a video.",
    )


def _job(
    request: Request, detector: Detector, open_store: Callable[[str], Storage], settings: Settings
) -> Response:
    job = Job.from_json(_decoded_json(_body(request, MIB)))
    result = run_job(job, detector, open_store, settings, _log_progress())
    return jsonify(output=result.outputs, job=result.to_json())


def _picture(request: Request, detector: Detector, settings: Settings) -> Response:
    body = _body(request, settings.max_image_bytes)
    image = read_picture(BytesIO(body), "The picture", settings.max_image_pixels)
    detections = detector.predict([image])[0]
    accepted = request.accept_mimetypes.best_match(["application/json", *FORMATS])
    if accepted is not None and accepted in FORMATS:
        draw(image, detections)
        return Response(encode_picture(image, accepted), mimetype=accepted)
    height, width = detections.image_size
    return jsonify(output=detections.to_json(), image={"width": width, "height": height})


def _video(request: Request, detector: Detector, settings: Settings) -> Response:
    with tempfile.TemporaryDirectory(prefix="body-", dir=settings.temp_dir) as folder:
        job = Job(source_bucket=folder, source_key="body", is_live=True)
        with _limited(request, settings.max_video_bytes), Path(folder, job.source_key).open("wb") as file:
            shutil.copyfileobj(request.stream, file, MIB)
        result = run_job(job, detector, _open_folder, settings, _log_progress())
        # Open while it is deleted: the bytes stay until they are sent, and no file is left if they never are.
        marked = Path(folder, job.output_key(".mp4")).open("rb")  # noqa: SIM115
    response = Response(FileWrapper(marked, MIB), mimetype="video/mp4")
    response.content_length = marked.seek(0, 2)
    marked.seek(0)
    response.headers["X-Job"] = json.dumps(result.to_json())
    return response


def _body(request: Request, max_bytes: int) -> bytes:
    with _limited(request, max_bytes):
        return request.get_data(cache=False)


@contextmanager
def _limited(request: Request, max_bytes: int) -> Iterator[None]:
    """Refuse to read more than `max_bytes` of the body, whether its length is declared or not."""
    request.max_content_length = max_bytes
    try:
        yield
    except RequestEntityTooLarge as exc:
        raise TooLarge(f"The body is above the limit of {max_bytes} bytes for {request.mimetype}.") from exc


def _decoded_json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        reason = exc if isinstance(exc, json.JSONDecodeError) else type(exc).__name__
        raise RequestError(f"The body is not JSON: {reason}.", hint=f"Send for example {EXAMPLE}.") from exc


def _log_progress() -> Callable[[Progress], None]:
    started = last = time.monotonic()

    def log(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_EVERY_S:
            last = now
            _logger.info("marking", extra=asdict(progress) | {"seconds": round(now - started, 1)})

    return log


def _open_folder(bucket: str) -> Storage:
    return LocalStorage(Path(bucket))

"""This module says what `/invocations` does with each content type."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from flask import Request, Response, jsonify
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wsgi import FileWrapper

from pothole.detection.detector import DOUBTFUL, Detector
from pothole.detections import Detections
from pothole.entrypoints.http.job_queue import JobQueue
from pothole.entrypoints.http.pixel_budget import PixelBudget
from pothole.errors import Busy, RequestError, TooLarge, UnsupportedMedia
from pothole.files import MIB
from pothole.job_order import Job
from pothole.jobs.questions import answer_question, is_question
from pothole.jobs.record import Record
from pothole.jobs.request import EXAMPLE, JobRequest
from pothole.jobs.samples import SamplePublisher
from pothole.jobs.worker import Worker
from pothole.media.picture import ALIASES, FORMATS, READABLE, encode_picture, read_picture
from pothole.outputs.annotate import draw
from pothole.pipeline.source import COPIES
from pothole.settings import MAX_JSON_BYTES, Settings
from pothole.storage import disk_space, open_folder
from pothole.types import Image

MAX_WARNING = 300  # letters of it in a header, all of which nginx takes in 4 KB; one may be six bytes there
RETRY_HINT = 'To have it tried again, send "retry": true.'


class Invocations:
    """This class answers invocations, as many at a time as the settings allow.

    Args:
        queue: Where videos wait.
        settings: Limits.
        samples: Publishes some of the pictures; None publishes nothing.
    """

    def __init__(self, queue: JobQueue, settings: Settings, samples: SamplePublisher | None = None) -> None:
        self._queue, self._settings, self._samples = queue, settings, samples
        self._pictures = BoundedSemaphore(settings.threads)
        self._pixels = PixelBudget(settings.max_decoded_pixels)

    def answer(self, request: Request, worker: Worker) -> Response:
        """Answer one invocation.

        Raises:
            UnsupportedMedia: The body is of a type that is not read here.
            Busy: There is too much to do already.
            PotholeError: Whatever the job or the picture raises.
        """
        kind = ALIASES.get(request.mimetype, request.mimetype)
        if kind == "application/json":
            return self._job(request, worker)
        if kind in READABLE or kind == "application/x-image":
            return self._picture(request, worker)
        if kind.startswith("video/"):
            return self._video(request, worker)
        raise UnsupportedMedia(
            f"The content type is {kind!r}." if kind else "There is no Content-Type header.",
            hint=f"Send application/json with a job, {', '.join(READABLE)} or application/x-image with a "
            "picture, or video/* with a video.",
        )

    def _job(self, request: Request, worker: Worker) -> Response:
        given = _decoded_json(body(request, MAX_JSON_BYTES))
        if is_question(given):
            return jsonify(answer_question(given, worker.open_store))
        asked = JobRequest.from_json(given)
        job = worker.named(asked.job)
        try:
            place = self._queue.place()
        except Busy:
            if record := worker.find_active(job, asked.retry):
                return _job_answer(record, worker.record_address(job, record))
            raise
        with place:
            claimed = worker.claim(job, asked.retry)
            if isinstance(claimed, Record):
                return _job_answer(claimed, worker.record_address(job, claimed))
            work = place.start(worker.run, job, claimed)
        record = work.result() if asked.wait else claimed.record
        return _job_answer(record, worker.record_address(job, record))

    @contextmanager
    def look(self, read: Callable[[], bytes], worker: Worker) -> Iterator[tuple[Image, Detections]]:
        """Yield a picture and what is on it; while it is in memory it counts.

        Args:
            read: Returns the file; called once there is a place for it.
            worker: Has the detector.

        Raises:
            Busy: There are enough pictures in work, or enough pixels in memory.
            PotholeError: It cannot be read, or is above a limit.
        """
        if not self._pictures.acquire(blocking=False):
            raise Busy(
                f"The server works on {self._settings.threads} pictures already.",
                hint="Send the request again later, or start more servers.",
            )
        try:
            file = read()
            with self._pixels.share() as take:
                image = read_picture(
                    BytesIO(file),
                    "The picture",
                    self._settings.max_image_pixels,
                    take,
                    self._settings.max_jpeg_scans,
                )
                yield image, self._found(image, worker.detector)
        finally:
            self._pictures.release()

    def _found(self, image: Image, detector: Detector) -> Detections:
        if self._samples is None:
            return detector.predict([image])[0]
        # What counts hardly or just not is what a person should look at.
        [found] = detector.predict([image], DOUBTFUL * detector.min_confidence)
        self._samples.consider(image, found, detector)
        return found[found.scores >= detector.min_confidence]

    def _picture(self, request: Request, worker: Worker) -> Response:
        with self.look(partial(body, request, self._settings.max_image_bytes), worker) as (image, detections):
            accepted = request.accept_mimetypes.best_match(["application/json", *FORMATS])
            if accepted is not None and accepted in FORMATS:
                draw(image, detections)
                return Response(encode_picture(image, accepted), mimetype=accepted)
            return jsonify(detections.picture_json())

    def _video(self, request: Request, worker: Worker) -> Response:
        with (
            self._queue.place() as place,
            disk_space(self._settings, (1 + COPIES) * (request.content_length or 0)),
            tempfile.TemporaryDirectory(prefix="body-", dir=self._settings.temp_dir) as folder,
        ):
            job = Job(source_bucket=folder, source_key="body", is_live=True)
            with (
                _limited(request, self._settings.max_video_bytes),
                Path(folder, job.source_key).open("wb") as file,
            ):
                shutil.copyfileobj(request.stream, file, MIB)
            result = place.start(worker.run_unrecorded, job, open_folder).result()
            # Open while it is deleted: the bytes stay until they are sent, and no file is left behind.
            marked = Path(folder, job.output_key("video")).open("rb")  # noqa: SIM115
        response = Response(FileWrapper(marked, MIB), mimetype="video/mp4")
        response.content_length = marked.seek(0, 2)
        marked.seek(0)
        response.headers["X-Job"] = json.dumps(result.to_json() | {"warning": _short(result.warning)})
        return response


def _short(text: str | None) -> str | None:
    return f"{text[:MAX_WARNING]}…" if text and len(text) > MAX_WARNING else text


def answer_json(record: Record, address: str) -> dict[str, Any]:
    """Return what is answered for a job.

    Args:
        record: The job's.
        address: Where the record is.
    """
    known = record.result or record.model_dump(include={"frames", "total", "potholes", "eta_s", "attempt"})
    return {
        "output": [output.address for output in record.outputs],
        "job": {"id": record.id, "state": record.state, "record": address, **known},
    }


def _job_answer(record: Record, address: str) -> Response:
    """Answer with a job's record.

    Raises:
        PotholeError: The job failed, for a reason of its own.
    """
    if error := record.failure:
        error.hint = " ".join(filter(None, (error.hint, RETRY_HINT)))
        raise error
    response = jsonify(answer_json(record, address))
    if record.state != "done":
        response.status_code = HTTPStatus.ACCEPTED
    return response


def body(request: Request, max_bytes: int) -> bytes:
    """Return the body of a request.

    Raises:
        TooLarge: It has more than `max_bytes`.
    """
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


def _decoded_json(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        reason = exc if isinstance(exc, json.JSONDecodeError) else type(exc).__name__
        raise RequestError(f"The body is not JSON: {reason}.", hint=f"Send for example {EXAMPLE}.") from exc

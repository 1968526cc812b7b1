"""A worker that was overtaken while it published writes over nothing of its successor."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from pothole.errors import Interrupted, LeaseLost, StorageUnavailable
from pothole.job_order import Job
from pothole.jobs.lease import Lease
from pothole.jobs.record import Record
from pothole.jobs.worker import Worker
from pothole.settings import Settings
from pothole.storage import Confirm, LocalStorage, Storage, open_folder, open_s3, version_at
from pothole.storage import s3 as s3_storage
from pothole.storage.s3_client import s3_client
from support.clips import make_clip
from support.fakes import MagentaDetector
from support.pictures import SIZE, road

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATA, VIDEO = OUTPUTS = "clip_output.json", "clip_output.mp4"
JOB = Job("bucket", "clip.mp4", is_live=True)
OTHER = replace(JOB, short_labels=True)
# The calls to S3 before which a worker is stopped, in the order in which an output is published.
CALLS = (
    "ListMultipartUploads",
    "CreateMultipartUpload",
    "UploadPart",
    "HeadObject",
    "CompleteMultipartUpload",
)
OpenStore = Callable[[str], Storage]


@dataclass
class Stop:
    """A worker's process that is stopped in the middle of a call: no thread of it gets further.

    Attributes:
        call: The call.
        key: Of the output that it is about.
    """

    call: str
    key: str
    here: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def pass_or_wait(self, call: str, key: str) -> None:
        if call == self.call and self.key in key:
            self.here.set()
        if self.here.is_set():
            assert self.go_on.wait(60)


class StoppedFolder(LocalStorage):
    """A folder whose worker is stopped: before it publishes, or once it has confirmed that it may."""

    def __init__(self, root: Path, stop: Stop) -> None:
        super().__init__(root)
        self._stop = stop

    def write(self, key: str, data: bytes, replaces: str | None) -> str | None:
        self._stop.pass_or_wait("write", key)
        return super().write(key, data, replaces)

    def publish(self, path: Path, key: str, content_type: str, confirm: Confirm | None = None) -> str | None:
        self._stop.pass_or_wait("publish", key)

        def confirmed() -> None:
            assert confirm
            confirm()
            self._stop.pass_or_wait("confirmed", key)

        return super().publish(path, key, content_type, confirm and confirmed)


@pytest.fixture
def stopped_s3(bucket: str, settings: Settings) -> Iterator[Callable[[Stop], OpenStore]]:
    """Gives a client of its own to a worker that is to be stopped."""
    own = replace(settings, s3_timeout_s=77)
    client = s3_client(own.s3_timeout_s, s3_storage.ATTEMPTS, own.s3_region)
    handlers = []

    def stopped(stop: Stop) -> OpenStore:
        def before_send(request: Any, event_name: str, **_: Any) -> None:
            stop.pass_or_wait(event_name.rpartition(".")[2], unquote(request.url))

        client.meta.events.register("before-send.s3", before_send)
        handlers.append(before_send)
        return lambda _: open_s3(bucket, own)

    yield stopped
    for handler in handlers:
        client.meta.events.unregister("before-send.s3", handler)


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return replace(settings, lease_s=1)


def put_clip(store: Storage, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "made.mp4", 4, size=SIZE, picture=road)
    store.publish(clip, "clip.mp4", "video/mp4")


def outputs(store: Storage, tmp_path: Path) -> list[bytes]:
    folder = tmp_path / "fetched"
    folder.mkdir(exist_ok=True)
    return [store.fetch(key, folder, 10**7).read_bytes() for key in OUTPUTS]


def start(worker: Worker, job: Job) -> Record:
    while not isinstance(lease := worker.claim(job), Lease):
        pass
    return worker.run(job, lease)


def overtake(
    stopped: OpenStore, stop: Stop, open_store: OpenStore, second: Job, settings: Settings, tmp_path: Path
) -> None:
    """Stop a worker, let another one do `second`, let the first go on: nothing of it may be left."""
    first = Worker(MagentaDetector(), "model", stopped, settings)
    other = Worker(MagentaDetector(), "model", open_store, settings)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(start, first, JOB)
        try:
            assert stop.here.wait(30)
            record = start(other, second)
            whole = outputs(open_store(""), tmp_path)
        finally:
            stop.go_on.set()
        with pytest.raises(LeaseLost):
            running.result(30)
    assert outputs(open_store(""), tmp_path) == whole
    assert other.claim(second) == record


@pytest.mark.parametrize("call", ["publish", "confirmed"])
@pytest.mark.parametrize("key", OUTPUTS)
@pytest.mark.parametrize("second", [JOB, OTHER], ids=["same", "other"])
def test_who_was_stopped_leaves_the_next_ones_outputs_in_a_folder_alone(
    tmp_path: Path, quick: Settings, call: str, key: str, second: Job
) -> None:
    folder = tmp_path / "folder"
    put_clip(LocalStorage(folder), tmp_path)
    stop = Stop(call, key)
    overtake(
        lambda _: StoppedFolder(folder, stop), stop, lambda _: LocalStorage(folder), second, quick, tmp_path
    )


@pytest.mark.parametrize(
    ("call", "key", "is_done_before"),
    # Of the first output, nothing is written yet, so that one who has done the job before has nothing to do.
    [(CALLS[-1], DATA, False), *((call, VIDEO, before) for call in CALLS for before in (False, True))],
)
def test_who_was_stopped_leaves_the_next_ones_outputs_in_s3_alone(
    tmp_path: Path,
    quick: Settings,
    bucket: str,
    stopped_s3: Callable[[Stop], OpenStore],
    call: str,
    key: str,
    is_done_before: bool,
) -> None:
    """Also where the next one's outputs are there already: the same content is the same version in S3."""
    stop = Stop(call, key)

    def open_store(_: str) -> Storage:
        return open_s3(bucket, quick)

    put_clip(open_store(""), tmp_path)
    if is_done_before:
        start(Worker(MagentaDetector(), "model", open_store, quick), OTHER)
    overtake(stopped_s3(stop), stop, open_store, OTHER, quick, tmp_path)


@pytest.mark.parametrize("call", ["HeadObject", "CompleteMultipartUpload"])
def test_nothing_that_somebody_without_a_lease_writes_meanwhile_is_lost_in_s3(
    tmp_path: Path,
    settings: Settings,
    bucket: str,
    s3: "S3Client",
    stopped_s3: Callable[[Stop], OpenStore],
    call: str,
) -> None:
    stop = Stop(call, VIDEO)
    path = tmp_path / "made.mp4"
    path.write_bytes(b"ours")
    confirmed = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        store = stopped_s3(stop)("")
        published = pool.submit(store.publish, path, VIDEO, "video/mp4", confirmed.set)
        assert stop.here.wait(30)
        s3.put_object(Bucket=bucket, Key=VIDEO, Body=b"theirs")
        stop.go_on.set()
        version = published.result(30)
    if call == "HeadObject":  # it was seen, and may be replaced
        assert version == version_at(store, VIDEO)
    else:
        assert version is None and path.exists()
        assert s3.get_object(Bucket=bucket, Key=VIDEO)["Body"].read() == b"theirs"
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_an_object_that_is_written_after_the_look_and_before_the_last_word_is_not_replaced(
    tmp_path: Path, settings: Settings, bucket: str, s3: "S3Client"
) -> None:
    """Whoever looks only after it has confirmed takes what came between for what it may replace."""
    path = tmp_path / "made.mp4"
    path.write_bytes(b"ours")
    asked = []

    def confirm() -> None:
        asked.append(1)
        if len(asked) == 2:
            s3.put_object(Bucket=bucket, Key=VIDEO, Body=b"theirs")

    assert open_s3(bucket, settings).publish(path, VIDEO, "video/mp4", confirm) is None
    assert s3.get_object(Bucket=bucket, Key=VIDEO)["Body"].read() == b"theirs"


def test_an_output_that_somebody_without_a_lease_replaces_is_no_done_job(
    tmp_path: Path, settings: Settings
) -> None:
    make_clip(tmp_path / "clip.mp4", 4, size=SIZE, picture=road)

    class Meddled(LocalStorage):
        def publish(
            self, path: Path, key: str, content_type: str, confirm: Confirm | None = None
        ) -> str | None:
            version = super().publish(path, key, content_type, confirm)
            if key.endswith(".mp4"):
                (tmp_path / DATA).write_text("{}")
            return version

    job = replace(JOB, source_bucket=str(tmp_path))
    with pytest.raises(Interrupted, match=r"clip_output.json was replaced"):
        start(Worker(MagentaDetector(), "model", lambda _: Meddled(tmp_path), settings), job)
    assert start(Worker(MagentaDetector(), "model", open_folder, settings), job).state == "done"


def test_a_lease_that_is_lost_after_the_last_output_is_no_done_job(
    tmp_path: Path, settings: Settings
) -> None:
    make_clip(tmp_path / "clip.mp4", 4, size=SIZE, picture=road)

    class Overtaken(LocalStorage):
        """Somebody else's name stands in every record, from the moment that the video is there."""

        def publish(
            self, path: Path, key: str, content_type: str, confirm: Confirm | None = None
        ) -> str | None:
            version = super().publish(path, key, content_type, confirm)
            if key.endswith(".mp4") and confirm:
                for record in (tmp_path / ".pothole").glob("publishing-*.json"):
                    record.write_bytes(record.read_bytes().replace(b"queued", b"done  "))
            return version

    job = replace(JOB, source_bucket=str(tmp_path))
    with pytest.raises(LeaseLost):
        start(Worker(MagentaDetector(), "model", lambda _: Overtaken(tmp_path), settings), job)


def test_an_output_that_is_replaced_again_and_again_is_given_up(tmp_path: Path, settings: Settings) -> None:
    make_clip(tmp_path / "clip.mp4", 4, size=SIZE, picture=road)
    tries = []

    class Contended(LocalStorage):
        def publish(
            self, path: Path, key: str, content_type: str, confirm: Confirm | None = None
        ) -> str | None:
            def meddle() -> None:
                assert confirm
                confirm()
                tries.append(key)
                (tmp_path / key).write_text(str(tries))

            return super().publish(path, key, content_type, confirm and meddle)

    job = replace(JOB, source_bucket=str(tmp_path))
    with pytest.raises(StorageUnavailable, match="again and again"):
        start(Worker(MagentaDetector(), "model", lambda _: Contended(tmp_path), settings), job)
    assert tries == [DATA] * 5

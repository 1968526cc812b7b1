"""Keys with a slash in front: S3 knows them, but people write them for keys without."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pothole.errors import SourceNotFound
from pothole.jobs.request import JobRequest
from pothole.jobs.worker import Worker
from pothole.settings import Settings
from pothole.storage import open_folder, open_s3
from support.fakes import MagentaDetector

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def asked(bucket: str, key: str) -> JobRequest:
    return JobRequest.from_json({"input": {"s3_bucket": bucket, "s3_source_filename": key}})


@pytest.mark.parametrize(
    ("there", "meant"),
    [
        (["a/clip.mp4"], "a/clip.mp4"),
        (["/a/clip.mp4"], "/a/clip.mp4"),
        (["a/clip.mp4", "/a/clip.mp4"], "/a/clip.mp4"),
    ],
)
def test_a_key_is_taken_as_it_is_and_without_its_slash_where_there_is_none(
    s3: "S3Client", bucket: str, settings: Settings, there: list[str], meant: str
) -> None:
    for key in there:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    worker = Worker(MagentaDetector(), "model", lambda name: open_s3(name, settings), settings)
    job = worker.named(asked(bucket, "/a/clip.mp4").job)
    assert job.source_key == meant
    assert s3.get_object(Bucket=bucket, Key=job.source_key)["Body"].read() == meant.encode()


def test_a_missing_source_is_told_without_the_slash(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "clip.mp4").touch()
    worker = Worker(MagentaDetector(), "model", open_folder, settings)
    assert worker.named(asked(str(tmp_path), "/clip.mp4").job).source_key == "clip.mp4"
    with pytest.raises(SourceNotFound, match=r"/other\.mp4\.$"):
        worker.named(asked(str(tmp_path), "/other.mp4").job)

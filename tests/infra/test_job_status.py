"""`make status JOB=…`: what the record of one job says, or SageMaker of a processing job."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

import deploy
from support.deployment import Deployed, sending, wait_for_object
from support.jobs import all_records

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

from support.clips import make_clip
from support.pictures import SIZE, road


def test_a_job_is_found_by_its_video_by_its_id_and_a_processing_job_by_its_name(
    s3: "S3Client", bucket: str, deployed: Deployed, tmp_path: Path, capsys: Any
) -> None:
    def status(job: str) -> str:
        deploy.run(["status", "--name", "road", "--job", job])
        return capsys.readouterr().out  # type: ignore[no-any-return]

    clip = make_clip(tmp_path / "clip.mp4", 4, size=SIZE, picture=road)
    s3.upload_file(str(clip), bucket, "asked/of/clip.mp4")
    s3.put_object(Bucket=bucket, Key="asked/of/text.mp4", Body=b"this is no video")
    wait_for_object(s3, bucket, "asked/of/clip_output.mp4")

    def record_of(name: str) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:  # the record follows the video
            for record in all_records(s3, bucket):
                if record["source"].endswith(name) and record["state"] in ("done", "failed"):
                    return record
        raise TimeoutError(name)

    record = record_of("asked/of/clip.mp4")
    for job in ("asked/of/clip.mp4", f"s3://{bucket}/asked/of/clip.mp4", record["id"]):
        said = status(job)
        assert "done" in said and "clip_output.mp4" in said
    with sending(LARGEST_VIDEO_BYTES="1"):
        event = {
            "Records": [
                {
                    "eventName": "ObjectCreated:Put",
                    "s3": {"bucket": {"name": bucket}, "object": {"key": "asked/of/clip.mp4", "size": 1000}},
                }
            ]
        }
        answer = boto3.client("lambda").invoke(FunctionName="road-send", Payload=json.dumps(event))
    [started] = json.loads(answer["Payload"].read())["results"]
    assert "asked/of/clip.mp4" in status(started["job"])
    record_of("asked/of/text.mp4")
    assert "failed" in status("asked/of/text.mp4")
    with pytest.raises(deploy.Failed, match=r"Nothing is known of asked/none\.mp4"):
        status("asked/none.mp4")

"""`pothole work` as a process, against the emulator's SQS, DynamoDB and S3."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.clips import make_clip
from support.jobs import all_records, content, keys
from support.pictures import SIZE, road
from support.queues import Pipeline

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.usefixtures("aws")

Make = Callable[..., Pipeline]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Pipeline] = []

    def make(**options: Any) -> Pipeline:
        folder = tmp_path / f"pipeline-{len(made)}"
        folder.mkdir()
        made.append(Pipeline(folder, **options))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.stop()


@pytest.fixture
def put(s3: "S3Client", bucket: str, tmp_path: Path) -> Callable[..., str]:
    def put(key: str, frames: int = 4) -> str:
        clip = make_clip(tmp_path / "clip.mp4", frames, size=SIZE, picture=road)
        s3.put_object(Bucket=bucket, Key=key, Body=clip.read_bytes())
        return key

    return put


def test_a_message_becomes_outputs_and_a_step_that_is_done(
    make: Make, put: Callable[..., str], s3: "S3Client", bucket: str
) -> None:
    pipeline = make()
    pipeline.send_video(17, bucket, put("project/split/clip.mp4"))
    pipeline.start()
    pipeline.wait(lambda: pipeline.state(17) == "done")
    pipeline.wait(lambda: pipeline.counts() == (0, 0))
    result = {"bucket": bucket, "key": "project/human_detection/clip.json"}
    assert pipeline.document(17) == {
        "VideoId": Decimal(17),
        "owner": "survey",
        "process_steps": [
            {"step": "upload", "state": "done"},
            {"step": "human_detection", "state": "done", "result_file": result},
        ],
    }
    assert {"project/split/clip_output.mp4", "project/split/clip_output.json"} < set(keys(s3, bucket))
    found = json.loads(content(s3, bucket, result["key"]))
    assert [frame["frame_index"] for frame in found["frames"]] == [1, 2, 3, 4]
    assert found["frames"][1]["frame_timestamp"] == pytest.approx(1000 / 30, abs=0.01)
    report = json.loads(content(s3, bucket, "project/split/clip_output.json"))
    for frame, said in zip(found["frames"], report["frames"], strict=True):
        assert frame["Pothole"]["classes"] == ["pothole"] * len(said["potholes"])
        for (y0, x0, y1, x1), mark in zip(frame["Pothole"]["boxes"], said["potholes"], strict=True):
            assert [x0, y0, x1, y1] == pytest.approx(mark["box"], abs=0.06)
    assert any(frame["Pothole"]["boxes"] for frame in found["frames"])


def test_what_others_write_into_the_document_meanwhile_stays(
    make: Make, put: Callable[..., str], bucket: str
) -> None:
    pipeline = make()
    pipeline.send_video(1, bucket, put("split/clip.mp4", 30))
    pipeline.start(look_s=0.3, detection={"frame_ratio": 0.2})
    pipeline.wait(lambda: pipeline.state(1) == "running")
    pipeline.table.update_item(
        Key={"VideoId": 1},
        UpdateExpression="SET note = :note, process_steps = list_append(:first, process_steps)",
        ExpressionAttributeValues={":note": "seen", ":first": [{"step": "weather", "state": "running"}]},
    )
    pipeline.wait(lambda: pipeline.state(1) == "done")
    document = pipeline.document(1)
    assert (document["note"], document["owner"]) == ("seen", "survey")
    assert [step["step"] for step in document["process_steps"]] == ["weather", "upload", "human_detection"]
    assert document["process_steps"][0]["state"] == "running"


def aside(pipeline: Pipeline) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pipeline.sqs.receive_message(
        QueueUrl=pipeline.aside, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages", [])
    return found


def test_what_can_never_work_is_put_aside_with_the_reason(
    make: Make, put: Callable[..., str], s3: "S3Client", bucket: str
) -> None:
    pipeline = make()
    s3.put_object(Bucket=bucket, Key="split/bad.mp4", Body=b"no video")
    pipeline.send("no JSON")
    pipeline.send({"VideoId": 404, "s3": {"bucket": bucket, "key": put("split/clip.mp4")}})
    pipeline.send_video(5, bucket, "split/bad.mp4")
    pipeline.start()
    pipeline.wait(lambda: pipeline.counts(pipeline.aside)[0] == 3)
    reasons = {
        m["MessageAttributes"]["ErrorMessage"]["StringValue"]: m["MessageAttributes"]["ErrorCode"][
            "StringValue"
        ]
        for m in aside(pipeline)
    }
    for named, code in {
        "bad.mp4 is not a video": "invalid_media",
        "has no document with VideoId 404": "invalid_request",
        "The message is not JSON": "invalid_request",
    }.items():
        assert [c for message, c in reasons.items() if named in message] == [code]
    (step,) = (s for s in pipeline.document(5)["process_steps"] if s["step"] == pipeline.step)
    assert (step["state"], step["error"]["code"]) == ("error", "invalid_media")
    assert pipeline.counts() == (0, 0)


def test_a_fault_that_may_pass_is_tried_again_until_it_has_passed(
    make: Make, put: Callable[..., str], bucket: str
) -> None:
    pipeline = make(hidden_s=1, max_receives=10)
    pipeline.send_video(2, bucket, "split/late.mp4")  # the message is faster than the video
    pipeline.start()
    pipeline.wait(lambda: pipeline.state(2) == "error")
    put("split/late.mp4")
    pipeline.wait(lambda: pipeline.state(2) == "done")
    assert pipeline.counts(pipeline.aside) == (0, 0)


def test_a_worker_that_is_told_to_stop_gives_its_video_back_at_the_checkpoint(
    make: Make, put: Callable[..., str], s3: "S3Client", bucket: str
) -> None:
    pipeline = make(hidden_s=300)
    pipeline.send_video(3, bucket, put("split/clip.mp4", 240))
    worker = pipeline.start(look_s=0.05, detection={"frame_ratio": 0.2})
    pipeline.wait(lambda: any(record["segments"] >= 2 for record in all_records(s3, bucket)))
    worker.send_signal(signal.SIGTERM)
    told = time.monotonic()
    pipeline.wait(lambda: pipeline.counts() == (1, 0), 5)
    assert time.monotonic() - told < 2 + 1  # the machine may be busy
    assert worker.wait(20) == 0
    assert pipeline.state(3) == "running"
    assert not pipeline.temporary_files()
    pipeline.start(detection={"frame_ratio": 0.2})
    pipeline.wait(lambda: pipeline.state(3) == "done")
    (record,) = all_records(s3, bucket)
    assert record["attempt"] == 2
    assert record["resumed_at"] > 0


def test_a_video_that_takes_longer_than_a_message_is_hidden_is_worked_on_once(
    make: Make, put: Callable[..., str], s3: "S3Client", bucket: str
) -> None:
    pipeline = make(hidden_s=1)
    pipeline.send_video(4, bucket, put("split/clip.mp4", 60))
    for _ in range(2):
        pipeline.start(look_s=0.2, detection={"frame_ratio": 0.2})
    pipeline.wait(lambda: pipeline.state(4) == "done")
    pipeline.wait(lambda: pipeline.counts() == (0, 0))
    (record,) = all_records(s3, bucket)
    assert record["attempt"] == 1
    assert pipeline.counts(pipeline.aside) == (0, 0)


def test_the_same_video_in_two_messages_is_worked_on_once(
    make: Make, put: Callable[..., str], s3: "S3Client", bucket: str
) -> None:
    pipeline = make()
    pipeline.send_video(6, bucket, put("split/clip.mp4", 30))
    pipeline.send({"VideoId": 6, "s3": {"bucket": bucket, "key": "split/clip.mp4"}})
    for _ in range(2):
        pipeline.start(look_s=0.2, detection={"frame_ratio": 0.2})
    pipeline.wait(lambda: pipeline.counts() == (0, 0) and pipeline.state(6) == "done")
    (record,) = all_records(s3, bucket)
    assert record["attempt"] == 1


def test_a_message_can_end_the_worker(make: Make) -> None:
    pipeline = make()
    worker = pipeline.start()
    pipeline.send({"command": "stop"})
    assert worker.wait(30) == 0
    assert pipeline.counts() == (0, 0)


def test_a_queue_that_is_not_there_is_said(make: Make) -> None:
    pipeline = make()
    pipeline.name = "nowhere"
    worker = pipeline.start()
    assert worker.wait(30) == 1
    assert "There is no queue 'nowhere'" in pipeline.said()

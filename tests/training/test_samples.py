"""What the server publishes becomes a data set that `train` reads, each sample once."""

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pothole.jobs.samples import SamplePublisher
from pothole.training.dataset import read_dataset
from support.fakes import MagentaDetector
from support.server_requests import road

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Topic:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def publish(self, TopicArn: str, Message: str) -> None:  # noqa: N803
        self.taken.append(Message)


def lines(count: int) -> list[str]:
    topic = Topic()
    publisher = SamplePublisher("arn", 1000, topic, random.Random(0))
    for number in range(count):
        image = road(number)
        large = np.repeat(
            np.repeat(image, 6, axis=0), 6, axis=1
        )  # so that a sample's picture is made smaller
        [found] = MagentaDetector().predict([large])
        publisher.consider(large, found, MagentaDetector())
    publisher.close()
    return topic.taken


def collect(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / "pothole", "collect", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_samples_of_a_bucket_become_a_data_set(s3: "S3Client", bucket: str, tmp_path: Path) -> None:
    written = lines(3)
    packed = gzip.compress("\n".join([*written, written[0], "no sample", '{"id": "x"}']).encode())
    s3.put_object(Bucket=bucket, Key="samples/2026-11-27/a.gz", Body=packed)
    s3.put_object(Bucket=bucket, Key="samples/2026-11-28/b", Body=lines(1)[0].encode() + b"\n")
    run = collect("--from-samples", f"s3://{bucket}/samples/", "--out", tmp_path / "data")
    assert run.returncode == 0, run.stderr
    data = json.loads((tmp_path / "data" / "annotations.json").read_text())
    assert len(data["images"]) == 4
    assert {image["reason"] for image in data["images"]} == {"share"}
    # The picture was made smaller than the one that was looked at, and so were its potholes.
    [width] = {image["width"] for image in data["images"]}
    assert width == 1280
    first = data["annotations"][0]
    assert first["bbox"] == pytest.approx([480, 160, 256, 128], abs=3)
    samples, _ = read_dataset(tmp_path / "data")
    assert len(samples) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from-samples", "nothing"], "There is no folder nothing"),
        (["--from-samples", "https://a.org/samples"], "is no folder of S3"),
        (["--from-samples", "EMPTY"], "There is no sample in"),
        (["--from-samples", "EMPTY", "clip.mp4"], "Videos and --from-samples"),
        ([], "No video is named"),
    ],
)
def test_mistakes_are_named_and_nothing_is_left(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "EMPTY").mkdir()
    named: list[Any] = [tmp_path / text if text == "EMPTY" else text for text in arguments]
    run = collect(*named, "--out", tmp_path / "data")
    assert run.returncode == 1
    assert said in " ".join(run.stderr.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["EMPTY"]

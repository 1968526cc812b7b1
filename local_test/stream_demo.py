"""A live stream on this machine: a road is streamed in real time, and potholes are told as they come.

python local_test/stream_demo.py [VIDEO]      without one, a road is rendered

A stand-in plays Kinesis Video, an emulator Kinesis Data and DynamoDB; the consumer and its model are the real
ones. `make demo WAY=stream` installs what that takes.
"""

import json
import sys
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

import boto3

import demo
import local_aws
from demo import console, doing, say
from kinesis_video import KinesisVideo
from live_fragments import groups_of
from local_aws import Failed, Process

STREAM, RECORDS, TABLE = "dashcam-1", "potholes", "pothole-stream"
GROUP_S = 0.5  # from one I-frame of the camera to the next; each is looked at
READY_S = 120


def main() -> int:
    """Run the demo; returns the exit status."""
    return demo.main(run, __doc__)


def run(video: Path, folder: Path) -> None:
    """Start all parts, stream the video, tell what comes, and take all down again."""
    cloud = local_aws.Cloud(folder, [])
    configuration = {
        "streamNames": [STREAM],
        "kdsStreamName": RECORDS,
        "inferenceInterval": 1,
        "recordFormat": "json",
        "leaseTable": TABLE,
    }
    command = [str(Path(sys.executable).with_name("pothole")), "stream"]
    with ExitStack() as stack:
        with doing("Starting the stand-in and the AWS emulators ..."):
            service = stack.enter_context(KinesisVideo())
            settings = {
                "AWS_ENDPOINT_URL_KINESIS_VIDEO": service.url,
                "STREAM_CONFIGURATION": json.dumps(configuration),
            }
            consumer = Process("the consumer", command, settings, folder / "consumer.log", stop_s=30)
            processes = [consumer, cloud.ministack]
            stack.push(
                lambda kind, *_: demo.show_logs(processes) if kind and issubclass(kind, Exception) else None
            )
            stack.enter_context(cloud)
        say(f"Kinesis Video at {service.url}, AWS emulator at {cloud.url}")
        service.create(STREAM)
        records = Records()
        with doing("Coding the video as a camera does ..."):
            groups = list(groups_of(video, GROUP_S))
        with doing("Starting the consumer and loading the model ..."):
            stack.enter_context(consumer)
            _wait_for_reader(service, processes)
        say(f"{STREAM} is read; {groups[-1].start_s + groups[-1].length_s:.0f} s of road in real time")
        service.produce(STREAM, groups)
        records.follow(len(groups), processes)
        records.show()


def _wait_for_reader(service: KinesisVideo, processes: list[Process]) -> None:
    """Wait until somebody reads the stream."""
    deadline = time.monotonic() + READY_S
    while not service.get_media:
        for process in processes:
            process.check()
        if time.monotonic() > deadline:
            raise Failed(f"The stream was not read in {READY_S} s.")
        time.sleep(0.2)
    time.sleep(1)  # the call is on its way: it begins with what comes next


class Records:
    """These are the records of the demo, and how long each took."""

    def __init__(self) -> None:
        session = boto3.session.Session()
        self._kinesis: Any = session.client("kinesis")
        self._kinesis.create_stream(StreamName=RECORDS, ShardCount=1)
        session.client("dynamodb").create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self._latencies: list[float] = []
        self._potholes = 0

    def follow(self, count: int, processes: list[Process]) -> None:
        """Tell of potholes as they come, up to the record of the last picture but one.

        The last one may wait for a next picture, which says whether what it shows is a pothole.
        """
        described = self._kinesis.describe_stream(StreamName=RECORDS)["StreamDescription"]
        iterator = self._kinesis.get_shard_iterator(
            StreamName=RECORDS, ShardId=described["Shards"][0]["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while len(self._latencies) < count - 1:
            for process in processes:
                process.check()
            answer = self._kinesis.get_records(ShardIterator=iterator)
            iterator = answer["NextShardIterator"]
            for record in answer["Records"]:
                self._tell(json.loads(record["Data"]), record["ApproximateArrivalTimestamp"].timestamp())
            time.sleep(0.1)

    def _tell(self, record: dict[str, Any], written: float) -> None:
        latency = written - datetime.fromisoformat(record["ingested"]).timestamp()
        self._latencies.append(latency)
        for found in record["answer"]["output"]:
            if found["new"]:
                self._potholes += 1
                about = f"score {found['score']:.2f}, {1000 * latency:.0f} ms after its fragment came in"
                console.print(f"  {record['time'][11:23]}  pothole {found['track_id']}: {about}")

    def show(self) -> None:
        """Say how many potholes came, and how long the records took."""
        cuts = [1000 * cut for cut in quantiles(self._latencies, n=20)]
        say(f"{self._potholes} potholes in {len(self._latencies)} pictures")
        say(f"from ingest to record: p50 {cuts[9]:.0f} ms, p95 {cuts[18]:.0f} ms")


if __name__ == "__main__":
    sys.exit(main())

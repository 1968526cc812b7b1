"""A video from a queue, on this machine: a message is sent, and a worker marks the video and says so.

python local_test/queue_demo.py [VIDEO]      without one, a road is rendered

An emulator plays S3, SQS and DynamoDB; the worker and its model are the real ones. `make demo WAY=queue`
installs what that takes.
"""

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3

import demo
import local_aws
from demo import console, doing, say
from local_aws import Failed, Process

BUCKET, QUEUE, TABLE, STEP = "videos", "call-potholes", "videos", "pothole_detection"
VIDEO_ID = 17


def main() -> int:
    """Run the demo; returns the exit status."""
    return demo.main(run, __doc__)


def run(video: Path, folder: Path) -> None:
    """Start the emulator and a worker, send a message, wait for the document, and take all down again."""
    cloud = local_aws.Cloud(folder, [])
    variables = folder / "variables.json"
    variables.write_text(json.dumps({"aws_queues": {STEP: QUEUE}, "dynamodb": {"table_id": TABLE}}))
    command = [str(Path(sys.executable).with_name("pothole")), "work", "--variables", str(variables)]
    worker = Process("the worker", command, {"TMPDIR": str(folder)}, folder / "worker.log", stop_s=30)
    processes = [worker, cloud.ministack]
    with ExitStack() as stack:
        stack.push(
            lambda kind, *_: demo.show_logs(processes) if kind and issubclass(kind, Exception) else None
        )
        with doing("Starting the AWS emulators ..."):
            stack.enter_context(cloud)
        say(f"AWS emulator at {cloud.url}")
        order = Order(video)
        order.send()
        with doing("Starting the worker and loading the model ..."):
            stack.enter_context(worker)
        order.wait(processes)
        order.show()


class Order:
    """An order is one video on its way through the queue."""

    def __init__(self, video: Path) -> None:
        self._video, self._key = video, f"survey/split/{video.name}"
        session = boto3.session.Session()
        self._s3, self._sqs = session.client("s3"), session.client("sqs")
        self._table = session.resource("dynamodb").create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "VideoId", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "VideoId", "AttributeType": "N"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def send(self) -> None:
        """Upload the video, write its document, and send the message."""
        self._s3.create_bucket(Bucket=BUCKET)
        self._s3.upload_file(str(self._video), BUCKET, self._key)
        say(f"uploaded s3://{BUCKET}/{self._key}")
        self._table.put_item(
            Item={
                "VideoId": VIDEO_ID,
                "key": self._key,
                "process_steps": [{"step": "upload", "state": "done"}],
            }
        )
        self._show_document("before")
        failed = self._sqs.create_queue(QueueName=f"{QUEUE}-failed")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=failed, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
        url = self._sqs.create_queue(QueueName=QUEUE, Attributes={"RedrivePolicy": policy})["QueueUrl"]
        message = json.dumps({"VideoId": VIDEO_ID, "s3": {"bucket": BUCKET, "key": self._key}})
        self._sqs.send_message(QueueUrl=url, MessageBody=message)
        say(f"sent to {QUEUE}: {message}")
        self._started = time.monotonic()

    def wait(self, processes: list[Process]) -> None:
        """Show progress until the document says that the step is done.

        Raises:
            Failed: A process ended, or the step is in error.
        """
        with processes[0].log.open() as log:
            while (step := self._step()).get("state") != "done":
                for process in processes:
                    process.check()
                if step.get("state") == "error":
                    raise Failed(f"The worker says: {step['error']['message']}")
                for line in demo.read_lines(log):
                    if line.get("message") == "marking":
                        frames = f"{line['frames']} of {line['total'] or '?'} frames"
                        console.print(f"  {frames}, {line['potholes']} potholes so far")
                time.sleep(0.25)
        seconds = time.monotonic() - self._started
        say(f"the step is done after {seconds:.0f} s, the start of the worker included")

    def show(self) -> None:
        """Bring the outputs here, and show what was found."""
        self._show_document("after")
        stem = self._key.removesuffix(self._video.suffix)
        keys = f"{stem}_output.mp4", f"{stem}_output.json", self._step()["result_file"]["key"]
        paths = [demo.OUTPUT / Path(key).name for key in keys]
        for key, path in zip(keys, paths, strict=True):
            self._s3.download_file(BUCKET, key, str(path))
        truth = self._video.with_suffix(".truth.json")
        if truth.is_file():
            report = json.loads(paths[1].read_text())
            console.print(demo.verdict(json.loads(truth.read_text()), report), highlight=False)
        frames = json.loads(paths[2].read_text())["frames"]
        most = max(frames, key=lambda frame: len(frame["Pothole"]["boxes"]))
        console.print(f"the result's fullest frame: {json.dumps(most)}", highlight=False, soft_wrap=True)
        for title, path in zip(("marked video", "data", "result file"), paths, strict=True):
            console.print(f"{title:14}{path}", highlight=False, soft_wrap=True)

    def _step(self) -> dict[str, Any]:
        steps = [step for step in self._document()["process_steps"] if step["step"] == STEP]
        return steps[0] if steps else {}

    def _document(self) -> dict[str, Any]:
        item: dict[str, Any] = self._table.get_item(Key={"VideoId": VIDEO_ID}, ConsistentRead=True)["Item"]
        return item | {"VideoId": int(item["VideoId"])}

    def _show_document(self, when: str) -> None:
        console.print(f"the document {when}: {json.dumps(self._document())}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())

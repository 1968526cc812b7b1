"""Queues of SQS, tables of DynamoDB and workers, for tests: the emulator's, and real processes."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from support.servers import ROOT

WAIT_S = 60


class Pipeline:
    """A queue with its dead-letter queue and a table, and workers that serve them.

    Attributes:
        step: The name of the workers' step.
    """

    step = "human_detection"

    def __init__(self, folder: Path, hidden_s: int = 30, max_receives: int = 3) -> None:
        session = boto3.session.Session()
        self.sqs: Any = session.client("sqs")
        self.name, self.folder, self._hidden_s = f"videos-{uuid.uuid4().hex[:8]}", folder, hidden_s
        self.aside = self.sqs.create_queue(QueueName=f"{self.name}-failed")["QueueUrl"]
        arn = self.attributes(self.aside)["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": max_receives})
        self.url = self.sqs.create_queue(QueueName=self.name, Attributes={"RedrivePolicy": policy})[
            "QueueUrl"
        ]
        self.table: Any = session.resource("dynamodb").create_table(
            TableName=self.name,
            KeySchema=[{"AttributeName": "VideoId", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "VideoId", "AttributeType": "N"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.workers: list[subprocess.Popen[bytes]] = []

    def attributes(self, url: str) -> dict[str, str]:
        found: dict[str, str] = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])[
            "Attributes"
        ]
        return found

    def counts(self, url: str | None = None) -> tuple[int, int]:
        """Return how many messages are to be seen, and how many are hidden."""
        found = self.attributes(url or self.url)
        return int(found["ApproximateNumberOfMessages"]), int(found["ApproximateNumberOfMessagesNotVisible"])

    def send(self, message: Any) -> None:
        body = message if isinstance(message, str) else json.dumps(message)
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def send_video(self, number: int, bucket: str, key: str) -> None:
        """Write the document of a video, and send its message."""
        self.table.put_item(
            Item={
                "VideoId": number,
                "owner": "survey",
                "process_steps": [{"step": "upload", "state": "done"}],
            }
        )
        self.send({"VideoId": number, "s3": {"bucket": bucket, "key": key}})

    def document(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.table.get_item(Key={"VideoId": number}, ConsistentRead=True)["Item"]
        return found

    def state(self, number: int) -> str | None:
        """Return what a document says of the workers' step."""
        states = [s["state"] for s in self.document(number)["process_steps"] if s["step"] == self.step]
        assert len(states) <= 1
        return states[0] if states else None

    def start(
        self, look_s: float = 0, detection: dict[str, Any] | None = None, **environment: str
    ) -> "subprocess.Popen[bytes]":
        """Start a worker with a detector that sees magenta."""
        number = len(self.workers)
        variables = self.folder / f"variables-{number}.json"
        variables.write_text(
            json.dumps(
                {
                    "aws_queues": {self.step: self.name},
                    "dynamodb": {"table_id": self.name},
                    "human_detection": detection or {},
                }
            )
        )
        temporary = self.folder / f"temporary-{number}"
        temporary.mkdir()
        command = [
            sys.executable,
            str(ROOT / "tests/support/slow_pothole.py"),
            "work",
            "--variables",
            str(variables),
        ]
        environment = {
            "PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}",
            "LOOK_SECONDS": str(look_s),
            "TMPDIR": str(temporary),
            "LEASE_SECONDS": "4",
            "SEGMENT_SECONDS": "1",
            "QUEUE_HIDDEN_SECONDS": str(self._hidden_s),
        } | environment
        with self.log(number).open("wb") as log:
            worker = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def log(self, number: int) -> Path:
        return self.folder / f"worker-{number}.log"

    def said(self) -> str:
        """Return all that the workers have logged."""
        return "".join(self.log(n).read_text() for n in range(len(self.workers)))

    def temporary_files(self) -> list[Path]:
        return [
            path for folder in self.folder.glob("temporary-*") for path in folder.rglob("*") if path.is_file()
        ]

    def busy(self) -> list["subprocess.Popen[bytes]"]:
        """Return the workers that have a video in work, and so in their temporary folders."""
        return [
            worker
            for number, worker in enumerate(self.workers)
            if worker.poll() is None and any((self.folder / f"temporary-{number}").iterdir())
        ]

    def wait(self, condition: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, self.said()[-3000:]
            time.sleep(0.05)

    def pause(self, seconds: float) -> None:
        """Let the workers go on for some time."""
        time.sleep(seconds)

    def stop(self) -> None:
        """End all workers that still run; told to, they would first wait for the end of their long poll."""
        for worker in self.workers:
            worker.kill()
            worker.wait()

"""The queue of an asynchronous endpoint: requests wait for their turn, S3 and SNS get the outcome."""

import json
import queue
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import boto3


class Forwarded(NamedTuple):
    """What a container answered: its status, 0 when it did not in time, with body and content type."""

    status: int
    content: bytes
    kind: str | None

    @property
    def ok(self) -> bool:
        """Say whether it was a success."""
        return 200 <= self.status < 300


Forward = Callable[[bytes, Mapping[str, str], float], Forwarded]


@dataclass(frozen=True)
class Request:
    """One that waits; times are in seconds, `received` is of the monotonic clock."""

    identity: str
    place: str
    body: bytes
    given: Mapping[str, str]
    received: float
    timeout_s: float
    keep_s: float


class AsyncQueue:
    """The queue and its workers, one for each invocation that the instance takes at a time.

    Args:
        endpoint: The endpoint's name.
        config: Its `AsyncInferenceConfig`.
        forward: Asks the container: body, the invocation's headers, seconds to wait.
    """

    def __init__(self, endpoint: str, config: dict[str, Any], forward: Forward) -> None:
        self._endpoint, self._forward = endpoint, forward
        output = config["OutputConfig"]
        self._done_at, self._failed_at = output["S3OutputPath"], output["S3FailurePath"]
        self._topics = output.get("NotificationConfig", {})
        session = boto3.session.Session()  # the default one may not be used from two threads
        self._s3, self._sns = session.client("s3"), session.client("sns")
        self._waiting: queue.Queue[Request | None] = queue.Queue()
        count = config.get("ClientConfig", {}).get("MaxConcurrentInvocationsPerInstance", 1)
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for worker in self._workers:
            worker.start()

    def put(
        self, body: bytes, given: Mapping[str, str], longest_s: float, keep_longest_s: float
    ) -> tuple[str, str, str]:
        """Let a request wait for its turn.

        Args:
            body: What to send; empty when `given` names an object.
            given: The invocation's headers, without `x-amzn-sagemaker-`.
            longest_s: The most that an invocation may take.
            keep_longest_s: The most that a request may wait.

        Returns:
            The request's id, where a success is written, and where a failure is.
        """
        place = str(uuid.uuid4())
        identity = given.get("inference-id", place)
        timeout_s = min(longest_s, float(given.get("invocationtimeoutseconds", 900)))
        keep_s = min(keep_longest_s, float(given.get("requestttlseconds", 6 * 3600)))
        self._waiting.put(Request(identity, place, body, given, time.monotonic(), timeout_s, keep_s))
        return identity, f"{self._done_at}/{place}.out", f"{self._failed_at}/{place}-error.out"

    def close(self) -> None:
        """Let go of what waits; what is in work is worked off."""
        for _ in self._workers:
            self._waiting.put(None)

    def _work(self) -> None:
        while (request := self._waiting.get()) is not None:
            if time.monotonic() - request.received > request.keep_s:
                self._fail(request, "RequestExpired: the request was in the queue for too long.")
                continue
            answer = self._forward(self._body(request), request.given, request.timeout_s)
            if answer.ok:
                self._write(f"{self._done_at}/{request.place}.out", answer.content)
                self._tell("SuccessTopic", request, {"invocationStatus": "Completed"})
            else:
                self._write(f"{self._failed_at}/{request.place}-error.out", answer.content)
                message = answer.content.decode(errors="replace")
                side = "Client" if 400 <= answer.status < 500 else "Server"
                self._fail(
                    request,
                    f"{side}Error: Received {side.lower()} error ({answer.status}) from primary with message "
                    f'"{message}".',
                )

    def _body(self, request: Request) -> bytes:
        if request.body:
            return request.body
        bucket, _, key = request.given["inputlocation"].removeprefix("s3://").partition("/")
        return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def _fail(self, request: Request, reason: str) -> None:
        self._tell("ErrorTopic", request, {"invocationStatus": "Failed", "failureReason": reason})

    def _write(self, address: str, content: bytes) -> None:
        bucket, _, key = address.removeprefix("s3://").partition("/")
        self._s3.put_object(Bucket=bucket, Key=key, Body=content)

    def _tell(self, topic: str, request: Request, outcome: dict[str, str]) -> None:
        if topic in self._topics:
            message = outcome | {
                "eventVersion": "1.0",
                "eventSource": "aws:sagemaker",
                "eventName": "InferenceResult",
                "inferenceId": request.identity,
                "requestParameters": {
                    "endpointName": self._endpoint,
                    "contentType": request.given.get("content-type"),
                    "inputLocation": request.given.get("inputlocation"),
                },
                "responseParameters": {"outputLocation": f"{self._done_at}/{request.place}.out"},
            }
            self._sns.publish(TopicArn=self._topics[topic], Message=json.dumps(message))

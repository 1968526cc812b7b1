"""Plays what no emulator has: SageMaker's runtime with its real limits, and processing jobs that really run.

One listener for three of AWS's services:

    sagemaker-runtime   answered here: the server is asked, as SageMaker asks a container
    sagemaker           passed on to moto; a processing job is run here, too
    cloudformation      passed on: the stack of the endpoints to moto, every other one to ministack
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote

import boto3
import requests
from botocore.exceptions import ClientError

from async_queue import AsyncQueue, Forwarded
from processing_jobs import ProcessingJobs

# Stacks whose name ends like this hold SageMaker's resources, which only moto knows.
MOTO_STACKS = ("-endpoints", "-queue", "-stream")
# Of an invocation's headers a container gets these, and no other.
PASSED_HEADERS = {
    "content-type": "Content-Type",
    "accept": "Accept",
    "inference-id": "X-Amzn-SageMaker-Inference-Id",
    "custom-attributes": "X-Amzn-SageMaker-Custom-Attributes",
}
HOP_HEADERS = {"host", "content-length", "connection", "transfer-encoding"}


@dataclass(frozen=True)
class Limits:
    """These are SageMaker's limits; a test shortens them.

    Attributes:
        realtime_s: Of one real-time invocation.
        async_s: Of one asynchronous invocation.
        queue_s: Seconds that a request may wait in an asynchronous endpoint's queue.
        realtime_bytes: Largest body of a real-time invocation, and largest answer.
        async_bytes: Largest body of an asynchronous invocation that does not come from S3.
    """

    realtime_s: float = 60.0
    async_s: float = 3600.0
    queue_s: float = 6 * 3600.0
    realtime_bytes: int = 6 * 2**20
    async_bytes: int = 128_000


class SageMakerFront:
    """The front listens at a port of 127.0.0.1. A context manager.

    Args:
        port: Where to listen.
        ministack: That emulator's address.
        moto: That emulator's address.
        pothole: The command that stands for `pothole` in a processing job's container.

    Attributes:
        server: The address of the server that stands for every endpoint's container.
        limits: SageMaker's, to be replaced by shorter ones.
        invocations: Number of real-time and asynchronous invocations so far.
        unavailable: Whether the instances answer 503, as those that are being stopped do.
        rolls_back: Whether new versions of endpoints fail, so that they stay as they are without a word.
    """

    def __init__(self, port: int, ministack: str, moto: str, pothole: list[str]) -> None:
        self.server = ""
        self.limits = Limits()
        self.invocations = 0
        self.unavailable = False
        self.rolls_back = False
        self._ministack, self._moto = ministack, moto
        self._jobs = ProcessingJobs(pothole)
        self._queues: dict[str, AsyncQueue] = {}
        self._lock = threading.Lock()
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                front._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._listener = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._sagemaker = boto3.client("sagemaker", endpoint_url=self._moto)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        for queue in self._queues.values():
            queue.close()
        self._jobs.close()

    def shorten(self, **limits: float) -> None:
        """Replace some of the limits, by name."""
        self.limits = replace(self.limits, **limits)  # type: ignore[arg-type]

    def _answer(self, client: BaseHTTPRequestHandler) -> None:
        body = client.rfile.read(int(client.headers.get("Content-Length", 0)))
        match unquote(client.path).strip("/").split("/"):
            case ["endpoints", endpoint, "invocations"]:
                self._invoke(client, endpoint, body)
            case ["endpoints", endpoint, "async-invocations"]:
                self._queue(client, endpoint, body)
            case _ if client.headers.get("X-Amz-Target", "").startswith("SageMaker."):
                self._pass_on(client, body, self._moto)
            case _:
                stack = parse_qs(body.decode()).get("StackName", [""])[0]
                self._pass_on(client, body, self._moto if stack.endswith(MOTO_STACKS) else self._ministack)

    def _invoke(self, client: BaseHTTPRequestHandler, endpoint: str, body: bytes) -> None:
        limits = self.limits
        config = self._configuration(endpoint)
        if config is None or "AsyncInferenceConfig" in config:
            _refuse(client, 400, "ValidationError", f"Endpoint {endpoint} not found or asynchronous.")
            return
        if len(body) > limits.realtime_bytes:
            _refuse(client, 413, "RequestEntityTooLarge", f"The body is above {limits.realtime_bytes} bytes.")
            return
        self._count()
        answer = self._forward(body, _given(client), limits.realtime_s)
        if answer.ok and len(answer.content) > limits.realtime_bytes:
            answer = Forwarded(500, f"The answer is above {limits.realtime_bytes} bytes.".encode(), None)
        if answer.ok:
            _send(client, answer.status, answer.content, {"Content-Type": answer.kind or ""})
        else:
            message = answer.content.decode(errors="replace")
            reason = f'Received server error ({answer.status}) from primary with message "{message}".'
            details = {"OriginalStatusCode": answer.status, "OriginalMessage": message}
            _refuse(client, 424, "ModelError", reason, **details)

    def _queue(self, client: BaseHTTPRequestHandler, endpoint: str, body: bytes) -> None:
        config = self._configuration(endpoint)
        given = _given(client)
        if config is None or "AsyncInferenceConfig" not in config:
            _refuse(client, 400, "ValidationError", f"Endpoint {endpoint} not found or not asynchronous.")
        elif bool(body) == ("inputlocation" in given):
            _refuse(client, 400, "ValidationError", "Give either Body or InputLocation.")
        elif len(body) > self.limits.async_bytes:
            _refuse(
                client, 400, "ValidationError", f"The body is above {self.limits.async_bytes} bytes; use S3."
            )
        else:
            self._count()
            with self._lock:
                if endpoint not in self._queues:
                    self._queues[endpoint] = AsyncQueue(
                        endpoint, config["AsyncInferenceConfig"], self._forward
                    )
            identity, done, failed = self._queues[endpoint].put(
                body, given, self.limits.async_s, self.limits.queue_s
            )
            headers = {"X-Amzn-SageMaker-OutputLocation": done, "X-Amzn-SageMaker-FailureLocation": failed}
            _send(client, 202, json.dumps({"InferenceId": identity}).encode(), headers)

    def _pass_on(self, client: BaseHTTPRequestHandler, body: bytes, address: str) -> None:
        headers = {name: value for name, value in client.headers.items() if name.lower() not in HOP_HEADERS}
        answer = requests.post(address, body, headers=headers, timeout=120)
        if answer.ok and headers.get("X-Amz-Target") == "SageMaker.CreateProcessingJob":
            self._jobs.start(json.loads(body))
        asked = parse_qs(body.decode(errors="replace"))
        if (
            answer.ok
            and asked.get("Action") == ["UpdateStack"]
            and address == self._moto
            and not self.rolls_back
        ):
            self._release(asked["StackName"][0])
        _send(client, answer.status_code, answer.content, {"Content-Type": answer.headers["Content-Type"]})

    def _release(self, stack: str) -> None:
        """Give the endpoints of a stack the configurations of its last update, which moto leaves out."""
        cloudformation = boto3.client("cloudformation", endpoint_url=self._moto)
        told = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
        outputs = {output["OutputKey"]: output["OutputValue"].rpartition("/")[2] for output in told}
        for kind in ("Preview", "Videos"):
            name, wanted = outputs.get(f"{kind}Endpoint"), outputs.get(f"{kind}ConfigName")
            if name and wanted and self._describe(name) not in {None, wanted}:
                self._sagemaker.delete_endpoint(EndpointName=name)
                self._sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=wanted)

    def _describe(self, endpoint: str) -> str | None:
        """Return the name of an endpoint's configuration, None when moto does not know it."""
        try:
            return str(self._sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"])
        except ClientError:
            return None

    def _configuration(self, endpoint: str) -> dict[str, Any] | None:
        """Return the configuration of an endpoint that moto knows."""
        name = self._describe(endpoint)
        if name is None:
            return None
        config = self._sagemaker.describe_endpoint_config(EndpointConfigName=name)
        return {key: value for key, value in config.items() if value}

    def _forward(self, body: bytes, given: Mapping[str, str], patience_s: float) -> Forwarded:
        """Ask the server as SageMaker asks a container: with few headers, for so long, not a second time."""
        if self.unavailable:
            return Forwarded(503, b"", None)
        headers = {name: given[short] for short, name in PASSED_HEADERS.items() if short in given}
        try:
            answer = requests.post(f"{self.server}/invocations", body, headers=headers, timeout=patience_s)
        except requests.Timeout:
            return Forwarded(
                0, b"Your invocation timed out while waiting for a response from container primary.", None
            )
        except requests.ConnectionError as exc:
            return Forwarded(500, f"The connection to the container broke: {exc}.".encode(), None)
        if "Content-Length" not in answer.headers:
            return Forwarded(500, b"The container's answer has no Content-Length.", None)
        return Forwarded(answer.status_code, answer.content, answer.headers.get("Content-Type"))

    def _count(self) -> None:
        with self._lock:
            self.invocations += 1


def _given(client: BaseHTTPRequestHandler) -> dict[str, str]:
    """Return an invocation's headers, in small letters and without SageMaker's prefix."""
    return {name.lower().removeprefix("x-amzn-sagemaker-"): value for name, value in client.headers.items()}


def _refuse(client: BaseHTTPRequestHandler, status: int, error: str, message: str, **details: Any) -> None:
    body = json.dumps({"Message": message, **details}).encode()
    _send(client, status, body, {"Content-Type": "application/json", "X-Amzn-ErrorType": error})


def _send(client: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    client.send_response(status)
    for name, value in headers.items():
        client.send_header(name, value)
    client.send_header("Content-Length", str(len(body)))
    client.end_headers()
    client.wfile.write(body)

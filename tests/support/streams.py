"""What stands around the stream's consumer in tests: a data stream, an endpoint with faults, and a reader."""

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Self

import boto3
import numpy as np
from botocore.config import Config

from pothole.entrypoints.stream.endpoint import Endpoint
from pothole.entrypoints.stream.live_stream import Part, Picture


class DataStream:
    """A data stream of the emulator."""

    def __init__(self, client: Any) -> None:
        self.client, self.name = client, f"answers-{uuid.uuid4().hex[:8]}"
        client.create_stream(StreamName=self.name, ShardCount=1)

    def read(self) -> list[dict[str, Any]]:
        """Return all records, in order."""
        return [record for record, _ in self.arrived()]

    def arrived(self) -> list[tuple[dict[str, Any], float]]:
        """Return all records, in order, each with its time of arrival, in seconds since 1970."""
        [shard] = self.client.describe_stream(StreamName=self.name)["StreamDescription"]["Shards"]
        iterator = self.client.get_shard_iterator(
            StreamName=self.name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found: list[tuple[dict[str, Any], float]] = []
        while True:
            answer = self.client.get_records(ShardIterator=iterator)
            if not answer["Records"]:
                return found
            found += [
                (json.loads(record["Data"]), record["ApproximateArrivalTimestamp"].timestamp())
                for record in answer["Records"]
            ]
            iterator = answer["NextShardIterator"]


class FaultyEndpoint:
    """Plays SageMaker's runtime; `fault` says of each call what becomes of it. A context manager.

    Attributes:
        bodies: What it was sent, with its type.
        fault: Of the number of a call: None for an answer, a status, or a number of seconds to sleep.
    """

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self.fault: Callable[[int], int | float | None] = lambda number: None
        self.most = self._now = 0
        outer, numbers, lock = self, count(), threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    number = next(numbers)
                    outer.bodies.append((self.headers["Content-Type"], body))
                    outer._now += 1
                    outer.most = max(outer.most, outer._now)
                try:
                    self.answer(body, outer.fault(number))
                except OSError:  # who asked has gone
                    pass
                finally:
                    with lock:
                        outer._now -= 1

            def answer(self, body: bytes, fault: int | float | None) -> None:
                status, kind = 200, ""
                told: dict[str, Any] = {"digest": hashlib.sha256(body).hexdigest()}
                if isinstance(fault, float):
                    time.sleep(fault)
                elif fault == 503:
                    status, kind, told = 503, "ServiceUnavailable", {"Message": "no capacity"}
                elif fault:
                    status, kind = 424, "ModelError"
                    told = {"Message": "m", "OriginalStatusCode": fault, "OriginalMessage": "no picture"}
                data = json.dumps(told).encode()
                self.send_response(status)
                if kind:
                    self.send_header("x-amzn-errortype", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._session = boto3.session.Session("test", "test", region_name="us-east-1")

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def client(self, config: Config) -> Any:
        """Return a client that talks to it."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        return self._session.client("sagemaker-runtime", endpoint_url=url, config=config)

    def predictor(self, timeout_s: float = 5, content_type: str = "image/png") -> Endpoint:
        return Endpoint(self.client, "objects", content_type, timeout_s, threads=20)


def numbered(number: int) -> Picture:
    """Return the I-frame of a number, which its pixels tell."""
    return Picture(1, 0, np.full((8, 8, 3), number, np.uint8))


def parts(pictures: int, after: str | None = None) -> Iterator[Part]:
    """Yield fragments 1 to n, of one I-frame each, from one on."""
    for number in range(int(after or 0) + 1, pictures + 1):
        made = round(time.time() * 1000)
        yield Part(str(number), made, made - 5, [lambda number=number: numbered(number)])

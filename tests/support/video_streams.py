"""Kinesis Video Streams on this machine: real Matroska over real chunked HTTP, for boto3 as client.

It has what a consumer needs, and faults on demand; emulators of AWS have no GetMedia. A producer gives it a
video, in real time or faster, which becomes fragments of a group of pictures each.
"""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import av
from av.packet import Packet

ACCOUNT = "000000000000"
PREFIX = "AWS_KINESISVIDEO_"
SILENCE_S = 0.1  # between two looks whether the server ends
Json = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """A fragment is kept as it is sent, with its number."""

    number: str
    document: bytes = field(repr=False)


@dataclass
class Stream:
    """A stream has fragments and tags."""

    name: str
    arn: str
    tags: dict[str, str]
    fragments: list[Stored] = field(default_factory=list)
    next_number: int = 10**46


@dataclass
class Faults:
    """These are the faults of the server, off at first.

    Attributes:
        cut_after: Bytes of an answer of GetMedia after which its connection is cut; None for never.
        error: Number that the next call of GetMedia tells in a fragment's place; None for none.
        throttled: Calls of GetMedia that are refused next.
        forgotten: Whether fragments that were sent once are not found any more.
    """

    cut_after: int | None = None
    error: int | None = None
    throttled: int = 0
    forgotten: bool = False


class KinesisVideo:
    """A Kinesis Video that runs until the end of the `with` block.

    Attributes:
        url: Its address; boto3 takes it from `AWS_ENDPOINT_URL_KINESIS_VIDEO`.
        faults: What goes wrong.
        calls: Operations that were asked for, in order.
    """

    def __init__(self, port: int = 0) -> None:
        self.faults, self.calls = Faults(), list[tuple[str, Json]]()
        self._streams: dict[str, Stream] = {}
        self._changed, self._ended = threading.Condition(), threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="kinesis-video", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def create(self, name: str, **tags: str) -> None:
        """Make a stream."""
        arn = f"arn:aws:kinesisvideo:us-east-1:{ACCOUNT}:stream/{name}/1553120371155"
        with self._changed:
            self._streams[name] = Stream(name, arn, dict(tags))

    def delete(self, name: str) -> None:
        """Delete a stream."""
        with self._changed:
            del self._streams[name]

    def put(self, name: str, group: "Group", **tags: str) -> str:
        """Take a fragment of a producer; return its number."""
        now_ms = round(time.time() * 1000)
        with self._changed:
            stream = self._streams[name]
            stream.next_number += 4951760157141521099596496896  # about what lies between two of the service's
            number = str(stream.next_number)
            told = {
                f"{PREFIX}FRAGMENT_NUMBER": number,
                f"{PREFIX}SERVER_TIMESTAMP": f"{now_ms / 1000:.3f}",
                f"{PREFIX}PRODUCER_TIMESTAMP": f"{group.producer_s:.3f}",
            }
            ended = {f"{PREFIX}MILLIS_BEHIND_NOW": "0", f"{PREFIX}CONTINUATION_TOKEN": number}
            stream.fragments.append(Stored(number, group.document(told | tags) + tags_element(ended)))
            self._changed.notify_all()
        return number

    def produce(self, name: str, video: Path, speed: float = 1.0) -> None:
        """Send a video as its camera would, a group of pictures when it is over.

        Args:
            name: The stream.
            video: A file with H.264 or H.265.
            speed: How many times as fast as real time.
        """
        began = time.time()
        for group in groups(video):
            due = began + group.end_s / speed
            if self._ended.wait(max(0.0, due - time.time())):
                return
            self.put(name, group.at(began + group.start_s / speed))

    def answer(self, operation: str, asked: Json) -> Json:
        """Answer an operation of the control plane.

        Raises:
            LookupError: There is no such stream.
        """
        if operation == "createStream":
            self.create(asked["StreamName"], **asked.get("Tags", {}))
            return {"StreamARN": self._streams[asked["StreamName"]].arn}
        if operation == "listStreams":
            return {"StreamInfoList": [_info(stream) for stream in self._streams.values()]}
        stream = self._stream(asked)
        if operation == "describeStream":
            return {"StreamInfo": _info(stream)}
        if operation == "tagStream":
            stream.tags |= asked["Tags"]
            return {}
        if operation == "listTagsForStream":
            return {"Tags": stream.tags}
        if operation == "getDataEndpoint":
            return {"DataEndpoint": self.url}
        raise LookupError(operation)

    def media(self, asked: Json) -> Iterator[bytes]:
        """Return what GetMedia sends, for as long as the stream and the server are there.

        Raises:
            LookupError: There is no such stream.
        """
        return self._sent(self._stream(asked), asked["StartSelector"])

    def _sent(self, stream: Stream, selector: Json) -> Iterator[bytes]:
        if (error := self.faults.error) is not None:
            self.faults.error = None
            yield error_document(error)
            return
        at = self._start(stream, selector)
        if at is None:
            yield error_document(4000)
            return
        while not self._ended.is_set() and self._streams.get(stream.name) is stream:
            with self._changed:
                if len(stream.fragments) <= at:
                    self._changed.wait(SILENCE_S)
                found = stream.fragments[at:]
            at += len(found)
            for fragment in found:
                yield fragment.document

    def _start(self, stream: Stream, selector: Json) -> int | None:
        if selector["StartSelectorType"] == "EARLIEST":
            return 0
        if selector["StartSelectorType"] == "NOW":
            return len(stream.fragments)
        numbers = [fragment.number for fragment in stream.fragments]
        after = selector["AfterFragmentNumber"]
        return None if self.faults.forgotten or after not in numbers else numbers.index(after) + 1

    def _stream(self, asked: Json) -> Stream:
        arns = {stream.arn: stream for stream in self._streams.values()}
        return arns[asked["StreamARN"]] if "StreamARN" in asked else self._streams[asked["StreamName"]]


@dataclass(frozen=True)
class Group:
    """A group of pictures begins with an I-frame, and can be decoded alone.

    Attributes:
        packets: Its packets as they came.
        template: The stream that they are of.
        start_s: When it begins, in seconds from the video's start.
        end_s: When it ends.
        producer_s: When it begins by the producer's clock, in seconds since 1970.
    """

    packets: "list[Packet[Any]]"
    template: Any
    start_s: float
    end_s: float
    producer_s: float = 0.0

    def at(self, producer_s: float) -> "Group":
        """Return it with its time by the producer's clock."""
        return Group(self.packets, self.template, self.start_s, self.end_s, producer_s)

    def document(self, tags: dict[str, str]) -> bytes:
        """Return it as a Matroska document, whose sizes are not known as those of live streams."""
        file = BytesIO()
        with av.open(file, "w", format="matroska", options={"live": "1"}) as container:
            stream = container.add_stream_from_template(self.template)
            container.metadata.update(tags)
            first = min(packet.dts for packet in self.packets if packet.dts is not None)
            for packet in self.packets:
                copied = av.Packet(bytes(packet))
                copied.pts, copied.dts = (packet.pts or 0) - first, (packet.dts or 0) - first
                copied.time_base, copied.is_keyframe = packet.time_base, packet.is_keyframe
                copied.stream = stream
                container.mux(copied)
        return file.getvalue()


def groups(video: Path) -> Iterator[Group]:
    """Yield a video's groups of pictures."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        held: list[Packet[Any]] = []
        start = 0.0
        for packet in container.demux(stream):
            at = float((packet.pts or 0) * (packet.time_base or 0))
            if held and (packet.is_keyframe or packet.size == 0):
                end = at if packet.size else float((stream.duration or 0) * (stream.time_base or 0))
                yield Group(held, stream, start, end)
                held = []
            if packet.size:
                start = start if held else at
                held.append(packet)


def element(kind: int, body: bytes) -> bytes:
    """Return an element of EBML."""
    return (
        kind.to_bytes((kind.bit_length() + 7) // 8, "big") + (len(body) | 1 << 56).to_bytes(8, "big") + body
    )


def tags_element(tags: dict[str, str]) -> bytes:
    """Return tags as they stand in a Matroska document."""
    simple = b"".join(
        element(0x67C8, element(0x45A3, name.encode()) + element(0x4487, value.encode()))
        for name, value in tags.items()
    )
    return element(0x1254C367, element(0x7373, simple))


def error_document(error: int) -> bytes:
    """Return what the service sends in a fragment's place."""
    header = element(0x1A45DFA3, element(0x4282, b"matroska"))
    segment = (0x18538067).to_bytes(4, "big") + b"\x01" + b"\xff" * 7
    return header + segment + tags_element({f"{PREFIX}ERROR_ID": str(error), f"{PREFIX}ERROR_CODE": "FAULT"})


def _info(stream: Stream) -> Json:
    return {"StreamName": stream.name, "StreamARN": stream.arn, "Status": "ACTIVE", "MediaType": "video/h264"}


def _handler(server: KinesisVideo) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            operation = self.path.strip("/")
            server.calls.append((operation, asked))
            try:
                if operation != "getMedia":
                    self._send(200, server.answer(operation, asked))
                elif server.faults.throttled > 0:
                    server.faults.throttled -= 1
                    self._send(400, {"Message": "too many"}, "ClientLimitExceededException")
                else:
                    self._stream(server.media(asked))
            except LookupError:
                self._send(404, {"Message": "no such stream"}, "ResourceNotFoundException")
            except OSError:  # who asked has gone
                self.close_connection = True

        def _send(self, status: int, told: Json, kind: str = "") -> None:
            data = json.dumps(told).encode()
            self.send_response(status)
            if kind:
                self.send_header("x-amzn-ErrorType", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("x-amzn-RequestId", uuid.uuid4().hex)
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, documents: Iterator[bytes]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/webm")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            sent = 0
            for document in documents:
                left = None if server.faults.cut_after is None else server.faults.cut_after - sent
                self._chunk(document if left is None else document[: max(left, 0)])
                sent += len(document)
                if left is not None and len(document) > left:
                    self.close_connection = True
                    return
            self._chunk(b"")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    return Handler

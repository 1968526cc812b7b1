"""Plays Kinesis Video Streams, which no emulator has: streams, what is put into them, and GetMedia.

    python local_test/kinesis_video.py VIDEO [--stream road] [--speed 1] [--rounds 1]

Clients find it by AWS_ENDPOINT_URL_KINESIS_VIDEO. Real Matroska goes out over real chunked HTTP. What goes
wrong on the real service goes wrong here on demand, see `KinesisVideo.fault`.
"""

import argparse
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from kinesis_streams import ERRORS, Json, Kept, Refused, Stream, first_position
from live_fragments import PREFIX, Group, groups_of, without_pictures

FIRST_NUMBER = 91343852333181432392682062607743920146264691217  # so long are the service's
CALLS_PER_S = 5  # of GetMedia for a stream
CHUNK = 16 * 1024


class KinesisVideo:
    """The service, at a port of 127.0.0.1. A context manager.

    Args:
        port: Where it listens; a free one when 0.
        idle_s: For so long GetMedia waits for a fragment before it ends.
        stall_s: So long the fault `stall` lasts.

    Attributes:
        url: Where it is.
        get_media: How often GetMedia was called.
    """

    def __init__(self, port: int = 0, idle_s: float = 20.0, stall_s: float = 5.0) -> None:
        self._idle_s, self._stall_s = idle_s, stall_s
        self._streams: dict[str, Stream] = {}
        self._numbers = count(FIRST_NUMBER, 4951760157141521099596496896)
        self._stopped = threading.Event()
        self.get_media = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                service._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that are gone
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def create(self, name: str, tags: dict[str, str] | None = None) -> None:
        """Make a stream."""
        self._streams[name] = Stream(name, dict(tags or {}))

    def delete(self, name: str) -> None:
        """Take a stream away; who reads it is told nothing more."""
        del self._streams[name]

    def fragments(self, name: str) -> list[str]:
        """Return the numbers of the fragments that a stream has."""
        return [kept.number for kept in self._streams[name].fragments]

    def fault(self, name: str, kind: str) -> None:
        """Let the next fragment of a stream, or the next call, go wrong.

        Args:
            name: The stream's.
            kind: `cut` in the middle of a fragment; `stall`, silence and then the end; `error:4500` and its
                like, told in the place of a fragment; `throttle` and `down`, answers to the next call.
        """
        self._streams[name].faults.append(kind)

    def produce(
        self, name: str, groups: list[Group], speed: float = 1.0, rounds: int = 1, restarts: bool = False
    ) -> threading.Thread:
        """Put groups of pictures into a stream as a camera does, each when its last picture has been taken.

        Args:
            name: The stream's.
            groups: Of a video, from its begin.
            speed: So many times faster than real time.
            rounds: How often the video is put, one after the other.
            restarts: Whether the camera restarts between rounds, its times at 0 again; there is no other way.
        """
        stream = self._streams[name]
        length_s = groups[-1].start_s + groups[-1].length_s

        def put() -> None:
            begun, begun_s = time.monotonic(), time.time()
            for round_ in range(rounds):
                for group in groups:
                    at_s = round_ * length_s + group.start_s
                    due = begun + (at_s + group.length_s) / speed
                    if self._stopped.wait(max(0.0, due - time.monotonic())):
                        return
                    producer_s = group.start_s if restarts else begun_s + at_s
                    stream.put(str(next(self._numbers)), group, producer_s)

        thread = threading.Thread(target=put, daemon=True)
        thread.start()
        return thread

    def _answer(self, client: BaseHTTPRequestHandler) -> None:
        asked: Json = json.loads(client.rfile.read(int(client.headers.get("Content-Length", 0))) or b"{}")
        operations: dict[str, Callable[[Json], Json]] = {
            "/createStream": self._create_stream,
            "/deleteStream": self._delete_stream,
            "/describeStream": lambda asked: {"StreamInfo": self._stream(asked).info()},
            "/listStreams": self._list_streams,
            "/tagStream": self._tag_stream,
            "/listTagsForStream": lambda asked: {"Tags": self._stream(asked).tags},
            "/getDataEndpoint": lambda asked: {"DataEndpoint": self._stream(asked) and self.url},
            "/listFragments": self._list_fragments,
        }
        try:
            match client.path:
                case "/getMedia":
                    self._get_media(client, asked)
                case "/getMediaForFragmentList":
                    _send_media(client, self._listed(asked))
                case path if path in operations:
                    _send(client, 200, operations[path](asked))
                case path:
                    raise Refused("UnknownOperationException", f"{path} is not known here.", 404)
        except Refused as exc:
            _send(client, exc.status, {"Message": str(exc)}, {"x-amzn-ErrorType": exc.kind})

    def _stream(self, asked: Json) -> Stream:
        name = asked.get("StreamName") or asked.get("StreamARN", "").partition("stream/")[2].partition("/")[0]
        if name not in self._streams:
            raise Refused("ResourceNotFoundException", f"There is no stream {name}.", 404)
        return self._streams[name]

    def _create_stream(self, asked: Json) -> Json:
        if asked["StreamName"] in self._streams:
            raise Refused("ResourceInUseException", "The stream is there already.")
        self.create(asked["StreamName"], asked.get("Tags"))
        return {"StreamARN": self._streams[asked["StreamName"]].arn}

    def _delete_stream(self, asked: Json) -> Json:
        self.delete(self._stream(asked).name)
        return {}

    def _list_streams(self, asked: Json) -> Json:
        start = asked.get("StreamNameCondition", {}).get("ComparisonValue", "")
        names = sorted(name for name in self._streams if name.startswith(start))
        first, most = int(asked.get("NextToken") or 0), int(asked.get("MaxResults") or 10_000)
        shown = [self._streams[name].info() for name in names[first : first + most]]
        more = {"NextToken": str(first + most)} if first + most < len(names) else {}
        return {"StreamInfoList": shown, **more}

    def _tag_stream(self, asked: Json) -> Json:
        self._stream(asked).tags.update(asked["Tags"])
        return {}

    def _list_fragments(self, asked: Json) -> Json:
        return {
            "Fragments": [
                {
                    "FragmentNumber": kept.number,
                    "FragmentSizeInBytes": len(kept.group.document),
                    "ProducerTimestamp": kept.producer_s,
                    "ServerTimestamp": kept.server_s,
                    "FragmentLengthInMilliseconds": round(1000 * kept.group.length_s),
                }
                for kept in self._stream(asked).fragments
            ]
        }

    def _listed(self, asked: Json) -> Iterator[bytes]:
        kept = {each.number: each for each in self._stream(asked).fragments}
        if missing := [number for number in asked["Fragments"] if number not in kept]:
            raise Refused("ResourceNotFoundException", f"There is no fragment {missing[0]}.", 404)
        return (kept[number].document(time.time()) for number in asked["Fragments"])

    def _get_media(self, client: BaseHTTPRequestHandler, asked: Json) -> None:
        self.get_media += 1
        stream = self._stream(asked)
        while stream.faults and stream.faults[0] in ("throttle", "down"):
            if stream.faults.popleft() == "down":
                raise Refused("InternalFailure", "The service failed.", 503)
            raise Refused("ClientLimitExceededException", "There are too many calls.")
        now = time.monotonic()
        stream.calls.append(now)
        while stream.calls[0] < now - 1:
            stream.calls.popleft()
        if len(stream.calls) > CALLS_PER_S:
            raise Refused(
                "ClientLimitExceededException", f"There are more than {CALLS_PER_S} calls a second."
            )
        _send_media(client, self._media(client, stream, first_position(stream, asked["StartSelector"])))

    def _awaited(self, stream: Stream, position: int) -> Kept | None:
        """Wait for a fragment; return None when none comes in time."""
        with stream.changed:
            stream.changed.wait_for(
                lambda: len(stream.fragments) > position or self._stopped.is_set(), self._idle_s
            )
            is_there = len(stream.fragments) > position and not self._stopped.is_set()
            return stream.fragments[position] if is_there else None

    def _media(self, client: BaseHTTPRequestHandler, stream: Stream, first: int) -> Iterator[bytes]:
        for position in count(first):
            kept = self._awaited(stream, position)
            if kept is None:
                return
            document = kept.document(time.time())
            fault = stream.faults.popleft() if stream.faults else ""
            if fault.startswith("error:"):
                number = fault.removeprefix("error:")
                told = {"ERROR_ID": number, "ERROR_CODE": ERRORS[int(number)], "FRAGMENT_NUMBER": kept.number}
                yield without_pictures({PREFIX + name: value for name, value in told.items()})
                return
            if fault == "stall":
                self._stopped.wait(self._stall_s)
                return
            if fault == "cut":
                yield document[: len(document) // 2]
                with suppress(OSError):
                    client.connection.shutdown(socket.SHUT_RDWR)
                return
            yield document


def _send(
    client: BaseHTTPRequestHandler, status: int, body: Json, headers: dict[str, str] | None = None
) -> None:
    coded = json.dumps(body).encode()
    client.send_response(status)
    for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
        client.send_header(name, value)
    client.send_header("Content-Length", str(len(coded)))
    client.end_headers()
    client.wfile.write(coded)


def _send_media(client: BaseHTTPRequestHandler, documents: Iterator[bytes]) -> None:
    """Send documents as they come, in chunks of HTTP."""
    client.send_response(200)
    client.send_header("Content-Type", "video/webm")
    client.send_header("Transfer-Encoding", "chunked")
    client.end_headers()
    for document in documents:
        for at in range(0, len(document), CHUNK):
            part = document[at : at + CHUNK]
            client.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        client.wfile.flush()
    with suppress(OSError):
        client.wfile.write(b"0\r\n\r\n")


def main() -> int:
    """Stream a video until it ends, or Ctrl-C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--stream", default="road")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    with KinesisVideo() as service, suppress(KeyboardInterrupt):
        service.create(args.stream)
        print(f"export AWS_ENDPOINT_URL_KINESIS_VIDEO={service.url}", flush=True)
        service.produce(args.stream, list(groups_of(args.video)), args.speed, args.rounds).join()
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A live stream is read by GetMedia, over and over, from where it broke off, for as long as it is wanted.

What the service tells in a fragment's place (docs.aws.amazon.com, "GetMedia", errors of the stream):

    3002, 5000   the service failed                   asked again soon
    4000         the fragment is not there any more   the oldest that is
    4500-4506    the stream's key cannot be used      asked again, later and later
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from urllib3.exceptions import HTTPError

from pothole.entrypoints.stream.fragments import Fragment, split
from pothole.entrypoints.stream.live_stream import Part, Picture
from pothole.entrypoints.stream.pictures import key_frames
from pothole.errors import InvalidMedia
from pothole.types import Json

GONE = 4000  # what is told of a fragment that is there no longer
CONNECT_TIMEOUT_S = 5
SILENCE_S = 30  # a fragment has up to 20 s, and comes when it is whole
FIRST_WAIT_S, MAX_WAIT_S = 0.5, 30.0  # between two calls; five in a second are allowed
CHUNKS = 64  # that wait to be split
CHUNK_BYTES = 64 * 1024
_logger = logging.getLogger("pothole.stream")


class StreamReader:
    """A stream reader is the `live_stream.Reader` of Kinesis Video.

    Args:
        make_client: Makes a client of boto3: of a service, with an address and a configuration.
        max_pixels: Most pixels of a picture.
    """

    def __init__(self, make_client: Callable[..., Any], max_pixels: int) -> None:
        self._make_client, self._max_pixels = make_client, max_pixels
        self._control = make_client("kinesisvideo")
        self._addresses: dict[str, Any] = {}
        self._without_video: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, stream: str, after: str | None, stopped: threading.Event) -> Iterator[Part]:
        """See `live_stream.Reader`; what fails is tried again until it is stopped."""
        wait_s, start, begun = FIRST_WAIT_S, _start(after), datetime.now(UTC)
        while not stopped.is_set():
            error: int | None = None
            reason = "the stream's end"
            try:
                answer = self._client(stream).get_media(StreamName=stream, StartSelector=start)
                start = _from_then_on(start, answer)
                for fragment in _fragments(answer["Payload"], stopped):
                    if (error := fragment.error) is not None:
                        reason = f"the service tells the error {error} {_code(fragment)}".strip()
                        break
                    if fragment.number in ("", after):
                        continue
                    wait_s, after = FIRST_WAIT_S, fragment.number
                    yield Part(
                        fragment.number,
                        fragment.server_timestamp_ms,
                        fragment.producer_timestamp_ms,
                        self._pictures(stream, fragment),
                    )
                    start = _start(after)
            except ClientError as exc:
                reason = str(exc)
                if exc.response["Error"]["Code"] == "InvalidArgumentException":
                    error = GONE
            except (BotoCoreError, HTTPError, InvalidMedia, OSError) as exc:
                reason = str(exc)
            if start["StartSelectorType"] == "NOW":  # not one call was answered
                start = {"StartSelectorType": "SERVER_TIMESTAMP", "StartTimestamp": begun}
            if error == GONE:
                start = {"StartSelectorType": "EARLIEST"}
            if not stopped.is_set():
                _logger.warning("a stream is read anew", extra={"stream": stream, "reason": reason})
            stopped.wait(wait_s)
            wait_s = min(MAX_WAIT_S, 2 * wait_s)

    def _pictures(self, stream: str, fragment: Fragment) -> Iterator[Callable[[], Picture]]:
        """Yield the I-frames of a fragment, and say once of a stream that has none."""
        found = False
        for picture in key_frames(fragment.data, self._max_pixels):
            found = True
            yield picture
        if not found and stream not in self._without_video:
            _logger.warning("a stream has no video", extra={"stream": stream, "fragment": fragment.number})
        (self._without_video.discard if found else self._without_video.add)(stream)

    def _client(self, stream: str) -> Any:
        """Return a client for the place where a stream is; of streams in one place it is the same."""
        address = self._control.get_data_endpoint(StreamName=stream, APIName="GET_MEDIA")["DataEndpoint"]
        with self._lock:
            if address not in self._addresses:
                config = Config(
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=SILENCE_S,
                    max_pool_connections=100,
                    retries={"total_max_attempts": 1},
                )
                self._addresses[address] = self._make_client(
                    "kinesis-video-media", endpoint_url=address, config=config
                )
            return self._addresses[address]


class _Pumped:
    """This reads a connection in a thread of its own, so that a silent one can be left at once.

    Args:
        body: Of botocore's answer.
        stopped: Leaves it.
    """

    def __init__(self, body: Any, stopped: threading.Event) -> None:
        self._chunks: queue.Queue[bytes | Exception] = queue.Queue(CHUNKS)
        self._body, self._stopped, self._left = body, stopped, b""
        self._ended = threading.Event()
        threading.Thread(target=self._pump, name="get-media", daemon=True).start()

    def read(self, size: int) -> bytes:
        """See `fragments.Source`."""
        parts, missing = [], size
        while missing:
            if not self._left and not self._next():
                break
            parts.append(self._left[:missing])
            self._left = self._left[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)

    def close(self) -> None:
        """Let the thread end: to close what it reads from would be to wait for it."""
        self._ended.set()
        with suppress(ValueError, OSError, RuntimeError):  # it is closed already
            self._body._raw_stream.shutdown()

    def _next(self) -> bool:
        while not self._stopped.is_set() and not self._ended.is_set():
            with suppress(queue.Empty):
                found = self._chunks.get(timeout=0.2)
                if isinstance(found, Exception):
                    raise found
                self._left = found
                if not found:
                    self._ended.set()
                return bool(found)
        self._ended.set()
        return False

    def _pump(self) -> None:
        """Put what comes into the queue at once; `StreamingBody.read` would wait for all that it is asked."""
        try:
            with closing(self._body):
                for chunk in self._body._raw_stream.stream(CHUNK_BYTES):
                    if not self._put(chunk):
                        return
            self._put(b"")
        except (HTTPError, HTTPClientError, OSError, ValueError, AttributeError) as exc:  # closed, or cut
            self._put(OSError(f"the connection broke off: {exc}"))

    def _put(self, chunk: bytes | Exception) -> bool:
        while not self._stopped.is_set() and not self._ended.is_set():
            with suppress(queue.Full):
                self._chunks.put(chunk, timeout=0.2)
                return True
        return False


def _start(after: str | None) -> Json:
    if after is None:
        return {"StartSelectorType": "NOW"}
    return {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": after}


def _from_then_on(start: Json, answer: Json) -> Json:
    """Return where to begin anew when a call breaks off before its first fragment: not at a later now."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if start["StartSelectorType"] != "NOW" or date is None:
        return start
    return {"StartSelectorType": "SERVER_TIMESTAMP", "StartTimestamp": parsedate_to_datetime(date)}


def _fragments(body: Any, stopped: threading.Event) -> Iterator[Fragment]:
    """Yield the fragments of one call of GetMedia."""
    with closing(_Pumped(body, stopped)) as source:
        yield from split(source)


def _code(fragment: Fragment) -> str:
    return fragment.tags.get("AWS_KINESISVIDEO_ERROR_CODE", "")

"""One stream on its way from its fragments to its records: a thread reads and chooses pictures, one writes.

Between the two, pictures are looked at, several at a time. What is written is in the order of the stream, and
a fragment is checkpointed when the records of all its pictures are in.
"""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from pothole.entrypoints.stream.inference import Answer, Inference, Places, Predictor
from pothole.entrypoints.stream.lease_table import Checkpoint
from pothole.entrypoints.stream.metrics import StreamMetrics
from pothole.entrypoints.stream.records import RecordStream, StreamFrame
from pothole.errors import Interrupted, InvalidMedia, PotholeError, TooLarge
from pothole.types import Image

_logger = logging.getLogger("pothole.stream")


@dataclass(frozen=True)
class Picture:
    """This is an I-frame of a fragment.

    Attributes:
        track: Its track.
        timecode_ms: Its time as the fragment has it.
        image: The picture, RGB.
    """

    track: int
    timecode_ms: int
    image: Image


@dataclass(frozen=True)
class Part:
    """This is a fragment of a stream, with its I-frames.

    Attributes:
        number: The fragment's number.
        server_ms: When it came in, in milliseconds since 1970.
        producer_ms: When it began, by the producer's clock.
        pictures: What makes each of its I-frames, in order; called for those alone that are looked at.
    """

    number: str
    server_ms: int
    producer_ms: int
    pictures: Iterable[Callable[[], Picture]]


class Reader(Protocol):
    """This reads a stream; tests replace it at this seam."""

    def __call__(self, stream: str, after: str | None, stopped: threading.Event) -> Iterator[Part]:
        """Yield the fragments of a stream after one until it is stopped; None begins with what comes next."""
        ...


@dataclass(frozen=True)
class Services:
    """These serve all streams of a consumer.

    Attributes:
        read: Reads a stream.
        predictor: Looks at pictures.
        inference: Has it done by several threads.
        places: Of pictures on their way.
        records: Takes what is said of them.
        form: Writes a record, of where a picture comes from, the answer, and the picture if it was kept.
        keeps_picture: Whether it is kept.
        save: Writes how far a stream is done; says whether it is still ours.
        metrics: Are told of everything.
        interval: Of so many I-frames one is looked at.
    """

    read: Reader
    predictor: Predictor[Any, Any]
    inference: Inference[Any, Any]
    places: Places
    records: RecordStream
    form: Callable[[StreamFrame, bytes, bytes | None], bytes]
    keeps_picture: bool
    save: Callable[[str, Checkpoint], bool]
    metrics: StreamMetrics
    interval: int


@dataclass(frozen=True, eq=False)
class _Asked:
    """A picture is asked about."""

    frame: StreamFrame
    size: int
    coded: bytes | None
    done: "Future[Any]"


class LiveStream:
    """A live stream is read from a checkpoint on until it is told to stop, or fails.

    Args:
        name: The stream's name.
        services: See there.
        start: How far it is done; None to begin with what comes next.
    """

    def __init__(self, name: str, services: Services, start: Checkpoint | None) -> None:
        self.name = name
        self._services, self._start = services, start
        self._stopped, self._lost = threading.Event(), threading.Event()
        self._queue: queue.SimpleQueue[_Asked | Checkpoint | None] = queue.SimpleQueue()
        self._open: deque[_Asked | Checkpoint] = deque()
        self._threads = [
            threading.Thread(target=self._read, name=f"read-{name}", daemon=True),
            threading.Thread(target=self._write, name=f"write-{name}", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_done(self) -> bool:
        """Say whether it has ended, and all its records are in or given up."""
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Read no more; what was read is still written."""
        self._stopped.set()

    def lose(self) -> None:
        """Read and write no more: another consumer has the stream."""
        self._lost.set()
        self._stopped.set()

    def _read(self) -> None:
        """Read fragments, and ask about every so many pictures."""
        after, count = (self._start.fragment, self._start.pictures) if self._start else (None, 0)
        try:
            for part in self._services.read(self.name, after, self._stopped):
                read = self._read_part(part, count)
                if read is None:
                    return
                count = read
                # Also when it was stopped meanwhile, or who goes on would read all of it again.
                self._queue.put(Checkpoint(part.number, count))
                if self._stopped.is_set():
                    return
        except PotholeError as exc:
            _logger.warning("a stream cannot be read", extra={"stream": self.name, "reason": str(exc)})
        except Exception:
            _logger.exception("reading failed", extra={"stream": self.name})
        finally:
            self._queue.put(None)

    def _read_part(self, part: Part, count: int) -> int | None:
        """Ask about every so many pictures of a fragment.

        Args:
            part: The fragment.
            count: How many I-frames came before it.

        Returns:
            How many there were then; None if the stream was stopped while the queue was full.
        """
        try:
            for picture in part.pictures:
                self._services.metrics.count("FramesRead")
                count += 1
                if (count - 1) % self._services.interval == 0 and not self._ask(part, picture()):
                    return None
        except (InvalidMedia, TooLarge) as exc:  # it would be no better when it is read again
            self._services.metrics.count("FramesRefused")
            about = {"stream": self.name, "fragment": part.number, "reason": str(exc)}
            _logger.error("a fragment is left out", extra=about)
        return count

    def _ask(self, part: Part, picture: Picture) -> bool:
        """Have a picture looked at; say whether there was a place for it before the stream was stopped."""
        services = self._services
        services.metrics.count("FramesChosen")
        services.metrics.since("IngestToProcessLatency", part.server_ms)
        body = services.predictor.prepare(picture.image)
        size = services.predictor.size(body)
        frame = StreamFrame(
            self.name, part.number, part.server_ms, part.producer_ms, picture.track, picture.timecode_ms
        )
        coded = services.predictor.coded(body) if services.keeps_picture else None
        services.metrics.begin(frame, part.server_ms)
        if not services.places.take(size, self._stopped):
            services.metrics.end(frame)
            return False
        self._queue.put(_Asked(frame, size, coded, services.inference.submit(body)))
        return True

    def _write(self) -> None:
        """Write records in order, and checkpoints behind them."""
        try:
            for answer in self._services.predictor.follow(self._seen()):
                asked = self._open.popleft()
                assert isinstance(asked, _Asked)
                self._record(asked, answer)
                self._settle()
        except Interrupted:  # what is not written is read again from the checkpoint
            pass
        except Exception:
            _logger.exception("writing failed", extra={"stream": self.name})
        finally:
            self._stopped.set()
            self._clear()

    def _seen(self) -> Iterator[Any]:
        """Yield what was seen in each picture, in order; one that is refused is left out."""
        while (item := self._queue.get()) is not None:
            self._open.append(item)
            if self._lost.is_set():
                raise Interrupted("Another consumer has the stream.")
            if isinstance(item, Checkpoint):
                self._settle()
                continue
            try:
                seen = item.done.result()
            except Interrupted:
                raise
            except PotholeError as exc:
                self._services.metrics.count("FramesRefused")
                _logger.error("a picture is refused", extra={"stream": self.name, "reason": str(exc)})
                self._leave(self._open.pop())
                continue
            self._services.metrics.count("FramesAnswered")
            yield seen
        self._queue.put(None)  # for `_clear`, which reads up to it

    def _record(self, asked: _Asked, answer: Answer) -> None:
        """Write a record; one that is too large is told and left out."""
        services = self._services
        try:
            if self._lost.is_set():
                raise Interrupted("Another consumer has the stream.")
            services.records.put(self.name, services.form(asked.frame, answer.output, asked.coded))
        except Interrupted:
            raise
        except PotholeError as exc:
            services.metrics.count("RecordsRefused")
            _logger.error("a record is refused", extra={"stream": self.name, "reason": str(exc)})
        else:
            services.metrics.since("IngestToRecordLatency", asked.frame.server_ms)
            services.metrics.count("Potholes", answer.potholes)
            if answer.potholes:
                about = {"stream": self.name, "fragment": asked.frame.fragment, "potholes": answer.potholes}
                _logger.info("potholes", extra=about)
        finally:
            self._leave(asked)

    def _settle(self) -> None:
        """Write the newest checkpoint before which nothing is open."""
        checkpoint = None
        while self._open and isinstance(item := self._open[0], Checkpoint):
            checkpoint = item
            self._open.popleft()
        if checkpoint is None:
            return
        try:
            if not self._services.save(self.name, checkpoint):
                self.lose()
        except PotholeError as exc:  # the next one says as much
            _logger.warning("no checkpoint", extra={"stream": self.name, "reason": str(exc)})

    def _leave(self, item: "_Asked | Checkpoint") -> None:
        if isinstance(item, _Asked):
            self._services.places.leave(item.size)
            self._services.metrics.end(item.frame)

    def _clear(self) -> None:
        """Let go of all that is still open, until the reader has ended."""
        for item in self._open:
            self._leave(item)
        self._open.clear()
        while (rest := self._queue.get()) is not None:
            self._leave(rest)

"""The consumer works on the videos of a queue, each once, and deletes a message when its outcome is final.

What becomes of a message:

    done, or nothing to do                   deleted
    can never work (the message, the video)  moved to the dead-letter queue with the reason
    a fault that may pass (S3, disk)         seen again, later and later, until SQS itself moves it aside
    the worker stops                         seen again at once; whoever takes it goes on at the checkpoint
    another worker has the video             waited for, and then as that one ends
"""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field

from pothole.entrypoints.logs import request_id
from pothole.entrypoints.queue.messages import Stop, Work, parse_message
from pothole.entrypoints.queue.protection import Protection
from pothole.entrypoints.queue.queue import Message, VideoQueue
from pothole.entrypoints.queue.steps import Document, TableSteps
from pothole.errors import PASSING, Interrupted, LeaseLost, PotholeError
from pothole.job_order import Job
from pothole.jobs.record import Record
from pothole.jobs.request import JobRequest
from pothole.jobs.worker import Worker
from pothole.types import Json

DATA = "result_file", "json"  # outputs that a document names, the first that is made
POLL_S = 2.0  # between two looks at a job that another worker has
PAUSE_S = 5.0  # until SQS is asked again after it failed
_logger = logging.getLogger("pothole.queue")


@dataclass(frozen=True)
class Consumer:
    """A consumer takes messages from a queue and works on their videos, as many at a time as there are slots.

    Attributes:
        queue: Where the messages are.
        worker: Does the jobs.
        steps: Is told how far each is; None where no table is configured.
        defaults: What a message leaves open, by the fields of a request.
        slots: Videos in work at a time.
        protection: Is held while a message is worked on.
        stopped: Set by the message that ends this worker: what is in work is finished.
    """

    queue: VideoQueue
    worker: Worker
    steps: TableSteps | None
    defaults: Json
    slots: int
    protection: Protection
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Work until the worker's shutdown is signalled, or a message ends it."""
        with ThreadPoolExecutor(self.slots, "slot") as pool:
            for slot in as_completed([pool.submit(self._take) for _ in range(self.slots)]):
                self.stopped.set()  # where one fails, the others finish what is in work
                slot.result()

    def _take(self) -> None:
        """Take one message after the other."""
        while not (self.stopped.is_set() or self.worker.shutdown.soon.is_set()):
            try:
                if message := self.queue.receive():
                    self._handle(message)
            except PotholeError as exc:
                _logger.warning("the queue fails", extra={"reason": str(exc)})
                self.worker.shutdown.soon.wait(PAUSE_S)

    def _handle(self, message: Message) -> None:
        """Do what a message asks for, and let go of it."""
        request_id.set(message.id)  # each line of the log names the message
        try:
            with self.queue.kept(message), self.protection.held():
                self._work(message)
        except Interrupted as exc:
            self._let_go(message, exc, "given back")
            self.queue.give_back(message, later=False)
        except PASSING as exc:
            self._let_go(message, exc, "tried again later")
            self.queue.give_back(message, later=True)
        except PotholeError as exc:
            self._let_go(message, exc, "put aside")
            self.queue.put_aside(message, exc)
        except Exception:
            _logger.exception("the work failed")
            self.queue.give_back(message, later=True)
        else:
            self.queue.delete(message)

    def _let_go(self, message: Message, error: PotholeError, outcome: str) -> None:
        _logger.warning(outcome, extra={"received": message.received, "reason": str(error)})

    def _work(self, message: Message) -> None:
        asked = parse_message(message.body)
        if isinstance(asked, Stop):
            self.stopped.set()
            return
        for work in asked:
            self._mark(work)

    def _mark(self, work: Work) -> None:
        """Mark one video, and say so in its document."""
        document = Document(self.steps, work.video_id)
        try:
            job = self._finished(work.request(self.defaults), document)
            document.set("done", result_file=_result_file(job))
        except Interrupted:
            raise  # the step still runs: the next worker goes on
        except PotholeError as exc:
            with suppress(PotholeError):  # the first error is the one to tell
                document.set("error", error=exc.to_json()["error"])
            raise

    def _finished(self, request: JobRequest, document: Document) -> Job:
        """Do a job, or wait until another worker has done it; return it with the names of its outputs."""
        job = self.worker.named(request.job)
        while True:
            record = self.worker.find_active(job, request.retry)
            if record is None:
                document.set("running")
                claimed = self.worker.claim(job, request.retry)
                if isinstance(claimed, Record):
                    continue
                with suppress(LeaseLost):  # another worker goes on
                    self.worker.run(job, claimed)
            elif record.state == "done":
                return job
            elif failure := record.failure:
                raise failure
            elif self.worker.shutdown.soon.wait(POLL_S):
                raise Interrupted("The worker stops while another one has this job.")


def _result_file(job: Job) -> dict[str, str]:
    """Return where the data about a video is."""
    data = next((output for output in DATA if output in job.outputs), job.outputs[0])
    return {"bucket": job.output_bucket or job.source_bucket, "key": job.output_key(data)}

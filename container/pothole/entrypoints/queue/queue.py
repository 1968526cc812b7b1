"""`VideoQueue` is a queue of SQS: messages are received, kept, given back, put aside, or deleted."""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pothole.errors import ConfigError, PotholeError, StorageUnavailable, reason
from pothole.types import Json

WAIT_S = 10  # of one long poll
HEARTBEATS = 3  # in the time for which a message stays hidden, so that one that fails is not the end
MAX_BACK_OFF_S = 900  # until a message whose fault may pass is seen again
MAX_ATTRIBUTE = 1000  # characters of the reason that is sent along with a message that was put aside
_logger = logging.getLogger("pothole.queue")


@dataclass(frozen=True)
class Message:
    """A message was received and is hidden from other workers for a while.

    Attributes:
        id: SQS's name for it.
        handle: What this receipt of it is called by.
        body: Its text.
        received: How many times it was received, this one included.
    """

    id: str
    handle: str
    body: str
    received: int


class VideoQueue:
    """A video queue holds messages that ask for videos.

    Args:
        client: Asks SQS.
        name: The queue's name or address.
        hidden_s: Seconds for which a message is hidden from other workers unless it is kept longer.

    Raises:
        ConfigError: There is no such queue.
        StorageUnavailable: SQS failed.
    """

    def __init__(self, client: Any, name: str, hidden_s: int) -> None:
        self._client, self._hidden_s = client, hidden_s
        with _errors():
            try:
                self.url = name if "://" in name else client.get_queue_url(QueueName=name)["QueueUrl"]
                attributes = client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["RedrivePolicy"])
            except client.exceptions.QueueDoesNotExist as exc:
                raise ConfigError(f"There is no queue {name!r}.", hint="See its name and region.") from exc
            self._aside = self._dead_letter_queue(attributes.get("Attributes", {}))
        if self._aside is None:
            _logger.warning(
                "%s has no dead-letter queue: a message that cannot work is logged and lost", name
            )

    def receive(self) -> Message | None:
        """Wait some seconds for a message.

        Raises:
            StorageUnavailable: SQS failed.
        """
        with _errors():
            answer = self._client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=WAIT_S,
                VisibilityTimeout=self._hidden_s,
                AttributeNames=["ApproximateReceiveCount"],
            )
        for got in answer.get("Messages", []):
            count = int(got.get("Attributes", {}).get("ApproximateReceiveCount", 1))
            return Message(got["MessageId"], got["ReceiptHandle"], got["Body"], count)
        return None

    @contextmanager
    def kept(self, message: Message) -> Iterator[None]:
        """Keep a message hidden from others until the end of the `with` block."""
        ended = threading.Event()

        def stay() -> None:
            while not ended.wait(self._hidden_s / HEARTBEATS):
                try:
                    self._hide(message, self._hidden_s)
                except PotholeError as exc:  # the job's own lease still keeps others from it
                    _logger.warning(
                        "a message may be seen again", extra={"message_id": message.id, "reason": str(exc)}
                    )

        thread = threading.Thread(target=stay, name=f"message-{message.id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def delete(self, message: Message) -> None:
        """Delete a message, whose outcome is final."""
        with _errors():
            self._client.delete_message(QueueUrl=self.url, ReceiptHandle=message.handle)

    def give_back(self, message: Message, later: bool) -> None:
        """Let others see a message: at once, or later and later the more often it was received."""
        self._hide(message, min(MAX_BACK_OFF_S, self._hidden_s * 2 ** (message.received - 1)) if later else 0)

    def put_aside(self, message: Message, error: PotholeError) -> None:
        """Move a message that can never work to the dead-letter queue, with the reason."""
        reason = {"ErrorCode": error.code, "ErrorMessage": str(error)[:MAX_ATTRIBUTE]}
        if self._aside:
            with _errors():
                self._client.send_message(
                    QueueUrl=self._aside, MessageBody=message.body, MessageAttributes=_attributes(reason)
                )
        self.delete(message)

    def _hide(self, message: Message, seconds: int) -> None:
        with _errors():
            self._client.change_message_visibility(
                QueueUrl=self.url, ReceiptHandle=message.handle, VisibilityTimeout=seconds
            )

    def _dead_letter_queue(self, attributes: Json) -> str | None:
        """Return the address of the queue of messages that failed, of which SQS tells the ARN."""
        if "RedrivePolicy" not in attributes:
            return None
        arn = json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"]
        *_, account, name = arn.split(":")
        url: str = self._client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        return url


@contextmanager
def _errors() -> Iterator[None]:
    """Turn the client's errors into ours."""
    try:
        yield
    except ClientError as exc:
        raise StorageUnavailable(f"SQS answers {exc.response['Error']['Code']}.") from exc
    except BotoCoreError as exc:
        raise StorageUnavailable(f"SQS cannot be reached: {reason(exc)}.") from exc


def _attributes(values: dict[str, str]) -> Json:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}

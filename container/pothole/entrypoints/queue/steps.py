"""The document of a video in DynamoDB says which steps of its processing are running, done or in error.

Other steps and other fields of the document are written by others meanwhile, so each write is a conditional
one of this step alone.
"""

from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from pothole.errors import AccessDenied, RequestError, StorageUnavailable, reason
from pothole.types import Json

TRIES = 20  # looks at the document again, where others wrote to its steps at the same moment
DENIED = {"AccessDeniedException", "UnrecognizedClientException", "ResourceNotFoundException"}

State = Literal["running", "done", "error"]


class TableSteps:
    """A `TableSteps` writes one step of documents with the key `VideoId`, a number.

    Args:
        table: The table, of boto3's resource.
        step: The step's name.
    """

    def __init__(self, table: Any, step: str) -> None:
        self._table, self._step = table, step

    def set(self, video_id: int, state: State, **about: Json) -> None:
        """Write the state of the step.

        Args:
            video_id: Number of the document.
            state: The step's.
            about: Further fields of the step; those of an earlier state are removed.

        Raises:
            RequestError: There is no such document.
            AccessDenied: DynamoDB refuses us, or has no such table.
            StorageUnavailable: DynamoDB failed.
        """
        entry = {"step": self._step, "state": state, **about}
        try:
            for _ in range(TRIES):
                if self._write(video_id, entry):
                    return
        except ClientError as exc:
            said = f"DynamoDB answers {exc.response['Error']['Code']} for the table {self._table.name}."
            if exc.response["Error"]["Code"] in DENIED:
                raise AccessDenied(said, hint="See its name and region, and the worker's role.") from exc
            raise StorageUnavailable(said) from exc
        except BotoCoreError as exc:
            raise StorageUnavailable(f"DynamoDB cannot be reached: {reason(exc)}.") from exc
        raise StorageUnavailable(f"The steps of the document {video_id} change all the time.")

    def _write(self, video_id: int, entry: Json) -> bool:
        """Write the step where it stands, or behind the others; say whether nobody was faster."""
        key = {"VideoId": video_id}
        document = self._table.get_item(
            Key=key, ConsistentRead=True, ProjectionExpression="VideoId, process_steps"
        ).get("Item")
        if document is None:
            raise RequestError(
                f"The table {self._table.name} has no document with VideoId {video_id}.",
                hint="Write the document before the message is sent.",
            )
        steps = document.get("process_steps")
        if not (steps is None or (isinstance(steps, list) and all(isinstance(step, dict) for step in steps))):
            raise RequestError(
                f"process_steps of the document {video_id} is {steps!r:.60}, expected a list of steps.",
                hint="Correct the document, or leave process_steps out.",
            )
        try:
            self._table.update_item(Key=key, **_update(steps, entry))
        except self._table.meta.client.exceptions.ConditionalCheckFailedException:
            return False
        return True


@dataclass(frozen=True)
class Document:
    """A document is that of one video.

    Attributes:
        steps: Writes it; None where no table is configured.
        video_id: Its number; None where the message names none, and then nothing is written.
    """

    steps: TableSteps | None
    video_id: int | None

    def set(self, state: State, **about: Json) -> None:
        """See `TableSteps.set`."""
        if self.steps and self.video_id is not None:
            self.steps.set(self.video_id, state, **about)


def _update(steps: list[Json] | None, entry: Json) -> Json:
    """Return what writes an entry into steps that are as they were read."""
    names = [step.get("step") for step in steps or []]
    if entry["step"] in names:
        place = f"process_steps[{names.index(entry['step'])}]"
        return {
            "UpdateExpression": f"SET {place} = :entry",
            "ConditionExpression": f"{place}.#name = :name",
            "ExpressionAttributeNames": {"#name": "step"},
            "ExpressionAttributeValues": {":entry": entry, ":name": entry["step"]},
        }
    if steps is None:
        return {
            "UpdateExpression": "SET process_steps = :entries",
            # DynamoDB may hold a null there, which is no list either.
            "ConditionExpression": "attribute_exists(VideoId) AND "
            "(attribute_not_exists(process_steps) OR process_steps = :null)",
            "ExpressionAttributeValues": {":entries": [entry], ":null": None},
        }
    return {
        "UpdateExpression": "SET process_steps = list_append(process_steps, :entries)",
        "ConditionExpression": "size(process_steps) = :count",
        "ExpressionAttributeValues": {":entries": [entry], ":count": len(steps)},
    }

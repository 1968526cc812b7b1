"""A lease in DynamoDB is the right of one consumer to read one stream; each change is a conditional write.

The items are those of Amazon's Kinesis Client Library: `leaseKey`, `leaseOwner`, `leaseCounter` and
`checkpoint`. `heir` is ours: who has asked for the lease, and gets it as soon as its owner has finished.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from pothole.errors import AccessDenied, ConfigError, StorageUnavailable, reason
from pothole.types import Json

DENIED = {"AccessDeniedException", "UnrecognizedClientException"}
_MINE = "leaseOwner = :me"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint is how far a stream is done.

    Attributes:
        fragment: Number of the last fragment whose records are all in.
        pictures: I-frames of the stream up to there, by which the next one to look at is chosen.
    """

    fragment: str
    pictures: int


@dataclass(frozen=True)
class Lease:
    """A lease is as it was read.

    Attributes:
        key: The stream's name, or `SYNC_KEY`.
        owner: Who has it; None when nobody does.
        counter: Goes up with each sign of life of the owner.
        checkpoint: Where reading goes on; None for the beginning.
        heir: Who is to have it next; None when nobody asks.
    """

    key: str
    owner: str | None = None
    counter: int = 0
    checkpoint: Checkpoint | None = None
    heir: str | None = None

    @classmethod
    def of(cls, item: Json) -> Self:
        """Read an item of the table."""
        fragment = item.get("checkpoint")
        checkpoint = Checkpoint(fragment, int(item.get("pictures", 0))) if fragment else None
        counter = int(item.get("leaseCounter", 0))
        return cls(item["leaseKey"], item.get("leaseOwner"), counter, checkpoint, item.get("heir"))


class LeaseTable:
    """A lease table is the one in DynamoDB, as one consumer sees it.

    Args:
        client: Asks DynamoDB: that of boto3's resource, which takes and gives plain values. Unlike the
            resource's tables it may be used by several threads.
        table: The table's name.
        me: The consumer's name.
    """

    def __init__(self, client: Any, table: str, me: str) -> None:
        self.me = me
        self._client, self._table = client, table

    def all(self) -> list[Lease]:
        """Return all leases.

        Raises:
            ConfigError: There is no such table.
            AccessDenied: DynamoDB refuses us.
            StorageUnavailable: DynamoDB failed.
        """
        found: list[Lease] = []
        start: Json = {}
        with _errors(self._table):
            while True:
                answer = self._client.scan(TableName=self._table, ConsistentRead=True, **start)
                found += [Lease.of(item) for item in answer["Items"]]
                if "LastEvaluatedKey" not in answer:
                    return found
                start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def create(self, key: str) -> bool:
        """Make a lease that nobody has; say whether it was not there."""
        return self._put({"leaseKey": key, "leaseCounter": 0})

    def delete(self, key: str) -> None:
        """Delete a lease, whoever has it: the stream is gone."""
        with _errors(self._table):
            self._client.delete_item(TableName=self._table, Key={"leaseKey": key})

    def take(self, lease: Lease) -> Lease | None:
        """Take a lease that has not changed since it was read; return it as it is then, None if it has."""
        unchanged = "leaseCounter = :counter AND " + (
            "leaseOwner = :owner" if lease.owner else "attribute_not_exists(leaseOwner)"
        )
        values = {":counter": lease.counter} | ({":owner": lease.owner} if lease.owner else {})
        take = "SET leaseOwner = :me ADD leaseCounter :one REMOVE heir"
        return self._update(lease.key, take, unchanged, values)

    def renew(self, lease: Lease) -> Lease | None:
        """Give a sign of life; return the lease as it is now, None when another one has it."""
        return self._update(lease.key, "ADD leaseCounter :one", _MINE)

    def save(self, key: str, checkpoint: Checkpoint) -> bool:
        """Write how far a stream is done; say whether the lease is still ours."""
        values = {":fragment": checkpoint.fragment, ":pictures": checkpoint.pictures}
        expression = "SET checkpoint = :fragment, pictures = :pictures"
        return self._update(key, expression, _MINE, values) is not None

    def ask(self, lease: Lease) -> bool:
        """Ask a lease's owner for it; say whether nobody was faster and it still has the same owner."""
        values = {":owner": lease.owner}
        condition = "leaseOwner = :owner AND attribute_not_exists(heir)"
        return self._update(lease.key, "SET heir = :me", condition, values) is not None

    def give_up(self, lease: Lease) -> None:
        """Let another one have a lease: who has asked for it, or whoever is first."""
        if lease.heir:
            self._update(
                lease.key,
                "SET leaseOwner = :heir ADD leaseCounter :one REMOVE heir",
                _MINE,
                {":heir": lease.heir},
            )
        else:
            self._update(lease.key, "ADD leaseCounter :one REMOVE leaseOwner, heir", _MINE)

    def _put(self, item: Json) -> bool:
        with _errors(self._table):
            try:
                self._client.put_item(
                    TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(leaseKey)"
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def _update(self, key: str, update: str, condition: str, values: Json | None = None) -> Lease | None:
        """Change a lease where a condition holds, and return it as it is then."""
        common = {":me": self.me, ":one": 1}
        used = {name: value for name, value in common.items() if name in f"{update} {condition}".split()}
        with _errors(self._table):
            try:
                answer = self._client.update_item(
                    TableName=self._table,
                    Key={"leaseKey": key},
                    UpdateExpression=update,
                    # Without the first part a lease that was deleted would come back.
                    ConditionExpression=f"attribute_exists(leaseKey) AND {condition}",
                    ExpressionAttributeValues=used | (values or {}),
                    ReturnValues="ALL_NEW",
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return None
        return Lease.of(answer["Attributes"])


@contextmanager
def _errors(table: str) -> Iterator[None]:
    """Turn the client's errors into ours."""
    try:
        yield
    except ClientError as exc:
        code = exc.response["Error"]["Code"]
        said = f"DynamoDB answers {code} for the table {table}."
        if code == "ResourceNotFoundException":
            raise ConfigError(
                f"There is no table {table!r}.", hint="Make it with the key leaseKey, a string."
            ) from exc
        if code in DENIED:
            raise AccessDenied(said, hint="See the role.") from exc
        raise StorageUnavailable(said) from exc
    except BotoCoreError as exc:
        raise StorageUnavailable(f"DynamoDB cannot be reached: {reason(exc)}.") from exc

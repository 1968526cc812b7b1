"""Tables of leases in the emulator."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from pothole.entrypoints.stream.lease_table import LeaseTable
from support.streams import DataStream, FaultyEndpoint


@pytest.fixture
def lease_table(aws: str) -> Callable[[str], LeaseTable]:
    """Opens one table of leases, the same for each consumer."""
    client: Any = boto3.session.Session().resource("dynamodb").meta.client
    name = f"leases-{uuid.uuid4().hex[:8]}"
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return lambda me: LeaseTable(client, name, me)


@pytest.fixture
def data_stream(aws: str) -> DataStream:
    """A stream of Kinesis Data in the emulator."""
    return DataStream(boto3.session.Session().client("kinesis"))


@pytest.fixture
def endpoint() -> Iterator[FaultyEndpoint]:
    """A SageMaker endpoint over a real socket, with faults on demand."""
    with FaultyEndpoint() as server:
        yield server

"""Tables of leases in the emulator."""

import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from pothole.entrypoints.stream.lease_table import LeaseTable


@pytest.fixture
def lease_table(aws: str) -> Callable[[str], LeaseTable]:
    """Opens one table of leases, the same for each consumer."""
    table: Any = (
        boto3.session.Session()
        .resource("dynamodb")
        .create_table(
            TableName=f"leases-{uuid.uuid4().hex[:8]}",
            KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    )
    return lambda me: LeaseTable(table, me)

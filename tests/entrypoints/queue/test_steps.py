"""The steps of a document are written whatever others have written into it, or it is said what is wrong."""

import uuid
from typing import Any

import boto3
import pytest

from pothole.entrypoints.queue.steps import TableSteps
from pothole.errors import RequestError


@pytest.fixture
def table(aws: str) -> Any:
    name = f"videos-{uuid.uuid4().hex[:8]}"
    return (
        boto3.session.Session()
        .resource("dynamodb")
        .create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "VideoId", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "VideoId", "AttributeType": "N"}],
            BillingMode="PAY_PER_REQUEST",
        )
    )


def test_a_null_in_place_of_steps_is_none_yet(table: Any) -> None:
    table.put_item(Item={"VideoId": 17, "process_steps": None, "owner": "roads"})
    TableSteps(table, "potholes").set(17, "running")
    found = table.get_item(Key={"VideoId": 17})["Item"]
    assert found["process_steps"] == [{"step": "potholes", "state": "running"}]
    assert found["owner"] == "roads"


@pytest.mark.parametrize(
    "steps", [{"potholes": "done"}, "done", ["done"]], ids=["map", "text", "list of text"]
)
def test_what_is_no_list_of_steps_is_named_and_kept(table: Any, steps: Any) -> None:
    table.put_item(Item={"VideoId": 17, "process_steps": steps})
    with pytest.raises(RequestError, match=r"process_steps of the document 17 is .*expected a list of steps"):
        TableSteps(table, "potholes").set(17, "running")
    assert table.get_item(Key={"VideoId": 17})["Item"]["process_steps"] == steps

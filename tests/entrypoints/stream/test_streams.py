"""Which streams are read: those named and there, and those that bear one of the tags."""

import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from pothole.entrypoints.stream.streams import Streams
from pothole.entrypoints.stream.variables import Variables
from pothole.errors import AccessDenied


class Account:
    """Streams of Kinesis Video with their tags, behind a real client whose models check each answer."""

    def __init__(self, **tags: dict[str, str]) -> None:
        self.client: Any = boto3.session.Session("test", "test", region_name="eu-central-1").client(
            "kinesisvideo"
        )
        self.stub = Stubber(self.client)
        for page, end in ((list(tags)[:2], False), (list(tags)[2:], True)):
            listed = [{"StreamName": n, "StreamARN": _arn(n), "Status": _status(n)} for n in page]
            more = {} if end else {"NextToken": "more"}
            self.stub.add_response("list_streams", {"StreamInfoList": listed, **more})
        self.tags = tags

    def wanted(self, *tagged: str, **variables: Any) -> set[str]:
        for name in tagged:
            asked = {"StreamARN": _arn(name)}
            self.stub.add_response("list_tags_for_stream", {"Tags": self.tags[name]}, asked)
        read = Variables.read(json.dumps({"kdsStreamName": "k"} | variables), None)
        with self.stub:
            found = Streams(self.client, read).wanted()
            self.stub.assert_no_pending_responses()
        return found


def _arn(name: str) -> str:
    return f"arn:aws:kinesisvideo:eu-central-1:123456789012:stream/{name}/1553120371155"


def _status(name: str) -> str:
    return "DELETING" if name == "going" else "ACTIVE"


def test_streams_are_found_on_all_pages_and_asked_for_their_tags_only_where_that_decides() -> None:
    account = Account(
        front={"Location": "Front"}, back={"Location": "Back"}, yard={"Location": "Parking"}, going={}
    )
    filters = [{"key": "Location", "values": ["Front", "Parking"]}]
    found = account.wanted("front", "yard", streamNames=["back", "missing"], tagFilters=filters)
    assert found == {"front", "back", "yard"}


def test_without_filters_no_tags_are_asked_for_and_a_stream_that_goes_is_left_out() -> None:
    assert Account(front={}, going={}).wanted(streamNames=["front", "going"]) == {"front"}


def test_a_service_that_refuses_is_told() -> None:
    account = Account()
    account.stub = Stubber(account.client)
    account.stub.add_client_error("list_streams", "AccessDeniedException", http_status_code=401)
    with pytest.raises(AccessDenied, match="Kinesis Video answers AccessDeniedException"):
        account.wanted(streamNames=["front"])

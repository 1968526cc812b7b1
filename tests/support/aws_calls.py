"""Calls of boto3 that reach no AWS: botocore's own models check each one, and the test says the answers."""

from typing import Any, NamedTuple

import boto3
import pytest

REGION = "eu-central-1"


class Call(NamedTuple):
    """One request: which service, which of its operations, and what was asked."""

    service: str
    operation: str
    asked: dict[str, Any]


class Calls:
    """Stands in for AWS behind real clients, which refuse what their models do not allow.

    Attributes:
        made: All calls so far.
        answers: What an operation is answered; an empty answer for one that is not named.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[Call] = []
        self.answers: dict[str, dict[str, Any]] = {}
        session = boto3.session.Session("test", "test", region_name=REGION)

        def client(service: str, **options: Any) -> Any:
            made = session.client(service, **options)
            made.meta.events.register_first("before-parameter-build", self._record)
            made.meta.events.register_last("before-call", self._answer)
            return made

        monkeypatch.setattr(boto3, "client", client)

    def of(self, operation: str) -> list[dict[str, Any]]:
        """Return what was asked of one operation."""
        return [call.asked for call in self.made if call.operation == operation]

    def _record(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.made.append(Call(model.service_model.service_name, model.name, dict(params)))

    def _answer(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        answer = {"ResponseMetadata": {"HTTPStatusCode": 200}, **self.answers.get(model.name, {})}
        return type("Answered", (), {"status_code": 200})(), answer

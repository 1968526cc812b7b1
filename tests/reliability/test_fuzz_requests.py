"""Odd requests against what docs/reference/openapi.yaml promises; `make fuzz` sends thousands."""

import json
import logging
import os
import random
import string
from collections import Counter
from http import HTTPStatus
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CHECKS
from schemathesis.generation import GenerationMode

from pothole.jobs.request import Input
from support.jobs import ask
from support.servers import ROOT, Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

INPUTS = int(os.environ.get("INPUTS", "100"))
PAGE = yaml.safe_load((ROOT / "docs" / "reference" / "openapi.yaml").read_text())
SCHEMA = schemathesis.openapi.from_dict(PAGE)
PROMISES = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
]
figures = logging.getLogger("figures")


def test_the_page_lists_the_fields_that_a_request_has() -> None:
    fields = PAGE["components"]["schemas"]["Request"]["properties"]["input"]["properties"]
    assert fields.keys() == Input.model_fields.keys()
    for name, field in Input.model_fields.items():
        assert fields[name].get("default") == (None if field.is_required() else field.default), name


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("asked", ["POST /invocations", "GET /liveinference", "GET /image"])
def test_requests_that_fit_and_that_do_not_are_answered_as_promised(
    server: Server, mode: GenerationMode, asked: str
) -> None:
    statuses: Counter[int] = Counter()
    method, path = asked.split()
    operation = SCHEMA[path][method]

    @settings(
        max_examples=INPUTS // 8,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        answer = case.call(base_url=server.url)
        statuses[answer.status_code] += 1
        case.validate_response(answer, checks=PROMISES)

    send()
    figures.info("%d %s requests of %s: %s", statuses.total(), mode.value, asked, dict(statuses))


@pytest.mark.timeout(3600)
def test_odd_methods_paths_and_headers_are_answered(server: Server) -> None:
    dice, statuses = random.Random(3), Counter[int]()
    names = ["Content-Type", "Accept", "X-Request-Id", "Transfer-Encoding", "Content-Length", "Range", "Host"]
    for _ in range(INPUTS // 8):
        method = dice.choice(["GET", "POST", "PUT", "HEAD", "OPTIONS", "TRACE", "X" * dice.randint(1, 30)])
        path = "/" + dice.choice(
            ["ping", "invocations", "metrics", "", "x" * 5000, "%00", "..%2f..%2fetc", "?"]
        )
        connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.putrequest(method, path, skip_host=True)
        for _ in range(dice.randint(0, 6)):
            text = "".join(dice.choices(string.printable[:95] + "äß\x7f", k=dice.randint(0, 60)))
            connection.putheader(dice.choice(names), text.encode("latin-1"))
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        statuses[answer.status] += 1
        assert answer.status < 500, (method, path, body)
        if answer.getheader("Content-Type") == "text/html":  # gunicorn's, of control characters in headers
            assert answer.status == HTTPStatus.BAD_REQUEST
        elif answer.status >= 400 and body:
            assert json.loads(body)["error"]["code"], (method, path, body)
        connection.close()
    figures.info("%d odd heads: %s", statuses.total(), dict(statuses))


@pytest.mark.timeout(3600)
def test_keys_of_every_odd_character_are_read_or_refused(server: Server, s3: "S3Client", bucket: str) -> None:
    dice, statuses = random.Random(4), Counter[int]()
    odd = [
        chr(code) for code in (*range(1, 128), 0xA0, 0xE4, 0x301, 0x200B, 0x202E, 0xFEFF, 0x1F573, 0x10FFFD)
    ]
    for number in range(INPUTS // 8):
        key = (
            "".join(dice.choices(odd, k=dice.randint(1, 40)))
            if number >= len(odd)
            else f"a{odd[number]}b.mp4"
        )
        answer = ask(server, bucket, key)
        statuses[answer.status_code] += 1
        expected = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}
        assert answer.status_code in expected, (key, answer.status_code, answer.text)
    figures.info("%d odd keys: %s", statuses.total(), dict(statuses))

"""Answers the live API behind an API Gateway: what is on a picture that is sent, kept, or on the web.

    GET /                          Ping Successfull!
    POST /liveinference            the picture in the body
    GET /liveinference?key=a.jpg   a picture of PICTURES_BUCKET
    GET /image?image=URL           a picture of a public host that LIVE_HOSTS names

JSON for programs, a page where a browser asks. The environment also names the real-time endpoint that looks
(ENDPOINT_NAME), and the origin whose pages may call (CORS_ORIGIN; none when empty). The modules of
`pothole.entrypoints.live` lie beside this file; `make deploy SET="Api=true"` packs both.
"""

import base64
import json
import os
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pothole.entrypoints.live.answers import Found, LiveApi, Question, Refusal
from pothole.entrypoints.live.public_web import PublicWeb

# Lambda takes and gives 6 MB, in which a picture stands as text, a third longer.
MAX_BYTES = 4 * 2**20
# API Gateway waits 29 s for all of it.
LOOK_S = 20.0
FETCH_S = 6.0
NOT_THERE = {"NoSuchKey", "NoSuchBucket", "404"}
# The endpoint has no instance free, or is being started: later it may look.
BUSY = {"ThrottlingException", "ServiceUnavailable", "ModelNotReadyException"}


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request.

    Args:
        event: API Gateway's, of a Lambda proxy integration.
        context: Lambda's, not used.

    Returns:
        What API Gateway answers.
    """
    started = time.monotonic()
    origin = os.environ.get("CORS_ORIGIN", "")
    if event["httpMethod"] == "OPTIONS":
        return {"statusCode": 204, "headers": _cors(origin, preflight=True), "body": ""}
    answer = _api().answer(_question(event))
    line = {
        "level": "INFO" if answer.status < 500 else "ERROR",
        "message": "live request",
        "method": event["httpMethod"],
        "path": event["path"],
        "status": int(answer.status),
        "seconds": round(time.monotonic() - started, 3),
    }
    print(json.dumps(line))  # noqa: T201  # a logger of Lambda's puts words before the JSON
    headers = {
        "Content-Type": answer.kind,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        **answer.headers,
        **_cors(origin),
    }
    return {"statusCode": int(answer.status), "headers": headers, "body": answer.text}


def _question(event: dict[str, Any]) -> Question:
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    body = event.get("body") or ""
    return Question(
        event["httpMethod"],
        event["path"],
        event.get("queryStringParameters") or {},
        headers.get("accept", ""),
        headers.get("content-type", "").partition(";")[0].strip().lower(),
        base64.b64decode(body) if event.get("isBase64Encoded") else body.encode(),
    )


def _cors(origin: str, preflight: bool = False) -> Mapping[str, str]:
    """Return the headers by which a browser lets pages of an origin read the answer."""
    if not origin:
        return {}
    allowed = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    if preflight:
        allowed |= {
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": "Content-Type, X-Api-Key",
            "Access-Control-Max-Age": "3600",
        }
    return allowed


def _api() -> LiveApi:
    hosts = frozenset(os.environ.get("LIVE_HOSTS", "").lower().replace(",", " ").split())
    read = _read if os.environ.get("PICTURES_BUCKET") else None
    return LiveApi(_detect, read, PublicWeb(hosts, MAX_BYTES, FETCH_S), MAX_BYTES)


def _read(key: str) -> bytes:
    """Return a picture of the bucket."""
    bucket = os.environ["PICTURES_BUCKET"]
    try:
        found = _s3().get_object(Bucket=bucket, Key=key)
    except ClientError as exc:
        if exc.response["Error"]["Code"] in NOT_THERE:
            raise Refusal(
                404, "source_not_found", f"There is no {key} in the bucket.", "Check the key."
            ) from exc
        raise Refusal(403, "access_denied", f"{key} may not be read.") from exc
    except BotoCoreError as exc:
        raise Refusal(502, "storage_unavailable", "S3 does not answer.", "Ask again later.") from exc
    if found["ContentLength"] > MAX_BYTES:
        raise Refusal(
            413, "too_large", f"The picture has more than {MAX_BYTES} bytes.", "Send a smaller picture."
        )
    picture: bytes = found["Body"].read()
    return picture


def _detect(picture: bytes, kind: str) -> Found:
    """Ask the endpoint what is on a picture."""
    runtime = _runtime()
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=os.environ["ENDPOINT_NAME"],
            ContentType=kind or "application/x-image",
            Accept="application/json",
            Body=picture,
        )
    except runtime.exceptions.ModelError as exc:
        raise _refused(exc.response) from exc
    except ClientError as exc:
        code = exc.response["Error"]["Code"]
        print(json.dumps({"level": "ERROR", "message": f"the endpoint was not asked: {exc}"}))  # noqa: T201
        if code in BUSY:
            raise Refusal(
                429, "too_many_requests", "There is too much to look at.", "Ask again later."
            ) from exc
        raise Refusal(503, "not_ready", "No endpoint looks at pictures now.", "Ask again later.") from exc
    except BotoCoreError as exc:
        raise Refusal(504, "timeout", "The endpoint does not answer in time.", "Ask again later.") from exc
    found: Found = json.loads(answer["Body"].read())
    return found


@cache
def _s3() -> Any:
    """Return a client, the same as long as the function is warm: to make one takes longer than a call."""
    return boto3.client("s3")


@cache
def _runtime() -> Any:
    """Return a client; see `_s3`."""
    config = Config(read_timeout=LOOK_S, connect_timeout=5, retries={"total_max_attempts": 1})
    return boto3.client("sagemaker-runtime", config=config)


def _refused(response: Any) -> Refusal:
    """Return the container's own error as ours, where it is about the picture."""
    status = int(response.get("OriginalStatusCode") or 0)
    try:
        said = json.loads(response.get("OriginalMessage") or "")["error"]
        code, message, hint = said["code"], said["message"], said.get("hint")
    except (ValueError, KeyError, TypeError):
        status = 0
    if not 400 <= status < 500:
        return Refusal(502, "model_error", "The endpoint failed.", "Ask again later.")
    return Refusal(status, code, message, hint)

"""Sends each video that arrives in S3 to the pothole endpoint.

Paste this file into a Lambda function (Python 3.11 or newer, handler `lambda_handler.lambda_handler`, timeout
2 minutes) and let S3 or EventBridge start it for new objects. The function's role needs
`sagemaker:InvokeEndpoint` on the endpoint, and what every function needs to log.

What is sent: keys that end like a video. The endpoint writes its outputs beside the video, where the trigger
watches, so `<name>_output.<extension>` is skipped; a folder of such a name is not.

What happens when a call goes wrong decides whether Lambda starts this function again (it does so twice, some
minutes apart, when an S3 or EventBridge event ends in an exception), and a video should be worked on once:

    the endpoint answered                          done      returned
    cut at 60 s, or no answer in our own time      accepted  returned: the container works on and will write
    the container refused it (4xx)                 refused   returned, logged as an error: no retry will help
    throttled, busy, no such endpoint, no network  failed    raised at the end: nothing is in work, try again

A call that breaks off without telling whether it arrived counts as failed: working twice costs time, not at
all would cost the result. boto3's own retries are off, since it cannot tell these cases apart. Should several
records come in one event, all are tried before the failed ones are raised.
"""

import json
import os
from typing import Any
from urllib.parse import unquote_plus

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

is_live = False  # False marks a sample, the first 0.01 s; True marks whole videos. IS_LIVE overrides it.
ENDPOINT_NAME = "pothole"  # ENDPOINT_NAME in the environment overrides it.

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"),
    *(".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp"),
)
# SageMaker cuts at 60 s; we wait a little longer to hear it say so.
PATIENCE_S = 70.0
# What to keep of Lambda's own time: killed in the middle of a call, it would start again.
RESERVE_S = 1.5
# The codes by which SageMaker says that the container had not answered yet: its own, and a proxy's.
STILL_WORKING = (0, 504)

Result = dict[str, Any]


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, list[Result]]:
    """Send the event's videos to the endpoint.

    Args:
        event: An S3 notification, or EventBridge's "Object Created" of S3.
        context: Lambda's; tells how much time is left.

    Returns:
        `results`: for each object its `bucket`, `key`, `status` and what else is known.

    Raises:
        ValueError: The event is of another kind, or IS_LIVE neither true nor false.
        RuntimeError: One or more could not be sent; Lambda then tries again.
    """
    live = _switch("IS_LIVE", is_live)
    results = [_handle(bucket, key, live, context) for bucket, key in dict.fromkeys(_objects(event))]
    failed = [f"{r['bucket']}/{r['key']}: {r['reason']}" for r in results if r["status"] == "failed"]
    if failed:
        raise RuntimeError("; ".join(failed))
    return {"results": results}


def _objects(event: dict[str, Any]) -> list[tuple[str, str]]:
    """Return bucket and key of each new object."""
    if event.get("Event") == "s3:TestEvent":  # sent once, when the trigger is set up
        return []
    if event.get("source") == "aws.s3" and event.get("detail-type") == "Object Created":
        # Unlike S3's own notifications, EventBridge's have the key as it is.
        return [(event["detail"]["bucket"]["name"], event["detail"]["object"]["key"])]
    if "Records" in event:
        return [
            (record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"]))
            for record in event["Records"]
            if "ObjectCreated" in record["eventName"]
        ]
    raise ValueError('Expected an S3 notification ("Records") or an EventBridge "Object Created" of aws.s3.')


def _handle(bucket: str, key: str, live: bool, context: Any) -> Result:
    reason = _reason_to_skip(key)
    result = {"status": "skipped", "reason": reason} if reason else _send(bucket, key, live, context)
    line = {"bucket": bucket, "key": key, **result}
    level = "ERROR" if result["status"] in ("refused", "failed") else "INFO"
    # Not a logger: Lambda's puts words before the JSON.
    print(json.dumps({"level": level, "message": f"video {result['status']}", **line}))  # noqa: T201
    return line


def _reason_to_skip(key: str) -> str | None:
    name = key.rpartition("/")[2]
    stem, _, _ = name.rpartition(".")
    if stem.endswith("_output"):
        return "an output"
    if not name.lower().endswith(VIDEO_SUFFIXES):
        return "not a video"
    return None


def _send(bucket: str, key: str, live: bool, context: Any) -> Result:
    """Invoke the endpoint once, and say what became of it."""
    patience = PATIENCE_S
    if context is not None:
        patience = min(patience, context.get_remaining_time_in_millis() / 1000 - RESERVE_S)
    if patience <= 0:
        return {"status": "failed", "reason": "no time left; raise the function's timeout to 2 minutes"}
    runtime = boto3.client(
        "sagemaker-runtime",
        config=Config(
            read_timeout=patience, connect_timeout=min(10.0, patience), retries={"total_max_attempts": 1}
        ),
    )
    body = {"input": {"s3_bucket": bucket, "s3_source_filename": key, "is_live": live}}
    try:
        response = runtime.invoke_endpoint(
            EndpointName=os.environ.get("ENDPOINT_NAME") or ENDPOINT_NAME,
            ContentType="application/json",
            Body=json.dumps(body),
        )
        return {"status": "done", "answer": json.loads(response["Body"].read())}
    except ReadTimeoutError:
        return {"status": "accepted", "reason": f"no answer in {patience:.0f} s"}
    except runtime.exceptions.ModelError as exc:
        return _judge(exc)
    except (ClientError, BotoCoreError) as exc:
        return {"status": "failed", "reason": str(exc)}


def _judge(exc: Any) -> Result:
    """Tell a container that works on from one that refused and from one that could not."""
    code = int(exc.response.get("OriginalStatusCode", 0))
    reason = exc.response.get("OriginalMessage") or str(exc)
    if code in STILL_WORKING:
        return {"status": "accepted", "reason": reason}
    return {"status": "refused" if 400 <= code < 500 else "failed", "code": code, "reason": reason}


def _switch(name: str, default: bool) -> bool:
    text = os.environ.get(name) or str(default)
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{name} is {text!r}, expected true or false.")
    return text.lower() == "true"

"""Sends each video that arrives in S3 to where it is marked.

Paste this file into a Lambda function (Python 3.11 or newer, handler `lambda_handler.lambda_handler`, timeout
2 minutes) and let S3 or EventBridge start it for new objects, directly or by way of SNS, SQS or both. The
function's role needs `sagemaker:InvokeEndpoint` on the endpoint, and what every function needs to log.
`make deploy` does all that.

Where a video goes, told by the environment; what is not set is not used:

    a sample (IS_LIVE false)          real-time endpoint     ENDPOINT_NAME, up to LARGEST_PREVIEW_BYTES
    the whole, or a larger sample     asynchronous endpoint  VIDEOS_ENDPOINT_NAME, up to LARGEST_VIDEO_BYTES
    the whole, if it is larger still  processing job         PROCESSING_JOB, JSON for create_processing_job

A request for the asynchronous endpoint is stored in REQUESTS_BUCKET, so that it can be sent again. Processing
jobs need `processing_job.py` beside this file.
OUTPUTS chooses what is made of a video (`video,json,geojson`); without it, the video and its data.
A real-time call may take 60 s and an asynchronous one an hour; how long a video takes is judged by its size,
since that is what the event tells. The outputs are written beside the video, where the trigger watches, so
`<name>_output.<extension>` is skipped; a folder of such a name is not.

What happens when a call goes wrong decides whether Lambda starts this function again (it does so twice, some
minutes apart, when an S3 or EventBridge event ends in an exception), and a video should be worked on once:

    the endpoint answered                          done      returned
    in the asynchronous endpoint's queue           queued    returned; SageMaker tells the outcome by SNS
    a processing job began, now or by this event   started   returned; EventBridge tells the outcome
    cut at 60 s, or no answer in our own time      accepted  returned: the container works on and will write
    the container refused it (4xx)                 refused   returned, logged, and told to FAILED_TOPIC_ARN
    throttled, busy, no such endpoint, no network  failed    raised at the end: nothing is in work, try again

A call that breaks off without telling whether it arrived counts as failed: working twice costs time, not at
all would cost the result. boto3's own retries are off, since it cannot tell these cases apart. Should several
records come in one event, all are tried before the failed ones are raised.
"""

import hashlib
import json
import os
from typing import Any, NamedTuple
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
BUSY = 429  # its queue is full: another time it may take the video
# The most that SageMaker takes: for working on a video, and for keeping it in the queue.
INVOCATION_TIMEOUT_S = 3600
QUEUED_AT_MOST_S = 6 * 3600

Result = dict[str, Any]


class Video(NamedTuple):
    """A new object, as its event tells it; `event_id` differs between two uploads of the same key."""

    bucket: str
    key: str
    size: int
    event_id: str

    @property
    def number(self) -> str:
        """A digest that is one upload's, however often its event is delivered."""
        return hashlib.sha256(f"{self.bucket}/{self.key}/{self.event_id}".encode()).hexdigest()[:20]


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, list[Result]]:
    """Send the event's videos to where they are marked.

    Args:
        event: An S3 notification or EventBridge's "Object Created" of S3, also within messages of SNS or SQS.
        context: Lambda's; tells how much time is left.

    Returns:
        `results`: for each object its `bucket`, `key`, `status` and what else is known.

    Raises:
        ValueError: The event is of another kind, or IS_LIVE neither true nor false.
        RuntimeError: One or more could not be sent; Lambda then tries again.
    """
    live = _switch("IS_LIVE", is_live)
    created = [video for inner in _unwrapped(event) for video in _videos(inner)]
    videos = {(video.bucket, video.key): video for video in created}
    results = [_handle(video, live, context) for video in videos.values()]
    failed = [f"{r['bucket']}/{r['key']}: {r['reason']}" for r in results if r["status"] == "failed"]
    if failed:
        raise RuntimeError("; ".join(failed))
    return {"results": results}


def created_objects(event: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the bucket and key of each new object of an event, each once; for functions of other objects.

    Raises:
        ValueError: The event is of another kind.
    """
    created = [video for inner in _unwrapped(event) for video in _videos(inner)]
    return list(dict.fromkeys((video.bucket, video.key) for video in created))


def _unwrapped(event: Any) -> list[Any]:
    """Return the events that messages of SNS and SQS carry as text, one within the other; else the event."""
    if not isinstance(event, dict):
        raise ValueError(f"Expected an event, got {event!r:.100}.")
    if event.get("Type") == "Notification":  # SNS's message, as SQS carries it
        texts = [event["Message"]]
    else:
        records = event.get("Records", [])
        texts = [record["Sns"]["Message"] for record in records if "Sns" in record]
        texts += [record["body"] for record in records if "body" in record]
    return [inner for text in texts for inner in _unwrapped(_parsed(text))] if texts else [event]


def _parsed(message: str) -> Any:
    try:
        return json.loads(message)
    except ValueError as exc:
        raise ValueError(f"Expected S3's event as JSON in the message, got {message!r:.100}.") from exc


def _videos(event: dict[str, Any]) -> list[Video]:
    """Return the event's new objects."""
    if event.get("Event") == "s3:TestEvent":  # sent once, when the trigger is set up
        return []
    if event.get("source") == "aws.s3" and event.get("detail-type") == "Object Created":
        # Unlike S3's own notifications, EventBridge's have the key as it is.
        detail = event["detail"]
        return [_video(detail["bucket"], detail["object"], detail["object"]["key"])]
    if "Records" in event:
        return [
            _video(
                record["s3"]["bucket"], record["s3"]["object"], unquote_plus(record["s3"]["object"]["key"])
            )
            for record in event["Records"]
            if "ObjectCreated" in record["eventName"]
        ]
    raise ValueError('Expected an S3 notification ("Records") or an EventBridge "Object Created" of aws.s3.')


def _video(bucket: dict[str, Any], created: dict[str, Any], key: str) -> Video:
    return Video(bucket["name"], key, int(created.get("size", 0)), str(created.get("sequencer", "")))


def _handle(video: Video, live: bool, context: Any) -> Result:
    reason = _reason_to_skip(video.key)
    result = {"status": "skipped", "reason": reason} if reason else _send(video, live, context)
    line = {"bucket": video.bucket, "key": video.key, "number": video.number, **result}
    level = "ERROR" if result["status"] in ("refused", "failed") else "INFO"
    # Not a logger: Lambda's puts words before the JSON.
    print(json.dumps({"level": level, "message": f"video {result['status']}", **line}))  # noqa: T201
    if result["status"] == "refused":
        _report(line)
    return line


def _reason_to_skip(key: str) -> str | None:
    name = key.rpartition("/")[2]
    stem, _, _ = name.rpartition(".")
    if stem.endswith("_output"):
        return "an output"
    if not name.lower().endswith(VIDEO_SUFFIXES):
        return "not a video"
    return None


def _send(video: Video, live: bool, context: Any) -> Result:
    """Send a video the way that its size and the switch ask for."""
    asked: dict[str, Any] = {"s3_bucket": video.bucket, "s3_source_filename": video.key, "is_live": live}
    if outputs := os.environ.get("OUTPUTS"):
        asked["outputs"] = outputs.replace(",", " ").split()
    body = {"input": asked}
    videos_endpoint = os.environ.get("VIDEOS_ENDPOINT_NAME")
    try:
        if live and os.environ.get("PROCESSING_JOB") and video.size > _limit("LARGEST_VIDEO_BYTES"):
            return _start_job(video)
        has_preview = os.environ.get("ENDPOINT_NAME") != ""  # set and empty, there is none
        if videos_endpoint and (live or not has_preview or video.size > _limit("LARGEST_PREVIEW_BYTES")):
            return _queue(videos_endpoint, body, video, context)
        return _invoke(body, video, context)
    except (ClientError, BotoCoreError) as exc:
        return {"status": "failed", "reason": str(exc)}


def _invoke(body: dict[str, Any], video: Video, context: Any) -> Result:
    """Call the real-time endpoint once, and say what became of it."""
    patience = PATIENCE_S
    if context is not None:
        patience = min(patience, context.get_remaining_time_in_millis() / 1000 - RESERVE_S)
    if patience <= 0:
        return {"status": "failed", "reason": "no time left; raise the function's timeout to 2 minutes"}
    runtime = boto3.client("sagemaker-runtime", config=_one_attempt(patience))
    try:
        response = runtime.invoke_endpoint(
            EndpointName=os.environ.get("ENDPOINT_NAME") or ENDPOINT_NAME,
            ContentType="application/json",
            Body=json.dumps(body),
            **_traces(f"{video.number}-1", context),
        )
        return {"status": "done", "answer": json.loads(response["Body"].read())}
    except ReadTimeoutError:
        return {"status": "accepted", "reason": f"no answer in {patience:.0f} s"}
    except runtime.exceptions.ModelError as exc:
        return _judge(exc)


def _queue(endpoint: str, body: dict[str, Any], video: Video, context: Any) -> Result:
    """Put the request where the asynchronous endpoint fetches it, and its address into the queue."""
    bucket = os.environ.get("REQUESTS_BUCKET")
    if not bucket:
        raise ValueError("VIDEOS_ENDPOINT_NAME is set, and REQUESTS_BUCKET is not.")
    key = f"requests/{video.number}.json"
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(body).encode())
    response = invoke_async(endpoint, f"s3://{bucket}/{key}", f"{video.number}-1", context)
    return {
        "status": "queued",
        "inference_id": response["InferenceId"],
        "answer_at": response["OutputLocation"],
        "failure_at": response.get("FailureLocation"),
    }


def invoke_async(endpoint: str, location: str, identity: str, context: Any) -> dict[str, Any]:
    """Put a stored request into an asynchronous endpoint's queue."""
    runtime = boto3.client("sagemaker-runtime", config=_one_attempt(20.0))
    response = runtime.invoke_endpoint_async(
        EndpointName=endpoint,
        ContentType="application/json",
        InputLocation=location,
        InvocationTimeoutSeconds=INVOCATION_TIMEOUT_S,
        RequestTTLSeconds=QUEUED_AT_MOST_S,
        **_traces(identity, context),
    )
    return dict(response)


def _traces(identity: str, context: Any) -> Any:
    """Return what makes a request known in the container's log: its id, and that of this function's run."""
    run = getattr(context, "aws_request_id", None)
    return {"InferenceId": identity} | ({"CustomAttributes": f"lambda={run}"} if run else {})


def _start_job(video: Video) -> Result:
    """Start a processing job of the same image."""
    import processing_job  # noqa: PLC0415  # not there where this file was pasted by itself

    name = f"{video.number}-1"
    processing_job.start(name, video.bucket, video.key, processing_job.disk_gb(video.size))
    return {"status": "started", "job": processing_job.full_name(name)}


def _judge(exc: Any) -> Result:
    """Tell a container that works on from one that refused and from one that could not."""
    code = int(exc.response.get("OriginalStatusCode", 0))
    reason = exc.response.get("OriginalMessage") or str(exc)
    if code in STILL_WORKING:
        return {"status": "accepted", "reason": reason}
    refused = 400 <= code < 500 and code != BUSY
    return {"status": "refused" if refused else "failed", "code": code, "reason": reason}


def _report(line: Result) -> None:
    """Tell the topic of failures, where SageMaker tells those of the asynchronous endpoint."""
    topic = os.environ.get("FAILED_TOPIC_ARN")
    if topic:
        try:
            boto3.client("sns").publish(TopicArn=topic, Message=json.dumps(line))
        except (ClientError, BotoCoreError) as exc:  # the log has it already
            print(json.dumps({"level": "ERROR", "message": f"cannot publish to {topic}: {exc}"}))  # noqa: T201


def _one_attempt(patience: float) -> Config:
    return Config(
        read_timeout=patience, connect_timeout=min(10.0, patience), retries={"total_max_attempts": 1}
    )


def _limit(name: str) -> float:
    return float(os.environ.get(name) or "inf")


def _switch(name: str, default: bool) -> bool:
    text = os.environ.get(name) or str(default)
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{name} is {text!r}, expected true or false.")
    return text.lower() == "true"

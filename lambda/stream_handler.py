"""This function reads what was seen in live streams from records of a Kinesis data stream, and logs it.

For each object a line: `detected object: pothole, with confidence: 0.93`. Put what is to happen with one into
`on_object`, or name a function of your own by LambdaFunctionBucket and LambdaFunctionKey of the template.

It reads the records of AWS's own application and those in plain JSON (`docs/how-to/stream.md`), with answers
of our model, of SageMaker's object detection (`{"prediction": [[class, score, x0, y0, x1, y1], ...]}`) and of
its image classification (`[score, score, ...]`). A pothole that an earlier picture of its stream showed is
left out.

Environment: LABELS, names with commas between them for the numbers of classes; MIN_CONFIDENCE, 0 without it.
"""

import base64
import json
import os
from collections.abc import Iterator
from typing import Any

Found = tuple[str, float]


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Log the objects of all records.

    Args:
        event: Records of Kinesis Data Streams.
        context: Lambda's, not used.

    Returns:
        The first record that failed for a reason that may pass; Lambda goes on from there. One that can never
        be read is logged and left behind, since it would keep back all that come after it.

    Raises:
        ValueError: The event is of another kind.
    """
    records = event.get("Records", [{}])
    if any(record.get("eventSource") != "aws:kinesis" for record in records):
        raise ValueError("Expected an event of Kinesis Data Streams.")
    for record in records:
        number = record["kinesis"]["sequenceNumber"]
        try:
            told = json.loads(base64.b64decode(record["kinesis"]["data"]))
            stream, objects = _stream(told), list(_objects(_answer(told)))
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as exc:
            _log("ERROR", "a record cannot be read", sequence_number=number, reason=repr(exc))
            continue
        try:
            for label, confidence in objects:
                if confidence >= float(os.environ.get("MIN_CONFIDENCE", "0")):
                    on_object(label, confidence, stream, told)
        except Exception as exc:  # whatever a user puts there
            _log("ERROR", "a record failed", sequence_number=number, stream=stream, reason=repr(exc))
            return {"batchItemFailures": [{"itemIdentifier": number}]}
    return {"batchItemFailures": []}


def on_object(label: str, confidence: float, stream: str, record: dict[str, Any]) -> None:
    """Do something about an object.

    Args:
        label: What it is.
        confidence: How sure that is, 0 to 1.
        stream: The video stream.
        record: All that is known of the picture.
    """
    fragment = record.get("fragment") or record.get("fragmentMetaData")
    _log(
        "INFO",
        f"detected object: {label}, with confidence: {confidence}",
        stream=stream,
        fragment=fragment,
    )


def _stream(record: dict[str, Any]) -> str:
    return str(record["streamName"] if "streamName" in record else record["stream"])


def _answer(record: dict[str, Any]) -> Any:
    """Return what was said of a picture."""
    if "answer" in record:
        return record["answer"]
    coded = record["sageMakerOutput"] if "sageMakerOutput" in record else record["answer_base64"]
    return json.loads(base64.b64decode(coded))


def _objects(answer: Any) -> Iterator[Found]:
    """Yield the objects of an answer."""
    if isinstance(answer, dict) and "output" in answer:
        for found in answer["output"]:
            if found.get("new", True):
                yield found["label"], float(found["score"])
    elif isinstance(answer, dict) and "prediction" in answer:
        for number, score, *_ in answer["prediction"]:
            yield _label(int(number)), float(score)
    elif isinstance(answer, list) and answer:
        best = max(range(len(answer)), key=lambda number: float(answer[number]))
        yield _label(best), float(answer[best])
    else:
        raise ValueError(f"an answer of this kind is not known: {str(answer)[:100]}")


def _label(number: int) -> str:
    labels = [label.strip() for label in os.environ.get("LABELS", "").split(",") if label.strip()]
    return labels[number] if number < len(labels) else f"class {number}"


def _log(level: str, message: str, **about: Any) -> None:
    # Not a logger: Lambda's puts words before the JSON.
    print(json.dumps({"level": level, "message": message, **about}))  # noqa: T201

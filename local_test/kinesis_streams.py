"""Streams of the stand-in for Kinesis Video: what is kept of them, and where a reader begins."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from live_fragments import PREFIX, Group, tagged

Json = dict[str, Any]
REGION, ACCOUNT = "us-east-1", "000000000000"
ERRORS = {
    3002: "ERROR_READING_FRAGMENT",
    4000: "FRAGMENT_NUMBER_NOT_FOUND",
    4500: "KMS_KEY_ACCESS_DENIED",
    4501: "KMS_KEY_DISABLED",
    4502: "KMS_KEY_VALIDATION_ERROR",
    4503: "KMS_KEY_UNAVAILABLE",
    4504: "KMS_KEY_INVALID_USAGE",
    4505: "KMS_KEY_INVALID_STATE",
    4506: "KMS_KEY_NOT_FOUND",
    5000: "INTERNAL_ERROR",
}
"""What GetMedia tells in a fragment's place: docs.aws.amazon.com, API_dataplane_GetMedia.html."""


@dataclass(frozen=True)
class Kept:
    """A kept fragment has a number, times in seconds since 1970, and its group of pictures."""

    number: str
    server_s: float
    producer_s: float
    group: Group

    def document(self, now_s: float) -> bytes:
        """Return what GetMedia sends."""
        before = {
            f"{PREFIX}FRAGMENT_NUMBER": self.number,
            f"{PREFIX}SERVER_TIMESTAMP": f"{self.server_s:.3f}",
            f"{PREFIX}PRODUCER_TIMESTAMP": f"{self.producer_s:.3f}",
        }
        after = {
            f"{PREFIX}MILLIS_BEHIND_NOW": str(max(0, round(1000 * (now_s - self.server_s)))),
            f"{PREFIX}CONTINUATION_TOKEN": self.number,
        }
        return tagged(self.group.document, before, after)


@dataclass
class Stream:
    """A stream keeps its fragments, and tells whoever waits of a new one."""

    name: str
    tags: dict[str, str]
    created_s: float = field(default_factory=time.time)
    fragments: list[Kept] = field(default_factory=list)
    faults: deque[str] = field(default_factory=deque)
    calls: deque[float] = field(default_factory=deque)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def arn(self) -> str:
        """Return its ARN."""
        return f"arn:aws:kinesisvideo:{REGION}:{ACCOUNT}:stream/{self.name}/{round(1000 * self.created_s)}"

    def info(self) -> Json:
        """Return what DescribeStream tells."""
        return {
            "StreamName": self.name,
            "StreamARN": self.arn,
            "MediaType": "video/h264",
            "Version": "1",
            "Status": "ACTIVE",
            "CreationTime": self.created_s,
            "DataRetentionInHours": 24,
        }

    def put(self, number: str, group: Group, producer_s: float) -> None:
        """Keep a fragment."""
        with self.changed:
            self.fragments.append(Kept(number, time.time(), producer_s, group))
            self.changed.notify_all()


class Refused(Exception):
    """A call is refused, with a kind and a status as the service has them."""

    def __init__(self, kind: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.kind, self.status = kind, status


def first_position(stream: Stream, selector: Json) -> int:
    """Return the position of the fragment that a reader begins with."""
    kept = stream.fragments
    match selector["StartSelectorType"]:
        case "NOW":
            return len(kept)
        case "EARLIEST":
            return 0
        case "FRAGMENT_NUMBER" | "CONTINUATION_TOKEN" as kind:
            wanted = selector["AfterFragmentNumber" if kind == "FRAGMENT_NUMBER" else "ContinuationToken"]
            for position, each in enumerate(kept):
                if each.number == wanted:
                    return position + 1
            raise Refused("InvalidArgumentException", f"There is no fragment {wanted}.")
        case "SERVER_TIMESTAMP" | "PRODUCER_TIMESTAMP" as kind:
            field_ = "server_s" if kind == "SERVER_TIMESTAMP" else "producer_s"
            wanted_s = float(selector["StartTimestamp"])
            return next((i for i, each in enumerate(kept) if getattr(each, field_) >= wanted_s), len(kept))
        case other:
            raise Refused("InvalidArgumentException", f"The selector {other} is not known.")

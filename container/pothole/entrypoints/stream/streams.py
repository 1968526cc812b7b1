"""Which streams there are to read: those named, and those that bear a tag."""

import logging
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pothole.entrypoints.stream.variables import TagFilter, Variables
from pothole.errors import AccessDenied, StorageUnavailable, reason

DENIED = {"AccessDeniedException", "NotAuthorizedException", "UnrecognizedClientException"}
_logger = logging.getLogger("pothole.stream")


class Streams:
    """These are the streams of Kinesis Video that the configuration chooses.

    Args:
        client: Asks Kinesis Video Streams.
        variables: Name streams and tags.
    """

    def __init__(self, client: Any, variables: Variables) -> None:
        self._client, self._variables = client, variables
        self._missing: set[str] = set()

    def wanted(self) -> set[str]:
        """Return the names of those that there are.

        Raises:
            AccessDenied: The service refuses us.
            StorageUnavailable: It failed.
        """
        try:
            there = self._there()
            named = set(self._variables.stream_names)
            self._tell_missing(named - there.keys())
            wanted = named & there.keys()
            if filters := self._variables.tag_filters:
                others = there.keys() - wanted
                wanted |= {name for name in sorted(others) if _bears(self._tags(there[name]), filters)}
            return wanted
        except ClientError as exc:
            code = exc.response["Error"]["Code"]
            if code in DENIED:
                raise AccessDenied(f"Kinesis Video answers {code}.", hint="See the role.") from exc
            raise StorageUnavailable(f"Kinesis Video answers {code}.") from exc
        except BotoCoreError as exc:
            raise StorageUnavailable(f"Kinesis Video cannot be reached: {reason(exc)}.") from exc

    def _there(self) -> dict[str, str]:
        """Return the ARN of each stream that may be read, by name."""
        pages = self._client.get_paginator("list_streams").paginate()
        streams = [stream for page in pages for stream in page["StreamInfoList"]]
        return {s["StreamName"]: s["StreamARN"] for s in streams if s.get("Status", "ACTIVE") != "DELETING"}

    def _tags(self, arn: str) -> dict[str, str]:
        tags: dict[str, str] = {}
        more: dict[str, str] = {}
        try:
            while True:
                answer = self._client.list_tags_for_stream(StreamARN=arn, **more)
                tags |= answer.get("Tags", {})
                if not answer.get("NextToken"):
                    return tags
                more = {"NextToken": answer["NextToken"]}
        except self._client.exceptions.ResourceNotFoundException:  # it was deleted meanwhile
            return {}

    def _tell_missing(self, missing: set[str]) -> None:
        """Say once of each stream that there is none of its name."""
        for name in sorted(missing - self._missing):
            _logger.warning("there is no stream of this name yet", extra={"stream": name})
        self._missing = missing


def _bears(tags: dict[str, str], filters: tuple[TagFilter, ...]) -> bool:
    return any(tags.get(chosen.key) in chosen.values for chosen in filters)

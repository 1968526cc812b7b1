"""A SageMaker endpoint looks at pictures: any that takes one of the types of `variables.ContentType`."""

import time
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pothole.entrypoints.stream.inference import Answer, Passing
from pothole.errors import PotholeError, TooLarge, reason
from pothole.media.picture import encode_picture
from pothole.types import Image, Json

CONNECT_TIMEOUT_S = 5
MAX_BODY_BYTES = 25 * 2**20
SHARES = (1, 2, 4, 8)  # parts of the time for a picture, one of which is left for a try
SLACK = 1.05  # or the first try, for which a moment less is left, would not get the whole time
PICTURE_TYPES = {"application/x-image": "image/jpeg"}
"""A name for pictures of any kind, and the kind that is sent under it."""


class Endpoint:
    """An endpoint is asked for one picture at a time by each thread; trying again is left to the caller.

    Args:
        make_client: Makes a client of SageMaker's runtime with a configuration.
        name: The endpoint's name.
        content_type: What it takes.
        timeout_s: Seconds for a picture, all tries together.
        threads: Calls at a time.
    """

    def __init__(
        self,
        make_client: Callable[[Config], Any],
        name: str,
        content_type: str,
        timeout_s: float,
        threads: int,
    ) -> None:
        self._name, self._content_type = name, content_type
        # The time of a call belongs to its client, so there is one for each time that may be left.
        self._clients = [
            (
                timeout_s / share,
                make_client(
                    Config(
                        connect_timeout=min(CONNECT_TIMEOUT_S, timeout_s / share),
                        read_timeout=timeout_s / share,
                        max_pool_connections=threads,
                        retries={"total_max_attempts": 1},
                    )
                ),
            )
            for share in SHARES
        ]

    def prepare(self, picture: Image) -> bytes:
        """See `Predictor.prepare`: the picture as it is sent."""
        return encode_picture(picture, PICTURE_TYPES.get(self._content_type, self._content_type))

    def size(self, body: bytes) -> int:
        """See `Predictor.size`."""
        return len(body)

    def coded(self, body: bytes) -> bytes:
        """See `Predictor.coded`."""
        return body

    def follow(self, seen: Iterable[bytes]) -> Iterator[Answer]:
        """See `Predictor.follow`: nobody knows what the answers of any endpoint mean."""
        return map(Answer, seen)

    def predict(self, body: bytes, deadline: float) -> bytes:
        """See `Predictor.predict`; returns what the endpoint answers."""
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(
                f"A picture has {len(body)} bytes, and endpoints take {MAX_BODY_BYTES}.",
                hint="Let the endpoint take image/jpeg.",
            )
        left_s = deadline - time.monotonic()
        client = next((client for time_s, client in self._clients if time_s <= SLACK * left_s), None)
        if client is None:
            raise Passing(f"The endpoint {self._name} did not answer in time.")
        try:
            answer = client.invoke_endpoint(
                EndpointName=self._name, ContentType=self._content_type, Accept="application/json", Body=body
            )
            return bytes(answer["Body"].read())
        except ClientError as exc:
            raise self._error(exc) from exc
        except (BotoCoreError, OSError) as exc:  # the body is read from the socket itself
            raise Passing(f"The endpoint {self._name} cannot be reached: {reason(exc)}.") from exc

    def _error(self, exc: ClientError) -> PotholeError:
        """Return what to do about an answer: the model's own 4xx is about the picture, all else may pass."""
        answer: Json = {**exc.response}
        code, status = answer["Error"]["Code"], int(answer.get("OriginalStatusCode") or 0)
        told = f"The endpoint {self._name} answers {code}" + (f" with {status}" if status else "")
        refuses = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        may_pass = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
        if code == "ModelError" and refuses and status not in may_pass:
            return PotholeError(f"{told}: {answer.get('OriginalMessage', '')[:200]}")
        return Passing(f"{told}.")

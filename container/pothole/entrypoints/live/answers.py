"""What the live API answers: data for programs, and a page where a browser asks."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pothole.entrypoints.live.page import PAGE_POLICY, page
from pothole.entrypoints.live.public_web import FetchError, FileTooLarge, PublicWeb

GREETING = "Ping Successfull!"  # the words, with their spelling, that the users of an older API wait for

Found = dict[str, Any]
"""What `POST /invocations` answers for one: `output`, a record for each object, and its size, `image`."""


class Refusal(Exception):
    """A request cannot be answered.

    Args:
        status: Of HTTP.
        code: What programs tell errors apart by.
        message: One sentence for the client.
        hint: The way out, when it is known.
    """

    def __init__(self, status: int, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"code": code, "message": message, "hint": hint}}


@dataclass(frozen=True)
class Question:
    """A question is one request, whichever server took it.

    Attributes:
        method: Of HTTP.
        path: Without the query.
        query: Parameters by name.
        accept: Which types of answers are wanted.
        kind: Type of the body.
        body: A picture, or nothing.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    accept: str = ""
    kind: str = ""
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """An answer is what goes back.

    Attributes:
        status: Of HTTP.
        kind: Type of the body.
        text: The body.
        headers: More headers by name.
    """

    status: int
    kind: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LiveApi:
    """The live API finds the potholes of single pictures.

    Attributes:
        detect: Finds those of a picture of a type.
        read: Returns a picture of the bucket by its key; None where there is no bucket.
        web: Where pictures may be fetched from.
        max_bytes: Largest picture.
    """

    detect: Callable[[bytes, str], Found]
    read: Callable[[str], bytes] | None
    web: PublicWeb
    max_bytes: int

    def answer(self, question: Question) -> Answer:
        """Answer a question; a `Refusal` of `detect` or `read` is answered, and other errors go on."""
        try:
            return self._answer(question)
        except Refusal as exc:
            return Answer(exc.status, "application/json", json.dumps(exc.body))

    def _answer(self, question: Question) -> Answer:
        match question.method, question.path.rstrip("/"):
            case (("GET" | "HEAD"), ""):
                return Answer(HTTPStatus.OK, "text/plain; charset=utf-8", GREETING)
            case "POST", "/liveinference":
                picture, name = self._sent(question), "the picture that was sent"
            case "GET", "/liveinference":
                name = _parameter(question, "key", "folder/picture.jpg")
                picture = self._kept(name)
            case "GET", "/image":
                name = _parameter(question, "image", "https://example.org/road.jpg")
                picture = self._fetched(name)
            case _, ("" | "/liveinference" | "/image"):
                raise Refusal(
                    HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "This method is not known here."
                )
            case _:
                raise Refusal(
                    HTTPStatus.NOT_FOUND,
                    "not_found",
                    "There is nothing at this path.",
                    "Known are POST /liveinference, GET /liveinference?key=, and GET /image?image=.",
                )
        found = self.detect(picture, question.kind if question.method == "POST" else "application/x-image")
        if "text/html" in question.accept:
            return Answer(
                HTTPStatus.OK,
                "text/html; charset=utf-8",
                page(name, picture, found),
                {"Content-Security-Policy": PAGE_POLICY},
            )
        return Answer(HTTPStatus.OK, "application/json", json.dumps(found))

    def _sent(self, question: Question) -> bytes:
        if not question.body:
            raise Refusal(
                HTTPStatus.BAD_REQUEST,
                "invalid_request",
                "The body is empty.",
                "Send a picture, with its type in Content-Type.",
            )
        if len(question.body) > self.max_bytes:
            raise self._too_large(f"The picture has more than {self.max_bytes} bytes.")
        return question.body

    def _kept(self, key: str) -> bytes:
        if self.read is None:
            raise Refusal(
                HTTPStatus.NOT_FOUND,
                "not_found",
                "This server has no bucket of pictures.",
                "Start it with LIVE_BUCKET, or send the picture itself.",
            )
        return self.read(key)

    def _fetched(self, url: str) -> bytes:
        if not self.web.hosts:
            raise Refusal(
                HTTPStatus.FORBIDDEN,
                "access_denied",
                "This server fetches no pictures from the web.",
                "Start it with LIVE_HOSTS, the hosts that it may ask, or send the picture itself.",
            )
        try:
            return self.web.fetch(url)
        except FileTooLarge as exc:
            raise self._too_large(str(exc)) from exc
        except FetchError as exc:
            raise Refusal(
                HTTPStatus.BAD_REQUEST,
                "invalid_request",
                str(exc),
                "Name a picture on the public web, or send it itself.",
            ) from exc

    def _too_large(self, message: str) -> Refusal:
        return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", message, "Send a smaller picture.")


def _parameter(question: Question, name: str, example: str) -> str:
    value = question.query.get(name, "").strip()
    if not value:
        raise Refusal(
            HTTPStatus.BAD_REQUEST,
            "invalid_request",
            f"The parameter {name} is missing.",
            f"Ask for example {question.path}?{name}={example}.",
        )
    return value

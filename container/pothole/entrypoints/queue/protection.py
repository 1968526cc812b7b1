"""A task of ECS that works on a video is protected: scaling in and deployments leave it alone meanwhile."""

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

EXPIRES_MIN = 60  # a task that died is protected for no longer
RENEWED_S = 20 * 60
TIMEOUT_S = 10
_logger = logging.getLogger("pothole.queue")


class Protection:
    """A protection asks ECS's agent to leave this task alone while there is work. Elsewhere it does nothing.

    Args:
        env: The environment; ECS writes the agent's address into it.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._agent = env.get("ECS_AGENT_URI")
        self._lock = threading.Lock()
        self._works = 0
        self._ended: threading.Event | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the protection until the end of the `with` block; several may hold it at a time."""
        if self._agent is None:
            yield
            return
        self._change(+1)
        try:
            yield
        finally:
            self._change(-1)

    def _change(self, by: int) -> None:
        with self._lock:
            self._works += by
            if self._works == 1 and by == 1:
                self._ended = threading.Event()
                self._ask(True)
                threading.Thread(target=self._renew, args=[self._ended], daemon=True).start()
            elif self._works == 0 and self._ended:
                self._ended.set()
                self._ask(False)

    def _renew(self, ended: threading.Event) -> None:
        while not ended.wait(RENEWED_S):
            self._ask(True)

    def _ask(self, protected: bool) -> None:
        """Ask the agent; where it fails the work goes on, since a task that ends gives its video back."""
        body = {"ProtectionEnabled": protected} | ({"ExpiresInMinutes": EXPIRES_MIN} if protected else {})
        request = AWSRequest(
            "PUT",
            f"{self._agent}/task-protection/v1/state",
            {"Content-Type": "application/json"},
            json.dumps(body).encode(),
        )
        try:
            answer = URLLib3Session(timeout=TIMEOUT_S).send(request.prepare())
        except BotoCoreError as exc:
            _logger.warning("the task is not protected", extra={"reason": str(exc)})
            return
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            _logger.warning("the task is not protected", extra={"reason": answer.text})

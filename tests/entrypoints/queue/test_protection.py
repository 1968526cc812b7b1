"""Asking ECS's agent to leave a task alone, against a real listener."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pothole.entrypoints.queue.protection import Protection


class Agent(ThreadingHTTPServer):
    """Keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/1"


class _Handler(BaseHTTPRequestHandler):
    server: Agent

    def do_PUT(self) -> None:
        assert self.path == "/api/1/task-protection/v1/state"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(json.loads(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def agent() -> Iterator[Agent]:
    with Agent() as agent:
        threading.Thread(target=agent.serve_forever, daemon=True).start()
        yield agent
        agent.shutdown()


def test_a_task_is_protected_from_its_first_work_to_the_end_of_its_last(agent: Agent) -> None:
    protection = Protection({"ECS_AGENT_URI": agent.url})
    with protection.held(), protection.held():
        assert agent.asked == [{"ProtectionEnabled": True, "ExpiresInMinutes": 60}]
    assert agent.asked[1:] == [{"ProtectionEnabled": False}]


def test_an_agent_that_fails_is_no_reason_not_to_work(caplog: pytest.LogCaptureFixture) -> None:
    with Protection({"ECS_AGENT_URI": "http://127.0.0.1:1"}).held():
        pass
    assert "not protected" in caplog.text


def test_elsewhere_nobody_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    with Protection({}).held():
        pass
    assert not caplog.text

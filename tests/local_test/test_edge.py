"""The camera at the edge tells how its pictures were answered, and does not hide what was not."""

from pathlib import Path

from rich.console import Console

import edge
from support.server_requests import picture
from support.servers import Server, free_port


def shown(outcomes: list[edge.Outcome]) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(edge.summary(outcomes, rate=20))
    return capture.get()


def test_pictures_are_sent_and_counted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "road.png").write_bytes(picture())
    (tmp_path / "none.png").write_bytes(b"no picture")
    outcomes = edge.send(server.url, [tmp_path / "road.png", tmp_path / "none.png"], "", rate=20, seconds=0.5)
    assert [outcome.what for outcome in outcomes] == ["200", "422"] * 5
    table = shown(outcomes)
    assert "10, 20 a second" in table
    assert all(word in table for word in ("answered", "422", "p50", "p95"))


def test_a_server_that_is_not_there_is_counted() -> None:
    [outcome] = edge.send(f"http://127.0.0.1:{free_port()}", [edge.ROAD], "", rate=20, seconds=0.05)
    assert outcome.what == "ConnectionError"
    assert "ConnectionError" in shown([outcome])

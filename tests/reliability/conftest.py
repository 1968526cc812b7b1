"""What the checks of reliability share.

Each is small by default, as a test; a make target sets the environment variable that makes it large, and
shows the figures that it logs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers import NGINX, Server, Start


@pytest.fixture
def start(tmp_path: Path, aws: str) -> Iterator[Start]:
    """Starts servers of the test's own, and stops them after it."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    servers: list[Server] = []

    def start(**options: Any) -> Server:
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        servers.append(Server(folder, **options))
        servers[-1].wait_until_ready()
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()

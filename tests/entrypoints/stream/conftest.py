"""What stands around a live stream."""

from collections.abc import Iterator

import pytest

from support.streams import FaultyEndpoint


@pytest.fixture
def endpoint() -> Iterator[FaultyEndpoint]:
    """A SageMaker endpoint over a real socket, with faults on demand."""
    with FaultyEndpoint() as server:
        yield server

"""Files that once made the server fail, found by `make fuzz`; each is answered now."""

from http import HTTPStatus
from pathlib import Path

import pytest
from flask.testing import FlaskClient

FOUND = sorted((Path(__file__).parent / "damaged").iterdir())


@pytest.mark.usefixtures("no_temporary_file_is_left")
@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_once_failed_is_marked_or_refused(client: FlaskClient, path: Path) -> None:
    with client.post("/invocations", data=path.read_bytes(), content_type="video/x-msvideo") as answer:
        assert answer.status_code in {HTTPStatus.OK, HTTPStatus.UNPROCESSABLE_ENTITY, 413}

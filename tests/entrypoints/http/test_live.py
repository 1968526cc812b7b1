"""The live API of a real server, nginx included."""

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
import requests

from pothole.entrypoints.live.page import page
from support.server_requests import SIZE, picture
from support.servers import NGINX, Server, Start

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}


def error(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_picture_that_is_sent_is_answered_as_data_and_to_a_browser_as_a_page(server: Server) -> None:
    url = f"{server.url}/liveinference"
    data = requests.post(url, data=picture(), headers={"Content-Type": "image/png"}, timeout=30)
    assert data.status_code == HTTPStatus.OK, data.text
    [pothole] = data.json()["output"]
    assert pothole["label"] == "pothole"
    assert data.json()["image"] == {"width": SIZE[0], "height": SIZE[1]}

    shown = requests.post(url, data=picture(), headers=BROWSER | {"Content-Type": "image/png"}, timeout=30)
    assert shown.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<h1>1 pothole</h1>" in shown.text
    assert "data:image/png;base64," in shown.text
    [policy] = [value for name, value in shown.headers.items() if name == "Content-Security-Policy"]
    assert re.search(r"default-src 'none'; img-src data:; style-src 'sha256-[\w+/=]+'", policy)


def test_a_picture_of_the_bucket_is_named_by_its_key(start: Start, s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="roads/a b.png", Body=picture())
    url = f"{start(LIVE_BUCKET=bucket).url}/liveinference"
    found = requests.get(url, params={"key": "roads/a b.png"}, timeout=30)
    assert len(found.json()["output"]) == 1
    assert error(requests.get(url, params={"key": "roads/none.png"}, timeout=30)) == (404, "source_not_found")
    missing = requests.get(url, timeout=30)
    assert error(missing) == (400, "invalid_request")
    assert "parameter key is missing" in missing.json()["error"]["message"]


def test_what_is_off_by_default_says_how_it_is_switched_on(server: Server) -> None:
    for path, setting in (
        ("liveinference?key=a.png", "LIVE_BUCKET"),
        ("image?image=http://a.org/", "LIVE_HOSTS"),
    ):
        answer = requests.get(f"{server.url}/{path}", timeout=30)
        assert answer.status_code in {403, 404}
        assert setting in answer.json()["error"]["hint"]


def test_the_server_asks_no_machine_of_ours(start: Start, server: Server) -> None:
    url = f"{start(LIVE_HOSTS='*').url}/image"
    for address in (f"{server.url}/ping", "http://localhost/", "http://169.254.169.254/latest/meta-data/"):
        assert error(requests.get(url, params={"image": address}, timeout=30)) == (400, "invalid_request")
    assert error(requests.get(url, timeout=30)) == (400, "invalid_request")


def test_users_of_the_older_api_are_greeted_as_ever(server: Server) -> None:
    assert requests.get(server.url, timeout=30).text == "Ping Successfull!"


def test_what_is_no_picture_is_refused(server: Server) -> None:
    url = f"{server.url}/liveinference"
    assert requests.post(url, timeout=30).status_code == HTTPStatus.BAD_REQUEST
    assert requests.post(url, data=b"no picture", timeout=30).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert requests.delete(url, timeout=30).status_code == HTTPStatus.METHOD_NOT_ALLOWED


def test_names_are_shown_and_do_nothing() -> None:
    mark = {"label": "<b>x", "score": 0.5, "box": [1, 2, 3, 4], "polygons": [[1, 2, 3, 2, 3, 4]]}
    shown = page(
        "<script>alert(1)</script>", picture(), {"output": [mark], "image": {"width": 9, "height": 9}}
    )
    assert "<script" not in shown
    assert "<b>" not in shown
    assert "1 found" in shown

"""`serve` as it runs in the container: nginx, gunicorn and the application over a real socket."""

import itertools
import json
import socket
import threading
import time
from http import HTTPStatus
from http.client import HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from pothole.settings import Settings
from support.clips import make_clip
from support.server_requests import SIZE, job, picture, road, send_picture
from support.servers import NGINX, Server, Start, wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 40, size=SIZE, picture=road).read_bytes()


def test_a_job_runs_through_nginx_and_gunicorn(
    server: Server, s3: "S3Client", bucket: str, clip: bytes
) -> None:
    s3.put_object(Bucket=bucket, Key="clip.mp4", Body=clip)
    response = job(server, bucket, "clip.mp4")
    assert response.status_code == HTTPStatus.OK
    assert response.json()["output"] == [f"s3://{bucket}/clip_output.mp4", f"s3://{bucket}/clip_output.json"]
    assert response.json()["job"]["frames"] == 40
    assert not list(server.temp_dir.glob("pothole-serve-*/job-*"))


def test_ping_answers_within_half_a_second_200_times_of_200_while_videos_are_worked_on(
    server: Server, s3: "S3Client", bucket: str, clip: bytes
) -> None:
    s3.put_object(Bucket=bucket, Key="clip.mp4", Body=clip)
    enough, numbers = threading.Event(), itertools.count()
    jobs: list[int] = []

    def work(_: int) -> None:
        while not enough.is_set():  # another prefix makes another job, which is worked on anew
            jobs.append(job(server, bucket, "clip.mp4", output_prefix=str(next(numbers))).status_code)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    answers = []
    try:
        for _ in range(200):
            began = time.monotonic()
            status = requests.get(f"{server.url}/ping", timeout=5).status_code
            answers.append((status, time.monotonic() - began))
            time.sleep(0.01)
    finally:
        enough.set()
        for worker in workers:
            worker.join()
    assert [status for status, _ in answers] == [200] * 200
    assert max(seconds for _, seconds in answers) < 0.5
    assert set(jobs) == {200}
    assert len(jobs) >= 3


def test_a_picture_and_a_video_go_through_as_bodies(server: Server, clip: bytes) -> None:
    assert len(send_picture(server).json()["output"]) == 1
    response = requests.post(
        f"{server.url}/invocations", data=clip, headers={"Content-Type": "video/mp4"}, timeout=60
    )
    assert response.status_code == HTTPStatus.OK
    assert response.content[4:8] == b"ftyp"
    assert not list(server.temp_dir.glob("pothole-serve-*/body-*"))


@pytest.mark.parametrize(
    "path", ["/nothing", "/metrics2", "/invocations/x", "/gunicorn.sock", "/../nginx.conf"]
)
def test_other_paths_are_a_404_as_json(server: Server, path: str) -> None:
    response = requests.get(server.url + path, timeout=5)
    assert response.status_code == HTTPStatus.NOT_FOUND
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["error"]["code"] == "not_found"
    assert response.headers["Server"] == "nginx", "the version is told"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ping HTTP/1.1\r\n\r\n",
        b"TRACE /ping HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: odd\r\n\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Note: \x1b[31m\r\n\r\n",  # nginx lets it pass
    ],
)
def test_what_is_no_request_is_a_400_as_json(server: Server, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head)
        answer = HTTPResponse(connection)
        answer.begin()
        assert answer.status == HTTPStatus.BAD_REQUEST
        assert json.loads(answer.read())["error"]["code"] == "bad_request"


def test_many_headers_are_taken_and_too_large_ones_refused_as_json(server: Server) -> None:
    many = {f"X-Trace-{i}": "1" for i in range(200)}
    assert requests.get(f"{server.url}/ping", headers=many, timeout=10).status_code == HTTPStatus.OK
    large = {"X-Large": "a" * 8000}
    assert requests.get(f"{server.url}/ping", headers=large, timeout=10).status_code == HTTPStatus.OK
    for headers in ({"X-Large": "a" * 9000}, {f"X-Large-{i}": "a" * 8000 for i in range(6)}):
        refused = requests.get(f"{server.url}/ping", headers=headers, timeout=10)
        assert refused.status_code == HTTPStatus.BAD_REQUEST
        assert refused.json()["error"]["code"]


def test_odd_methods_are_a_405_as_json(server: Server) -> None:
    for method in ("XX", "PROPFIND", "X" * 30):
        answer = requests.request(method, f"{server.url}/ping", timeout=5)
        assert answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED
        assert answer.json()["error"]["code"] == "method_not_allowed"


def test_the_server_listens_on_the_loopback_address_alone(server: Server) -> None:
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f"{server.port:04X}"
    listening = [row[1] for row in table if row[1].endswith(f":{port}") and row[3] == "0A"]
    assert listening == [f"0100007F:{port}"]


def test_a_request_of_sagemaker_is_known_by_its_inference_id_and_its_custom_attributes(
    server: Server,
) -> None:
    """SageMaker keeps X-Request-Id to itself, and passes these on."""
    headers = {
        "X-Amzn-SageMaker-Inference-Id": "seen-44-1",
        "X-Amzn-SageMaker-Custom-Attributes": "lambda=run-1",
    }
    assert send_picture(server, headers=headers).headers["X-Request-Id"] == "seen-44-1"
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    [answered] = [line for line in lines if line["request_id"] == "seen-44-1"]
    assert answered["custom_attributes"] == "lambda=run-1"


def test_every_line_that_the_application_logs_is_json_with_the_id_of_its_request(server: Server) -> None:
    response = send_picture(server, headers={"X-Request-Id": "seen-42"})
    assert response.headers["X-Request-Id"] == "seen-42"
    bad = requests.post(f"{server.url}/invocations", json={}, headers={"X-Request-Id": "bad-43"}, timeout=5)
    assert bad.status_code == HTTPStatus.BAD_REQUEST
    unnamed = send_picture(server)
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    [answered] = [line for line in lines if line["request_id"] == "seen-42"]
    assert answered["status"] == 200
    assert answered["path"] == "/invocations"
    assert unnamed.headers["X-Request-Id"] in {line["request_id"] for line in lines}
    assert {line["level"] for line in lines if line["request_id"] == "bad-43"} == {"WARNING", "INFO"}


def test_work_that_nobody_waits_for_is_in_the_log_with_request_job_and_key(
    server: Server, s3: "S3Client", bucket: str, clip: bytes
) -> None:
    for key, body in (("roads/good.mp4", clip), ("roads/note.mp4", b"Dear road, " * 99)):
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        name = key[6:10]
        asked = {"s3_bucket": bucket, "s3_source_filename": key, "wait": False}
        answer = requests.post(
            f"{server.url}/invocations", json={"input": asked}, headers={"X-Request-Id": name}, timeout=10
        )
        job_id = answer.json()["job"]["id"]
        deadline = time.monotonic() + 30
        while (
            "the job is done" not in (said := lines_of(server, name, job_id)) and "the job failed" not in said
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        line = said.get("the job failed") or said["the job is done"]
        assert (line["bucket"], line["key"]) == (bucket, key)
    assert line["level"] == "ERROR"
    assert line["code"] == "invalid_media"
    assert f"s3://{bucket}/roads/note.mp4: " in line["reason"]


def lines_of(server: Server, request_id: str, job_id: str) -> dict[str, dict[str, Any]]:
    """What the log says of a job that a request began, by message."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    named = [line for line in lines if line["request_id"] == request_id and line.get("job") == job_id]
    return {line["message"]: line for line in named}


def test_limits_that_nginx_keeps_are_told_as_json(start: Start) -> None:
    server = start(MAX_VIDEO_BYTES="30000000", MAX_IMAGE_BYTES="1000000")
    # Often and long, for a refusal that is sent while the body still comes is easily lost.
    for kind, length, limit, times in (
        ("image/png", 25_000_000, "1000000", 30),
        ("video/mp4", 40_000_000, "30000000", 3),
        ("application/json", 2_000_000, "1048576", 3),
        ("text/plain", 2_000_000, "1048576", 3),
    ):
        for _ in range(times):
            response = requests.post(
                f"{server.url}/invocations", data=bytes(length), headers={"Content-Type": kind}, timeout=30
            )
            assert response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            assert limit in response.json()["error"]["message"]
            assert response.headers["X-Request-Id"]


def test_fault_nginx_cut_every_request_at_60_s(start: Start) -> None:
    assert Settings().request_timeout_s == 3600
    server = start(application="support.slow_wsgi:app", MODEL_SERVER_TIMEOUT="1")
    response = send_picture(server)
    assert response.status_code == HTTPStatus.GATEWAY_TIMEOUT
    assert "took longer than 1 s" in response.json()["error"]["message"]
    assert send_picture(start(application="support.slow_wsgi:app")).status_code == HTTPStatus.OK


def test_what_is_too_much_is_turned_away_by_nginx_as_json(start: Start) -> None:
    server = start(
        application="support.slow_wsgi:app", MODEL_SERVER_THREADS="1", MAX_JOBS="1", MAX_QUEUED_JOBS="1"
    )
    answers: list[requests.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(send_picture(server))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer for answer in answers if answer.status_code != HTTPStatus.OK]
    assert len(refused) >= 5
    for answer in refused:
        assert answer.status_code == HTTPStatus.TOO_MANY_REQUESTS
        assert answer.json()["error"]["code"] == "too_many_requests"
        assert answer.headers["Retry-After"] == "5"
    assert send_picture(server).status_code == HTTPStatus.OK


def test_slow_senders_keep_nobody_from_being_served(server: Server) -> None:
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    try:
        for i, sender in enumerate(slow):
            sender.send(b"POST /invocations HTTP/1.1\r\nHost: x\r\n")
            if i % 2:
                sender.send(b"Content-Type: image/png\r\nContent-Length: 100000\r\n\r\nx")
        assert requests.get(f"{server.url}/ping", timeout=2).status_code == HTTPStatus.OK
        assert send_picture(server).status_code == HTTPStatus.OK
    finally:
        for sender in slow:
            sender.close()


def test_a_client_that_goes_away_leaves_its_job_to_end_and_no_file(
    server: Server, s3: "S3Client", bucket: str, clip: bytes
) -> None:
    s3.put_object(Bucket=bucket, Key="clip.mp4", Body=clip)
    with pytest.raises(requests.ReadTimeout):
        body = {"input": {"s3_bucket": bucket, "s3_source_filename": "clip.mp4", "is_live": True}}
        requests.post(f"{server.url}/invocations", json=body, timeout=0.05)
    deadline = time.monotonic() + 30
    while job(server, bucket, "clip.mp4").status_code != HTTPStatus.OK and time.monotonic() < deadline:
        time.sleep(0.05)
    assert job(server, bucket, "clip.mp4").json()["job"]["frames"] == 40
    for content_type, data in (("video/mp4", clip), ("image/png", picture())):
        with socket.create_connection(("127.0.0.1", server.port)) as sender:
            head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n"
            sender.send(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    send_picture(server)
    while left := list(server.temp_dir.glob("pothole-serve-*/*-*/*")):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_answers_carry_headers_that_keep_browsers_from_harm(server: Server) -> None:
    for path in ("/ping", "/nothing", "/metrics"):
        headers = requests.get(server.url + path, timeout=5).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Request-Id"]
        assert "Retry-After" not in headers
    assert requests.get(f"{server.url}/metrics", timeout=5).headers["Content-Type"].startswith("text/plain")


def test_without_nginx_gunicorn_serves_alone(start: Start) -> None:
    server = start(nginx=False)
    assert list(server.children()) == ["gunicorn"]
    assert len(send_picture(server).json()["output"]) == 1
    assert "nginx is not installed" in server.log.read_text()
    assert server.stop() == 0


def test_nobody_is_asked_before_a_worker_listens(start: Start) -> None:
    """nginx says in the log that nobody listens, in lines that are no JSON."""
    assert "connect() to" not in start().log.read_text()


def test_ping_says_at_once_that_the_model_is_still_loading(start: Start) -> None:
    """After two seconds without an answer, SageMaker takes a container for a dead one."""
    server = start(application="support.loading_wsgi:app", ready=False)
    wait_for(f"{server.url}/ping", server.process, HTTPStatus.SERVICE_UNAVAILABLE)
    deadline = time.monotonic() + 30
    while "still loading" not in (answer := requests.get(f"{server.url}/ping", timeout=2)).text:
        assert time.monotonic() < deadline
    assert answer.json()["error"]["code"] == "not_ready"
    server.process.kill()

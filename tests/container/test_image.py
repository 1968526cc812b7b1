"""Each image for real: built, pushed, run, asked over a socket, stopped. Run it by `make test-container`."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
import requests
from PIL import Image as Pillow

from support.clips import make_clip
from support.containers import Engine, Server
from support.servers import ROOT

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]

OFFLINE = ("--rm", "--read-only", "--tmpfs", "/tmp", "--network", "none")
LOCKED_DOWN = ("--user", "54321:54321", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_TYPES = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json")


@pytest.fixture(scope="module", params=[(), LOCKED_DOWN], ids=["as-sagemaker-starts-it", "locked-down"])
def server(engine: Engine, image: str, aws: str, request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(engine, image, *request.param)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.remove()


def test_a_picture_is_answered(server):
    picture = BytesIO()
    Pillow.fromarray(np.full((360, 640, 3), 90, np.uint8)).save(picture, "JPEG")
    headers = {"Content-Type": "image/jpeg"}
    answer = requests.post(f"{server.url}/invocations", picture.getvalue(), headers=headers, timeout=120)
    assert answer.status_code == 200, answer.text
    assert answer.json()["image"] == {"width": 640, "height": 360}


def test_a_video_in_s3_is_marked(server, s3, bucket, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=6, size=(320, 180), audio="aac")
    s3.upload_file(str(clip), bucket, "roads/clip.mp4")
    body = {"input": {"s3_bucket": bucket, "s3_source_filename": "/roads/clip.mp4", "is_live": True}}
    answer = requests.post(f"{server.url}/invocations", json=body, timeout=300)
    assert answer.status_code == 200, f"{answer.text}\n{server.log()}"
    keys = {item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert {"roads/clip_output.mp4", "roads/clip_output.json"} <= keys
    assert answer.json()["job"]["frames"] == 6


def test_nginx_stands_in_front(server):
    answer = requests.get(f"{server.url}/elsewhere", timeout=10)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert "nginx" in answer.headers["Server"]


def test_sigterm_ends_it_cleanly_and_in_time(server):
    """Last of the server's tests: it ends it."""
    assert server.stop() == 0, server.log()


def test_log_is_json_line_by_line(engine, image):
    server = Server(engine, image, "--env=LOG_LEVEL=INFO")
    try:
        server.wait_until_ready()
        requests.get(f"{server.url}/execution-parameters", timeout=10)
        server.stop()
        lines = server.log().splitlines()
    finally:
        server.remove()
    # TensorFlow's library writes some lines before its logging is set up, and none can be talked out of it.
    ours = [
        line for line in lines if not re.match(r"[IWE]\d{4} |WARNING: All log messages before absl", line)
    ]
    assert any(json.loads(line).get("path") == "/execution-parameters" for line in ours)


@pytest.mark.parametrize("command", [["pothole", "--help"], ["train", "--help"]])
def test_commands_are_on_the_path(engine, image, command):
    assert "usage: " in engine("run", *OFFLINE, image, *command)


def test_a_local_video_is_marked_without_any_network(engine, image, tmp_path):
    make_clip(tmp_path / "clip.mp4", frames=3, size=(320, 180))
    mark = ["pothole", "mark", "/data/clip.mp4", "--output-dir", "/data/marked"]
    engine("run", *OFFLINE, "--volume", f"{tmp_path}:/data", image, *mark)
    assert (tmp_path / "marked" / "clip_output.mp4").stat().st_size > 0


@pytest.fixture
def full_image(image: str, kind: str) -> str:
    if kind != "full":
        pytest.skip("only the full image trains")
    return image


@pytest.fixture
def serve_image(image: str, kind: str) -> str:
    if kind != "serve":
        pytest.skip("this is about the serve-only image")
    return image


NEEDS_TENSORFLOW = (
    "This needs TensorFlow, which is not installed: use the full image, or `pip install 'pothole[cpu]'`."
)


@pytest.mark.parametrize(
    "command",
    [
        ["train"],
        ["pothole", "train"],
        ["pothole", "evaluate", "/tmp"],
        ["pothole", "compare", "/tmp", "/tmp", "--data", "/tmp"],
        ["pothole", "calibrate", "/tmp", "/tmp"],
        ["pothole", "export", "/opt/pothole/lib/python3.11/site-packages/pothole/weights"],
        ["pothole", "import", "/etc/passwd", "/tmp/model"],
    ],
    ids=" ".join,
)
def test_what_needs_tensorflow_names_the_full_image(engine, serve_image, command):
    assert not engine.succeeds("run", *OFFLINE, serve_image, *command)
    said = engine("run", *OFFLINE, serve_image, "sh", "-c", f"{' '.join(command)} || true", with_stderr=True)
    assert said.splitlines()[-1].endswith(NEEDS_TENSORFLOW)


def test_a_model_without_an_export_ends_the_start_with_the_full_images_name(engine, serve_image, tmp_path):
    for name in ("config.json", "weights.npz"):
        shutil.copy(ROOT / "container" / "pothole" / "weights" / name, tmp_path)
    end = [
        "run",
        *OFFLINE,
        "--volume",
        f"{tmp_path}:/opt/ml/model:ro",
        serve_image,
        "sh",
        "-c",
        "serve; echo $?",
    ]
    log = engine(*end, with_stderr=True)
    assert NEEDS_TENSORFLOW in log
    assert log.splitlines()[-1] != "0"


def test_the_start_costs_little(engine, image, kind, aws):
    """In seconds of CPU, since others work on a test machine, too; TensorFlow alone would cost more."""
    began = time.monotonic()
    server = Server(engine, image)
    try:
        server.wait_until_ready(every_s=0.05)
        took = time.monotonic() - began
        metrics = requests.get(f"{server.url}/metrics", timeout=10).text
        assert "compiled once more" not in server.log(), "this is the CPU that the image was built on"
    finally:
        server.remove()
    cpu = float(re.findall(r"^process_cpu_seconds_total (\S+)$", metrics, re.MULTILINE)[0])
    print(f"{kind}: healthy {took:.2f} s after the start, {cpu:.2f} s of CPU")  # noqa: T201
    assert cpu < 3.5


def test_it_trains_from_channels_to_an_archive_that_it_serves(engine, full_image, tmp_path):
    """SageMaker's way: `train` on what is mounted at /opt/ml, `model.tar.gz`, `serve` on what was in it."""
    ml = tmp_path / "ml"
    render = [sys.executable, "-m", "roads", "dataset"]
    for seed, channel in enumerate(("train", "validation"), 1):
        flags = ["--pictures", "8", "--seed", str(seed), "--size", "640x384"]
        subprocess.run([*render, ml / "input" / "data" / channel, *flags], check=True)
    weights = ROOT / "container" / "pothole" / "weights"
    pretrained = shutil.copytree(weights, ml / "input" / "data" / "pretrained")
    named = json.loads((pretrained / "config.json").read_text()) | {"name": "of-this-test"}
    (pretrained / "config.json").write_text(json.dumps(named))
    (ml / "output").mkdir()
    config = ml / "input" / "config"
    config.mkdir()
    hyperparameters = {"epochs": "1", "steps-per-epoch": "3", "batch-size": "2", "learning-rate": "1e-5"}
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    log = engine("run", *OFFLINE, "--volume", f"{ml}:/opt/ml", full_image, "train", with_stderr=True)
    assert "train:loss=" in log and "validation:mask_ap=" in log
    assert not (ml / "output" / "failure").exists()

    archive = tmp_path / "model.tar.gz"  # as SageMaker packs it, and unpacks it for an endpoint
    subprocess.run(["tar", "-C", ml / "model", "-czf", archive, "."], check=True)
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-C", unpacked, "-xzf", archive], check=True)
    server = Server(engine, full_image, "--volume", f"{unpacked}:/opt/ml/model:ro")
    try:
        server.wait_until_ready()
        assert requests.get(f"{server.url}/ping", timeout=10).json()["model"] == "of-this-test"
        picture = next((ml / "input" / "data" / "validation" / "images").iterdir()).read_bytes()
        headers = {"Content-Type": "image/jpeg"}
        answer = requests.post(f"{server.url}/invocations", picture, headers=headers, timeout=120)
        assert answer.status_code == 200, f"{answer.text}\n{server.log()}"
        assert answer.json()["image"] == {"width": 640, "height": 384}
    finally:
        server.remove()


def test_a_training_that_fails_says_why(engine, full_image, tmp_path):
    (tmp_path / "output").mkdir()
    assert not engine.succeeds("run", *OFFLINE, "--volume", f"{tmp_path}:/opt/ml", full_image, "train")
    assert "There is no folder /opt/ml/input/data/train." in (tmp_path / "output" / "failure").read_text()


def test_both_tags_are_pushed_in_the_form_that_sagemaker_takes(image, kind, registry):
    commit = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    tags = requests.get(f"http://{registry}/v2/pothole/tags/list", timeout=10).json()["tags"]
    end = "" if kind == "full" else f"-{kind}"
    assert f"latest{end}" in tags
    assert {f"{commit}{end}", f"{commit}-dirty{end}"} & set(tags)
    print(f"tags: {', '.join(sorted(tags))}")  # noqa: T201
    for tag in tags:
        assert _manifest(registry, tag)["mediaType"] == MANIFEST


def test_size(engine, image, kind, registry):
    packed = sum(layer["size"] for layer in _manifest(registry, image.rpartition(":")[2])["layers"])
    unpacked = int(json.loads(engine("image", "inspect", image))[0]["Size"])
    print(f"{kind}: {packed / 1e6:.0f} MB to pull, {unpacked / 1e6:.0f} MB unpacked")  # noqa: T201
    assert packed < {"full": 600e6, "serve": 300e6}[kind]
    assert unpacked < {"full": 1800e6, "serve": 700e6}[kind]


def test_declares_what_sagemaker_asks_for(engine, image):
    config = json.loads(engine("image", "inspect", image))[0]["Config"]
    assert config["Labels"]["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"
    assert config["Labels"]["org.opencontainers.image.description"].endswith("contains x264 and x265")
    assert "GPL-2.0-or-later" in config["Labels"]["org.opencontainers.image.licenses"]
    assert config["Cmd"] == ["serve"]
    assert not config.get("Entrypoint")


def test_nothing_of_the_machine_that_built_it_is_inside(engine, image):
    config = json.dumps(json.loads(engine("image", "inspect", image)))
    for word in ("PIP_", "SSL_CERT", "AWS_", "SECRET", str(ROOT)):
        assert word not in config, word
    listing = "find / -xdev -type f; command -v pip || echo no pip"
    inside = engine("run", "--rm", "--network", "none", image, "sh", "-c", listing)
    for unwanted in (
        r"/root/\.cache",
        r"/var/lib/apt/lists/.",
        r"pip\.conf",
        r"^/src/",
        r"^/mnt/",
        r"\.crt$",
        r"\.log$",
    ):
        assert not re.findall(unwanted, inside, re.MULTILINE), unwanted
    assert "no pip" in inside
    assert "/pothole/__pycache__/job.cpython" in inside


def _manifest(registry: str, tag: str) -> dict:
    url = f"http://{registry}/v2/pothole/manifests/{tag}"
    return requests.get(url, headers={"Accept": ", ".join([MANIFEST, *OCI_TYPES])}, timeout=10).json()

"""Each image, built and pushed once a session: with docker, else with podman."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containers import Engine
from support.servers import ROOT, free_port, wait_for

DOCKERFILE = (ROOT / "container" / "Dockerfile").read_text()
BASE = "docker.io/library/" + re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)[0]
LOCAL_BASE = f"localhost/pothole-test-base:{BASE.rpartition(':')[2]}"
DEBIAN_SLIM = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "info", "locale", "man")]


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    if _answers("docker"):
        return Engine("docker")
    if not _answers("podman"):
        pytest.fail("Neither docker nor podman answers: install one of them, or start docker's daemon.")
    # For machines that are sandboxes themselves: no namespaces for `build`, no limits above one's own for
    # `run`, and no crun, which needs more rights than runc.
    settings = tmp_path_factory.mktemp("podman") / "containers.conf"
    runtime = (
        '[engine]\nruntime = "runc"\n' if shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin") else ""
    )
    settings.write_text(f'[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n{runtime}')
    return Engine("podman", {"BUILDAH_ISOLATION": "chroot", "CONTAINERS_CONF": str(settings)})


def _answers(name: str) -> bool:
    if not shutil.which(name):
        return False
    return subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def base(engine: Engine) -> str:
    """The base image, pulled, or made from Debian's packages where no registry is reached."""
    if engine.succeeds("image", "inspect", LOCAL_BASE):
        return LOCAL_BASE
    if engine.succeeds("image", "inspect", BASE) or engine.succeeds("pull", BASE):
        return BASE
    if not shutil.which("mmdebstrap"):
        pytest.fail(f"{BASE} cannot be pulled, and mmdebstrap, which could make it, is not installed.")
    with subprocess.Popen(
        ["mmdebstrap", "--quiet", "--variant=minbase", *DEBIAN_SLIM, "bookworm", "-"], stdout=subprocess.PIPE
    ) as system:
        subprocess.run(
            [engine.name, "import", "-", LOCAL_BASE],
            stdin=system.stdout,
            env=os.environ | engine.environment,
            check=True,
        )
    assert system.returncode == 0
    return LOCAL_BASE


@pytest.fixture(scope="session")
def registry(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a registry on this machine, empty."""
    if not shutil.which("docker-registry"):
        pytest.fail("docker-registry is not installed, so there is nothing to push to.")
    folder = tmp_path_factory.mktemp("registry")
    address = f"127.0.0.1:{free_port()}"
    settings = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
        "http": {"addr": address},
    }
    (folder / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            ["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log
        ) as process,
    ):
        try:
            wait_for(f"http://{address}/v2/", process)
            yield address
        finally:
            process.terminate()
            process.wait()
            shutil.rmtree(folder)  # hundreds of megabytes, and pytest would keep three sessions' worth


@pytest.fixture(
    scope="session", params=[os.environ["IMAGE"]] if os.environ.get("IMAGE") else ["serve", "full"]
)
def kind(request: pytest.FixtureRequest) -> str:
    """Which image is tested: the one that IMAGE names, else each in turn."""
    return request.param


@pytest.fixture(scope="session")
def image(
    engine: Engine, base: str, registry: str, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The image as `build_and_push.sh` built and pushed it."""
    registries = tmp_path_factory.mktemp("registries") / "registries.conf"
    registries.write_text(
        f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n'
    )  # docker trusts 127.0.0.1
    arguments = ["--network", "host", "--build-arg", f"BASE={base}"]
    if certificates := os.environ.get("PIP_CERT"):
        # Lent to the build where a machine has an authority of its own. In a folder that is there already, so
        # that not even a mount point stays in the image.
        arguments += ["--volume", f"{Path(certificates).parent}:/mnt:ro"] if engine.name == "podman" else []
        arguments += ["--build-arg", f"PIP_CERT=/mnt/{Path(certificates).name}"]
    environment = {
        "CONTAINER_ENGINE": engine.name,
        "REGISTRY": registry,
        "IMAGE": kind,
        "BUILD_ARGS": " ".join([*arguments, os.environ.get("BUILD_ARGS", "")]),
        "CONTAINERS_REGISTRIES_CONF": str(registries),
    }
    subprocess.run(
        [ROOT / "build_and_push.sh", "pothole"], env=os.environ | engine.environment | environment, check=True
    )
    image = f"{registry}/pothole:{'latest' if kind == 'full' else 'latest-serve'}"
    yield image
    # Only the names go, which hold this registry's port; the layers stay for the next build.
    engine("tag", image, f"localhost/pothole-test:{kind}")
    names = engine("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    engine("rmi", *(name for name in names if name.startswith(registry)))

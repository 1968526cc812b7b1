"""`build_and_push.sh`, with stand-ins for docker, podman and aws that write down how they were called."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
AWS = f"""
case "$1 $2" in
    "sts get-caller-identity") echo 123456789012 ;;
    "ecr describe-repositories")
        [[ ${{REPOSITORY_EXISTS:-}} ]] && echo {ECR}/potholes && exit
        echo "An error occurred (RepositoryNotFoundException): no such repository" >&2; exit 254 ;;
    "ecr create-repository") echo {ECR}/potholes ;;
    "ecr describe-images")
        printf 'sha256:0123\\t%s\\n' "${{MEDIA:-application/vnd.docker.distribution.manifest.v2+json}}" ;;
    "ecr get-login-password") echo secret-token ;;
    *) exit 1 ;;
esac
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tools(tmp_path: Path) -> Callable[[str, str], None]:
    """Puts a stand-in on the script's PATH; it writes its name and arguments to `calls`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "cat", "dirname", "git"):
        found = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
        (folder / name).symlink_to(found)

    def tool(name: str, body: str = "exit 0") -> None:
        path = folder / name
        path.write_text(f'#!/usr/bin/env bash\necho "{name} $*" >> {tmp_path}/calls\n{body}\n')
        path.chmod(0o755)

    return tool


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one commit and nothing changed."""
    folder = tmp_path / "checkout"
    (folder / "container").mkdir(parents=True)
    (folder / "container" / "Dockerfile").write_text("FROM scratch\n")
    shutil.copy(ROOT / "build_and_push.sh", folder)
    for words in (
        ("init", "-q"),
        ("add", "-A"),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"),
    ):
        subprocess.run(["git", "-C", folder, *words], check=True)
    return folder


@pytest.fixture
def run(tmp_path: Path, checkout: Path) -> Run:
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        script = str(checkout / "build_and_push.sh")
        given = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path), **environment}
        return subprocess.run([script, *arguments], env=given, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[str]]:
    file = tmp_path / "calls"
    return lambda: file.read_text().splitlines() if file.exists() else []


def tag_of(checkout: Path) -> str:
    command = ["git", "-C", checkout, "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_missing_repository_is_created_and_both_tags_are_pushed(tools, run, calls, checkout):
    tools("docker", '[[ $1 != login ]] || cat > "$HOME/password"; [[ $1 != buildx ]]')
    tools("aws", AWS)
    done = run(
        "potholes", AWS_REGION="eu-west-1", BUILD_ARGS="--build-arg REQUIREMENTS=requirements-cuda.lock"
    )
    assert done.returncode == 0, done.stderr
    commit = tag_of(checkout)
    address = f"{ECR}/potholes"
    said = calls()
    assert any(
        c.startswith("aws ecr create-repository --region eu-west-1 --repository-name potholes") for c in said
    )
    assert f"docker login --username AWS --password-stdin {ECR}" in said
    assert (
        f"docker build --platform linux/amd64 --target full --tag {address}:{commit} --tag {address}:latest "
        f"--build-arg REQUIREMENTS=requirements-cuda.lock {checkout}/container"
    ) in said
    assert said[-3:-1] == [f"docker push {address}:{commit}", f"docker push {address}:latest"]
    assert done.stdout.splitlines()[-2:] == [f"Tagged {address}:{commit}", f"Pushed {address}@sha256:0123"]


def test_two_builds_of_what_is_not_committed_share_no_tag(tools, run, calls, checkout):
    tools("docker")
    tags = []
    changes = ("container/Dockerfile", "a"), ("container/Dockerfile", "b"), ("container/new.py", "c")
    for name, content in changes:
        (checkout / name).write_text(content)
        for _ in range(2):  # the same changes are the same build
            done = run("potholes", REGISTRY="registry.example.com")
            assert done.returncode == 0, done.stderr
            tags.append(done.stdout.split(":")[-1].strip())
    assert tags[::2] == tags[1::2]
    assert len(set(tags)) == 3
    assert all(tag.startswith(f"{tag_of(checkout)}-dirty-") for tag in tags)
    assert not any("latest" in call for call in calls())


def test_an_image_that_sagemaker_refuses_is_named(tools, run):
    """SageMaker takes no manifest of OCI's types."""
    tools("docker", '[[ $1 != login ]] || cat > "$HOME/password"')
    tools("aws", AWS)
    done = run("potholes", AWS_REGION="eu-west-1", MEDIA="application/vnd.oci.image.index.v1+json")
    assert done.returncode == 1
    assert "no image of the type application/vnd.oci.image.index.v1+json" in done.stderr
    assert "Pushed" not in done.stdout


def test_the_serve_only_image_has_tags_of_its_own(tools, run, calls):
    tools("docker", "[[ $1 != buildx ]]")
    done = run("potholes", REGISTRY="registry.example.com", IMAGE="serve")
    assert done.returncode == 0, done.stderr
    assert any(c.startswith("docker build --platform linux/amd64 --target serve --tag ") for c in calls())
    pushed = [c for c in calls() if c.startswith("docker push ")]
    assert len(pushed) == 2
    assert all(c.endswith("-serve") for c in pushed)
    assert done.stdout.splitlines()[-1].endswith("-serve")


def test_an_image_that_is_not_known_is_refused(tools, run, calls):
    tools("docker")
    done = run("potholes", REGISTRY="registry.example.com", IMAGE="tiny")
    assert done.returncode == 1
    assert "IMAGE is 'tiny', which is neither full nor serve." in done.stderr
    assert not any(c.startswith("docker build") for c in calls())


def test_password_goes_to_the_engine_but_nowhere_else(tools, run, calls, tmp_path):
    tools("docker", '[[ $1 != login ]] || cat > "$HOME/password"')
    tools("aws", AWS)
    done = run("potholes", AWS_REGION="eu-west-1")
    assert (tmp_path / "password").read_text() == "secret-token\n"
    assert "secret-token" not in "\n".join([done.stdout, done.stderr, *calls()])


def test_existing_repository_is_used(tools, run, calls):
    tools("docker")
    tools("aws", AWS)
    assert run("potholes", AWS_REGION="eu-west-1", REPOSITORY_EXISTS="1").returncode == 0
    assert not any("create-repository" in c for c in calls())


def test_buildx_is_told_to_make_what_sagemaker_takes(tools, run, calls):
    tools("docker", '[[ $1 != build ]] || echo "attestations off: $BUILDX_NO_DEFAULT_ATTESTATIONS"')
    done = run("potholes", REGISTRY="registry.example.com")
    assert "attestations off: 1" in done.stdout
    assert any(c.startswith("docker build ") and "--output type=docker" in c for c in calls())


def test_another_registry_needs_no_aws(tools, run, calls):
    tools("docker")
    tools("aws", AWS)
    assert run("team/potholes", REGISTRY="registry.example.com:5000/x/").returncode == 0
    said = calls()
    assert not any(c.startswith(("aws", "docker login")) for c in said)
    assert said[-1] == "docker push registry.example.com:5000/x/team/potholes:latest"


def test_podman_is_taken_when_dockers_daemon_does_not_answer(tools, run, calls):
    tools("docker", "exit 1")
    tools("podman", '[[ $1 != build ]] || echo "format $BUILDAH_FORMAT"')
    done = run("potholes", REGISTRY="registry.example.com")
    assert done.returncode == 0
    assert "format docker" in done.stdout
    assert calls()[-1] == "podman push registry.example.com/potholes:latest"


def test_engine_can_be_chosen(tools, run, calls):
    tools("docker")
    tools("podman")
    assert run("potholes", REGISTRY="registry.example.com", CONTAINER_ENGINE="podman").returncode == 0
    assert not any(c.startswith("docker") for c in calls())


def test_failed_build_pushes_nothing(tools, run, calls):
    tools("docker", "[[ $1 != build ]]")
    assert run("potholes", REGISTRY="registry.example.com").returncode != 0
    assert not any(c.startswith("docker push") for c in calls())


@pytest.mark.parametrize("arguments", [(), ("a", "b")])
def test_usage_is_said(run, tools, arguments):
    tools("docker")
    done = run(*arguments)
    assert done.returncode == 1
    assert "Usage: " in done.stderr
    assert "NAME" in done.stderr


def test_a_name_that_no_registry_takes_is_refused(run, tools):
    tools("docker")
    done = run("Potholes")
    assert done.returncode == 1
    assert "'Potholes' is no repository name" in done.stderr


def test_missing_engine_is_said(tools, run):
    done = run("potholes", REGISTRY="registry.example.com")
    assert done.returncode == 1
    assert "docker, podman" in done.stderr
    assert "Install one" in done.stderr


def test_missing_credentials_are_said_before_anything_is_built(tools, run, calls):
    tools("docker")
    tools("aws", 'echo "Unable to locate credentials." >&2; exit 255')
    done = run("potholes", AWS_REGION="eu-west-1")
    assert done.returncode == 1
    assert "no valid AWS credentials: Unable to locate credentials." in done.stderr
    assert "REGISTRY" in done.stderr
    assert not any(c.startswith("docker build") for c in calls())


def test_missing_region_is_said(tools, run):
    tools("docker")
    tools("aws", AWS)
    done = run("potholes")
    assert done.returncode == 1
    assert "AWS_REGION" in done.stderr


def test_refusal_of_ecr_is_passed_on(tools, run):
    tools("docker")
    refusal = "An error occurred (AccessDeniedException): not authorized to perform ecr:DescribeRepositories"
    tools("aws", f'[[ $1 == sts ]] && exit; echo "{refusal}" >&2; exit 254')
    done = run("potholes", AWS_REGION="eu-west-1")
    assert done.returncode == 1
    assert refusal in done.stderr


def test_the_script_runs_from_any_folder(tools, calls, tmp_path, checkout):
    tools("docker")
    environment = {"PATH": str(tmp_path / "bin"), "REGISTRY": "registry.example.com"}
    assert os.access(ROOT / "build_and_push.sh", os.X_OK)
    subprocess.run([checkout / "build_and_push.sh", "potholes"], cwd="/", env=environment, check=True)
    assert any(c.startswith("docker build") and c.endswith(f" {checkout}/container") for c in calls())

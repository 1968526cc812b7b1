"""What the stacks are made from: the functions' code, the model, the image."""

import gzip
import hashlib
import io
import os
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

from stacks import Failed

ROOT = Path(__file__).parents[1]
CONTAINER = ROOT / "container"
# By the names that they have in the zip. The live API's modules are those of the server.
FUNCTIONS = {path.name: path for path in sorted((ROOT / "lambda").glob("*.py"))} | {
    str(path.relative_to(CONTAINER)): path
    for path in sorted((CONTAINER / "pothole" / "entrypoints" / "live").glob("*.*"))
}
BUILDS = ("full", "serve")
"""These images `build_and_push.sh` builds."""

SHIPPED_MODEL = ROOT / "container" / "pothole" / "weights"
MODEL_FILES = ("config.json", "weights.npz")
# Archives hold times; with the same one always, the same content has the same bytes.
LONG_AGO = (1980, 1, 1, 0, 0, 0)


def pack_functions() -> bytes:
    """Return a zip of the Lambda functions."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in FUNCTIONS.items():
            entry = zipfile.ZipInfo(name, LONG_AGO)
            entry.external_attr = 0o644 << 16  # Lambda reads it as another user
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def pack_model(folder: Path) -> bytes:
    """Return a model folder as SageMaker takes it, a model.tar.gz.

    Raises:
        Failed: The folder lacks a file of a model.
    """
    for name in MODEL_FILES:
        if not (folder / name).is_file():
            raise Failed(f"{folder} is no model: it has no {name}. `train` and `pothole import` write both.")
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        # All of the folder: a model prepared for another runtime has more files.
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(entry, file)
    return buffer.getvalue()


def upload(bucket: str, stem: str, suffix: str, content: bytes) -> str:
    """Put an archive into a bucket unless it is there, and return its key."""
    s3 = boto3.client("s3")
    key = f"{stem}-{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as exc:
        if exc.response["Error"]["Code"] != "404":
            raise
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    return key


def repository_of(image: str, own: str) -> str:
    """Return the ARN of an image's ECR repository.

    Args:
        image: The image's address.
        own: The deployment's own repository, for images that are not in ECR, as in an emulator.
    """
    found = re.fullmatch(r"(\d{12})\.dkr\.ecr\.([\w-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)[:@].+", image)
    if found is None:
        return own
    account, region, name = found.groups()
    return f"arn:{own.split(':')[1]}:ecr:{region}:{account}:repository/{name}"


def has_repository(name: str) -> bool:
    """Say whether there is a repository of this name in ECR."""
    ecr = boto3.client("ecr")
    try:
        return bool(ecr.describe_repositories(repositoryNames=[name])["repositories"])
    except ecr.exceptions.RepositoryNotFoundException:
        return False


def push_image(repository: str, image: str = "full") -> str:
    """Build one of `BUILDS`, push it to ECR, and return its address with its digest.

    Raises:
        Failed: `build_and_push.sh` failed; it has said why.
    """
    lines = []
    with subprocess.Popen(
        [ROOT / "build_and_push.sh", repository],
        env=os.environ | {"IMAGE": image},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="")
            lines.append(line.strip())
    if process.returncode != 0 or not lines or not lines[-1].startswith("Pushed "):
        raise Failed(
            "The image could not be built and pushed. IMAGE=address deploys one that is in ECR already."
        )
    return lines[-1].removeprefix("Pushed ")

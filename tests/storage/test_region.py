"""Which region S3 is asked in, by what the host says of itself."""

import os

import pytest

from pothole.settings import Settings
from pothole.storage.s3_client import s3_client


@pytest.mark.parametrize(
    ("told", "region"),
    [
        ({"SAGEMAKER_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_REGION": "eu-north-1", "SAGEMAKER_REGION": "eu-west-1"}, "eu-north-1"),
        ({"AWS_DEFAULT_REGION": "eu-south-1", "AWS_REGION": "eu-north-1"}, "eu-south-1"),
    ],
)
def test_the_region_is_boto3s_own_or_what_sagemaker_tells(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str], region: str
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "SAGEMAKER_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    for name, text in told.items():
        monkeypatch.setenv(name, text)
    settings = Settings.from_env(os.environ)
    assert s3_client.__wrapped__(20, 1, settings.s3_region).meta.region_name == region

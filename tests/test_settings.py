"""Settings come from the environment, and mistakes in it are named."""

import tempfile
from pathlib import Path

import pytest

from pothole.errors import ConfigError
from pothole.settings import Settings


def test_values_are_read_and_defaults_kept() -> None:
    env = {"LEASE_SECONDS": "30", "OUTPUT_BUCKETS": "a, b,c", "S3_REQUESTER_PAYS": "TRUE", "S3_KMS_KEY": "k"}
    settings = Settings.from_env(env)
    assert (settings.lease_s, settings.output_buckets) == (30, ("a", "b", "c"))
    assert (settings.s3_requester_pays, settings.s3_kms_key) == (True, "k")
    assert settings.max_jobs == Settings().max_jobs
    assert Settings.from_env({}).output_buckets == ()


@pytest.mark.parametrize(
    "env", [{"LEASE_SECONDS": "0"}, {"MAX_JOBS": "-1"}, {"S3_REQUESTER_PAYS": "yes"}, {"LOG_LEVEL": "LOUD"}]
)
def test_a_mistake_is_named(env: dict[str, str]) -> None:
    [name] = env
    with pytest.raises(ConfigError, match=name):
        Settings.from_env(env)


def test_a_temporary_folder_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(Path("/nowhere"))])
    with pytest.raises(ConfigError, match="Nothing can be written to TMPDIR"):
        Settings.from_env({})

"""Settings come from the environment, and mistakes in it are named."""

import re
from pathlib import Path

import pytest

import pothole
from pothole.declaration import declarations, shown_default
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


@pytest.mark.parametrize("runtime", ["auto", "openvino", "tensorflow"])
def test_a_choice_is_taken_and_another_word_is_refused_with_those_that_there_are(runtime: str) -> None:
    assert Settings.from_env({"POTHOLE_RUNTIME": runtime}).runtime == runtime
    with pytest.raises(ConfigError, match="POTHOLE_RUNTIME is 'fast', expected auto, openvino, tensorflow"):
        Settings.from_env({"POTHOLE_RUNTIME": "fast"})


def test_each_variable_is_declared_once_and_its_default_is_of_its_kind() -> None:
    variables = [declaration.variable for declaration in declarations(Settings).values()]
    assert len(variables) == len(set(variables))
    for name, declaration in declarations(Settings).items():
        value = getattr(Settings(), name)
        if isinstance(value, int | str) and value != "":
            assert declaration.read(str(value)) == value, name
        assert declaration.help
        assert shown_default(Settings, name)


def test_nothing_below_the_entry_points_reads_the_environment() -> None:
    package = Path(pothole.__file__).parent
    readers = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"os\.(environ|getenv)", path.read_text())
    }
    assert {reader.partition("/")[0] for reader in readers} == {"entrypoints"}


def test_a_temporary_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"Nothing can be written to TMPDIR, {tmp_path}/nowhere"):
        Settings.from_env({"TMPDIR": str(tmp_path / "nowhere")})
    with pytest.raises(ConfigError, match="TMPDIR"):
        Settings(temp_dir=tmp_path / "nowhere")


def test_folders_may_be_given_as_text(tmp_path: Path) -> None:
    assert Settings(temp_dir=str(tmp_path)) == Settings(temp_dir=tmp_path)  # type: ignore[arg-type]


def test_a_model_folder_that_is_named_and_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"There is no folder {tmp_path}/nowhere"):
        Settings.from_env({"SM_MODEL_DIR": str(tmp_path / "nowhere")})


def test_the_temporary_folder_is_that_of_the_environment_that_is_read(tmp_path: Path) -> None:
    assert Settings.from_env({"TMPDIR": str(tmp_path)}).temp_dir == tmp_path

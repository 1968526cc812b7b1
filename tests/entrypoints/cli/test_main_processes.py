"""The commands as they are installed, each a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pothole.settings import SHIPPED_MODEL


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "command",
    ["mark", "detect", "evaluate", "compare", "calibrate", "collect", "import", "export", "train", "serve"],
)
def test_python_m_pothole_helps_with_each_command(command: str) -> None:
    answer = run("pothole", command, "--help", PATH="/nowhere")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"usage: pothole {command}" in answer.stdout


def test_without_a_command_there_is_help() -> None:
    answer = run("pothole")
    assert answer.returncode != 0
    assert all(word in answer.stderr for word in ("usage: pothole", "mark", "evaluate", "serve"))


def test_serve_helps_with_its_settings() -> None:
    answer = run("pothole", "serve", "--help")
    assert "MAX_JOBS\n      videos worked on at a time (default: 1)" in answer.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "none"],
        ["export", "none"],
        ["export", ".", "--calibrate", "none"],
        ["detect", "a.jpg", "--model", "none"],
    ],
)
def test_a_folder_that_is_not_there_is_said_to_be_so_and_no_bar_is_shown(words: list[str]) -> None:
    said = run("pothole", *words)
    assert said.returncode == 1
    assert said.stderr == "pothole: There is no folder none.\n"


def test_a_wrong_setting_is_one_sentence() -> None:
    answer = run("pothole", "serve", MAX_JOBS="many")
    assert answer.returncode == 1
    assert answer.stderr == "pothole: MAX_JOBS is 'many', expected a positive whole number.\n"


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--model-dir", "{}/model"],
        ["export", "{}/model"],
        ["import", "weights.h5", "{}/new"],
        ["detect", "a.jpg", "--model", "{}/model"],
    ],
)
def test_without_tensorflow_the_sentence_names_what_to_install(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(
        "raise ModuleNotFoundError('No module named tensorflow', name='tensorflow')"
    )
    (tmp_path / "model").mkdir()
    for name in ("config.json", "weights.npz"):
        shutil.copy(SHIPPED_MODEL / name, tmp_path / "model")
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    answer = run("pothole", *(word.format(tmp_path) for word in words), PYTHONPATH=path)
    assert answer.returncode == 1
    assert answer.stderr == (
        "pothole: This needs TensorFlow, which is not installed: "
        "use the full image, or `pip install 'pothole[cpu]'`.\n"
    )

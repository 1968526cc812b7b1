"""The notebooks, executed as they are, in local mode."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.servers import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def texts(output: dict[str, Any]) -> list[str]:
    """What an output says, without its pictures."""
    return [*output.get("text", []), *output.get("data", {}).get("text/plain", [])]


def pictures(notebook: Path) -> list[str]:
    outputs = [out.get("data", {}) for cell in cells(notebook) for out in cell["outputs"]]
    return [out["image/jpeg"] for out in outputs if "image/jpeg" in out]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_as_it_ran_and_has_python_in_both_modes(notebook: Path) -> None:
    assert [cell["execution_count"] for cell in cells(notebook)] == [*range(1, len(cells(notebook)) + 1)]
    for cell in cells(notebook):
        ast.parse("".join(cell["source"]))
        assert not [out for out in cell["outputs"] if out["output_type"] == "error"]
        assert not re.search(r"/(work|home|root|tmp)/", json.dumps([texts(out) for out in cell["outputs"]]))
    assert any("MODE ==" in "".join(cell["source"]) for cell in cells(notebook))
    assert pictures(notebook)
    assert notebook.stat().st_size < 2**20


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_pictures(notebook: Path, tmp_path: Path) -> None:
    # What it writes goes beside what it reads, so it reads this through links.
    for name in ("infra", "lambda", "local_test", "container", ".venv-aws"):
        (tmp_path / name).symlink_to(ROOT / name)
    executed = tmp_path / "notebooks" / notebook.name
    executed.parent.mkdir()
    shutil.copy(notebook, executed)
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [Path(sys.executable).with_name("jupyter"), "execute", "--inplace", executed],
        env=environment | {"POTHOLE_NOTEBOOKS": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert pictures(executed)

"""The notebooks, executed as they are, in local mode."""

import ast
import json
import os
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


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs_and_has_python_in_both_modes(notebook: Path) -> None:
    for cell in cells(notebook):
        ast.parse("".join(cell["source"]))
        assert not cell["outputs"]
    assert any("MODE ==" in "".join(cell["source"]) for cell in cells(notebook))


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
    kinds = {kind for cell in cells(executed) for out in cell["outputs"] for kind in out.get("data", {})}
    assert "image/png" in kinds

"""Temporary folders, what killed processes leave of them, and files replaced at once."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pothole.files import folder_digest, private_folder, replacing, unique_stems

HOLD = """
import sys, time
from pathlib import Path
from pothole.files import private_folder
with private_folder(Path(sys.argv[1]), "mine-") as folder:
    (folder / "large").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(60)
"""


def holder(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_folders_of_killed_processes_go_and_those_in_use_stay(tmp_path: Path) -> None:
    (tmp_path / "other-1").mkdir()
    killed, left = holder(tmp_path)
    killed.kill()
    killed.wait()
    alive, used = holder(tmp_path)
    try:
        assert not left.exists()
        with private_folder(tmp_path, "mine-") as mine:
            assert sorted(tmp_path.iterdir()) == sorted([mine, used, tmp_path / "other-1"])
            assert (used / "large").is_file()
        assert not mine.exists()
    finally:
        alive.kill()
        alive.wait()
        assert alive.stdout and killed.stdout
        alive.stdout.close()
        killed.stdout.close()


@pytest.mark.parametrize("fails", [False, True])
def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path: Path, fails: bool) -> None:
    path = tmp_path / "made" / "config.json"
    with replacing(path) as whole:
        whole.write_text("before")
    with suppress(ZeroDivisionError), replacing(path) as whole:
        whole.write_text("aft")
        assert path.read_text() == "before"
        _ = 1 // (not fails)
        whole.write_text("after")
    assert path.read_text() == ("before" if fails else "after")
    assert list(path.parent.iterdir()) == [path]


def test_every_file_of_a_model_counts(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    first = folder_digest(tmp_path)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "weights").write_bytes(b"x")
    second = folder_digest(tmp_path)
    (tmp_path / "more" / "weights").write_bytes(b"y")
    assert len({first, second, folder_digest(tmp_path)}) == 3


def test_each_of_many_files_of_one_name_has_a_name_of_its_own() -> None:
    """In a time that grows with their number alone: compared with each other, these would take hours."""
    names = unique_stems([Path("a-2.jpg"), *(Path(f"{n}/a.jpg") for n in range(50_000)), Path("b.jpg")])
    assert names[:4] == ["a-2", "a", "a-3", "a-4"]
    assert names[-1] == "b"
    assert len(set(names)) == 50_002

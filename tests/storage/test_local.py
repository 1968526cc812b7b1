"""Folders in place of buckets."""

import errno
from pathlib import Path

import pytest

from pothole.errors import DiskFull, RequestError, SourceChanged, SourceNotFound, StorageUnavailable, TooLarge
from pothole.files import MIB
from pothole.storage import LocalStorage, file_errors


def test_local_files_are_read_where_they_are_and_written_at_once(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"video")
    store = LocalStorage(tmp_path)
    assert store.fetch("clip.mp4", tmp_path / "unused", MIB) == tmp_path / "clip.mp4"

    (tmp_path / "made").write_bytes(b"marked")
    target = tmp_path / "out" / "clip_output.mp4"
    version = store.publish(tmp_path / "made", "out/clip_output.mp4", "video/mp4")
    assert version == store.stat("out/clip_output.mp4").version
    assert target.read_bytes() == b"marked"

    (tmp_path / "made").write_bytes(b"marked anew")
    with target.open("rb") as player:
        store.publish(tmp_path / "made", "out/clip_output.mp4", "video/mp4")
        assert player.read() == b"marked", "whoever plays the old one sees it change"
    assert target.read_bytes() == b"marked anew"
    assert list(target.parent.iterdir()) == [target]


def test_local_errors_are_those_of_s3(tmp_path: Path) -> None:
    store = LocalStorage(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"video")
    with pytest.raises(SourceNotFound, match=r"no\.mp4"):
        store.fetch("no.mp4", tmp_path, MIB)
    with pytest.raises(TooLarge, match="5 bytes"):
        store.fetch("clip.mp4", tmp_path, 4)
    with pytest.raises(RequestError, match="leaves the folder"):
        store.fetch("../clip.mp4", tmp_path, MIB)
    with pytest.raises(StorageUnavailable, match=r"clip\.mp4"):
        store.publish(tmp_path / "clip.mp4", "clip.mp4/below/a/file", "video/mp4")


def test_a_file_that_was_replaced_is_not_taken_for_the_one_that_was_meant(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"first")
    store = LocalStorage(tmp_path)
    version = store.stat("clip.mp4").version
    assert store.fetch("clip.mp4", tmp_path, MIB, version) == clip
    clip.write_bytes(b"longer")
    with pytest.raises(SourceChanged, match="was replaced"):
        store.fetch("clip.mp4", tmp_path, MIB, version)


@pytest.mark.parametrize(
    "key", ["a\0b.mp4", "x" * 300 + ".mp4", "/".join("x" * 5000), "../" * 9 + "etc/passwd"]
)
def test_a_name_that_no_file_can_have_is_refused_without_a_crash(tmp_path: Path, key: str) -> None:
    with pytest.raises((RequestError, SourceNotFound)) as caught:
        LocalStorage(tmp_path / "root").stat(key)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("follow_links", [False, True])
def test_links_that_lead_in_a_circle_are_no_file(tmp_path: Path, follow_links: bool) -> None:
    (tmp_path / "a.mp4").symlink_to("b.mp4")
    (tmp_path / "b.mp4").symlink_to("a.mp4")
    with pytest.raises(SourceNotFound):
        LocalStorage(tmp_path, follow_links).stat("a.mp4")


def test_a_full_disk_is_said_as_such(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match=r"out\.mp4 does not fit"), file_errors(tmp_path / "out.mp4"):
        raise OSError(errno.ENOSPC, "No space left on device")

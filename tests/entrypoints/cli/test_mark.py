"""Several videos, and outputs that are there already."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pothole.entrypoints.cli import common, main
from pothole.media.picture import encode_picture
from support.clips import make_clip
from support.datasets import write_dataset
from support.fakes import MagentaDetector


@pytest.fixture(autouse=True)
def magenta(monkeypatch):
    monkeypatch.setattr(common, "load_detector", lambda folder, _: MagentaDetector())


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "road.mp4", 3)


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["pothole", *map(str, words)])
    main.main()


def stopped(monkeypatch, *words) -> str:
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *words)
    return str(caught.value.code)


def test_a_folder_of_videos_gives_one_table_and_its_failures_at_the_end(monkeypatch, capsys, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("a.mp4", "c.mp4"):
        make_clip(videos / name, 3)
    (videos / "b.mp4").write_text("no video")
    (videos / "notes.txt").write_text("no video either")
    said = stopped(monkeypatch, "mark", videos, "--output-dir", tmp_path / "out")
    assert said.startswith("pothole: 1 of 3 videos failed:\n  b.mp4")
    seen = capsys.readouterr()
    assert seen.err.count("with potholes") == 1, "one table"
    assert [Path(line).name for line in seen.out.split()] == [
        *("a_output.mp4", "a_output.json"),
        *("c_output.mp4", "c_output.json"),
    ]


def test_the_same_work_is_renewed_and_other_outputs_are_left_alone(monkeypatch, tmp_path, clip):
    report = tmp_path / "road_output.json"
    run(monkeypatch, "mark", clip)
    run(monkeypatch, "mark", clip)
    before = report.read_bytes()
    for other in (["--frame-interval", "2"], ["--min-confidence", "0.3"], ["--no-deinterlace"]):
        said = stopped(monkeypatch, "mark", clip, *other)
        assert "road_output.mp4 is there already, of another video or of other settings" in said
        assert "--overwrite" in said
        assert report.read_bytes() == before
    run(monkeypatch, "mark", clip, "--preview")  # which has names of its own
    assert report.read_bytes() == before
    run(monkeypatch, "mark", clip, "--frame-interval", "2", "--overwrite")
    assert json.loads(report.read_text())["settings"]["frame_interval"] == 2


def test_videos_that_differ_in_their_extension_alone_keep_their_outputs_apart(monkeypatch, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    make_clip(videos / "a.mkv", 3)
    make_clip(videos / "a.mp4", 5)
    names = ["a.mkv", "a.mp4", "a.mp4_output.json", "a.mp4_output.mp4", "a_output.json", "a_output.mp4"]
    for _ in range(2):
        run(monkeypatch, "mark", videos)
        assert sorted(path.name for path in videos.iterdir()) == names
    run(monkeypatch, "mark", videos / "a.mp4")  # alone, it finds its own
    assert sorted(path.name for path in videos.iterdir()) == names
    frames = [len(json.loads((videos / name).read_text())["frames"]) for name in (names[4], names[2])]
    assert frames == [3, 5]


def test_outputs_of_another_video_of_that_name_are_left_alone(monkeypatch, tmp_path, clip):
    (tmp_path / "elsewhere").mkdir()
    other = make_clip(tmp_path / "elsewhere" / "road.mp4", 5)
    run(monkeypatch, "mark", clip, "--output-dir", tmp_path / "out")
    assert "is there already" in stopped(monkeypatch, "mark", other, "--output-dir", tmp_path / "out")
    (tmp_path / "out" / "road_output.json").write_text("not ours")
    assert "is there already" in stopped(monkeypatch, "mark", clip, "--output-dir", tmp_path / "out")


def test_a_link_to_a_video_is_marked_beside_the_link(monkeypatch, tmp_path, clip):
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "linked.mp4"
    link.symlink_to(clip)
    run(monkeypatch, "mark", link)
    assert sorted(path.name for path in (tmp_path / "links").iterdir()) == [
        *("linked.mp4", "linked_output.json", "linked_output.mp4")
    ]
    assert not list(tmp_path.glob("*_output*"))


def test_where_nothing_can_be_written_is_said_before_the_work(monkeypatch, tmp_path, clip):
    def work(*_):
        raise AssertionError("work began")

    monkeypatch.setattr("pothole.entrypoints.cli.local_jobs.LocalJobs.run", work)
    (tmp_path / "file").write_text("a file")
    assert "file is a file, not a folder" in stopped(
        monkeypatch, "mark", clip, "--output-dir", tmp_path / "file" / "x"
    )


def test_pictures_of_one_name_keep_both(monkeypatch, capsys, tmp_path):
    pictures = []
    for name in ("d1", "d2"):
        (tmp_path / name).mkdir()
        pictures.append(tmp_path / name / "a.png")
        pictures[-1].write_bytes(encode_picture(np.zeros((48, 64, 3), np.uint8), "image/png"))
    run(monkeypatch, "detect", *pictures, "--output-dir", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a-2_output.jpg", "a_output.jpg"]
    assert "is a folder" in stopped(monkeypatch, "detect", pictures[0], "--json", tmp_path)


def test_marked_pictures_are_renewed_and_those_of_others_left_alone(monkeypatch, tmp_path):
    pictures = []
    for folder in ("d1", "d2"):
        (tmp_path / folder).mkdir()
        pictures.append(tmp_path / folder / "a.png")
        pictures[-1].write_bytes(encode_picture(np.full((48, 64, 3), 90, np.uint8), "image/png"))
    out = tmp_path / "out"
    for _ in range(2):
        run(monkeypatch, "detect", pictures[0], "--output-dir", out)
    before = (out / "a_output.jpg").read_bytes()
    for words in ([pictures[1]], [pictures[0], "--min-confidence", "0.1"]):
        said = stopped(monkeypatch, "detect", *words, "--output-dir", out)
        assert "a_output.jpg is there already, of another picture or of other settings" in said
        assert (out / "a_output.jpg").read_bytes() == before
    run(monkeypatch, "detect", pictures[1], "--output-dir", out, "--overwrite")
    assert (out / "a_output.jpg").read_bytes() != before


def test_a_folder_stands_for_its_pictures_in_order(monkeypatch, capsys, tmp_path):
    for name in ("p10.png", "p2.png", "p2_output.jpg", "note.txt"):
        (tmp_path / name).write_bytes(encode_picture(np.full((48, 64, 3), 90, np.uint8), "image/png"))
    run(monkeypatch, "detect", tmp_path)
    assert [Path(r["file"]).name for r in json.loads(capsys.readouterr().out)] == ["p2.png", "p10.png"]
    assert "holds no picture" in stopped(
        monkeypatch, "detect", (tmp_path / "none").mkdir() or tmp_path / "none"
    )


def test_a_picture_that_cannot_be_read_does_not_end_the_work_on_others(monkeypatch, capsys, tmp_path):
    (tmp_path / "b.png").write_text("no picture")
    for name in ("a.png", "c.png"):
        (tmp_path / name).write_bytes(encode_picture(np.full((48, 64, 3), 90, np.uint8), "image/png"))
    found = tmp_path / "found.json"
    said = stopped(monkeypatch, "detect", tmp_path, "--json", found)
    assert said.startswith("pothole: 1 of 3 pictures failed:\n  ") and "b.png is not a picture" in said
    assert [Path(r["file"]).name for r in json.loads(found.read_text())] == ["a.png", "c.png"]
    assert stopped(monkeypatch, "detect", tmp_path / "b.png").startswith(f"pothole: {tmp_path / 'b.png'} is")


def test_a_pattern_that_no_shell_has_replaced_stands_for_the_files_that_fit(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("b.mp4", "a.mp4", "a.mov"):
        make_clip(tmp_path / name, 3)
    (tmp_path / "p[1].png").write_bytes(encode_picture(np.full((48, 64, 3), 90, np.uint8), "image/png"))
    for pattern in ("*.mp4", tmp_path / "?.mp4"):
        run(monkeypatch, "mark", pattern, "--outputs", "json")
        assert [Path(n).name for n in capsys.readouterr().out.split()] == ["a_output.json", "b_output.json"]
    run(monkeypatch, "detect", "p*.png", "p[1].png", "--output-dir", "out")
    assert capsys.readouterr().out.split() == ["out/p[1]_output.jpg"]
    assert "There is no file " in stopped(monkeypatch, "mark", "*.mkv")


def test_marked_videos_among_others_are_left_out(monkeypatch, capsys, tmp_path, clip):
    """As when a shell replaces a pattern the second time."""
    run(monkeypatch, "mark", clip)
    run(monkeypatch, "mark", clip, tmp_path / "road_output.mp4")
    assert "already is marked" in stopped(monkeypatch, "mark", tmp_path / "road_output.mp4")


def test_the_folders_of_a_camera_card_are_looked_into(monkeypatch, capsys, tmp_path):
    for name in ("DCIM/100GOPRO/GX010001.MP4", "DCIM/101GOPRO/GX020001.MP4"):
        (tmp_path / name).parent.mkdir(parents=True)
        make_clip(tmp_path / "clip.mp4", 3).rename(tmp_path / name)
    (tmp_path / "DCIM/100GOPRO/._GX010001.MP4").write_bytes(b"of macOS")
    run(monkeypatch, "mark", tmp_path / "DCIM", "--outputs", "json")
    assert [Path(line).name for line in capsys.readouterr().out.split()] == [
        "GX010001_output.json",
        "GX020001_output.json",
    ]


def test_a_folder_of_marked_videos_is_said_to_be_one(monkeypatch, tmp_path):
    make_clip(tmp_path / "a_output.mp4", 3)
    assert "holds marked videos alone" in stopped(monkeypatch, "mark", tmp_path)


def test_the_command_for_the_other_kind_of_file_is_named(monkeypatch, tmp_path, clip):
    (tmp_path / "a.jpg").write_bytes(b"")
    assert "`pothole detect`" in stopped(monkeypatch, "mark", tmp_path / "a.jpg")
    assert "`pothole mark`" in stopped(monkeypatch, "detect", clip)


def test_marked_pictures_are_left_out_however_they_are_named(monkeypatch, capsys, tmp_path):
    picture = encode_picture(np.full((48, 64, 3), 90, np.uint8), "image/png")
    for name in ("a.png", "a_output.png"):
        (tmp_path / name).write_bytes(picture)
    run(
        monkeypatch,
        "detect",
        tmp_path / "a.png",
        tmp_path / "a_output.png",
        "--json",
        tmp_path / "found.json",
    )
    assert len(json.loads((tmp_path / "found.json").read_text())) == 1
    assert "already is marked" in stopped(monkeypatch, "detect", tmp_path / "a_output.png")


def test_three_videos_of_one_name_do_not_overwrite_each_other(monkeypatch, tmp_path):
    clips = [tmp_path / folder / "clip.mp4" for folder in "abc"]
    for clip in clips:
        clip.parent.mkdir()
        make_clip(clip, 3)
    said = stopped(monkeypatch, "mark", *clips, "--output-dir", tmp_path / "out", "--outputs", "json")
    assert "clip.mp4_output.json would be the output of two videos of one name" in said
    assert not (tmp_path / "out").exists()
    run(monkeypatch, "mark", *clips[:2], "--output-dir", tmp_path / "out", "--outputs", "json")


def test_outputs_without_a_report_are_renewed_by_the_same_work_alone(monkeypatch, tmp_path, clip):
    def again(*flags):
        run(monkeypatch, "mark", clip, "--outputs", "video,contact_sheet", *flags)

    video = tmp_path / "road_output.mp4"
    again()
    made = video.stat().st_ino
    again()
    assert video.stat().st_ino != made
    assert "is there already, of another video or of other settings" in stopped(
        monkeypatch, "mark", clip, "--outputs", "video", "--frame-interval", "2"
    )
    again("--frame-interval", "2", "--overwrite")
    assert "road_output.mp4 is there already" in stopped(monkeypatch, "mark", clip)


def test_outputs_without_a_report_are_kept_apart_by_the_extension(monkeypatch, tmp_path, clip):
    other = make_clip(tmp_path / "road.mkv", 3)
    for video in (clip, other, clip):
        run(monkeypatch, "mark", video, "--outputs", "video")
    assert (tmp_path / "road.mkv_output.mp4").exists()


def test_a_marked_video_that_says_nothing_of_itself_is_not_said_to_be_anothers(monkeypatch, tmp_path, clip):
    make_clip(tmp_path / "road_output.mp4", 3)
    assert "of a video that no report beside it names" in stopped(monkeypatch, "mark", clip)
    run(monkeypatch, "mark", clip, "--outputs", "video", "--overwrite")


def test_a_duration_is_for_live_streams(monkeypatch, clip):
    said = stopped(monkeypatch, "mark", clip, "--duration", "5")
    assert said == "pothole: --duration is for live streams. Leave it out, or name an rtsp:// address."


def test_evaluate_prints_no_json_unasked(monkeypatch, capsys, tmp_path):
    run(monkeypatch, "evaluate", write_dataset(tmp_path / "data"))
    assert capsys.readouterr().out == ""


def test_a_link_that_leads_to_itself_is_no_video_and_does_not_end_the_others(monkeypatch, capsys, tmp_path):
    (tmp_path / "a.mp4").symlink_to("a.mp4")
    make_clip(tmp_path / "b.mp4", 3)
    said = stopped(monkeypatch, "mark", tmp_path, "--outputs", "json")
    assert f"There is no file {tmp_path / 'a.mp4'}" in said
    assert (tmp_path / "b_output.json").is_file()


def test_what_an_empty_folder_lacks_is_what_the_command_takes(monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no video, and no pictures." in stopped(monkeypatch, "mark", tmp_path / "empty")
    said = stopped(monkeypatch, "collect", tmp_path / "empty", "--out", tmp_path / "out")
    assert "holds no video." in said


def test_a_broken_video_does_not_end_collect(monkeypatch, capsys, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    make_clip(videos / "a.mp4", 30)
    (videos / "b.mp4").write_text("no video")
    said = stopped(monkeypatch, "collect", videos, "--out", tmp_path / "out", "--random", "1", "--count", "0")
    assert len(list((tmp_path / "out" / "images").iterdir())) == 1
    assert "1 of 2 videos failed:\n  b.mp4" in said
    (videos / "a.mp4").unlink()
    said = stopped(monkeypatch, "collect", videos, "--out", tmp_path / "none")
    assert said.startswith("pothole: No video can be read. b.mp4 is not a video that can be read.")


def test_a_track_and_a_camera_are_named_on_the_command_line(monkeypatch, tmp_path, clip):
    track = tmp_path / "elsewhere" / "drive.csv"
    track.parent.mkdir()
    track.write_text("time_s,lat,lon\n0,48.1,11.5\n9,48.1001,11.5\n")
    run(monkeypatch, "mark", clip, "--outputs", "json", "--track", track, "--camera", "height=1.4,fov=70")
    report = json.loads((tmp_path / "road_output.json").read_text())
    assert report["drive"]["track"]["fixes"] == 2
    assert report["settings"]["camera"] == {"height_m": 1.4, "fov_deg": 70.0}
    said = stopped(monkeypatch, "mark", clip, "--track", tmp_path / "gone.gpx", "--overwrite")
    assert "gone.gpx" in said


def test_a_wrong_camera_is_named_with_what_it_may_be(monkeypatch, capsys, clip):
    assert stopped(monkeypatch, "mark", clip, "--camera", "lens=3") == "2"
    assert "'lens=3' is none of height=N" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://roads", "s3://roads names no file. Name a video or a folder: s3://roads/FOLDER/."),
        ("s3://roads//", "s3://roads// names no file. Name a video or a folder: s3://roads/FOLDER/."),
        ("s3:///a.mp4", "s3:///a.mp4 names no bucket. Write s3://BUCKET/KEY."),
        ("https:///a.mp4", "https:///a.mp4 names no host. Write https://HOST/FILE."),
        ("https://a b/c.mp4?key=secret", "https://a b/c.mp4 names no host. Write https://HOST/FILE."),
        ("http://[::1", "http://[::1 names no host. Write http://HOST/FILE."),
        ("http://camera:99999/a.mp4", "http://camera:99999/a.mp4 names no host. Write http://HOST/FILE."),
        ("ftp://a/b.mp4", "ftp:// is not known. Known are"),
        ("http://127.0.0.1:9/a.mp4", "http://127.0.0.1:9/a.mp4 does not answer: connection refused. Check"),
    ],
)
def test_an_address_that_leads_nowhere_is_one_sentence(monkeypatch, tmp_path, address, said):
    monkeypatch.chdir(tmp_path)
    assert stopped(monkeypatch, "mark", address).startswith(f"pothole: {said}")
    assert not list(tmp_path.iterdir())


def test_a_camera_that_does_not_answer_is_named_by_its_address(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = stopped(monkeypatch, "mark", "rtsp://user:secret@127.0.0.1:9/front", "--duration", "1")
    assert said.startswith(
        "pothole: rtsp://127.0.0.1:9/front: The stream does not answer: connection refused."
    )


def test_where_there_is_no_terminal_the_table_has_names_in_full(monkeypatch, capsys, tmp_path):
    clip = make_clip(tmp_path / f"{'long-way-' * 12}home.mp4", 2)
    run(monkeypatch, "mark", clip)
    row = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("│"))
    assert clip.name in row

"""Folders of pictures, as they are worked on: by name, by the times of their EXIF, whatever their kind."""

import json
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import ExifTags
from PIL import Image as Pillow

from pothole.detection.detector import Detector
from pothole.errors import InvalidMedia, SourceNotFound, TooLarge
from pothole.job import run_job
from pothole.job_order import Job
from pothole.media import Video
from pothole.media.sequence import join_pictures
from pothole.settings import Settings
from pothole.storage import open_folder
from support.bucket_roads import Road
from support.fakes import MagentaDetector
from support.heic import heic
from support.pictures import SIZE, coded, road

LIMIT = 2**24


def picture(
    path: Path,
    time: str | None = None,
    fraction: str = "",
    at: tuple[float, float] | None = None,
    offset: str = "",
) -> Path:
    """A picture of a road with one pothole, and EXIF."""
    exif = Pillow.Exif()
    if time:
        details = exif.get_ifd(0x8769)
        details[0x9003], details[0x9291], details[0x9011] = time, fraction, offset
    if at:
        gps = exif.get_ifd(0x8825)
        for tag, ref, value, names in ((2, 1, at[0], "NS"), (4, 3, at[1], "EW")):
            degrees, minutes = divmod(abs(value) * 60, 60)
            gps[tag], gps[ref] = (degrees, minutes, 0.0), names[value < 0]
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".heic":
        path.write_bytes(heic(road(), exif=exif.tobytes()))
    else:
        Pillow.fromarray(road()).save(path, exif=exif, quality=95)
    return path


def times(movie: Path) -> list[float]:
    with Video.open(movie) as video:
        return [round(float(frame.time), 3) for frame in video.frames()]


def test_pictures_are_shown_at_the_times_of_their_exif(tmp_path: Path) -> None:
    """In their order; those of one second share it, and where the camera stood no more than 5 s are shown."""
    given = [
        picture(tmp_path / "d.jpg", "2024:05:01 10:00:08", "5"),
        picture(tmp_path / "a.jpg", "2024:05:01 10:00:00"),
        picture(tmp_path / "b.jpg", "2024:05:01 10:00:00"),
        picture(tmp_path / "c.jpg", "2024:05:01 10:00:02", "5"),
        picture(tmp_path / "e.jpg", "2024:05:01 11:00:00"),
    ]
    joined = join_pictures(given, tmp_path / "m.mov", LIMIT)
    assert [taken.file for taken in joined.taken] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]
    assert joined.taken[2].time == "2024-05-01T10:00:02.500000"
    assert times(tmp_path / "m.mov") == [0, 1.25, 2.5, 7.5, 12.5]


def test_pictures_of_phones_come_at_their_times(tmp_path: Path) -> None:
    given = [
        picture(tmp_path / "a.heic", "2024:05:01 10:00:04", at=(-33.5, 18.25)),
        picture(tmp_path / "b.heic", "2024:05:01 10:00:02"),
    ]
    joined = join_pictures(given, tmp_path / "m.mov", LIMIT)
    assert [(taken.file, taken.lat, taken.lon) for taken in joined.taken] == [
        ("b.heic", None, None),
        ("a.heic", -33.5, 18.25),
    ]
    assert times(tmp_path / "m.mov") == [0, 2]


def test_without_times_pictures_keep_their_order_and_are_shown_for_a_second(tmp_path: Path) -> None:
    given = [picture(tmp_path / "b.jpg", "2024:05:01 10:00:00"), picture(tmp_path / "a.png")]
    given.append(picture(tmp_path / "odd.jpg", "0000:00:00 00:00:00"))
    joined = join_pictures(given, tmp_path / "m.mov", LIMIT)
    assert [taken.file for taken in joined.taken] == ["b.jpg", "a.png", "odd.jpg"]
    assert times(tmp_path / "m.mov") == [0, 1, 2]


def test_jpegs_are_not_coded_anew_and_others_are_upright(tmp_path: Path) -> None:
    plain = picture(tmp_path / "a.jpg")
    turned = tmp_path / "b.jpg"
    exif = Pillow.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Pillow.fromarray(road()).rotate(90, expand=True).save(turned, exif=exif, quality=95)
    join_pictures([plain, turned], tmp_path / "m.mov", LIMIT)
    assert plain.read_bytes() in (tmp_path / "m.mov").read_bytes()
    with Video.open(tmp_path / "m.mov") as video:
        first, second = (frame.rgb().astype(int) for frame in video.frames())
    assert abs(first - second).mean() < 3


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    joined = join_pictures([picture(tmp_path / "a.jpg"), broken], tmp_path / "m.mov", LIMIT)
    assert joined.remarks == ("Pictures that cannot be read were left out: broken.jpg.",)
    with pytest.raises(InvalidMedia, match="None of the pictures"):
        join_pictures([broken], tmp_path / "none.mov", LIMIT)
    with pytest.raises(TooLarge, match=r"a\.jpg has"):
        join_pictures([tmp_path / "a.jpg"], tmp_path / "none.mov", 100)


def test_a_jpeg_of_many_scans_is_refused_though_its_bytes_would_be_copied(tmp_path: Path) -> None:
    Pillow.fromarray(road()).save(tmp_path / "a.jpg", progressive=True)
    with pytest.raises(TooLarge, match="MAX_JPEG_SCANS"):
        join_pictures([tmp_path / "a.jpg"], tmp_path / "none.mov", LIMIT, max_scans=2)
    assert join_pictures([tmp_path / "a.jpg"], tmp_path / "m.mov", LIMIT).taken


def cut(path: Path, share: float) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (96, 64, 3), np.uint8)
    whole = coded(noise, "JPEG")
    path.write_bytes(whole[: int(share * len(whole))])
    return path


def test_jpegs_that_are_cut_short_are_left_out_or_mended(tmp_path: Path) -> None:
    """As a card that was full leaves them: one without its lower half, and one that lacks a few rows."""
    given = [cut(tmp_path / "half.jpg", 0.5), cut(tmp_path / "nearly.jpg", 0.98)]
    joined = join_pictures(given, tmp_path / "m.mov", LIMIT)
    assert joined.remarks == ("Pictures that cannot be read were left out: half.jpg.",)
    assert [taken.file for taken in joined.taken] == ["nearly.jpg"]
    assert given[1].read_bytes() not in (tmp_path / "m.mov").read_bytes()
    assert times(tmp_path / "m.mov") == [0]


def test_pictures_without_a_time_among_others_are_named(tmp_path: Path) -> None:
    given = [picture(tmp_path / "a.jpg", "2024:05:01 10:00:00"), picture(tmp_path / "b.jpg")]
    joined = join_pictures(given, tmp_path / "m.mov", LIMIT)
    assert joined.remarks == (
        "Pictures without a time in their EXIF: b.jpg. All are shown in the order of their names, for a"
        " second each.",
    )
    more = [picture(tmp_path / f"{letter}.jpg") for letter in "cdefg"]
    five, six = (join_pictures(given + more[:n], tmp_path / "m.mov", LIMIT).remarks[0] for n in (4, 5))
    assert ": b.jpg, c.jpg, d.jpg, e.jpg, f.jpg." in five
    assert ": b.jpg, c.jpg, d.jpg, e.jpg, f.jpg and 1 more." in six
    assert join_pictures(given[1:], tmp_path / "m.mov", LIMIT).remarks == ()
    assert join_pictures(given[:1], tmp_path / "m.mov", LIMIT).remarks == ()


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [("9999999", "00.999999"), ("05", "00.050000"), ("x", "00"), ("1234567", "00.123456")],
)
def test_parts_of_a_second_have_any_number_of_digits(tmp_path: Path, fraction: str, expected: str) -> None:
    given = picture(tmp_path / "a.jpg", "2024:05:01 10:00:00", fraction)
    [taken] = join_pictures([given], tmp_path / "m.mov", LIMIT).taken
    assert taken.time == f"2024-05-01T10:00:{expected}"


def test_times_with_and_without_an_offset_are_compared_as_local_ones(tmp_path: Path) -> None:
    given = [
        picture(tmp_path / "a.jpg", "2024:05:01 10:00:02"),
        picture(tmp_path / "b.jpg", "2024:05:01 10:00:04", offset="+02:00"),
        picture(tmp_path / "c.jpg", "2024:05:01 10:00:00", offset="+02:00"),
    ]
    joined = join_pictures(given, tmp_path / "m.mov", LIMIT)
    assert [taken.file for taken in joined.taken] == ["c.jpg", "a.jpg", "b.jpg"]
    assert joined.remarks == (
        "Some pictures' times have no offset from UTC: all were taken for times of one time zone.",
    )
    given = [picture(tmp_path / "d.jpg", "2024:05:01 11:00:01", offset="+03:00"), *given[1:]]
    joined = join_pictures(given, tmp_path / "m.mov", LIMIT)
    assert [taken.file for taken in joined.taken] == ["c.jpg", "d.jpg", "b.jpg"], "an hour apart"
    assert joined.remarks == ()


def marked(job: Job, settings: Settings, detector: Detector | None = None) -> dict:
    result = run_job(job, detector or MagentaDetector(), open_folder, settings)
    report = json.loads(Path(result.outputs[1]).read_text())
    assert report["video"]["warning"] == result.warning
    return report


def test_a_folder_of_pictures_is_marked_as_a_video_is(tmp_path: Path, settings: Settings) -> None:
    survey = tmp_path / "survey"
    for number in range(1, 12):  # 2 before 10
        picture(survey / f"p{number}.jpg", at=(48.1 + number / 1000, -11.5))
    (survey / "p3.jpg").write_bytes(b"no picture")
    (survey / "note.txt").write_text("no picture")
    picture(survey / "p1_output.jpg")
    report = marked(Job(str(tmp_path), "survey/", is_live=True), settings)
    assert (tmp_path / "survey_output.mp4").is_file()
    assert report["source"] == str(survey)
    assert [about["file"] for about in report["pictures"]] == [f"p{n}.jpg" for n in (1, 2, *range(4, 12))]
    assert report["pictures"][1] == {"file": "p2.jpg", "time": None, "lat": 48.102, "lon": -11.5}
    assert [len(frame["potholes"]) for frame in report["frames"]] == [1] * 10
    assert "left out: p3.jpg" in report["video"]["warning"]
    assert not list(settings.temp_dir.iterdir())


def test_a_folder_without_pictures_is_said_to_be_so(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "survey").mkdir()
    with pytest.raises(SourceNotFound, match="There is no picture in"):
        marked(Job(str(tmp_path), "survey/"), settings)


def test_a_prefix_of_s3_is_a_folder_of_pictures(s3_road: Road) -> None:
    for number in (2, 10):
        data = picture(s3_road.folder / f"p{number}.jpg").read_bytes()
        s3_road.put(f"roads/survey/p{number}.jpg", data)
    s3_road.put("roads/survey/deeper/p1.jpg", data)
    first = s3_road.job("roads/survey/")
    assert first.json["output"][0] == f"s3://{s3_road.bucket}/roads/survey_output.mp4"
    assert first.json["job"]["frames"] == 2
    assert s3_road.job("roads/survey/").json == first.json, "the same job"
    s3_road.put("roads/survey/p11.jpg", data)
    assert s3_road.job("roads/survey/").json["job"]["frames"] == 3


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_movie_of_jpegs_with_exif_is_upright(tmp_path: Path, orientation: int) -> None:
    """Cameras write such; FFmpeg tells of the EXIF in a way that PyAV does not know."""
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    turned = {1: 0, 3: 180, 6: 90, 8: 270}[orientation]
    file = BytesIO()
    Pillow.fromarray(road()).rotate(turned, expand=True).save(file, "JPEG", exif=exif, quality=95)
    with av.open(tmp_path / "m.mov", "w") as movie:
        stream = movie.add_stream("mjpeg", rate=1)
        stream.width, stream.height = SIZE if turned % 180 == 0 else SIZE[::-1]
        stream.pix_fmt = "yuvj420p"
        packet = av.Packet(file.getvalue())
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
        movie.mux(packet)
    with Video.open(tmp_path / "m.mov") as video:
        [frame] = video.frames()
    assert abs(frame.rgb().astype(int) - road()).mean() < 6

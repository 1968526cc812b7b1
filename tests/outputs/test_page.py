"""The page of a video works in a real browser, from one file beside the video, and asks for nothing else."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pothole.job import run_job
from pothole.job_order import Job
from pothole.outputs.contact_sheet import clock
from pothole.settings import Settings
from pothole.storage import open_folder
from pothole.types import Image
from support.browser import CHROMIUM, show
from support.clips import make_clip
from support.fakes import MAGENTA, MagentaDetector

FRAMES, RATE, SIZE = 60, 10, (320, 192)
OUTPUTS = ("video", "json", "page")
# Looks into the page, which may run no script but its own, and reads the number of the frame that is shown.
VISITOR = """<!doctype html><iframe src="%s" width="1200" height="900"></iframe><script>
const frame = document.querySelector("iframe"), wait = ms => new Promise(done => setTimeout(done, ms));
frame.onload = async () => {
  const page = frame.contentDocument, video = page.querySelector("video"), seen = [];
  const violations = [];
  page.addEventListener("securitypolicyviolation", event => violations.push(event.blockedURI));
  while (video.readyState < 2) await wait(20);
  const shown = async act => {
    const done = new Promise(done => video.addEventListener("seeked", done, {once: true}));
    act();
    await Promise.race([done, wait(3000)]);
    await wait(150);
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    seen.push({time: video.currentTime, grey: context.getImageData(4, 4, 1, 1).data[1],
      now: [...page.querySelectorAll(".card.now")].map(card => card.dataset.id)});
  };
  const {KeyboardEvent, MouseEvent} = frame.contentWindow;
  const press = key => page.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  const cards = page.querySelectorAll(".card");
  await shown(() => cards[1].click());
  await shown(() => press("p"));
  await shown(() => press("n"));
  await shown(() => page.querySelector(".tick").dispatchEvent(new MouseEvent("click", {bubbles: true})));
  fetch("/report", {method: "POST", body: JSON.stringify({seen, violations, cards: cards.length,
    pictures: [...page.images].every(image => image.complete && image.naturalWidth > 0)})});
};
</script>"""


def road(number: int) -> Image:
    """Two potholes, one after the other; the corner says the number of the frame."""
    image = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    image[:16, :16] = 20 + 3 * number
    if number < 25:
        image[100:140, 60:120] = MAGENTA
    if number >= 35:
        image[100:140, 200:260] = MAGENTA
    return image


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    make_clip(tmp_path / "clip <b> & #1.mp4", FRAMES, RATE, SIZE, picture=road)
    job = Job(str(tmp_path), "clip <b> & #1.mp4", is_live=True, outputs=OUTPUTS, frame_interval=1)
    run_job(job, MagentaDetector(), open_folder, settings)
    return tmp_path


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_click_and_keys_lead_to_the_frame_where_a_pothole_is_seen_best(folder: Path) -> None:
    name = "clip%20%3Cb%3E%20%26%20%231_output.html"
    report, gets = show(folder, (VISITOR % name).encode())
    assert report["violations"] == []
    assert report["cards"] == 2
    assert report["pictures"]
    page = (folder / "clip <b> & #1_output.html").read_text()
    best = [float(at) for at in re.findall(r'data-at="([\d.]+)"', page)]
    second, first, again, tick = report["seen"]
    for seen, number in ((second, 1), (first, 0), (again, 1), (tick, 0)):
        assert seen["now"] == [str(number + 1)]
        assert abs((seen["grey"] - 20) / 3 - best[number] * RATE) <= 1
    assert {path.split("?")[0] for path in gets} <= {
        *("/page.html", f"/{name}", f"/{name.replace('.html', '.mp4')}", "/favicon.ico")
    }


def test_names_are_shown_and_do_nothing(folder: Path) -> None:
    page = (folder / "clip <b> & #1_output.html").read_text()
    assert "<b> &" not in page
    assert "clip &lt;b&gt; &amp; #1.mp4" in page
    assert "http" not in page.replace("http-equiv", "")
    report = json.loads((folder / "clip <b> & #1_output.json").read_text())
    assert page.count('class="card"') == len(report["tracks"]) == 2


def test_without_a_marked_video_the_page_is_a_list(tmp_path: Path, settings: Settings) -> None:
    make_clip(tmp_path / "clip.mp4", 12, RATE, SIZE, picture=road)
    run_job(
        Job(str(tmp_path), "clip.mp4", is_live=True, outputs=("page",)),
        MagentaDetector(),
        open_folder,
        settings,
    )
    page = (tmp_path / "clip_output.html").read_text()
    assert "<video" not in page
    assert page.count('class="card"') == 1


def test_a_video_without_potholes_says_so(tmp_path: Path, settings: Settings) -> None:
    make_clip(
        tmp_path / "clip.mp4", 6, RATE, SIZE, picture=lambda i: np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    )
    job = replace(Job(str(tmp_path), "clip.mp4", is_live=True), outputs=OUTPUTS)
    run_job(job, MagentaDetector(), open_folder, settings)
    assert "Nothing was found." in (tmp_path / "clip_output.html").read_text()


def test_times_are_read_as_minutes_and_seconds() -> None:
    assert (clock(3.25), clock(75)) == ("0:03.2", "1:15.0")

"""What customers look at in a browser, in a real one: the marked video, and the page of an evaluation."""

from dataclasses import replace
from fractions import Fraction

import pytest

from pothole.training.evaluate import Evaluation
from pothole.training.evaluation_page import write_page
from support.browser import CHROMIUM, play, show
from support.clips import make_clip, transcode
from support.datasets import write_dataset
from support.fakes import Oracle

VIEWER = b"""<!doctype html><iframe width="1200" height="900" src="evaluation.html"></iframe><script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const page = frame.contentDocument, all = query => [...page.querySelectorAll(query)];
  const shown = () => all(".picture svg").filter(
    svg => frame.contentWindow.getComputedStyle(svg).visibility == "visible").length;
  const outlined = shown();
  page.querySelector("#outlines").click();
  fetch("/report", {method: "POST", body: JSON.stringify({
    pictures: all("section").map(part => [part.id, part.querySelectorAll("figure").length]),
    decoded: all(".picture img").filter(image => image.naturalWidth > 0).length,
    drawn: all(".picture path").filter(path => path.getBBox().width > 0).length,
    names: all("figcaption").map(caption => caption.textContent), bold: all("figcaption i").length,
    outlined, without: shown()})});
};
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("hevc.mp4", {"codec": "libx265", "pix_fmt": "yuv420p10le"}, (64, 48)),
        ("turned.mov", {"rotation": 90, "audio": "aac"}, (48, 64)),
        ("old.avi", {"codec": "mpeg4", "audio": "mp2"}, (64, 48)),
    ],
)
def test_what_a_browser_cannot_play_comes_out_playable(tmp_path, name, options, size):
    source = make_clip(tmp_path / name, frames=15, rate=15, **options)
    transcode(source, tmp_path / "clip.mp4", segment=6)
    [seen] = play(tmp_path, ["clip.mp4"])
    assert seen["error"] is None
    assert seen["readyState"] >= 2  # at least the picture at hand is decoded
    assert seen["duration"] == pytest.approx(float(Fraction(15, 15)), abs=0.1)
    assert seen["time"] == pytest.approx(seen["duration"], abs=0.1)
    assert (seen["width"], seen["height"]) == size


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_page_of_an_evaluation_shows_its_pictures_and_asks_for_nothing(tmp_path):
    data = write_dataset(tmp_path / "data", file_name="<i>{}<i>&\"'.png")
    evaluation = Evaluation.run(Oracle(score_of_false=0.6), data)
    found = tuple((i, d[[]] if i == 105 else d) for i, d in evaluation.found)
    evaluation = replace(evaluation, found=found)
    write_page(tmp_path / "evaluation.html", evaluation, evaluation.figures())
    seen, gets = show(tmp_path, VIEWER)
    assert seen["pictures"] == [["true", 3], ["missed", 1], ["false", 2]]
    assert seen["decoded"] == 6 and seen["drawn"] == 3 * 2 + 1 + 2
    assert (seen["outlined"], seen["without"]) == (6, 0)
    assert seen["bold"] == 0 and sum("<i>5<i>&\"'.png" in name for name in seen["names"]) == 1
    assert set(gets) <= {"/page.html", "/evaluation.html", "/favicon.ico"}

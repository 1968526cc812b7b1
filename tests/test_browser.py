"""The marked video in a real browser, which is where customers look at it."""

import http.server
import json
import shutil
import subprocess
import threading
from fractions import Fraction
from functools import partial

import pytest

from clips import make_clip
from pothole.video import Video, VideoWriter

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
)
PAGE = b"""<!doctype html><video muted src="clip.mp4"></video><script>
const video = document.querySelector("video");
const report = error => fetch("/report", {method: "POST", body: JSON.stringify({
  error, readyState: video.readyState, duration: video.duration, time: video.currentTime,
  width: video.videoWidth, height: video.videoHeight})});
video.onended = () => report(null);
video.onerror = () => report(video.error.message);
video.oncanplaythrough = () => video.play();
</script>"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and keeps what the page reports."""

    def __init__(self, *args, reports, **kwargs):
        self.reports = reports
        super().__init__(*args, **kwargs)

    def do_POST(self):
        self.reports.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()
        threading.Thread(target=self.server.shutdown).start()

    def log_message(self, *args):
        pass


def play(folder):
    """Play `clip.mp4` of a folder to its end in Chromium; returns what the page saw."""
    (folder / "page.html").write_bytes(PAGE)
    reports = []
    handler = partial(Handler, directory=folder, reports=reports)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/page.html"
        command = [
            CHROMIUM,
            *FLAGS,
            f"--user-data-dir={folder / 'profile'}",
            "--remote-debugging-port=0",
            address,
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            watchdog = threading.Timer(60, server.shutdown)
            watchdog.start()
            try:
                server.serve_forever(poll_interval=0.05)
            finally:
                watchdog.cancel()
                browser.terminate()
    assert reports, "The browser reported nothing within a minute."
    return reports[0]


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
    with Video.open(source) as video, VideoWriter(tmp_path / "clip.mp4", video.info, source=source) as writer:
        for frame in video.frames():
            writer.write(frame)
    seen = play(tmp_path)
    assert seen["error"] is None
    assert seen["readyState"] >= 2  # at least the picture at hand is decoded
    assert seen["duration"] == pytest.approx(float(Fraction(15, 15)), abs=0.1)
    assert seen["time"] == pytest.approx(seen["duration"], abs=0.1)
    assert (seen["width"], seen["height"]) == size

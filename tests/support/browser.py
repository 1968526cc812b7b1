"""Chromium without a window: what a page in it reports."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import tempfile
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
)
# Plays videos one after the other, muted, and reports of each what was decoded.
PLAYER = """<!doctype html><video muted></video><script>
const video = document.querySelector("video"), names = %s, seen = [];
const next = error => {
  if (seen.length < names.length && video.src) seen.push({
    error, readyState: video.readyState, duration: video.duration, time: video.currentTime,
    width: video.videoWidth, height: video.videoHeight, audioBytes: video.webkitAudioDecodedByteCount,
    frames: video.getVideoPlaybackQuality().totalVideoFrames});
  if (seen.length == names.length) fetch("/report", {method: "POST", body: JSON.stringify(seen)});
  else video.src = names[seen.length];
};
let waiting = 0;
video.onended = () => next(null);
video.onerror = () => next(video.error.message);
video.oncanplaythrough = () => { video.playbackRate = %s; video.play(); };
video.onloadstart = () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => next("it does not end"), 30000);
};
next(null);
</script>"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and keeps what is asked for and what the page reports."""

    def __init__(self, *args: Any, reports: list[Any], gets: list[str], **kwargs: Any) -> None:
        self.reports = reports
        self.gets = gets
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        self.gets.append(self.path)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not asked or not path.is_file():
            super().do_GET()
            return
        # Chromium seeks in what it gets in parts, and in nothing else.
        size = path.stat().st_size
        first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
        self.send_response(206)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        with path.open("rb") as file, suppress(ConnectionError):
            file.seek(first)
            self.wfile.write(file.read(last - first + 1))

    def do_POST(self) -> None:
        self.reports.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()
        threading.Thread(target=self.server.shutdown).start()

    def log_message(self, *args: Any) -> None:
        pass


def show(folder: Path, page: bytes, patience_s: float = 60) -> tuple[Any, list[str]]:
    """Open a page beside the files of a folder; return what it reports and what it asked for."""
    (folder / "page.html").write_bytes(page)
    reports: list[Any] = []
    gets: list[str] = []
    handler = partial(Handler, directory=str(folder), reports=reports, gets=gets)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
    ):
        address = f"http://127.0.0.1:{server.server_address[1]}/page.html"
        command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", address]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            watchdog = threading.Timer(patience_s, server.shutdown)
            watchdog.start()
            try:
                server.serve_forever(poll_interval=0.05)
            finally:
                watchdog.cancel()
                browser.terminate()
    assert reports, "The browser reported nothing in time."
    return reports[0], gets


def play(folder: Path, names: list[str], rate: float = 1) -> list[dict[str, Any]]:
    """Play videos of a folder, and return what was decoded of each."""
    page = PLAYER % (json.dumps(names), rate)
    seen, _ = show(folder, page.encode(), 60 + 10 * len(names) / rate)
    assert isinstance(seen, list)
    return seen

"""Videos of fewer frames a second, made of every n-th frame of others."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a path to write to that becomes `path` when all went well, so that no half of a file is kept."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
        yield Path(folder, path.name)
        Path(folder, path.name).replace(path)


def thinned(video: Path, every: int, folder: Path) -> Path:
    """Return a video of every n-th frame of another, pixel for pixel, made unless that was done before.

    Args:
        video: Of a constant rate; its sound is left out.
        every: 1 for the video itself.
        folder: Where it is kept.
    """
    path = folder / f"{video.stem}-every-{every}.mp4"
    if every == 1:
        return video
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with av.open(video) as source, replaced(path) as new, av.open(new, "w") as target:
        given = source.streams.video[0]
        rate = Fraction(given.average_rate or 0) / every
        stream = target.add_stream("libx264", rate=rate, options={"qp": "0", "preset": "veryfast"})
        context, like = stream.codec_context, given.codec_context
        context.width, context.height, context.pix_fmt = like.width, like.height, "yuv420p"
        context.colorspace, context.color_range = like.colorspace, like.color_range
        for index, frame in enumerate(islice(source.decode(given), 0, None, every)):
            frame.pts, frame.time_base = index, 1 / rate
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path

"""How many bytes a frame the tracker's observations take when they are sent to another machine.

python bench/motion_bytes.py VIDEO ...
"""

import sys
from pathlib import Path
from statistics import mean

from pothole.media import Video
from pothole.tracking.optical_flow import View


def main() -> None:
    """Print the mean and the largest view of each video's frames."""
    for name in sys.argv[1:]:
        with Video.open(Path(name)) as video:
            sizes = [len(View.of(frame.planes[0]).to_bytes()) for frame in video.frames()]
            size = f"{video.info.width}×{video.info.height}"
            print(f"{name}: {size}, {mean(sizes):.0f} bytes a frame, at most {max(sizes)}")


if __name__ == "__main__":
    main()

"""This script measures recall on pictures of high dynamic range beside the same ones of standard range.

Pictures of a COCO data set become the frames of three videos: H.264 of BT.709, and HEVC of 10 bits in PQ and
in HLG of BT.2020, where white is reference white (ITU-R BT.2408). Each is read as a job reads it.

    python bench/hdr_recall.py ../data/val
"""

import argparse
import json
import tempfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pothole import Video, load_detector
from pothole.detection.detector import Detector
from pothole.media.tone_mapping import BT709, BT2020, HLG, PEAK, PQ, WHITE, light_to_pq
from pothole.settings import SHIPPED_MODEL

SIZE = 640, 480  # `(width, height)` of the videos; pictures are scaled into their upper left corner
MIN_IOU = 0.5  # of two boxes
# From linear BT.709 to linear BT.2020 (ITU-R BT.2087, table 1).
WIDEN = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
LUMA = np.array([0.2627, 0.6780, 0.0593])

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float64]


def main() -> None:
    """Print the recall of each kind of video."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with annotations.json")
    parser.add_argument("--pictures", type=int, default=60, metavar="N")
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, metavar="DIR")
    args = parser.parse_args()
    pictures, truth = _read(args.data, args.pictures)
    detector = load_detector(args.model)
    print("| video | recall | found | potholes | false |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, transfer in (("standard range", BT709), ("HLG", HLG), ("PQ", PQ)):
            video = _write(Path(folder, f"{transfer}.mkv"), pictures, transfer)
            found, false = _count(video, truth, detector)
            there = sum(map(len, truth))
            print(f"| {name} | {found / there:.3f} | {found} | {there} | {false} |")


def _read(folder: Path, count: int) -> tuple[list[Picture], list[Boxes]]:
    """Return so many pictures with potholes, drawn with a fixed seed, and the boxes in each."""
    data = json.loads((folder / "annotations.json").read_text())
    boxes: dict[Any, list[list[float]]] = {}
    for annotation in data["annotations"]:
        boxes.setdefault(annotation["image_id"], []).append(annotation["bbox"])
    images = [image for image in data["images"] if image["id"] in boxes]
    chosen = sorted(np.random.default_rng(0).permutation(len(images))[:count])
    pictures, truth = [], []
    for image in (images[i] for i in chosen):
        [path] = folder.rglob(Path(image["file_name"]).name)
        picture = cv2.imread(str(path))
        assert picture is not None
        scale = min(SIZE[0] / picture.shape[1], SIZE[1] / picture.shape[0])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        canvas = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small[..., ::-1]
        pictures.append(canvas)
        corners = np.array(boxes[image["id"]]) * scale
        truth.append(np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:]], axis=1))
    return pictures, truth


def _write(path: Path, pictures: Iterable[Picture], transfer: int) -> Path:
    is_hdr = transfer != BT709
    with av.open(path, "w") as container:
        stream = container.add_stream("libx265" if is_hdr else "libx264", rate=5)
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        context.width, context.height = SIZE
        context.pix_fmt = "yuv420p10le" if is_hdr else "yuv420p"
        quiet = {"x265-params": "log-level=none"} if is_hdr else {}
        context.options = {"crf": "8", "preset": "veryfast"} | quiet
        matrix = BT2020 if is_hdr else BT709
        context.colorspace = context.color_primaries = matrix
        context.color_range, context.color_trc = 1, transfer
        for number, picture in enumerate(pictures):
            coded = np.round(_signal(picture / 255, transfer) * 65535).astype(np.uint16)
            frame = av.VideoFrame.from_ndarray(coded, "rgb48le").reformat(
                format=context.pix_fmt, dst_colorspace=matrix, dst_color_range=1
            )
            frame.colorspace, frame.color_primaries, frame.color_trc = matrix, matrix, transfer
            frame.pts, frame.time_base = number, Fraction(1, 5)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _signal(colors: NDArray[np.float64], transfer: int) -> NDArray[np.float64]:
    """Code colours of standard range, `(…, 3)` RGB 0..1, with another transfer, their white at `WHITE`."""
    if transfer == BT709:
        return colors
    light = np.clip(colors**2.4 @ WIDEN.T, 0, 1) * WHITE
    if transfer == PQ:
        return light_to_pq(light)
    # The inverse of the OOTF, then the OETF of HLG (ITU-R BT.2100, table 5).
    luminance = np.maximum(light @ LUMA / PEAK, 1e-9)
    scene = light / PEAK * luminance[..., None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    coded = np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)
    return np.asarray(np.clip(coded, 0, 1))


def _count(video: Path, truth: Iterable[Boxes], detector: Detector) -> tuple[int, int]:
    """Return how many potholes were found at the operating point, and how many detections are of none."""
    found = false = 0
    with Video.open(video) as opened:
        for frame, boxes in zip(opened.frames(), truth, strict=True):
            [detections] = detector.predict([frame.rgb()], detector.min_confidence)
            ious = _iou(boxes, np.asarray(detections.boxes, np.float64))
            pairs = linear_sum_assignment(-np.where(ious >= MIN_IOU, ious + 1, 0))
            hits = int((ious[pairs] >= MIN_IOU).sum())
            found, false = found + hits, false + len(detections) - hits
    return found, false


def _iou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return the IoU of all pairs of xyxy boxes, `(len(first), len(second))`."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    return np.asarray(shared / (areas[0][:, None] + areas[1][None] - shared))


if __name__ == "__main__":
    main()

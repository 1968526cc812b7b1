"""This script runs supervision's `process_video` with our detector on every frame, in its own environment.

python supervision_pipeline.py CLIP FOLDER ANSWER.json

It saves MPEG-4 Part 2, with the audio, and follows no pothole from frame to frame.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import supervision as sv

from pothole.entrypoints.cli.common import load_model
from speed.clock import clocked

clip, _, answer_file = map(Path, sys.argv[1:])
detector = load_model(None)
annotators = sv.MaskAnnotator(), sv.BoxAnnotator(), sv.LabelAnnotator()
frames = 0


def mark(image, index):
    """Detect and draw; pictures are BGR."""
    global frames  # noqa: PLW0603  # what the library calls has no other place to count
    frames = index + 1
    [found] = detector.predict([np.ascontiguousarray(image[..., ::-1])])
    masks = np.zeros((len(found), *image.shape[:2]), bool)
    for mask, whole, (left, top, right, bottom) in zip(found.masks, masks, found.mask_boxes, strict=True):
        whole[top:bottom, left:right] = mask
    detections = sv.Detections(
        found.boxes, mask=masks, confidence=found.scores, class_id=np.zeros(len(found), int)
    )
    for annotator in annotators:
        image = annotator.annotate(image, detections)
    return image


with tempfile.TemporaryDirectory(prefix="bench-") as out, clocked() as answer:
    sv.process_video(str(clip), str(Path(out, "out.mp4")), mark, preserve_audio=True)
answer_file.write_text(json.dumps(answer | {"frames": frames}))

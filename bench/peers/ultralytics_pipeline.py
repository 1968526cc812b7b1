"""ultralytics' own pipeline: predict with `save=True`. Runs in a virtual environment of its own.

python ultralytics_pipeline.py CLIP FOLDER ANSWER.json

YOLO11n-seg, built from its description without trained weights, exported to OpenVINO for 384×640 pictures.
Without training it finds nothing, so nothing is drawn: what it would cost with potholes comes on top. On
Linux it saves an AVI of JPEG pictures, without audio.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from ultralytics import YOLO

from speed.clock import clocked

SIZE = (384, 640)

clip, folder, answer_file = map(Path, sys.argv[1:])
folder.mkdir(parents=True, exist_ok=True)
exported = folder / "yolo11n-seg_openvino_model"
if not exported.is_dir():
    os.chdir(folder)  # it exports into the working directory
    YOLO("yolo11n-seg.yaml").export(format="openvino", imgsz=SIZE)
model = YOLO(exported, task="segment")
model.predict(np.zeros((720, 1280, 3), np.uint8), imgsz=SIZE, verbose=False)  # loads and warms up
with tempfile.TemporaryDirectory(prefix="bench-") as out:
    with clocked() as answer:
        results = model.predict(clip, imgsz=SIZE, save=True, stream=True, verbose=False, project=out)
        frames = sum(1 for _ in results)
    saved = [path for path in Path(out).rglob("*") if path.is_file()]
    answer["output_mb"] = sum(path.stat().st_size for path in saved) / 2**20
answer_file.write_text(json.dumps(answer | {"frames": frames}))

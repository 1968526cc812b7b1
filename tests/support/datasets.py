"""Small COCO data sets."""

import json

import cv2
import numpy as np


def write_dataset(folder, pictures=6, negatives=2, size=(60, 80), file_name="{}.png"):
    """A white patch on black is the object."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for i in range(pictures):
        picture = np.zeros((*size, 3), np.uint8)
        if i >= negatives:
            x, y, w, h = 20 + i, 15, 30, 20
            picture[y : y + h, x : x + w] = 255
            polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
            annotations.append(
                {
                    "id": i,
                    "image_id": i + 100,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "segmentation": [polygon],
                }
            )
        name = file_name.format(i)
        path = folder / "images" / name
        path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())
        source = "a" if i % 2 else "b"
        images.append(
            {"id": i + 100, "file_name": name, "width": size[1], "height": size[0], "source": source}
        )
    coco = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "pothole"}]}
    (folder / "annotations.json").write_text(json.dumps(coco))
    return folder


def write_regions(path, file_name, regions, size=(60, 80)):
    """Add regions of a picture, `(label, polygon)`, to a file of lanes and cracks."""
    labels = ["lane", "crack", "kerb"]
    coco = {"images": [], "annotations": []}
    if path.exists():
        coco = json.loads(path.read_text())
    coco["categories"] = [{"id": number, "name": label} for number, label in enumerate(labels)]
    image_id = len(coco["images"])
    coco["images"].append({"id": image_id, "file_name": file_name, "height": size[0], "width": size[1]})
    coco["annotations"] += [
        {"image_id": image_id, "category_id": labels.index(label), "segmentation": [polygon], "iscrowd": 1}
        for label, polygon in regions
    ]
    path.write_text(json.dumps(coco))

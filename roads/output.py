"""Write a filmed road as a video with its truth, or many roads as a COCO folder."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.audio.resampler import AudioResampler

from roads.camera import Camera
from roads.film import Truth, photograph, render
from roads.pothole import Pothole
from roads.scenery import Picture
from roads.trip import START, Receiver, Site, Trip
from roads.world import Road

AUDIO_RATE = 48000


def write_video(
    path: Path,
    road: Road,
    frames: int,
    rate: Fraction,
    trip: Trip,
    count_area: int,
    sound: bool,
    receiver: Receiver | None = None,
) -> dict[str, Any]:
    """Write an H.264 video and, beside it, `<stem>.truth.json`.

    Args:
        path: An `.mp4`.
        road: What to film.
        frames: Number of frames.
        rate: Frames a second.
        trip: How the car drives.
        count_area: Pixels that a pothole must show in some frame to count in `potholes`.
        sound: Adds a sine tone.
        receiver: Writes what it says of the drive into `<stem>.gpx`; None for none.

    Returns:
        The truth: `light`, `potholes` (how many showed `count_area` pixels), `pothole_ids`, and per frame
        each pothole's `id`, `box` (xyxy), `polygons`, `distance_m` (along the road, from camera to centre)
        and `plain` (a person would mark it in this frame), and of `decoys` in view the kind and the pixel
        of its centre. On the plane: of each pothole `lat`, `lon`, and its size in metres; the camera.
    """
    height, width = road.camera.size
    site = Site()
    seen: set[int] = set()
    per_frame = []
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "19", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=AUDIO_RATE, layout="mono") if sound else None
        container.metadata["creation_time"] = START.isoformat()
        shots = render(road, frames, trip.speed_m_s, float(rate), vary=trip.vary)
        for index, shot in enumerate(shots):
            container.mux(video.encode(av.VideoFrame.from_ndarray(shot.picture, format="rgb24")))
            seen |= {t.pothole_id for t in shot.potholes if int(t.mask.sum()) >= count_area}
            potholes = [_record(shot.picture, t) for t in shot.potholes]
            per_frame.append({"index": index, "potholes": potholes, "decoys": shot.decoys})
        container.mux(video.encode(None))
        if audio is not None:
            _add_tone(container, audio, float(frames / rate))
    if receiver:
        start = road.camera.x, road.camera.z
        gpx = receiver.gpx(trip, site, start, float(frames / rate), road.seed)
        path.with_suffix(".gpx").write_text(gpx)
    truth = {
        "rate": str(rate),
        "count_area": count_area,
        "potholes": len(seen),
        "pothole_ids": sorted(seen),
        "frames": per_frame,
        **_about(road, site),
    }
    path.with_suffix(".truth.json").write_text(json.dumps(truth))
    return truth


def _add_tone(container: av.container.OutputContainer, audio: av.AudioStream, seconds: float) -> None:
    resampler = AudioResampler(format="fltp", layout="mono", rate=AUDIO_RATE, frame_size=1024)
    for frame in [*resampler.resample(_tone(seconds)), *resampler.resample(None)]:
        container.mux(audio.encode(frame))
    container.mux(audio.encode(None))


def _about(road: Road, site: Site) -> dict[str, Any]:
    """Return what is true of a road however it is driven."""
    camera = road.camera
    return {
        "width": camera.size[1],
        "height": camera.size[0],
        "seed": road.seed,
        "light": str(road.light),
        "on_road": [_on_road(pothole, site) for pothole in road.potholes],
        "camera": {"height_m": camera.height, "focal_px": camera.focal, "horizon_px": camera.horizon},
    }


def _record(picture: Picture, truth: Truth) -> dict[str, Any]:
    return {
        "id": truth.pothole_id,
        "box": list(truth.box),
        "polygons": _polygons(truth),
        "distance_m": round(truth.distance, 2),
        "plain": _can_be_seen(picture, truth),
    }


def _on_road(pothole: Pothole, site: Site) -> dict[str, Any]:
    outline = pothole.outline
    low, high = outline.min(0), outline.max(0)
    middle = (low + high) / 2
    lat, lon = site.place(float(middle[0]), float(middle[1]))
    x, z = outline[:, 0], outline[:, 1]
    return {
        "id": pothole.id,
        "lat": lat,
        "lon": lon,
        "x_m": round(float(middle[0]), 3),
        "z_m": round(float(middle[1]), 3),
        "width_m": round(float(high[0] - low[0]), 3),
        "length_m": round(float(high[1] - low[1]), 3),
        "area_m2": round(float(abs(np.dot(x, np.roll(z, 1)) - np.dot(z, np.roll(x, 1))) / 2), 4),
        "depth_m": round(float(pothole.depth.max()), 3),
    }


def _tone(seconds: float) -> av.AudioFrame:
    samples = np.sin(2 * np.pi * 220 * np.arange(int(seconds * AUDIO_RATE)) / AUDIO_RATE) * 0.1
    frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], format="fltp", layout="mono")
    frame.sample_rate = AUDIO_RATE
    return frame


def write_dataset(folder: Path, pictures: int, seed: int, size: tuple[int, int], negatives: float) -> None:
    """Write `images/*.jpg` and a COCO `annotations.json`.

    Args:
        folder: Made when missing.
        pictures: Number of pictures.
        seed: Same seed, same pictures.
        size: `(height, width)`.
        negatives: Share of pictures with decoys and no pothole.
    """
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    group = 0
    while len(images) < pictures:
        group += 1
        empty = bool(rng.random() < negatives)
        for picture, truth in _pictures_of_a_road(rng, size, empty)[: pictures - len(images)]:
            image_id = len(images) + 1
            name = f"rendered_{seed}_{image_id:05d}.jpg"
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 96))]
            cv2.imwrite(str(folder / "images" / name), picture[..., ::-1], quality)
            images.append(
                {
                    "id": image_id,
                    "file_name": name,
                    "width": size[1],
                    "height": size[0],
                    "source": "rendered",
                    "license": "Apache-2.0",
                    "group": f"rendered_{seed}_{group:04d}",
                    "provenance": "roads",
                }
            )
            annotations += [_annotation(len(annotations) + 1 + i, image_id, t) for i, t in enumerate(truth)]
    coco = {
        "info": {"description": "Rendered roads, pothole instance masks"},
        "categories": [{"id": 1, "name": "pothole"}],
        "images": images,
        "annotations": annotations,
    }
    (folder / "annotations.json").write_text(json.dumps(coco))


def _pictures_of_a_road(
    rng: np.random.Generator, size: tuple[int, int], empty: bool
) -> list[tuple[Picture, list[Truth]]]:
    """Build one road and take a few pictures of it."""
    hand_held = bool(rng.random() < 0.35)
    length = 12.0 if hand_held else 40.0
    road = Road(
        int(rng.integers(2**31)),
        size,
        length=length,
        potholes=0 if empty else int(rng.integers(2, 6) if hand_held else rng.integers(2, 22)),
        decoys=rng.uniform(0.3, 1.5) * (2 if hand_held else 1),
        hand_held=hand_held,
    )
    taken = []
    for number in range(3):
        camera = _aim(rng, road, length, hand_held)
        picture, truth, _ = photograph(road, camera, number)
        truth = [t for t in truth if _can_be_seen(picture, t)]
        if bool(truth) != empty:
            taken.append((picture, truth))
    return taken


def _can_be_seen(picture: Picture, truth: Truth) -> bool:
    """Tell whether a person would mark it: neither a sliver far away nor of its surroundings' colour."""
    left, top, right, bottom = truth.box
    if bottom - top < 4:
        return False
    pad = 6
    place = (slice(max(0, top - pad), bottom + pad), slice(max(0, left - pad), right + pad))
    colours, inside = picture[place].astype(np.float32), truth.mask[place]
    around = colours[~inside]
    shift = np.abs(colours[inside].mean(0) - around.mean(0)).max()
    rougher = colours[inside].std(0).max() - around.std(0).max()
    return bool(max(shift, rougher) > 9)


def _aim(rng: np.random.Generator, road: Road, length: float, hand_held: bool) -> Camera:
    """Place the camera anew so that a pothole, if there is one, comes into view."""
    start = road.camera
    roll, yaw = rng.normal(0, 0.012), rng.normal(0, 0.05)
    if not road.potholes:
        return replace(start, z=rng.uniform(0, length), yaw=yaw, roll=roll)
    pothole = road.potholes[rng.integers(len(road.potholes))]
    if hand_held:
        lowest, highest = start.pitch + 0.1, max(start.pitch - 0.12, 0.12)
        away = start.height / np.tan(rng.uniform(highest, lowest))
        return replace(
            start, x=pothole.x + rng.normal(0, 0.25 * away), z=pothole.z - away, yaw=yaw, roll=roll
        )
    away = np.exp(rng.uniform(np.log(4.5), np.log(18)))
    return replace(start, x=start.x + rng.normal(0, 0.3), z=max(0.0, pothole.z - away), yaw=yaw, roll=roll)


def _annotation(number: int, image_id: int, truth: Truth) -> dict[str, Any]:
    left, top, right, bottom = truth.box
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "segmentation": _polygons(truth),
        "bbox": [left, top, right - left, bottom - top],
        "area": int(truth.mask.sum()),
    }


def _polygons(truth: Truth) -> list[list[float]]:
    """Return the outlines, each `[x, y, x, y, ...]` along the outer edges of pixels, as COCO has them."""
    # OpenCV traces pixel centres, which would cost a small mask half a pixel all around.
    left, top, right, bottom = truth.box
    fine = np.kron(truth.mask[top:bottom, left:right].astype(np.uint8), np.ones((4, 4), np.uint8))
    contours, _ = cv2.findContours(np.asarray(fine, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    return [((c[:, 0] + 0.5) / 4 + (left, top)).ravel().tolist() for c in contours if len(c) >= 3]

import json
import shutil
import threading
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from pothole.detection.mask_rcnn.backbone import mobilenet_v2
from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.detection.mask_rcnn_detector import MaskRCNNDetector
from pothole.detection.registry import load_detector
from pothole.detection.runtimes.keras import KerasNetwork
from pothole.errors import ModelError
from support.networks import SMALL


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    return MaskRCNN(SMALL)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 255, (2, 64, 96, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    network.save_folder(path)
    return path


def test_the_backbone_is_mobilenet_v2():
    backbone = mobilenet_v2()
    stages = backbone(np.zeros((1, 64, 96, 3), np.float32))
    assert [tuple(x.shape[1:]) for x in stages] == [
        (16, 24, 24),
        (8, 12, 32),
        (4, 6, 96),
        (2, 3, 320),
    ]
    # The published network without classifier and last convolution, and with one parameter per channel where
    # batch norm had two.
    assert backbone.count_params() == 3_504_872 - 1_281_000 - 412_160 - 15_776
    assert [w.path for w in backbone.weights][:3] == ["00_conv/kernel", "00_conv/bias", "01_dwconv/kernel"]


def test_a_mean_pixel_is_taken_off_as_in_double_precision(monkeypatch, images):
    mean = (123.7, 116.8, 103.9)  # none of float32's numbers
    network = MaskRCNN(replace(SMALL, pixel_scale=1.0, pixel_offset=mean))
    monkeypatch.setattr(network, "backbone", lambda normalised: normalised)
    monkeypatch.setattr(network, "fpn", lambda stages: [stages])
    wanted = (images - np.array(mean)).astype(np.float32)
    for pyramid in (network.pyramid, tf.function(network.pyramid)):  # compiling may sum up constants
        assert (np.asarray(pyramid(images)[0]) == wanted).all()


def test_every_answer_has_its_shape(network, images):
    found = network(images)
    assert {k: tuple(v.shape) for k, v in found.items()} == {
        "boxes": (2, 5, 4),
        "scores": (2, 5),
        "classes": (2, 5),
        "masks": (2, 5, 28, 28),
    }


def test_a_picture_gets_the_same_answer_alone_and_in_a_batch(network, images):
    together = np.asarray(network(images)["boxes"])
    alone = np.asarray(network(images[1:])["boxes"])
    assert together[1] == pytest.approx(alone[0], abs=1e-2)


def test_a_saved_model_answers_as_before_within_half_precision(network, folder, images):
    loaded = MaskRCNN.load_folder(folder)
    assert loaded.config == SMALL
    before, after = np.asarray(network.pyramid(images)[0]), np.asarray(loaded.pyramid(images)[0])
    assert after == pytest.approx(before, abs=0.02)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: (p / "config.json").unlink(), "is no model folder: it has no config.json. Name a folder"),
        (lambda p: (p / "config.json").write_text("{"), "it is no JSON at line 1, column 2. Copy"),
        (lambda p: (p / "config.json").write_bytes(b"\xff"), "it is no text in UTF-8"),
        (lambda p: (p / "config.json").write_text("[]"), "config.json is not a JSON object"),
        (lambda p: (p / "config.json").write_text('{"colour": 1}'), "unknown fields: colour"),
        (lambda p: (p / "config.json").write_text('{"backbone": "vgg16"}'), "backbone is 'vgg16', expected"),
        (
            lambda p: (p / "weights.npz").unlink(),
            "weights.npz cannot be read: no such file or directory. Copy",
        ),
        (lambda p: (p / "weights.npz").write_bytes(b"PK"), "weights.npz cannot be read"),
        (
            lambda p: (p / "weights.npz").write_bytes(b"PK\3\4cut"),
            "cannot be read: File is not a zip file. Copy",
        ),
        (lambda p: replace(SMALL, fpn_channels=4).save(p), "does not fit its config.json"),
    ],
)
def test_a_spoilt_model_folder_is_named_with_its_fault(folder, tmp_path, spoil, message):
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    spoil(copy)
    with pytest.raises(ModelError, match=message):
        MaskRCNN.load_folder(copy)


def test_the_configuration_survives_its_json(tmp_path):
    SMALL.save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["image_size"] == [64, 96]
    assert MaskRCNNConfig.load(tmp_path) == SMALL


def test_the_detector_speaks_of_the_pictures_own_pixels(folder):
    detector = load_detector(folder)
    images = [np.zeros((180, 320, 3), np.uint8), np.zeros((30, 20, 3), np.uint8)]
    large, small = detector.predict(images, min_confidence=0.0)
    assert large.image_size == (180, 320) and small.image_size == (30, 20)
    assert (large.boxes[:, [0, 2]] <= 320).all() and (large.boxes[:, [1, 3]] <= 180).all()
    assert (small.boxes[:, [0, 2]] <= 20).all() and (small.boxes[:, [1, 3]] <= 30).all()


def test_a_picture_three_times_as_large_gets_boxes_three_times_as_large(folder, images):
    detector = load_detector(folder)
    tripled = images[0].repeat(3, axis=0).repeat(3, axis=1)
    (plain,), (large,) = (detector.predict([i], min_confidence=0.0) for i in (images[0], tripled))
    assert len(plain) and large.boxes == pytest.approx(3 * plain.boxes, abs=0.1)


def test_only_what_reaches_the_confidence_is_returned(network, images):
    detector = MaskRCNNDetector(KerasNetwork(network))
    every = detector.predict(list(images), min_confidence=0.0)
    middle = float(np.median(every[0].scores))
    assert (detector.predict(list(images), min_confidence=middle)[0].scores >= middle).all()
    assert [len(d) for d in detector.predict(list(images), min_confidence=1.1)] == [0, 0]


def test_once_loaded_no_picture_waits_for_a_compilation(tmp_path, images):
    keras.utils.set_random_seed(1)
    every = replace(SMALL, proposals=30, detections=20, rpn_nms_iou=1.0, detection_nms_iou=1.0)
    MaskRCNN(every).save_folder(tmp_path)
    detector = load_detector(tmp_path)
    compiled = detector._network._find, detector._network._masks
    before = [f.experimental_get_tracing_count() for f in compiled]
    scores = np.sort(detector.predict([images[0]], min_confidence=0.0)[0].scores)
    assert len(scores) > 8  # so that several counts of masks are asked for
    for score_threshold in scores:
        detector.predict([images[0]], min_confidence=float(score_threshold))
    assert [f.experimental_get_tracing_count() for f in compiled] == before


def test_threads_share_one_session(network, images):
    detector = MaskRCNNDetector(KerasNetwork(network))
    wanted = detector.predict(list(images), min_confidence=0.0)
    answers = []

    def ask():
        answers.extend(detector.predict(list(images), min_confidence=0.0) for _ in range(3))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 12
    for answer in answers:
        for found, expected in zip(answer, wanted, strict=True):
            assert found.boxes == pytest.approx(expected.boxes, abs=1e-3)
            assert found.scores == pytest.approx(expected.scores, abs=1e-5)


def test_box_head_looks_again_at_the_best_of_its_first_look_alone(network, images, monkeypatch):
    seen = []
    classify = network.classify

    def watched(pyramid, rois, last=False):
        seen.append(np.asarray(rois))
        return classify(pyramid, rois, last)

    monkeypatch.setattr(network, "config", replace(SMALL, box_passes=3, refined_rois=4))
    pyramid = network.pyramid(images)
    with monkeypatch.context() as watching:
        watching.setattr(network, "classify", watched)
        network.detect(pyramid)
    assert [rois.shape[1] for rois in seen] == [SMALL.proposals, 4, 4]
    refined, scores = (np.asarray(x) for x in network.refine(pyramid, seen[0]))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :4]
    np.testing.assert_allclose(seen[1], np.take_along_axis(refined, best[..., None], axis=1), rtol=1e-5)


def test_the_last_look_alone_has_a_head_of_its_own(images):
    network = MaskRCNN(replace(SMALL, own_last_look=True, box_passes=2))
    network.last_box_head.logits.bias.assign([-8.0, 8.0])
    pyramid = network.pyramid(images)
    _, scores, _ = network.detect(pyramid)
    rois = np.tile(np.array([10, 10, 40, 40], np.float32), (2, 3, 1))
    _, first = network.refine(pyramid, rois)
    assert np.asarray(scores)[:, 0].min() > 0.99
    assert np.asarray(first).max() < 0.9


def test_a_head_of_its_own_is_kept_in_the_model_folder(tmp_path):
    network = MaskRCNN(replace(SMALL, own_last_look=True))
    network.last_box_head.logits.bias.assign([-8.0, 8.0])
    network.save_folder(tmp_path)
    assert np.asarray(MaskRCNN.load_folder(tmp_path).last_box_head.logits.bias).tolist() == [-8.0, 8.0]
    SMALL.save(tmp_path)
    with pytest.raises(ModelError, match=r"does not fit its config\.json: last_box_head"):
        MaskRCNN.load_folder(tmp_path)

"""Videos of high dynamic range are shown as those of standard range are."""

from pathlib import Path

import av
import numpy as np
import pytest

from pothole.media import Video
from pothole.media.tone_mapping import BT709, BT2020, HLG, PQ, hlg_to_light, light_to_pq, pq_to_light, to_sdr
from tests.support.clips import make_clip, transcode

TRANSFERS = {PQ: "smpte2084", HLG: "arib-std-b67"}
# Of the same grey, coded 0..255, what is shown: by hand from the formulas of BT.2100, BT.2390 and BT.1886.
SHOWN = {(PQ, 112): 142, (PQ, 148): 230, (PQ, 192): 255, (HLG, 64): 71, (HLG, 128): 144, (HLG, 191): 230}


def make_hdr(path: Path, transfer: int, level: int) -> Path:
    said = f"log-level=none:colorprim=bt2020:transfer={TRANSFERS[transfer]}:colormatrix=bt2020nc"
    return make_clip(
        path,
        frames=2,
        codec="libx265",
        pix_fmt="yuv420p10le",
        color=(BT2020, 1),
        picture=lambda i: np.full((48, 64, 3), level, np.uint8),
        options={"x265-params": said},
    )


@pytest.mark.parametrize(("transfer", "level"), SHOWN)
def test_greys_look_as_in_standard_range(tmp_path: Path, transfer: int, level: int) -> None:
    with Video.open(make_hdr(tmp_path / "road.mkv", transfer, level)) as video:
        image = next(video.frames()).rgb()
    assert np.abs(image.astype(int) - SHOWN[transfer, level]).max() <= 3


def test_the_output_says_that_it_is_of_standard_range(tmp_path: Path) -> None:
    output = transcode(make_hdr(tmp_path / "road.mkv", PQ, 148), tmp_path / "out.mp4")
    with av.open(output) as container:
        frame = next(container.decode(video=0))
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (BT709, BT709, BT709)
    assert abs(int(frame.to_ndarray(format="rgb24").mean()) - 230) <= 3


def test_the_formulas_give_the_figures_of_the_recommendation() -> None:
    # ITU-R BT.2408, table 1: reference white is 203 cd/m², 58 % of PQ and 75 % of HLG.
    assert pq_to_light(np.array(0.58)) == pytest.approx(203, rel=0.02)
    assert light_to_pq(np.array(203.0)) == pytest.approx(0.58, abs=0.005)
    assert hlg_to_light(np.array([0.75] * 3), BT2020) == pytest.approx([203] * 3, rel=0.01)


def test_colours_keep_their_hue() -> None:
    # The red of BT.709 at half of reference white, in the primaries of BT.2020 (ITU-R BT.2087, table 1).
    red = light_to_pq(np.array([0.6274, 0.0691, 0.0164]) * 90)
    shown = to_sdr(red, PQ, BT2020)
    assert shown == pytest.approx([(90 / 203) ** (1 / 2.4), 0, 0], abs=0.06)

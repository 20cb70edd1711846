"""The detector: its read-out from maps whose hands are known, its letterbox, its name, and the shipped weights."""

from importlib import metadata

import numpy as np
import pytest
import torch

from handdata.errors import ConfigError, DataError
from handdata.geometry import iou
from handdata.model import detector
from handdata.model.detector import FILE, Spotter, find_detector, write_detector
from handdata.model.spots import Spot
from handdata.model.spotter import SIZE, STRIDE, SpotterNet, SpotterPrediction, read_spots
from handdata.skeleton import LEFT, RIGHT
from handdata.synth.full_frame import render_full_frame
from handdata.train.spotting import SpotTargets, as_seen


def truth_of(frame):
    """The prediction of a network that is right about everything."""
    seen = as_seen(frame.image, frame.boxes_xyxy, frame.sides, frame.hand)
    wanted = SpotTargets.of([seen])
    logits = torch.logit(wanted.centres_B2HW.clamp(1e-4, 1 - 1e-4))
    return seen, SpotterPrediction(logits, wanted.sizes_BHW[:, None], wanted.offsets_B2HW, wanted.mask_BHW[:, None])


@pytest.mark.parametrize("index", range(4))
def test_right_maps_give_back_the_boxes_and_sides_they_were_made_from(index):
    frame = render_full_frame(5, index)
    seen, prediction = truth_of(frame)
    found = read_spots(prediction)[0]

    assert len(found) == len(seen.sides)
    for spot in found:
        overlaps = iou(spot.box_xyxy, seen.boxes_xyxy)
        assert overlaps.max() > 0.999
        assert spot.side == ("left", "right")[seen.sides[int(overlaps.argmax())]]


def test_two_peaks_on_one_hand_are_one_spot_with_the_side_of_the_larger():
    centres = torch.full((1, 2, 16, 20), -9.0)
    centres[0, LEFT, 6, 6], centres[0, RIGHT, 6, 7] = 1.0, 3.0
    maps = SpotterPrediction(centres, torch.zeros(1, 1, 16, 20), torch.zeros(1, 2, 16, 20), torch.zeros(1, 1, 32, 40))
    (spot,) = read_spots(maps)[0]

    assert spot.side == "right"
    assert spot.score == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-3)  # the other map says next to nothing there
    np.testing.assert_allclose(
        spot.box_xyxy, [7.5 * STRIDE - 20, 6.5 * STRIDE - 20, 7.5 * STRIDE + 20, 6.5 * STRIDE + 20]
    )


def test_a_hand_of_which_the_side_is_unclear_scores_as_a_hand():
    """Half on either side's map is three quarters of a hand: 1 - 0.5 * 0.5."""
    centres = torch.full((1, 2, 16, 20), -9.0)
    centres[0, :, 6, 6] = 0.0
    maps = SpotterPrediction(centres, torch.zeros(1, 1, 16, 20), torch.zeros(1, 2, 16, 20), torch.zeros(1, 1, 32, 40))
    (spot,) = read_spots(maps)[0]

    assert spot.score == pytest.approx(0.75)


@pytest.mark.parametrize(("width", "height"), [(320, 240), (90, 400), (1000, 100), (64, 64), (2, 2)])
def test_boxes_come_back_in_pixels_of_a_picture_of_any_shape(width, height, monkeypatch):
    """A square of the picture, seen through the letterbox, is where the detector says it is."""
    box = np.array([0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height])
    image = np.zeros((height, width, 3), np.uint8)
    scale = min(SIZE[0] / width, SIZE[1] / height)
    corner = (np.array(SIZE) - np.maximum(1, np.round(np.array([width, height]) * scale))) // 2
    inside = box * scale + np.tile(corner, 2)
    monkeypatch.setattr(detector, "read_spots", lambda *_, **__: [[Spot(inside, 0.9, "left")]])

    np.testing.assert_allclose(Spotter()(image)[0].box_xyxy, box, rtol=1e-9)


def test_a_detector_is_found_by_name(monkeypatch):
    made = object()
    other = metadata.EntryPoint("mine", "tests.model.test_spotter:unused", "handdata.detectors")
    monkeypatch.setattr(metadata.EntryPoint, "load", lambda _: lambda: made)
    monkeypatch.setattr(detector.metadata, "entry_points", lambda group: metadata.EntryPoints([other]))

    assert isinstance(find_detector(), Spotter)
    assert find_detector("mine") is made
    with pytest.raises(ConfigError, match="one of spotter, mine, got 'theirs'"):
        find_detector("theirs")


def test_the_network_has_the_parameters_that_are_specified():
    """0.257 M: three levels are smoothed, a sixteenth, an eighth and a quarter."""
    assert sum(values.numel() for values in SpotterNet().parameters()) == 257_462


@pytest.mark.parametrize("smooth_sixteenth", [False, True], ids=["as shipped", "as specified"])
@pytest.mark.parametrize("width", [1.0, 1.5, 2.0])
def test_weights_are_written_and_read_to_half_precision_and_others_are_refused(tmp_path, width, smooth_sixteenth):
    torch.manual_seed(0)
    net = SpotterNet(width, smooth_sixteenth=smooth_sixteenth).eval()
    write_detector(tmp_path / "x.safetensors", net, {"samples": 1})

    kept = Spotter(tmp_path / "x.safetensors")._net.state_dict()
    assert kept.keys() == net.state_dict().keys()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(kept[name], value, rtol=1e-3, atol=1e-4)
    (tmp_path / "y.safetensors").write_bytes((tmp_path / "x.safetensors").read_bytes()[:-9])
    with pytest.raises(DataError, match="weights of the detector"):
        Spotter(tmp_path / "y.safetensors")


def test_the_weights_that_are_shipped_find_rendered_hands_that_they_never_saw():
    """Of 40 held-out rendered pictures; docs/spotter.md has the figures of a thousand."""
    assert FILE.is_file()
    spotter, hit, hands, false, bare = Spotter(), 0, 0, 0, 0
    for index in range(40):
        frame = render_full_frame(4711, index)
        found = spotter(frame.image)
        hands += len(frame.sides)
        hit += sum(any(iou(spot.box_xyxy, box) >= 0.5 for spot in found) for box in frame.boxes_xyxy)
        bare += not len(frame.sides)
        false += not len(frame.sides) and bool(found)

    assert hit / hands > 0.4
    assert false / bare < 0.5  # most of them show heads, bare arms and lumps of skin's colour

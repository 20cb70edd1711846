"""A hand of a video is fitted from picture to picture; a measured person's size comes from its frames."""

import json

import numpy as np
import pytest

from handdata.errors import DataError
from handdata.evaluation.absolute import Size
from handdata.geometry import normalize_pose, project
from handdata.model.place import place, read_person
from handdata.shards.hand import Hand
from handdata.skeleton import INDEX
from handdata.track import fitting
from handdata.track.fitting import HandFitter, HandPlacer
from tests.evaluation.made_hands import K, made_hands

PRIOR = Size(75.0, 12.0, "guessed")


@pytest.fixture(scope="module")
def frames():
    """One person's hand that moves away by 3 mm a frame, as a model with small errors sees it."""
    rng, mm = np.random.default_rng(0), made_hands(1)[0]
    found = []
    for number in range(3):
        points = mm + np.array([0.0, 0.0, 3.0 * number])
        uv, pose = project(points, K), normalize_pose(points[None])[0][0]
        side = 1.25 * np.ptp(uv, axis=0).max()
        found.append(
            Hand(
                image=np.zeros((480, 640, 3), np.uint8), side="left", K=K, peaks=np.ones(21),
                keypoints_2d=uv + rng.normal(0, 0.01 * side, uv.shape),
                keypoints_3d_normalized=pose + rng.normal(0, 0.04, pose.shape),
                crop_box=np.concatenate([uv.min(0), uv.min(0) + side]),
            )
        )  # fmt: skip
    return found, normalize_pose(mm[None])[0][0], float(np.linalg.norm(mm[0] - mm[9]))


def test_frames_are_fitted_one_after_the_other_and_bones_held_once_they_are_known(frames, monkeypatch):
    hands, pose, scale = frames
    monkeypatch.setattr(fitting, "CALIBRATION", 2)
    fitter = HandFitter(Size(scale, 1.0, "true"))
    found = [fitter(hand, 0.9, number / 30) for number, hand in enumerate(hands)]

    off = [np.linalg.norm(one.keypoints_3d_normalized - pose, axis=-1).mean() for one, _ in found]
    raw = [np.linalg.norm(hand.keypoints_3d_normalized - pose, axis=-1).mean() for hand in hands]
    assert np.mean(off) < 0.8 * np.mean(raw)
    assert fitter.person.shape == (20,)
    assert all(np.isfinite(sd) and sd > 0 for _, sd in found)
    assert found[2][0].keypoints_3d[9, 2] == pytest.approx(found[1][0].keypoints_3d[9, 2], rel=0.2)


def test_a_hand_that_cannot_be_fitted_is_placed_as_it_is(frames):
    lost = Hand(
        image=np.zeros((480, 640, 3), np.uint8), side="left", K=K, peaks=np.ones(21), crop_box=np.array([0, 0, 9, 9.0]),
        keypoints_2d=np.full((21, 2), 200.0), keypoints_3d_normalized=np.full((21, 3), np.nan),
    )  # fmt: skip
    assert np.isnan(HandFitter(PRIOR)(lost, 0.9, 0.0)[0].keypoints_3d).all()


def test_the_size_of_a_measured_person_is_estimated_over_frames(frames, tmp_path):
    hands, pose, scale = frames
    bones = [("index_mcp", "index_pip"), ("wrist", "index_mcp"), ("index_mcp", "little_mcp")]
    length = {f"{a}-{b}": scale * float(np.linalg.norm(pose[INDEX[a]] - pose[INDEX[b]])) for a, b in bones}
    path = tmp_path / "me.json"
    path.write_text(json.dumps({"bones": {name: [mm, 1.0] for name, mm in length.items()}}))
    placer = HandPlacer(PRIOR, read_person(path))
    placed = [placer(7, hand, 0.9, number / 30)[0] for number, hand in enumerate(hands)]

    assert placer.sizes[7].mm == pytest.approx(scale, rel=0.05)
    assert placer.sizes[7].sd_mm < 2.0
    assert placer.sizes[7].source == "the person's bones (3) and guessed"
    alone = place(hands[2], PRIOR)[0].keypoints_3d[9, 2]
    assert placed[2].keypoints_3d[9, 2] == pytest.approx(alone * placer.sizes[7].mm / PRIOR.mm)
    assert placer(8, hands[0], 0.1, 0.0)[0].keypoints_3d == pytest.approx(place(hands[0], PRIOR)[0].keypoints_3d)


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"bones": {}}', '{"bones": {"wrist": 3}}', '{"bones": {"wrist-elbow": 30}}',
     '{"bones": {"wrist-index_mcp": -4}}', '{"bones": {"wrist-wrist": 4}}', '{"bones": {"wrist-index_mcp": "long"}}'],
)  # fmt: skip
def test_a_file_that_measures_nobody_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "me.json"
    path.write_text(text)
    with pytest.raises(DataError, match="expected JSON such as"):
        read_person(path)


@pytest.mark.parametrize("bone", [9000, 4.1, [900, 2.0]])  # mm, as they say: no hand has these
def test_a_bone_in_another_unit_is_refused(tmp_path, bone):
    path = tmp_path / "me.json"
    path.write_text(json.dumps({"bones": {"index_mcp-index_pip": bone, "wrist-index_mcp": 86}}))
    with pytest.raises(DataError, match="expected bones of 5 to 300 mm, got"):
        read_person(path)

"""The rendered RHD tree is laid out as the documents of the real one say."""

import pickle
from collections import Counter

import numpy as np
import pytest

from handdata.pictures.decode import read_raw
from handdata.synth.native.rhd import encode_depth, encode_mask, sides_shown

PERSON = 1
LEFT_PARTS, RIGHT_PARTS = set(range(2, 18)), set(range(18, 34))


@pytest.fixture
def root(native_tree):
    return native_tree("rhd")


@pytest.fixture
def annotations(root):
    def load(name):
        data = (root / name / f"anno_{name}.pickle").read_bytes().replace(b"numpy.core", b"numpy._core")
        return pickle.loads(data, encoding="latin1")

    return load


def test_both_sets_hold_pictures_of_five_digits_and_a_pickle_by_number(root, annotations):
    for name in ("training", "evaluation"):
        table = annotations(name)
        assert sorted(table) == list(range(len(table)))
        for kind in ("color", "mask", "depth"):
            names = sorted(path.name for path in (root / name / kind).iterdir())
            assert names == [f"{number:05d}.png" for number in table]


def test_an_entry_is_42_points_in_metres_and_pixels_with_its_camera(annotations):
    for entry in annotations("training").values():
        assert {key: value.shape for key, value in entry.items()} == {"xyz": (42, 3), "uv_vis": (42, 3), "K": (3, 3)}
        assert {value.dtype for value in entry.values()} == {np.dtype(np.float32)}
        K = entry["K"]
        assert (K[0, 2], K[1, 2], K[0, 0] - K[1, 1]) == (160, 160, 0)
        assert 260 <= K[0, 0] <= 310
        assert 0.2 < entry["xyz"][:, 2].min() < entry["xyz"][:, 2].max() < 1.5
        assert set(np.unique(entry["uv_vis"][:, 2])) <= {0.0, 1.0}


def test_numbers_have_four_digits_so_the_two_labels_differ_by_less_than_a_tenth_of_a_pixel(annotations):
    for entry in annotations("training").values():
        values = np.abs(np.concatenate([entry["xyz"].ravel(), entry["uv_vis"][:, :2].ravel()])).astype(float)
        assert all(float(f"{value:.4g}") == pytest.approx(value, rel=1e-6) for value in values)
        uv = entry["xyz"].astype(float) @ entry["K"].T
        uv = uv[:, :2] / uv[:, 2:]
        inside = (np.abs(uv - 160) < 160).all(-1)
        assert np.abs(uv - entry["uv_vis"][:, :2])[inside].max() < 0.1


def test_each_finger_is_listed_from_its_tip(annotations):
    """The palm's bone is two to five times as long as the last of a finger."""
    for entry in annotations("training").values():
        wrist, joints = entry["xyz"][0], entry["xyz"][5:21].reshape(4, 4, 3)  # of the left hand, thumb left out
        palm = np.linalg.norm(joints[:, 3] - wrist, axis=-1).mean()
        last = np.linalg.norm(joints[:, 0] - joints[:, 1], axis=-1).mean()
        assert 2 < palm / last < 5


def test_both_hands_are_annotated_and_the_hidden_one_lies_outside_without_a_flag(annotations):
    entries = [*annotations("training").values(), *annotations("evaluation").values()]
    shown = [tuple(entry["uv_vis"][21 * side : 21 * side + 21, 2].any() for side in (0, 1)) for entry in entries]

    assert set(Counter(shown)) == {(True, False), (False, True), (True, True)}
    for entry, flags in zip(entries, shown, strict=True):
        for side in (side for side in (0, 1) if not flags[side]):
            uv = entry["uv_vis"][21 * side : 21 * side + 21, :2]
            assert ((uv < 0) | (uv > 320)).any(axis=1).all()


def test_masks_number_the_parts_and_the_flags_follow_them(root, annotations):
    on_hand = []
    for name in ("training", "evaluation"):
        for number, entry in annotations(name).items():
            mask = read_raw(root / name / "mask" / f"{number:05d}.png")
            assert (mask.shape, mask.dtype) == ((320, 320), np.uint8)
            assert set(np.unique(mask)) <= {0, PERSON} | LEFT_PARTS | RIGHT_PARTS
            for side, parts in enumerate((LEFT_PARTS, RIGHT_PARTS)):
                points = entry["uv_vis"][21 * side : 21 * side + 21]
                assert points[:, 2].any() == bool(set(np.unique(mask)) & parts)
                u, v = np.rint(points[points[:, 2] > 0, :2]).astype(int).clip(0, 319).T
                on_hand += [value in parts | {PERSON} for value in mask[v, u]]

    assert np.mean(on_hand) > 0.95


def test_depth_is_five_metres_over_65535_high_byte_in_red(root):
    raw = read_raw(root / "training/depth/00000.png")[..., ::-1].astype(int)
    metres = (raw[..., 0] * 256 + raw[..., 1]) / 65535 * 5.0

    assert (raw[..., 2] == 0).all()
    mask = read_raw(root / "training/mask/00000.png")
    assert (metres[mask == 0] == 5.0).all()
    assert ((metres[mask > 0] > 0.1) & (metres[mask > 0] < 1.5)).all()


@pytest.mark.parametrize(
    ("mm", "rgb"), [(0, (255, 255, 0)), (5000, (255, 255, 0)), (9000, (255, 255, 0)), (1000, (51, 51, 0))]
)
def test_depth_encoding(mm, rgb):
    assert tuple(encode_depth(np.full((1, 1), mm, np.float32))[0, 0]) == rgb


@pytest.mark.parametrize(
    ("sides", "part", "value"),
    [
        ((0,), 1, 2),  # thumb tip, left
        ((0,), 3, 4),  # thumb base
        ((0,), 15, 16),  # little base
        ((0,), 16, 17),  # palm
        ((0,), 17, PERSON),  # forearm
        ((1,), 1, 18),
        ((1,), 16, 33),
        ((0, 1), 18, 18),  # the second hand is the right one
        ((0, 1), 33, 33),
        ((0, 1), 34, PERSON),
        ((0, 1), 0, 0),
    ],
)
def test_mask_values(sides, part, value):
    assert encode_mask(np.full((1, 1), part, np.uint8), sides)[0, 0] == value


@pytest.mark.parametrize("hands", range(12))
def test_pictures_show_as_many_hands_as_asked_for(hands):
    shown = sides_shown(hands)

    assert sum(len(sides) for sides in shown) == hands
    assert [len(sides) for sides in shown[:4]] == [1, 1, 1, 2][: len(shown[:4])] or hands == 4

"""The rendered GANerated tree is laid out as the documents of the real one say."""

from pathlib import Path

import numpy as np
import pytest

from handdata.pictures.decode import read_image
from handdata.synth.native.ganerated import choose_crop, partitions

K = np.array([[617.173, 0, 315.453], [0, 617.173, 242.259], [0, 0, 1]])


@pytest.fixture
def root(native_tree):
    return native_tree("ganerated")


@pytest.fixture
def stems(root):
    return [path.as_posix().removesuffix("_crop_params.txt") for path in sorted(root.rglob("*_crop_params.txt"))]


def numbers(stem, kind):
    (line,) = Path(f"{stem}_{kind}.txt").read_text().splitlines()
    return np.array([float(cell) for cell in line.split(",")])


def test_five_files_a_frame_in_partitions_from_0001(root, stems):
    assert len(stems) == 14
    for name in ("noObject", "withObject"):
        folders = sorted(path.name for path in (root / "data" / name).iterdir())
        assert folders == ["0001", "0002", "0003"]
        for folder in folders:
            files = sorted(path.name for path in (root / "data" / name / folder).iterdir())
            kinds = ("color_composed.png", "crop_params.txt", "joint2D.txt", "joint_pos.txt", "joint_pos_global.txt")
            assert files == [f"{i + 1:04d}_{kind}" for i in range(len(files) // 5) for kind in kinds]


def test_the_readme_ends_its_lines_as_windows_does_and_counts_the_frames(root):
    text = (root / "README.txt").read_bytes()

    assert text.count(b"\r\n") == text.count(b"\n") > 3
    assert b"frames without object: 7\r\n" in text
    assert b"[617.173,0,315.453,0,617.173,242.259,0,0,1]" in text
    assert (root / "license.txt").is_file()
    assert read_image(root / "joints.png").shape == (512, 512, 3)


def test_the_labels_of_a_frame_agree_as_the_archive_s_do(stems):
    for stem in stems:
        P, (u, v, scale) = numbers(stem, "joint_pos_global").reshape(21, 3), numbers(stem, "crop_params")
        pixels = (P @ K.T)[:, :2] / P[:, 2:]
        assert numbers(stem, "joint2D").reshape(21, 2) == pytest.approx(scale * (pixels - [u, v]), abs=2e-3)
        normalized = numbers(stem, "joint_pos").reshape(21, 3)
        assert np.abs(normalized[9]).max() == 0
        assert np.linalg.norm(normalized[0]) == pytest.approx(1, abs=1e-5)
        assert 200 < P[:, 2].min() < P[:, 2].max() < 900  # mm


def test_the_crop_holds_the_hand_in_256_pixels(stems):
    for stem in stems:
        assert read_image(Path(f"{stem}_color_composed.png")).shape == (256, 256, 3)
        uv = numbers(stem, "joint2D").reshape(21, 2)
        assert ((uv > 0) & (uv < 255)).all(-1).mean() > 0.9
        assert np.ptp(uv, axis=0).max() > 100


@pytest.mark.parametrize("frames", [1, 2, 6, 100, 5000, 331_499])
def test_partitions_are_unevenly_filled_up_to_1024(frames):
    spread = partitions(frames)

    assert sum(spread.values()) == frames
    assert max(spread.values()) <= 1024
    assert frames < 100 or len(set(spread.values())) > 2
    assert frames < 6 or all(sum(name.startswith(c) for name in spread) >= 3 for c in ("noObject", "withObject"))


@pytest.mark.parametrize(
    ("low", "high", "inside"),
    [
        ((300, 200), (400, 320), True),
        ((5, 5), (60, 90), True),
        ((600, 440), (639, 479), True),
        ((20, 10), (620, 470), False),
    ],
)
def test_the_crop_is_a_square_in_the_picture_with_the_hand_in_its_middle_where_it_fits(low, high, inside):
    u, v, side = choose_crop(np.array([low, high], float), 640, 480)

    assert 96 <= side <= 480
    assert 0 <= u <= 640 - side
    assert 0 <= v <= 480 - side
    assert (u <= low[0] and u + side >= high[0] and v <= low[1] and v + side >= high[1]) == inside

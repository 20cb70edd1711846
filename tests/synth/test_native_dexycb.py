"""The rendered DexYCB tree is laid out as the documents of the real one say."""

import numpy as np
import pytest

from handdata import manifest
from handdata.converters.read.npz import read_arrays
from handdata.files.simple_yaml import read_keys
from handdata.files.text import Wanted
from handdata.pictures.decode import read_image, read_raw
from tests.conftest import NATIVE_FRAMES

CAMERAS = list(manifest.load("dexycb").cameras)
WANTED = Wanted(what="notes of a rendering")


@pytest.fixture
def root(native_tree):
    return native_tree("dexycb")


@pytest.fixture
def labels(root):
    names = ("seg", "pose_y", "pose_m", "joint_3d", "joint_2d")
    return {path: dict(zip(names, read_arrays(path, names), strict=True)) for path in sorted(root.rglob("labels_*"))}


def test_every_frame_is_seen_by_eight_cameras_of_which_some_may_have_no_label(root, labels):
    assert len(labels) % len(CAMERAS) == 0
    labelled = [bool((label["joint_3d"] != -1).any()) for label in labels.values()]
    assert sum(labelled) == NATIVE_FRAMES < len(labels)
    for path, label in labels.items():
        image = read_image(path.with_name(path.name.replace("labels", "color").replace("npz", "jpg")))
        depth = read_raw(path.with_name(path.name.replace("labels", "aligned_depth_to_color").replace("npz", "png")))
        assert image.shape == (480, 640, 3)
        assert (depth.dtype, depth.shape) == (np.uint16, (480, 640))
        assert set(np.unique(label["seg"])) <= {0, 255, *range(1, 22)}
        without = (label["joint_3d"] == -1).all()
        assert without == (label["pose_m"] == 0).all() == (label["joint_2d"] == -1).all()


def test_extrinsics_lead_from_a_camera_to_the_master(root, labels):
    """So that one hand seen by several cameras is one hand."""
    for folder in sorted(root.glob("*-subject-*/*")):
        facts = read_keys(folder / "meta.yml", ("serials", "extrinsics", "num_frames"), WANTED)
        assert facts["serials"] == CAMERAS
        path = root / f"calibration/extrinsics_{facts['extrinsics']}/extrinsics.yml"
        poses = read_keys(path, ("extrinsics", "master"), WANTED)
        points = []
        for camera in CAMERAS:
            label = labels[folder / camera / "labels_000000.npz"]
            if (label["joint_3d"] != -1).any():
                T = np.reshape(poses["extrinsics"][camera], (3, 4))
                points.append(label["joint_3d"][0] @ T[:, :3].T + T[:, 3])
        assert np.ptp(points, axis=0).max() < 1e-5
        assert np.array_equal(np.reshape(poses["extrinsics"][poses["master"]], (3, 4)), np.eye(3, 4))
        (pose_m,) = read_arrays(folder / "pose.npz", ("pose_m",))
        assert pose_m.shape == (facts["num_frames"], 1, 51)

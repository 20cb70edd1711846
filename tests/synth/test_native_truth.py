"""What is rendered is what is read: every sample's labels are a rendered hand's, in the camera that saw it."""

import numpy as np
import pytest

from handdata.converters import DATASETS
from handdata.synth import render_many
from handdata.synth.frame import project_world
from handdata.synth.native import write_native
from tests.conftest import NATIVE_FRAMES
from tests.converters.conftest import samples_of

ROUNDED = {"rhd", "dexter1"}  # labels of four digits and of whole pixels, as the archives have them


@pytest.fixture
def rendered(monkeypatch):
    """Every frame that is rendered in this process: the hands and the cameras that saw them."""
    frames = []
    render = render_many.render_frame

    def keep(spec, index):
        frame = render(spec, index)
        frames.append((frame.hands, [view.camera for view in frame.views]))
        return frame

    monkeypatch.setattr(render_many, "render_frame", keep)
    return frames


def in_camera(points, camera):
    return points @ camera.T_camera_world[:3, :3].T + camera.T_camera_world[:3, 3]


@pytest.mark.parametrize("dataset", sorted(set(DATASETS) - ROUNDED))
def test_labels_are_those_of_a_rendered_hand_to_a_hundredth(dataset, rendered, tmp_path):
    write_native(dataset, tmp_path / dataset, NATIVE_FRAMES, seed=3, small=True)

    samples = samples_of(dataset, tmp_path / dataset)
    assert len(samples) == NATIVE_FRAMES
    for sample in samples.values():
        known = np.isfinite(sample.keypoints_2d).all(-1)
        if not known.any():
            continue  # EgoDexter labels half of its frames
        distances = {}
        for hands, cameras in rendered:
            for hand in hands:
                for camera in cameras:
                    uv = project_world(hand.keypoints_3d, camera)
                    xyz = in_camera(hand.keypoints_3d, camera)
                    off = np.abs(uv - sample.keypoints_2d)[known].max()
                    if np.isfinite(sample.keypoints_3d).any():
                        off = max(off, np.nanmax(np.abs(xyz - sample.keypoints_3d)))
                    distances[off] = hand.side
        assert min(distances) < 0.01
        assert distances[min(distances)] == sample.hand_side

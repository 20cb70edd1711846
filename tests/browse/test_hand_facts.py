"""What the page shows of one hand."""

from pathlib import Path

import numpy as np
import pytest

from handdata.annotate.keypoints.template import OPEN_HAND
from handdata.browse.hand_facts import USUAL_MM, facts_of
from handdata.conversion.write import write_dataset
from handdata.skeleton import KEYPOINTS, ROOT

WRIST = KEYPOINTS.index("wrist")
XYZ = np.column_stack([OPEN_HAND * 180, np.full(21, 500.0)])  # mm


@pytest.mark.parametrize("lacks", [[], [WRIST], [WRIST, ROOT]])
def test_a_hand_whose_size_is_not_known_has_its_three_views_too(tmp_path: Path, lacks: list[int]) -> None:
    xyz = XYZ.copy()
    xyz[lacks] = np.nan
    hand = {
        "image": np.zeros((64, 64, 3), np.uint8),
        "side": "left",
        "keypoints_2d": np.full((21, 2), 20.0) + np.arange(21)[:, None],
        "keypoints_3d": xyz,
    }

    pose = np.array(facts_of(write_dataset(tmp_path / "made", [hand], canvas=64), 0)["pose"], float)

    known = np.delete(np.arange(21), lacks)
    assert np.isnan(pose[lacks]).all()
    millimetres = USUAL_MM if lacks else np.linalg.norm(XYZ[ROOT] - XYZ[WRIST])
    assert np.diff(pose[known], axis=0) * millimetres == pytest.approx(np.diff(XYZ[known], axis=0), abs=0.2)

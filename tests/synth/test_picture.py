"""Training pictures: how much of one the hand takes."""

import numpy as np
import pytest

from handdata.geometry import project
from handdata.synth.picture import FILL, FLESH_MM, render_hand


@pytest.mark.parametrize("fill", [FILL, (0.3, 0.4)])
def test_the_hand_takes_the_asked_share_of_the_picture(fill):
    for index in range(8):
        frame = render_hand(5, index, "clean", 96, small=True, fill=fill)
        uv = project(frame.hands[0].keypoints_3d, frame.views[0].camera.K)
        distance = frame.hands[0].keypoints_3d[:, 2].mean()
        flesh = FLESH_MM * frame.views[0].camera.K[0, 0] / distance
        share = (np.ptp(uv, axis=0).max() + flesh) / 96

        assert fill[0] - 0.12 < share < fill[1] + 0.12

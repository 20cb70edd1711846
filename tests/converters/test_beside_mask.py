"""A hand whose labels lie beside its segmentation is told from one that is partly hidden or badly cut out."""

import numpy as np
import pytest

from handdata.converters.read.beside_mask import lies_beside

SIZE = (200, 100)  # width, height
UV = np.stack([np.linspace(60, 120, 21), np.linspace(30, 70, 21)], axis=1)


def segmented(left, right, scale=1):
    hand = np.zeros((SIZE[1] // scale, SIZE[0] // scale), bool)
    hand[:, left // scale : right // scale] = True
    return hand


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize(
    ("left", "right", "beside"),
    [(50, 130, False), (60, 80, False), (118, 121, True), (130, 200, True), (0, 60, False), (0, 50, True)],
    ids=["on it", "most hidden", "a sliver", "to the right", "with its edge", "to the left"],
)
def test_labels_are_looked_for_on_the_hand(left, right, beside, scale):
    if (left, right) != (0, 60):
        assert lies_beside(UV, SIZE, segmented(left, right, scale)) == beside
    near = UV - [30, 0]  # half of it lies on the hand
    assert not lies_beside(near, SIZE, segmented(0, 60, scale))


def test_nothing_is_said_without_a_label_in_the_picture_or_a_hand_in_the_mask():
    assert not lies_beside(UV, SIZE, segmented(0, 0))
    assert not lies_beside(UV + 500, SIZE, segmented(0, 20))
    assert not lies_beside(np.full((21, 2), np.nan), SIZE, segmented(0, 20))


def test_labels_outside_the_picture_do_not_count():
    uv = UV.copy()
    uv[:18] += 500

    assert not lies_beside(uv, SIZE, segmented(110, 125))
    assert lies_beside(uv, SIZE, segmented(0, 60))

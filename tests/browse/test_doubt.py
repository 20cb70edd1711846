"""Doubt: a label that is moved, and a hand of odd bones, stand first; hands as they should be stay below 1."""

import numpy as np
import pytest

from handdata.browse.doubt import doubt_of
from handdata.shards.dataset import open_dataset
from tests.check.made_dataset import make_dataset, rewrite
from tests.made_runs import made_shards


@pytest.fixture
def folder(tmp_path):
    return make_dataset(tmp_path / "made", count=60)


def test_hands_of_three_people_are_not_doubted(folder):
    assert np.nanmax(doubt_of(open_dataset(folder))) < 1


def test_a_moved_2d_label_and_a_stretched_bone_come_first(folder):
    def spoil(rows, split):
        if split == "val":
            rows[2]["keypoints_2d"] = rows[2]["keypoints_2d"].copy()
            rows[2]["keypoints_2d"][8] += 60
            rows[5]["keypoints_3d"] = rows[5]["keypoints_3d"].copy()
            rows[5]["keypoints_3d"][12] *= 1.2

    rewrite(folder, spoil)
    doubt = doubt_of(open_dataset(folder))

    assert set(np.argsort(-np.nan_to_num(doubt))[:2].tolist()) == {42, 45}
    assert (doubt[[42, 45]] > 1).all()


def test_without_3d_labels_nothing_is_said(tmp_path):
    folder = made_shards(tmp_path / "flat", "dexter", samples=3, tips_only=True)

    assert np.isfinite(doubt_of(open_dataset(folder))).all()  # tips have 3D here: 2D beside it is compared
    assert doubt_of(open_dataset(folder)).max() < 0.1

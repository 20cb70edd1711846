"""The schema: the names and shapes others read, and the masks that follow from NaN."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from handdata.shards import schema
from handdata.shards.schema import BoxSource, Flag, Sample, label_row, row_faults
from handdata.skeleton import LEFT, ROOT, WRIST

# docs/schema.md, in its order: name -> (shape at S = 192, dtype)
SPECIFIED = {
    "image": ((192, 192, 3), "uint8"),
    "foreground": ((192, 24), "uint8"),
    "mask": ((192, 192), "uint8"),
    "row_hash": ((), "uint64"),
    "source_to_canvas": ((2, 3), "float64"),
    "crop_xyxy": ((4,), "float32"),
    "bbox_xyxy": ((4,), "float32"),
    "bbox_source": ((), "uint8"),
    "keypoints_2d": ((21, 2), "float32"),
    "keypoints_3d": ((21, 3), "float32"),
    "keypoints_3d_normalized": ((21, 3), "float32"),
    "scale_mm": ((), "float32"),
    "annotated_2d": ((21,), "bool"),
    "annotated_3d": ((21,), "bool"),
    "in_frame": ((21,), "bool"),
    "visible": ((21,), "int8"),
    "palm_center_2d": ((2,), "float32"),
    "palm_center_3d": ((3,), "float32"),
    "K": ((3, 3), "float64"),
    "image_size": ((2,), "int32"),
    "hand_side": ((), "uint8"),
    "has_object": ((), "int8"),
    "sequence": ((), "int32"),
    "camera": ((), "int32"),
    "frame": ((), "int32"),
    "sample_id": ((), "S96"),
    "flags": ((), "uint32"),
}


def test_the_fields_are_those_of_the_specification():
    assert {f.name: (f.shape_at(192), f.dtype) for f in schema.FIELDS} == SPECIFIED
    assert [f.name for f in schema.FIELDS] == list(SPECIFIED)
    assert [f.name for f in schema.FIELDS if f.optional] == ["foreground", "mask"]


def test_every_field_says_what_it_means():
    assert all(
        field.meaning and (field.unit or field.shape == () or field.dtype in {"bool", "int8"})
        for field in schema.FIELDS
    )


def test_the_numbers_others_read():
    assert [int(source) for source in BoxSource] == [0, 1, 2, 3, 4, 5]
    assert [int(Flag[name]) for name in ("LABEL_WRONG", "WRIST_DERIVED", "PROJECTION_APPROXIMATE", "IMAGE_PADDED")] == [
        1, 2, 4, 8,
    ]  # fmt: skip
    assert schema.VERSION == "handdata/2"
    assert schema.SHARD_SAMPLES == 4096


# ------------------------------------------------------------------------------------------------ rows

coordinates = st.floats(-400, 800, allow_nan=False, width=32)
missing = arrays(bool, 21)


def sample(uv, xyz, **changes):
    picture = np.zeros((240, 320, 3), np.uint8)
    return Sample(id="x", image=picture, hand_side=LEFT, keypoints_2d=uv, keypoints_3d=xyz, **changes)


@given(arrays(np.float64, (21, 2), elements=coordinates), missing)
def test_masks_follow_from_nan(uv, absent):
    uv[absent] = np.nan

    row = label_row(sample(uv, np.full((21, 3), np.nan)))

    np.testing.assert_array_equal(row["annotated_2d"], ~absent)
    assert not row["annotated_3d"].any()
    inside = (uv[:, 0] >= -0.5) & (uv[:, 0] < 319.5) & (uv[:, 1] >= -0.5) & (uv[:, 1] < 239.5)
    np.testing.assert_array_equal(row["in_frame"], inside & ~absent)


@given(arrays(np.float64, (21, 3), elements=st.floats(100, 900)), missing)
def test_a_made_row_keeps_the_rules(xyz, absent):
    xyz[absent] = np.nan
    row = label_row(sample(xyz[:, :2], xyz)) | {"crop_xyxy": [0, 0, 50, 50]}

    labels = {name: np.asarray(value)[None] for name, value in row.items()}

    if np.isnan(row["scale_mm"]) or row["scale_mm"] > 1e-3:
        assert row_faults(labels) == {}


def test_a_half_labelled_keypoint_is_not_labelled():
    uv, xyz = np.full((21, 2), 5.0), np.full((21, 3), 400.0) + np.arange(21)[:, None]
    uv[3, 1] = xyz[7, 2] = np.nan

    row = label_row(sample(uv, xyz))

    assert not row["annotated_2d"][3]
    assert np.isnan(row["keypoints_2d"][3]).all()
    assert not row["annotated_3d"][7]
    assert np.isnan(row["keypoints_3d"][7]).all()


def test_what_a_dataset_does_not_say_is_unknown_not_zero():
    row = label_row(sample(np.full((21, 2), np.nan), np.full((21, 3), np.nan)))

    assert (row["visible"] == -1).all()
    assert row["has_object"] == -1
    assert row["bbox_source"] == 0
    assert all(np.isnan(row[name]).all() for name in ("K", "bbox_xyxy", "palm_center_2d", "palm_center_3d", "scale_mm"))


def test_the_scale_is_the_distance_from_wrist_to_root():
    xyz = np.random.default_rng(0).normal(size=(21, 3)) * 40 + [0, 0, 500]
    xyz[WRIST], xyz[ROOT] = (0, 0, 500), (30, 40, 500)

    row = label_row(sample(xyz[:, :2], xyz))

    assert row["scale_mm"] == 50
    np.testing.assert_allclose(row["keypoints_3d_normalized"] * 50 + xyz[ROOT], xyz)


def test_a_shipped_normalised_pose_is_kept():
    shipped = np.random.default_rng(0).normal(size=(21, 3))

    row = label_row(sample(np.zeros((21, 2)), np.full((21, 3), np.nan), keypoints_3d_normalized=shipped))

    np.testing.assert_array_equal(row["keypoints_3d_normalized"], shipped)


def rows_of(count=3):
    xyz = np.random.default_rng(1).normal(size=(count, 21, 3)) * 40 + [0, 0, 500]
    made = [label_row(sample(one[:, :2], one)) | {"crop_xyxy": np.array([0.0, 0, 50, 50])} for one in xyz]
    return {name: np.array([row[name] for row in made]) for name in made[0]}


SPOILT = {
    "annotated_2d is not where keypoints_2d is finite": ("annotated_2d", (1, 4), False),
    "annotated_3d is not where keypoints_3d is finite": ("annotated_3d", (1, 4), False),
    "a keypoint is half NaN": ("keypoints_2d", (1, 4, 0), np.nan),
    "visible is not one of 1, 0, -1": ("visible", (1, 4), 2),
    "hand_side is not one of 0, 1, 2": ("hand_side", 1, 3),
    "bbox_source is unknown": ("bbox_source", 1, 9),
    "middle MCP of the normalised pose is off the origin": ("keypoints_3d_normalized", (1, ROOT, 2), 0.1),
    "wrist of the normalised pose is not at distance 1": ("keypoints_3d_normalized", (1, WRIST), 3.0),
    "crop_xyxy is no square": ("crop_xyxy", (1, 2), 60.0),
    "depth at or behind the camera where 2D is annotated": ("keypoints_3d", (1, 4, 2), -5.0),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_a_broken_rule_is_named_with_its_rows(fault):
    labels = rows_of()
    name, place, value = SPOILT[fault]
    labels[name][place] = value

    assert row_faults(labels)[fault].tolist() == [1]


def test_in_frame_needs_a_label():
    labels = rows_of()
    labels["keypoints_2d"][2, 5] = np.nan
    labels["annotated_2d"][2, 5] = False
    labels["in_frame"][2, 5] = True

    assert row_faults(labels)["in_frame where nothing is annotated"].tolist() == [2]


def test_good_rows_have_no_faults():
    assert row_faults(rows_of()) == {}

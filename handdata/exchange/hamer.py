"""Tars as HaMeR's loader takes them: a picture, <key>.data.pyd and our own JSON per hand, written. Read: webdataset.py.

Layout: the README that HaMeR's author refers to (https://github.com/geopavlakos/hamer/issues/16 names
https://github.com/m-usamasaleem/annotation_files): WebDataset, the labels pickled as a list of dicts of float32 arrays:
`keypoints_2d` (K, 3), `keypoints_3d` (K, 4), `center` (2,), `scale` (2,), `betas` (10,), `has_betas`, `personid`. It is
of bodies, with `body_pose` and `has_body_pose`; those of hands are called `hand_pose` and `has_hand_pose` here, and
`right` is their side. Those three names stand in no document that was found.
"""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.exchange import webdataset
from handdata.exchange.pictures import ExportView
from handdata.shards.dataset import Dataset
from handdata.skeleton import HAND_SIDES, NUM_KEYPOINTS

ENDING = "data.pyd"
_SCALE_PX = 200.0  # of a box whose scale is 1
_POSE, _BETAS = 48, 10  # numbers of MANO: 16 rotations as axis and angle, and the shape
_NUMPY_2, _NUMPY_1 = b"numpy._core.multiarray\n", b"numpy.core.multiarray\n"  # which both versions of NumPy read


def write(view: ExportView, out: Path) -> None:
    """Write one split; only hands whose side is known, one per sample."""
    webdataset.write(_held(view), out, _beside)


def holds(data: Dataset) -> NDArray[np.bool_]:
    """Return which hands have a side, (N,): the network sees right hands, and left ones mirrored."""
    return np.isin(data["side"], HAND_SIDES)


def files(view: ExportView) -> list[str]:
    """Return the names of the files that `write` writes."""
    return webdataset.files(_held(view))


def _held(view: ExportView) -> ExportView:
    return replace(view, data=view.data[holds(view.data)])


def _beside(labels: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return what lies beside a picture: the ending of its name, and its bytes."""
    return ENDING, pickle.dumps([hamer_labels(labels)], protocol=3).replace(b"c" + _NUMPY_2, b"c" + _NUMPY_1)


def hamer_labels(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Return the labels of a hand under the loader's names.

    Args:
        labels: as `plain_labels` says them, px and mm.

    Returns:
        Pixels of the picture, (0, 0) the centre of the first one; metres in its camera; a confidence of 0 where nothing
        is labelled. MANO's parameters are not known: `has_hand_pose` and `has_betas` are 0.
    """
    left, top, right, bottom = labels["crop_xyxy"]
    xyz = _with_confidence(labels["keypoints_3d"], 3)
    xyz[:, :3] /= 1000
    return {
        "keypoints_2d": _with_confidence(labels["keypoints_2d"], 2),
        "keypoints_3d": xyz,
        "center": np.array([left + right - 1, top + bottom - 1], np.float32) / 2,
        "scale": np.array([right - left, bottom - top], np.float32) / np.float32(_SCALE_PX),
        "hand_pose": np.zeros(_POSE, np.float32),
        "has_hand_pose": 0.0,
        "betas": np.zeros(_BETAS, np.float32),
        "has_betas": 0.0,
        "right": float(labels["hand_side"] == HAND_SIDES[1]),
        "personid": 0,
    }


def _with_confidence(points: Sequence[Any] | None, width: int) -> NDArray[np.float32]:
    """Return (21, width + 1): a point and 1, or zeros where nothing is labelled."""
    rows = points or [None] * NUM_KEYPOINTS
    return np.array([[0.0] * (width + 1) if row is None else [*row, 1.0] for row in rows], np.float32)

"""What a model found in pictures, as files: overlays, and the JSON that evaluation reads."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from handdata.evaluation.predictions import VERSION
from handdata.files.whole import whole
from handdata.model.checkpoint import Trained
from handdata.pictures.overlay import draw_box, draw_skeleton
from handdata.shards.hand import Hand
from handdata.skeleton import KEYPOINTS

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
OVERLAY_PX = 480  # the longer side of an overlay is at least about this, so that thin bones can be told apart


def predictions_json(trained: Trained, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a predictions file, of `as_sample`, that `handdata evaluate --predictions` reads."""
    options = {"checkpoint": str(trained.path), "recipe": trained.recipe, "epoch": trained.epoch}
    return {
        "schema": VERSION,
        "options": options,
        "keypoint_names": list(KEYPOINTS),
        "samples": list(samples),
    }


def as_sample(hand: Hand) -> dict[str, Any]:
    """Return one sample of a predictions file in JSON (docs/evaluation.md), with what it was made from."""
    peaks = [] if hand.peaks is None else hand.peaks.round(4).tolist()
    return {
        "sample_id": hand.id,
        "hand": hand.side,
        "crop_xyxy": hand.crop_box.round(3).tolist(),
        "keypoints_2d": hand.keypoints_2d.round(3).tolist(),
        "peaks": peaks,
        "keypoints_3d_normalized": hand.keypoints_3d_normalized.round(5).tolist(),
    }


def overlay_names(paths: Sequence[Path]) -> list[str]:
    """Return the name of each picture's overlay: its stem, or its whole name where another has the same stem."""
    stems = Counter(path.stem for path in paths)
    return [f"{path.stem if stems[path.stem] == 1 else path.name}.png" for path in paths]


def write_overlay(path: Path, hand: Hand) -> None:
    """Write the picture with the skeleton and the square that was looked at, enlarged where it is small, as PNG."""
    if hand.image is None:
        raise ValueError("an overlay needs the hand's picture")
    scale = max(1, round(OVERLAY_PX / max(hand.size)))
    drawn = draw_skeleton(draw_box(hand.image, hand.crop_box), hand.keypoints_2d, scale=scale)
    with whole(path, sync=False) as file:
        file.write(cv2.imencode(".png", drawn[..., ::-1])[1].tobytes())

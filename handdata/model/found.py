"""What a model found in pictures, as files: overlays, and the JSON that evaluation reads."""

import math
import struct
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.errors import WriteError
from handdata.evaluation.absolute import Size
from handdata.evaluation.predictions import VERSION
from handdata.files.whole import whole
from handdata.model.checkpoint import Trained
from handdata.pictures.overlay import draw_box, draw_skeleton
from handdata.shards.hand import Hand
from handdata.skeleton import KEYPOINTS

OVERLAY_PX = 480  # the longer side of an overlay is at least about this, so that thin bones can be told apart
_HEAD = 33  # bytes of a PNG's signature and its first chunk, which gives the size
_TEXT = b"tEXtSoftware\0handdata predict"
_MARK = struct.pack(">I", len(_TEXT) - 4) + _TEXT + struct.pack(">I", zlib.crc32(_TEXT))  # a chunk: this is an overlay


def predictions_json(
    trained: Trained,
    samples: Sequence[dict[str, Any]],
    pictures: Sequence[dict[str, Any]],
    size: Size | None = None,
) -> dict[str, Any]:
    """Return a predictions file that `handdata evaluate --predictions` reads.

    Args:
        trained: what was asked.
        samples: the hands, of `as_sample`.
        pictures: what was looked at, of `as_picture`; also those without a hand.
        size: what millimetres rest on.
    """
    options: dict[str, Any] = {"checkpoint": str(trained.path), "recipe": trained.recipe, "epoch": trained.epoch}
    if size is not None:
        options |= {"hand_size_mm": size.mm, "hand_size_sd_mm": size.sd_mm, "hand_size_source": size.source}
    return {
        "schema": VERSION,
        "options": options,
        "keypoint_names": list(KEYPOINTS),
        "pictures": list(pictures),
        "samples": list(samples),
    }


def as_picture(path: Path, image: NDArray[np.uint8], hands: int) -> dict[str, Any]:
    """Return one picture of a predictions file, its size in px and its number of hands."""
    return {"image": path.name, "width": image.shape[1], "height": image.shape[0], "hands": hands}


def as_sample(hand: Hand, depth_sd_mm: float | None = None) -> dict[str, Any]:
    """Return one sample of a predictions file in JSON (docs/evaluation.md), with what it was made from.

    A hand that was put before a camera has millimetres too, null where the problem was ill conditioned.
    """
    peaks = [] if hand.peaks is None else hand.peaks.round(4).tolist()
    confidence = rounded(hand.confidence)
    return {
        "sample_id": hand.id,
        "image": hand.id if hand.path is None else hand.path.name,
        "hand": hand.side,
        "confidence": confidence,
        "score": confidence,  # by this name evaluation reads it
        "presence": rounded(hand.presence),
        "crop_xyxy": hand.crop_box.round(3).tolist(),
        "keypoints_2d": hand.keypoints_2d.round(3).tolist(),
        "peaks": peaks,
        "keypoints_3d_normalized": hand.keypoints_3d_normalized.round(5).tolist(),
        **({} if depth_sd_mm is None else _in_mm(hand, depth_sd_mm)),
    }


def rounded(value: float) -> float | None:
    """Return a probability as JSON has it, null where it is not known."""
    return round(value, 4) if math.isfinite(value) else None


def _in_mm(hand: Hand, depth_sd_mm: float) -> dict[str, Any]:
    points = [point.round(2).tolist() if np.isfinite(point).all() else None for point in hand.keypoints_3d]
    return {"keypoints_3d": points, "depth_sd_mm": round(depth_sd_mm, 1) if math.isfinite(depth_sd_mm) else None}


def overlay_names(paths: Sequence[Path]) -> list[str]:
    """Return the name of each picture's overlay: its stem, or its whole name where that would not be its own."""
    stems = Counter(path.stem for path in paths)
    names = [path.stem if stems[path.stem] == 1 else path.name for path in paths]
    taken = Counter(names)
    return [f"{name if taken[name] == 1 else path.name}.png" for name, path in zip(names, paths, strict=True)]


def refuse_to_lose(out: Path, names: Sequence[str]) -> None:
    """Refuse to draw over a picture that is no overlay: perhaps the very one that is looked at, beside it a mask.

    Args:
        out: folder that gets the overlays.
        names: of the overlays.

    Raises:
        WriteError: a file of such a name was not drawn by `write_overlay`.
    """
    for path in (out / name for name in names):
        if path.is_file() and not _is_overlay(path):
            fix = "Give another --out."
            raise WriteError(path, expected="no file, or an overlay", got="another picture", fix=fix)


def _is_overlay(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD + len(_MARK))
    return _MARK.startswith(head[_HEAD:]) or not any(head)  # cut short or zeros: what a power cut leaves of one


def write_overlay(path: Path, image: NDArray[np.uint8], hands: Sequence[Hand]) -> None:
    """Write a picture with the skeletons and the squares that were looked at, enlarged where it is small, as PNG."""
    scale = max(1, round(OVERLAY_PX / max(image.shape[:2])))
    size = image.shape[1] * scale, image.shape[0] * scale
    drawn = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    for hand in hands:
        keypoints = (hand.keypoints_2d + 0.5) * scale - 0.5
        drawn = draw_skeleton(draw_box(drawn, hand.crop_box * scale), keypoints)
    with whole(path, sync=False) as file:
        coded = cv2.imencode(".png", drawn[..., ::-1])[1].tobytes()
        file.write(coded[:_HEAD] + _MARK + coded[_HEAD:])

"""What every exported format shares: a sample's labels as plain data, its file name, its picture's bytes."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.files.whole import sync_all, write_bytes
from handdata.progress import track
from handdata.shards.dataset import Dataset
from handdata.shards.hand import Hand

ENCODINGS = {"png": [cv2.IMWRITE_PNG_COMPRESSION, 3], "jpg": [cv2.IMWRITE_JPEG_QUALITY, 95]}
_UNSAFE = re.compile(r"[^A-Za-z0-9_/-]|(?<=[_/])_|_(?=/)")


def plain_labels(hand: Hand) -> dict[str, Any]:
    """Return a hand's labels as plain data, in pixels of its picture and mm; None where the dataset gives nothing."""
    return {
        "sample_id": hand.id,
        "sequence": hand.sequence,
        "camera": hand.camera,
        "frame": hand.frame,
        "hand_side": hand.side,
        "has_object": hand.has_object,
        "keypoints_2d": _plain(hand.keypoints_2d),
        "keypoints_3d": _plain(hand.keypoints_3d),
        "keypoints_3d_normalized": _plain(hand.keypoints_3d_normalized),
        "visible": [int(v) for v in hand.visible],
        "K": _plain(hand.K),
        "bbox_xyxy": _plain(hand.box),
        "source_to_canvas": _plain(hand.source_to_image),
        "source_size": list(hand.source.size),
        "flags": int(hand.flags),
    }


def _plain(values: NDArray[Any]) -> Any:
    """Return nested lists; None in place of a row that is not known."""
    if values.ndim == 1:
        return [float(v) for v in values] if np.isfinite(values).all() else None
    rows = [_plain(row) for row in values]
    return None if all(row is None for row in rows) else rows


def file_key(sample_id: str) -> str:
    """Return a file name for a sample, without a suffix: "a/b" is "a__b"; two ids never share one.

    What is no letter, digit, "-" or "_" is written as in a web address, and so is a "_" that could be taken for a "/".
    """
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), sample_id).replace(
        "/", "__"
    )


def encoded(image: NDArray[np.uint8], picture: str) -> bytes:
    """Return a picture, (H, W, 3) uint8 RGB, as PNG or JPEG."""
    ok, data = cv2.imencode(f".{picture}", image[..., ::-1], ENCODINGS[picture])
    if not ok:
        raise ValueError(f"a canvas cannot be encoded as {picture}")
    return data.tobytes()


def write_pictures(data: Dataset, split: str, out: Path, picture: str) -> None:
    """Write the canvases of one split to images/<split>/."""
    folder = out / "images" / split
    for number, sample_id in enumerate(track(data["id"].tolist(), f"pictures of {split}", len(data))):
        name = f"{file_key(sample_id)}.{picture}"
        write_bytes(folder / name, encoded(data.image(number), picture), sync=False)
    sync_all()  # before the labels that name them

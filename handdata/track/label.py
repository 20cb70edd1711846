"""What a model finds, as labels of your own: a COCO keypoint file that `handdata import` and annotation tools read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from handdata.errors import BusyError, HanddataError, WriteError
from handdata.exchange.coco import CATEGORY, category
from handdata.exchange.coco_kinds import MODEL
from handdata.files.text import LARGE, Wanted, parse_json, read_text
from handdata.files.whole import json_sha256, write_bytes
from handdata.geometry import in_frame
from handdata.model.checkpoint import Trained
from handdata.shards.hand import Hand
from handdata.skeleton import NUM_KEYPOINTS

_LABELS = Wanted(what="labels", largest=LARGE)


@dataclass
class LabelFile:
    """Pictures and the hands that were found in them, as COCO counts them.

    Attributes:
        least_confidence: of a keypoint that is labelled; others have v = 0.
        least_presence: of a hand that is labelled at all.
    """

    least_confidence: float
    least_presence: float = 0.5
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0

    def add(self, file_name: str, size: tuple[int, int], hands: Sequence[Hand]) -> None:
        """Add one picture of (width, height) px."""
        number = len(self.images) + 1
        self.images.append({"id": number, "file_name": file_name, "width": size[0], "height": size[1]})
        for hand in hands:
            if np.isfinite(hand.presence) and hand.presence < self.least_presence:
                self.left_out += 1
                continue
            self.annotations.append(
                {"id": len(self.annotations) + 1, "image_id": number, **self._annotation(hand, size)}
            )

    def _annotation(self, hand: Hand, size: tuple[int, int]) -> dict[str, Any]:
        peaks = np.ones(NUM_KEYPOINTS) if hand.peaks is None else np.asarray(hand.peaks)
        sure = peaks >= self.least_confidence
        inside = in_frame(hand.keypoints_2d, *size)
        flat = [
            value
            for (u, v), labelled, flag in zip(hand.keypoints_2d, sure, 1 + inside, strict=True)  # beyond it nobody sees
            for value in ((round(float(u), 2), round(float(v), 2), int(flag)) if labelled else (0, 0, 0))
        ]
        low, high = hand.keypoints_2d.min(0), hand.keypoints_2d.max(0)
        return {
            "category_id": CATEGORY,
            "side": hand.side,
            "iscrowd": 0,
            "keypoints": flat,
            "num_keypoints": int(sure.sum()),
            "bbox": [round(float(value), 2) for value in (*low, *(high - low))],
            "area": round(float(np.prod(high - low)), 2),
            "score": round(float(hand.presence), 4) if np.isfinite(hand.presence) else 1.0,
            "confidence": peaks.round(4).tolist(),
        }

    @property
    def without_hands(self) -> int:
        """Pictures without a label."""
        return len(self.images) - len({annotation["image_id"] for annotation in self.annotations})

    @property
    def points(self) -> int:
        """Keypoints that are labelled."""
        return sum(annotation["num_keypoints"] for annotation in self.annotations)

    def write(self, path: Path, trained: Trained, before: str | None) -> Path:
        """Write the file, whole or not at all.

        Args:
            path: the file.
            trained: what found the hands.
            before: what `refuse_to_lose` returned when the work began.

        Returns:
            The file that was written: `path`, or one of a free name beside it where somebody wrote `path` since or
            writes it now, another command or a person who corrected labels.

        Raises:
            WriteError: it cannot be written there at all.
        """
        labels = {
            "images": self.images,
            "annotations": self.annotations,
            "categories": [category()],
        }
        info = {
            "description": f"predicted by handdata with {trained.path.name}, recipe {trained.recipe}; not checked",
            "kind": MODEL,
            "least_confidence": self.least_confidence,
            "labels_sha256": json_sha256(labels),
        }
        data = json.dumps({"info": info, **labels}).encode()
        free = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
        if _is_as(path, before) and _written(path, data):
            return path
        return next(file for file in free if not file.exists() and _written(file, data))


def _written(path: Path, data: bytes) -> bool:
    """Write a file unless somebody else is writing it; say whether."""
    try:
        write_bytes(path, data)
    except BusyError:
        return False
    return True


def _is_as(path: Path, before: str | None) -> bool:
    """Say whether a file of labels is as it was, or not there any more."""
    try:
        return refuse_to_lose(path) in (None, before)
    except WriteError:
        return False


def refuse_to_lose(path: Path) -> str | None:
    """Refuse to replace a file that is not as `LabelFile` wrote it: another one, or one that somebody corrected.

    Returns:
        the digest of the labels that are there, None if there are none.

    Raises:
        WriteError: so it is.
    """
    if not path.exists():
        return None
    try:
        content = parse_json(read_text(path, _LABELS), path, _LABELS)
    except HanddataError:
        content = None
    info = content.get("info") if isinstance(content, dict) else None
    got = "another one"
    if isinstance(info, dict) and info.get("kind") == MODEL:
        digest = json_sha256({name: part for name, part in content.items() if name != "info"})
        if info.get("labels_sha256") == digest:
            return digest
        got = "one whose labels were changed since"
    fix = "Give another --out, or move that file away."
    raise WriteError(path, expected="no file, or one as label wrote it", got=got, fix=fix)

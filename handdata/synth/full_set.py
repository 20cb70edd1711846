"""Full pictures as files, to train and test detectors: `handdata synth frames`.

    pictures/000000.png   RGB
    masks/000000.png      255 where a hand is, without its forearm
    annotations.json      COCO keypoints: boxes, sides and 21 points, which `handdata import` reads

A box is the square round the keypoints, 1.25 times as large; it may reach out of the picture. A picture is a function
of the seed, the look and its number: neither the number of workers nor an interruption changes a byte.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.files.text import Wanted, read_json
from handdata.files.whole import write_text
from handdata.skeleton import BONES, HAND_SIDES, KEYPOINTS
from handdata.synth.full_frame import FullFrame, render_full_frame
from handdata.synth.native.tree import WORK, Request, Victims, render_tree, write_picture
from handdata.synth.render_many import on_many_cores

NAME = "frames"
SIZE, SMALL_SIZE = (640, 480), (160, 120)  # width and height, px


@dataclass(frozen=True)
class _Writer:
    root: Path
    request: Request

    def part(self, index: int) -> Path:
        """Return where a picture's labels wait; the picture is finished when this is there."""
        return self.root / WORK / f"{index:06d}.json"

    def __call__(self, index: int) -> None:
        """Render one picture and write its files."""
        asked = self.request
        size = SMALL_SIZE if asked.small else SIZE
        frame = render_full_frame(
            asked.seed, index, asked.style, size, small=asked.small, backgrounds=asked.backgrounds
        )
        name = f"{index:06d}.png"
        write_picture(self.root / "pictures" / name, frame.image)
        write_picture(self.root / "masks" / name, frame.hand.astype(np.uint8) * 255)
        write_text(self.part(index), json.dumps(_labels(frame)))

    def finish(self) -> None:
        """Write the annotations of all pictures."""
        width, height = SMALL_SIZE if self.request.small else SIZE
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index in range(self.request.frames):
            name = f"{index:06d}.png"
            images.append(
                {"id": index + 1, "file_name": f"pictures/{name}", "width": width, "height": height, "mask": name}
            )
            for label in read_json(self.part(index), Wanted(what="labels of a rendered picture")):
                annotations.append({"id": len(annotations) + 1, "image_id": index + 1, **label})
        category = {
            "id": 1, "name": "hand", "keypoints": list(KEYPOINTS), "skeleton": [[a + 1, b + 1] for a, b in BONES]
        }  # fmt: skip
        content = {
            "info": {"description": "rendered by handdata synth frames; no picture of a person"},
            "images": images,
            "annotations": annotations,
            "categories": [category],
        }
        write_text(self.root / "annotations.json", json.dumps(content) + "\n")


def write_full_frames(root: Path, request: Request, workers: int) -> int:
    """Render what is not there yet; return the number of pictures.

    Args:
        root: the set's own folder.
        request: what was asked for; faults are not made here.
        workers: processes; they change no byte.

    Raises:
        ConfigError: `root` holds something else.
        BusyError: somebody else renders into `root`.
    """
    writer = _Writer(root, request)
    return render_tree(
        root,
        request,
        tasks=range(request.frames),
        is_done=lambda index: writer.part(index).is_file(),
        write=writer,
        finish=writer.finish,
        victims=_no_victims,
        workers=workers,
        render=on_many_cores,
    )


def _no_victims() -> Victims:
    raise ValueError("no faults are made in full pictures")


def _labels(frame: FullFrame) -> list[dict[str, Any]]:
    hands = zip(frame.boxes_xyxy, frame.sides, frame.keypoints_2d, frame.visible, strict=True)
    return [_label(box, int(side), uv, visible) for box, side, uv, visible in hands]


def _label(box: NDArray[np.float64], side: int, uv: NDArray[np.float64], visible: NDArray[np.bool_]) -> dict[str, Any]:
    points = [
        value for (u, v), seen in zip(uv, visible, strict=True) for value in (round(u, 2), round(v, 2), 1 + int(seen))
    ]
    left, top, right, bottom = (round(float(edge), 2) for edge in box)
    return {
        "category_id": 1,
        "side": HAND_SIDES[side],
        "iscrowd": 0,
        "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
        "area": round((right - left) * (bottom - top), 2),
        "keypoints": points,
        "num_keypoints": len(uv),
    }

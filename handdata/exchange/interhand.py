"""InterHand2.6M's three files of labels, whole or a sample of them: <name>_data.json, _camera.json and _joint_3d.json.

42 joints per picture, the right hand's 21 first, each from thumb to little finger from the tip to the knuckle, the
wrist last, in mm of the world. X_camera = camrot (X_world - campos). https://github.com/facebookresearch/InterHand2.6M
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handdata.errors import DataError, MissingError
from handdata.exchange.coco_kinds import four_numbers, intrinsics
from handdata.exchange.labels import Annotations, HandLabels, LabelRow, broken_row, make_row, size_of
from handdata.exchange.orders import slots_of
from handdata.exchange.plain import array_of, with_palm
from handdata.files.text import LARGE, Wanted, read_object
from handdata.geometry import project, xywh_to_xyxy
from handdata.skeleton import HAND_SIDES, NUM_KEYPOINTS

KIND, SIGN = "InterHand2.6M", "annotations have joint_valid of 42 joints"
MIN_JOINTS = 2
_FILE = Wanted(what="labels of InterHand2.6M", fix="Keep the three files together.", largest=LARGE)
_FIRST = {"right": 0, "left": 21}
_DATA, _OTHERS = "_data.json", ("_camera.json", "_joint_3d.json")


def is_it(content: Any) -> bool:
    """Say whether the content of a JSON file is InterHand2.6M's `_data.json`."""
    annotations = content.get("annotations") if isinstance(content, dict) else None
    first = annotations[0] if isinstance(annotations, list) and annotations else {}
    return isinstance(first, dict) and "joint_valid" in first and "keypoints" not in first


def read(path: Path, data: Any) -> Annotations:
    """Read the file of pictures, whose content is given as parsed, and the two beside it.

    Raises:
        MissingError: one of them is not there.
        DataError: one of them holds something else.
    """
    for part in (parts := beside(path)):
        if not part.is_file():
            raise MissingError(part, expected="the file beside it", got="no such file", fix=_FILE.fix)
    cameras, joints = (read_object(part, _FILE) for part in parts)
    rows: list[LabelRow] = []
    left_out: Counter[str] = Counter()
    try:
        images = {image["id"]: image for image in data["images"]}
        annotations = list(data["annotations"])
    except (KeyError, TypeError) as error:
        raise DataError(path, expected="images and annotations", got=repr(error)) from None
    for number, annotation in enumerate(annotations):
        where = f"{path}[annotations][{number}]"
        try:
            hands = list(_hands(annotation, images[annotation["image_id"]], cameras, joints))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            rows.append(broken_row(where, "a picture with its camera and its joints", repr(error)[:80]))
            continue
        left_out["hands without a valid joint"] += 2 - len(hands)
        rows += [make_row(str(facts["file_name"]), facts, where, _hand) for facts in hands]
    return Annotations(rows=tuple(rows), kind=KIND, sign=SIGN, left_out=left_out, dataset="interhand")


def beside(path: Path) -> list[Path]:
    """Return where the two files beside one of pictures lie, by its name."""
    stem = path.name.removesuffix(_DATA)
    return [path.with_name(stem + ending) for ending in _OTHERS]


def _hands(annotation: Any, image: Any, cameras: Any, joints: Any) -> Iterator[dict[str, Any]]:
    """Yield the facts of each hand that has valid joints."""
    capture, camera = str(image["capture"]), str(image["camera"])
    of_camera = {key: values[camera] for key, values in cameras[capture].items()}
    world = array_of(joints[capture][str(image["frame_idx"])]["world_coord"], 42, 3)
    R, center = array_of(of_camera["camrot"], 3, 3), np.array(of_camera["campos"], np.float64)
    valid = np.array(annotation["joint_valid"]).reshape(42).astype(bool)
    xyz = np.where(valid[:, None], (world - center) @ R.T, np.nan)
    both = annotation.get("hand_type") == "interacting"
    for side, first in _FIRST.items():
        here = slice(first, first + 21)
        if valid[here].sum() >= MIN_JOINTS:
            yield {
                **image,
                "sequence": f"Capture{capture}/{image['seq_name']}",
                "subject": f"subject {image['subject']}" if "subject" in image else f"capture {capture}",
                "frame": image["frame_idx"],
                "sample_id": f"{image['file_name']}/{side}",
                "side": side,
                "xyz": xyz[here],
                "K": intrinsics(of_camera["focal"], of_camera["princpt"]),
                "bbox": None if both else annotation.get("bbox"),  # it holds both hands
            }


def _hand(facts: Mapping[str, Any]) -> HandLabels:
    xyz = np.full((NUM_KEYPOINTS, 3), np.nan)
    xyz[slots_of("interhand")] = facts["xyz"]
    box: Sequence[float] = facts["bbox"] or [np.nan] * 4
    return HandLabels(
        side=HAND_SIDES.index(facts["side"]),
        uv=with_palm(project(xyz, facts["K"])),
        xyz=with_palm(xyz),
        unit="mm",
        K=facts["K"],
        bbox_xyxy=xywh_to_xyxy(four_numbers(box)),
        size=size_of(facts),
    )

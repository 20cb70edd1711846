"""One row of a shard as a hand."""

from typing import Any

import numpy as np

from handdata.errors import DataError
from handdata.shards.hand import Hand
from handdata.shards.reader import ShardReader
from handdata.shards.schema import LABELS, BoxSource, Flag
from handdata.skeleton import HAND_SIDES

_NAMES = tuple(field.name for field in LABELS if field.name not in {"row_hash", "sequence", "camera"})


def read_hand(reader: ShardReader, row: int, *, dataset: str, split: str) -> Hand:
    """Return a row as a hand in the pixels of its canvas, the picture as shipped behind it.

    Raises:
        DataError: a stored number that names nothing.
    """
    label = {name: reader.view(name)[row] for name in _NAMES}
    _check_enums(label, f"{reader.path}[{row}]")
    shipped = Hand(
        image=None,
        size=(int(label["image_size"][0]), int(label["image_size"][1])),
        side=HAND_SIDES[int(label["hand_side"])],
        keypoints_2d=label["keypoints_2d"],
        keypoints_3d=label["keypoints_3d"],
        keypoints_3d_normalized=label["keypoints_3d_normalized"],
        scale_mm=float(label["scale_mm"]),
        annotated_2d=np.array(label["annotated_2d"]),
        annotated_3d=np.array(label["annotated_3d"]),
        in_frame=np.array(label["in_frame"]),
        visible=np.array(label["visible"]),
        K=label["K"],
        box=label["bbox_xyxy"],
        box_source=BoxSource(int(label["bbox_source"])),
        crop_box=label["crop_xyxy"],
        palm_center_2d=label["palm_center_2d"],
        palm_center_3d=label["palm_center_3d"],
        has_object={1: True, 0: False}.get(int(label["has_object"])),
        id=bytes(label["sample_id"]).decode(),
        dataset=dataset,
        split=split,
        sequence=reader.sequences[int(reader.view("sequence")[row])],
        camera=reader.cameras[int(reader.view("camera")[row])],
        frame=int(label["frame"]),
        flags=Flag(int(label["flags"])),
    )
    bits, mask = reader.foreground, reader.mask
    return shipped.on_canvas(
        np.array(reader.images[row]),
        label["source_to_canvas"],
        foreground=None if bits is None else np.unpackbits(bits[row], axis=-1).astype(np.bool_),
        mask=None if mask is None else np.array(mask[row]),
    )


def _check_enums(label: dict[str, Any], where: str) -> None:
    """Refuse a stored number that names nothing.

    Raises:
        DataError: so it is.
    """
    for name, count in (("hand_side", len(HAND_SIDES)), ("bbox_source", len(BoxSource))):
        if not 0 <= int(label[name]) < count:
            fix = "Convert that dataset again."
            raise DataError(f"{where}[{name}]", expected=f"0 to {count - 1}", got=str(int(label[name])), fix=fix)

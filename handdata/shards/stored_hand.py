"""One row of a shard as a hand."""

from typing import TYPE_CHECKING, Any

import numpy as np

from handdata.errors import DataError
from handdata.shards.hand import Hand
from handdata.shards.index import folder_facts
from handdata.shards.reader import AGAIN, ShardReader
from handdata.shards.schema import LABELS, BoxSource, Flag
from handdata.skeleton import SIDE_NAMES

if TYPE_CHECKING:
    from handdata.shards.dataset import Dataset

_NAMES = tuple(field.name for field in LABELS if field.name not in {"row_hash", "sequence", "camera"})


def read_hand(reader: ShardReader, row: int, *, dataset: str, split: str) -> Hand:
    """Return a row as a hand in the pixels of its canvas, the picture as shipped behind it.

    Raises:
        DataError: a damaged row, or a stored number that names nothing.
    """
    reader.check_row(row)
    label = {name: reader.view(name)[row] for name in _NAMES}
    places = {name: int(reader.view(name)[row]) for name in ("sequence", "camera")}
    _check_enums(label | places, f"{reader.path}[{row}]", reader)
    facts = folder_facts(reader.path.parent)
    shipped = Hand(
        image=None,
        size=(int(label["image_size"][0]), int(label["image_size"][1])),
        side=SIDE_NAMES[int(label["hand_side"])],
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
        origin=facts.origin,
        provenance=facts.provenance,
        split=split,
        sequence=reader.sequences[places["sequence"]],
        camera=reader.cameras[places["camera"]],
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


def _check_enums(label: dict[str, Any], where: str, reader: ShardReader) -> None:
    """Refuse a stored number that names nothing, and an id that is no text.

    Raises:
        DataError: so it is.
    """
    for name, count in _counts(reader).items():
        if not 0 <= int(label[name]) < count:
            raise DataError(f"{where}[{name}]", expected=f"0 to {count - 1}", got=str(int(label[name])), fix=AGAIN)
    if not bytes(label["sample_id"]).isascii():
        raise DataError(f"{where}[sample_id]", expected="ASCII", got=repr(bytes(label["sample_id"])), fix=AGAIN)


def check_stored(data: "Dataset") -> None:
    """Refuse hands of which a stored number names nothing, as `read_hand` does one by one.

    Raises:
        DataError: there is one; the first is named.
    """
    shard, row = data.locate(np.arange(len(data)))
    for number in np.unique(shard).tolist():
        reader, rows = data.shards.reader(number), row[shard == number]
        for name, count in _counts(reader).items():
            stored = reader.take(name, rows).astype(np.int64)
            for wrong in rows[(stored < 0) | (stored >= count)][:1].tolist():
                read_hand(reader, wrong, dataset="", split="")


def _counts(reader: ShardReader) -> dict[str, int]:
    """Return how many names the numbers of an array can name, by field."""
    tables = {"sequence": len(reader.sequences), "camera": len(reader.cameras)}
    return {"hand_side": len(SIDE_NAMES), "bbox_source": len(BoxSource), **tables}

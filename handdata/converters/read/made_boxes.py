"""Hand boxes that somebody made, for any dataset with sequences. They decide the crop: docs/method.md 3.6."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from handdata.boxes import BoxTable, has_tables, load_boxes
from handdata.converters.options import Options
from handdata.converters.protocol import Item
from handdata.errors import ConfigError
from handdata.shards.schema import BoxSource, Sample


def made_boxes(options: Options) -> BoxTable | None:
    """Return the boxes asked for with `--boxes`, else those under data/boxes/<dataset>, None without either.

    Raises:
        HanddataError: a table that cannot be read, or `--boxes` is not there.
    """
    if options.boxes is not None:
        return load_boxes(options.boxes)
    default = options.boxes_default
    return load_boxes(default) if default is not None and has_tables(default) else None


def require_matches(boxes: BoxTable | None, items: Sequence[Item], options: Options) -> str:
    """Refuse boxes asked for with `--boxes` of which none is of any picture.

    Returns:
        A warning where boxes found by themselves match nothing; "" if all is well.

    Raises:
        ConfigError: none of the pictures has one.
    """
    if boxes is None or any(boxes.find(i.sequence, Path(i.image).name) is not None for i in items if i.sequence):
        return ""
    first, named = items[0], next(iter(boxes.rows), ("", "none"))
    if options.boxes is None:
        return f"{options.boxes_default}: none of the {len(boxes.rows)} boxes belongs to these pictures: not used"
    expected = f"boxes of the pictures, such as {first.sequence}/{Path(first.image).name}"
    got = f"{len(boxes.rows)} of others, the first {'/'.join(named)}"
    raise ConfigError(f"--boxes {options.boxes}", expected=expected, got=got, fix="Name them as the pictures are.")


def with_box(sample: Sample, item: Item, boxes: BoxTable | None) -> Sample:
    """Give a sample its picture's made box, if there is one and the sample is of a sequence."""
    if boxes is None or not item.sequence:
        return sample
    box, source = boxes.lookup(item.sequence, Path(item.image).name)
    return replace(sample, bbox_xyxy=box, bbox_source=BoxSource(source)) if source else sample

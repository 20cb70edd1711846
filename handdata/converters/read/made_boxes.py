"""Hand boxes that somebody made, for any dataset with sequences. They decide the crop: docs/method.md 3.6."""

from dataclasses import replace
from pathlib import Path

from handdata.boxes import BoxTable, has_tables, load_boxes
from handdata.converters.options import Options
from handdata.converters.protocol import Item
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


def with_box(sample: Sample, item: Item, boxes: BoxTable | None) -> Sample:
    """Give a sample its picture's made box, if there is one and the sample is of a sequence."""
    if boxes is None or not item.sequence:
        return sample
    box, source = boxes.lookup(item.sequence, Path(item.image).name)
    return replace(sample, bbox_xyxy=box, bbox_source=BoxSource(source)) if source else sample

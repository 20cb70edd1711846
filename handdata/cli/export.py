"""`handdata export`: shards to COCO, WebDataset or CVAT."""

from pathlib import Path

import click

from handdata.cli.options import data_root_option, shard_folder
from handdata.paths import DataRoot

FORMATS = ("coco", "webdataset", "cvat")
PICTURES = ("png", "jpg")


@click.command("export")
@click.argument("path")
@click.option(
    "--format", "kind", type=click.Choice(FORMATS), default="coco", show_default=True, help="Format to write."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="Export only this split [default: all].")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after this many samples of each split.")
@click.option(
    "--pictures", type=click.Choice(PICTURES), default="png", show_default=True, help="Picture format; png is exact."
)
@data_root_option
@click.pass_obj
def export_command(
    data_root: DataRoot, path: str, *, kind: str, out: Path, split: str | None, limit: int | None, pictures: str
) -> None:
    """Write converted shards in another program's format.

    PATH is a folder of shards or the name of a dataset. The pictures are the canvases; the labels are in canvas pixels.

    \b
    Example:
      handdata export stereo --format webdataset --split val --out /tmp/stereo-val
    """
    from handdata.exchange.export import export
    from handdata.shards.dataset import open_dataset

    dataset = open_dataset(shard_folder(data_root, path), split)
    click.echo(f"{export(dataset, out, kind, picture=pictures, limit=limit)} samples -> {out}")

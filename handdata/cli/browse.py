"""`handdata browse`: look at canvases, or at what the network is shown, with the labels drawn."""

from pathlib import Path

import click

from handdata.cli.options import data_root_option, shard_folder
from handdata.paths import DataRoot


@click.command("browse")
@click.argument("path", metavar="PATH|NAME")
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="Use only this split [default: all].")
@click.option("--transformed", is_flag=True, help="Show augmented crops as the network sees them.")
@click.option("--recipe", default="", help="Augment as this recipe does [default: the published ranges].")
@click.option("--count", type=click.IntRange(1, 400), default=24, show_default=True, help="Number of samples to show.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the augmentation; another seed shows other views."
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="PNG to write [default: browse-<name>.png]."
)
@data_root_option
@click.pass_obj
def browse_command(
    data_root: DataRoot,
    path: str,
    split: str | None,
    transformed: bool,
    recipe: str,
    count: int,
    seed: int,
    out: Path | None,
) -> None:
    """Write a contact sheet of a converted dataset, given by folder or by name, as a PNG.

    Samples are spread evenly over the dataset. Circles are hollow where the keypoint is labelled as hidden.

    \b
    Example:
      handdata browse stereo --count 12
      handdata browse data/shards/synthhands --transformed --out augmented.png
    """
    from handdata.check.canvases import draw_sheet, write_png

    folder = shard_folder(data_root, path)
    if transformed or recipe:
        from handdata.train.contact_sheet import draw_augmented_sheet

        sheet = draw_augmented_sheet(folder, split, count, recipe=recipe, seed=seed)
    else:
        sheet = draw_sheet(folder, split, count)
    target = out or Path(f"browse-{folder.name}.png")
    write_png(target, sheet)
    click.echo(str(target))

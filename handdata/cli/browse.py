"""`handdata browse`: look at shards on a local page, on a page without a server, or on a contact sheet."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from handdata.cli.complete import complete_recipe, complete_results, complete_shards
from handdata.cli.options import NamedPath, data_root_option, page_options, page_packages, run_path, shard_folder
from handdata.paths import DataRoot

if TYPE_CHECKING:
    from handdata.browse.browsing import Browsing
    from handdata.browse.training_view import TrainingView

SHEET_HANDS, STATIC_HANDS = 24, 120


@click.command("browse")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, shell_complete=complete_shards)
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="Use only this split [default: all]")
@click.option(
    "--errors",
    "runs",
    multiple=True,
    type=NamedPath(path_type=Path),
    shell_complete=complete_results,
    help="Run, or its results.json, whose errors become columns; give it twice to compare two.",
)
@click.option("--transformed", is_flag=True, help="Show augmented crops as the network sees them.")
@click.option(
    "--recipe",
    default="",
    shell_complete=complete_recipe,
    help="Augment as this recipe does [default: the published ranges]",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the augmentation; another seed shows other views."
)
@click.option("--out", type=NamedPath(dir_okay=False, path_type=Path), help="Contact sheet to write, a PNG.")
@click.option(
    "--static",
    type=NamedPath(dir_okay=False, path_type=Path),
    help="Page to write as one HTML file that needs no server; .html is added to a name without an ending.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 400),
    help=f"Number of hands on a sheet [default: {SHEET_HANDS}] or a --static page [default: {STATIC_HANDS}]",
)
@page_options(port=8768)
@data_root_option
@click.pass_obj
def browse_command(
    data_root: DataRoot,
    paths: tuple[str, ...],
    split: str | None,
    runs: tuple[Path, ...],
    transformed: bool,
    recipe: str,
    seed: int,
    out: Path | None,
    static: Path | None,
    count: int | None,
    host: str,
    port: int,
) -> None:
    """Look at converted hands: filter, sort, compare runs, tag what is wrong, save what was chosen.

    PATH is a folder of shards or the name of a dataset; give several to look at them together. Opens a local page. With
    --out or --count it writes a contact sheet instead, a PNG of hands spread evenly over the dataset. Circles are hollow
    where the keypoint is labelled as hidden.

    \b
    Examples:
      handdata browse stereo
      handdata browse rhd --errors runs/first --errors runs/second
      handdata browse rhd --static look.html --count 200
      handdata browse data/shards/synthhands --transformed --out augmented.png
    """
    folders = [shard_folder(data_root, path) for path in paths]
    if static is None and (out is not None or count is not None):
        if len(folders) > 1:
            raise click.UsageError("A contact sheet shows one PATH.")
        is_augmented = transformed or bool(recipe)
        _sheet(folders[0], split, count or SHEET_HANDS, out, augmented=(recipe, seed) if is_augmented else None)
        return
    if len(runs) > 2:
        raise click.UsageError("Give --errors once or twice.")
    from handdata.browse.browsing import Browsing
    from handdata.browse.training_view import TrainingView

    browsing = Browsing(data_root, folders, split, [run_path(data_root, run) for run in runs])
    training = TrainingView(browsing.parts, recipe, seed) if transformed or recipe else None
    if static is not None:
        from handdata.browse.static import write_static

        static = static if static.suffix else static.with_suffix(".html")  # browsers show other files as text
        if static.suffix.lower() not in (".html", ".htm"):
            raise click.UsageError(f"--static {static}: the page is HTML; give a name that ends in .html")
        click.echo(f"{write_static(static, browsing, count or STATIC_HANDS, training)} hands -> {static}")
        return
    _serve(browsing, training, host, port)


def _sheet(folder: Path, split: str | None, count: int, out: Path | None, *, augmented: tuple[str, int] | None) -> None:
    from handdata.check.canvases import draw_sheet, write_png

    target = out or Path(f"browse-{folder.name}.png")
    if target.suffix.lower() != ".png":
        raise click.UsageError(f"--out {target}: the sheet is a PNG; give a name that ends in .png")
    if augmented is not None:
        from handdata.train.contact_sheet import draw_augmented_sheet

        sheet = draw_augmented_sheet(folder, split, count, recipe=augmented[0], seed=augmented[1])
    else:
        sheet = draw_sheet(folder, split, count)
    write_png(target, sheet)
    click.echo(str(target))


def _serve(browsing: "Browsing", training: "TrainingView | None", host: str, port: int) -> None:
    with page_packages("browse", "write a page or a sheet: --static FILE, --out FILE"):
        from handdata.browse.server import serve
        from handdata.serving.local import listen
    with listen(host, port) as sock:
        serve(browsing, sock, host, training)

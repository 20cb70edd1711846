"""handdata predict: a trained model on pictures."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handdata.cli.options import data_root_option, print_json, run_path
from handdata.paths import DataRoot

if TYPE_CHECKING:
    from handdata.train.predict import Found


@click.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("pictures", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of overlays [default: RUN/predicted]"
)
@click.option(
    "--hand", type=click.Choice(["left", "right"]), default="left", show_default=True, help="The person's hand."
)
@click.option("--box", type=float, nargs=4, metavar="X Y W H", help="Of the hand, px, in every picture.")
@click.option(
    "--read-out",
    "rule",
    type=click.Choice(["thresholded", "expectation", "maximum"]),
    help="From heatmaps to keypoints [default: the model's own]",
)
@click.option(
    "--onnx",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the model to this file; alone, only that.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@data_root_option
@click.pass_obj
def predict_command(
    root: DataRoot,
    run: Path,
    pictures: tuple[Path, ...],
    out: Path | None,
    hand: str,
    box: tuple[float, float, float, float] | None,
    rule: str | None,
    onnx: Path | None,
    device: str,
) -> None:
    """Find 21 keypoints in PICTURES (files or folders) with the model of RUN, a run's name or folder.

    The keypoints go to standard output as JSON, in pixels of each picture and as normalised 3D; the pictures with the
    skeleton drawn on go to a folder. The model looks at --box, or at the largest centred square of the picture.
    With --onnx the model itself goes to a file that ONNX runtimes read: a crop's bytes in, keypoints out.

    \b
    Example:
      handdata predict demo hand.jpg --box 120 80 200 200 > hand.json
      handdata predict best --onnx best.onnx
    """
    from handdata.errors import MissingError
    from handdata.progress import say, track
    from handdata.skeleton import HAND_SIDES
    from handdata.train import checkpoint
    from handdata.train.predict import SUFFIXES, Picture, find_hands, predictions_json, write_overlay

    if not pictures and not onnx:
        raise click.UsageError("give PICTURES, or --onnx FILE.")
    if box and not (all(math.isfinite(edge) for edge in box) and min(box[2:]) > 0):
        raise click.BadParameter(f"X Y W H with W and H above 0, not {' '.join(map(str, box))}", param_hint="--box")
    folder = run_path(root, run)
    saved = checkpoint.load(folder)
    if onnx:
        from handdata.model.onnx import write_onnx

        click.echo(write_onnx(onnx, saved.trained, rule), err=bool(pictures))
        if not pictures:
            return
    paths = [path for given in pictures for path in (sorted(given.iterdir()) if given.is_dir() else [given])]
    paths = [path for path in paths if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise MissingError(
            pictures[0], expected="pictures", got="none", fix=f"Known are {', '.join(sorted(SUFFIXES))}."
        )
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        raise click.UsageError("two of the pictures have the same file name; give them in two commands.")
    edges = (box[0], box[1], box[0] + box[2], box[1] + box[3]) if box else None
    asked = [Picture(path=path, side=HAND_SIDES.index(hand), box_xyxy=edges) for path in paths]
    target = out or folder / "predicted"
    found = []
    hands = find_hands(saved, asked, device=device, rule=rule)  # type: ignore[arg-type]
    for one in track(_with_own_fix(hands), "predicting", len(asked)):
        write_overlay(target, one)
        found.append(one)
    say(f"{len(found)} {'overlay' if len(found) == 1 else 'overlays'} in {target}")
    print_json(predictions_json(saved, found))


def _with_own_fix(hands: Iterable["Found"]) -> Iterator["Found"]:
    """Pass hands on; of a damaged picture, leave out what only `convert` can do about it."""
    from handdata.errors import DataError

    try:
        yield from hands
    except DataError as error:
        fix = "Save it again, or leave it out."
        raise DataError(error.where, expected=error.expected, got=error.got, fix=fix) from error

"""handdata predict: a trained model on pictures."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handdata.cli.options import data_root_option, print_json, run_path
from handdata.errors import ConfigError, DataError, MissingError
from handdata.paths import DataRoot

if TYPE_CHECKING:
    from handdata.evaluation.absolute import Size
    from handdata.model.place import Lens

OWN = "compact"  # weights that come with the package


@click.command("predict")
@click.argument("run", type=click.Path(path_type=Path), metavar="[RUN]")
@click.argument("pictures", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of overlays [default: RUN/predicted]"
)
@click.option(
    "--hand",
    type=click.Choice(["left", "right", "auto"]),
    default="left",
    show_default=True,
    help="The person's hand; auto: as the model sees it, where it tells sides apart (compact).",
)
@click.option("--box", type=float, nargs=4, metavar="X Y W H", help="Box of the hand in every picture, px.")
@click.option(
    "--read-out",
    "rule",
    type=click.Choice(["thresholded", "expectation", "maximum"]),
    help="Read-out from heatmaps to keypoints [default: the model's own]",
)
@click.option(
    "--onnx",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the model to this file; without pictures, nothing else is done.",
)
@click.option("--focal", type=click.FloatRange(min=0, min_open=True), help="Focal length of the camera, px.")
@click.option(
    "--fov",
    type=click.FloatRange(0, 180, min_open=True, max_open=True),
    help="Horizontal field of view of the camera, degrees.",
)
@click.option(
    "--camera",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON file with the 3 x 3 intrinsics K of the camera, px.",
)
@click.option(
    "--hand-size",
    metavar="MM|adult",
    help="Length from wrist to middle knuckle; with a camera it gives millimetres [default: adult]",
)
@click.option("--device", default="auto", show_default=True, help="Device: auto, cpu, cuda or cuda:N.")
@data_root_option
@click.pass_obj
def predict_command(
    data_root: DataRoot,
    run: Path,
    pictures: tuple[Path, ...],
    out: Path | None,
    hand: str,
    box: tuple[float, float, float, float] | None,
    rule: str | None,
    onnx: Path | None,
    focal: float | None,
    fov: float | None,
    camera: Path | None,
    hand_size: str | None,
    device: str,
) -> None:
    """Find 21 keypoints in PICTURES (files or folders) with the model of RUN, a run's name or folder.

    If the first word is a picture, RUN is left out and the weights that come with the package are used: compact.

    The keypoints go to standard output as JSON, in pixels of each picture and as normalised 3D. Copies of the pictures
    with the skeleton drawn go to a folder. The model sees --box, or the largest centred square of the picture.
    With --focal, --fov or --camera the keypoints are also given in millimetres in the camera's frame. Their depth is
    proportional to the assumed hand size: one picture cannot tell a small, near hand from a large, distant one.
    With --onnx the model goes to a file for ONNX runtimes: the bytes of a crop in, keypoints out.

    \b
    Example:
      handdata predict hand.jpg
      handdata predict demo hand.jpg --box 120 80 200 200 > hand.json
      handdata predict demo hand.jpg --fov 68 --hand-size adult
      handdata predict best --onnx best.onnx
    """
    from handdata.model.found import SUFFIXES, as_sample, overlay_names, predictions_json, write_overlay
    from handdata.model.model import BATCH, Model
    from handdata.model.place import place
    from handdata.model.released import find_trained
    from handdata.pictures.decode import image_size
    from handdata.progress import meter, say

    run, pictures = _run_or_own(run, pictures, SUFFIXES)
    if not pictures and not onnx:
        raise click.UsageError("give PICTURES, or --onnx FILE.")
    if box and not (all(math.isfinite(edge) for edge in box) and min(box[2:]) > 0):
        raise click.BadParameter(f"X Y W H with W and H above 0, not {' '.join(map(str, box))}", param_hint="--box")
    lens, size = _lens_and_size(focal, fov, camera, hand_size)
    folder = run_path(data_root, run)
    trained = find_trained(folder)
    if onnx:
        from handdata.model.onnx import write_onnx

        click.echo(write_onnx(onnx, trained, rule), err=bool(pictures))
        if not pictures:
            return
    paths = _picture_files(pictures, SUFFIXES)
    edges = (box[0], box[1], box[0] + box[2], box[1] + box[3]) if box else None
    target, model, hands = out or (folder if folder.is_dir() else Path()) / "predicted", Model(trained, device), []
    names = overlay_names(paths)
    with _in_this_commands_words(box), meter("predicting", len(paths)) as bar:
        for first in range(0, len(paths), BATCH):
            part = slice(first, first + BATCH)
            cameras = [lens.intrinsics(*image_size(path)) for path in paths[part]] if lens else None
            found = model(paths[part], [edges] * len(paths[part]), hand, K=cameras, read_out=rule)
            for name, one in zip(names[part], found, strict=True):
                write_overlay(target / name, one)
                placed, depth_sd = place(one, size) if lens else (one, None)
                hands.append(as_sample(placed, depth_sd))
                bar.advance()
    say(f"{len(hands)} {'overlay' if len(hands) == 1 else 'overlays'} in {target}")
    if lens:
        say(f"millimetres rest on {size.mm:g} +- {size.sd_mm:g} mm from wrist to middle knuckle: {size.source}")
    print_json(predictions_json(trained, hands, size if lens else None))


def _lens_and_size(
    focal: float | None, fov: float | None, camera: Path | None, hand_size: str | None
) -> "tuple[Lens | None, Size]":
    """Return what the camera and the hand are said to be."""
    from handdata.model.place import Lens, read_lens, size_of

    given = [name for name, value in (("--focal", focal), ("--fov", fov), ("--camera", camera)) if value is not None]
    if len(given) > 1:
        raise click.UsageError(f"give one of {', '.join(given)}.")
    if hand_size is not None and not given:
        raise click.UsageError("--hand-size goes with --focal, --fov or --camera.")
    try:
        size = size_of(hand_size)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--hand-size") from error
    if camera is not None:
        return read_lens(camera), size
    return Lens(focal_px=focal, fov_deg=fov) if given else None, size


def _run_or_own(run: Path, pictures: tuple[Path, ...], suffixes: Sequence[str]) -> tuple[Path, tuple[Path, ...]]:
    """Take a first word that is a picture for one, and the weights that come with the package for the run."""
    return (Path(OWN), (run, *pictures)) if run.suffix.lower() in suffixes and run.is_file() else (run, pictures)


def _picture_files(given: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """Return the named pictures and those in the named folders.

    Raises:
        MissingError: there are none.
    """
    paths = [path for one in given for path in (sorted(one.iterdir()) if one.is_dir() else [one])]
    paths = [path for path in paths if path.suffix.lower() in suffixes]
    if not paths:
        fix = f"Known are {', '.join(sorted(suffixes))}."
        raise MissingError(given[0], expected="pictures", got="none", fix=fix)
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        raise click.UsageError("two of the pictures have the same file name; give them in two commands.")
    return paths


@contextmanager
def _in_this_commands_words(box: Sequence[float] | None) -> Iterator[None]:
    """Tell of a damaged picture without what only `convert` can do, and of a box as it was given here."""
    try:
        yield
    except DataError as error:
        fix = "Save it again, or leave it out."
        raise DataError(error.where, expected=error.expected, got=error.got, fix=fix) from error
    except ConfigError as error:
        if box is None or not error.got.startswith("box_xyxy"):
            raise
        got = f"--box {' '.join(f'{edge:g}' for edge in box)}"
        fix = "Give the left, top, width and height of the hand in px of this picture."
        raise ConfigError(error.where, expected=error.expected, got=got, fix=fix) from error

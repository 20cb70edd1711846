"""What commands are told of a camera and of a hand's size, for millimetres."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from handdata.evaluation.absolute import Size
    from handdata.model.place import Lens

LENS = ("focal", "fov", "camera", "hand_size")


def lens_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--focal`, `--fov`, `--camera` and `--hand-size` to a command."""
    options = (
        click.option("--focal", type=click.FloatRange(min=0, min_open=True), help="Focal length of the camera, px."),
        click.option(
            "--fov",
            type=click.FloatRange(0, 180, min_open=True, max_open=True),
            help="Horizontal field of view of the camera, degrees.",
        ),
        click.option(
            "--camera",
            type=click.Path(dir_okay=False, path_type=Path),
            help="JSON file with the 3 x 3 intrinsics K of the camera, px.",
        ),
        click.option(
            "--hand-size",
            metavar="MM|adult|trained",
            help="Length from wrist to middle knuckle; with a camera it gives millimetres [default: that of the model's training hands, else adult]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def lens_and_size(
    focal: float | None,
    fov: float | None,
    camera: Path | None,
    hand_size: str | None,
    *,
    trained: "Size | None" = None,
    needs_camera: bool = False,
) -> "tuple[Lens | None, Size]":
    """Return what the camera, None where nothing is said of it, and the hand are said to be.

    Without a hand size it is `trained`, that of the model's training hands, and without that the adults'.

    Raises:
        UsageError: more than one camera; a hand size and no camera where one is needed.
        BadParameter: a hand size that is neither mm nor a word for one.
    """
    from handdata.model.place import Lens, read_lens, size_of

    given = [name for name, value in (("--focal", focal), ("--fov", fov), ("--camera", camera)) if value is not None]
    if len(given) > 1:
        raise click.UsageError(f"give one of {', '.join(given)}.")
    if needs_camera and hand_size is not None and not given:
        raise click.UsageError("--hand-size goes with --focal, --fov or --camera.")
    try:
        size = size_of(hand_size, trained)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--hand-size") from error
    if camera is not None:
        return read_lens(camera), size
    return Lens(focal_px=focal, fov_deg=fov) if given else None, size

"""What commands are told of a camera and of a hand's size, for millimetres."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handdata.cli.options import FiniteRange, NamedPath

if TYPE_CHECKING:
    from handdata.evaluation.absolute import Size
    from handdata.model.place import Lens

LENS = ("focal", "fov", "camera", "hand_size")


def lens_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--focal`, `--fov`, `--camera` and `--hand-size` to a command."""
    options = (
        click.option("--focal", type=FiniteRange(1, 1_000_000), help="Focal length of the camera, px."),
        click.option(
            "--fov",
            type=FiniteRange(0.01, 179),
            help="Horizontal field of view of the camera, degrees.",
        ),
        click.option(
            "--camera",
            type=NamedPath(dir_okay=False, path_type=Path),
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


def lens_of(focal: float | None, fov: float | None, camera: Path | None) -> "Lens | None":
    """Return what the camera is said to be; None where nothing is said of it.

    Raises:
        UsageError: more than one camera.
    """
    from handdata.model.place import Lens, read_lens

    given = [name for name, value in (("--focal", focal), ("--fov", fov), ("--camera", camera)) if value is not None]
    if len(given) > 1:
        raise click.UsageError(f"give one of {', '.join(given)}.")
    if camera is not None:
        return read_lens(camera)
    return Lens(focal_px=focal, fov_deg=fov) if given else None


def said_size(hand_size: str | None, trained: "Size | None") -> "Size":
    """Return what the hand is said to be.

    Where nothing is said it is `trained`, the size of the model's training hands, and without that the adults'.

    Raises:
        BadParameter: neither mm nor a word for a size.
    """
    from handdata.model.place import size_of

    try:
        return size_of(hand_size, trained)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--hand-size") from error

"""Write rendered frames in the native layout of one dataset; the module is named after the dataset."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

from handdata.synth.frame import Style
from handdata.synth.native.tree import Request

WRITTEN = (  # a line per dataset
    "stereo",
    "dexter",
    "dexter1",
    "egodexter",
    "synthhands",
    "rhd",
    "ganerated",
    "freihand",
    "interhand",
    "wholebody",
    "dexycb",
    "ho3d",
)


def _write(name: str, root: Path, request: Request, workers: int) -> int:
    count: int = import_module(f"{__name__}.{name}").write(root, request, workers)
    return count


NATIVE_WRITERS: dict[str, Callable[[Path, Request, int], int]] = {name: partial(_write, name) for name in WRITTEN}


def write_native(
    dataset: str,
    root: Path,
    frames: int,
    *,
    seed: int,
    style: Style = "clean",
    small: bool = False,
    faults: Sequence[str] = (),
    workers: int = 1,
    backgrounds: Sequence[str] = (),
) -> int:
    """Render one dataset's native tree; what is there already from the same call is kept.

    Args:
        dataset: a name in NATIVE_WRITERS; its module tells the layout.
        root: the dataset's own folder.
        frames: samples in total, as `convert` counts them with its defaults.
        seed: of the rendering.
        style: look of light, noise, skin and backgrounds.
        small: the coarse mesh, for tests.
        faults: some of `tree.FAULTS`.
        workers: processes; they change no byte. As for `convert`, a script calls it below a guard.
        backgrounds: picture files behind the hand; procedural ones when empty.

    Returns:
        The number of samples.

    Raises:
        ConfigError: `root` holds something else, or a fault is unknown.
    """
    request = Request(
        dataset=dataset,
        frames=frames,
        seed=seed,
        style=style,
        small=small,
        faults=tuple(faults),
        backgrounds=tuple(backgrounds),
    )
    return NATIVE_WRITERS[dataset](root, request, workers)

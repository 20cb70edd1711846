"""Write rendered frames in the native layout of one dataset; the module is named after the dataset."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from handdata.synth.frame import Style
from handdata.synth.native import stereo


class NativeWriter(Protocol):
    """Writes `frames` samples into the dataset's own folder `root`; see each module for the layout."""

    def __call__(
        self,
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
        """Return the number of samples written; what is there already from the same call is kept."""


NATIVE_WRITERS: dict[str, NativeWriter] = {
    "stereo": stereo.write,
}

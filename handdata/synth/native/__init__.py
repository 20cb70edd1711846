"""Write rendered frames in the native layout of one dataset; the module is named after the dataset."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from handdata.synth.frame import Style
from handdata.synth.native import dexter, dexter1, egodexter, ganerated, rhd, stereo, synthhands


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
    "dexter": dexter.write,
    "dexter1": dexter1.write,
    "egodexter": egodexter.write,
    "ganerated": ganerated.write,
    "rhd": rhd.write,
    "stereo": stereo.write,
    "synthhands": synthhands.write,
}

"""Hands that are to be mended, as files of ids and the commands that open them on the page of keypoints."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from handdata.annotate.keypoints.canvases import MOST
from handdata.errors import ConfigError
from handdata.files.whole import write_text

ENDING = ".mend.txt"


@dataclass(frozen=True, slots=True)
class Sending:
    """Hands of one folder, sent to the annotator.

    Attributes:
        hands: how many.
        file: of their ids, one per line.
        command: that opens them.
    """

    hands: int
    file: Path
    command: str


def send(folder: Path, ids: Sequence[str]) -> Sending:
    """Write the ids of hands of a folder beside it, as `<folder>.mend.txt`, in their order; return what opens them.

    Raises:
        ConfigError: more hands than the annotator's page takes, or none.
        WriteError: the file cannot be written.
    """
    if not 0 < len(ids) <= MOST:
        fix = "Filter further." if ids else "Take a filter away."
        raise ConfigError("mend", expected=f"1 to {MOST:,} hands", got=f"{len(ids):,}", fix=fix)
    whole = folder.resolve()
    file = whole.with_name(whole.name + ENDING)
    write_text(file, "".join(f"{name}\n" for name in ids))
    words = ("handdata", "annotate", _short(whole), "--ids", _short(file))
    return Sending(len(ids), file, shlex.join(words))


def _short(path: Path) -> str:
    """Return a path as a person in this folder would write it."""
    here = Path(os.path.relpath(path))
    return str(path if here.parts[0] == ".." else here)

"""Default paths of data, shards and runs.

    <root>/data/native/<dataset>    the archives as unpacked, or what `handdata synth` wrote
    <root>/data/shards/<dataset>    converted
    <root>/data/boxes/<dataset>     boxes a person made
    <root>/data/keypoints/<dataset> keypoints a person placed
    <root>/runs/<name>              training runs

The root is the current folder; `--data-root` or the environment variable HANDDATA_ROOT moves it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from handdata.errors import ConfigError

BACKGROUNDS = "backgrounds"  # the dataset that is a pool of pictures: it lies among the shards too, but holds no hands
LONGEST_NAME = 255  # bytes of a file's name, on every file system in use
_LONGEST_PATH = 4000  # bytes: Linux has 4095, of which what lies in it needs some
RENDERED_MARK = ".handdata-synth.json"  # lies at the root of a tree that `handdata synth` rendered


@dataclass(frozen=True, slots=True)
class DataRoot:
    """The folder that the default paths hang off."""

    root: Path

    def native(self, dataset: str) -> Path:
        """Return the folder of one dataset's native files."""
        return self.root / "data" / "native" / dataset

    def shards(self, dataset: str) -> Path:
        """Return the folder of one dataset's shards."""
        return self.root / "data" / "shards" / dataset

    def boxes(self, dataset: str) -> Path:
        """Return the folder of one dataset's hand boxes."""
        return self.root / "data" / "boxes" / dataset

    def keypoints(self, dataset: str) -> Path:
        """Return the folder of one dataset's keypoints that a person placed."""
        return self.root / "data" / "keypoints" / dataset

    def all_shards(self) -> list[Path]:
        """Return every shard folder that exists, in name order, complete or not."""
        parent = self.root / "data" / "shards"
        return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []

    @property
    def runs(self) -> Path:
        """The folder of training runs."""
        return self.root / "runs"


def path_of(name: Path | str) -> Path:
    """Return a path that a caller named.

    Raises:
        ConfigError: no file can have that name, too long or with a character that no system takes.
    """
    path = Path(name)
    try:
        coded = os.fsencode(path)
    except UnicodeEncodeError:
        coded = b"\0"
    if b"\0" in coded:
        got = "a character that no file's name can have"
    elif (length := max(map(len, coded.split(b"/")))) > LONGEST_NAME:
        got = f"a name of {length:,} bytes"
    elif (length := len(coded)) > _LONGEST_PATH:
        got = f"a path of {length:,} bytes"
    else:
        return path
    raise ConfigError(ascii(str(path)[:40]), expected=f"a path of names of at most {LONGEST_NAME} bytes", got=got)


def run_named(name: Path | str) -> Path:
    """Return the folder that a path means, or that of the run of that name if there is no such path."""
    path = path_of(name)
    named = find_root().runs / path
    return named if named.is_dir() and not path.exists() else path


def shards_named(name: Path | str) -> Path:
    """Return the folder that a path means, or that of the converted dataset of that name if there is no such path."""
    path = path_of(name)
    named = find_root().shards(path.name)
    return named if named.is_dir() and not path.exists() and path.name == str(name) else path


def find_root(given: Path | None = None) -> DataRoot:
    """Return the data root: `given`, else HANDDATA_ROOT, else the current folder."""
    return DataRoot(given if given is not None else Path(os.environ.get("HANDDATA_ROOT") or "."))

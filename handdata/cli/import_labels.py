"""`handdata import`: your own labels to shards; the same as `handdata convert custom`, with the files as arguments."""

from copy import copy
from pathlib import Path
from typing import Any

import click

from handdata.cli.convert import convert_command, convert_one
from handdata.cli.dataset_options import DatasetCommand
from handdata.cli.options import NamedPath, print_json
from handdata.paths import DataRoot

CUSTOM = "custom"
_NOT_ASKED = {"scheduler": None, "job": None, "num_jobs": None}  # options of `convert` that this command lacks

_HELP = {"root": "Folder of the pictures, which are looked for near FILES too [default: data/native/DATASET]"}


@click.pass_obj
def _import(data_root: DataRoot, /, files: tuple[Path, ...], as_json: bool, **asked: Any) -> None:
    """Convert your own labels, FILES of any format that handdata reads, to shards.

    A file's format is found out and said. FILES may be a folder that `handdata export` wrote. Pictures are looked for
    under --root and near the files.

    \b
    Examples:
      handdata import person_keypoints.json --root photos --out shards/mine
      handdata import train.json val.json --side right --split-by random:0.1/0.1
    """
    result = convert_one(CUSTOM, data_root, {**_NOT_ASKED, **asked, "annotations": (*files, *asked["annotations"])})
    line = result.pop("line")
    if as_json:
        print_json(result)
    else:
        click.echo(line)


def _of_import(param: click.Parameter) -> click.Parameter:
    """Return a parameter of `convert` whose help speaks of the one dataset of this command."""
    own = copy(param)
    if isinstance(own, click.Option) and own.help is not None:
        own.help = _HELP.get(own.name or "", own.help).replace("DATASET", CUSTOM)
    return own


_FILES = click.Argument(["files"], nargs=-1, required=True, type=NamedPath(exists=True, path_type=Path))
_SHARED = [_of_import(param) for param in convert_command.params if param.name not in ("dataset", *_NOT_ASKED)]
import_command = DatasetCommand(
    "import", callback=_import, params=[_FILES, *_SHARED], help=_import.__doc__, datasets=(CUSTOM,)
)

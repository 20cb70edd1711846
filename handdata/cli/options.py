"""Options and output that several commands share."""

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from handdata.converters import DATASETS
from handdata.errors import ConfigError, MissingError, WriteError
from handdata.files.opening import is_file
from handdata.paths import DataRoot, find_root

__all__ = [
    "DATASETS",
    "FiniteRange",
    "NamedPath",
    "NamingCommand",
    "data_root_option",
    "is_same_file",
    "json_option",
    "names_given",
    "page_options",
    "page_packages",
    "print_json",
    "refuse_to_replace",
    "refuse_unused",
    "run_path",
    "shard_folder",
]
DATA_ROOT_HELP = "Data root: the folder of data/ and runs/ [default: $HANDDATA_ROOT, else .]"
INDEX = "index.json"  # handdata.shards.reader has it too, but costs an import of h5py


class NamingCommand(click.Command):
    """A command whose help says DATASETS where every dataset is to be named."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = (self.help or "").replace("DATASETS", ", ".join(DATASETS))


class NamedPath(click.Path):
    """A path that is said: "" is none, though Python takes it for the current folder; `--out "$UNSET"` wrote there.

    Args:
        endings: of a file to write, in small letters; another one is refused, so that `--html photo.jpg` replaces no
            photograph.
    """

    def __init__(self, *args: Any, endings: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._endings = tuple(endings)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path.

        Raises:
            BadParameter: it is empty, ends otherwise, or is not what `click.Path` was told to expect.
        """
        if not str(value):
            self.fail("an empty path. Is a variable of the shell unset?", param, ctx)
        path = super().convert(value, param, ctx)
        if self._endings and not str(value).lower().endswith(self._endings):
            self.fail(f"{value} does not end in {' or '.join(self._endings)}.", param, ctx)
        return path


class FiniteRange(click.FloatRange):
    """A range of numbers without nan, which compares false with every bound, and without inf."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number.

        Raises:
            BadParameter: it is none, not finite or out of the range.
        """
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def _set_root(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.obj = find_root(value)


def data_root_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--data-root` to a command; the command reads it as `click.pass_obj`, a DataRoot."""
    return click.option(
        "--data-root",
        type=NamedPath(path_type=Path),
        expose_value=False,
        is_eager=True,
        callback=_set_root,
        help=DATA_ROOT_HELP,
    )(command)


def page_options(port: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `--host` and `--port`, by default `port`, to a command that serves a page."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        command = click.option(
            "--port", type=click.IntRange(0, 65535), default=port, show_default=True, help="Port; 0 takes a free one."
        )(command)
        return click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")(command)

    return add


@contextmanager
def page_packages(command: str, instead: str) -> Iterator[None]:
    """Import in this block what serves a page.

    Args:
        command: that needs it.
        instead: what can be done without.

    Raises:
        MissingError: the packages of pages are not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        fix = f"pip install 'handdata[annotate]', or {instead}."
        raise MissingError(command, expected="starlette and uvicorn", got=f"no {error.name}", fix=fix) from error


def renamed_option(name: str, old: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option that had another name before: the old one works as well, hidden, with a note on standard error."""

    def note(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        if value is not None:
            click.echo(f"handdata: {old} is called {name} now", err=True)
            ctx.meta[old] = value

    def choose(ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        return ctx.meta.get(old) if value is None else value

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        hidden = click.option(
            old, type=settings.get("type"), hidden=True, expose_value=False, is_eager=True, callback=note
        )
        return click.option(name, callback=choose, **settings)(hidden(command))

    return add


def names_given(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Return names A,B as typed; the callback of an option.

    Raises:
        BadParameter: one is empty: all of them would be taken.
    """
    if value is not None and not all(part.strip() for part in value.split(",")):
        raise click.BadParameter(f"names, A,B, not {value!r}. Is a variable of the shell unset?")
    return value


def shard_folder(data_root: DataRoot, word: str) -> Path:
    """Return the shards a word on the command line means: the folder if it holds an index, else a dataset's by name.

    A word with a slash is always a folder, so `./rhd` is never the dataset; so are `.` and `..`.
    """
    if not word:
        raise ConfigError("PATH", expected="a folder of shards or the name of a dataset", got="an empty word")
    folder, named = Path(word), data_root.shards(word)
    if word in (".", "..") or "/" in word or is_file(folder / INDEX, "an index of shards"):
        return folder
    return folder if folder.exists() and not named.is_dir() else named


def run_path(data_root: DataRoot, word: Path) -> Path:
    """Return the run or checkpoint a word on the command line means: the run of that name, else the path itself."""
    named = data_root.runs / word
    return named if word.name not in ("", "..") and named.is_dir() else word


def refuse_to_replace(target: Path, **inputs: Path | None) -> None:
    """Refuse to write a result over what it is made from.

    Args:
        target: file to write.
        inputs: files that are read, by the parameter that names each.

    Raises:
        WriteError: one of them is the target.
    """
    for name, path in inputs.items():
        if path is not None and is_same_file(target, path):
            option = f"--{name.replace('_', '-')}"
            raise WriteError(target, expected=f"another file than {option}", got="that one", fix="Give another --out.")


def is_same_file(a: Path, b: Path) -> bool:
    """Say whether two paths lead to one file that is there."""
    return a.exists() and b.exists() and a.samefile(b)


def refuse_unused(names: Iterable[str], why: str) -> None:
    """Refuse options that would change nothing, instead of ignoring them.

    Args:
        names: of the command's parameters.
        why: what the line says of one that was typed, "goes with a RUN only".
    """
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = next(one for one in context.command.params if one.name == name)
            raise click.BadParameter(why, param_hint=option.opts[0])


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def print_json(value: Any) -> None:
    """Print a result as indented JSON on standard output."""
    json.dump(value, sys.stdout, indent=2, sort_keys=False)
    sys.stdout.write("\n")

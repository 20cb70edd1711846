"""The command line: parse, make one call, print. One module per group of commands; each is imported when it is first used."""

import errno
import importlib
import re
import sys
from difflib import get_close_matches
from pathlib import Path

import click

from handdata import __version__
from handdata.cli.options import DATA_ROOT_HELP, NamedPath
from handdata.errors import HanddataError, MissingError
from handdata.paths import find_root

# command -> "module:attribute" under handdata.cli, in the order `handdata --help` shows them
COMMANDS = {
    "demo": "demo:demo_command",
    "synth": "synth:synth_command",
    "convert": "convert:convert_command",
    "import": "import_labels:import_command",
    "annotate": "annotate_points:annotate_command",
    "annotate-bbox": "annotate:annotate_bbox_command",
    "annotate-depth": "annotate_depth:annotate_depth_command",
    "train": "train:train_command",
    "evaluate": "evaluate:evaluate_command",
    "predict": "predict:predict_command",
    "label": "label:label_command",
    "report": "report:report_command",
    "runs": "train:runs_command",
    "datasets": "check:datasets_command",
    "doctor": "check:doctor_command",
    "verify": "check:verify_command",
    "stats": "check:stats_command",
    "diff": "check:diff_command",
    "browse": "browse:browse_command",
    "export": "export:export_command",
    "subset": "recut:subset_command",
    "merge": "recut:merge_command",
    "split": "recut:split_command",
}
OTHER_NAMES = {"track": "predict"}  # not listed; `convert custom` has its other name, `import`, among the commands
INTERRUPTED = 130
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WRONG_PLACE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
    errno.EIO, errno.ELOOP, errno.ESTALE, errno.ENOTCONN,
}  # fmt: skip  # the second line: disks and networks that fail, links in a circle
_TOO_MANY = {errno.EMFILE, errno.ENFILE}
_SAID_OF_MEMORY = re.compile(  # by the loader of libraries, PyTorch, OpenCV and the system
    "failed to map segment|annot allocate memory|can't allocate memory|not enough memory|Insufficient memory"
)


class LazyGroup(click.Group):
    """A group whose commands are imported only when they are asked for, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the command names, in the order of the main job."""
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return a command and its arguments; of an unknown one the nearest is named.

        Raises:
            UsageError: no such command.
        """
        is_known = args[0] in COMMANDS or args[0] in OTHER_NAMES
        near = [] if is_known else get_close_matches(args[0].lower(), COMMANDS, n=1)
        if near and not args[0].startswith("-"):
            raise click.UsageError(f"No such command '{args[0]}'. Did you mean '{near[0]}'?", ctx)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command, None for an unknown name."""
        name = OTHER_NAMES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name].split(":")
        command: click.Command = getattr(importlib.import_module(f"handdata.cli.{module}"), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="handdata")
@click.option("--data-root", type=NamedPath(path_type=Path), help=DATA_ROOT_HELP)
@click.pass_context
def group(ctx: click.Context, data_root: Path | None) -> None:
    """Read hand-pose datasets in one format; train, score and report on them.

    \b
    The main job, on a machine without any archive:
      handdata demo
    With the archives unpacked under data/native/<dataset>:
      handdata convert stereo
      handdata train --shards
      handdata report
    """
    ctx.obj = find_root(data_root)


def _check_here() -> None:
    """Refuse to work in a folder that is gone: no path has a meaning there, and not even PyTorch can be loaded."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise MissingError(
            ".", expected="a folder to work in", got="one that was removed", fix="Change to another one."
        ) from None


def main() -> None:
    """Run the command line and exit: 0 fine, 1 a fault in the data, 2 usage, 130 interrupted."""
    try:
        _check_here()
        group(standalone_mode=False, prog_name="handdata")
    except HanddataError as error:
        click.echo(f"handdata: {error}", err=True)
        sys.exit(1)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("handdata: interrupted. Run the same command again to go on.", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        line = _told(error)
        if line is None:
            raise
        click.echo(f"handdata: {line}", err=True)
        sys.exit(1)


def _told(error: Exception) -> str | None:
    """Return the line for a fault of the machine that nothing else has told of; None: it is a bug."""
    if isinstance(error, MemoryError) or _SAID_OF_MEMORY.search(str(error)):
        fix = "Close other programs or raise the limit; fewer --workers and a smaller --batch need less."
        return str(HanddataError("memory", expected="enough", got=str(error) or "none that is free", fix=fix))
    if not isinstance(error, OSError) or error.errno not in _NO_ROOM | _WRONG_PLACE | _TOO_MANY:
        return None
    fix = "Choose another place."
    if error.errno in (errno.EACCES, errno.EPERM):
        fix = "Allow it (chmod u+rwX), ask its owner, or choose another place."
    elif error.errno in _NO_ROOM:
        fix = "Make room, or choose another place."
    elif error.errno in _TOO_MANY:
        fix = "Raise the limit, ulimit -n, or give fewer --workers."
    return f"{error.filename or 'writing'}: {error.strerror}. {fix}"

"""Completion of names in a shell: datasets, runs, recipes and protocols, through click's own mechanism.

    eval "$(_HANDDATA_COMPLETE=bash_source handdata)"       # in ~/.bashrc; zsh_source and fish_source for the others

An argument that may also be a path goes on as one where no name fits.
"""

from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from handdata.converters import CONVERTERS
from handdata.paths import DataRoot, find_root

ALL = "all"


def complete_dataset(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Complete what `handdata convert` takes."""
    return _names_from([*CONVERTERS, ALL], incomplete)


def complete_shards(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Complete converted datasets by name, else a folder."""
    found = [folder.name for folder in _root(ctx).all_shards()]
    return _names_from(found, incomplete) or [CompletionItem(incomplete, type="dir")]


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Complete training runs by name, and weights that come along, else a path."""
    return _names_from([*_runs(ctx), *_shipped()], incomplete) or [CompletionItem(incomplete, type="file")]


def complete_run_folder(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Complete training runs by name, else a folder."""
    return _names_from(_runs(ctx), incomplete) or [CompletionItem(incomplete, type="dir")]


def complete_results(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Complete training runs by name, else a file of results."""
    return _names_from(_runs(ctx), incomplete) or [CompletionItem(incomplete, type="file")]


def complete_recipe(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Complete recipes that come along, else a file."""
    from handdata.train.config import recipe_names

    return _names_from(recipe_names(), incomplete) or [CompletionItem(incomplete, type="file")]


def complete_protocol(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Complete families of protocols."""
    from handdata.evaluation.protocols import families

    return _names_from(families(), incomplete)


def _names_from(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _root(ctx: click.Context) -> DataRoot:
    """Return the data root: that of the command, that of the group, else the default. No command has run yet."""
    if isinstance(ctx.obj, DataRoot):
        return ctx.obj
    return find_root(ctx.find_root().params.get("data_root"))


def _runs(ctx: click.Context) -> list[str]:
    runs = _root(ctx).runs
    return sorted(path.parent.name for path in runs.glob("*/config.json")) if runs.is_dir() else []


def _shipped() -> list[str]:
    folder = resources.files("handdata.model") / "weights"
    return sorted(Path(path.name).stem for path in folder.iterdir() if path.name.endswith(".safetensors"))

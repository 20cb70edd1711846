"""Options that belong to single datasets: parsed, checked and shown as each converter declares them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handdata.cli.options import NamedPath, NamingCommand
from handdata.converters import CONVERTERS

if TYPE_CHECKING:
    from handdata.converters.options import Declared, Options

ALL = "all"
ARGUMENT = "dataset"
_NAMED = "handdata.dataset"


class DatasetCommand(NamingCommand):
    """A command with an argument `dataset`, which takes the converter's own options besides the command's.

    The options of every dataset are parsed, so that one of another dataset is refused by name; shown are those of the
    dataset named, or all of them by dataset where none is.
    """

    def __init__(self, *args: Any, datasets: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._datasets = tuple(datasets)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find which dataset is named before anything is checked or shown."""
        with suppress(click.UsageError):  # told when it is parsed again
            ctx.meta[_NAMED] = self.make_parser(ctx).parse_args(list(args))[0].get(ARGUMENT)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's parameters and the options of every dataset."""
        *own, help_option = super().get_params(ctx)
        return [*own, *map(_click_option, _merged(self._datasets)), help_option]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the command's own options, then those of the dataset named or of each."""
        named = ctx.meta.get(_NAMED)
        names = [named] if named in self._datasets else self._datasets
        own = {name: [d for d in declared_by(name) if d not in _general()] for name in names}
        replaced = {d.name for d in own[names[0]]} if len(names) == 1 else set()
        *params, help_option = super().get_params(ctx)
        params += [_click_option(d) for d in _general() if d.name not in replaced]
        _write("Options", [*params, help_option], ctx, formatter)
        for name, declared in own.items():
            if declared:
                _write(f"Options of {name}", [_click_option(d) for d in declared], ctx, formatter)


def declared_by(dataset: str) -> "list[Declared]":
    """Return the options that a dataset's converter takes."""
    from handdata.converters.options import declared

    return declared(CONVERTERS[dataset].OPTIONS)


def options_of(dataset: str, asked: Mapping[str, Any], **more: Any) -> "Options":
    """Make a dataset's options of what the command line was given; `more` are those that are no flags."""
    own = {d.name: asked[d.name] for d in declared_by(dataset)}
    return CONVERTERS[dataset].OPTIONS(**own, **more)


def refuse_foreign(dataset: str | None, asked: Mapping[str, Any], datasets: Sequence[str]) -> None:
    """Refuse options that were given and belong to other datasets, instead of ignoring them.

    Args:
        dataset: that is named; None where none is.
        asked: by parameter.
        datasets: that the command takes.

    Raises:
        BadParameter: names the datasets it is for.
    """
    taken = {d.name: d for d in declared_by(dataset)} if dataset is not None else {}
    for declared in _merged(datasets):
        if not was_given(declared.name):
            continue
        value, own = asked[declared.name], taken.get(declared.name)
        foreign = own is not None and value in declared.choices and value not in own.choices
        if own is None or foreign:
            theirs = [
                n for n in datasets for d in declared_by(n) if _takes(d, declared.name, value if foreign else None)
            ]
            what, whose = f"{value} is" if foreign else "is", f"not {dataset}" if dataset else "and no dataset is named"
            raise click.BadParameter(f"{what} for {', '.join(theirs)}, {whose}", param_hint=declared.flag)


def was_given(parameter: str) -> bool:
    """Say whether a parameter stands on the command line."""
    return click.get_current_context().get_parameter_source(parameter) is click.core.ParameterSource.COMMANDLINE


def _takes(declared: "Declared", name: str, value: Any) -> bool:
    return declared.name == name and (value is None or value in declared.choices)


def _general() -> "list[Declared]":
    """Return the options that every converter takes."""
    from handdata.converters.options import Options, declared

    return declared(Options)


def _merged(datasets: Sequence[str]) -> "list[Declared]":
    """Return every option of the datasets once; one that several declare may be what any of them allows."""
    merged: dict[str, Declared] = {}
    for declared in (d for name in datasets for d in declared_by(name)):
        known = merged.setdefault(declared.name, declared)
        merged[declared.name] = replace(known, choices=tuple(dict.fromkeys((*known.choices, *declared.choices))))
    return list(merged.values())


def _click_option(declared: "Declared") -> click.Option:
    shown = declared.kind in (int, str) and declared.default != ""
    facts: dict[str, Any] = {"default": declared.default, "help": declared.help, "show_default": shown}
    if declared.kind is bool:
        return click.Option([declared.flag], is_flag=True, **facts)
    if declared.kind is Path:
        kind = NamedPath(exists=True, dir_okay=declared.is_folder_too, path_type=Path)
        return click.Option([declared.flag], type=kind, multiple=declared.is_several, **facts)
    if declared.within is not None:
        return click.Option([declared.flag], type=click.IntRange(*declared.within), **facts)
    if declared.default in declared.choices:
        return click.Option([declared.flag], type=click.Choice(declared.choices), **facts)
    choices = f"[{'|'.join(declared.choices)}]" if declared.choices else None  # checked by the converter
    return click.Option([declared.flag], type=str, metavar=choices, **facts)


def _write(heading: str, params: Sequence[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter) -> None:
    options = [param for param in params if isinstance(param, click.Option)]
    records = [record for option in options if (record := option.get_help_record(ctx)) is not None]
    with formatter.section(heading):
        formatter.write_dl(records)

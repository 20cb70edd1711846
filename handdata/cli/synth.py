"""`handdata synth`: rendered, labelled hands in the native layouts."""

import os
import shlex
from pathlib import Path
from typing import Any, get_args

import click

from handdata.cli.options import DATASETS, NamedPath, NamingCommand, data_root_option
from handdata.paths import DataRoot
from handdata.progress import say
from handdata.synth.frame import Style

ALL, FULL = "all", "frames"


@click.command("synth", cls=NamingCommand)
@click.argument("name", type=click.Choice([*DATASETS, ALL, FULL]), required=False, metavar="[NAME]")
@click.option(
    "--frames", type=click.IntRange(min=1), default=240, show_default=True, help="Number of samples per dataset."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the random numbers.")
@click.option(
    "--style", type=click.Choice(get_args(Style)), default="clean", show_default=True, help="Look of the pictures."
)
@click.option(
    "--size",
    type=click.Choice(["small", "full"]),
    default="full",
    show_default=True,
    help="Mesh; small: coarse and without antialiasing, for tests.",
)
@click.option("--out", type=NamedPath(file_okay=False, path_type=Path), help="Parent folder [default: data/native]")
@click.option("--workers", type=click.IntRange(min=1), help="Number of processes [default: all cores]")
@click.option("--faults", default="", help="Add faults seen in real archives: a comma-separated list, or all.")
@click.option("--preview", type=click.IntRange(min=1), help="Write only a contact sheet with this many hands.")
@click.option(
    "--backgrounds",
    type=NamedPath(exists=True, file_okay=False, path_type=Path),
    help="Folder of background pictures [default: painted rooms and textures]",
)
@data_root_option
@click.pass_obj
def synth_command(
    data_root: DataRoot,
    name: str | None,
    frames: int,
    seed: int,
    style: Style,
    size: str,
    out: Path | None,
    workers: int | None,
    faults: str,
    preview: int | None,
    backgrounds: Path | None,
) -> None:
    """Render hands with labels and write them in the layout of dataset NAME, like its unpacked archive.

    NAME is one of DATASETS, all of them, or frames: full pictures with no hand, one or two, with boxes, sides, points and
    masks, to train detectors on.

    The same command writes the same bytes for any number of workers. Run it again after an interruption and it goes on
    where it stopped. Rendered hands do not replace the real archives; every result measured on them says so.

    \b
    Examples:
      handdata synth stereo --frames 600
      handdata synth all --frames 60 --size small --out /tmp/native
      handdata synth frames --frames 1000
      handdata synth --preview 24 --style gritty
    """
    if (name is None) == (preview is None):
        raise click.UsageError("Give a dataset's NAME (or all, or frames), or --preview N.")
    if name == FULL and faults:
        raise click.UsageError("--faults goes with datasets.")
    asked: dict[str, Any] = {
        "seed": seed,
        "style": style,
        "small": size == "small",
        "backgrounds": _pictures(backgrounds),
    }
    if preview is not None:
        _write_preview(out or data_root.root / "data", preview, asked)
        return
    if name == FULL:
        _write_frames(out / FULL if out else data_root.native(FULL), frames, asked, workers)
        return
    from handdata.synth.native import write_native
    from handdata.synth.native.tree import FAULTS

    asked["faults"] = FAULTS if faults == ALL else tuple(fault for fault in faults.split(",") if fault)
    chosen = DATASETS if name == ALL else (str(name),)
    for dataset in chosen:
        folder = out / dataset if out else data_root.native(dataset)
        count = write_native(dataset, folder, frames, workers=workers or os.cpu_count() or 1, **asked)
        click.echo(f"{dataset}: {count} samples -> {folder}")
    say("next: " + _next_command(chosen, out))


def _next_command(chosen: tuple[str, ...], out: Path | None) -> str:
    if out is None:
        return f"handdata convert {chosen[0] if len(chosen) == 1 else ALL}"
    example = f"handdata convert {chosen[0]} --root {shlex.quote(str(out / chosen[0]))}"
    return example + (" (and so on)" if len(chosen) > 1 else "")


def _pictures(folder: Path | None) -> tuple[str, ...]:
    if folder is None:
        return ()
    from handdata.synth.background import list_pictures

    return list_pictures(folder)


def _write_frames(folder: Path, count: int, asked: dict[str, Any], workers: int | None) -> None:
    from handdata.synth.full_set import write_full_frames
    from handdata.synth.native.tree import Request

    write_full_frames(folder, Request(dataset=FULL, frames=count, **asked), workers or os.cpu_count() or 1)
    click.echo(f"{FULL}: {count} pictures -> {folder}")
    say(f"next: handdata import {shlex.quote(str(folder / 'annotations.json'))}")


def _write_preview(folder: Path, count: int, asked: dict[str, Any]) -> None:
    from handdata.synth.preview import write_preview

    path = folder / f"preview_{asked['style']}.png"
    write_preview(path, count, **asked)
    click.echo(f"{count} hands, as rendered and with labels -> {path}")

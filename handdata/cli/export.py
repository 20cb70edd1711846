"""`handdata export`: shards to other programs' formats."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handdata.cli.complete import complete_shards
from handdata.cli.options import NamedPath, data_root_option, shard_folder
from handdata.paths import DataRoot

if TYPE_CHECKING:
    from handdata.shards.dataset import Dataset

ENCODINGS = ("png", "jpg")
SHOWN = ("canvas", "crop", "source")


class _Written(click.Choice[str]):
    """A format that can be written; the modules of all are imported when they are asked for."""

    def __init__(self) -> None:
        self.case_sensitive = True

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]  # click sets it once
        """Their names."""
        from handdata.exchange.formats import WRITERS

        return tuple(sorted(WRITERS))


def _shown(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG001
    """Take what is shown and how it is encoded in one option, as `--pictures jpg` has been."""
    for choices in (SHOWN, ENCODINGS):
        if sum(word in choices for word in value) > 1:
            raise click.BadParameter(f"one of {', '.join(choices)} at a time")
    if "source" in value and len(value) > 1:
        raise click.BadParameter("pictures as shipped keep their own encoding: leave png or jpg out")
    return value


@click.command("export")
@click.argument("path", shell_complete=complete_shards)
@click.option("--format", "kind", type=_Written(), default="coco", show_default=True, help="Format to write.")
@click.option("--out", type=NamedPath(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="Export only this split [default: all]")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Stop after this many samples of each split, with all of its picture for source.",
)
@click.option(
    "--pictures",
    type=click.Choice([*SHOWN, *ENCODINGS]),
    multiple=True,
    callback=_shown,
    help="Pictures: canvas, crop, or source (as shipped, with all hands of each); png (exact) or jpg. May be given twice "
    "[default: canvas, png]",
)
@click.option(
    "--root",
    type=NamedPath(exists=True, path_type=Path),
    help="Folder of the native files, for source [default: the one they were converted from, else data/native/DATASET]",
)
@click.option(
    "--annotations",
    multiple=True,
    type=NamedPath(exists=True, path_type=Path),
    help="Files of labels that imported shards were made of, for source [default: those that were noted]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Worker processes, for thousands of hands and more [default: all cores]",
)
@click.option(
    "--i-may-share", is_flag=True, help="State that the licence allows it, or that nobody else gets the files."
)
@data_root_option
@click.pass_obj
def export_command(
    data_root: DataRoot,
    path: str,
    *,
    kind: str,
    out: Path,
    split: str | None,
    limit: int | None,
    pictures: tuple[str, ...],
    root: Path | None,
    annotations: tuple[Path, ...],
    workers: int | None,
    i_may_share: bool,
) -> None:
    """Write converted shards in another program's format, with a card.

    PATH is a folder of shards or the name of a dataset. The labels are in pixels of the pictures that are written.

    \b
    Examples:
      handdata export stereo --format webdataset --split val --out /tmp/stereo-val
      handdata export rhd --format coco --pictures source --out /tmp/rhd
    """
    from handdata.exchange.export import export
    from handdata.shards.dataset import open_dataset

    shown = next((word for word in pictures if word in SHOWN), SHOWN[0])
    if shown != "source" and (root or annotations):
        raise click.UsageError("--root and --annotations are for --pictures source.")
    dataset = open_dataset(shard_folder(data_root, path), split)
    if annotations and dataset.name != "custom":
        raise click.UsageError(f"--annotations are for shards of imported labels, not of {dataset.name}.")
    written = export(
        dataset,
        out,
        kind,
        picture=next((word for word in pictures if word in ENCODINGS), ENCODINGS[0]),
        limit=limit,
        pictures=shown,
        source_of=_sources(dataset, data_root, root, annotations) if shown == "source" else None,
        workers=workers or os.cpu_count() or 1,
        i_may_share=i_may_share,
    )
    click.echo(f"{written} samples -> {out}")


def _sources(
    dataset: "Dataset", data_root: DataRoot, root: Path | None, annotations: tuple[Path, ...]
) -> dict[str, Path]:
    """Return the picture as shipped of each sample, as a conversion with the recorded options finds it."""
    from handdata.conversion.plan import plan_all
    from handdata.conversion.state import made_of, root_of
    from handdata.converters import CONVERTERS
    from handdata.converters.options import declared
    from handdata.errors import ConfigError

    if dataset.name not in CONVERTERS:
        got = f"{dataset.name}, which no converter made"
        fix = "Export each dataset that it was merged from by itself, or take --pictures canvas."
        raise ConfigError("--pictures source", expected="shards of a conversion", got=got, fix=fix)
    kind = CONVERTERS[dataset.name].OPTIONS
    recorded = dataset.index.get("options", {})
    asked = {d.name: recorded[d.name] for d in declared(kind) if d.kind is not Path and d.name in recorded}
    if dataset.name == "custom":
        asked["annotations"] = annotations or tuple(made_of(dataset.folder))
        if not asked["annotations"]:
            fix = "Name them with --annotations, and the folder of their pictures with --root."
            expected = "the files of labels that these shards were made of"
            raise ConfigError("--pictures source", expected=expected, got="none noted that is there", fix=fix)
    folder = root or root_of(dataset.folder) or data_root.native(dataset.name)
    plan = plan_all(dataset.name, folder, kind(**asked))
    return {item.id: plan.root / item.image for item in plan.items}

"""`handdata annotate-bbox`: hand boxes in the browser, or from the command line alone."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from handdata.cli.options import (
    NamedPath,
    data_root_option,
    json_option,
    page_options,
    page_packages,
    print_json,
    refuse_to_replace,
)
from handdata.errors import ConfigError, MissingError
from handdata.files.text import Wanted, read_text
from handdata.paths import DataRoot

if TYPE_CHECKING:
    from handdata.annotate.guided import AskHand
    from handdata.annotate.pictures import Pictures
    from handdata.annotate.server import Others
    from handdata.annotate.session import Session
    from handdata.annotate.tracker import TrackerSettings
    from handdata.boxes import BoxRow

WITHOUT_PAGE = "work on boxes without the page: annotate-bbox --headless"
EXPORTS = ("csv", "csv5", "cvat", "coco", "mot")


@click.command("annotate-bbox")
@click.argument("target", required=False)
@click.option(
    "--images", type=NamedPath(path_type=Path), help="Folder of pictures, or video, to use in place of TARGET."
)
@click.option(
    "--out",
    type=NamedPath(dir_okay=False, endings=[".csv"], path_type=Path),
    help="Table to write [default: data/boxes/TARGET.csv]",
)
@click.option("--root", type=NamedPath(path_type=Path), help="The dataset's folder [default: data/native/<dataset>]")
@click.option(
    "--headless", is_flag=True, help="Work without a page: track from --init and --keyframes, write the table."
)
@click.option("--init", metavar="X,Y,W,H", help="Box on the first picture, px.")
@click.option(
    "--keyframes",
    type=NamedPath(path_type=Path),
    help="Table of more drawn boxes; an empty box: hand absent from there on.",
)
@click.option(
    "--import", "import_path", type=NamedPath(path_type=Path), help="Start from a CSV, CVAT, COCO or MOT file."
)
@click.option("--export", "export_kind", type=click.Choice(EXPORTS), help="Print the table in this format, then stop.")
@click.option(
    "--tracker",
    type=click.Choice(["medianflow", "kcf"]),
    default="medianflow",
    show_default=True,
    help="Tracker to follow the hand.",
)
@click.option(
    "--no-model",
    is_flag=True,
    help="Follow without the model of keypoints, and ask it for no second opinion on the boxes.",
)
@click.option("--overwrite", is_flag=True, help="With --headless, replace a table in which a person drew other boxes.")
@page_options(port=8766)
@json_option
@data_root_option
@click.pass_obj
def annotate_bbox_command(
    data_root: DataRoot,
    target: str | None,
    images: Path | None,
    out: Path | None,
    root: Path | None,
    headless: bool,
    init: str | None,
    keyframes: Path | None,
    import_path: Path | None,
    export_kind: str | None,
    tracker: str,
    no_model: bool,
    overwrite: bool,
    host: str,
    port: int,
    as_json: bool,
) -> None:
    """Draw one hand box per frame of TARGET, a sequence of a dataset such as dexter/Grasp2.

    Opens a page: draw a box, watch the tracker follow the hand, and redraw where it is wrong. Press ? to see the keys.
    The pictures of a video are written beside it first, to a folder of its name.

    \b
    Examples:
      handdata annotate-bbox dexter/Grasp2
      handdata annotate-bbox --images frames --out boxes.csv
      handdata annotate-bbox --images film.mp4 --out boxes.csv
      handdata annotate-bbox --images frames --out boxes.csv --init 275,126,248,248 --headless
      handdata annotate-bbox dexter/Grasp2 --export cvat > Grasp2.xml
    """
    pictures, tips, path, others = _open(data_root, target, images, out, root)
    if (init or keyframes) and not headless:
        raise ConfigError("--init, --keyframes", expected="--headless with them", got="none", fix="Add --headless.")
    if overwrite and (not headless or import_path):
        raise ConfigError(
            "--overwrite", expected="--headless with --init or --keyframes", got="none", fix="Leave it out."
        )
    refuse_to_replace(path, keyframes=keyframes, **{"import": import_path})
    if export_kind:
        _export(pictures, path, export_kind)
        return
    ask = None if no_model else _model()
    if headless:
        rows = _headless(pictures, path, init, keyframes, import_path, tracker, ask, overwrite=overwrite)
        _report(rows, path, tips, as_json)
    else:
        _serve(pictures, tips, path, import_path, tracker, (host, port), others, ask)


def _open(
    data_root: DataRoot, target: str | None, images: Path | None, out: Path | None, root: Path | None
) -> tuple["Pictures", list[list[tuple[float, float]]], Path, "Others | None"]:
    from handdata.annotate.fingertips import dexter_tips
    from handdata.annotate.pictures import list_pictures
    from handdata.annotate.sequences import dataset_folder, open_sequence, progress
    from handdata.cli.annotate_points import frames_of  # which imports this module
    from handdata.track.video import is_video

    if images is not None:
        if target or out is None:
            raise click.UsageError("--images DIR goes with --out FILE.csv, and without TARGET.")
        is_film = images.is_file() and is_video(str(images))
        return list_pictures(frames_of(images) if is_film else images), [], out, None
    if not target:
        raise click.UsageError("Give TARGET such as dexter/Grasp2, or --images DIR --out FILE.csv.")
    dataset, _, sequence = target.partition("/")
    folder = dataset_folder(dataset, root or data_root.native(dataset), most_levels=1)
    pictures = open_sequence(dataset, sequence, folder)
    tips = dexter_tips(folder, sequence, pictures) if dataset == "dexter" else []
    path = out or data_root.boxes(dataset) / f"{sequence}.csv"
    return pictures, tips, path, lambda: progress(dataset, folder, sequence, path.parent)


def _export(pictures: "Pictures", path: Path, kind: str) -> None:
    from handdata.annotate.box_formats import export_text
    from handdata.boxes import read_boxes, validate_boxes

    if not path.exists():
        fix = "Draw boxes first: the same command without --export."
        raise MissingError(path, expected="a table of boxes to export", got="no such file", fix=fix)
    rows = read_boxes(path)
    validate_boxes(rows, pictures.img_names, path)
    sys.stdout.write(export_text(kind, rows, pictures))


def _headless(
    pictures: "Pictures",
    path: Path,
    init: str | None,
    keyframes_path: Path | None,
    import_path: Path | None,
    kind: str,
    ask: "AskHand | None",
    *,
    overwrite: bool,
) -> "list[BoxRow]":
    from handdata.annotate.headless import keyframes, parse_box, refuse_to_lose, track_sequence
    from handdata.annotate.session import Session
    from handdata.boxes import write_boxes

    if import_path is not None:
        if init or keyframes_path:
            raise click.UsageError("--import gives every box: leave out --init and --keyframes.")
        session = Session(pictures, path, _settings(kind))
        try:
            _import(session, import_path)
            return session.rows()
        finally:
            session.close()
    journal = path.with_suffix(".journal")
    if journal.exists():
        fix = "Give another --out, or move the journal away to start again."
        raise ConfigError("--headless", expected=f"no journal at {journal}", got="one with a person's work", fix=fix)
    marks = keyframes(pictures, parse_box(init, "--init") if init else None, keyframes_path)
    if not overwrite:
        refuse_to_lose(path, pictures, marks)
    rows = track_sequence(pictures, marks, _settings(kind), ask)
    write_boxes(path, rows)
    return rows


def _report(rows: "list[BoxRow]", path: Path, tips: list[list[tuple[float, float]]], as_json: bool) -> None:
    from handdata.annotate.timeline import misses_a_tip

    counts = {source: sum(row.source == source for row in rows) for source in sorted({row.source for row in rows})}
    missed = sum(misses_a_tip(row.box, points) for row, points in zip(rows, tips, strict=False))
    if as_json:
        print_json({"file": str(path), "frames": len(rows), "sources": counts, "frames_missing_a_fingertip": missed})
        return
    made = ", ".join(f"{count} {source}" for source, count in counts.items())
    tail = f"; {missed} boxes leave a labelled fingertip out" if any(tips) else ""
    click.echo(f"{len(rows)} frames ({made}) -> {path}{tail}")


def _serve(
    pictures: "Pictures",
    tips: list[list[tuple[float, float]]],
    path: Path,
    import_path: Path | None,
    kind: str,
    address: tuple[str, int],
    others: "Others | None",
    ask: "AskHand | None",
) -> None:
    from handdata.annotate.page_state import BoxPlace
    from handdata.annotate.session import Session
    from handdata.annotate.worker import Worker

    with page_packages("annotate", WITHOUT_PAGE):
        from handdata.annotate.server import serve
        from handdata.serving.local import listen
    sock = listen(*address)
    with sock:
        session = Session(pictures, path, _settings(kind), tips, ask)
        try:
            if import_path is not None:
                _import(session, import_path)
            serve(BoxPlace(session), Worker(session), sock, address[0], others)
        finally:
            session.close()
    click.echo(f"{path}: saved" if path.exists() else f"{path}: not written, no box was drawn", err=True)


def _import(session: "Session", path: Path) -> None:
    from handdata.annotate.box_formats import guess_format, import_text

    if not path.is_file():
        raise MissingError(path, expected="a file of boxes", got="no such file", fix="Check the path.")
    text = read_text(path, Wanted(what="a file of boxes"))
    session.import_rows(import_text(guess_format(path.name), text, str(path), session.pictures), str(path))


def _model() -> "AskHand":
    from handdata.track.ask import ask_compact

    return ask_compact()


def _settings(kind: str) -> "TrackerSettings":
    from handdata.annotate.tracker import TrackerKind, TrackerSettings

    return TrackerSettings(next(known for known in get_args(TrackerKind) if known == kind))

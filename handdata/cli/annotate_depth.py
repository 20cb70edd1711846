"""`handdata annotate-depth`: 3D labels of a depth sequence from some clicked frames."""

from pathlib import Path

import click

from handdata.cli.options import NamedPath, data_root_option, page_options, page_packages
from handdata.paths import DataRoot

WITHOUT_PAGE = "derive what was clicked before: annotate-depth --headless"


@click.command("annotate-depth")
@click.argument("sequence")
@click.option("--root", type=NamedPath(path_type=Path), help="The dataset's folder [default: data/native/<dataset>]")
@click.option(
    "--out",
    type=NamedPath(dir_okay=False, endings=[".json"], path_type=Path),
    help="File of labels [default: data/keypoints/SEQUENCE.3d.json]",
)
@click.option(
    "--references", type=click.IntRange(min=1), help="Number of frames to click [default: at most a tenth of them]"
)
@click.option(
    "--picture", type=click.Choice(["depth", "color"]), default="depth", show_default=True, help="Picture to click on."
)
@click.option(
    "--calibration",
    type=NamedPath(path_type=Path),
    help="TOML file with the colour cameras of dexter1, as convert reads it.",
)
@click.option("--headless", is_flag=True, help="Open no page: derive from what was clicked before, write the labels.")
@page_options(port=8769)
@data_root_option
@click.pass_obj
def annotate_depth_command(
    data_root: DataRoot,
    sequence: str,
    root: Path | None,
    out: Path | None,
    references: int | None,
    picture: str,
    calibration: Path | None,
    headless: bool,
    host: str,
    port: int,
) -> None:
    """Derive 3D hands of SEQUENCE, of dexter or dexter1, from a tenth of its depth pictures clicked.

    Opens a page: it asks for the frames that tell most of the others. Drag the 21 points, say which are hidden and which
    end of a bone is nearer, accept; the other frames follow by themselves. The labels that convert custom reads are
    written for the colour pictures.

    \b
    Examples:
      handdata annotate-depth dexter/Grasp2
      handdata annotate-depth dexter/Grasp2 --picture color
      handdata annotate-depth dexter1/adbadd --calibration cameras.toml
      handdata annotate-depth dexter/Grasp2 --headless
    """
    from handdata.annotate.depth.derive import survey
    from handdata.annotate.depth.pictures import pictures_of
    from handdata.annotate.depth.recording import open_recording
    from handdata.annotate.depth.session import DepthSession
    from handdata.errors import MissingError
    from handdata.progress import say

    dataset, _, name = sequence.partition("/")
    recording = open_recording(dataset, name, root or data_root.native(dataset), calibration)
    path = out or data_root.keypoints(dataset) / f"{name}.3d.json"
    if headless and not path.with_suffix(".journal").is_file():
        fix = "Click some frames first: the same command without --headless."
        raise MissingError(path.with_suffix(".journal"), expected="what was clicked", got="no such file", fix=fix)
    say(f"{len(recording)} depth pictures of {sequence}: looking for those that tell most of the others")
    found = survey(recording, references)
    say(f"to be clicked: {len(found.references)} of them")
    pictures = pictures_of(recording, found.centres, picture)
    if headless:
        from handdata.annotate.depth.headless import derive_all

        session = DepthSession(pictures, path, found)
        try:
            derive_all(session)
        finally:
            session.close()
    else:
        with page_packages("annotate", WITHOUT_PAGE):
            from handdata.annotate.server import serve
            from handdata.serving.local import listen

        from handdata.annotate.depth.place import DepthPlace
        from handdata.annotate.worker import Worker

        with listen(host, port) as sock:
            session = DepthSession(pictures, path, found)
            try:
                serve(DepthPlace(session), Worker(session), sock, host)
            finally:
                session.close()
    _report(path, recording.folder if recording.cameras else path.parent, whole=session.derivation.whole)


def _report(path: Path, folder: Path, *, whole: bool) -> None:
    if whole and path.exists():
        click.echo(f"{path}: saved. Convert it: handdata convert custom --root {folder} --annotations {path}", err=True)
    elif path.with_suffix(".journal").exists():
        click.echo(f"{path}: not written yet. Go on, or end it: annotate-depth --headless", err=True)
    else:
        click.echo(f"{path}: not written, nothing was clicked", err=True)

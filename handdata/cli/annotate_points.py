"""`handdata annotate`: 21 keypoints per hand, in the browser."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handdata.cli.annotate import WITHOUT_PAGE
from handdata.cli.complete import complete_run
from handdata.cli.options import INDEX, NamedPath, data_root_option, page_options, page_packages, run_path
from handdata.errors import ConfigError, MissingError
from handdata.paths import DataRoot

if TYPE_CHECKING:
    from handdata.annotate.keypoints.found import Finder
    from handdata.annotate.keypoints.sources import PointTask
    from handdata.annotate.server import Others

LOOKED_AT = 100  # one in so many frames that are there already is compared with the film's
EXPORTS = ("json", "coco", "cvat")


@click.command("annotate")
@click.argument("source")
@click.option(
    "--out",
    type=NamedPath(dir_okay=False, endings=[".json"], path_type=Path),
    help="File of labels [default: beside the pictures]",
)
@click.option("--root", type=NamedPath(path_type=Path), help="The dataset's folder [default: data/native/<dataset>]")
@click.option("--ids", type=NamedPath(path_type=Path), help="File of ids, one per line: hands of shards to mend.")
@click.option("--stills", is_flag=True, help="Take each picture for itself: they do not follow one another.")
@click.option(
    "--run",
    default="compact",
    show_default=True,
    shell_complete=complete_run,
    help="Run, checkpoint or weights that propose points.",
)
@click.option("--no-proposals", is_flag=True, help="Ask no model: points are yours and what is followed from them.")
@click.option("--hand", type=click.Choice(["left", "right", "auto"]), help="The person's hand [default: as predict]")
@click.option("--detector", default="spotter", show_default=True, help="Detector that finds the hands.")
@click.option(
    "--max-hands", type=click.IntRange(1, 8), default=2, show_default=True, help="Number of hands per picture."
)
@click.option(
    "--import", "import_path", type=NamedPath(path_type=Path), help="Start from a file of labels of any known format."
)
@click.option("--export", "export_kind", type=click.Choice(EXPORTS), help="Print the labels so, then stop.")
@page_options(port=8767)
@data_root_option
@click.pass_obj
def annotate_command(
    data_root: DataRoot,
    source: str,
    out: Path | None,
    root: Path | None,
    ids: Path | None,
    stills: bool,
    run: str,
    no_proposals: bool,
    hand: str | None,
    detector: str,
    max_hands: int,
    import_path: Path | None,
    export_kind: str | None,
    host: str,
    port: int,
) -> None:
    """Place 21 keypoints per hand on SOURCE: a sequence such as dexter/Grasp2, a folder, a video, a file of labels.

    Opens a page: a model proposes the points, you drag the wrong ones and accept, and what you said is followed through
    the other frames. Press ? to see the keys. If SOURCE is a folder of shards, you mend its labels: what you change goes
    into a file beside it, for convert --corrections.

    \b
    Examples:
      handdata annotate dexter/Grasp2
      handdata annotate film.mp4
      handdata annotate photos --stills
      handdata annotate photos/labels.json --stills
      handdata annotate dexter/Grasp2 --export cvat > Grasp2.xml
      handdata annotate data/shards/rhd --ids wrong.txt
    """
    from handdata.annotate.keypoints.labels import export_text, read_labels
    from handdata.annotate.keypoints.session import PointSession, read_marks

    if (Path(source) / INDEX).is_file() or any(Path(source).glob("*.h5")):
        if root or stills or hand or export_kind or import_path:
            got = "one of --root, --stills, --hand, --import, --export"
            raise ConfigError("annotate", expected="only --ids, --out, --host and --port with shards", got=got)
        _mend(Path(source), ids, out, (host, port))
        return
    if ids is not None:
        raise ConfigError("--ids", expected="a folder of shards as SOURCE", got=source)
    if data_root.shards("any").parent in Path(source).parents and not Path(source).is_file():
        raise MissingError(source, expected="a folder of shards", got="no shards there")
    found, others = _open(data_root, source, root)
    path, linked = out or found.out, not stills and len(set(found.pictures.sizes)) < 2
    if export_kind:
        sys.stdout.write(export_text(export_kind, read_marks(found.pictures, path), found.pictures, path.stem))
        return
    with page_packages("annotate", WITHOUT_PAGE):
        from handdata.annotate.server import serve
        from handdata.serving.local import listen

    from handdata.annotate.keypoints.page_state import PointPlace
    from handdata.annotate.worker import Worker

    with listen(host, port) as sock:
        finder = None if no_proposals else _finder(data_root, run, hand, detector, max_hands)
        session = PointSession(found.pictures, path, linked=linked, finder=finder)
        try:
            begin = import_path or (None if session.marks else found.labels)
            if begin is not None:
                session.import_marks(read_labels(begin, found.pictures))
            serve(PointPlace(session), Worker(session), sock, host, others)
        finally:
            session.close()
    click.echo(f"{path}: saved" if path.exists() else f"{path}: not written, nothing was said", err=True)


def _mend(folder: Path, ids: Path | None, out: Path | None, address: tuple[str, int]) -> None:
    """Open the page on hands of shards, to mend their labels."""
    with page_packages("annotate", "write the corrections by hand: docs/custom.md"):
        from handdata.annotate.server import serve
        from handdata.serving.local import listen

    from handdata.annotate.keypoints.mend_state import MendPlace
    from handdata.annotate.keypoints.mending import MendSession, corrections_path, hands_to_mend
    from handdata.annotate.worker import Worker
    from handdata.progress import say
    from handdata.shards.conditions import read_ids
    from handdata.shards.dataset import open_dataset

    data, path = open_dataset(folder), out or corrections_path(folder)
    wanted = None if ids is None else read_ids(ids, set(data["id"].tolist()))
    canvases = hands_to_mend(data, wanted, path)
    before = 0 if wanted is None else len(canvases) - len(set(wanted))
    with listen(*address) as sock:
        session = MendSession(canvases, path)
        try:
            told = f" and {before} mended before" if before else ""
            say(f"{len(canvases) - before:,} hands of {data.name}{told}")
            serve(MendPlace(session), Worker(session), sock, address[0])
        finally:
            session.close()
    if path.exists():
        click.echo(f"{path}: saved. Lay it over: handdata convert {data.name} --corrections {path}", err=True)
    else:
        click.echo(f"{path}: not written, nothing was mended", err=True)


def _open(data_root: DataRoot, source: str, root: Path | None) -> "tuple[PointTask, Others | None]":
    """Return the pictures that SOURCE stands for, and what tells how far its dataset's sequences are."""
    from handdata.annotate.keypoints.sources import PointTask, accepted_in, is_labels, of_folder, of_labels
    from handdata.annotate.sequences import Progress, dataset_folder, open_sequence, progress
    from handdata.track.video import is_video

    path = Path(source)
    if path.is_dir():
        return of_folder(path), None
    if path.is_file() and is_video(source):
        return of_folder(frames_of(path)), None
    if is_labels(path):
        return of_labels(path), None
    dataset, _, sequence = source.partition("/")
    if path.is_absolute() or path.suffix:
        raise MissingError(source, expected="a folder, a video, a file of labels or a sequence", got="nothing there")
    folder = dataset_folder(dataset, root or data_root.native(dataset))
    pictures, sequence = open_sequence(dataset, sequence, folder), sequence.strip("/")
    out = data_root.keypoints(dataset) / f"{sequence}.json"

    def others() -> list[Progress]:
        rows = progress(dataset, folder, sequence, out.parent)
        return [
            Progress(row.name, row.frames, min(row.frames, accepted_in(out.with_name(f"{row.name}.json"))))
            for row in rows
        ]

    return PointTask(pictures, out), others


def frames_of(film: Path) -> Path:
    """Write the frames of a video as pictures to frames/ in a folder beside it, those that are not there yet."""
    from handdata.progress import meter
    from handdata.track.video import Video, write_frame

    folder = film.with_suffix("") / "frames"
    video = Video(str(film))
    try:
        with meter("frames", video.total) as bar:
            for frame in video:
                path = folder / f"{frame.number:06d}.jpg"
                if frame.number % LOOKED_AT == 0 or not path.exists():
                    write_frame(path, frame.image)
                bar.advance()
    finally:
        video.close()
    return folder


def _finder(data_root: DataRoot, run: str, hand: str | None, detector: str, max_hands: int) -> "Finder":
    from handdata.annotate.keypoints.found import Finder
    from handdata.model.detector import find_detector
    from handdata.model.model import Model
    from handdata.model.onnx_read import find_ready
    from handdata.track.run import pose_of
    from handdata.track.stills import Question, hands_in
    from handdata.track.tracker import PROPOSED

    model = Model(find_ready(run_path(data_root, Path(run))), "cpu")
    side, likely = hand or model.side_unless_told, find_detector(detector, PROPOSED)
    return Finder(
        lambda image: hands_in(image, model, likely, Question(side=side), max_hands), pose_of(model), max_hands, side
    )

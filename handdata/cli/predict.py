"""handdata predict: a trained model on pictures and videos."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handdata.cli.complete import complete_run
from handdata.cli.lens import lens_of, lens_options, said_size
from handdata.cli.options import FiniteRange, NamedPath, data_root_option, refuse_unused, run_path
from handdata.cli.predict_job import NO_DETECTOR, PredictJob, picture_files, predict_pictures, predict_video
from handdata.errors import ConfigError, MissingError
from handdata.paths import DataRoot
from handdata.pictures.kinds import SUFFIXES

if TYPE_CHECKING:
    from handdata.annotate.tracker import TrackerKind
    from handdata.model.checkpoint import Trained
    from handdata.model.onnx_read import OnnxNetwork
    from handdata.model.place import Lens
    from handdata.track.tables import TableKind

OWN = "compact"  # weights that come with the package
# parameters that change nothing without pictures, of still ones, of a video, and where boxes are told
_WITHOUT_SOURCES = ("run", "sources", "onnx", "rule", "data_root")  # all others
_OF_VIDEOS, _OF_PICTURES = ("every", "table", "carrier"), ("rule", "skip_bad", "as_json")
_OF_A_DETECTOR = ("detector", "max_hands", "carrier")


@click.command("predict")
@click.argument("run", metavar="[RUN]", required=False, shell_complete=complete_run)
@click.argument("sources", nargs=-1, metavar="SOURCES...")
@click.option(
    "--out",
    type=NamedPath(file_okay=False, path_type=Path),
    help="Folder of overlays [default: RUN/predicted; without RUN predicted]",
)
@click.option(
    "--hand",
    type=click.Choice(["left", "right", "auto"]),
    help="The person's hand; auto: as the model sees it [default: auto where the model tells sides apart, else left]",
)
@click.option("--box", type=float, nargs=4, metavar="X Y W H", help="Box of the hand in every picture, px.")
@click.option(
    "--boxes",
    type=NamedPath(dir_okay=False, path_type=Path),
    help="Table of boxes, one per picture or frame, as annotate-bbox writes it.",
)
@click.option(
    "--detector",
    default="spotter",
    show_default=True,
    help="Detector that finds hands where no --box is given; none: the largest centred square is looked at.",
)
@click.option(
    "--image-tracker",
    "carrier",
    type=click.Choice(["medianflow", "kcf"]),
    default="medianflow",
    show_default=True,
    help="Image tracker that carries a video's hand on where the model is not sure of it.",
)
@click.option(
    "--max-hands", type=click.IntRange(1, 20), default=2, show_default=True, help="Number of hands per picture."
)
@click.option(
    "--read-out",
    "rule",
    type=click.Choice(["thresholded", "expectation", "maximum"]),
    help="Read-out from heatmaps to keypoints of pictures [default: the model's own]",
)
@click.option(
    "--onnx",
    type=NamedPath(dir_okay=False, path_type=Path),
    help="Write the model to this .onnx file; without pictures, nothing else is done.",
)
@lens_options
@click.option(
    "--fit",
    is_flag=True,
    help="Fit a hand of 26 degrees of freedom to the keypoints, in a video from frame to frame; goes with --focal, --fov or --camera.",
)
@click.option(
    "--person",
    type=NamedPath(dir_okay=False, path_type=Path),
    help="JSON file with measured bones of the person in a video, mm; its hand's size is estimated over the frames.",
)
@click.option(
    "--fps",
    type=FiniteRange(0.001, 1000),
    help="Frames per second; takes pictures for the frames of a video [default: as a video says]",
)
@click.option("--every", type=click.IntRange(min=1), default=1, show_default=True, help="Step through a video, frames.")
@click.option("--overlay/--no-overlay", default=True, help="Write overlays.", show_default=True)
@click.option(
    "--table",
    type=click.Choice(["csv", "parquet"]),
    default="csv",
    show_default=True,
    help="Format of a video's table, one row per hand and frame, or per frame without one.",
)
@click.option("--skip-bad", is_flag=True, help="Leave out pictures that cannot be read; they are counted and named.")
@click.option("--device", default="auto", show_default=True, help="Device: auto, cpu, cuda or cuda:N.")
@click.option("--json", "as_json", is_flag=True, help="Print the keypoints of pictures on a terminal too.")
@data_root_option
@click.pass_obj
def predict_command(
    data_root: DataRoot,
    run: str | None,
    sources: tuple[str, ...],
    out: Path | None,
    hand: str | None,
    box: tuple[float, float, float, float] | None,
    boxes: Path | None,
    detector: str,
    carrier: "TrackerKind",
    max_hands: int,
    rule: str | None,
    onnx: Path | None,
    focal: float | None,
    fov: float | None,
    camera: Path | None,
    hand_size: str | None,
    fit: bool,
    person: Path | None,
    fps: float | None,
    every: int,
    overlay: bool,
    table: "TableKind",
    skip_bad: bool,
    device: str,
    as_json: bool,
) -> None:
    """Find hands and their 21 keypoints in SOURCES with the model of RUN, a run's name or folder.

    SOURCES are pictures or folders of pictures (with --fps the frames of a video), or one video, "camera:0" or the
    address of a stream. If the first word is one of these, RUN is left out and the weights that come with the package
    are used: compact.

    Pictures: the keypoints go to standard output as JSON (on a terminal: a line per hand), in pixels of each picture
    and as normalised 3D, and copies of the pictures with the skeletons drawn go to a folder. A detector finds the hands, or --box or --boxes says where.
    Where the detector finds none, the largest centred square is a hand if the model says so.
    A video: hands are followed from frame to frame and smoothed; hands.jsonl, hands.csv and overlay.mp4 go to the
    folder. Ctrl-C ends a video early and keeps what was found. `handdata track` is this command for videos and frames.
    With --focal, --fov or --camera the keypoints are also given in millimetres in the camera's frame. Their
    depth is proportional to the assumed hand size: one picture cannot tell a small, near hand from a large, distant one.
    With --onnx the model goes to a file for ONNX runtimes: the bytes of a crop in, keypoints out. Such a file may stand
    for RUN: ONNX Runtime answers then, which takes less time on a CPU.

    \b
    Example:
      handdata predict photo.jpg
      handdata predict holiday.mp4
      handdata predict frames --fps 25
      handdata predict film.mp4 --fov 68 --table parquet
      handdata predict demo hand.jpg --box 120 80 200 200 > hand.json
      handdata predict demo hand.jpg --fov 68 --hand-size adult
      handdata predict best --onnx best.onnx
      handdata predict best.onnx film.mp4
    """
    from handdata.model.model import Model
    from handdata.model.onnx_read import find_ready
    from handdata.model.place import read_person
    from handdata.track.video import is_video

    _check_onnx(onnx)
    model_name, sources = _asked(data_root, run, sources, writes=onnx is not None)
    of_video = bool(fps) or any(map(is_video, sources))
    if sources and not of_video and click.get_current_context().info_name == "track":
        raise click.UsageError("Pictures are followed as frames with --fps, a video as it is.")
    _check_boxes(box, boxes)
    _check_used(
        has_sources=bool(sources), of_video=of_video, told=bool(box or boxes), detector=detector, overlay=overlay
    )
    lens = lens_of(focal, fov, camera)
    _check_camera(lens, hand_size=hand_size is not None, fit=fit)
    _check_person(person, has_lens=lens is not None, of_video=of_video)
    folder = run_path(data_root, Path(model_name))
    found = find_ready(folder)
    if onnx:
        _write_onnx(onnx, found, rule, has_sources=bool(sources))
        if not sources:
            return
    model = Model(found, device)
    _check_read_out(rule, model.read_outs)
    size = said_size(hand_size, model.trained.size)
    job = PredictJob(
        model=model,
        side=hand or model.side_unless_told,
        out=out or (folder if folder.is_dir() else Path()) / "predicted",
        box=box,
        boxes=boxes,
        detector=detector,
        carrier=carrier,
        most_hands=max_hands,
        read_out=rule,
        lens=lens,
        size=size,
        overlay=overlay,
        fit=fit,
        person=None if person is None else read_person(person),
        skip_bad=skip_bad,
    )
    if any(is_video(source) for source in sources):
        if len(sources) > 1:
            raise click.UsageError("give one video at a time, without pictures.")
        predict_video(job, sources[0], every=every, fps=fps, table=table)
    elif fps is not None:
        frames = picture_files([Path(source) for source in sources])
        predict_video(job, frames, every=every, fps=fps, table=table)
    else:
        predict_pictures(job, [Path(source) for source in sources], as_json=as_json or not sys.stdout.isatty())


def _asked(
    data_root: DataRoot, run: str | None, sources: tuple[str, ...], *, writes: bool
) -> tuple[str, tuple[str, ...]]:
    """Return the model's name and the pictures or the video.

    Raises:
        MissingError: a source is not there, or a folder holds no pictures.
    """
    nothing = "give pictures or a video, or --onnx FILE."
    if run is None:
        if not writes:
            raise click.UsageError(nothing)
        return OWN, sources
    is_alone = not sources and not writes and not run_path(data_root, Path(run)).exists()
    name, sources = _run_or_own(run, sources, data_root.runs, is_alone=is_alone)
    if not sources and not writes:
        if Path(run).exists() and not (Path(run) / "checkpoints").is_dir():
            from handdata.track.video import VIDEO_SUFFIXES

            fix = f"Pictures are {', '.join(sorted(SUFFIXES))}, videos {', '.join(VIDEO_SUFFIXES)}."
            raise MissingError(run, expected="pictures or a video", got="none", fix=fix)
        raise click.UsageError(nothing)
    return name, sources


def _check_onnx(path: Path | None) -> None:
    """Refuse to write the model to what is no file for it: `--onnx photo.jpg` would replace the photograph."""
    if path is not None and path.suffix != ".onnx":
        raise click.BadParameter(f"the model goes to a file that ends in .onnx, not to {path}", param_hint="--onnx")


def _write_onnx(path: Path, found: "Trained | OnnxNetwork", rule: str | None, *, has_sources: bool) -> None:
    from handdata.model.families import family_of
    from handdata.model.onnx import write_onnx
    from handdata.model.onnx_read import OnnxNetwork

    if isinstance(found, OnnxNetwork):
        raise ConfigError("--onnx", expected="a run or weights to write", got=str(found.path))
    _check_read_out(rule, family_of(found.model.kind).read_outs(found.model))
    click.echo(write_onnx(path, found, rule), err=has_sources)


def _check_read_out(rule: str | None, known: Sequence[str]) -> None:
    if rule is not None and rule not in known:
        raise ConfigError("--read-out", expected=f"one of {', '.join(known)}", got=rule)


def _check_used(*, has_sources: bool, of_video: bool, told: bool, detector: str, overlay: bool) -> None:
    """Refuse options that would change nothing."""
    if not has_sources:
        every = (param.name for param in click.get_current_context().command.params)
        refuse_unused(
            [name for name in every if name and name not in _WITHOUT_SOURCES], "goes with pictures or a video only"
        )
        return
    if of_video:
        refuse_unused(_OF_PICTURES, "goes with pictures only")
    else:
        refuse_unused(_OF_VIDEOS, "goes with a video, or --fps, only")
    if told:
        unused = [name for name in _OF_A_DETECTOR if (name, detector) != ("detector", NO_DETECTOR)]
        refuse_unused(unused, "goes without --box and --boxes, which say where the hands are")
    elif detector == NO_DETECTOR:
        refuse_unused(["max_hands"], f"goes without --detector {NO_DETECTOR}")
    if not overlay and not of_video:
        refuse_unused(["out"], "goes without --no-overlay: of pictures nothing else is written there")


def _check_camera(lens: "Lens | None", **asked: bool) -> None:
    """Refuse what takes a camera where none is given."""
    for name in (name for name, wanted in asked.items() if wanted and lens is None):
        raise click.UsageError(f"--{name.replace('_', '-')} goes with --focal, --fov or --camera.")


def _check_person(person: Path | None, *, has_lens: bool, of_video: bool) -> None:
    if person is not None and not (has_lens and of_video):
        raise click.UsageError("--person goes with a video, or --fps, and with --focal, --fov or --camera.")


def _check_boxes(box: tuple[float, float, float, float] | None, boxes: Path | None) -> None:
    if box and boxes:
        raise click.UsageError("give one of --box and --boxes.")
    if box and not (all(math.isfinite(edge) for edge in box) and min(box[2:]) > 0):
        raise click.BadParameter(f"X Y W H with W and H above 0, not {' '.join(map(str, box))}", param_hint="--box")


def _run_or_own(run: str, sources: tuple[str, ...], runs: Path, *, is_alone: bool) -> tuple[str, tuple[str, ...]]:
    """Take a first word that is a picture or a video for one, and the weights that come with the package for the run.

    Also one that looks like it and is not there: by its suffix or, where it `is_alone` and no run, by a slash.

    Raises:
        MissingError: a source is not there.
    """
    from handdata.track.video import is_live, is_video

    path = Path(run)
    looks_so = path.suffix.lower() in SUFFIXES or is_video(run)
    is_source = is_live(run) or (looks_so and not path.is_dir()) or (is_alone and "/" in run and not path.exists())
    if is_source or (path.is_dir() and not (path / "checkpoints").is_dir() and _holds_pictures(path)):
        run, sources = OWN, (run, *sources)
    for source in sources:
        if not is_live(source) and not Path(source).exists():
            expected = "a picture, a folder of pictures or a video"
            is_run = (runs / source).is_dir() or source == OWN
            fix = f"Name the run first: handdata predict {source} {sources[0]}." if is_run else ""
            raise MissingError(source, expected=expected, got="a run" if is_run else "nothing there", fix=fix)
    return run, sources


def _holds_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())

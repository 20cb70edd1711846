"""handdata label: a model's answers as labels to be checked, or to be trained on where it is sure."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from handdata.cli.complete import complete_run
from handdata.cli.options import FiniteRange, NamedPath, data_root_option, refuse_unused, run_path
from handdata.cli.predict_job import NO_DETECTOR, damage_told, picture_files, said_pictures
from handdata.errors import MissingError, WriteError
from handdata.paths import DataRoot

if TYPE_CHECKING:
    from handdata.model.model import Model
    from handdata.track.label import LabelFile


@click.command("label")
@click.argument("source")
@click.option(
    "--run",
    default="compact",
    show_default=True,
    shell_complete=complete_run,
    help="Run, checkpoint or weights to ask.",
)
@click.option(
    "--out",
    type=NamedPath(dir_okay=False, endings=[".json"], path_type=Path),
    help="Label file [default: SOURCE/labels.json, or beside]",
)
@click.option(
    "--least-confidence",
    type=FiniteRange(0, 1),
    default=0.3,
    show_default=True,
    help="Confidence of a keypoint below which it is left unlabelled.",
)
@click.option("--hand", type=click.Choice(["left", "right", "auto"]), help="The person's hand [default: as predict]")
@click.option(
    "--detector",
    default="spotter",
    show_default=True,
    help="Detector that finds the hands; none: pictures of one hand each, the largest centred square is looked at.",
)
@click.option(
    "--max-hands", type=click.IntRange(1, 20), default=2, show_default=True, help="Number of hands per picture."
)
@click.option("--every", type=click.IntRange(min=1), default=1, show_default=True, help="Step through a video, frames.")
@click.option("--skip-bad", is_flag=True, help="Leave out pictures that cannot be read; they are counted and named.")
@click.option("--device", default="auto", show_default=True, help="Device: auto, cpu, cuda or cuda:N.")
@data_root_option
@click.pass_obj
def label_command(
    data_root: DataRoot,
    source: str,
    run: str,
    out: Path | None,
    least_confidence: float,
    hand: str | None,
    detector: str,
    max_hands: int,
    every: int,
    skip_bad: bool,
    device: str,
) -> None:
    """Label the hands in SOURCE, a folder of pictures, one picture or a video, with a trained model.

    The labels go to a COCO keypoint file with a confidence for every point, to be checked in an annotation tool or read
    by `handdata import` as they are. Points that the model is not sure of are left unlabelled, so that training takes
    the others alone. The frames of a video are written as JPEG pictures to frames/ beside the file. A label file that
    something else wrote, or in which labels were changed, is never replaced: where that happens while this works, the
    labels go to a file beside it, labels-2.json, and the command says so and ends with 1.

    \b
    Example:
      handdata label photos
      handdata label film.mp4 --every 10 --out film/labels.json
      handdata import photos/labels.json --out data/shards/photos
    """
    from handdata.model.detector import find_detector
    from handdata.model.model import Model
    from handdata.model.onnx_read import find_ready
    from handdata.progress import say
    from handdata.track.label import LabelFile, refuse_to_lose
    from handdata.track.tracker import PROPOSED
    from handdata.track.video import is_video

    path = Path(source)
    if not path.exists():
        raise MissingError(source, expected="a folder of pictures, a picture or a video", got="nothing there")
    folder = path.with_suffix("") if is_video(source) else path if path.is_dir() else path.parent
    target = out or folder / "labels.json"
    before = refuse_to_lose(target)
    _refuse_unused(detector, of_video=is_video(source))
    model = Model(find_ready(run_path(data_root, Path(run))), device)
    labels = LabelFile(least_confidence)
    side = hand or model.side_unless_told
    besides = [] if is_video(source) else [NO_DETECTOR]
    likely = None if detector == NO_DETECTOR else find_detector(detector, PROPOSED, besides=besides)
    ask: dict[str, Any] = {"model": model, "detector": likely, "side": side, "most_hands": max_hands}
    if is_video(source):
        root = target.parent
        _label_video(labels, path, root, every, **ask)
    else:
        root = target.parent if folder.resolve().is_relative_to(target.parent.resolve()) else folder
        _label_pictures(labels, picture_files([path], skip_bad=skip_bad), root, **ask)
    written = labels.write(target, model.trained, before)
    asked = len(labels.annotations)
    hands = "1 hand" if asked == 1 else f"{asked} hands"
    pictures = said_pictures(len(labels.images))
    say(f"{hands} in {pictures}, {labels.points} of {21 * asked} points labelled: {written}")
    if labels.without_hands:
        say(f"no hand found in {labels.without_hands} of the pictures")
    if labels.left_out:
        say(f"{labels.left_out} boxes left out: the model sees no hand in them")
    if labels.points:
        say(f"next: handdata import {quote(str(written))} --root {quote(str(root))}")
    if written != target:
        got, fix = "one that somebody wrote meanwhile", f"The labels of this run are in {written}; compare them."
        raise WriteError(target, expected="the file as it was when this began", got=got, fix=fix)


def _refuse_unused(detector: str, *, of_video: bool) -> None:
    """Refuse options that would change nothing, and a video without a detector."""
    if of_video:
        refuse_unused(["skip_bad"], "goes with pictures only")
    else:
        refuse_unused(["every"], "goes with a video only")
    if detector == NO_DETECTOR:
        refuse_unused(["max_hands"], f"goes without --detector {NO_DETECTOR}")
        if of_video:
            raise click.UsageError("a video needs a detector.")


def _label_pictures(
    labels: "LabelFile", paths: list[Path], root: Path, *, model: "Model", detector: Any, side: str, most_hands: int
) -> None:
    from handdata.progress import meter
    from handdata.track.stills import Question, find_hands, hands_in_boxes

    asked = Question(side=side)
    found = (
        hands_in_boxes(paths, model, lambda _: [None], asked)
        if detector is None
        else find_hands(paths, model, detector, asked, most_hands)
    )
    with damage_told(), meter("labelling", len(paths)) as bar:
        for path, image, hands in found:
            labels.add(
                str(path.parent.resolve().relative_to(root.resolve()) / path.name),
                (image.shape[1], image.shape[0]),
                hands,
            )
            bar.advance()


def _label_video(
    labels: "LabelFile",
    source: Path,
    root: Path,
    every: int,
    *,
    model: "Model",
    detector: Any,
    side: str,
    most_hands: int,
) -> None:
    from handdata.files.whole import sync_all
    from handdata.progress import meter
    from handdata.track.run import pose_of
    from handdata.track.tracker import Tracker
    from handdata.track.video import Video, write_frame

    video = Video(str(source))
    tracker = Tracker(detector, pose_of(model), most_hands=most_hands, side=side)
    try:
        with meter("labelling", video.total) as bar:
            for frame in video:
                found = tracker(frame.image, frame.seconds)
                if frame.number % every == 0:
                    name = f"frames/{frame.number:06d}.jpg"
                    write_frame(root / name, frame.image)
                    hands = [one.hand for one in found if one.state == "seen"]
                    labels.add(name, (frame.image.shape[1], frame.image.shape[0]), hands)
                bar.advance()
        sync_all()  # before the labels that name them
    finally:
        video.close()

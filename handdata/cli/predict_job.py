"""What `handdata predict` does once its words are understood: pictures to JSON and overlays, a video to tables."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handdata.cli.options import is_same_file, print_json
from handdata.errors import ConfigError, DataError, Fix, HanddataError, MissingError, WriteError
from handdata.pictures.kinds import OTHER_SUFFIXES, SUFFIXES
from handdata.progress import meter, say

if TYPE_CHECKING:
    from handdata.annotate.tracker import TrackerKind
    from handdata.evaluation.absolute import Size
    from handdata.model.model import Model
    from handdata.model.place import Lens, MeasuredPerson
    from handdata.track.stills import PictureHands
    from handdata.track.tables import TableKind
    from handdata.track.tracker import Follow

NO_DETECTOR = "none"
_SAVE_AGAIN = "Save it again."  # a picture of the user's own came out of no archive


@dataclass(frozen=True, kw_only=True)
class PredictJob:
    """What to predict with, and how.

    Attributes:
        model: to ask.
        side: "left", "right" or "auto".
        out: folder to write to.
        box: left, top, width, height, px of every picture, or None.
        boxes: table of the boxes of each picture, or None.
        detector: name of the detector, or "none".
        most_hands: per picture.
        read_out: of pictures; None takes the model's own.
        lens, size: the camera and the hand, for millimetres; no lens, no millimetres.
        overlay: whether to draw.
        fit: replace poses by those that a hand can take; needs a lens.
        person: whose bones were measured; of a video, with a lens.
        carrier: image tracker of videos.
        skip_bad: leave out pictures that cannot be read, and name them.
    """

    model: "Model"
    side: str
    out: Path
    box: tuple[float, float, float, float] | None
    boxes: Path | None
    detector: str
    most_hands: int
    read_out: str | None
    lens: "Lens | None"
    size: "Size"
    overlay: bool
    fit: bool = False
    person: "MeasuredPerson | None" = None
    carrier: "TrackerKind" = "medianflow"
    skip_bad: bool = False

    @property
    def told(self) -> bool:
        """Whether somebody says where the hands are."""
        return self.box is not None or self.boxes is not None

    def found_in(self, paths: Sequence[Path]) -> "Iterator[PictureHands]":
        """Yield each picture with its hands: those of boxes that are told, of the whole picture, or of a detector."""
        from handdata.model.detector import find_detector
        from handdata.track.given import read_given
        from handdata.track.stills import Question, find_hands, hands_in_boxes
        from handdata.track.tracker import PROPOSED

        asked = Question(side=self.side, K_of=self.intrinsics_of(), read_out=self.read_out)
        if self.boxes:
            given = iter(read_given(self.boxes, [path.name for path in paths]))
            yield from hands_in_boxes(paths, self.model, lambda _: [b for b in [next(given)] if b is not None], asked)
        elif self.box:
            x, y, w, h = self.box
            yield from hands_in_boxes(paths, self.model, lambda _: [(x, y, x + w, y + h)], asked)
        elif self.detector == NO_DETECTOR:
            yield from hands_in_boxes(paths, self.model, lambda _: [None], asked)
        else:
            detector = find_detector(self.detector, PROPOSED, besides=[NO_DETECTOR])
            yield from find_hands(paths, self.model, detector, asked, self.most_hands)

    def intrinsics_of(self) -> Callable[[Any], Any] | None:
        """Return what gives the intrinsics of a picture, if a camera is known."""
        lens = self.lens
        return None if lens is None else lambda image: lens.intrinsics(image.shape[1], image.shape[0])


def predict_pictures(job: PredictJob, given: Sequence[Path], *, as_json: bool) -> None:
    """Write overlays to `job.out` and the keypoints as JSON, or a line per hand, to standard output."""
    from handdata.model.fit import fit_hands
    from handdata.model.found import (
        as_picture,
        as_sample,
        overlay_names,
        predictions_json,
        refuse_to_lose,
        write_overlay,
    )  # fmt: skip
    from handdata.model.place import place

    paths = picture_files(given, skip_bad=job.skip_bad)
    samples, pictures, lines = list[dict[str, Any]](), list[dict[str, Any]](), list[str]()
    names = iter(overlay_names(paths))
    _refuse_among(given if job.overlay else (), job.out)
    refuse_to_lose(job.out, overlay_names(paths) if job.overlay else ())
    with damage_told(job.box), meter("predicting", len(paths)) as bar:
        for path, image, hands in job.found_in(paths):
            if job.overlay:
                write_overlay(job.out / next(names), image, hands)
            pictures.append(as_picture(path, image, len(hands)))
            if not hands:
                lines.append(f"{path.name}: no hand")
            for hand in fit_hands(hands, job.size) if job.fit else hands:
                placed, depth_sd = place(hand, job.size) if job.lens else (hand, None)
                samples.append(as_sample(placed, depth_sd))
                lines.append(_line(samples[-1]))
            bar.advance()
    hands_found = "1 hand" if len(samples) == 1 else f"{len(samples)} hands"
    say(f"{hands_found} in {said_pictures(len(paths))}{f'; overlays in {job.out}' if job.overlay else ''}")
    _tell(job, [one["image"] for one in pictures if not one["hands"]])
    if job.lens:
        _tell_beside(job.lens, [(one["image"], (one["width"], one["height"])) for one in pictures])
    _tell_unplaced([one["sample_id"] for one in samples if one.get("keypoints_3d") and None in one["keypoints_3d"]])
    if as_json:
        print_json(predictions_json(job.model.trained, samples, pictures, job.size if job.lens else None))
        return
    click.echo("\n".join(lines))
    if samples:
        say("their keypoints: the same command with --json, or with > FILE")


def _tell(job: PredictJob, bare: Sequence[str]) -> None:
    """Say where no hand was found, and what the boxes and millimetres rest on."""
    if bare:
        shown = ", ".join(bare[:5]) + (" and others" if len(bare) > 5 else "")
        if job.boxes:
            say(f"no box in {job.boxes} for {said_pictures(len(bare))}: {shown}")
        else:
            fix = "Say where one is with --box, or give --detector none"
            say(f"no hand found in {said_pictures(len(bare))}: {shown}. {fix}")
    if not job.told and job.detector == NO_DETECTOR:
        say("no box and no detector: the largest centred square of each picture was taken for a hand")
    if job.lens:
        say(_size_note(job.size))


def _tell_beside(lens: "Lens", pictures: Sequence[tuple[str, tuple[int, int]]]) -> None:
    """Say of which pictures, named and with their sizes, a camera seems to be of another size."""
    odd = [(name, size) for name, size in pictures if lens.is_beside(*size)]
    if odd:
        name, size = odd[0]
        cx, cy = lens.intrinsics(*size)[:2, 2]
        more = f" and {len(odd) - 1} more" if odd[1:] else ""
        fix = "Is K of pictures of another size? Then scale it to these"
        say(f"cx, cy = {cx:g}, {cy:g} px lie far from the middle of {name}, {size[0]} x {size[1]}{more}. {fix}")


def _tell_unplaced(names: Sequence[str]) -> None:
    if names:
        shown = ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")
        fix = "Is the camera that of these pictures, in px?"
        say(f"no millimetres for {len(names)} of the hands, whose points do not determine them: {shown}. {fix}")


def _line(sample: dict[str, Any]) -> str:
    x, y = zip(*sample["keypoints_2d"], strict=True)
    sure = "" if sample["confidence"] is None else f", confidence {sample['confidence']:.2f}"
    where = f"x {min(x):.0f} to {max(x):.0f}, y {min(y):.0f} to {max(y):.0f} px"
    return f"{sample['sample_id']}: {sample['hand']} hand{sure}, {where}"


def predict_video(
    job: PredictJob, source: str | list[Path], *, every: int, fps: float | None, table: "TableKind"
) -> None:
    """Follow the hands of a video; write hands.jsonl, the table and overlay.mp4 to `job.out`."""
    from handdata.track.fitting import HandPlacer
    from handdata.track.run import OVERLAYS, place_of, track_video
    from handdata.track.video import Video

    if job.box:
        raise click.UsageError("--box goes with pictures: hands of a video are found by the detector, or by --boxes.")
    if job.detector == NO_DETECTOR and not job.boxes:
        raise click.UsageError("a video needs a detector, or --boxes.")
    _refuse_source(source, job.out / OVERLAYS)
    tracker = _tracker(job, source, every)
    placer = HandPlacer(job.size, job.person, fits=job.fit)
    in_mm = None if job.lens is None else place_of(job.lens, placer)
    video = Video(source, fps)
    began = time.perf_counter()
    try:
        total = None if video.total is None else math.ceil(video.total / every)
        with meter("following hands", total) as bar:
            counts = track_video(
                video, tracker, job.out, bar, every=every, overlay=job.overlay, in_mm=in_mm, table=table
            )
    finally:
        video.close()
    speed = counts.pictures / max(time.perf_counter() - began, 1e-9)
    say(
        f"{counts.with_hands} of {counts.pictures} frames show hands, {len(counts.tracks)} tracks, "
        f"{counts.followed} times carried on by the image tracker, {speed:.3g} frames/s: {job.out}"
    )
    if job.lens and counts.size:
        _tell_beside(job.lens, [("the video", counts.size)])
    for track, size in placer.sizes.items():
        say(f"track {track}: {_size_note(size)}")
    if job.lens and not placer.sizes:
        say(_size_note(job.size))
    if counts.interrupted:
        say("interrupted: what was found until then is written")


def _refuse_among(given: Sequence[Path], out: Path) -> None:
    """Refuse to write overlays among the pictures of a folder: the next time they would be pictures of it."""
    if any(one.is_dir() and is_same_file(out, one) for one in given):
        expected, fix = "another folder than that of the pictures", "Give another --out, or --no-overlay."
        raise WriteError(out, expected=expected, got="that one", fix=fix)


def _refuse_source(source: str | list[Path], target: Path) -> None:
    """Refuse to write the film of overlays over the film that is looked at."""
    if isinstance(source, str) and is_same_file(target, Path(source)):
        raise WriteError(target, expected="another film than is looked at", got="that one", fix="Give another --out.")


def _tracker(job: PredictJob, source: str | list[Path], every: int) -> "Follow":
    """Return what finds the hands of each frame: the boxes that are given, or a tracker over a detector."""
    from handdata.model.detector import find_detector
    from handdata.track.carry import image_tracker
    from handdata.track.given import GivenBoxes, read_given
    from handdata.track.run import pose_of
    from handdata.track.tracker import PROPOSED, Tracker

    pose = pose_of(job.model, job.lens)
    if job.boxes:
        names = [path.name for path in source] if isinstance(source, list) else None
        return GivenBoxes(read_given(job.boxes, names)[::every], pose, side=job.side)
    carrier = image_tracker(job.carrier)
    return Tracker(
        find_detector(job.detector, PROPOSED), pose, most_hands=job.most_hands, side=job.side, carrier=carrier
    )


def _size_note(size: "Size") -> str:
    return f"millimetres rest on {size.mm:.4g} +- {size.sd_mm:.4g} mm from wrist to middle knuckle: {size.source}"


def said_pictures(count: int) -> str:
    """Return a number of pictures in words."""
    return "1 picture" if count == 1 else f"{count} pictures"


def picture_files(given: Sequence[Path], *, skip_bad: bool = False) -> list[Path]:
    """Return the named pictures and those in the named folders.

    Args:
        given: files and folders.
        skip_bad: leave out those that cannot be read; say how many there are, which, and what is wrong with the first.

    Raises:
        MissingError: no picture is there.
        DataError: a named file is none, a name is no text, or none can be read.
    """
    from handdata.pictures.picture_file import check_name

    fix = f"Known are {', '.join(sorted(SUFFIXES))}."
    for one in given:
        if not one.is_dir() and one.suffix.lower() not in SUFFIXES:
            raise DataError(one, expected="a picture", got=f"a file that ends in {one.suffix or 'nothing'}", fix=fix)
    within = [path for one in given for path in (sorted(one.iterdir()) if one.is_dir() else [one])]
    paths = [path for path in within if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise MissingError(given[0], expected="pictures", got="none", fix=fix)
    others = Counter(path.suffix.lower() for path in within if path.suffix.lower() in OTHER_SUFFIXES)
    if others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
        say(f"left out pictures of kinds that are not read: {kinds}. {fix}")
    twice = [name for name, count in Counter(path.name for path in paths).items() if count > 1]
    if twice:
        raise click.UsageError(
            f"two of the pictures have the same file name, {twice[0]}; give them in two commands, with an --out each."
        )
    if skip_bad:
        return _without_bad(paths)
    for path in paths:
        check_name(path)
    return paths


def _without_bad(paths: Sequence[Path]) -> list[Path]:
    from handdata.pictures.decode import read_image
    from handdata.pictures.picture_file import check_name

    bad: dict[Path, HanddataError] = {}
    for path in paths:
        try:
            check_name(path)
            read_image(path)
        except (DataError, MissingError) as error:
            bad[path] = error
    if bad:
        first = next(iter(bad.values()))
        if len(bad) == len(paths):
            raise DataError(first.where, expected=first.expected, got=first.got, fix=_SAVE_AGAIN)
        names = ", ".join(path.name for path in list(bad)[:5]) + (" and others" if len(bad) > 5 else "")
        say(
            f"left out {len(bad)} of {len(paths)} pictures, which cannot be read: {names}. {DataError(first.where, expected=first.expected, got=first.got, fix=_SAVE_AGAIN)}"
        )
    return [path for path in paths if path not in bad]


@contextmanager
def damage_told(box: Sequence[float] | None = None) -> Iterator[None]:
    """Tell of a damaged picture without what only `convert` can do, and of a box as it was given here."""
    from handdata.shards.hand_pictures import SAVE_AGAIN

    try:
        yield
    except DataError as error:
        if not isinstance(error.ways, Fix) and error.ways != SAVE_AGAIN:  # of no picture: a table of boxes
            raise
        mend = Fix(_SAVE_AGAIN.removesuffix("."))
        raise DataError(error.where, expected=error.expected, got=error.got, fix=mend) from error
    except ConfigError as error:
        if box is None or not error.got.startswith("box_xyxy"):
            raise
        got = f"--box {' '.join(f'{edge:g}' for edge in box)}"
        fix = "Give the left, top, width and height of the hand in px of this picture."
        raise ConfigError(error.where, expected=error.expected, got=got, fix=fix) from error

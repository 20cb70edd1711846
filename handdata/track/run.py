"""A video through the tracker: rows of a table, JSON lines, and a video of overlays."""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from handdata.evaluation.absolute import Size
from handdata.files.whole import whole
from handdata.model.model import Model
from handdata.model.place import Lens
from handdata.pictures.overlay import draw_box, draw_skeleton
from handdata.progress import Meter
from handdata.shards.hand import Hand
from handdata.track.around import look_around
from handdata.track.fitting import HandPlacer
from handdata.track.tables import Placed, TableKind, TableWriter, columns, line_of, rows_of, table_bytes
from handdata.track.tracker import Follow, Pose, TrackedHand
from handdata.track.video import Video, video_writer

Placer = Callable[[TrackedHand, NDArray[np.uint8], float], Placed]  # hand, picture, seconds

OVERLAYS = "overlay.mp4"

# Power of a model's zoom by which a tracker's box grows. Hands that crossed in 6 videos were taken for one another
# 3, 1, 1, 0, 2 and 4 times at 0, 0.4, 0.5, 0.6, 0.8 and 1.
ROOM = 0.6


@dataclass
class Counts:
    """What a run over a video saw.

    Attributes:
        pictures: looked at.
        with_hands: of them, with a hand.
        followed: hands in pictures that an image tracker carried on.
        tracks: numbers of the hands.
        interrupted: by the user, before the end.
        size: width and height of the last one, px; None: none was looked at.
    """

    pictures: int = 0
    with_hands: int = 0
    followed: int = 0
    tracks: set[int] = field(default_factory=set)
    interrupted: bool = False
    size: tuple[int, int] | None = None

    def count(self, found: Sequence[TrackedHand]) -> None:
        """Count one picture."""
        self.pictures += 1
        self.with_hands += bool(found)
        self.followed += sum(one.state == "followed" for one in found)
        self.tracks |= {one.track for one in found}


def pose_of(model: Model, lens: Lens | None = None) -> Pose:
    """Return the tracker's question to a model; with a lens the poses are in the axes of its camera.

    A tracker's box is where a hand was or may be, so a model that looks closer than its box is given a larger one: by
    the box as it is the real video of docs/video.md was followed at 0.45, for want of what lay beside it.
    """
    room = model.trained.model.zoom**ROOM

    def pose(image: NDArray[np.uint8], boxes: Sequence[NDArray[np.float64]], sides: Sequence[str]) -> list[Hand]:
        K = None if lens is None else lens.intrinsics(image.shape[1], image.shape[0])
        return look_around(model, [image] * len(boxes), boxes, list(sides), room, K=K)

    return pose


def place_of(lens: Lens, placer: HandPlacer | Size) -> Placer:
    """Return what puts a followed hand before a camera, in mm: its smoothed pose against its smoothed keypoints.

    Args:
        lens: of the camera.
        placer: puts hands before it; a size stands for one that assumes it, without a fit.
    """
    put = HandPlacer(placer) if isinstance(placer, Size) else placer

    def in_mm(one: TrackedHand, image: NDArray[np.uint8], seconds: float) -> Placed:
        calm = replace(
            one.hand,
            K=lens.intrinsics(image.shape[1], image.shape[0]),
            keypoints_2d=one.smoothed.keypoints_2d,
            keypoints_3d_normalized=one.smoothed.keypoints_3d_normalized,
        )
        return put(one.track, calm, one.confidence, seconds)

    return in_mm


def track_video(
    video: Video,
    tracker: Follow,
    out: Path,
    bar: Meter,
    *,
    every: int = 1,
    overlay: bool = True,
    in_mm: Placer | None = None,
    table: TableKind = "csv",
) -> Counts:
    """Follow the hands of a video and write what was found to a folder: hands.jsonl, hands.csv, overlay.mp4.

    An interruption ends the video there: what was found until then is written as if the video were that long.

    Args:
        video: to read.
        tracker: to ask: a `Tracker`, or anything that answers (picture, seconds) with hands.
        out: folder to write to.
        bar: of progress.
        every: look at one picture of so many.
        overlay: write the video of overlays.
        in_mm: puts each hand before a camera; None: no millimetres.
        table: "parquet" for hands.parquet instead of hands.csv.

    Raises:
        ConfigError: Parquet, and pyarrow is not installed.
    """
    names = columns(in_mm=in_mm is not None)
    table_bytes([], names, table)  # says now, not after an hour, that it cannot be written
    counts = Counts()
    with ExitStack() as stack:
        rows = TableWriter(stack.enter_context(whole(out / f"hands.{table}")), names, table)
        lines = stack.enter_context(whole(out / "hands.jsonl"))
        add = stack.enter_context(video_writer(out / OVERLAYS, video.fps / every)) if overlay else None
        try:
            for picture in video:
                if picture.number % every:
                    continue
                found = tracker(picture.image, picture.seconds)
                placed = [] if in_mm is None else [in_mm(one, picture.image, picture.seconds) for one in found]
                lines.write(json.dumps(line_of(picture, found, placed)).encode() + b"\n")
                rows.add(rows_of(picture, found, placed))
                if add is not None:
                    add(drawn(picture.image, found))
                counts.size = picture.image.shape[1], picture.image.shape[0]
                counts.count(found)
                bar.advance()
        except KeyboardInterrupt:
            counts.interrupted = True
        rows.end()
    for other in get_args(TableKind):
        if other != table:  # of an earlier run: it would tell of other hands than the lines do
            (out / f"hands.{other}").unlink(missing_ok=True)
    return counts


def drawn(image: NDArray[np.uint8], found: Sequence[TrackedHand]) -> NDArray[np.uint8]:
    """Return a picture with the smoothed skeletons; boxes yellow where a hand is seen, red where it is carried on."""
    for one in found:
        color = (255, 210, 0) if one.state == "seen" else (230, 60, 40)
        image = draw_skeleton(draw_box(image, one.hand.crop_box, color), one.smoothed.keypoints_2d)
    return image

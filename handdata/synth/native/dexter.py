"""Dexter+Object, rendered: 6 sequences, a left hand with a cuboid, five tips and three corners labelled on depth.

    data/<Seq>/color/Color_<NNNN>.bmp, depth/Depth_<NNNN>.png
    data/<Seq>/annotations/<Seq>2D.txt, <Seq>3D.txt

The world is the depth camera's frame; labels are written with x to the left and y up. Quirks planted: a few tips are
missing, Grasp1 has a label line too many, Rotate a picture too many.
Layout: of the documents named in docs/datasets.md.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.files.whole import write_bytes, write_text
from handdata.geometry import project
from handdata.skeleton import LEFT, TIPS
from handdata.synth.frame import Frame, Motion, SequenceSpec
from handdata.synth.native.fingertips import displace_first, forget_tips, format_row, invalid_depth, tips_of
from handdata.synth.native.recordings import frames_of, is_kept, manifest_camera, sequence_of
from handdata.synth.native.tree import Request, Victims, load_labels, render_tree, save_labels, shares, write_picture

MOTIONS: dict[str, Motion] = {
    "Grasp1": "grasp",
    "Grasp2": "grasp",
    "Rotate": "random",
    "Pinch": "grasp",
    "Occlusion": "random",
    "Rigid": "swipe",
}
MISSING_MM = 32001
MISSING_SHARE = 0.02  # of the tips the depth camera sees
NUM_CORNERS = 3
LINE_TOO_MANY, PICTURE_TOO_MANY = "Grasp1", "Rotate"


def write(root: Path, request: Request, workers: int) -> int:
    """Write `request.frames` labelled colour pictures over the 6 sequences, with the depth beside them."""
    weights = [manifest.load("dexter").counts[name] for name in MOTIONS]
    counts = {name: count for name, count in zip(MOTIONS, shares(request.frames, weights), strict=True) if count}
    return render_tree(
        root,
        request,
        tasks=frames_of(counts, lambda name: _spec(name, request)),
        is_done=partial(is_kept, root),
        write=partial(_write_frame, root),
        finish=lambda: _finish(root, counts, request.seed),
        victims=lambda: _victims(root, counts),
        workers=workers,
    )


def _spec(sequence: str, request: Request) -> SequenceSpec:
    return request.spec(
        sequence,
        cameras=tuple(manifest_camera("dexter", name) for name in ("color", "depth")),
        sides=(LEFT,),
        objects="cuboid",
        motion=MOTIONS[sequence],
        distance_mm=(380.0, 520.0),
    )


def _write_frame(root: Path, spec: SequenceSpec, index: int, frame: Frame) -> None:
    sequence = sequence_of(spec)
    folder = root / "data" / sequence
    write_picture(folder / f"color/Color_{index + 1:04d}.bmp", frame["color"].image)
    write_picture(folder / f"depth/Depth_{index + 1:04d}.png", invalid_depth(frame["depth"].depth, MISSING_MM))
    corners = np.full((NUM_CORNERS, 4), np.nan)
    if frame.object_corners_3d is not None:
        corners[:, :3] = frame.object_corners_3d[:NUM_CORNERS]
    save_labels(root, sequence, index, np.vstack([tips_of(frame, "depth"), corners]))


def _finish(root: Path, counts: dict[str, int], seed: int) -> None:
    """Write both label files of each sequence, and the two counts that do not agree."""
    for sequence, count in counts.items():
        labels = load_labels(root, sequence, count)
        tips = forget_tips(labels[:, : len(TIPS)], MISSING_SHARE, [seed, *sequence.encode()])
        points = np.concatenate([tips, labels[:, len(TIPS) :, :3]], axis=1)
        if sequence == LINE_TOO_MANY:
            points = np.concatenate([points, points[-1:]])
        _write_labels(root, sequence, points)
        if sequence == PICTURE_TOO_MANY:
            for name in ("color/Color_{:04d}.bmp", "depth/Depth_{:04d}.png"):
                folder = root / "data" / sequence
                write_bytes(folder / name.format(count + 1), (folder / name.format(count)).read_bytes())


def _write_labels(root: Path, sequence: str, points: NDArray[np.float64]) -> None:
    """Write (frames, 8, 3) points of the depth camera, NaN where missing, as the native 2D and 3D tables."""
    facts = manifest.load("dexter")
    native = points * np.array(facts.extra["label_axes"])
    uv = project(points, facts.cameras["depth"].K)
    folder = root / "data" / sequence / "annotations"
    tables = (("2D", uv, (-1, -1)), ("3D", native, (MISSING_MM, MISSING_MM, MISSING_MM)))
    for name, table, sentinel in tables:
        lines = "".join(f"{format_row(row, sentinel, '{:.6g}')}\n" for row in table)
        write_text(folder / f"{sequence}{name}.txt", lines)


def _victims(root: Path, counts: dict[str, int]) -> Victims:
    first, last = next(iter(counts)), next(reversed(counts))

    def mislabel() -> None:
        path = root / "data" / first / "annotations" / f"{first}3D.txt"
        write_text(path, displace_first(path.read_text(encoding="utf-8")))

    return Victims(
        mislabel=mislabel,
        missing=root / f"data/{first}/color/Color_{counts[first]:04d}.bmp",
        truncated=root / f"data/{last}/color/Color_0001.bmp",
        deeper=root,
        deeper_name="dexter+object",
    )

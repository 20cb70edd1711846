"""EgoDexter, rendered: 4 sequences seen from the head, a left hand with objects, half of the frames labelled.

    data/<Seq>/color/image_<NNNNN>_color.png, color_on_depth/..., depth/image_<NNNNN>_depth.png
    data/<Seq>/annotation.txt, annotation.txt_3D.txt

The world is the depth camera's frame. Quirks planted: whole frames and single tips without a label (-1 in 2D, 0 or -0
in 3D), 2D labels without depth under them, a semicolon at the end of each line.
Layout: of the documents named in docs/datasets.md.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.files.whole import write_text
from handdata.geometry import project
from handdata.skeleton import LEFT
from handdata.synth.frame import Frame, SequenceSpec
from handdata.synth.native.fingertips import displace_first, forget_tips, format_row, invalid_depth, tips_of
from handdata.synth.native.recordings import frames_of, is_kept, manifest_camera, sequence_of
from handdata.synth.native.tree import Request, Victims, load_labels, render_tree, save_labels, shares, write_picture

SEQUENCES = ("Desk", "Fruits", "Kitchen", "Rotunda")
NO_DEPTH = 0
MISSING_SHARE = 0.03
HOLE_SHARE = 0.01  # of the tips: no depth under the 2D label


def write(root: Path, request: Request, workers: int) -> int:
    """Write `request.frames` colour pictures over the 4 sequences, every second one labelled, with both depth views."""
    counts = {name: n for name, n in zip(SEQUENCES, shares(request.frames, [1] * len(SEQUENCES)), strict=True) if n}
    return render_tree(
        root,
        request,
        tasks=frames_of(counts, lambda name: _spec(name, request)),
        is_done=partial(is_kept, root),
        write=partial(_write_frame, root),
        finish=lambda: _write_labels(root, counts, request.seed),
        victims=lambda: _victims(root, counts),
        workers=workers,
    )


def _spec(sequence: str, request: Request) -> SequenceSpec:
    return request.spec(
        sequence,
        cameras=tuple(manifest_camera("egodexter", name) for name in manifest.load("egodexter").cameras),
        sides=(LEFT,),
        objects="any",
        motion="grasp",
        distance_mm=(350.0, 520.0),
        viewpoint="ego",
    )


def _write_frame(root: Path, spec: SequenceSpec, index: int, frame: Frame) -> None:
    sequence = sequence_of(spec)
    folder, stem = root / "data" / sequence, f"image_{index:05d}"
    color_on_depth = frame["color_on_depth"]
    write_picture(folder / f"color/{stem}_color.png", frame["color"].image)
    registered = np.where(color_on_depth.depth[..., None] > 0, color_on_depth.image, 0).astype(np.uint8)
    write_picture(folder / f"color_on_depth/{stem}_color_on_depth.png", registered)  # black where nothing is measured
    write_picture(folder / f"depth/{stem}_depth.png", invalid_depth(color_on_depth.depth, NO_DEPTH))
    save_labels(root, sequence, index, tips_of(frame, "color_on_depth"))


def _write_labels(root: Path, counts: dict[str, int], seed: int) -> None:
    """Write both label files of each sequence."""
    K = manifest.load("egodexter").cameras["color_on_depth"].K
    for sequence, count in counts.items():
        labels, name = load_labels(root, sequence, count), sequence.encode()
        points = forget_tips(labels, MISSING_SHARE, [seed, *name])
        points[1::2] = np.nan
        holes = np.where(np.isnan(forget_tips(labels, HOLE_SHARE, [seed, 1, *name])), np.nan, points)
        uv = np.rint(project(points, K))
        folder = root / "data" / sequence
        _write_table(folder / "annotation.txt", uv, ("-1, -1",) * 2, "{:.0f}")
        _write_table(folder / "annotation.txt_3D.txt", holes, ("-0, -0, 0", "0, -0, 0"), "{:.6g}")


def _write_table(path: Path, table: NDArray[np.float64], sentinels: tuple[str, str], number: str) -> None:
    """Write (frames, 5, D) as lines; the sentinels for NaN take turns, frame by frame."""
    lines = []
    for frame, row in enumerate(table):
        sentinel = [float(text) for text in sentinels[frame // 2 % 2].split(",")]
        lines.append(f"{format_row(row, sentinel, number)};\n")
    write_text(path, "".join(lines))


def _victims(root: Path, counts: dict[str, int]) -> Victims:
    first, last = next(iter(counts)), next(reversed(counts))

    def mislabel() -> None:
        path = root / "data" / first / "annotation.txt_3D.txt"
        write_text(path, displace_first(path.read_text(encoding="utf-8")))

    return Victims(
        mislabel=mislabel,
        missing=root / f"data/{first}/color/image_{counts[first] - 1:05d}_color.png",
        truncated=root / f"data/{last}/color/image_00000_color.png",
        deeper=root,
        deeper_name="EgoDexter",
    )

"""Toy hands, rendered.

toy/<i>.png, toy/<i>.txt
"""

from functools import partial
from pathlib import Path

from handdata.skeleton import LEFT
from handdata.synth.frame import Frame, SequenceSpec
from handdata.synth.native.recordings import frames_of, manifest_camera
from handdata.synth.native.tree import Request, Victims, render_tree, write_picture, write_text


def write(root: Path, request: Request, workers: int) -> int:
    spec = SequenceSpec(
        seed=request.seed,
        name="toy/toy",
        cameras=(manifest_camera("toy", "color"),),
        sides=(LEFT,),
        motion="random",
        distance_mm=(500.0, 700.0),
        fps=2.5,
        style=request.style,
        small=request.small,
        backgrounds=request.backgrounds,
    )
    pictures = [root / "toy" / f"{i}.png" for i in range(request.frames)]

    def mislabel() -> None:
        labels = [picture.with_suffix(".txt") for picture in pictures]
        labels[0].write_bytes(labels[-1].read_bytes())

    return render_tree(
        root,
        request,
        tasks=frames_of({"toy": request.frames}, lambda _: spec),
        is_done=lambda task: pictures[task[1]].with_suffix(".txt").is_file(),
        write=partial(_write_frame, root),
        finish=lambda: None,
        victims=lambda: Victims(
            mislabel=mislabel, missing=pictures[1], truncated=pictures[-1], deeper=root, deeper_name="toy_v1"
        ),
        workers=workers,
    )


def _write_frame(root: Path, _: SequenceSpec, index: int, frame: Frame) -> None:
    write_picture(root / "toy" / f"{index}.png", frame["color"].image)
    numbers = " ".join(f"{value / 1000:.6f}" for value in frame.hands[0].keypoints_3d.ravel())
    write_text(root / "toy" / f"{index}.txt", numbers + "\n")

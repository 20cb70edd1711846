"""A short rendered sequence as a depth camera sees it, with the truth, and a person who clicks it."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.annotate.depth.lift import Clicks
from handdata.annotate.depth.pictures import to_shown
from handdata.annotate.depth.recording import DepthRecording
from handdata.annotate.depth.session import DepthSession
from handdata.geometry import project
from handdata.skeleton import BONES, LEFT, TIPS
from handdata.synth.frame import SequenceSpec
from handdata.synth.native.recordings import manifest_camera
from handdata.synth.sequence import render_frame

K = manifest.load("dexter").cameras["depth"].K
FRAMES = 11
Floats = NDArray[np.float64]


@cache
def rendered() -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return (F, 21, 3) mm, (F, 240, 320) mm and (F, 21) whether a point is seen."""
    camera = manifest_camera("dexter", "depth", background="none")
    spec = SequenceSpec(
        seed=3,
        name="depth/grasp",
        cameras=(camera,),
        sides=(LEFT,),
        motion="grasp",
        distance_mm=(380.0, 520.0),
        small=True,
    )
    shown = [render_frame(spec, 2 * i) for i in range(FRAMES)]
    truth = np.stack([frame.hands[0].keypoints_3d for frame in shown])
    depth = np.stack([frame.views[0].depth for frame in shown]).astype(float)
    return truth, depth, np.stack([frame.views[0].visible[0] for frame in shown])


def clicked(frames: list[int]) -> Clicks:
    """Return exact clicks, with the nearer end of every bone whose ends differ by 5 mm."""
    truth, _, seen = rendered()
    starts, ends = (list(side) for side in zip(*BONES, strict=True))
    deeper = truth[frames][:, ends, 2] - truth[frames][:, starts, 2]
    nearer = np.where(np.abs(deeper) > 5, np.sign(deeper), 0).astype(np.int64)
    return Clicks(project(truth[frames], K), ~seen[frames], nearer)


def off(xyz: Floats, truth: Floats) -> float:
    return float(np.linalg.norm(xyz - truth, axis=-1).mean())


def made_recording(folder: Path, *, colored: bool = True) -> DepthRecording:
    """Write the rendered sequence, black colour pictures beside it."""
    truth, depth, _ = rendered()
    names = [f"Made/color/Color_{i + 1:04d}.png" for i in range(FRAMES)]
    paths = [folder / f"Made/depth/Depth_{i + 1:04d}.png" for i in range(FRAMES)]
    for i, path in enumerate(paths):
        for file, picture in (
            (path, depth[i].astype(np.uint16)),
            (folder / names[i], np.zeros((480, 640, 3), np.uint8)),
        ):
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), picture)
    return DepthRecording(
        dataset="dexter",
        sequence="Made",
        folder=folder,
        side="left",
        depth_paths=tuple(paths),
        K=K,
        size=manifest.load("dexter").cameras["depth"].size,
        tips=truth[:, list(TIPS)],
        cameras={"color": manifest.load("dexter").cameras["color"]} if colored else {},
        pictures={"color": tuple(names)} if colored else {},
    )


def click_frame(session: DepthSession, frame: int) -> None:
    """Say of a frame all that a person can, and accept it."""
    clicks = clicked([frame])
    if not session.cell(frame).hands:
        session.begin(frame, (100.0, 100.0, 400.0, 400.0), "left")
    session.place(frame, 0, {k: tuple(to_shown(uv)) for k, uv in enumerate(clicks.uv[0])})
    session.set_state(frame, 0, np.flatnonzero(clicks.hidden[0]).tolist(), "occluded")
    session.set_state(frame, 0, np.flatnonzero(~clicks.hidden[0]).tolist(), "visible")
    for bone, end in enumerate(clicks.nearer[0]):
        if end:
            session.tell_nearer(frame, 0, bone + 1, {1: "start", -1: "end"}[int(end)])
    session.accept(frame, frame)


def work_through(session: DepthSession) -> None:
    while session.work():
        pass

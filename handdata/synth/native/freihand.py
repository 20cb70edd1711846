"""FreiHAND, rendered: a right hand in the middle of 224 px, each shot of training in four versions.

    training/rgb/<8 digits>.jpg, training/mask/<8 digits>.jpg, evaluation/rgb/<8 digits>.jpg
    {training,evaluation}_{K,xyz,scale,mano}.json

A shot stands before green; in the other versions before a scene, whose colours two of them change. There are no
vertices, and MANO's pose and shape are zeros: a rendered hand has none.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.files.text import Wanted, read_json
from handdata.files.whole import write_text
from handdata.geometry import project
from handdata.skeleton import INDEX, RIGHT
from handdata.synth.frame import Camera, Frame, SequenceSpec
from handdata.synth.native.recordings import frames_of, is_kept, sequence_of
from handdata.synth.native.tree import Request, Victims, load_labels, render_tree, save_labels, write_picture

SETS = ("training", "evaluation")
SIZE, MIDDLE = 224, 112.0
FOCAL_PX, ASPECT = (380.0, 520.0), 0.0024  # of the real ones; the two differ by that share at the most
PARTS = 16  # of View.part that are the hand: without the forearm
WEDGE_EVERY, WEDGE_PX = 3, 60  # pictures whose crop ran out of the source, at one corner
GAINS = {"sample": (1.15, 0.95, 0.85), "auto": (0.85, 1.0, 1.2)}  # of red, green and blue


def write(root: Path, request: Request, workers: int) -> int:
    """Write `request.frames` pictures: a fifth as many shots of training in four versions, the rest for evaluation."""
    shots = request.frames // 5
    counts = {"training": shots, "evaluation": request.frames - 4 * shots}
    tasks = frames_of({name: count for name, count in counts.items() if count}, lambda name: _spec(name, request))
    return render_tree(
        root,
        request,
        tasks=tasks,
        is_done=partial(is_kept, root),
        write=partial(_write_frame, root, shots),
        finish=lambda: _write_labels(root, counts),
        victims=lambda: _victims(root, counts),
        workers=workers,
    )


def _spec(name: str, request: Request) -> SequenceSpec:
    rng = np.random.default_rng([request.seed, *name.encode()])
    fx = float(rng.uniform(*FOCAL_PX))
    K = np.array([[fx, 0, MIDDLE], [0, fx * (1 + float(rng.uniform(-ASPECT, ASPECT))), MIDDLE], [0, 0, 1]])
    before = ("key", "scene") if name == "training" else ("scene",)
    return request.spec(
        name,
        cameras=tuple(Camera(name=b, K=K, width=SIZE, height=SIZE, background=b) for b in before),  # type: ignore[arg-type]
        sides=(RIGHT,),
        motion="still",
        distance_mm=(500.0, 850.0),
    )


def _write_frame(root: Path, shots: int, spec: SequenceSpec, index: int, frame: Frame) -> None:
    name, view = sequence_of(spec), frame["scene"]
    hand = (view.part > 0) & ((view.part - 1) % (PARTS + 1) < PARTS)
    scene = _with_wedge(view.image, view.mask, index)
    if name == "training":
        pictures = {"gs": frame["key"].image, "hom": scene} | {v: _recolour(scene, gain) for v, gain in GAINS.items()}
        for version, picture in enumerate(pictures.values()):
            write_picture(root / name / "rgb" / f"{version * shots + index:08d}.jpg", picture)
        write_picture(root / name / "mask" / f"{index:08d}.jpg", np.repeat(hand[..., None] * np.uint8(255), 3, axis=2))
    else:
        write_picture(root / name / "rgb" / f"{index:08d}.jpg", scene)
    save_labels(root, name, index, np.vstack([frame.hands[0].keypoints_3d, view.camera.K]))


def _with_wedge(image: NDArray[np.uint8], mask: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
    """Return some pictures with a black corner, where nothing stands."""
    v, u = np.indices(mask.shape)
    corner = (u + v < WEDGE_PX) & (mask == 0) & (index % WEDGE_EVERY == 0)
    return np.where(corner[..., None], 0, image).astype(np.uint8)


def _recolour(image: NDArray[np.uint8], gains: Sequence[float]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(image * np.array(gains), 0, 255), np.uint8)


def _write_labels(root: Path, counts: dict[str, int]) -> None:
    per_mm = 1 / manifest.load("freihand").mm_per_unit
    a, b = INDEX["middle_mcp"], INDEX["middle_pip"]
    for name, count in counts.items():
        if not count:
            continue
        labels = load_labels(root, name, count)
        xyz, K = labels[:, :21] * per_mm, labels[:, 21:]
        uv = np.stack([project(points, camera)[a] for points, camera in zip(xyz, K, strict=True)])
        s = (K[:, 0, 0] + K[:, 1, 1]) / 2 / xyz[:, a, 2]
        mano = np.hstack([np.zeros((count, 58)), uv, s[:, None]])[:, None]
        tables = {"K": K, "xyz": xyz, "scale": np.linalg.norm(xyz[:, a] - xyz[:, b], axis=-1), "mano": mano}
        for kind, values in tables.items():
            write_text(root / f"{name}_{kind}.json", json.dumps(values.tolist()))


def _victims(root: Path, counts: dict[str, int]) -> Victims:
    name = next(name for name in SETS if counts[name])
    last = next(name for name in reversed(SETS) if counts[name])

    def mislabel() -> None:
        path = root / f"{name}_xyz.json"
        table = read_json(path, Wanted(what="the points just rendered"))
        table[0] = [[x + 0.06, y, z] for x, y, z in table[-1]]
        write_text(path, json.dumps(table))

    return Victims(
        mislabel=mislabel,
        missing=root / name / "rgb" / f"{counts[name] - 1:08d}.jpg",
        truncated=root / last / "rgb" / f"{counts[last] - 1:08d}.jpg",
        deeper=root,
        deeper_name="FreiHAND_pub_v2",
    )

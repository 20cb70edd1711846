"""The picture as shipped of a converted hand: read again from the native files, if they are here."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.conversion.plan import plan_all
from handdata.converters import CONVERTERS
from handdata.converters.protocol import Item, Reader
from handdata.errors import MissingError
from handdata.paths import DataRoot
from handdata.shards.hand import Hand

SAME_PX = 0.02  # labels of the native files and of the shards differ by rounding alone


class ShippedPictures:
    """Finds the native picture of hands.

    Args:
        data_root: native files are looked for at its default places.
    """

    def __init__(self, data_root: DataRoot) -> None:
        self._root = data_root
        self._known: dict[str, tuple[dict[str, Item], Reader, Path]] = {}

    def read(self, hand: Hand) -> tuple[NDArray[np.uint8], str]:
        """Read the picture that a hand was cut from.

        Returns:
            (H, W, 3) uint8 RGB, and its path under the native root.

        Raises:
            MissingError: no native files here, or they are others.
            HanddataError: they cannot be read.
        """
        items, reader, root = self._dataset(hand.dataset)
        item = items.get(hand.id)
        if item is None:
            raise _other(root, hand, "no such sample")
        sample = reader(item)
        height, width = sample.image.shape[:2]
        if (width, height) != hand.source.size or not _same(sample.keypoints_2d, hand.source.keypoints_2d):
            raise _other(root, hand, "another hand of that id")
        return sample.image, item.image

    def _dataset(self, name: str) -> tuple[dict[str, Item], Reader, Path]:
        if name not in self._known:
            root = self._root.native(name)
            if name not in CONVERTERS or not root.is_dir():
                fix = "The canvas is all that shards keep."
                raise MissingError(root, expected="the native files of these shards", got="no such folder", fix=fix)
            options = CONVERTERS[name].OPTIONS()
            plan = plan_all(name, root, options)
            reader = CONVERTERS[name].reader(plan.root, manifest.load(name), options)
            self._known[name] = {item.id: item for item in plan.items}, reader, plan.root
        return self._known[name]


def _same(found: NDArray[Any], stored: NDArray[Any]) -> bool:
    """Tell whether labels are the same where both have them."""
    apart = np.abs(np.asarray(found, np.float64) - stored)
    return not np.isfinite(apart).any() or float(np.nanmax(apart)) < SAME_PX


def _other(root: Path, hand: Hand, got: str) -> MissingError:
    fix = "The canvas is all that shards keep."
    return MissingError(root, expected=f"the native files that {hand.id} was converted from", got=got, fix=fix)

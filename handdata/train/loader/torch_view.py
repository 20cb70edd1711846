"""A dataset for somebody else's training loop: (image, targets) for `torch.utils.data.DataLoader`.

Shape letters: n side of the crop. A DataLoader adds the batch in front.
"""

from collections.abc import Sequence
from dataclasses import replace
from operator import index
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handdata.errors import ConfigError
from handdata.model.pixels import denormalize
from handdata.shards.dataset import Dataset
from handdata.train.augment.backgrounds import BackgroundPool, load_backgrounds
from handdata.train.augment.prepare import Inputs, prepare
from handdata.train.augment.settings import AUGMENTATIONS, AugmentConfig
from handdata.train.loader.mixture import Batch, Mixture
from handdata.train.loader.prefetch import BatchRequest, Chunk, ShardSource
from handdata.train.loader.proportions import slot_map


class Targets(NamedTuple):
    """The labels of one crop.

    Attributes:
        uv: (21, 2) float32, fractions of the crop's side; 0 where not labelled, true values outside 0..1.
        xyz: (21, 3) float32, the normalised pose, turned and mirrored with the picture; 0 where not labelled.
        present_2d: (21,) bool, labelled and inside the crop and the picture as shipped.
        present_3d: (21,) bool, labelled.
        visible: (21,) int8, 1 visible, 0 hidden, -1 not known.
        K: (3, 3) float32 intrinsics of the crop, px; NaN where not known.
        mirrored: bool, a right hand that is shown as a left one.
        crop_to_source: (2, 3) float64 affine from px of the crop, `uv * size`, to px of the picture as shipped.
        number: int64, of the hand in the dataset.
    """

    uv: Tensor
    xyz: Tensor
    present_2d: Tensor
    present_3d: Tensor
    visible: Tensor
    K: Tensor
    mirrored: Tensor
    crop_to_source: Tensor
    number: Tensor


class TorchView(torch.utils.data.Dataset[tuple[Tensor, Targets]]):
    """Crops and targets of a dataset; `Dataset.torch` makes it. Pickles without what is open, for worker processes.

    The augmentation is a function of (seed, epoch, number of the hand): the same with any number of workers.
    """

    def __init__(
        self, data: Dataset, *, size: int, augment: str | None, seed: int, normalize: bool, mirror: bool
    ) -> None:
        if augment is not None and augment not in AUGMENTATIONS:
            raise ConfigError("augment", expected=f"one of {', '.join(AUGMENTATIONS)}, or None", got=repr(augment))
        if not isinstance(size, int | np.integer) or size < 8:
            raise ConfigError("size", expected="a whole number of px, 8 or more", got=repr(size))
        self._data, self._size, self._seed, self._normalize = data, int(size), index(seed), normalize
        self._augment, self._mirror = augment, mirror
        self._epoch = 0
        self._opened: _Opened | None = None

    def __len__(self) -> int:
        return len(self._data)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, whose augmentation is drawn; call it before each pass over a DataLoader.

        Workers that a DataLoader keeps (`persistent_workers`) do not hear of it.
        """
        self._epoch = epoch

    def __getitem__(self, index: int) -> tuple[Tensor, Targets]:
        """Return one crop, (3, n, n) float32, and its targets.

        Raises:
            IndexError: there is no such hand.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Targets]]:
        """Return many at once; DataLoader asks for a whole batch this way.

        Raises:
            IndexError: there is no such hand.
        """
        numbers = np.array([index(one) for one in indices], np.int64)
        outside = numbers[(numbers < -len(self)) | (numbers >= len(self))]
        if len(outside):
            raise IndexError(f"sample {outside[0]} of {len(self)}")
        if not len(numbers):
            return []
        numbers = numbers % len(self)
        if self._opened is None:
            self._opened = _Opened(self._data, self._configs)
        batch = self._opened.read(numbers)
        inputs = prepare(
            batch,
            self._opened.configs,
            seed=self._seed,
            epoch=self._epoch if self._augment else 0,
            train=self._augment is not None,
            backgrounds=self._opened.backgrounds(self._size),
            size=self._size,
        )
        return self._samples(inputs, batch, numbers)

    def _samples(self, inputs: Inputs, batch: Batch, numbers: NDArray[np.int64]) -> list[tuple[Tensor, Targets]]:
        image = inputs.image_B3HW if self._normalize else denormalize(inputs.image_B3HW)
        columns = (
            inputs.uv_BK2,
            inputs.xyz_BK3,
            inputs.present_2d_BK,
            inputs.present_3d_BK,
            torch.from_numpy(batch.labels["visible"]),
            torch.from_numpy(inputs.K_B33.astype(np.float32)),
            torch.from_numpy(inputs.mirrored_B),
            torch.from_numpy(np.linalg.inv(inputs.source_to_crop_B33)[:, :2]),
            torch.from_numpy(numbers),
        )
        return [(image[i], Targets(*(column[i] for column in columns))) for i in range(len(numbers))]

    def _configs(self, names: Sequence[str]) -> list[AugmentConfig]:
        configs = [AugmentConfig() for _ in names] if self._augment is None else AUGMENTATIONS[self._augment](names)
        return [replace(config, mirror_right=self._mirror) for config in configs]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


class _Opened:
    """The shards of a view, opened in the process that reads: a mixture with a part for each dataset in it."""

    def __init__(self, data: Dataset, configs: Any) -> None:
        names, part = np.unique(data["dataset"], return_inverse=True)
        parts = [data[part == number].compact() for number in range(len(names))]
        self._part, self._place = part.astype(np.int64), np.empty(len(data), np.int64)
        for number in range(len(names)):
            self._place[part == number] = np.arange(len(parts[number]))
        self.mixture = Mixture(parts, slot_map([len(each) for each in parts]))
        self.configs: list[AugmentConfig] = configs([str(name) for name in names])
        self._pool: BackgroundPool | None = None

    def read(self, numbers: NDArray[np.int64]) -> Batch:
        """Read canvases and labels."""
        chunk = Chunk(self.mixture, self._part[numbers], self._place[numbers], numbers, 0)
        source = ShardSource(self.mixture, len(numbers), torch.device("cpu"))
        return source.make(BatchRequest(chunk, slice(0, len(numbers))))

    def backgrounds(self, size: int) -> BackgroundPool | None:
        """Return painted backgrounds for hands with a mask; None if no hand has one."""
        if self._pool is None and self.mixture.has_foreground:
            self._pool = load_backgrounds(None, "train", size=size)
        return self._pool

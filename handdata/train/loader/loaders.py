"""Batches from shards: `Loader` for training, `EvalLoader` for scoring, `ShardDataset` for other people's loops.

    shards -> Mixture (which samples) -> Loader (in which order) -> Feeder (threads, ring, upload) -> Batch

The sample at position i of epoch e is a function of (seed, e, i): the same for any number of threads, processes and
GPUs, and after a restart at any batch. Nothing but row numbers is decided ahead, so a loader has no state to save:
the epoch and the number of batches done are all that resuming needs.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from handdata.errors import ConfigError
from handdata.shards.dataset import open_dataset
from handdata.train.loader.mixture import Batch, Mixture, open_mixture
from handdata.train.loader.prefetch import CachedSource, Chunk, Feeder, Request, ShardSource, Source
from handdata.train.loader.proportions import slot_map
from handdata.train.loader.shard_file import LABELS, OTHER_LABELS

__all__ = ["Batch", "EvalLoader", "Loader", "Mixture", "ShardDataset", "open_mixture"]

CHUNK = 16_384  # samples whose labels are gathered at once: 15 MB, and few passes over however many shards
GROWTH = 8  # of the chunks before they are full: each is a pass over all shards


class _Batches:
    """What both loaders share: a source of pixels and the threads that read it."""

    def __init__(
        self,
        mixture: Mixture,
        batch_size: int,
        device: torch.device | str,
        threads: int,
        prefetch: int | None,
        cache: str,
    ) -> None:
        self.mixture = mixture
        self.device = torch.device(device)
        source: Source = (
            CachedSource(mixture, self.device) if cache == "device" else ShardSource(mixture, batch_size, self.device)
        )
        self._feeder = Feeder(source, self.device, threads, threads + 1 if prefetch is None else prefetch)

    def close(self) -> None:
        """End the threads."""
        self._feeder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Loader(_Batches):
    """Training batches of a mixture, in a random order that needs no state.

    Args:
        mixture: from `open_mixture`.
        batch_size: samples of one step over ALL processes; each gets `batch_size / world_size` of them, so that a
            run goes on exactly with another world size.
        seed: of the run.
        device: where the pixels go.
        rank: of this process.
        world_size: processes.
        threads: that copy rows; 0 copies in the caller's thread.
        prefetch: batches made ahead; threads + 1 by default.
        cache: "device" keeps all pixels there, "none" reads the shards.

    Raises:
        ConfigError: the batch cannot be shared evenly, or the cache does not fit.
    """

    def __init__(
        self,
        mixture: Mixture,
        batch_size: int,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        threads: int = 2,
        prefetch: int | None = None,
        cache: Literal["none", "device"] = "none",
    ) -> None:
        if batch_size < 1 or batch_size % world_size:
            raise ConfigError(
                "batch_size",
                expected=f"a multiple of {world_size} processes",
                got=str(batch_size),
                fix="The batch is that of all processes together.",
            )
        super().__init__(mixture, batch_size // world_size, device, threads, prefetch, cache)
        self.batch_size = batch_size
        self.seed = seed
        self._rank = rank
        self._share = batch_size // world_size

    def __len__(self) -> int:
        """Batches in one pass over the mixture, the last incomplete one left out."""
        return self.mixture.slots.total // self.batch_size

    def epoch(self, epoch: int, *, start_batch: int = 0, batches: int | None = None) -> Iterator[Batch]:
        """Yield this process's part of every batch of an epoch, from `start_batch` on.

        Args:
            epoch: counted from 0.
            start_batch: batches already done, when a run goes on.
            batches: of the whole epoch; one pass over the mixture by default. More than a pass goes round again.
        """
        total = max(1, len(self)) if batches is None else batches
        yield from self._feeder.run(self._requests(epoch, start_batch, total))

    def realized_mix(self, epoch: int, batches: int | None = None) -> dict[str, float]:
        """Return the share of each dataset among the samples that an epoch draws, over all processes."""
        total = (max(1, len(self)) if batches is None else batches) * self.batch_size
        dataset, _ = self.mixture.slots.draw(self.seed, epoch, np.arange(total))
        counts = np.bincount(dataset, minlength=len(self.mixture.names))
        return dict(zip(self.mixture.names, (counts / total).tolist(), strict=True))

    def _requests(self, epoch: int, start: int, total: int) -> Iterator[Request]:
        first, together = start, 1  # the first chunk is one batch, so that a training over many shards starts at once
        while first < total:
            count = min(together, total - first)
            steps = np.arange(first, first + count)[:, None] * self.batch_size + self._rank * self._share
            positions = (steps + np.arange(self._share)).ravel()
            dataset, sample = self.mixture.slots.draw(self.seed, epoch, positions)
            chunk = Chunk(self.mixture, dataset, sample, positions, epoch)
            first, together = first + count, min(GROWTH * together, max(1, CHUNK // self._share))
            for i in range(count):
                yield Request(chunk, slice(i * self._share, (i + 1) * self._share))


class EvalLoader(_Batches):
    """Every sample of a mixture once, in stored order; the last batch may be smaller (docs/method.md E3).

    With several processes each takes every `world_size`-th batch. `position` counts through the mixture.

    Args:
        mixture: from `open_mixture`.
        batch_size: samples of one batch.
        device: where the pixels go.
        rank: of this process.
        world_size: processes.
        threads: that copy rows; 0 copies in the caller's thread.
        limit: stop after so many samples.
    """

    def __init__(
        self,
        mixture: Mixture,
        batch_size: int,
        *,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        threads: int = 2,
        limit: int | None = None,
    ) -> None:
        super().__init__(mixture, batch_size, device, threads, None, "none")
        self._rank, self._world_size = rank, world_size
        self.batch_size = batch_size
        self.num_samples = len(mixture) if limit is None else min(limit, len(mixture))

    def __len__(self) -> int:
        """Batches of this process."""
        return len(range(self._rank * self.batch_size, self.num_samples, self._world_size * self.batch_size))

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches, in order."""
        return self._feeder.run(self._requests())

    def _requests(self) -> Iterator[Request]:
        starts = np.cumsum([0, *(len(dataset) for dataset in self.mixture.datasets)])
        for first in range(self._rank * self.batch_size, self.num_samples, self._world_size * self.batch_size):
            position = np.arange(first, min(first + self.batch_size, self.num_samples))
            dataset = np.searchsorted(starts, position, side="right") - 1
            yield Request(
                Chunk(self.mixture, dataset, position - starts[dataset], position, 0), slice(0, len(position))
            )


class ShardDataset(torch.utils.data.Dataset[dict[str, Any]]):
    """A converted dataset as a plain torch Dataset, for DataLoader and loops that are not ours.

    A sample is a dict: `image` (S, S, 3) uint8, `foreground` (S, S/8) uint8 bits where the dataset has them, and
    the schema's labels by name, `flags` as int64 and `sample_id` as text. It pickles as its folder, so workers may be
    forked, spawned or served; each maps the shards for itself.

    Args:
        folder: a converted dataset.
        split: "train", "val" or "test"; None takes all.
        labels: those wanted, of opened.LABELS and OTHER_LABELS; fewer travel faster between processes.

    Raises:
        MissingError: the folder is no complete dataset, or has no such split.
        ValueError: a label that is none of them.
    """

    def __init__(self, folder: Path | str, split: str | None = None, labels: Sequence[str] = LABELS) -> None:
        self._folder, self._split, self._labels = Path(folder), split, tuple(labels)
        known = (*LABELS, *OTHER_LABELS)
        unknown = [name for name in self._labels if name not in known]
        if unknown:
            raise ValueError(f"labels: expected some of {', '.join(known)}, got {', '.join(unknown)}")
        self._mixture: Mixture | None = None
        self._length = len(open_dataset(self._folder, split))

    def __len__(self) -> int:
        return self._length

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mixture": None}

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample.

        Raises:
            IndexError: there is no such sample.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Return many samples; DataLoader asks for a whole batch this way.

        Raises:
            IndexError: there is no such sample.
        """
        sample = np.asarray(indices, np.int64)
        outside = sample[(sample < -self._length) | (sample >= self._length)]
        if len(outside):
            raise IndexError(f"sample {outside[0]} of {self._length}")
        mixture, sample = self._open(), sample % self._length
        places = mixture.locate(np.zeros_like(sample), sample)
        images = np.empty((len(sample), mixture.canvas, mixture.canvas, 3), np.uint8)
        bits: NDArray[np.uint8] | None = None
        if mixture.has_foreground[0]:
            bits = np.empty((len(sample), mixture.canvas, mixture.canvas // 8), np.uint8)
        mixture.copy_pixels(places, images, bits)
        labels = {name: _plain(array) for name, array in mixture.labels(places, self._labels).items()}
        pixels = {"image": images, **({} if bits is None else {"foreground": bits})}
        columns = {**{name: torch.from_numpy(array) for name, array in pixels.items()}, **labels}
        return [{name: column[i] for name, column in columns.items()} for i in range(len(sample))]

    def _open(self) -> Mixture:
        if self._mixture is None:
            dataset = open_dataset(self._folder, self._split)
            self._mixture = Mixture([dataset], slot_map([len(dataset)]))
        return self._mixture


def _plain(array: NDArray[Any]) -> torch.Tensor | list[str]:
    """Return a label's array as what a DataLoader can collate."""
    if array.dtype.kind == "S":
        return [text.decode("ascii") for text in array.tolist()]
    return torch.from_numpy(array.astype(np.int64) if array.dtype == np.uint32 else array)

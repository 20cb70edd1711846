"""Keep batches coming: threads of this process read rows into a ring, uploads run beside the computation."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from handdata.errors import ConfigError
from handdata.train.loader.buffers import Ring
from handdata.train.loader.mixture import Batch, Mixture, Places

CACHE_HEADROOM = 0.9  # of the free memory a cached set may take
CACHE_STEP = 512  # samples put into the cache at once
_GIB = 2.0**30


@dataclass(slots=True)
class Chunk:
    """Samples of several batches: found together, and labels gathered together, by the first thread that needs them."""

    mixture: Mixture
    dataset: NDArray[np.int64]
    sample: NDArray[np.int64]
    position: NDArray[np.int64]
    epoch: int
    places: Places = field(init=False)
    _labels: dict[str, NDArray[Any]] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.places = self.mixture.locate(self.dataset, self.sample)

    def labels(self) -> dict[str, NDArray[Any]]:
        """Return the label arrays of the whole chunk."""
        with self._lock:
            if self._labels is None:
                self._labels = self.mixture.labels(self.places)
            return self._labels


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One batch to make: a part of a chunk."""

    chunk: Chunk
    part: slice

    @property
    def dataset(self) -> NDArray[np.int64]:
        """(B,) number of the dataset."""
        return self.chunk.dataset[self.part]

    @property
    def sample(self) -> NDArray[np.int64]:
        """(B,) number of the sample in its dataset."""
        return self.chunk.sample[self.part]

    @property
    def places(self) -> Places:
        """Where the samples lie."""
        return self.chunk.places[self.part]

    def batch(self, canvases: torch.Tensor, foreground: torch.Tensor | None) -> Batch:
        """Add labels to pixels."""
        return Batch(
            canvases=canvases,
            foreground=foreground,
            has_foreground=self.chunk.mixture.masked(self.places),
            labels={name: array[self.part] for name, array in self.chunk.labels().items()},
            dataset=self.dataset,
            sample=self.sample,
            position=self.chunk.position[self.part],
            epoch=self.chunk.epoch,
        )


class BatchSource(Protocol):
    """Makes the batch of a request; called from several threads."""

    def hint(self, request: BatchRequest) -> None:
        """Prepare for a request that will be made soon."""
        ...

    def make(self, request: BatchRequest) -> Batch:
        """Make a batch."""
        ...


class ShardSource:
    """Rows of shards, through a ring of slots, and up to the device."""

    def __init__(self, mixture: Mixture, batch_size: int, device: torch.device) -> None:
        self._mixture = mixture
        self._device = device
        masks = mixture.has_foreground
        self.ring = Ring(batch_size, mixture.canvas, foreground=masks, pinned=device.type == "cuda")
        self._of_thread = threading.local()

    def hint(self, request: BatchRequest) -> None:
        """Ask the kernel to read the rows ahead."""
        self._mixture.hint(request.places)

    def make(self, request: BatchRequest) -> Batch:
        """Copy the rows into a slot; on a GPU, copy the slot up and give it back."""
        count = len(request.places)
        slot = self.ring.acquire()
        self._mixture.copy_pixels(request.places, *self.ring.arrays(slot, count))
        images, bits = self.ring.lend(slot, count)
        if self._device.type == "cpu":
            return request.batch(images, bits)
        with torch.cuda.stream(self._stream()):
            on_device = images.to(self._device, non_blocking=True)
            bits_on_device = None if bits is None else bits.to(self._device, non_blocking=True)
        self._stream().synchronize()  # this thread waits, the training thread does not; then the slot is free
        return request.batch(on_device, bits_on_device)

    def _stream(self) -> torch.cuda.Stream:
        if not hasattr(self._of_thread, "stream"):
            self._of_thread.stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream: torch.cuda.Stream = self._of_thread.stream
        return stream


class CachedSource:
    """The whole mixture on the device; a batch is one indexing there."""

    def __init__(self, mixture: Mixture, device: torch.device) -> None:
        self._starts = np.cumsum([0, *(len(dataset) for dataset in mixture.datasets)])
        side, total = mixture.canvas, int(self._starts[-1])
        masks = mixture.has_foreground
        _check_room(total * side * (3 * side + (side // 8 if masks else 0)), device)
        self._images = torch.empty((total, side, side, 3), dtype=torch.uint8, device=device)
        self._bits = torch.empty((total, side, side // 8), dtype=torch.uint8, device=device) if masks else None
        for d, dataset in enumerate(mixture.datasets):
            for first in range(0, len(dataset), CACHE_STEP):
                sample = np.arange(first, min(first + CACHE_STEP, len(dataset)))
                images = np.empty((len(sample), side, side, 3), np.uint8)
                bits = np.zeros((len(sample), side, side // 8), np.uint8)
                mixture.copy_pixels(mixture.locate(np.full_like(sample, d), sample), images, bits)
                here = slice(self._starts[d] + first, self._starts[d] + first + len(sample))
                self._images[here] = torch.from_numpy(images)
                if self._bits is not None:
                    self._bits[here] = torch.from_numpy(bits)

    def hint(self, request: BatchRequest) -> None:
        """Do nothing: all is there."""

    def make(self, request: BatchRequest) -> Batch:
        """Index the cache."""
        index = torch.from_numpy(self._starts[request.dataset] + request.sample)
        if self._images.device.type == "cuda":  # from pageable memory this thread would wait for the steps in line
            index = index.pin_memory()
        index = index.to(self._images.device, non_blocking=True)
        return request.batch(self._images[index], None if self._bits is None else self._bits[index])


class Feeder:
    """Threads that make batches ahead of their use; they live as long as the feeder.

    Args:
        source: what makes a batch.
        device: where batches end up.
        threads: 0 makes every batch when it is asked for, in the caller's thread.
        prefetch: batches made ahead.
    """

    def __init__(self, source: BatchSource, device: torch.device, threads: int, prefetch: int) -> None:
        self._source = source
        self._device = device
        self._depth = max(1, prefetch)
        self._ahead = max(1, threads)
        self._process = os.getpid()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="handdata-feed") if threads else None

    def run(self, requests: Iterator[BatchRequest]) -> Iterator[Batch]:
        """Yield the batch of every request, in order, whatever the number of threads.

        Raises:
            RuntimeError: the process was forked since; its threads stayed behind, and nothing would ever come.
        """
        if self._pool is None:
            for request in _hinted(requests, self._source, self._ahead):
                yield self._source.make(request)
            return
        if os.getpid() != self._process:
            raise RuntimeError("a loader with threads works in the process that made it, not in a fork of that")
        waiting: deque[Future[Batch]] = deque()
        try:
            for request in _hinted(requests, self._source, self._ahead):
                waiting.append(self._pool.submit(self._source.make, request))
                if len(waiting) > self._depth:
                    yield self._claim(waiting.popleft())
            while waiting:
                yield self._claim(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()

    def _claim(self, future: Future[Batch]) -> Batch:
        batch = future.result()
        if self._device.type == "cuda":
            # made on a feeder's stream: its memory must not be given away while this stream still reads it
            for tensor in (batch.canvases, batch.foreground):
                if tensor is not None:
                    tensor.record_stream(torch.cuda.current_stream(self._device))
        return batch

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _hinted(requests: Iterator[BatchRequest], source: BatchSource, distance: int) -> Iterator[BatchRequest]:
    """Yield requests, each hinted at `distance` requests before."""
    ahead: deque[BatchRequest] = deque()
    for request in requests:
        source.hint(request)
        ahead.append(request)
        if len(ahead) > distance:
            yield ahead.popleft()
    yield from ahead


def _check_room(needed: int, device: torch.device) -> None:
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > CACHE_HEADROOM * free:
        raise ConfigError(
            "cache",
            expected=f"{needed / _GIB:.1f} GiB free on {device}",
            got=f"{free / _GIB:.1f} GiB",
            fix="Train without the cache, or on fewer samples.",
        )

"""Buffers for batches: made once, pinned for a GPU, given out and taken back.

A slot that was handed to the user comes back when the last tensor over it is gone, so a batch that somebody keeps is
never written over.
"""

import threading
import weakref
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Slot:
    """Memory for one batch.

    Attributes:
        buffer: uint8, flat: the canvases, then the bits.
    """

    buffer: torch.Tensor


class Ring:
    """Slots of equal size. Never blocks: with none free it makes another, and keeps it.

    Args:
        batch_size: B.
        canvas: S, px.
        foreground: whether to hold (B, S, S/8) bits as well.
        pinned: page-locked memory, for copies to a GPU beside computation.
    """

    def __init__(self, batch_size: int, canvas: int, *, foreground: bool, pinned: bool) -> None:
        self._images = (batch_size, canvas, canvas, 3)
        self._bits = (batch_size, canvas, canvas // 8) if foreground else None
        self._pinned = pinned
        self._free: list[Slot] = []
        self._lock = threading.Lock()
        self.made = 0

    @property
    def num_bytes(self) -> int:
        """Size of one slot."""
        return int(np.prod(self._images)) + (int(np.prod(self._bits)) if self._bits else 0)

    def acquire(self) -> Slot:
        """Take a free slot, or make one."""
        with self._lock:
            if self._free:
                return self._free.pop()
            self.made += 1
        return Slot(torch.empty(self.num_bytes, dtype=torch.uint8, pin_memory=self._pinned))

    def release(self, slot: Slot) -> None:
        """Give a slot back."""
        with self._lock:
            self._free.append(slot)

    def arrays(self, slot: Slot, count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Return the slot's first `count` canvases and bits as arrays to write to."""
        return self._cut(slot.buffer.numpy(), count)

    def lend(self, slot: Slot, count: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the slot's canvases and bits as tensors; the slot comes back by itself when both are gone."""
        lent = slot.buffer.numpy().view()
        weakref.finalize(lent, self.release, slot).atexit = False
        whole = torch.from_numpy(lent)  # its storage holds `lent`, and every view of it holds the storage
        images = whole[: int(np.prod(self._images))].view(self._images)[:count]
        if self._bits is None:
            return images, None
        return images, whole[int(np.prod(self._images)) :].view(self._bits)[:count]

    def _cut(self, flat: NDArray[np.uint8], count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        end = int(np.prod(self._images))
        images = flat[:end].reshape(self._images)[:count]
        return images, flat[end:].reshape(self._bits)[:count] if self._bits else None

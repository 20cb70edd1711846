"""One shard, mapped once for reading at random: rows of pixels and labels, and hints to the kernel while it is cold."""

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.shards import ShardReader

# what a batch carries; the rest of the schema is read where it is needed
LABELS = (
    "source_to_canvas",
    "crop_xyxy",
    "keypoints_2d",
    "keypoints_3d",
    "keypoints_3d_normalized",
    "scale_mm",
    "annotated_2d",
    "annotated_3d",
    "in_frame",
    "visible",
    "palm_center_2d",
    "K",
    "image_size",
    "hand_side",
    "has_object",
)
_PROBES = 32  # pages looked at to decide whether a shard is in memory
_PAGE = mmap.ALLOCATIONGRANULARITY


class MappedShard:
    """The arrays of one shard over one mapping of its file; opened in the process that reads.

    Attributes:
        images: (N, S, S, 3) uint8.
        foreground: (N, S, S/8) uint8 bits, or None.
        labels: label arrays by field name, (N, ...).
    """

    def __init__(self, path: Path) -> None:
        reader = ShardReader(path)
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._path = path
        canvas = reader.images.shape[1]
        arrays: dict[str, NDArray[Any]] = {}
        for part in reader.fields:
            if part.name in LABELS or part.name in {"image", "foreground"}:
                shape = (len(reader), *part.shape_at(canvas))
                arrays[part.name] = np.ndarray(shape, part.dtype, buffer=self._map, offset=reader.offset(part.name))
        self.images: NDArray[np.uint8] = arrays.pop("image")
        self.foreground: NDArray[np.uint8] | None = arrays.pop("foreground", None)
        self.labels = arrays
        self._offset = reader.offset("image")
        self._row_bytes = self.images[0].nbytes
        self._hinted = 0
        self.resident = self._probe()

    def __len__(self) -> int:
        return len(self.images)

    def hint(self, row: int) -> None:
        """Ask the kernel to read a row's pixels ahead; to be called while the shard is not `resident`.

        `madvise(WILLNEED)` on a file mapping is `posix_fadvise(WILLNEED)` on the file, without holding it open.
        Reading ahead is several times faster than faulting pages in when cold, and costs 18 % when warm
        (performance.md): so it ends when a probe finds the shard resident, tried every quarter of a pass.
        """
        start = self._offset + row * self._row_bytes
        first = start - start % _PAGE
        self._map.madvise(mmap.MADV_WILLNEED, first, start + self._row_bytes - first)
        self._hinted += 1
        if self._hinted * 4 >= len(self):
            self._hinted = 0
            self.resident = self._probe()

    def _probe(self) -> bool:
        """Say whether pages spread over the pixels are all in memory, without reading any from the disk."""
        rows = np.linspace(0, len(self) - 1, _PROBES).astype(np.int64)
        handle = os.open(self._path, os.O_RDONLY)
        try:
            for row in rows.tolist():
                os.preadv(handle, [bytearray(1)], self._offset + row * self._row_bytes, os.RWF_NOWAIT)
        except OSError:  # BlockingIOError: not in memory; another one: the file system cannot say
            return False
        finally:
            os.close(handle)
        return True

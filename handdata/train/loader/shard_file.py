"""One shard, opened for reading at random: pixels by `pread`, labels over a mapping, and hints while it is cold."""

import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, MissingError
from handdata.shards.reader import ShardReader

# what a batch carries
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


class OpenShard:
    """The pixels and labels of one shard; opened in the process that reads.

    A row's pixels are read by `pread`, not over a mapping: 16 us per row of 192 px whether it was read before or not,
    where a mapping takes 14 us again and 22 us the first time, in page faults (measured). A file that is cut short
    meanwhile is an error and not a signal.

    The hash of a row is compared when it is first read: 27 us of a row, once a run (docs/decisions.md).

    Args:
        reader: of the shard.
        keep_open: hold a file handle; without one every reading opens the file, 3 us more, and finds out if it has
            become another one.

    Attributes:
        canvas: S, px.
        has_foreground: whether there are bits.
        resident: whether all of it was in memory when last looked.

    Raises:
        MissingError, DataError: when it is read, gone, damaged, cut short or another one.
    """

    __slots__ = (
        "__weakref__", "_bits_at", "_count", "_handle", "_hinted", "_image_at", "_labels", "_labels_hinted", "_path",
        "_reader", "_row_bytes", "_size", "_written", "canvas", "has_foreground", "resident",
    )  # fmt: skip

    def __init__(self, reader: ShardReader, *, keep_open: bool = True) -> None:
        path = self._path = reader.path
        self._reader = reader
        status = path.stat()
        self._size, self._written = status.st_size, status.st_mtime_ns
        self._count = len(reader)
        self.canvas: int = reader.canvas
        self.has_foreground = reader.foreground is not None
        self._labels = {name: reader.view(name) for name in LABELS}
        self._image_at, self._row_bytes = reader.offset("image"), reader.images[0].nbytes
        self._bits_at = reader.offset("foreground") if self.has_foreground else 0
        self._handle: int | None = None
        if keep_open:
            self._handle = os.open(path, os.O_RDONLY)
            weakref.finalize(self, os.close, self._handle).atexit = False
        self._hinted = 0
        self._labels_hinted = False
        self.resident = self._probe()

    def __len__(self) -> int:
        return self._count

    def copy(self, row: int, image: NDArray[np.uint8], bits: NDArray[np.uint8] | None) -> None:
        """Read a row's canvas into (S, S, 3), and its bits, where the shard has any, into (S, S/8).

        Raises:
            DataError: the file ends before, or the row is damaged.
        """
        if self._handle is None:
            with self._opened() as handle:
                self._read(handle, row, image, bits)
        else:
            self._read(self._handle, row, image, bits)

    def gather(self, rows: NDArray[np.int64], into: Mapping[str, NDArray[Any]], part: slice) -> None:
        """Write the labels of some rows to `part` of (B, ...) arrays, by field name.

        Raises:
            DataError: the file was cut short, or written anew, before; if it is cut short in the microseconds of this
                very call, the kernel ends the process, as it does for any mapped file.
        """
        with self._opened() as handle:
            if os.fstat(handle).st_size < self._size:
                raise self._changed(handle)
        for name, array in into.items():
            self._labels[name].take(rows, 0, array[part], "clip")  # "raise" would copy what it writes to first

    def hint(self, row: int) -> None:
        """Ask the kernel to read a row's pixels ahead; to be called while the shard is not `resident`.

        The first hint asks for all labels too, 1 % of a shard: the hash of a row needs a page of each array.
        Reading ahead is several times faster than waiting when cold, and costs 18 % when warm (measured): so
        it ends when a probe finds the shard resident, tried every quarter of a pass.
        """
        with self._opened() as handle:
            if not self._labels_hinted:
                self._labels_hinted = True
                for start, end in self._reader.seal.layout.label_spans:
                    os.posix_fadvise(handle, start, end - start, os.POSIX_FADV_WILLNEED)
            start = self._image_at + row * self._row_bytes
            os.posix_fadvise(handle, start, self._row_bytes, os.POSIX_FADV_WILLNEED)
        self._hinted += 1
        if self._hinted * 4 >= len(self):
            self._hinted = 0
            self.resident = self._probe()

    def _read(self, handle: int, row: int, image: NDArray[np.uint8], bits: NDArray[np.uint8] | None) -> None:
        if os.preadv(handle, [image.data], self._image_at + row * self._row_bytes) != image.nbytes:
            raise self._changed(handle)
        kept = bits if self.has_foreground else None
        if kept is not None and os.preadv(handle, [kept.data], self._bits_at + row * kept.nbytes) != kept.nbytes:
            raise self._changed(handle)
        if not self._reader.known_rows[row]:
            if os.fstat(handle).st_size < self._size:
                raise self._changed(handle)
            self._reader.check_row(row, image, kept)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        if self._handle is not None:
            yield self._handle
            return
        try:
            handle = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            fix = "Leave it there while it is read."
            raise MissingError(self._path, expected="the shard that was opened", got="no file", fix=fix) from None
        try:
            if os.fstat(handle).st_mtime_ns != self._written:
                raise self._changed(handle)
            yield handle
        finally:
            os.close(handle)

    def _probe(self) -> bool:
        """Say whether pages spread over the pixels are all in memory, without reading any from the disk."""
        rows = np.linspace(0, len(self) - 1, _PROBES).astype(np.int64)
        with self._opened() as handle:
            try:
                for row in rows.tolist():
                    os.preadv(handle, [bytearray(1)], self._image_at + row * self._row_bytes, os.RWF_NOWAIT)
            except OSError:  # BlockingIOError: not in memory; another one: the file system cannot say
                return False
        return True

    def _changed(self, handle: int) -> DataError:
        size = os.fstat(handle).st_size
        if size < self._size:
            expected, got = f"{self._size} bytes, as when it was opened", f"{size}: the shard is cut short"
            return DataError(self._path, expected=expected, got=got, fix="Convert that dataset again.")
        fix = "Leave it as it is while it is read."
        return DataError(self._path, expected="the shard that was opened", got="one written since", fix=fix)


def handles_to_keep() -> int:
    """Return how many shards one mixture may hold open: a quarter of the files that this process may open."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return 128
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (soft if soft != resource.RLIM_INFINITY else 2**20) // 4

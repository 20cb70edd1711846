"""The pictures of one sequence: listed once, then reached by number only."""

import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PilImage

from handdata.annotate.tracker import Image
from handdata.boxes import natural_key
from handdata.errors import DataError, HanddataError, MissingError
from handdata.exchange.plain import lies_in
from handdata.files.opening import matching, open_plain
from handdata.files.spelling import finder
from handdata.pictures.kinds import SUFFIXES
from handdata.pictures.picture_file import check_name, decode, read_bytes

FAR_MM = 1000  # depth pictures are shown from 0 (bright) to 1 m: hands in front of a close-range camera
DECODED_KEPT = 96  # pictures; 88 MB at 640 x 480
JPEG_QUALITY = 88
_PIECE = 4096  # bytes of a file that are looked at in one place
_UPRIGHT = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
Stamp = tuple[int, int]  # bytes of a file; when it was changed, ns
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)  # of EXIF: those on their side


@dataclass
class _Recent:
    """The pictures decoded last; both tracking directions and the page read the same few."""

    images: OrderedDict[int, Image] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Pictures:
    """The pictures of one sequence, in name order.

    Attributes:
        paths: the files, or links to them, as data stores and caches lay them out.
        targets: the file that each of them was when they were listed; no other is ever read.
        img_names: what the table of boxes calls them.
        width: px, the same for all; of the largest if `sizes` says each.
        height: px, the same for all; of the largest if `sizes` says each.
        first: the number of the first that can be read; it says the size.
        sizes: (width, height) of each picture, px, where they may differ; such pictures are upright, as EXIF says.
        stamps: of `stamp_of` each file when they were listed; no other file is read, or anything said of it.
    """

    paths: tuple[Path, ...]
    targets: tuple[Path, ...]
    img_names: tuple[str, ...]
    width: int
    height: int
    first: int = 0
    sizes: tuple[tuple[int, int], ...] = ()
    stamps: tuple[Stamp | None, ...] = ()
    _recent: _Recent = field(default_factory=_Recent, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def names(self) -> tuple[str, ...]:
        """The file names."""
        return tuple(path.name for path in self.paths)

    @property
    def folder(self) -> str:
        """What img_names have before the file names."""
        return self.img_names[0].removesuffix(self.names[0])

    def holds(self, index: int, place: tuple[float, float]) -> bool:
        """Say whether a place, px of picture `index`, lies in what was photographed."""
        return lies_in(place, self.size_of(index))

    def size_of(self, index: int) -> tuple[int, int]:
        """Return the width and height of picture `index`, px."""
        return self.sizes[index] if self.sizes else (self.width, self.height)

    def read(self, index: int) -> Image:
        """Return picture `index` as (H, W, 3) uint8 BGR; treat it as read-only.

        Raises:
            DataError: a broken picture, one of another size, or another file than when it was listed.
        """
        with self._recent.lock:
            if index in self._recent.images:
                self._recent.images.move_to_end(index)
                return self._recent.images[index]
        path, target = self.paths[index], self.targets[index]
        if target_of(path) != target:
            fix = "Open the sequence again if that is meant."
            raise DataError(path, expected=f"the picture {target}", got=f"a link to {target_of(path)}", fix=fix)
        self.refuse_replaced([index])
        image = _decode(path, _UPRIGHT if self.sizes else cv2.IMREAD_UNCHANGED)
        if not self.sizes and image.shape[:2] != (self.height, self.width):
            expected, got = (
                f"{self.width} x {self.height} px as {self.names[self.first]}",
                f"{image.shape[1]} x {image.shape[0]}",
            )
            raise DataError(path, expected=expected, got=got, fix="Keep one size per sequence.")
        with self._recent.lock:
            self._recent.images[index] = image
            if len(self._recent.images) > DECODED_KEPT:
                self._recent.images.popitem(last=False)
        return image

    def refuse_replaced(self, indices: Iterable[int] | None = None) -> None:
        """Refuse to go on where another file has a picture's name now: what is said of the picture would be of that.

        Args:
            indices: which; None for all. One that is gone, or was not there, is no other.

        Raises:
            DataError: there is one.
        """
        for index in range(len(self.stamps)) if indices is None else indices:
            before = self.stamps[index] if self.stamps else None
            if before is not None and stamp_of(self.paths[index]) not in (None, before):
                got, fix = "another file in its place", "End this and open the pictures again."
                raise DataError(self.paths[index], expected="the picture that was opened", got=got, fix=fix)

    def encode(self, index: int, width: int) -> bytes:
        """Return picture `index` as JPEG, shrunk to `width` px if it is wider."""
        image = self.read(index)
        if width < image.shape[1]:
            height = max(1, round(image.shape[0] * width / image.shape[1]))
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        return data.tobytes()


def list_pictures(folder: Path, pattern: str = "*", prefix: str = "", *, any_size: bool = False) -> Pictures:
    """List the pictures of a folder in name order, numbers by value.

    Args:
        folder: where they lie.
        pattern: which of its files; only picture files count.
        prefix: put before the file names to make img_names (`Grasp2/color/`).
        any_size: take pictures of several sizes.

    Raises:
        MissingError: no folder, or no pictures in it.
        DataError: none of them can be read, or a name is no text.
    """
    if not folder.is_dir():
        got, fix = ("a file", "Name its folder.") if folder.exists() else ("no such folder", "Check the path.")
        raise MissingError(folder, expected="a folder of pictures", got=got, fix=fix)
    found = [path for path in matching(folder, pattern) if path.suffix.lower() in SUFFIXES and not path.is_dir()]
    paths = sorted(found, key=lambda path: natural_key(path.name))
    if not paths:
        kinds = ", ".join(SUFFIXES)
        raise MissingError(folder, expected=f"pictures {pattern} ({kinds})", got="none", fix="Check the path.")
    for path in paths:
        check_name(path)
    targets = tuple(map(target_of, paths))
    first, image = _first_readable(paths)
    height, width = image.shape[:2]
    img_names = tuple(prefix + path.name for path in paths)
    stamps = tuple(map(stamp_of, paths))
    if not any_size:
        return Pictures(tuple(paths), targets, img_names, width, height, first, stamps=stamps)
    sizes = tuple(_shown_size(path) or (width, height) for path in paths)
    width, height = (max(side) for side in zip(*sizes, strict=True))
    return Pictures(tuple(paths), targets, img_names, width, height, first, sizes, stamps)


def stamp_of(path: Path) -> Stamp | None:
    """Return the bytes of a file and when it was changed, ns, which tell it from another; None without a file."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def sign_of(path: Path) -> str | None:
    """Return what tells a picture's file from another by what it holds, wherever it was moved or copied.

    Returns:
        CRC-32 of its size and of three pieces of it, 8 hexadecimal digits; None where it cannot be read.
    """
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            sign = zlib.crc32(str(size).encode())
            for place in (0, size // 2, max(0, size - _PIECE)):
                file.seek(place)
                sign = zlib.crc32(file.read(_PIECE), sign)
    except OSError:
        return None
    return f"{sign:08x}"


def target_of(path: Path) -> Path:
    """Return where a picture lies, links followed; of links in a circle as far as they go."""
    return Path(os.path.realpath(path))


def numbers_of(pictures: Pictures, img_names: Sequence[str]) -> list[int | None]:
    """Return the number of each named picture, by its file name; None where there is no such picture."""
    number_of = finder(pictures.names)
    return [number_of(name.rsplit("/", 1)[-1]) for name in img_names]


def _shown_size(path: Path) -> tuple[int, int] | None:
    """Return the width and height of a picture as it is shown, by its header; None if that cannot be read."""
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with PilImage.open(path) as image:
            turned = image.getexif().get(_ORIENTATION) in _TURNED
            return image.size[::-1] if turned else image.size
    except (OSError, ValueError, SyntaxError):
        return None


def _first_readable(paths: Sequence[Path]) -> tuple[int, Image]:
    """Return the number and pixels of the first picture that can be read; raise the first one's fault if none can."""
    fault: HanddataError | None = None
    for number, path in enumerate(paths):
        try:
            return number, _decode(path)
        except HanddataError as error:
            fault = fault or error
    raise fault or ValueError("no pictures")


def _decode(path: Path, flags: int = cv2.IMREAD_UNCHANGED) -> Image:
    try:
        raw = decode(path, read_bytes(path), flags)
    except DataError as error:
        fix = "It is skipped. Replace it, or move it out of the folder."
        raise DataError(path, expected=error.expected, got=error.got, fix=fix) from error
    if raw.dtype == np.uint16:
        near = np.clip(255.0 - raw * (255.0 / FAR_MM), 0, 255)
        raw = np.where(raw == 0, 0, near).astype(np.uint8)
    if raw.ndim == 2:
        return np.asarray(cv2.cvtColor(raw, cv2.COLOR_GRAY2BGR), np.uint8)
    return np.ascontiguousarray(raw[:, :, :3], np.uint8)

"""The pictures of one sequence: listed once, then reached by number only."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from handdata.annotate.tracker import Image
from handdata.boxes import natural_key
from handdata.errors import DataError, MissingError
from handdata.pictures.decode import read_raw

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff")
FAR_MM = 1000  # depth pictures are shown from 0 (bright) to 1 m: hands in front of a close-range camera
DECODED_KEPT = 96  # pictures; 88 MB at 640 x 480
JPEG_QUALITY = 88


@dataclass
class _Recent:
    """The pictures decoded last; both tracking directions and the page read the same few."""

    images: OrderedDict[int, Image] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Pictures:
    """The pictures of one sequence, in name order.

    Attributes:
        folder: the folder all of them lie in; nothing outside it is ever read.
        paths: the files.
        img_names: what the table of boxes calls them.
        width: px, the same for all.
        height: px, the same for all.
    """

    folder: Path
    paths: tuple[Path, ...]
    img_names: tuple[str, ...]
    width: int
    height: int
    _recent: _Recent = field(default_factory=_Recent, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> Image:
        """Return picture `index` as (H, W, 3) uint8 BGR; treat it as read-only.

        Raises:
            DataError: a broken picture, one of another size, or a link out of the folder.
        """
        with self._recent.lock:
            if index in self._recent.images:
                self._recent.images.move_to_end(index)
                return self._recent.images[index]
        image = _decode(self.paths[index], self.folder)
        if image.shape[:2] != (self.height, self.width):
            expected, got = (
                f"{self.width} x {self.height} px as the first picture",
                f"{image.shape[1]} x {image.shape[0]}",
            )
            raise DataError(self.paths[index], expected=expected, got=got, fix="Keep one size per sequence.")
        with self._recent.lock:
            self._recent.images[index] = image
            if len(self._recent.images) > DECODED_KEPT:
                self._recent.images.popitem(last=False)
        return image

    def encode(self, index: int, width: int) -> bytes:
        """Return picture `index` as JPEG, shrunk to `width` px if it is wider."""
        image = self.read(index)
        if width < self.width:
            height = max(1, round(self.height * width / self.width))
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        return data.tobytes()


def list_pictures(folder: Path, pattern: str = "*", prefix: str = "") -> Pictures:
    """List the pictures of a folder in name order, numbers by value.

    Args:
        folder: where they lie.
        pattern: which of its files; only picture files count.
        prefix: put before the file names to make img_names (`Grasp2/color/`).

    Raises:
        MissingError: no folder, or no pictures in it.
        DataError: a link that leads out of the folder, or a first picture that cannot be read.
    """
    if not folder.is_dir():
        raise MissingError(folder, expected="a folder of pictures", got="no such folder", fix="Check the path.")
    found = [path for path in folder.glob(pattern) if path.suffix.lower() in SUFFIXES and not path.is_dir()]
    paths = sorted(found, key=lambda path: natural_key(path.name))
    if not paths:
        kinds = ", ".join(SUFFIXES)
        raise MissingError(folder, expected=f"pictures {pattern} ({kinds})", got="none", fix="Check the path.")
    home = folder.resolve()
    for path in paths:
        _stay_inside(path, home)
    height, width = _decode(paths[0], home).shape[:2]
    return Pictures(home, tuple(paths), tuple(prefix + path.name for path in paths), width, height)


def numbers_of(pictures: Pictures, img_names: Sequence[str]) -> list[int | None]:
    """Return the number of each named picture, by its file name; None where there is no such picture."""
    by_name = {path.name: index for index, path in enumerate(pictures.paths)}
    return [by_name.get(name.rsplit("/", 1)[-1]) for name in img_names]


def _stay_inside(path: Path, folder: Path) -> None:
    real = path.resolve()
    if not real.is_relative_to(folder):
        fix = "Copy the picture there, or open the folder it lies in."
        raise DataError(path, expected=f"a picture inside {folder}", got=f"a link to {real}", fix=fix)


def _decode(path: Path, folder: Path) -> Image:
    _stay_inside(path, folder)
    try:
        raw = read_raw(path)
    except DataError as error:
        fix = "Replace that picture, or move it out of the folder."
        raise DataError(path, expected=error.expected, got=error.got, fix=fix) from error
    if raw.dtype == np.uint16:
        near = np.clip(255.0 - raw * (255.0 / FAR_MM), 0, 255)
        raw = np.where(raw == 0, 0, near).astype(np.uint8)
    if raw.ndim == 2:
        return np.asarray(cv2.cvtColor(raw, cv2.COLOR_GRAY2BGR), np.uint8)
    return np.ascontiguousarray(raw[:, :, :3], np.uint8)

"""What every exported format shares: the pictures that are written, with the hands in each, and their file names.

A picture is a hand's canvas, its crop, or the picture as shipped with all its hands.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, MissingError
from handdata.exchange.packed import shipped_bytes
from handdata.exchange.plain import OWN, labels_on_canvas, plain_labels
from handdata.exchange.record import Finished
from handdata.files.whole import write_into
from handdata.pictures.picture_file import size_of
from handdata.shards.dataset import Dataset
from handdata.shards.hand import Hand
from handdata.shards.provenance import Provenance
from handdata.workers import Helpers

Group = tuple[str, Path, list[int]]  # name of a picture as shipped, its file, the numbers of its hands
# PNG: as small as zlib's level 3 with OpenCV's own choice of filters (photographs 48.0 kB, rendered 30 instead of 34 kB
# of 192 px), in 0.4 times the time. OpenCV before 4.12 has no filter to choose, and takes longer.
_PAETH = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH] if hasattr(cv2, "IMWRITE_PNG_FILTER") else []
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE, *_PAETH]
ENCODINGS = {"png": _PNG, "jpg": [cv2.IMWRITE_JPEG_QUALITY, 95]}
CANVAS, CROP, SOURCE = SHOWN = ("canvas", "crop", "source")
_ENDS = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9"}  # last bytes of a file
PART, LARGE = 100, 400  # hands whose pictures and labels are made together; of more, each hand costs less
_LAST = 1600  # hands at the end in parts of the smaller size: of large ones a process would wait longer for the others
_DIGEST = 16  # hex digits that stand for the middle of a name that is too long
_UNSAFE = re.compile(r"[^A-Za-z0-9_/-]|(?<=[/_])_|_(?=/)")


def shortened(name: str, most: int, whole: str) -> str:
    """Return a name of at most so many characters: a longer one keeps its end behind a hash of `whole`."""
    if len(name) <= most:
        return name
    return f"{hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST]}~{name[_DIGEST + 1 - most :]}"


def file_key(sample_id: str) -> str:
    """Return a file name for a sample, without a suffix: "a/b" is "a__b"; two ids never share one.

    What is no letter, digit, "-" or "_" is written as in a web address, and so is a "_" that could be taken for a "/".
    """
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), sample_id).replace(
        "/", "__"
    )


def id_of_key(key: str) -> str:
    """Return the sample id that `file_key` made a name of."""
    return unquote(key.replace("__", "/"))


def encoded(image: NDArray[np.uint8], picture: str) -> bytes:
    """Return a picture, (H, W, 3) uint8 RGB, as PNG or JPEG."""
    ok, data = cv2.imencode(f".{picture}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), ENCODINGS[picture])
    if not ok:
        raise ValueError(f"a canvas cannot be encoded as {picture}")
    return data.tobytes()


@dataclass(frozen=True, kw_only=True)
class ExportedPicture:
    """One picture of an export.

    Attributes:
        name: of its file.
        size: width and height, px.
        labels: of each hand in it, in its pixels, as `plain_labels` says them.
        data: returns its bytes.
        read: returns the hands in it, labelled in its pixels.
    """

    name: str
    size: tuple[int, int]
    labels: tuple[dict[str, Any], ...]
    data: Callable[[], bytes]
    read: Callable[[], tuple[Hand, ...]]

    @property
    def hands(self) -> tuple[Hand, ...]:
        """The hands in it, labelled in its pixels."""
        return self.read()

    @property
    def key(self) -> str:
        """The name without its suffix."""
        return self.name.rpartition(".")[0]

    def bytes_of(self) -> bytes:
        """Return the bytes of its file."""
        return self.data()


@dataclass(frozen=True, kw_only=True)
class ExportView:
    """The pictures of one split, in order.

    Attributes:
        data: the hands.
        split: their split.
        shown: one of SHOWN.
        encoding: of canvases and crops, a key of ENCODINGS.
        source_of: sample id -> file of its picture as shipped; for SOURCE.
        licence: under which they are given on.
        homepage: where the dataset is from.
        citation: how it wants to be cited.
        provenance: the datasets that they are from.
        workers: processes that make pictures and labels, this one and `helpers`.
        helpers: the others; None: this process makes all.
        is_done: tells of a file that the same export, killed, had finished.
        groups: of a part of pictures as shipped: which; None where they follow from `source_of`.
        number: of a part among all, from 0.
    """

    data: Dataset
    split: str
    shown: str = CANVAS
    encoding: str = "png"
    source_of: Mapping[str, Path] = field(default_factory=dict)
    licence: str = ""
    homepage: str = ""
    citation: str = ""
    provenance: tuple[Provenance, ...] = ()
    workers: int = 1
    helpers: Helpers | None = None
    is_done: Finished = field(default_factory=Finished)
    groups: tuple[Group, ...] | None = None
    number: int = 0

    @property
    def title(self) -> str:
        """Name of the dataset and the split."""
        return f"{self.data.name} {self.split}"

    def __iter__(self) -> Iterator[ExportedPicture]:
        if self.shown == SOURCE:
            yield from self._sources()
            return
        if self.shown == CROP:
            for hand in self.data:
                yield self._crop(hand)
            return
        for number, labels in enumerate(labels_on_canvas(self.data)):
            yield self._canvas(self.data, number, labels)

    def shares(self, then: int = 0) -> Iterator["ExportView"]:
        """Yield the pictures in parts that one process makes at once, in order, the same for any number of processes.

        Args:
            then: hands of other views that are made after these.
        """
        if self.shown == SOURCE:  # pictures as shipped may be large
            yield from self.parts(PART)
            return
        end = len(self.data) + then
        for part in self.parts(LARGE):
            yield from part.parts(PART) if end <= _LAST else (part,)
            end -= len(part.data)

    def parts(self, size: int, *, by_hand: bool = False) -> Iterator["ExportView"]:
        """Yield the pictures a part at a time, in order.

        Args:
            size: hands of a part, or as few more as its last picture has.
            by_hand: exactly so many: a picture with several hands may be in two parts, or twice in one.
        """
        if self.shown != SOURCE:
            for number, start in enumerate(range(0, len(self.data), size)):
                yield replace(self, data=self.data[start : start + size], number=number, helpers=None)
            return
        groups = list(self._groups())
        if by_hand:
            groups = [(name, path, [hand]) for name, path, hands in groups for hand in hands]
        waiting: list[Group] = []
        number = count = 0
        for group in groups:
            waiting.append(group)
            count += len(group[2])
            if count >= size:
                yield self._of(waiting, number)
                waiting, count, number = [], 0, number + 1
        if waiting:
            yield self._of(waiting, number)

    def _of(self, groups: Sequence[Group], number: int) -> "ExportView":
        """Return the part of some pictures as shipped, their hands numbered anew."""
        hands = [hand for _, _, hands in groups for hand in hands]
        numbers = iter(range(len(hands)))
        own = tuple((name, path, [next(numbers) for _ in hands]) for name, path, hands in groups)
        data = self.data.take(np.array(hands))
        return replace(self, data=data, groups=own, source_of={}, number=number, helpers=None)

    def _canvas(self, part: Dataset, number: int, labels: dict[str, Any]) -> ExportedPicture:
        """Return the canvas of a hand."""
        image = part.image(number)
        return ExportedPicture(
            name=f"{file_key(labels[OWN])}.{self.encoding}",
            size=(image.shape[1], image.shape[0]),
            labels=(labels,),
            data=lambda: encoded(image, self.encoding),
            read=lambda: (part[number],),
        )

    def _crop(self, hand: Hand) -> ExportedPicture:
        """Return the crop out of a hand's canvas."""
        hand = hand.crop(round(hand.size[0] / self.data.canvas_scale))
        image = hand.image
        if image is None:
            raise MissingError(hand.id, expected="a canvas", got="none")
        name = f"{file_key(hand.id)}.{self.encoding}"
        labels = (plain_labels(hand),)
        return ExportedPicture(
            name=name, size=hand.size, labels=labels, data=lambda: encoded(image, self.encoding), read=lambda: (hand,)
        )

    def names(self) -> Iterator[str]:
        """Yield the names of the pictures' files, and read none."""
        if self.shown == SOURCE:
            yield from (name for name, _, _ in self._groups())
            return
        for sample_id in self.data["id"].tolist():
            yield f"{file_key(sample_id)}.{self.encoding}"

    def _groups(self) -> Iterator[Group]:
        """Yield the name that each picture as shipped gets, its file, and the numbers of its hands."""
        if self.groups is not None:
            yield from self.groups
            return
        groups: dict[Path, list[int]] = {}
        for number, sample_id in enumerate(self.data["id"].tolist()):
            if sample_id not in self.source_of:
                fix = "Name the files of that very conversion with --root, of imported labels with --annotations too."
                raise MissingError(sample_id, expected="its picture as shipped", got="no such sample there", fix=fix)
            groups.setdefault(self.source_of[sample_id], []).append(number)
        taken: set[str] = set()
        ids = self.data["id"].tolist()
        for path, numbers in groups.items():
            shared = ids[numbers[0]].rpartition("/")[0] if len(numbers) > 1 else ""
            name = shared if shared and shared not in taken else ids[numbers[0]]
            taken.add(name)
            yield f"{file_key(name)}{path.suffix.lower()}", path, numbers

    def _sources(self) -> Iterator[ExportedPicture]:
        """Yield the pictures as shipped, each with all its hands of the split."""
        for file, path, numbers in self._groups():
            hands = tuple(self.data[number].source for number in numbers)
            data = shipped_bytes(path)
            if size_of(data) != hands[0].size:
                got = f"{size_of(data)}"
                raise DataError(path, expected=f"a picture of {hands[0].size}, as converted", got=got)
            labels = tuple(map(plain_labels, hands))
            yield ExportedPicture(
                name=file, size=hands[0].size, labels=labels, data=partial(bytes, data), read=partial(tuple, hands)
            )


def picture_files(view: ExportView) -> Iterator[str]:
    """Yield the names of the files that `write_pictures` writes."""
    return (f"images/{view.split}/{name}" for name in view.names())


def write_pictures(view: ExportView, out: Path) -> Iterator[ExportedPicture]:
    """Write the pictures of a part to images/<split>/, which is there, and yield each then.

    A picture that the same export, killed, had finished stays.
    """
    folder = out / "images" / view.split
    into, resumes = str(folder), view.shown != SOURCE and view.is_done.began is not None
    for picture in view:
        path = folder / picture.name if resumes else None
        if path is None or not (view.is_done(path) and _ends_well(path)):
            write_into(into, picture.name, picture.data())
        yield picture


def _ends_well(path: Path) -> bool:
    """Say whether a PNG or JPEG has its last bytes: after a power cut a file may be empty, or end in zeros."""
    end = _ENDS[path.suffix]
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - len(end), 0))
        return file.read() == end

"""Pictures of a video one after the other, from a file, a folder, a camera or a stream; and a video of overlays."""

import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, MissingError, WriteError
from handdata.files.opening import require_readable
from handdata.files.whole import whole, write_bytes
from handdata.pictures.picture_file import hush, read_bytes
from handdata.progress import say
from handdata.shards.hand_pictures import read_picture

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".3gp", ".mts", ".m2ts", ".ts")
CAMERA = "camera:"
STREAMS = ("http://", "https://", "rtsp://", "rtmp://", "udp://")
FOLDER_FPS = 30.0
ROUNDED_S = 2e-3  # by which the times in a file differ from those of its rate: Matroska has whole milliseconds
_ONE_SIZE = "Hands are followed in pictures of one size; without --fps each picture stands for itself."
_REWRITE = (
    "Write it as H.264, as with ffmpeg -i FILE -c:v libx264 -pix_fmt yuv420p NEW.mp4: AV1 is not decoded everywhere."
)
CODECS = ("avc1", "mp4v")  # H.264 where OpenCV offers it


@dataclass(frozen=True, kw_only=True)
class VideoFrame:
    """One picture of a video.

    Attributes:
        number: from 0, counted in the video.
        name: of its file; "" in a video.
        seconds: since the beginning, as the file says; by the rate of what says none.
        image: (H, W, 3) uint8 RGB.
    """

    number: int
    name: str
    seconds: float
    image: NDArray[np.uint8]


class Video:
    """A source of pictures.

    Args:
        source: file of a video, "camera:0", the address of a stream, or pictures as a list of paths.
        fps: of a list of pictures, per second; a video says its own.

    Attributes:
        fps: pictures per second.
        total: number of pictures; None of a camera or a stream, and where the file does not say.

    Raises:
        MissingError: there is no such file.
        DataError: it is no video that OpenCV can read.
    """

    def __init__(self, source: str | list[Path], fps: float | None = None) -> None:
        self._paths = source if isinstance(source, list) else None
        self._name = str(source[0].parent if isinstance(source, list) else source)
        self._capture: cv2.VideoCapture | None = None
        self.total: int | None
        if isinstance(source, list):
            self.fps, self.total = fps or FOLDER_FPS, len(source)
            return
        live = self._is_live = is_live(source)
        if not live and not Path(source).is_file():
            raise MissingError(source, expected="a video", got="no such file")
        if not live:
            require_readable(Path(source), "a video that OpenCV can read")
        self._capture = hush(lambda: cv2.VideoCapture(_as_opencv_says(source)))
        if self._capture is None or not self._capture.isOpened():
            expected = "a camera or a stream that answers" if live else "a video that OpenCV can read"
            raise DataError(source, expected=expected, got="it cannot be opened")
        told = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps or (told if 1 <= told <= 1000 else FOLDER_FPS)
        frames = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.total = frames if frames > 0 and not live else None

    def __iter__(self) -> Iterator[VideoFrame]:
        """Yield the pictures in order.

        Raises:
            DataError: a file holds no picture, or a video not one, or one of another size than the first.
        """
        first: tuple[int, ...] = ()
        seconds = -math.inf
        for number, (name, image, shown) in enumerate(self._images()):
            first = first or image.shape
            if image.shape != first:
                expected, got = (f"{shape[1]} x {shape[0]} px" for shape in (first, image.shape))
                where = f"{self._name}/{name}" if name else f"{self._name}, picture {number}"
                raise DataError(where, expected=f"{expected} as the first", got=got, fix=_ONE_SIZE)
            seconds = self._time(number, shown, seconds)
            yield VideoFrame(number=number, name=name, seconds=seconds, image=image)

    def _time(self, number: int, shown: float, before: float) -> float:
        """Return when a picture is shown: as the file says where its rate varies, as those of phones do.

        Args:
            number: of the picture.
            shown: seconds as the file says, NaN if it does not.
            before: seconds of the picture before.
        """
        steady = number / self.fps
        seconds = shown if abs(shown - steady) > ROUNDED_S else steady
        return seconds if seconds > before else before + 1 / self.fps

    def _images(self) -> Iterator[tuple[str, NDArray[np.uint8], float]]:
        if self._paths is not None:
            yield from ((path.name, read_picture(path), math.nan) for path in self._paths)
            return
        seen = 0
        while self._capture is not None:
            found, image = (self._capture.read() if seen else hush(partial(_first_of, self._capture))) or (False, None)
            if not found or image is None:
                break
            seen += 1
            shown = math.nan if self._is_live else self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            yield "", np.ascontiguousarray(image[..., ::-1]), shown
        if self.total and 0 < seen < self.total - max(1, self.total // 50):  # some containers tell a rough number
            say(f"{self._name}: {seen} of {self.total} pictures can be read: the file is damaged or cut short")
        if not seen:
            expected, got = "a video with pictures", "not one that OpenCV can decode"
            raise DataError(self._name, expected=expected, got=got, fix=_REWRITE)

    def close(self) -> None:
        """Let go of the file or the camera."""
        if self._capture is not None:
            self._capture.release()


def _first_of(capture: cv2.VideoCapture) -> tuple[bool, Any]:
    """Read the first picture; of none, wait for the decoder's threads, each of which tells of it on standard error."""
    found, image = capture.read()
    if not found:
        capture.release()
    return found, image


def _as_opencv_says(source: str) -> str | int:
    """Return a source as OpenCV is asked for it.

    Raises:
        DataError: a camera without a number.
    """
    if not source.startswith(CAMERA):
        return source
    number = source.removeprefix(CAMERA)
    if not number.isdecimal():
        raise DataError(source, expected="camera: and its number, such as camera:0", got=repr(number))
    return int(number)


def is_live(source: str) -> bool:
    """Say whether a source has no end: a camera or a stream."""
    return source.startswith((CAMERA, *STREAMS))


def is_video(source: str) -> bool:
    """Say whether a source is a video, a camera or a stream, by its name."""
    return is_live(source) or Path(source).suffix.lower() in VIDEO_SUFFIXES


def write_frame(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a frame, (H, W, 3) uint8 RGB, as JPEG where no other picture is, not synced.

    Raises:
        WriteError: another picture has that name: of another film, whose labels would be of these frames.
    """
    coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    if not path.is_file():
        write_bytes(path, coded, sync=False)
    elif read_bytes(path) != coded:
        fix = "Move its folder away, or name the film, or --out, otherwise."
        raise WriteError(path, expected="no picture, or this very frame", got="another one", fix=fix)


@contextmanager
def video_writer(path: Path, fps: float) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """Give a function that adds a picture, (H, W, 3) uint8 RGB, to an MP4; the file appears when it is whole.

    Raises:
        DataError: OpenCV can write no MP4 here.
    """
    with whole(path) as file:
        film = path.with_name(f".{path.stem}.film{path.suffix}")  # OpenCV knows the format by the ending
        writer: cv2.VideoWriter | None = None

        def add(image: NDArray[np.uint8]) -> None:
            nonlocal writer
            writer = writer or _open_writer(film, fps, (image.shape[1], image.shape[0]), path)
            writer.write(np.ascontiguousarray(image[..., ::-1]))

        try:
            yield add
            if writer is not None:
                writer.release()
                with film.open("rb") as written:
                    _refuse_cut(written, path)
                    shutil.copyfileobj(written, file)
        finally:
            film.unlink(missing_ok=True)


def _refuse_cut(film: IO[bytes], path: Path) -> None:
    """Refuse an MP4 whose writes failed in between, which OpenCV tells nobody: its boxes do not end where it ends.

    Source: ISO/IEC 14496-12, 4.2: a box begins with its size, 32 bits, or 64 behind its kind where that is 1.

    Raises:
        WriteError: so it is.
    """
    end, at, kinds = film.seek(0, os.SEEK_END), 0, set[bytes]()
    while at < end:
        film.seek(at)
        head = film.read(16).ljust(16, b"\0")
        kinds.add(head[4:8])
        size = int.from_bytes(head[:4], "big")
        at += max(int.from_bytes(head[8:], "big") if size == 1 else size, 8)
    film.seek(0)
    if at != end or b"moov" not in kinds:
        fix = "Make room, choose another place, or give --no-overlay."
        raise WriteError(path, expected="a film written whole", got="one with parts missing", fix=fix)


def _open_writer(film: Path, fps: float, size: tuple[int, int], path: Path) -> cv2.VideoWriter:
    for codec in CODECS:
        make = partial(cv2.VideoWriter, str(film), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), fps, size)
        writer: cv2.VideoWriter | None = hush(make)
        if writer is None:
            continue
        if writer.isOpened():
            return writer
        writer.release()
    raise DataError(path, expected="an OpenCV that writes MP4", got="one that does not", fix="Give --no-overlay.")

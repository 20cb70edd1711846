"""Pictures that lie inside a file of labels: members of a tar, rows of a Parquet table. Named `<file>/<member>`."""

import tarfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, MissingError
from handdata.pictures.decode import read_image
from handdata.pictures.picture_file import decode, read_bytes

TAR, PARQUET = ".tar", ".parquet"
_FIX = "Export it again."


def is_there(root: Path, image: str) -> bool:
    """Say whether a picture is there: a file, or a member of one."""
    container = container_of(root, image)
    if container is None:
        return (root / image).is_file()
    return container.suffix == PARQUET or _member(root, image, container) in tar_members(container)


def read_picture(root: Path, image: str) -> NDArray[np.uint8]:
    """Read a picture, (H, W, 3) uint8 RGB, from its own file or from the one it is packed in.

    Raises:
        MissingError: it is not there.
        DataError: it is no whole picture.
    """
    container = container_of(root, image)
    if container is None:
        return read_image(root / image)
    data = packed_bytes(container, _member(root, image, container))
    return np.asarray(decode(root / image, data, cv2.IMREAD_COLOR_RGB), np.uint8)


def packed_bytes(container: Path, member: str) -> bytes:
    """Return the bytes of a member of a tar, or of the picture in a row of a table."""
    if container.suffix == PARQUET:
        from handdata.exchange.parquet import picture_bytes  # noqa: PLC0415  # needs an extra

        return picture_bytes(container, int(member))
    found = tar_members(container).get(member)
    if found is None:
        raise MissingError(container / member, expected="a member of the tar", got="none", fix=_FIX)
    with container.open("rb") as file:
        file.seek(found[0])
        return file.read(found[1])


def shipped_bytes(path: Path) -> bytes:
    """Return the bytes of a picture, of its own file or of the one it is packed in.

    Raises:
        MissingError: it is not there.
    """
    container = container_of(path.parent, path.name)
    return read_bytes(path) if container is None else packed_bytes(container, path.relative_to(container).as_posix())


def container_of(root: Path, image: str) -> Path | None:
    """Return the file that a picture is packed in; None for a picture of its own."""
    for part in (root / image).parents:
        if part.suffix in (TAR, PARQUET) and part.is_file():
            return part
    return None


def _member(root: Path, image: str, container: Path) -> str:
    return (root / image).relative_to(container).as_posix()


def tar_members(path: Path) -> Mapping[str, tuple[int, int]]:
    """Return where the files of a tar lie in it, offset and size in bytes, by name; once while it stays as it is.

    Raises:
        DataError: it is no tar.
    """
    status = path.stat()
    return _tar_members(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _tar_members(path: Path, length: int, _time_ns: int) -> Mapping[str, tuple[int, int]]:
    try:
        with tarfile.open(path, "r:") as tar:
            found = {member.name: (member.offset_data, member.size) for member in tar if member.isfile()}
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise DataError(path, expected="a tar that is not compressed", got=str(error), fix=_FIX) from None
    if any(start < 0 or size < 0 or start + size > length for start, size in found.values()):
        raise DataError(path, expected="a whole tar", got="a part of one", fix=_FIX)
    return found

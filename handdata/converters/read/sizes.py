"""Hold a picture against the size that its label file gives it. No dataset names."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from handdata.errors import DataError, Fix


def require_size(image: NDArray[Any], size: tuple[int, int], path: Path) -> None:
    """Refuse a picture of another size than its record says: its labels would lie beside the hand.

    Args:
        image: (H, W, ...).
        size: width and height by the record, px.
        path: of the picture.

    Raises:
        DataError: so it is.
    """
    height, width = image.shape[:2]
    if (width, height) != size:
        wanted = f"{size[0]} x {size[1]} px, the size of its record"
        fix = Fix("Take the archive's own pictures", skips="it")
        raise DataError(path, expected=wanted, got=f"{width} x {height}", fix=fix)

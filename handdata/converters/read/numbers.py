"""What a label may be: numbers that a camera and float32 can hold. No dataset names."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, Fix
from handdata.exchange.labels import FARTHEST

_FIX = Fix("Unpack the labels from the archive again", skips="it")


def check_near(values: NDArray[Any], where: object, most: float = FARTHEST) -> None:
    """Refuse labels that are infinite, or farther than any hand can be; NaN says that there is no label.

    Args:
        values: of one kind.
        where: the file or label that is blamed.
        most: the largest that may be, px or mm.

    Raises:
        DataError: so it is.
    """
    farthest = np.max(np.abs(values), initial=0.0, where=~np.isnan(values))
    if farthest > most:
        raise DataError(where, expected=f"numbers up to {most:g}", got=f"{farthest:g}", fix=_FIX)

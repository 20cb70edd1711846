"""Numbers that somebody gave a public function: real ones alone, of which nothing is lost."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def real_numbers(given: Any, name: str) -> Floats:
    """Return numbers as float64; what a masked array hides is not known.

    Raises:
        ValueError: complex ones, of which a part would be lost.
    """
    if np.iscomplexobj(given):
        raise ValueError(f"{name} must hold real numbers, got complex ones")
    if isinstance(given, np.ma.MaskedArray):
        given = np.ma.filled(np.ma.asarray(given, np.float64), np.nan)
    return np.asarray(given, np.float64)


def real_number(given: Any, name: str) -> float:
    """Return a number as a float; NumPy's and fractions are taken.

    Raises:
        ValueError: a complex number, of which a part would be lost, text, a truth value, or several numbers.
    """
    try:
        if not np.iscomplexobj(given) and np.ndim(given) == 0 and not isinstance(given, bool | np.bool_ | str | bytes):
            return float(given)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name} must be a real number, got {str(given)[:60]!r}")

"""Hands in a whole picture: the detector that comes with the package, and those of others by name.

A detector is anything that is called with a picture, (H, W, 3) uint8 RGB, and returns a list of `Spot`, best first.
Another package offers one as an entry point of the group `handdata.detectors`: a function without arguments that
returns a detector.
"""

from collections.abc import Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from handdata.errors import ConfigError, DataError
from handdata.model.halves import read_halves, write_halves
from handdata.model.pixels import MEAN, normalize
from handdata.model.spots import Detector, Spot
from handdata.model.spotter import LEAST_SCORE, SIZE, SpotterNet, read_spots, spotter_of

OWN = "spotter"
GROUP = "handdata.detectors"
FILE = resources.files("handdata.model") / "detector_weights" / "spotter.safetensors"
WHAT = "weights of the detector"


def find_detector(name: str = OWN, least_score: float = LEAST_SCORE, *, besides: Sequence[str] = ()) -> Detector:
    """Return a detector by name: "spotter", which comes with the package, or an entry point of `handdata.detectors`.

    Args:
        name: of the detector.
        least_score: of a spot, 0..1, of our own; others decide themselves.
        besides: other words that could have been said, for the error to name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name == OWN:
        return Spotter(least_score=least_score)
    others = metadata.entry_points(group=GROUP)
    if name not in others.names:
        known = ", ".join([OWN, *sorted(others.names), *besides])
        raise ConfigError("--detector", expected=f"one of {known}", got=repr(name))
    made: Detector = others[name].load()()
    return made


class Spotter:
    """The detector that comes with the package, on the CPU.

    Args:
        path: of other weights of the same network.
        least_score: of a spot, 0..1.

    Raises:
        DataError: the weights are damaged.

    Example:
        >>> import numpy as np
        >>> Spotter()(np.zeros((240, 320, 3), np.uint8))
        []
    """

    def __init__(self, path: Path | None = None, least_score: float = LEAST_SCORE) -> None:
        with resources.as_file(FILE) as own:
            where = path or own
            _, weights = read_halves(where, WHAT)
        try:
            self._net, self._least = spotter_of(weights), least_score
        except RuntimeError as error:
            raise DataError(where, expected=WHAT, got=str(error).splitlines()[0]) from error
        self._net.eval()

    @torch.no_grad()
    def __call__(self, image: NDArray[np.uint8]) -> list[Spot]:
        """Return the hands of an (H, W, 3) uint8 RGB picture, best first, boxes in its pixels."""
        seen, scale, corner = _letterbox(image)
        levels = torch.from_numpy(seen).permute(2, 0, 1)[None].float() / 255
        prediction = self._net(normalize(levels))
        spots = read_spots(prediction, least_score=self._least)[0]
        back = np.tile(corner, 2)
        return [Spot((spot.box_xyxy - back) / scale, spot.score, spot.side) for spot in spots]


def _letterbox(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float, NDArray[np.float64]]:
    """Return the picture at the network's size on a plain ground, its scale and its top left corner there, px."""
    height, width = image.shape[:2]
    scale = min(SIZE[0] / width, SIZE[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (SIZE[0] - size[0]) // 2, (SIZE[1] - size[1]) // 2
    seen = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
    seen[:] = [round(255 * level) for level in MEAN]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    seen[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=method)
    return seen, scale, np.array([left, top], float)


def write_detector(path: Path, net: SpotterNet, seen: Mapping[str, Any]) -> None:
    """Write a detector's weights, floats as float16, with what it has seen."""
    write_halves(path, net.state_dict(), dict(seen))

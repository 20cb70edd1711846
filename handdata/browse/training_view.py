"""What training makes of a hand, for the page: the augmented crop with the labels that count."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from handdata.shards.dataset import Dataset


class TrainingView:
    """Draws hands as the network sees them. PyTorch is loaded when the first one is drawn.

    Args:
        parts: whole datasets, of one folder each, one behind the other.
        recipe: whose augmentation; "" the published ranges of each dataset.
        seed: of the augmentation; a hand looks the same each time.
    """

    def __init__(self, parts: Sequence[Dataset], recipe: str = "", seed: int = 0) -> None:
        self._parts = list(parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        self._recipe, self._seed = recipe, seed

    def draw(self, numbers: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Draw some hands, each (S, S, 3) uint8 RGB."""
        from handdata.train.contact_sheet import draw_augmented  # noqa: PLC0415  # torch takes seconds to import

        drawn = []
        for number in numbers:
            place = int(np.searchsorted(self._starts, number, side="right")) - 1
            inside = np.array([number - self._starts[place]], np.int64)
            drawn += draw_augmented(self._parts[place], inside, recipe=self._recipe, seed=self._seed)
        return drawn

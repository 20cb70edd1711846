"""Columns that take long over many hands: computed in the background, when they are asked for or few enough."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.browse.columns import Columns, Number
from handdata.browse.doubt import doubt_of
from handdata.shards.dataset import Dataset

FEW = 20_000  # hands whose pictures are read without being asked for
STEP_PX = 8  # of a canvas, every so many rows and columns are read
BLOCK = 256  # hands between two looks at whether to stop
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601

DOUBT_HELP = "Labels unlike the dataset's: bone lengths, and 2D beside the projected 3D. Above 1 is worth a look."


class SlowColumns:
    """Fills the columns `doubt` and `brightness` from a thread of its own.

    Args:
        columns: where they are put.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.shares: dict[str, float] = {}  # column in work -> how much of it is done, 0 to 1
        self.troubles: dict[str, str] = {}  # column -> why it could not be computed
        columns.numbers["doubt"] = Number("Doubt", "", None, 2, DOUBT_HELP)
        columns.numbers["brightness"] = Number("Brightness", "of 255", None)

    def begin(self) -> None:
        """Start what does not take long: doubt, and brightness of few hands."""
        self.ask("doubt")
        if len(self._columns) <= FEW:
            self.ask("brightness")

    def ask(self, name: str) -> None:
        """Start computing a column, once."""
        work: dict[str, Callable[[], NDArray[np.float32] | None]] = {"doubt": self._doubt, "brightness": self._bright}
        with self._lock:
            if name not in work or name in self.shares or self._columns.numbers[name].values is not None:
                return
            self.shares[name] = 0.0
            thread = threading.Thread(target=self._fill, args=(name, work[name]), daemon=True)
            self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """End what is in work."""
        self._stop.set()
        self.wait()

    def wait(self) -> None:
        """Wait until nothing is in work."""
        for thread in self._threads:
            thread.join()

    def _fill(self, name: str, work: Callable[[], NDArray[np.float32] | None]) -> None:
        try:
            values = work()
        except Exception as error:  # a thread has nobody who would see it otherwise
            self.troubles[name] = str(error)
            return
        if values is not None:
            old = self._columns.numbers[name]
            self._columns.numbers[name] = Number(old.title, old.unit, values, old.digits, old.help)
        self.shares.pop(name, None)

    def _doubt(self) -> NDArray[np.float32]:
        _ = self._columns.id_ranks  # what asks for ids, such as sorting by them, is there at once from then on
        return doubt_of(self._columns.data)

    def _bright(self) -> NDArray[np.float32] | None:
        data = self._columns.data
        values = np.full(len(data), np.nan, np.float32)
        for start in range(0, len(data), BLOCK):
            if self._stop.is_set():
                return None
            numbers = np.arange(start, min(start + BLOCK, len(data)))
            values[numbers] = brightness_of(data, numbers)
            self.shares["brightness"] = start / len(data)
        return values


def brightness_of(data: Dataset, numbers: NDArray[Any]) -> NDArray[np.float32]:
    """Return the mean luma, 0 to 255, of the canvases of some hands, (M,), black rims aside."""
    shard, row = data.locate(numbers)
    means = np.full(len(numbers), np.nan, np.float32)
    for place, (where, at) in enumerate(zip(shard.tolist(), row.tolist(), strict=True)):
        sampled = data.shards.reader(where).images[at, ::STEP_PX, ::STEP_PX].astype(np.float32) @ _LUMA
        shown = sampled[sampled > 0]  # outside the picture a canvas is black
        means[place] = shown.mean() if shown.size else 0.0
    return means

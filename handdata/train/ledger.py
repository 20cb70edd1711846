"""The losses of an epoch as they come in: sums, the NaN guard, the clock."""

import json
import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from torch import Tensor

from handdata.errors import DataError
from handdata.train.data import Batch, Mixture
from handdata.train.distributed import rank, texts_of_all

NAMES = ("loss_2d", "loss_3d", "total")
NAMED_IDS = 8  # sample ids that fit on a line


class Ledger:
    """Collects the losses of one epoch.

    Args:
        sums: of the epoch so far, changed in place.
        mixture: names the samples.
        run: folder that the ids of a bad batch are written to.
        lag: read each loss one step late, so that a GPU is never waited for.
    """

    def __init__(self, sums: dict[str, float], mixture: Mixture, run: Path, *, lag: bool) -> None:
        self._sums, self._mixture, self._run, self._lag = sums, mixture, run, lag
        self._waiting: tuple[Tensor, Batch] | None = None

    def add(self, values: Tensor, batch: Batch) -> bool:
        """Take a step's (loss_2d, loss_3d, total, stop); return whether some process was told to stop.

        Nothing waits any more where it returns True.

        Raises:
            DataError: a loss was not finite.
        """
        stop = self.settle() if self._lag else False
        self._waiting = (values, batch)
        return self.settle() or stop if stop or not self._lag else False

    def settle(self) -> bool:
        """Read what is waiting; return whether some process was told to stop.

        Raises:
            DataError: its loss was not finite; the ids of its batch are in bad_batch.json.
        """
        if self._waiting is None:
            return False
        values, batch = self._waiting
        self._waiting = None
        *losses, stop = values.tolist()
        if not all(map(math.isfinite, losses)):
            self._refuse(losses, batch)
        for name, loss in zip(NAMES, losses, strict=True):
            self._sums[name] = self._sums.get(name, 0.0) + loss
        return bool(stop > 0)

    def _refuse(self, losses: list[float], batch: Batch) -> None:
        ids = texts_of_all(self._mixture.sample_ids(batch.dataset, batch.sample))
        path = self._run / "bad_batch.json"
        if rank() == 0:
            content = {"epoch": batch.epoch, "losses": [str(loss) for loss in losses], "samples": ids}
            path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        more = f" and {len(ids) - NAMED_IDS} more" if len(ids) > NAMED_IDS else ""
        raise DataError(
            f"epoch {batch.epoch + 1}, samples {', '.join(ids[:NAMED_IDS])}{more}",
            expected="a finite loss",
            got=f"{losses[2]}",
            fix=f"All ids are in {path}. Lower optim.lr, set optim.clip_norm, or go on from the last checkpoint.",
        )


class Clock:
    """Measures how long an epoch takes and what part of it waits for batches."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._waited = 0.0
        self._samples = 0

    def batches(self, loader: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the loader's batches, measuring the wait for each."""
        iterator = iter(loader)
        while True:
            asked = time.perf_counter()
            batch = next(iterator, None)
            self._waited += time.perf_counter() - asked
            if batch is None:
                return
            self._samples += len(batch)
            yield batch

    def figures(self, processes: int) -> dict[str, float]:
        """Return samples a second over all processes, and the share of the time spent waiting."""
        spent = max(time.perf_counter() - self._start, 1e-9)
        return {
            "samples_per_s": round(processes * self._samples / spent, 2),
            "data_wait": round(self._waited / spent, 5),
        }

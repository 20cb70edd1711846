"""The losses of an epoch as they come in: sums, the NaN guard, the clock."""

import json
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from handdata.errors import DataError
from handdata.files.whole import write_text
from handdata.train.distributed import rank, texts_of_all
from handdata.train.loader.loaders import Batch, Mixture

TOTAL = "total"
STEPS = ".steps"  # after a term's name in the sums: in how many of the steps something of it was present
NAMED_IDS = 8  # sample ids that fit on a line
LAG = 2  # steps; one is computed and one waits in line while the host reads the losses of the one before


class Landing:
    """A few numbers on their way from the device to the host.

    The copy is asked for at once and has an event of its own: reading it waits for the step that made the numbers,
    not for the steps that were put in line behind it.
    """

    def __init__(self, values: Tensor) -> None:
        self._host = values.to("cpu", non_blocking=True)  # into pinned memory
        self._arrived: torch.cuda.Event | None = None
        if values.device.type == "cuda":
            self._arrived = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._arrived.record()

    def values(self) -> list[float]:
        """Wait until they are here and return them."""
        if self._arrived is not None:
            self._arrived.synchronize()
        numbers: list[float] = self._host.tolist()
        return numbers


class Ledger:
    """Collects the losses of one epoch.

    Args:
        names: of the family's T terms.
        sums: of the epoch so far, changed in place.
        mixture: names the samples.
        run: folder that the ids of a bad batch are written to.
        lag: read each loss so many steps late, so that a GPU has work while the host waits for a figure.
    """

    def __init__(self, names: Sequence[str], sums: dict[str, float], mixture: Mixture, run: Path, *, lag: int) -> None:
        self._names, self._sums, self._mixture, self._run, self._lag = tuple(names), sums, mixture, run, lag
        self._waiting: deque[tuple[Landing, Batch]] = deque()

    def add(self, values: Tensor, batch: Batch) -> bool:
        """Take a step's T losses, their total, T times 1 or 0 for present, and stop; return whether to stop.

        Nothing waits any more where it returns True.

        Raises:
            DataError: a loss was not finite.
        """
        self._waiting.append((Landing(values), batch))
        stop = False
        while len(self._waiting) > self._lag:
            stop = self._read() or stop
        return self.settle() or stop if stop else False

    def settle(self) -> bool:
        """Read what is waiting; return whether some process was told to stop.

        Raises:
            DataError: a loss was not finite; the ids of its batch are in bad_batch.json.
        """
        stop = False
        while self._waiting:
            stop = self._read() or stop
        return stop

    def _read(self) -> bool:
        """Read the oldest step that is waiting."""
        landing, batch = self._waiting.popleft()
        *values, stop = landing.values()
        terms = len(self._names)
        losses, present = values[: terms + 1], values[terms + 1 :]
        if not all(map(math.isfinite, losses)):
            self._refuse(losses, batch)
        steps = (name + STEPS for name in self._names)
        for name, value in zip((*self._names, TOTAL, *steps), (*losses, *present), strict=True):
            self._sums[name] = self._sums.get(name, 0.0) + value
        return stop > 0

    def _refuse(self, losses: list[float], batch: Batch) -> None:
        ids = texts_of_all(self._mixture.sample_ids(batch.dataset, batch.sample))
        path = self._run / "bad_batch.json"
        if rank() == 0:
            content = {"epoch": batch.epoch, "losses": [str(loss) for loss in losses], "samples": ids}
            write_text(path, json.dumps(content, indent=1) + "\n")
        more = f" and {len(ids) - NAMED_IDS} more" if len(ids) > NAMED_IDS else ""
        raise DataError(
            f"epoch {batch.epoch + 1}, samples {', '.join(ids[:NAMED_IDS])}{more}",
            expected="a finite loss",
            got=f"{losses[-1]}",
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
        """Return samples per second over all processes, and the share of the time spent waiting."""
        spent = max(time.perf_counter() - self._start, 1e-9)
        return {
            "samples_per_s": round(processes * self._samples / spent, 2),
            "data_wait": round(self._waited / spent, 5),
        }


def means(names: Sequence[str], sums: Mapping[str, float], batches: int) -> dict[str, float | None]:
    """Return an epoch's mean losses: each term over the steps in which it was present, None where there were none.

    Raises:
        DataError: none of them was present in any step.
    """
    if not any(sums.get(name + STEPS, batches) for name in names):
        expected, fix = "labels that this model learns from", "Train on labelled hands, or another recipe."
        raise DataError("training", expected=expected, got="none in a whole epoch", fix=fix)
    result: dict[str, float | None] = {TOTAL: sums[TOTAL] / batches}
    for name in names:
        steps = sums.get(name + STEPS, batches)
        result[name] = sums[name] / steps if steps else None
    return result

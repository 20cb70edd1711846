"""TensorBoard's files, as an extra."""

from pathlib import Path
from typing import Any, Self

from handdata.errors import ConfigError


class Board:
    """Writes every number of a log entry as a scalar; does nothing unless wanted.

    Raises:
        ConfigError: wanted, but TensorBoard is not installed.
    """

    def __init__(self, folder: Path, *, wanted: bool) -> None:
        self._writer: Any = None
        if not wanted:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise ConfigError(
                "--tensorboard",
                expected="tensorboard",
                got="not installed",
                fix='Run pip install "handdata[tensorboard]".',
            ) from error
        self._writer = SummaryWriter(str(folder))

    def write(self, entry: dict[str, Any]) -> None:
        """Write one epoch's log entry."""
        if self._writer is None:
            return
        for part in ("train", "val", "mix"):
            for name, value in (entry.get(part) or {}).items():
                if value is not None:  # a term of which nothing was there
                    self._writer.add_scalar(f"{part}/{name}", value, entry["epoch"])
        for name in ("lr", "samples_per_s", "data_wait"):
            self._writer.add_scalar(name, entry[name], entry["epoch"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

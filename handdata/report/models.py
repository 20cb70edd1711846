"""Which network each run trained: its family, its size, the axes of its 3D, and its losses by name."""

from collections.abc import Mapping, Sequence
from typing import Any

from handdata.report.runs import Run
from handdata.report.tables import DASH, Table, plain_table

_NOTE = (
    "Family: `model.kind`, docs/method.md 6 and 14. Losses: those that the log has, their total aside; `loss.weights` "
    "weighs each."
)


def models_table(runs: Sequence[Run]) -> Table:
    """Return a row per run that says what it trained."""
    rows = [_row(run) for run in runs if run.config.get("model")]
    header = ("run", "family", "recipe", "input, px", "width", "3D in the axes of", "losses")
    return plain_table("models", "The models", header, rows, stubs=3, notes=(_NOTE,))


def _row(run: Run) -> tuple[str, ...]:
    model: Mapping[str, Any] = run.config["model"]
    last: Mapping[str, Any] = run.log[-1]["train"] if run.log else {}
    losses = ", ".join(name.removeprefix("loss_") for name in last if name != "total")
    axes = "the view" if run.config.get("data", {}).get("turn") else "the camera"
    return (
        run.name, str(model.get("kind", DASH)), run.recipe or DASH, str(model.get("size", DASH)),
        str(model.get("width", DASH)), axes, losses or DASH,
    )  # fmt: skip

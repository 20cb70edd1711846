"""What the page opens with: one card per run with the figures that matter most on each set. Computes no metric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handdata import manifest
from handdata.evaluation.protocol import Score
from handdata.evaluation.results import ErrorTable, SetResult
from handdata.report.curves import DASHES, SERIES, series_of
from handdata.report.runs import Run
from handdata.report.tables import DASH

_ORIGINS = {"rendered": "rendered", "published": "as published", "own": "own pictures"}
_FEW = 3  # recordings below which there is no interval


@dataclass(frozen=True, slots=True)
class _Choice:
    """A protocol whose number a card may show."""

    protocol: str
    name: str
    unit: str = ""
    digits: int = 3
    factor: float = 1.0


# three of a card's figures; the first choice of each that has a number is shown
_FIGURES = (
    (_Choice("pck_0.2_bbox", "PCK, 0.2 of box", "%", 1, 100.0),),
    (_Choice("auc_20_50", "Area, 20-50 mm"), _Choice("auc_tips_20_50", "Area of tips, 20-50 mm"),
     _Choice("auc_0_30_px", "Area, 0-30 px")),
    (_Choice("pa_mpjpe", "PA-MPJPE", "mm", 1), _Choice("thesis:error_3d", "3D error, normalised")),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of a card.

    Attributes:
        name: what it is.
        value: as printed, or a dash.
        unit: behind it, "" without.
        interval: its 95 % interval, "" without.
        beside: the same in another unit, and against the baseline.
    """

    name: str
    value: str
    unit: str = ""
    interval: str = ""
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SetCard:
    """What a card says of one set.

    Attributes:
        name: dataset and split.
        origin: "rendered", "published", "own" or "unknown".
        hands: whose hands these are, in words.
        measured: on how many hands of how many recordings.
        seen: what of it the training knew, "" where that is not recorded.
        spoilt: whether hands of it were trained on.
        figures: the numbers.
        missing: why a number is not there.
    """

    name: str
    origin: str
    hands: str
    measured: str
    seen: str
    spoilt: bool
    figures: tuple[Figure, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RunCard:
    """What the page says first of one run.

    Attributes:
        name: of the run.
        series: which colour its curves have.
        dash: and which dash.
        model: its network and recipe.
        trained: on what.
        sets: a part per set that it was scored on.
        missing: what its folder lacks, and which command makes it.
    """

    name: str
    series: int
    dash: int
    model: str
    trained: str
    sets: tuple[SetCard, ...]
    missing: tuple[str, ...]


def run_cards(runs: Sequence[Run]) -> list[RunCard]:
    """Return a card per run, in the runs' order."""
    numbers = series_of(runs)
    return [
        RunCard(
            name=run.name,
            series=numbers[run.name] % SERIES,
            dash=numbers[run.name] // SERIES % DASHES,
            model=_model(run),
            trained=_trained(run),
            sets=tuple(_set_card(run, one) for one in run.sets),
            missing=_missing(run),
        )
        for run in runs
    ]


def hands_of(one: SetResult) -> str:
    """Return whose hands a set shows, in few words."""
    if one.origin == "published":
        known = one.dataset in manifest.names()
        kind = manifest.load(one.dataset).kind if known else ""
        return {"real": "real hands", "synthetic": "synthetic hands"}.get(kind, "published hands")
    return {"rendered": "rendered hands", "own": "own pictures"}.get(one.origin, "hands of unrecorded origin")


def _set_card(run: Run, one: SetResult) -> SetCard:
    chosen = [next((c for c in group if _has_number(one, c)), group[0]) for group in _FIGURES]
    reasons: dict[str, list[str]] = {}
    for choice in chosen:
        score = one.protocols.get(choice.protocol)
        if score and score.missing:
            reasons.setdefault(score.missing, []).append(choice.name)
    return SetCard(
        name=f"{one.dataset} {one.split}{run.folder_of(one)}{' (augmented)' if one.augmented else ''}",
        origin=one.origin,
        hands=hands_of(one),
        measured=_measured(one),
        seen=_seen(run, one),
        spoilt=run.has_seen(one),
        figures=(_error_2d(one), *(_figure(one, choice) for choice in chosen)),
        missing=tuple(f"No {' and no '.join(names)}: {reason}." for reason, names in reasons.items()),
    )


def _has_number(one: SetResult, choice: _Choice) -> bool:
    score = one.protocols.get(choice.protocol)
    return score is not None and score.value is not None


def _figure(one: SetResult, choice: _Choice) -> Figure:
    score = one.protocols.get(choice.protocol)
    if score is None or score.value is None:
        return Figure(name=choice.name, value=DASH)
    value = f"{score.value * choice.factor:.{choice.digits}f}"
    return Figure(name=choice.name, value=value, unit=choice.unit, interval=_interval(score, choice))


def _interval(score: Score, choice: _Choice) -> str:
    if score.low is None or score.high is None:
        return ""
    low, high = (f"{end * choice.factor:.{choice.digits}f}" for end in (score.low, score.high))
    return f"{low} to {high}"


def _error_2d(one: SetResult) -> Figure:
    """Return the 2D error by the run's own read-out; its interval is known in pixels of the source picture."""
    tables: Mapping[str, ErrorTable] = one.errors.get("all", {})
    error = tables["2d"].total_micro if "2d" in tables else None
    if error is None:
        return Figure(name="2D error", value=DASH)
    pixels, mean_pose = one.protocols.get("epe_px:mean"), one.baseline.get("2d")
    beside = []
    if pixels and pixels.value is not None:
        interval = _interval(pixels, _Choice("", "", digits=1))
        beside.append(f"{pixels.value:.1f} px" + (f" ({interval})" if interval else ""))
    if mean_pose:
        beside.append(f"{error / mean_pose:.2f} x mean pose")
    return Figure(name="2D error", value=f"{error:.3f}", unit="of crop", beside=tuple(beside))


def _measured(one: SetResult) -> str:
    hands, recordings = one.counts.get("samples", 0), one.counts.get("sequences", 0)
    few = ": no intervals" if 0 < recordings < _FEW else ""
    return f"{_counted(hands, 'hand')} of {_counted(recordings, 'recording')}{few}"


def _seen(run: Run, one: SetResult) -> str:
    """Say what the training knew of a set."""
    if run.has_seen(one):
        return f"trained on {one.trained_on if one.trained_on else 'some'} of these hands"
    if not run.seen.sets:
        return ""  # the head of the card says so
    learnt = {known.dataset for known in run.seen.sets if known.origin in ("", one.origin)}
    return "held out; other hands of it were trained on" if one.dataset in learnt else "nothing of it was trained on"


def _model(run: Run) -> str:
    """Name the network, its recipe and its input, by the settings or, of weights from elsewhere, by the evaluation."""
    model: Mapping[str, Any] = run.config.get("model", {})
    options: Mapping[str, Any] = run.results.options if run.results else {}
    recipe = run.recipe or str(options.get("recipe") or "")
    kind = str(model.get("kind") or options.get("model") or "")
    size = f"{model['size']} px" if "size" in model else ""
    return ", ".join(
        part for part in (f"model {kind}" if kind else "", f"recipe {recipe}" if recipe else "", size) if part
    )


def _missing(run: Run) -> tuple[str, ...]:
    """Name what a run lacks, once for each command that makes it."""
    files: dict[str, list[str]] = {}
    for line in run.missing:
        name, _, command = line.partition(" ")
        files.setdefault(command, []).append(name)
    return tuple(f"{' and '.join(names)} {command}" for command, names in files.items())


def _trained(run: Run) -> str:
    """Name the sets that a run, and those that it started from, were trained on, by whose hands."""
    names: dict[str, dict[str, None]] = {}
    for one in run.seen.sets:
        names.setdefault(one.origin, {})[one.dataset] = None
    parts = [
        f"{', '.join(sets)}{f' ({_ORIGINS[origin]})' if origin in _ORIGINS else ''}" for origin, sets in names.items()
    ]
    return " and ".join(parts)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

"""What results.json holds: every number of one evaluation, by dataset and split. see docs/evaluation.md.

Written by `scoring`, read by the report, which computes no metric. A number that cannot be had is None (null), never 0.
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handdata.errors import DataError, MissingError
from handdata.evaluation.protocol import Score
from handdata.files.tables import read_tree
from handdata.files.text import Wanted, read_object

if TYPE_CHECKING:
    import pandas as pd

VERSION = "handdata-results/1"
RESULTS = "results.json"  # of a run
_FORM = Wanted(what="results", fix="Run `handdata evaluate` again.", largest=200_000_000)
QUANTITIES: Mapping[str, str] = {
    "2d": "crop side",  # distance in fractions of the crop side: the thesis' 2D error
    "2d_px": "px",  # distance in source pixels
    "2d_published": "crop side",  # the same two by the published read-out, where the tables use another
    "2d_px_published": "px",
    "2d_box": "hand box",  # distance in units of the longer side of the hand box: comparable between datasets (E13)
    "3d": "wrist to middle MCP",  # distance in normalised 3D: the thesis' 3D error
    "3d_mm": "mm",  # distance in mm, middle MCP and scale laid on ground truth
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorTable:
    """Mean distances of one quantity over one subset of labels."""

    keypoint: tuple[float | None, ...]  # (21,) by keypoint
    labels: tuple[int, ...]  # (21,) how many labels each of them averages
    groups: Mapping[str, float | None]  # wrist, joint:*, finger:* as in metrics.GROUPS
    total_macro: float | None  # mean over keypoints: the thesis' total on full labels
    total_micro: float | None  # mean over labels: the thesis' total on partial labels (E16)
    median: float | None  # over labels
    rmse: float | None  # root of the mean square over labels (E1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A PCK curve over pooled labels."""

    thresholds: tuple[float, ...]
    accuracy: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryItem:
    """A sample worth looking at."""

    kind: str  # "best", "median" or "worst"
    sample_id: str
    error_2d: float | None  # crop fractions, mean over the sample's labels
    error_3d: float | None  # normalised


@dataclass(frozen=True, kw_only=True, slots=True)
class SetResult:
    """One split of one dataset, scored."""

    dataset: str
    split: str
    shards: str  # the folder the truth was read from
    origin: str  # "rendered" hands of `handdata synth`, "published" data, one's "own", or "unknown"
    augmented: bool = False  # random augmentation was on (Table 4.6b)
    repeats: int = 1
    trained_on: int | None = None  # scored samples that the weights were trained on; None: not known
    left_out: int | None = None  # samples of the split that are not scored because the weights were trained on them
    counts: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, Mapping[str, ErrorTable]] = field(default_factory=dict)  # subset -> quantity
    sequences: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)  # name -> quantity -> mean
    readouts: Mapping[str, Mapping[str, ErrorTable]] = field(default_factory=dict)  # read-out -> 2d, 2d_px
    curves: Mapping[str, Curve] = field(default_factory=dict)  # quantity ->
    protocols: Mapping[str, Score] = field(default_factory=dict)
    protocols_without_excluded: Mapping[str, Score] = field(default_factory=dict)  # empty: nothing is on a list
    baseline: Mapping[str, float | None] = field(default_factory=dict)  # error of always saying the set's mean pose
    spread: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)  # total by repeat (E17)
    gallery: tuple[GalleryItem, ...] = ()

    def only(self, names: Collection[str]) -> "SetResult":
        """Return the same with the protocols of these names."""

        def some(scores: Mapping[str, Score]) -> dict[str, Score]:
            return {name: score for name, score in scores.items() if name in names}

        protocols, without = some(self.protocols), some(self.protocols_without_excluded)
        return replace(self, protocols=protocols, protocols_without_excluded=without)

    def gaps(self) -> list[str]:
        """Say in words what is not as it should be: samples trained on, samples and labels without a prediction.

        What the predictions do not hold at all is no gap.
        """
        samples, without = (self.counts.get(name, 0) for name in ("samples", "without_prediction"))
        lines = [f"TRAINED ON: {self.trained_on} of {samples} samples"] if self.trained_on else []
        lines += [f"left out: {self.left_out} samples that were trained on"] if self.left_out else []
        lines += [f"{without} of {samples} samples have no prediction"] if without else []
        for kind in ("2d", "3d"):
            labels, lacking = (self.counts.get(f"labels_{kind}{end}", 0) for end in ("", "_unpredicted"))
            if 0 < lacking < labels:
                lines.append(f"{lacking} of {labels} {kind.upper()} labels have no prediction")
        return lines


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Results:
    """Everything one evaluation says."""

    sets: tuple[SetResult, ...]
    readout: str  # the read-out that `errors`, `curves` and `protocols` use
    predictions: str = ""  # the file that was scored
    options: Mapping[str, Any] = field(default_factory=dict)  # what made the predictions
    seed: int = 0  # of an augmented evaluation's draws
    handdata_version: str = ""
    schema: str = VERSION

    def folder_of(self, one: SetResult) -> str:
        """Return the folder of a set's shards, by its name where that is enough; "" where only one is called alike."""

        def key(result: SetResult) -> tuple[str, str, bool]:
            return result.dataset, result.split, result.augmented

        folders = {other.shards for other in self.sets if key(other) == key(one)}
        if len(folders) < 2:
            return ""
        names = {Path(folder).name for folder in folders}
        return Path(one.shards).name if len(names) == len(folders) else one.shards

    def to_pandas(self) -> "pd.DataFrame":
        """Return a table, one row per set and protocol: value, 95 % interval, labels, why one is missing, shards."""
        import pandas as pd  # noqa: PLC0415  # half a second

        facts = ("value", "low", "high", "labels", "unpredicted", "samples", "sequences", "missing", "note")
        rows = [
            {"dataset": one.dataset, "split": one.split, "augmented": one.augmented, "protocol": name}
            | {fact: getattr(score, fact) for fact in facts}
            | {"shards": one.shards}
            for one in self.sets
            for name, score in one.protocols.items()
        ]
        table = pd.DataFrame(rows).set_index(["dataset", "split", "protocol"])
        return table.astype(dict.fromkeys(("value", "low", "high"), float))  # NaN where there is none

    def __repr__(self) -> str:
        sets = ", ".join(f"{one.dataset} {one.split} ({one.counts.get('samples', 0)} hands)" for one in self.sets)
        return f"<Results of {sets}; .sets[0].protocols, .to_pandas()>"


def keep_other_kind(new: Results, old: Results | None) -> Results:
    """Return new results with the augmented sets of old ones, or the plain ones, if weights and limit are the same.

    So a run can be scored plainly and augmented, one after the other, and Table 4.6 find both. The predictions that are
    named are the plain ones, whichever came last: they are of the hands as they are stored.
    """
    if old is None or any(
        old.options.get(key) != new.options.get(key) for key in ("checkpoint", "epoch", "recipe", "limit")
    ):
        return new
    kinds = {one.augmented for one in new.sets}
    kept = [one for one in old.sets if one.augmented not in kinds]
    plain = old if any(not one.augmented for one in kept) else new
    return replace(new, sets=(*new.sets, *kept), predictions=plain.predictions)


def results_json(results: Results) -> bytes:
    """Return the content of results.json."""
    return (json.dumps(_plain(asdict(results)), indent=1, allow_nan=False) + "\n").encode()


def results_file(path: Path) -> Path:
    """Return the results of a run, or the file itself where one was named."""
    return path / RESULTS if path.is_dir() else path


def read_results(path: Path) -> Results:
    """Read results.json.

    Raises:
        MissingError: no such file.
        DataError: not JSON, of another version, or with fields that are unknown or missing.
    """
    if not path.is_file():
        raise MissingError(path, expected="results", got="no file", fix="Run `handdata evaluate` first.")
    content = read_object(path, _FORM)
    if content.get("schema") != VERSION:
        raise _FORM.fault(path, f"schema {VERSION}", str(content.get("schema")))
    return read_tree(Results, content, where=str(path), error=DataError)


def _plain(value: Any) -> Any:
    """Turn what JSON cannot hold into what it can: NaN and infinity become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

"""The cells of the thesis' Tables 4.1 to 4.9: what each is called, and which experiment and evaluation set fill it.

One list serves the author's result files, our runs and the published column, so the three can stand side by side.
Sources: docs/method.md 9.4 and section 12, E1-E19.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from handdata.evaluation.metrics import GROUPS

STEREO, GRASP2 = "Stereo (B1Counting, B1Random)", "Dexter+Object (Grasp2)"
TOTAL = "total"
GROUP_NAMES = (*GROUPS, TOTAL)
SYNTHHANDS_SIDE, GANERATED_SIDE = 480.0, 256.0  # px of the crop, Table 4.9 (docs/method.md 9.3)

EXPERIMENTS: Mapping[str, str] = {
    "e010": "Model 1, no augmentation",
    "e012": "Model 2, no augmentation",
    "e013": "Model 3, no augmentation",
    "e020": "Model 1 after augmentation",
    "e022": "fine-tuned on Dexter+Object",
    "e023": "fine-tuned on Stereo",
}
TABLES: Mapping[str, str] = {
    "4.1": "2D error by keypoint group: Model 1 (direct heatmaps) and Model 2 (latent heatmaps)",
    "4.2": "2D error with and without an object: Models 1 and 2",
    "4.3": "3D error by keypoint group: Model 1 (vector) and Model 3 (bone tree)",
    "4.4": "3D error with and without an object: Models 1 and 3",
    "4.5": "2D error of Model 1 on real data it was not trained on",
    "4.6": "Before and after training with augmentation, on plain and augmented validation sets",
    "4.7": "Before and after training with augmentation, on real data",
    "4.8": "Before and after fine-tuning on real data",
    "4.9": "2D error in pixels, beside other methods",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """The name of one number, as published/thesis_tables.csv spells it."""

    table: str
    dataset: str
    model: str
    group: str
    metric: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where a cell's number comes from."""

    experiment: str  # a key of EXPERIMENTS
    archive: str  # the author's name of the dataset
    part: (
        str  # all, noobject, object, val_augment, test; grasp2, rotate, rotate_mm of Dexter+Object; "" or mm of Stereo
    )
    dimension: str  # "2d" or "3d"
    group: str  # a key of metrics.GROUPS, or "total"
    factor: float = 1.0  # the cell is the stored number times this

    @property
    def evaluation(self) -> str:
        """The name in the author's files: <experiment>__<evaluation>_valuation.json."""
        return f"{self.archive}_{self.part}" if self.part else self.archive


def thesis_cells() -> dict[Cell, Source]:
    """Return every cell that an experiment fills, in the order of the tables."""
    return dict(_cells())


def _cells() -> Iterator[tuple[Cell, Source]]:
    yield from _by_group("4.1", "2d", {"Model 1": "e010", "Model 2": "e012"})
    yield from _by_object("4.2", "2d", {"Model 1": "e010", "Model 2": "e012"})
    yield from _by_group("4.3", "3d", {"Model 1": "e010", "Model 3": "e013"})
    yield from _by_object("4.4", "3d", {"Model 1": "e010", "Model 3": "e013"})
    for group in GROUP_NAMES:
        for dataset, archive, part in ((STEREO, "stereo", ""), (GRASP2, "dexter+object", "grasp2")):
            cell = Cell("4.5", dataset, "Model 1 (before augmentation)", group, "error_2d")
            yield cell, Source("e010", archive, part, "2d", group)
    yield from _augmentation()
    yield from _real_data()
    yield from _pixels()


def _by_group(table: str, dimension: str, models: Mapping[str, str]) -> Iterator[tuple[Cell, Source]]:
    for group in GROUP_NAMES:
        for dataset, name in (("SynthHands", "synth_hands"), ("GANerated", "ganerated")):
            for model, experiment in models.items():
                cell = Cell(table, dataset, model, group, f"error_{dimension}")
                yield cell, Source(experiment, name, "all", dimension, group)


def _by_object(table: str, dimension: str, models: Mapping[str, str]) -> Iterator[tuple[Cell, Source]]:
    for group, part in (("no object", "noobject"), ("object", "object")):
        for dataset, name in (("SynthHands", "synth_hands"), ("GANerated", "ganerated")):
            for model, experiment in models.items():
                cell = Cell(table, dataset, model, group, f"error_{dimension}_total")
                yield cell, Source(experiment, name, part, dimension, TOTAL)


def _augmentation() -> Iterator[tuple[Cell, Source]]:
    for group, part in (("a) non-augmented", "all"), ("b) augmented", "val_augment")):
        for dataset, name in (("SynthHands", "synth_hands"), ("GANerated", "ganerated")):
            for model, experiment in (("Before Augmentation", "e010"), ("After Augmentation", "e020")):
                for dimension in ("2d", "3d"):
                    cell = Cell("4.6", dataset, model, group, f"error_{dimension}_total")
                    yield cell, Source(experiment, name, part, dimension, TOTAL)


def _real_data() -> Iterator[tuple[Cell, Source]]:
    for dataset, archive, part in ((STEREO, "stereo", ""), (GRASP2, "dexter+object", "grasp2")):
        for model, experiment in (("Before Augmentation", "e010"), ("After Augmentation", "e020")):
            yield Cell("4.7", dataset, model, TOTAL, "error_2d_total"), Source(experiment, archive, part, "2d", TOTAL)
    for dataset, archive, part, tuned in (
        (STEREO, "stereo", "", "e023"),
        ("Dexter (Grasp2)", "dexter+object", "grasp2", "e022"),
        ("Dexter (Rotate)", "dexter+object", "rotate", "e022"),
    ):
        for model, experiment in (("Synthetic Data Only", "e020"), ("Fine-tuning with Real Data", tuned)):
            yield Cell("4.8", dataset, model, TOTAL, "error_2d_total"), Source(experiment, archive, part, "2d", TOTAL)


def _pixels() -> Iterator[tuple[Cell, Source]]:
    for dataset, experiment, archive, part, factor in (
        ("SynthHands [14]", "e020", "synth_hands", "test", SYNTHHANDS_SIDE),
        ("GANerated [8]", "e020", "ganerated", "test", GANERATED_SIDE),
        ("Stereo TB [15]", "e023", "stereo", "mm", 1.0),  # files named _mm_ hold pixels (E11)
        ("Dexter+Object [27]", "e022", "dexter+object", "rotate_mm", 1.0),
    ):
        cell = Cell("4.9", dataset, "Our Model", TOTAL, "pixel_error_2d")
        yield cell, Source(experiment, archive, part, "2d", TOTAL, factor)

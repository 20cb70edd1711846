"""Apply a checkpoint to whole shards: every sample once, in stored order, into predictions.h5 and results.json.

The network always sees batches of one size, the last one filled up, so that a sample's prediction has the same bits
whatever batch size the reading uses.

Shape letters: B batch, K keypoints, n side of the model's input.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handdata.errors import HanddataError
from handdata.evaluation.predictions import (
    AugmentedTruth,
    Predictions,
    from_crop_fractions,
    read_predictions,
    write_predictions,
)
from handdata.evaluation.results import Results, keep_other_kind, read_results, results_json
from handdata.evaluation.score import score_predictions
from handdata.evaluation.seen import read_seen, seen_by
from handdata.files.whole import whole
from handdata.model.checkpoint import load_network
from handdata.model.device import autocast, choose_device
from handdata.model.families import family_of
from handdata.model.pixels import MEAN, STD
from handdata.progress import meter
from handdata.train import checkpoint
from handdata.train.augment.prepare import Inputs
from handdata.train.augment.views import make_views
from handdata.train.checkpoint import Checkpoint
from handdata.train.config import AugmentSetting, Config
from handdata.train.loader.loaders import Batch, EvalLoader, Mixture
from handdata.train.selection import Selection, refuse_same, say_left_out, select

FORWARD = 32  # samples the network sees at a time
BATCH = 128  # samples read at a time
PREDICTION_SUFFIXES = (".h5", ".csv", ".json")


@dataclass
class _Rows:
    """What is collected, one list entry per batch."""

    dataset: list[str] = field(default_factory=list)
    sample_id: list[str] = field(default_factory=list)
    arrays: dict[str, list[NDArray[Any]]] = field(default_factory=dict)

    def add(self, names: Sequence[str], **arrays: NDArray[Any]) -> None:
        for name in names:
            dataset, _, sample_id = name.partition("/")
            self.dataset.append(dataset)
            self.sample_id.append(sample_id)
        for key, array in arrays.items():
            self.arrays.setdefault(key, []).append(array)

    def __getitem__(self, key: str) -> NDArray[Any]:
        return np.concatenate(self.arrays[key])


def evaluate(
    what: Path | str,
    shards: Sequence[Path | str] | Path | str,
    *,
    split: str | None = None,
    device: str = "auto",
    seed: int = 0,
) -> Results:
    """Score a training run, or a file of predictions, on converted datasets, under every protocol.

    Args:
        what: folder of a run (its predictions.h5 and results.json are written there), or a .h5, .csv or .json file of
            predictions (docs/evaluation.md).
        shards: folders of converted datasets, or one of them.
        split: only this one; None takes all but train where there is another.
        device: of a run: "auto", "cpu", "cuda" or "cuda:N".
        seed: of the intervals.

    Raises:
        HanddataError: no such run, file, shards or split, or no samples.

    Example:
        >>> import handdata as hd
        >>> results = hd.evaluate(RUN, EXAMPLE, split="val", device="cpu")
        >>> [(one.dataset, one.split) for one in results.sets]
        [('rhd', 'val')]
    """
    path = Path(what)
    folders = [Path(folder) for folder in ([shards] if isinstance(shards, Path | str) else shards)]
    if path.suffix in PREDICTION_SUFFIXES:
        splits = None if split is None else [split]
        given = read_predictions(path)
        seen = seen_by(given.options)
        return score_predictions(given, folders, splits=splits, seed=seed, source=str(path), seen=seen)
    selection = Selection(folders=folders, split=split, held_out=True)
    return evaluate_run(path, selection, device=device, seed=seed)[1]


def evaluate_run(
    run: Path,
    selection: Selection,
    *,
    device: str = "auto",
    batch: int = BATCH,
    seed: int = 0,
    readout: str | None = None,
) -> tuple[Path, Results]:
    """Predict with a run's best checkpoint and score; write predictions.h5, mosaic.npz and results.json into the run.

    An augmented evaluation has a file of its own, predictions-augmented.h5, and joins the plain one in results.json.
    One with a limit leaves a whole one as it is: its files are then predictions-limited.h5 and so on.

    Args:
        run: folder of the run, or of one of its checkpoints; then the files go beside the checkpoint's.
        selection: which samples.
        device: "auto", "cpu", "cuda" or "cuda:N".
        batch: samples read at a time; changes no bit.
        seed: of the augmented draws.
        readout: which 2D read-out the tables use; None takes the first.

    Returns:
        The file of results, and what it holds.

    Raises:
        HanddataError: no checkpoint, no such shards or split, no samples; another evaluation of that run.
    """
    saved = checkpoint.load(run)
    selection = replace(selection, seen=read_seen(run))
    say_left_out(selection)
    target, ending = run / "results.json", "-augmented" if selection.augmented else ""
    before = _results_before(target)
    if selection.limit and before and not before.options.get("limit"):
        target, ending = run / "results-limited.json", f"{ending}-limited"
        before = _results_before(target)
    path = run / f"predictions{ending}.h5"
    with whole(target) as file:  # held from the start: a second evaluation of this run is refused at once
        predictions = predict(saved, selection, device=device, batch=batch, seed=seed)
        write_predictions(path, predictions)
        write_mosaic(run / "mosaic.npz", saved, selection)
        splits = None if selection.split is None else [selection.split]
        scored = score_predictions(
            predictions, selection.folders, splits=splits, seed=seed, source=str(path), readout=readout, whole=False,
            seen=selection.seen if selection.seen.sets else None,
        )  # fmt: skip
        results = keep_other_kind(scored, before)
        file.write(results_json(results))
    return target, results


def _results_before(path: Path) -> Results | None:
    """Return what an earlier evaluation left; None if there is none that can be read."""
    try:
        return read_results(path)
    except HanddataError:
        return None


@torch.no_grad()
def predict(
    saved: Checkpoint, selection: Selection, *, device: str = "auto", batch: int = BATCH, seed: int = 0
) -> Predictions:
    """Predict every selected sample once, with all read-outs, the one that the model is read by first.

    Returns:
        2D in source pixels and 3D in the source camera's axes, as shipped; with `augmented`, both as the model saw
        them, with the truth beside.
    """
    where = choose_device(device)
    mixtures = select(selection)
    refuse_same(mixtures)
    network = load_network(saved.trained, where)
    rows = _Rows()
    for mixture in mixtures:
        _predict_mixture(rows, mixture, saved, network, selection, where, batch=batch, seed=seed)
    return _collect(rows, saved, selection, seed)


def _predict_mixture(
    rows: _Rows,
    mixture: Mixture,
    saved: Checkpoint,
    network: nn.Module,
    selection: Selection,
    device: torch.device,
    *,
    batch: int,
    seed: int,
) -> None:
    """Add the predictions of one mixture to `rows`."""
    config = replace(saved.config, augment=AugmentSetting(kind="published")) if selection.augmented else saved.config
    views = make_views(config, mixture, device, train=selection.augmented, seed=seed)
    family = family_of(saved.config.model.kind)
    repeats, size = (selection.repeats if selection.augmented else 1), saved.config.model.size
    with EvalLoader(mixture, batch, device=device) as loader, meter("predicting", repeats * len(loader)) as bar:
        for repeat in range(repeats):
            for part in loader:
                inputs = views.inputs(part, epoch=repeat)
                prediction = forward(network, inputs.image_B3HW, saved.config)
                readings = {rule: family.read(prediction, saved.config.model, rule) for rule in _rules(saved)}
                found = {rule: reading.uv_BK2.double().cpu().numpy() for rule, reading in readings.items()}
                xyz = readings[_rules(saved)[0]].xyz_BK3
                ids = mixture.sample_ids(part.dataset, part.sample)
                if selection.augmented:
                    rows.add(ids, **_as_seen(inputs, found, xyz, size, repeat))
                else:
                    rows.add(ids, **_as_shipped(part, inputs, found, xyz, size))
                bar.advance()


def forward(network: nn.Module, image_B3HW: Tensor, config: Config) -> Any:
    """Run the network on batches of one size and return its prediction of all samples."""
    predictions = []
    for image in torch.split(image_B3HW, FORWARD):
        missing = FORWARD - len(image)
        whole = torch.cat([image, image.new_zeros(missing, *image.shape[1:])]) if missing else image
        with autocast(config.loop.precision, image.device):
            prediction = network(whole)
        predictions.append([values[: len(image)] for values in prediction])
    return type(prediction)(*(torch.cat(parts) for parts in zip(*predictions, strict=True)))


def write_mosaic(path: Path, saved: Checkpoint, selection: Selection) -> None:
    """Write one sample's crop and its 21 heatmaps: `image` (n, n, 3) uint8, `heatmaps` (21, n, n), its names.

    A family without heatmaps of the crop's size leaves none.
    """
    device = torch.device("cpu")
    mixture = select(replace(selection, limit=1, augmented=False))[0]
    network = load_network(saved.trained, device)
    with EvalLoader(mixture, 1, device=device, threads=0) as loader:
        part = next(iter(loader))
        inputs = make_views(saved.config, mixture, device, train=False).inputs(part)
    with torch.no_grad():
        prediction = forward(network, inputs.image_B3HW, saved.config)
    reading = family_of(saved.config.model.kind).read(prediction, saved.config.model, _rules(saved)[0])
    maps = reading.maps_BKHW
    if maps is None or maps.shape[-1] != saved.config.model.size:
        path.unlink(missing_ok=True)
        return
    name = mixture.sample_ids(part.dataset, part.sample)[0]
    dataset, _, sample_id = name.partition("/")
    arrays = {"image": to_picture(inputs.image_B3HW)[0], "heatmaps": maps[0].numpy()}
    with whole(path) as file:
        np.savez_compressed(file, **arrays, sample_id=np.array(sample_id), dataset=np.array(dataset))


def to_picture(image_B3HW: Tensor) -> NDArray[np.uint8]:
    """Undo the colour normalisation: (B, n, n, 3) uint8 RGB."""
    mean, std = (image_B3HW.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    levels = ((image_B3HW * std + mean) * 255).round().clamp(0, 255).permute(0, 2, 3, 1)
    return levels.to(torch.uint8).cpu().numpy()


def _rules(saved: Checkpoint) -> tuple[str, ...]:
    return family_of(saved.config.model.kind).read_outs(saved.config.model)


def _as_shipped(
    part: Batch, inputs: Inputs, found: dict[str, NDArray[Any]], xyz: Tensor, size: int
) -> dict[str, NDArray[Any]]:
    """Bring predictions back to source pixels and axes: undo crop and mirror."""
    back = np.linalg.inv(inputs.source_to_crop_B33)
    pixels = {
        f"2d/{rule}": (uv * size) @ back[:, :2, :2].transpose(0, 2, 1) + back[:, None, :2, 2]
        for rule, uv in found.items()
    }
    axes = xyz.double().cpu().numpy() @ inputs.rotation_B33
    return {**pixels, "3d": axes, "crop": part.labels["crop_xyxy"]}


def _as_seen(
    inputs: Inputs, found: dict[str, NDArray[Any]], xyz: Tensor, size: int, repeat: int
) -> dict[str, NDArray[Any]]:
    """Keep predictions in the view that was drawn; its crop is put at (0, 0)."""
    side = inputs.side_B.double().cpu().numpy()
    crop = np.stack([0 * side, 0 * side, side, side], axis=1)
    known = inputs.present_3d_BK[..., None]
    return {
        **{f"2d/{rule}": from_crop_fractions(uv, crop, size) for rule, uv in found.items()},
        "3d": xyz.cpu().numpy(),
        "crop": crop,
        "truth_2d": inputs.uv_BK2.cpu().numpy(),
        "truth_3d": torch.where(known, inputs.xyz_BK3, torch.nan).cpu().numpy(),
        "labelled": inputs.labelled_2d_BK.cpu().numpy(),
        "repeat": np.full(len(side), repeat, np.int32),
    }


def _collect(rows: _Rows, saved: Checkpoint, selection: Selection, seed: int) -> Predictions:
    truth = None
    if selection.augmented:
        truth = AugmentedTruth(
            keypoints_2d_crop=rows["truth_2d"].astype(np.float32),
            keypoints_3d_normalized=rows["truth_3d"].astype(np.float32),
            annotated_2d=rows["labelled"],
            repeat=rows["repeat"],
        )
    return Predictions(
        dataset=np.array(rows.dataset, np.str_),
        sample_id=np.array(rows.sample_id, np.str_),
        keypoints_2d={rule: rows[f"2d/{rule}"].astype(np.float32) for rule in _rules(saved)},
        crop_xyxy=rows["crop"].astype(np.float32),
        input_size=saved.config.model.size,
        keypoints_3d_normalized=rows["3d"].astype(np.float32),
        truth=truth,
        options={
            "checkpoint": str(saved.path),
            "recipe": saved.config.name,
            "model": saved.config.model.kind,
            "epoch": saved.position.epoch,
            "split": selection.split,
            "seed": seed,
            **({"limit": selection.limit} if selection.limit else {}),
        },
    )

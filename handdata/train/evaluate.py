"""Apply a checkpoint to whole shards: every sample once, in stored order, into predictions.h5 and results.json.

The network always sees batches of one size, the last one filled up, so that a sample's prediction has the same bits
whatever batch size the reading uses.

Shape letters: B batch, K keypoints, n side of the model's input.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handdata.errors import BusyError, HanddataError
from handdata.evaluation.absolute import ADULT, Size
from handdata.evaluation.predictions import (
    AugmentedTruth,
    Predictions,
    from_crop_fractions,
    predictions_of,
    read_predictions,
    write_predictions,
)
from handdata.evaluation.protocols import choose_protocols
from handdata.evaluation.results import Results, keep_other_kind, read_results, results_json
from handdata.evaluation.score import score_predictions
from handdata.evaluation.seen import RECORD, read_seen, seen_by
from handdata.files.whole import whole, write_text
from handdata.model.checkpoint import load_network
from handdata.model.device import choose_device
from handdata.model.families import family_of
from handdata.model.families.family import Reading
from handdata.model.fit import fit_pictures
from handdata.model.place import size_of
from handdata.model.released import hand_size_of, is_released, read_released, records_behind, released_names
from handdata.paths import find_root, run_named, shards_named
from handdata.progress import meter
from handdata.shards.concat import concat
from handdata.shards.dataset import Dataset, open_dataset
from handdata.skeleton import LEFT, RIGHT
from handdata.train import checkpoint
from handdata.train.augment.prepare import Inputs
from handdata.train.augment.views import make_views
from handdata.train.checkpoint import Checkpoint
from handdata.train.config import AugmentSetting, load_config
from handdata.train.forward import forward, rules
from handdata.train.loader.loaders import Batch, EvalLoader, Mixture
from handdata.train.mosaic import write_mosaic
from handdata.train.placing import Placing, in_view
from handdata.train.selection import Selection, refuse_same, say_left_out, select

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
    what: Path | str | Sequence[Mapping[str, Any]],
    shards: Sequence[Path | str | Dataset] | Path | str | Dataset,
    *,
    split: str | None = None,
    protocols: Sequence[str] | str | None = None,
    device: str = "auto",
    seed: int = 0,
    hand_size: float | str | None = None,
    fit: bool = False,
) -> Results:
    """Score a training run, or a file of predictions, on converted datasets, under every protocol.

    Args:
        what: name or folder of a run (its predictions.h5 and results.json are written there), the name of weights that
            come with the package (these go to runs/NAME), a .h5, .csv or .json file of predictions
            (docs/evaluation.md), or predictions in memory: a list of dicts with `sample_id`, `keypoints_2d` (21, 2) px
            of the picture as shipped, `keypoints_3d` (21, 3) mm or `keypoints_3d_normalized`, and `dataset` where
            several are scored.
        shards: names or folders of converted datasets, or one of them; or datasets as opened, whole or of one split.
        split: only this one; None takes, of a run, all but train where there is another, and of predictions every split
            that they are of.
        protocols: names, or one, whole or before the colon, as `handdata evaluate --protocol` takes them; None: all.
        device: of a run: "auto", "cpu", "cuda" or "cuda:N".
        seed: of the intervals.
        hand_size: of a run: mm from wrist to middle knuckle, "adult", or "trained": that of its training hands; poses
            are then placed in mm by each sample's own K, and absolute errors are scored.
        fit: of a run: fit a hand of 26 degrees of freedom to what it found; written beside what it found itself.

    Raises:
        HanddataError: no such run, file, shards, split or protocol, or no samples.
        TypeError: some of the hands of a dataset: whole splits are scored; or a seed that is no whole number.
        ValueError: no such hand size, or one for a file of predictions, or a fit of them.

    Example:
        >>> import handdata as hd
        >>> results = hd.evaluate(RUN, EXAMPLE, split="val", device="cpu")
        >>> [(one.dataset, one.split) for one in results.sets]
        [('rhd', 'val')]
    """
    seed = index(seed)
    chosen = {protocol.name for protocol in choose_protocols(protocols)}
    folders, split = _folders_of([shards] if isinstance(shards, Path | str | Dataset) else shards, split)
    path = run_named(what) if isinstance(what, Path | str) else None
    if path is None or path.suffix in PREDICTION_SUFFIXES:
        if hand_size is not None or fit:
            raise ValueError("hand_size and fit go with a run; predictions are scored as they are")
        splits, source = None if split is None else [split], str(path or "")
        given = read_predictions(path) if path else predictions_of(what)  # type: ignore[arg-type]
        seen = seen_by(given.options)
        return score_predictions(
            given, folders, splits=splits, protocols=protocols, seed=seed, source=source, seen=seen
        )
    run = path if path.is_dir() else find_root().runs / path if str(path) in released_names() else path
    placing = None if hand_size is None else Placing(size=size_of(hand_size, hand_size_of(run)))
    selection = Selection(folders=folders, split=split, held_out=True, placing=placing, fit=fit)
    results = evaluate_run(run, selection, device=device, seed=seed)[1]
    return replace(results, sets=tuple(one.only(chosen) for one in results.sets))


def _folders_of(shards: Sequence[Path | str | Dataset], split: str | None) -> tuple[list[Path], str | None]:
    """Return the folders, and the split, that names and datasets as opened stand for; errors as of `evaluate`."""
    opened = [data for data in shards if isinstance(data, Dataset)]
    if not opened:
        return [shards_named(name) for name in shards if not isinstance(name, Dataset)], split
    data = concat(shards)  # type: ignore[arg-type]  # which refuses names among them
    folders, parts = list(data.shards.folders), data.splits if len(data.splits) == 1 else ()
    if np.array_equal(data.rows if data.rows is not None else [], np.arange(data.shards.total)):
        for part in dict.fromkeys((split, None, *parts)):
            if sorted(data.shards.files) == sorted(
                file for one in folders for file in open_dataset(one, part).shards.files
            ):
                return folders, part or split
    raise TypeError("evaluate takes whole splits: names, folders, or datasets as opened, such as hd.open('rhd', 'val')")


def load_weights(run: Path) -> Checkpoint:
    """Read a run's best checkpoint; where there is no run, the weights of that name that come with the package.

    Raises:
        HanddataError: there is neither, or it is damaged.
    """
    if not is_released(run):
        return checkpoint.load(run)
    trained = read_released(run.name)
    config = replace(load_config(trained.recipe), model=trained.model)
    position = checkpoint.Position(epoch=trained.epoch)
    return Checkpoint(
        path=trained.path, config=config, position=position, weights=trained.weights, average=None, size=trained.size
    )


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
    One with a fit has files of its own too, predictions-fitted.h5 and results-fitted.json: before lies beside after.
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
    saved = load_weights(run)
    if is_released(run) and (records := records_behind(run)):
        run.mkdir(parents=True, exist_ok=True)
        write_text(run / RECORD, json.dumps({"trained": records}, indent=1) + "\n")
    selection = replace(selection, seen=read_seen(run))
    say_left_out(selection)
    target, ending = run / "results.json", "-augmented" if selection.augmented else ""
    if selection.fit:
        target, ending = run / "results-fitted.json", "-fitted"
    if selection.limit and (before := _results_before(target)) and not before.options.get("limit"):
        target, ending = target.with_name(f"{target.stem}-limited.json"), f"{ending}-limited"
    path = run / f"predictions{ending}.h5"
    with whole(target) as file:  # held from the start: a second evaluation of this run is refused at once
        before = _results_before(target)
        predictions = predict(saved, selection, device=device, batch=batch, seed=seed)
        write_predictions(path, predictions)
        with suppress(BusyError):  # another kind of evaluation of this run writes the same picture now
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
    """Return what an earlier evaluation left; None if nothing of it can be read."""
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
    refuse_same(mixtures, selection)
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
                readings = {rule: family.read(prediction, saved.config.model, rule) for rule in rules(saved)}
                found = {rule: reading.uv_BK2.double().cpu().numpy() for rule, reading in readings.items()}
                first = readings[rules(saved)[0]]
                ids = mixture.sample_ids(part.dataset, part.sample)
                if selection.augmented:
                    rows.add(ids, **_as_seen(inputs, found, first.xyz_BK3, size, repeat))
                else:
                    pose = in_view(first, inputs, size, depths=family.depths)
                    arrays = _as_shipped(part, inputs, found, pose, size)
                    if selection.fit:
                        arrays["3d"] = _fitted(part, arrays, rules(saved)[0], selection, saved.size or ADULT)
                    if selection.placing:
                        confidence = first.confidence_BK.double().cpu().numpy()
                        seen = arrays[f"2d/{rules(saved)[0]}"], arrays["3d"], confidence
                        arrays["mm"] = selection.placing.millimetres(part.labels, *seen)
                    rows.add(ids, **arrays, **_sides(network, saved, first, inputs))
                bar.advance()


def _fitted(part: Batch, arrays: dict[str, NDArray[Any]], rule: str, selection: Selection, size: Size) -> NDArray[Any]:
    """Return the (B, 21, 3) poses as a hand can take them, by each picture's camera or the one that is given."""
    placing = selection.placing or Placing(size=size)
    right = part.labels["hand_side"] == RIGHT
    return fit_pictures(
        arrays[f"2d/{rule}"], arrays["3d"], placing.cameras(part.labels), arrays["crop"], right, placing.size
    )


def _sides(network: nn.Module, saved: Checkpoint, shown: Reading, inputs: Inputs) -> dict[str, NDArray[np.int8]]:
    """Return the sides as `predict --hand auto` settles them; nothing where the family does not tell them apart."""
    if shown.right_B is None:
        return {}
    turned = forward(network, inputs.image_B3HW.flip(3), saved.config)
    reading = family_of(saved.config.model.kind).read(turned, saved.config.model, rules(saved)[0])
    return {"side": sides_of(shown, reading, inputs.mirrored_B)}


def sides_of(shown: Reading, turned: Reading, mirrored_B: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Return (B,) the side of each hand, whatever its label says: it is seen as a left one in the better of two ways.

    Args:
        shown: of the pictures as shown.
        turned: of the same pictures mirrored.
        mirrored_B: shown mirrored, as right hands are.
    """
    if shown.right_B is None or turned.right_B is None:
        raise ValueError("a family that does not tell sides apart")
    rights = np.stack([reading.cpu().numpy() for reading in (shown.right_B, turned.right_B)])
    plain, mirror = np.where(mirrored_B, rights[::-1], rights)
    return np.where(mirror < plain, RIGHT, LEFT).astype(np.int8)


def _as_shipped(
    part: Batch, inputs: Inputs, found: dict[str, NDArray[Any]], xyz: NDArray[np.float64], size: int
) -> dict[str, NDArray[Any]]:
    """Bring predictions back to source pixels and axes: undo crop and mirror."""
    back = np.linalg.inv(inputs.source_to_crop_B33)
    pixels = {
        f"2d/{rule}": (uv * size) @ back[:, :2, :2].transpose(0, 2, 1) + back[:, None, :2, 2]
        for rule, uv in found.items()
    }
    axes = xyz @ inputs.rotation_B33
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
        keypoints_2d={rule: rows[f"2d/{rule}"].astype(np.float32) for rule in rules(saved)},
        crop_xyxy=rows["crop"].astype(np.float32),
        input_size=saved.config.model.size,
        keypoints_3d_normalized=rows["3d"].astype(np.float32),
        keypoints_3d=rows["mm"].astype(np.float32) if selection.placing else None,
        hand_side=rows["side"] if "side" in rows.arrays else None,
        truth=truth,
        options={
            "checkpoint": str(saved.path),
            "recipe": saved.config.name,
            "model": saved.config.model.kind,
            "epoch": saved.position.epoch,
            "split": selection.split,
            "seed": seed,
            **({"limit": selection.limit} if selection.limit else {}),
            **({"fit": True} if selection.fit else {}),
            **(selection.placing.facts() if selection.placing else {}),
        },
    )

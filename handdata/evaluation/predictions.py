"""Predicted keypoints of many samples: our HDF5 file, and the CSV and JSON that other programs can write.

A prediction names its sample by dataset and sample_id and is stored in SOURCE pixels, camera millimetres and
normalised units, never mirrored, whatever the model saw; the truth stays in the shards. docs/evaluation.md has the
layouts. An augmented evaluation has a truth of its own, so its file carries it.
"""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, MissingError
from handdata.evaluation.predicted_values import FORM, OPTIONAL, SHAPES, Floats, fault, number_of, side_of, value_of
from handdata.files.opening import is_file
from handdata.files.text import (
    LARGE,
    as_object,
    kind_of,
    parse_json,
    read_bytes,
    read_csv,
    read_object,
)
from handdata.files.whole import write_bytes
from handdata.geometry import apply_affine, crop_affine
from handdata.shards.schema import SAMPLE_ID_BYTES
from handdata.skeleton import INDEX, NUM_KEYPOINTS

VERSION = "handdata-predictions/1"
BLOCK_BYTES = 512  # the smallest user block of HDF5
DEFAULT_INPUT_SIZE = 128
PALM = "palm_center"  # a keypoint of CSV files beside the 21
CSV_BOX = ("left", "top", "right", "bottom")
CSV_KEYS = ("sample_id", "keypoint")
CSV_COLUMNS = {
    "keypoints_2d": ("u", "v"),
    "keypoints_3d": ("x", "y", "z"),
    "keypoints_3d_normalized": ("nx", "ny", "nz"),
}
FOREIGN_READOUT = "given"  # the read-out name of predictions that other programs made


@dataclass(frozen=True, kw_only=True)
class AugmentedTruth:
    """What an augmented evaluation compares with: the labels after the same augmentation, in crop fractions."""

    keypoints_2d_crop: Floats  # (N, 21, 2)
    keypoints_3d_normalized: Floats  # (N, 21, 3)
    annotated_2d: NDArray[np.bool_]  # (N, 21)
    repeat: NDArray[np.int32]  # (N,) which of the repeats a row belongs to


@dataclass(frozen=True, kw_only=True)
class FoundHands:
    """Every hand that a program found, in its order: for average precision one of no label is a mistake."""

    beside: NDArray[np.str_]  # (M,) sample that it was taken for; of another one, a sample of its picture
    keypoints_2d: Floats  # (M, 21, 2) source px
    score: Floats  # (M,)


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Predictions of N samples, NaN where nothing was predicted.

    Attributes:
        dataset: (N,) names of the datasets; "" where the file names none and there is only one to score against.
        sample_id: (N,) as in the shards.
        keypoints_2d: read-out -> (N, 21, 2) source px, (0, 0) the centre of the top-left pixel; the first is the one
            that its maker recommends.
        crop_xyxy: (N, 4) the square that was shown to the model, source px; NaN if unknown.
        input_size: side n of the model's input, px; crop fractions are u = x_n / n (docs/method.md, Conventions).
        keypoints_3d_normalized: (N, 21, 3), the middle MCP at the origin, the wrist at about 1.
        keypoints_3d: (N, 21, 3) mm, camera frame.
        palm_center_3d: (N, 3) mm, camera frame.
        bbox_xyxy: (N, 4) hand boxes, source px.
        hand_side: (N,) 0 left, 1 right, -1 not said.
        score: (N,) how certain its maker is of each, more is more; for average precision.
        found: all hands that a program found in the pictures, those of no sample too; None where nobody says.
        truth: labels of an augmented evaluation; None otherwise.
        options: what made them: run, checkpoint, recipe, device, seed, command.
    """

    dataset: NDArray[np.str_]
    sample_id: NDArray[np.str_]
    keypoints_2d: dict[str, Floats]
    crop_xyxy: Floats
    input_size: int = DEFAULT_INPUT_SIZE
    keypoints_3d_normalized: Floats | None = None
    keypoints_3d: Floats | None = None
    palm_center_3d: Floats | None = None
    bbox_xyxy: Floats | None = None
    hand_side: NDArray[np.int8] | None = None
    score: Floats | None = None
    found: FoundHands | None = None
    truth: AugmentedTruth | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sample_id)

    def crop_fractions(self, readout: str) -> NDArray[np.float64]:
        """Return (N, 21, 2) fractions of the crop of one read-out."""
        return to_crop_fractions(self.keypoints_2d[readout], self.crop_xyxy, self.input_size)


def to_crop_fractions(keypoints_2d: NDArray[Any], crop_xyxy: NDArray[Any], input_size: int) -> NDArray[np.float64]:
    """Map (N, 21, 2) source pixels to fractions of (N, 4) crops: u = x_n / n with x_n the pixel in the n x n crop."""
    return apply_affine(crop_affine(crop_xyxy, input_size), keypoints_2d) / input_size


def from_crop_fractions(fractions: NDArray[Any], crop_xyxy: NDArray[Any], input_size: int) -> NDArray[np.float64]:
    """Map (N, 21, 2) crop fractions to source pixels: the inverse of `to_crop_fractions`."""
    left_top, side = crop_xyxy[:, None, :2], (crop_xyxy[:, 2] - crop_xyxy[:, 0])[:, None, None]
    pixels: NDArray[np.float64] = (np.asarray(fractions, np.float64) + 0.5 / input_size) * side + left_top - 0.5
    return pixels


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions.h5, whole or not at all; the same bytes for the same predictions.

    HDF5 makes the file in memory, 2 kB a sample: on a full disk it loses rows without a word, or crashes.

    Raises:
        ValueError: arrays that do not fit each other, or no samples.
        BusyError, WriteError: it cannot be written, see `whole`.
    """
    _check(predictions)
    names, index = np.unique(predictions.dataset, return_inverse=True)
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        file.attrs["input_size"] = predictions.input_size
        texts = {
            "schema": VERSION,
            "readouts": json.dumps(list(predictions.keypoints_2d)),
            "options": json.dumps(dict(predictions.options), sort_keys=True),
        }
        for name, text in texts.items():  # of fixed length: texts of any length lie where damage hangs HDF5
            file.attrs[name] = np.bytes_(text)
        file["datasets"] = np.array([str(name).encode() for name in names])
        file["dataset"] = index.astype(np.uint8)
        file["sample_id"] = np.array([str(name).encode() for name in predictions.sample_id], f"S{SAMPLE_ID_BYTES}")
        file["crop_xyxy"] = predictions.crop_xyxy.astype(np.float32)
        for readout in predictions.keypoints_2d:
            file[f"keypoints_2d/{readout}"] = predictions.keypoints_2d[readout].astype(np.float32)
            file[f"keypoints_2d_crop/{readout}"] = predictions.crop_fractions(readout).astype(np.float32)
        for name, (_, kind) in OPTIONAL.items():
            if getattr(predictions, name) is not None:
                file[name] = getattr(predictions, name).astype(kind)
        if predictions.truth is not None:
            for name in AugmentedTruth.__dataclass_fields__:
                file[f"truth/{name}"] = getattr(predictions.truth, name)
        file.flush()
        content = file.id.get_file_image()
    write_bytes(path, _block(content) + content)


def _block(content: bytes) -> bytes:
    """Return what stands before HDF5's own bytes, its "user block": what the file is, and the hash of the rest."""
    return f"{VERSION} sha256 {hashlib.sha256(content).hexdigest()}\n".encode().ljust(BLOCK_BYTES, b"\0")


def read_predictions(path: Path) -> Predictions:
    """Read predictions from .h5, .csv or .json, told apart by the suffix.

    Raises:
        MissingError: no such file.
        DataError: another suffix, or a file that is not laid out as docs/evaluation.md says.
    """
    readers = {".h5": _read_h5, ".csv": _read_csv, ".json": _read_json}
    if path.suffix not in readers:
        raise DataError(path, expected="a .h5, .csv or .json file", got=path.suffix or "no suffix", fix="Rename it.")
    if not is_file(path, "predictions"):
        raise MissingError(path, expected="predictions", got="no file", fix="Run `handdata evaluate RUN` first.")
    predictions = readers[path.suffix](path)
    try:
        _check(predictions)
    except ValueError as error:
        raise fault(path, "arrays that fit each other", str(error)) from error
    if predictions.input_size < 1:
        raise fault(f"{path}[input_size]", "at least 1", str(predictions.input_size))
    return predictions


def _check(predictions: Predictions) -> None:
    count = len(predictions)
    shapes = {
        "dataset": (predictions.dataset, (count,)),
        "crop_xyxy": (predictions.crop_xyxy, (count, 4)),
        **{f"keypoints_2d/{n}": (a, (count, NUM_KEYPOINTS, 2)) for n, a in predictions.keypoints_2d.items()},
    }
    for name, (shape, _) in OPTIONAL.items():
        if getattr(predictions, name) is not None:
            shapes[name] = (getattr(predictions, name), (count, *shape))
    wrong = [f"{name} {array.shape}" for name, (array, shape) in shapes.items() if array.shape != shape]
    if wrong or not count:
        raise ValueError(f"{count} samples but {', '.join(wrong)}" if count else "no samples")
    keys = list(zip(predictions.dataset, predictions.sample_id, *_repeats(predictions), strict=True))
    if len(set(keys)) != len(keys):
        twice = next(key for key, times in Counter(keys).items() if times > 1)
        raise ValueError(f"sample {twice[1]} is predicted twice")


def _repeats(predictions: Predictions) -> list[NDArray[np.int32]]:
    return [] if predictions.truth is None else [predictions.truth.repeat]


def _read_h5(path: Path) -> Predictions:
    """Read our own file; HDF5, which a damaged file can hang or crash, sees it only if its hash fits."""
    data = read_bytes(path, FORM)
    block, content = data[:BLOCK_BYTES], data[BLOCK_BYTES:]
    if block != _block(content):
        older = data.startswith(b"\x89HDF")
        got = "one of an older handdata, without a hash" if older else "a damaged file: its hash is another"
        raise DataError(path, expected=f"a file of {VERSION}", got=got, fix="Run `handdata evaluate RUN` again.")
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            return _from_h5(file, path)
    except DataError:
        raise
    except Exception as error:  # HDF5 and NumPy have many ways to say that a file of this hash is nonsense
        raise fault(path, f"the arrays of {VERSION}", f"{type(error).__name__} {error}") from error


def _from_h5(file: h5py.File, path: Path) -> Predictions:
    def array(name: str) -> NDArray[Any]:
        found = file[name]
        if found.chunks is not None or found.nbytes > LARGE:
            raise fault(path, "contiguous arrays", f"{name} in chunks, or of {found.nbytes} bytes")
        return np.asarray(found[:])

    def attribute(name: str) -> str:
        return bytes(file.attrs[name]).decode()

    if attribute("schema") != VERSION:
        raise fault(path, f"schema {VERSION}", attribute("schema"))
    readouts = parse_json(attribute("readouts"), f"{path}[readouts]", FORM)
    names = np.array([name.decode() for name in array("datasets")])
    optional = {name: array(name) for name in OPTIONAL if name in file}
    truth = {name: array(f"truth/{name}") for name in file["truth"]} if "truth" in file else None
    return Predictions(
        dataset=names[array("dataset")],
        sample_id=np.char.decode(array("sample_id"), "ascii"),
        keypoints_2d={str(name): array(f"keypoints_2d/{name}") for name in readouts},
        crop_xyxy=array("crop_xyxy"),
        input_size=int(file.attrs["input_size"]),
        found=None,
        truth=AugmentedTruth(**truth) if truth else None,
        options=as_object(parse_json(attribute("options"), path, FORM), f"{path}[options]", FORM),
        **optional,
    )


def _read_csv(path: Path) -> Predictions:
    """Read one row per keypoint: sample_id, keypoint, then u,v and/or x,y,z and/or nx,ny,nz; dataset if more than one.

    The keypoint palm_center has x,y,z alone. hand_side and left,top,right,bottom (the hand box) are a sample's: any of
    its rows may hold them.
    """
    lines = read_csv(path, FORM)
    _, columns = next(lines, (1, []))
    given = {name: keys for name, keys in CSV_COLUMNS.items() if set(keys) <= set(columns)}
    if not set(CSV_KEYS) <= set(columns) or not given or len(set(columns)) < len(columns):
        expected = "columns sample_id, keypoint and u, v (or x, y, z, or nx, ny, nz), each once"
        raise fault(f"{path}:1", expected, ", ".join(columns) or "nothing")
    samples: dict[tuple[str, str], dict[str, Floats]] = {}
    seen: set[tuple[str, str, str]] = set()
    for line, cells in lines:
        where = f"{path}:{line}"
        if len(cells) != len(columns):
            raise fault(where, f"{len(columns)} cells", str(len(cells)))
        row = dict(zip(columns, cells, strict=True))
        key, keypoint = (row.get("dataset", ""), row["sample_id"]), row["keypoint"]
        if (*key, keypoint) in seen:
            raise fault(where, "each keypoint of a sample once", f"{keypoint} of {key[1]} again")
        seen.add((*key, keypoint))
        _take_row(samples.setdefault(key, _empty(given)), row, given, where)
    return _collected(samples, {})


def _take_row(entry: dict[str, Floats], row: Mapping[str, str], given: Mapping[str, Sequence[str]], where: str) -> None:
    """Put one row of a CSV file into its sample's arrays."""
    keypoint = str(row["keypoint"])
    if keypoint == PALM and "keypoints_3d" in given:
        entry["palm_center_3d"] = np.array([number_of(row[key], where) for key in CSV_COLUMNS["keypoints_3d"]])
    elif keypoint not in INDEX:
        raise fault(where, "a keypoint such as index_tip", keypoint)
    else:
        for name, keys in given.items():
            entry[name][INDEX[keypoint]] = [number_of(row[key], where) for key in keys]
    if row.get("hand_side"):
        entry["hand_side"] = side_of(row["hand_side"], where)
    if all(row.get(key) for key in CSV_BOX):
        entry["bbox_xyxy"] = np.array([number_of(row[key], where) for key in CSV_BOX])
    if row.get("score"):
        entry["score"] = np.array(number_of(row["score"], where))


def _read_json(path: Path) -> Predictions:
    """Read {"schema": VERSION, "samples": [{"dataset", "sample_id", "keypoints_2d": 21 x [u, v], ...}]}."""
    content = read_object(path, FORM, finite=False)
    if content.get("schema") != VERSION:
        raise fault(path, f"schema {VERSION}", str(content.get("schema", "none")))
    listed = content.get("samples")
    if not isinstance(listed, list):
        raise fault(f"{path}[samples]", "a list of samples", kind_of(listed))
    options = as_object(content.get("options", {}), f"{path}[options]", FORM)
    return _listed(listed, f"{path}[samples]", options)


def predictions_of(samples: Sequence[Mapping[str, Any]]) -> Predictions:
    """Return predictions that are in memory: the samples of docs/evaluation.md's JSON, arrays in place of lists.

    Args:
        samples: of each, `sample_id`, `keypoints_2d` (21, 2) in px of the picture as shipped, `keypoints_3d` (21, 3) mm
            or `keypoints_3d_normalized`, NaN where nothing is predicted; `dataset` where several are scored.

    Raises:
        DataError: one of them is no such sample.
    """
    predictions = _listed(samples, "predictions", {})
    try:
        _check(predictions)
    except ValueError as error:
        raise fault("predictions", "arrays that fit each other", str(error)) from error
    return predictions


def _listed(listed: Sequence[Any], whole: str, options: Mapping[str, Any]) -> Predictions:
    """Take samples from JSON, or from memory."""
    samples: dict[tuple[str, str], dict[str, Floats]] = {}
    for position, entry in enumerate(listed):
        where = f"{whole}[{position}]"
        sample = as_object(entry, where, FORM)
        given = [name for name in SHAPES if sample.get(name) is not None]
        if not isinstance(sample.get("sample_id"), str) or not set(CSV_COLUMNS) & set(given):
            raise fault(where, "sample_id and keypoints_2d, keypoints_3d or keypoints_3d_normalized", str(list(sample)))
        key = (str(sample.get("dataset", "")), sample["sample_id"])
        if key in samples:
            raise fault(where, "each sample once", f"{key[1]} twice")
        samples[key] = {name: value_of(sample[name], name, f"{where}[{name}]") for name in given}
    return _collected(samples, options)


def _empty(given: Mapping[str, Sequence[str]]) -> dict[str, Floats]:
    return {name: np.full(SHAPES[name], np.nan) for name in given}


def _collected(samples: Mapping[tuple[str, str], Mapping[str, Floats]], options: Mapping[str, Any]) -> Predictions:
    def stack(name: str) -> Floats | None:
        missing = np.full(SHAPES[name], -1 if name == "hand_side" else np.nan)
        present = any(name in sample for sample in samples.values())
        return np.stack([sample.get(name, missing) for sample in samples.values()]) if present else None

    pixels, sides = stack("keypoints_2d"), stack("hand_side")
    return Predictions(
        dataset=np.array([dataset for dataset, _ in samples], np.str_),
        sample_id=np.array([sample_id for _, sample_id in samples], np.str_),
        keypoints_2d={} if pixels is None else {FOREIGN_READOUT: pixels},
        crop_xyxy=np.full((len(samples), 4), np.nan, np.float32),
        keypoints_3d_normalized=stack("keypoints_3d_normalized"),
        keypoints_3d=stack("keypoints_3d"),
        palm_center_3d=stack("palm_center_3d"),
        bbox_xyxy=stack("bbox_xyxy"),
        hand_side=None if sides is None else sides.astype(np.int8),
        score=stack("score"),
        options=options,
    )

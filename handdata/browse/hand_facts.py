"""All that the page shows of one hand, as plain data: labels, poses, where it is from. No HTTP, no drawing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from handdata.browse.columns import flag_words
from handdata.files.text import Wanted, parse_json
from handdata.geometry import apply_affine
from handdata.shards.dataset import Dataset
from handdata.shards.hand import Hand
from handdata.skeleton import KEYPOINTS, ROOT

if TYPE_CHECKING:
    from handdata.browse.runs import RunErrors

USUAL_MM = 80.0  # from wrist to middle MCP of a grown-up's hand
_OPTIONS = Wanted(what="options of a conversion")
_VISIBLE = {1: "visible", 0: "hidden", -1: "not known"}


def facts_of(data: Dataset, number: int, runs: "Sequence[RunErrors]" = ()) -> dict[str, Any]:
    """Describe one hand.

    Args:
        data: the dataset.
        number: of the hand in it.
        runs: whose predictions of it are shown beside its labels.

    Returns:
        points and boxes in pixels of the canvas, poses normalised; what is not known is None.
    """
    hand = data[number]
    return {
        "number": number,
        "id": hand.id,
        "canvas": hand.size[0],
        "points": _listed(hand.keypoints_2d),
        "visible": hand.visible.tolist(),
        "box": _listed(hand.box),
        "crop": _listed(hand.crop_box),
        "pose": _listed(_drawn_pose(hand)),
        "has_mask": hand.mask is not None or hand.foreground is not None,
        "labels": _labels(hand),
        "facts": _facts(hand),
        "provenance": _provenance(data, number, hand),
        "runs": [_run(run, number, hand) for run in runs],
    }


def _drawn_pose(hand: Hand) -> NDArray[np.float64]:
    """Return the (21, 3) pose to draw: normalised; of a hand without a wrist as if it were of the usual size."""
    pose, xyz = np.asarray(hand.keypoints_3d_normalized, np.float64), np.asarray(hand.keypoints_3d, np.float64)
    if np.isfinite(pose).any() or not np.isfinite(xyz).any():
        return pose
    root = xyz[ROOT] if np.isfinite(xyz[ROOT]).all() else np.nanmean(xyz, axis=0)
    return np.asarray((xyz - root) / USUAL_MM)


def _labels(hand: Hand) -> list[dict[str, Any]]:
    """Return one row per keypoint, in pixels of the picture as shipped."""
    shipped = hand.source
    return [
        {
            "name": name.replace("_", " "),
            "uv": _listed(shipped.keypoints_2d[k], 1),
            "xyz": _listed(shipped.keypoints_3d[k], 1),
            "visible": _VISIBLE[int(hand.visible[k])],
            "in_frame": bool(hand.in_frame[k]),
        }
        for k, name in enumerate(KEYPOINTS)
    ]


def _facts(hand: Hand) -> dict[str, str]:
    width, height = hand.source.size
    holds = {True: "with", False: "without", None: "not known"}[hand.has_object]
    facts = {
        "Split": hand.split,
        "Sequence": hand.sequence,
        "Camera": hand.camera,
        "Frame": str(hand.frame),
        "Side": hand.side,
        "Object": holds,
        "Flags": ", ".join(flag_words(int(hand.flags))) or "none",
        "2D labels": f"{int(hand.annotated_2d.sum())} of 21",
        "3D labels": f"{int(hand.annotated_3d.sum())} of 21",
        "Box": f"by {hand.box_source.name.lower()}" if np.isfinite(hand.box).all() else "none",
        "Scale": f"{hand.scale_mm:.1f} mm" if np.isfinite(hand.scale_mm) else "not known",
        "Picture": f"{width} x {height} px",
        "Focal length": f"{hand.source.K[0, 0]:.1f} px" if np.isfinite(hand.source.K[0, 0]) else "not known",
    }
    return {name: value for name, value in facts.items() if value}


def _provenance(data: Dataset, number: int, hand: Hand) -> dict[str, str]:
    shard, row = (int(place[0]) for place in data.locate(np.array([number])))
    reader = data.shards.reader(shard)
    attributes = reader.attributes
    options = parse_json(str(attributes.get("options") or "{}"), f"{reader.path}[options]", _OPTIONS)
    readings = options.get("readings", {}) if isinstance(options, dict) else {}
    rows = {
        "Dataset": hand.dataset,
        "Whose hands": hand.origin or "not recorded",
        "Shard": f"{reader.path.parent.name}/{reader.path.name}, row {row}",
        "Row hash": f"{int(reader.view('row_hash')[row]):016x}",
        "Converted by": f"handdata {attributes.get('handdata_version', '')}".strip(),
        "Crop": str(options.get("crop_rule", "")),
        "Visibility": str(attributes.get("visibility_rule", "")),
        **{str(name).replace("_", " ").capitalize(): str(value) for name, value in dict(readings).items()},
    }
    return {name: value for name, value in rows.items() if value}


def _run(run: "RunErrors", number: int, hand: Hand) -> dict[str, Any]:
    pixels, pose = run.predicted(number)
    return {
        "name": run.name,
        "points": _listed(apply_affine(hand.source_to_image, pixels)),
        "pose": _listed(pose),
        "errors": {what: _listed(values[number], 4) for what, values in run.errors.items()},
    }


def _listed(values: Any, digits: int = 3) -> Any:
    """Return numbers as nested lists, rounded; what is not finite is None."""
    array: NDArray[Any] = np.asarray(np.round(np.asarray(values, np.float64), digits))
    listed = array.astype(object)
    listed[~np.isfinite(array)] = None
    return listed.tolist()

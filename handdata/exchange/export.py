"""Shards to other programs' formats: COCO keypoints, WebDataset, CVAT for images. Canvases and labels in their pixels.

Formats: https://cocodataset.org/#format-data, https://github.com/webdataset/webdataset (POSIX tar, files of one sample
side by side under one key), https://docs.cvat.ai/docs/manual/advanced/xml_format/ (skeletons).
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.errors import ConfigError, MissingError
from handdata.files.locks import alone
from handdata.files.whole import sync_all, whole, write_bytes
from handdata.geometry import apply_affine, crop_intrinsics, xyxy_to_xywh
from handdata.progress import track
from handdata.shards.dataset import Dataset
from handdata.skeleton import BONES, HAND_SIDES, KEYPOINTS

FORMATS = ("coco", "webdataset", "cvat")
PICTURES = {"png": [cv2.IMWRITE_PNG_COMPRESSION, 3], "jpg": [cv2.IMWRITE_JPEG_QUALITY, 95]}
SAMPLES_PER_TAR = 1000
NOT_LABELLED, LABELLED, VISIBLE = 0, 1, 2  # of a keypoint in COCO
_FIELDS = (
    "keypoints_2d", "keypoints_3d", "keypoints_3d_normalized", "visible", "K", "source_to_canvas", "bbox_xyxy",
    "hand_side", "has_object", "sample_id", "flags", "image_size", "frame",
)  # fmt: skip
_PIXELS = "pixels of the exported picture, (0, 0) the centre of its first pixel"


def export(dataset: Dataset, out: Path, kind: str, *, picture: str = "png", limit: int | None = None) -> int:
    """Write a dataset's canvases and labels in another format.

    Args:
        dataset: as opened; its splits are kept apart.
        out: a folder; files of the same names in it are replaced.
        kind: one of FORMATS.
        picture: "png" (exact) or "jpg".
        limit: samples of each split, from the first.

    Returns:
        the number of samples written.

    Raises:
        ConfigError: no such format.
        BusyError: somebody else exports to `out`.
        WriteError: `out` cannot be written to.
        MissingError: the dataset has no samples.
    """
    writers: dict[str, Callable[[Dataset, list[int], str, Path, str], None]] = {
        "coco": _write_coco,
        "webdataset": _write_webdataset,
        "cvat": _write_cvat,
    }
    if kind not in writers or picture not in PICTURES:
        raise ConfigError("--format", expected=f"one of {', '.join(FORMATS)}", got=f"{kind} with {picture}")
    if not dataset.shard_paths:
        raise MissingError(dataset.folder, expected="samples", got="none", fix="Convert that dataset again.")
    splits = np.concatenate([np.full(len(r), str(r.attributes["split"])) for r in dataset.readers])
    written = 0
    with alone(out, "export"):
        for split in sorted(set(splits.tolist())):
            samples = [int(i) for i in np.flatnonzero(splits == split)[:limit]]
            writers[kind](dataset, samples, split, out, picture)
            written += len(samples)
    return written


# ------------------------------------------------------------------------------------------------ samples


def describe(dataset: Dataset, sample: int) -> dict[str, Any]:
    """Return one sample's labels as plain data in canvas pixels and mm; None where the dataset gives nothing."""
    shard, row = dataset.locate(sample)
    reader = dataset.reader(shard)
    label = {name: reader[name][row] for name in _FIELDS}
    A = label["source_to_canvas"]
    uv = apply_affine(A, label["keypoints_2d"])
    box = apply_affine(A, label["bbox_xyxy"].reshape(2, 2) - 0.5) + 0.5  # edges lie half a pixel beyond centres
    normalized, K = label["keypoints_3d_normalized"], crop_intrinsics(label["K"], A)
    return {
        "sample_id": label["sample_id"].decode(),
        "sequence": reader.sequences[int(reader["sequence"][row])],
        "camera": reader.cameras[int(reader["camera"][row])],
        "frame": int(label["frame"]),
        "hand_side": HAND_SIDES[int(label["hand_side"])],
        "has_object": {1: True, 0: False}.get(int(label["has_object"])),
        "keypoints_2d": _plain(uv),
        "keypoints_3d": _plain(label["keypoints_3d"]),
        "keypoints_3d_normalized": _plain(normalized),
        "visible": [int(v) for v in label["visible"]],
        "K": _plain(K),
        "bbox_xyxy": _plain(box.ravel()),
        "source_to_canvas": _plain(A),
        "source_size": [int(side) for side in label["image_size"]],
        "flags": int(label["flags"]),
    }


def _plain(values: NDArray[Any]) -> Any:
    """Return nested lists; None in place of a row that is not known."""
    if values.ndim == 1:
        return [float(v) for v in values] if np.isfinite(values).all() else None
    rows = [_plain(row) for row in values]
    return None if all(row is None for row in rows) else rows


def key_of(described: dict[str, Any]) -> str:
    """Return a file name for a sample: its id without separators; another id has another name."""
    name = str(described["sample_id"])
    key = name.replace("/", "__").replace(".", "-")
    if key.replace("__", "/").replace("-", ".") == name:
        return key
    return f"{key}~{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def _encoded(dataset: Dataset, sample: int, picture: str) -> bytes:
    ok, data = cv2.imencode(f".{picture}", dataset.image(sample)[..., ::-1], PICTURES[picture])
    if not ok:
        raise ValueError(f"a canvas cannot be encoded as {picture}")
    return data.tobytes()


def _write_pictures(dataset: Dataset, samples: list[int], split: str, out: Path, picture: str) -> None:
    folder = out / "images" / split
    for sample in track(samples, f"pictures of {split}", len(samples)):
        name = f"{key_of(describe(dataset, sample))}.{picture}"
        write_bytes(folder / name, _encoded(dataset, sample, picture), sync=False)
    sync_all()  # before the labels that name them


# ------------------------------------------------------------------------------------------------ COCO


def _write_coco(dataset: Dataset, samples: list[int], split: str, out: Path, picture: str) -> None:
    """Write images/<split>/ and annotations/<split>.json, one sample at a time."""
    _write_pictures(dataset, samples, split, out, picture)
    side = dataset.reader(0).images.shape[1]
    head = {
        "info": {"description": f"{dataset.name} {split}", "pixels": _PIXELS, "keypoints_3d": "mm, camera frame"},
        "licenses": [],
        "categories": [coco_category()],
    }
    with whole(out / "annotations" / f"{split}.json") as file:
        file.write((json.dumps(head)[:-1] + ',\n"images": [\n').encode())
        for number, sample in enumerate(samples):
            name = f"{split}/{key_of(describe(dataset, sample))}.{picture}"
            entry = {"id": number + 1, "file_name": name, "width": side, "height": side}
            file.write((",\n" if number else "").encode() + json.dumps(entry).encode())
        file.write(b'\n],\n"annotations": [\n')
        for number, sample in enumerate(samples):
            entry = coco_annotation(describe(dataset, sample), number + 1, side)
            file.write((",\n" if number else "").encode() + json.dumps(entry).encode())
        file.write(b"\n]}\n")


def coco_category() -> dict[str, Any]:
    """Return the one category: a hand with its 21 keypoints and 20 bones (COCO counts keypoints from 1)."""
    return {
        "id": 1,
        "name": "hand",
        "supercategory": "person",
        "keypoints": list(KEYPOINTS),
        "skeleton": [[a + 1, b + 1] for a, b in BONES],
    }


def coco_annotation(described: dict[str, Any], number: int, side: int) -> dict[str, Any]:
    """Return a sample as a COCO annotation: keypoints as (u, v, flag), and our own fields beside.

    The flag is 2 for a visible keypoint or where the dataset does not say, 1 for a hidden one or one outside the
    picture, 0 for one that is not labelled. The box is the dataset's, else that of the labelled keypoints.
    """
    uv = described["keypoints_2d"] or [None] * len(KEYPOINTS)
    keypoints: list[float] = []
    for point, visible in zip(uv, described["visible"], strict=True):
        if point is None:
            keypoints += [0, 0, NOT_LABELLED]
            continue
        inside = all(-0.5 <= c < side - 0.5 for c in point)
        keypoints += [*point, VISIBLE if visible != 0 and inside else LABELLED]
    known = np.array([point for point in uv if point is not None]).reshape(-1, 2)
    box = described["bbox_xyxy"]
    if box is None:
        box = [*(known.min(0) + 0.5), *(known.max(0) + 0.5)] if len(known) else [0.0, 0.0, float(side), float(side)]
    left, top, width, height = xyxy_to_xywh(box).tolist()
    own = {k: described[k] for k in ("sample_id", "hand_side", "has_object", "keypoints_3d", "K", "flags")}
    return {
        "id": number,
        "image_id": number,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": len(known),
        "keypoints": keypoints,
        "bbox": [left, top, width, height],
        "area": width * height,
        **own,
    }


# ------------------------------------------------------------------------------------------------ WebDataset


def _write_webdataset(dataset: Dataset, samples: list[int], split: str, out: Path, picture: str) -> None:
    """Write <split>-000000.tar ...: a picture and a JSON a sample; the same bytes for the same shards."""
    for number, start in enumerate(range(0, len(samples), SAMPLES_PER_TAR)):
        part = samples[start : start + SAMPLES_PER_TAR]
        name = f"{split}-{number:06d}.tar"
        with whole(out / name) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for sample in track(part, name, len(part)):
                described = describe(dataset, sample)
                key = key_of(described)
                _add(tar, f"{key}.{picture}", _encoded(dataset, sample, picture))
                _add(tar, f"{key}.json", json.dumps(described).encode())


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # time, owner and mode are constants
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


# ------------------------------------------------------------------------------------------------ CVAT


def _write_cvat(dataset: Dataset, samples: list[int], split: str, out: Path, picture: str) -> None:
    """Write images/<split>/ and <split>.xml, CVAT for images 1.1 with one skeleton a picture."""
    _write_pictures(dataset, samples, split, out, picture)
    side = dataset.reader(0).images.shape[1]
    with whole(out / f"{split}.xml") as file:
        file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        for number, sample in enumerate(samples):
            described = describe(dataset, sample)
            name = f"{split}/{key_of(described)}.{picture}"
            file.write(cvat_image(described, number, name, side).encode())
        file.write(b"</annotations>\n")


def cvat_image(described: dict[str, Any], number: int, name: str, side: int) -> str:
    """Return a sample as CVAT's <image>; CVAT counts positions from the picture's edge: a pixel u lies at u + 0.5."""
    uv = described["keypoints_2d"] or [None] * len(KEYPOINTS)
    lines = [f'  <image id="{number}" name={quoteattr(name)} width="{side}" height="{side}">']
    lines.append(f'    <skeleton label="{described["hand_side"]}_hand" source="file" z_order="0">')
    for keypoint, point, visible in zip(KEYPOINTS, uv, described["visible"], strict=True):
        place = "0.00,0.00" if point is None else ",".join(f"{c + 0.5:.2f}" for c in point)
        flags = f'outside="{int(point is None)}" occluded="{int(visible == 0)}"'
        lines.append(f'      <points label="{keypoint}" {flags} source="file" points="{place}"></points>')
    lines += ["    </skeleton>", "  </image>", ""]
    return "\n".join(lines)

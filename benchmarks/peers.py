"""The same made pictures in every layout, and a reader of each that delivers batches of uint8 to this process.

Every reader is an endless iterator over batches (B, S, S, 3) uint8 in random order, kept open between measurements.
"""

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from handdata.geometry import crop_affine
from handdata.pictures.crops import centered_square
from handdata.shards.backgrounds import paint_tiles
from handdata.shards.dataset import open_dataset
from handdata.shards.reader import write_index
from handdata.shards.schema import VERSION, Sample, label_row
from handdata.shards.writer import ShardWriter
from handdata.train.loader.loaders import Loader, open_mixture

JPEG_QUALITY = 95
DISTINCT = 64  # painted pictures; the rest are rolled copies
ROWS = 2048  # of one shard


def photos(count: int, side: int, seed: int = 0) -> Iterator[NDArray[np.uint8]]:
    """Yield photo-like pictures, (side, side, 3)."""
    painted = paint_tiles(seed, DISTINCT, side)
    for i in range(count):
        yield np.roll(painted[i % DISTINCT], (7 * (i // DISTINCT), 13 * (i // DISTINCT)), (0, 1))


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """Encode at quality 95, 4:4:4."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    return cv2.imencode(".jpg", image[..., ::-1], flags)[1].tobytes()


def made_labels(rng: np.random.Generator) -> dict[str, Any]:
    """Labels of one made sample in a 640 x 480 picture."""
    xyz = rng.normal(0, 40, (21, 3)) + np.array([0, 0, 450])
    K = np.array([[617.0, 0, 315.5], [0, 617.0, 242.3], [0, 0, 1]])
    uv = (xyz @ K.T)[:, :2] / xyz[:, 2:]
    image = np.zeros((480, 640, 3), np.uint8)
    sample = Sample(id="made", image=image, hand_side=0, keypoints_2d=uv, keypoints_3d=xyz, K=K)
    return label_row(sample) | {"sequence": 0, "camera": 0, "frame": 0}


def write_all(folder: Path, count: int, side: int, *, files: bool = True) -> dict[str, Path]:
    """Write every layout once; kept if complete. Returns layout -> path."""
    paths = {
        name: folder / name
        for name in ("shards", "npy", "lmdb_raw", "lmdb_jpeg", "wds", "hf", "jpeg_files", "png_files")
    }
    stamp = folder / "complete.json"
    made = {"count": count, "side": side}
    if stamp.is_file() and json.loads(stamp.read_text()) == made:
        return paths
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_shards(paths["shards"], count, side)
    _write_arrays(paths["npy"], count, side)
    _write_lmdb(paths["lmdb_raw"], count, side, lambda image: image.tobytes())
    _write_lmdb(paths["lmdb_jpeg"], count, side, jpeg)
    _write_webdataset(paths["wds"], count, side)
    _write_huggingface(paths["hf"], count, side)
    if files:
        for kind in ("jpeg", "png"):
            target = paths[f"{kind}_files"]
            target.mkdir()
            for i, image in enumerate(photos(count, side)):
                data = jpeg(image) if kind == "jpeg" else cv2.imencode(".png", image[..., ::-1])[1].tobytes()
                (target / f"{i:06d}.{kind}").write_bytes(data)
    stamp.write_text(json.dumps(made))
    return paths


def write_shards(folder: Path, count: int, side: int, rows: int = ROWS, *, foreground: bool = False) -> None:
    """Write the pictures as canvases of a dataset called synthhands."""
    rng, entries = np.random.default_rng(0), []
    images = photos(count, side)
    window = centered_square(640, 480) * 1.5 - np.array([160, 120, 160, 120])
    for number in range(-(-count // rows)):
        size = min(rows, count - number * rows)
        path = folder / f"train-{number:05d}.h5"
        facts = {"dataset": "synthhands", "split": "train", "canvas_scale": 1.5, "options": "{}"}
        optional = ("foreground",) if foreground else ()
        with ShardWriter(
            path, size, canvas=side, attributes=facts, sequences=["s"], cameras=["c"], optional=optional
        ) as shard:
            for i in range(size):
                row = made_labels(rng) | {
                    "image": next(images),
                    "source_to_canvas": crop_affine(window, side),
                    "crop_xyxy": centered_square(640, 480),
                    "sample_id": f"{number}/{i}".encode(),
                }
                if foreground:
                    row["foreground"] = np.packbits(made_mask(rng, side), axis=1)
                shard.append(row)
        entries.append(shard.entry())
    write_entries(folder, entries)


def write_entries(folder: Path, entries: list[dict[str, Any]]) -> None:
    """Write the index of the shards made here."""
    samples = sum(entry["num_samples"] for entry in entries)
    splits = {"train": {"num_samples": samples, "sequences": ["s"]}}
    index = {"schema": VERSION, "dataset": "synthhands", "num_samples": samples, "options": {}, "splits": splits}
    write_index(folder, index | {"shards": entries})


def made_mask(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """A blob where a hand would be."""
    mask = np.zeros((side, side), np.uint8)
    center = tuple(int(c) for c in rng.integers(side // 3, 2 * side // 3, 2))
    cv2.ellipse(mask, center, (side // 5, side // 8), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return mask


def _write_arrays(folder: Path, count: int, side: int) -> None:
    folder.mkdir()
    array = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (count, side, side, 3))
    for i, image in enumerate(photos(count, side)):
        array[i] = image
    array.flush()


def _write_lmdb(folder: Path, count: int, side: int, encode: Callable[[NDArray[np.uint8]], bytes]) -> None:
    import lmdb

    with lmdb.open(str(folder), map_size=count * side * side * 3 * 2 + 2**24) as env, env.begin(write=True) as store:
        for i, image in enumerate(photos(count, side)):
            store.put(f"{i:08d}".encode(), encode(image))


def _write_webdataset(folder: Path, count: int, side: int) -> None:
    folder.mkdir()
    per_tar = 512
    images = photos(count, side)
    for number in range(-(-count // per_tar)):
        with tarfile.open(folder / f"{number:04d}.tar", "w") as tar:
            for i in range(number * per_tar, min(count, (number + 1) * per_tar)):
                data = jpeg(next(images))
                member = tarfile.TarInfo(f"{i:06d}.jpg")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def _write_huggingface(folder: Path, count: int, side: int) -> None:
    from datasets import Dataset, Features, disable_progress_bars
    from datasets import Image as HFImage

    disable_progress_bars()
    rows = [{"bytes": jpeg(image), "path": None} for image in photos(count, side)]
    Dataset.from_dict({"image": rows}, features=Features({"image": HFImage()})).save_to_disk(str(folder))


# ------------------------------------------------------------------------------------------------ readers


def ours(path: Path, batch: int, threads: int) -> Iterator[Any]:
    """Our loader: threads and a ring."""
    loader = Loader(open_mixture([path], "train"), batch, threads=threads)
    epoch = 0
    while True:
        yield from loader.epoch(epoch)
        epoch += 1


class Picked(torch.utils.data.Dataset):
    """A map-style dataset over any `read(i)`; opens in the worker."""

    def __init__(self, opener: Callable[[Path], Callable[[int], NDArray[np.uint8]]], path: Path, count: int) -> None:
        self.opener, self.path, self.count = opener, path, count
        self.read: Callable[[int], NDArray[np.uint8]] | None = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.read is None:
            self.read = self.opener(self.path)
        return torch.from_numpy(self.read(index))


def with_workers(dataset: Any, batch: int, workers: int) -> Iterator[Any]:
    """A torch DataLoader, workers kept, shuffled."""
    loader = torch.utils.data.DataLoader(
        dataset, batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0, drop_last=True
    )
    while True:
        yield from loader


def open_npy(path: Path) -> Callable[[int], NDArray[np.uint8]]:
    array = np.load(path / "images.npy", mmap_mode="r")
    return lambda i: np.array(array[i])


def open_lmdb_raw(path: Path) -> Callable[[int], NDArray[np.uint8]]:
    get = _lmdb_getter(path)
    side = round((len(get(0)) / 3) ** 0.5)
    return lambda i: np.frombuffer(get(i), np.uint8).reshape(side, side, 3).copy()


def open_lmdb_jpeg(path: Path) -> Callable[[int], NDArray[np.uint8]]:
    import simplejpeg

    get = _lmdb_getter(path)
    return lambda i: simplejpeg.decode_jpeg(get(i))


def _lmdb_getter(path: Path) -> Callable[[int], Any]:
    import lmdb

    store = lmdb.open(str(path), readonly=True, lock=False, readahead=False).begin(buffers=True)
    return lambda i: store.get(f"{i:08d}".encode())


def open_files(path: Path) -> Callable[[int], NDArray[np.uint8]]:
    names = sorted(path.iterdir())
    return lambda i: np.array(Image.open(names[i]).convert("RGB"))


def open_huggingface(path: Path) -> Callable[[int], NDArray[np.uint8]]:
    from datasets import load_from_disk

    stored = load_from_disk(str(path))
    return lambda i: np.array(stored[i]["image"])


class PlainDataset(torch.utils.data.Dataset[NDArray[np.uint8]]):
    """Our shards as a torch Dataset, pictures only, as the other layouts hold; each worker maps them for itself."""

    def __init__(self, path: Path) -> None:
        self._data = open_dataset(path, "train")

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return np.array(self._data.image(index))

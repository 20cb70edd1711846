"""Exports against the writers of `datasets` and `webdataset` themselves, on the same canvases; two workers against one.

    python benchmarks/export.py

Counted in pictures per CPU second of all threads: ours and theirs write the same canvases and labels. Both peers encode
with Pillow, as their own encoders do, at our quality: JPEG 95 (webdataset's own default of 100 is another one), PNG of
level 3, whose files are no smaller than ours (their sizes are printed). Two workers are judged by the wall clock, so
that part says something on an idle machine of two cores only; beside it stands what two threads that only encode gain.
"""

import io
import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from machine import Aim, Result, arguments, cpu_seconds
from repeat import repeated

from handdata.conversion.run import convert
from handdata.converters import CONVERTERS
from handdata.exchange.export import export
from handdata.exchange.pictures import encoded
from handdata.exchange.plain import plain_labels
from handdata.shards.dataset import Dataset, open_dataset
from handdata.synth.native import write_native

FORMATS = ("coco", "yolo", "webdataset", "parquet")
PEERS = ("webdataset's TarWriter", "datasets' to_parquet")
PILLOW: dict[str, tuple[str, dict[str, int]]] = {
    "png": ("PNG", {"compress_level": 3}),
    "jpg": ("JPEG", {"quality": 95}),
}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=48, help="rendered frames of RHD's layout")
    parser.add_argument("--copies", type=int, default=16, help="times every rendered hand")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    data = rendered(options.scratch / "export", options.frames, options.copies)
    result = Result("18 (export)")
    for picture in ("png", "jpg"):
        cases: dict[str, Callable[[Path], Any]] = {
            f"ours: {kind} {picture}": ours(data, kind, picture, 1) for kind in FORMATS
        }
        cases |= {f"webdataset's TarWriter {picture}": tar_writer(data, picture)}
        cases |= {f"datasets' to_parquet {picture}": to_parquet(data, picture)}
        rates = per_cpu_second(cases, options.scratch / "out", options.rounds, len(data))
        result.rows |= {name: {"pictures_per_cpu_s": rate} for name, rate in rates.items()}
        better = max(rates[f"{peer} {picture}"] for peer in PEERS)
        for kind in FORMATS:
            result.aims.append(
                Aim(f"{kind} {picture}: ours / better peer", rates[f"ours: {kind} {picture}"] / better, 1.5)
            )
        result.notes.append(sizes(data, picture))
        result.notes.append(f"two threads that only encode {picture} / one: {encoding_alone(data, picture):.2f} x")
        for kind in FORMATS:
            one, two = (wall(ours(data, kind, picture, n), options.scratch / "out", options.rounds) for n in (1, 2))
            result.aims.append(Aim(f"{kind} {picture}: two workers / one", one / two, 1.8))
    result.finish(as_json=options.json)


def rendered(folder: Path, frames: int, copies: int) -> Dataset:
    """Return rendered hands, converted once, each many times under other ids."""
    if not (folder / "shards/index.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        write_native("rhd", folder / "native", frames, seed=0)
        with repeated("rhd", copies):
            convert("rhd", folder / "native", folder / "shards", options=CONVERTERS["rhd"].OPTIONS())
    return open_dataset(folder / "shards")


def ours(data: Dataset, kind: str, picture: str, workers: int) -> Callable[[Path], Any]:
    return lambda out: export(data, out, kind, picture=picture, workers=workers)


def tar_writer(data: Dataset, picture: str) -> Callable[[Path], Any]:
    """Write as webdataset's own page shows: ShardWriter with encoded pictures and JSON."""
    import webdataset

    def write(out: Path) -> None:
        out.mkdir(parents=True)
        with webdataset.ShardWriter(str(out / "train-%06d.tar"), maxcount=1000, verbose=0) as sink:
            for hand in data:
                key = hand.id.replace("/", "__").replace(".", "_")
                sink.write({"__key__": key, picture: by_pillow(hand.image, picture), "json": plain_labels(hand)})

    return write


def to_parquet(data: Dataset, picture: str) -> Callable[[Path], Any]:
    """Write as datasets' own page shows: records with pictures of an Image feature, to Parquet."""
    import datasets

    def rows() -> Any:
        for hand in data:
            picture_bytes = by_pillow(hand.image, picture)
            yield {"image": {"bytes": picture_bytes, "path": None}, "labels": json.dumps(plain_labels(hand))}

    def write(out: Path) -> None:
        features = datasets.Features({"image": datasets.Image(), "labels": datasets.Value("string")})
        made = datasets.Dataset.from_list(list(rows()), features=features)
        made.to_parquet(str(out / "train.parquet"))

    return write


def by_pillow(image: Any, picture: str) -> bytes:
    from PIL import Image

    kind, settings = PILLOW[picture]
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **settings)
    return file.getvalue()


def sizes(data: Dataset, picture: str) -> str:
    canvases = [np.array(hand.image) for hand in data[:48]]
    ours_kb, theirs_kb = (sum(len(make(c, picture)) for c in canvases) / 48e3 for make in (encoded, by_pillow))
    return f"kB of a {picture}: ours {ours_kb:.1f}, Pillow's {theirs_kb:.1f}"


def per_cpu_second(cases: dict[str, Callable[[Path], Any]], out: Path, rounds: int, pictures: int) -> dict[str, float]:
    """Return pictures per CPU second of every case, the median over rounds in which each takes its turn."""
    spent: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):  # the first one warms up
        for name, write in cases.items():
            shutil.rmtree(out, ignore_errors=True)
            before = cpu_seconds()
            write(out)
            if number:
                spent[name].append(cpu_seconds() - before)
    return {name: pictures / median(seconds) for name, seconds in spent.items()}


def wall(write: Callable[[Path], Any], out: Path, rounds: int) -> float:
    """Return the least seconds of a case: what others do on the machine only adds."""
    seconds = []
    for _ in range(rounds):
        shutil.rmtree(out, ignore_errors=True)
        start = time.perf_counter()
        write(out)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def encoding_alone(data: Dataset, picture: str) -> float:
    """Return what two threads gain over one that only encode: the most that any export can."""
    canvases = [np.array(hand.image) for hand in data]
    seconds = {}
    for workers in (1, 2):
        with ThreadPoolExecutor(workers) as pool:
            start = time.perf_counter()
            list(pool.map(lambda image: encoded(image, picture), canvases))
            seconds[workers] = time.perf_counter() - start
    return seconds[1] / seconds[2]


if __name__ == "__main__":
    main()

"""Exports against the writers of `datasets` and `webdataset` themselves, on the same canvases; two workers against one.

    python benchmarks/export.py
    python benchmarks/export.py --copies 400 --rounds 5    # two workers, which start for 1,500 hands or more
    python benchmarks/export.py --only-workers --rounds 1  # those alone: no other package, five minutes

Counted in pictures per CPU second, of the first 1,536: ours and theirs write the same canvases and labels. Packed
formats are set beside packed ones: both peers encode with Pillow, as their own encoders do, at our quality: JPEG 95
(webdataset's own default of 100 is another one), PNG of level 3, whose files are no smaller than ours (their sizes are
printed). Formats of one file per picture are set beside a loop of `cv2.imwrite`, with one JSON as COCO has it or a
text file per picture as YOLO has it: what a script of one's own does, without a way to go on after a kill. Two workers
against one: export_workers.py.
"""

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from export_workers import two_against_one
from machine import Aim, Result, arguments, cpu_seconds
from repeat import repeated

from handdata.conversion.run import convert
from handdata.converters import CONVERTERS
from handdata.exchange.export import export
from handdata.exchange.in_parts import PROCESSES_FROM
from handdata.exchange.pictures import ENCODINGS, encoded
from handdata.exchange.plain import plain_labels
from handdata.shards.dataset import Dataset, open_dataset
from handdata.synth.native import write_native

RATED = 1536  # pictures whose CPU time is counted
FORMATS = ("coco", "yolo", "webdataset", "parquet")
PACKED = ("webdataset's TarWriter", "datasets' to_parquet")
PEERS = {
    "coco": ("cv2.imwrite, one JSON",),
    "yolo": ("cv2.imwrite, a text each",),
    "webdataset": PACKED,
    "parquet": PACKED,
}
PILLOW: dict[str, tuple[str, dict[str, int]]] = {
    "png": ("PNG", {"compress_level": 3}),
    "jpg": ("JPEG", {"quality": 95}),
}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=48, help="rendered frames of RHD's layout")
    parser.add_argument("--copies", type=int, help="times every rendered hand; 16, or 800 with --only-workers")
    parser.add_argument("--only-workers", action="store_true", help="two workers against one, and no peers")
    parser.add_argument("--kinds", nargs="+", choices=FORMATS, default=FORMATS, help="for --only-workers")
    parser.add_argument("--pictures", nargs="+", choices=PILLOW, default=tuple(PILLOW), help="for --only-workers")
    options = parser.parse_args()
    copies = options.copies or (800 if options.only_workers else 16)
    cv2.setNumThreads(1)
    every = rendered(options.scratch / f"export-{options.frames}x{copies}", options.frames, copies)
    result = Result("18 (export)")
    if not options.only_workers:
        against_peers(every[:RATED], options.scratch / "out", options.rounds, result)
    if len(every) < PROCESSES_FROM:
        result.notes.append(f"{len(every)} pictures are too few for a second worker to start: take --copies 400")
    else:
        kinds, pictures = (options.kinds, options.pictures) if options.only_workers else (FORMATS, tuple(PILLOW))
        two_against_one(every, kinds, pictures, options.scratch / "out", options.rounds, result)
    result.finish(as_json=options.json)


def against_peers(data: Dataset, out: Path, rounds: int, result: Result) -> None:
    """Add the pictures per CPU second of ours and of theirs."""
    for picture in PILLOW:
        cases: dict[str, Callable[[Path], Any]] = {
            f"ours: {kind} {picture}": ours(data, kind, picture) for kind in FORMATS
        }
        cases |= {f"webdataset's TarWriter {picture}": tar_writer(data, picture)}
        cases |= {f"datasets' to_parquet {picture}": to_parquet(data, picture)}
        cases |= {f"cv2.imwrite, one JSON {picture}": single_files(data, picture, rows=False)}
        cases |= {f"cv2.imwrite, a text each {picture}": single_files(data, picture, rows=True)}
        rates = per_cpu_second(cases, out, rounds, len(data))
        result.rows |= {name: {"pictures_per_cpu_s": rate} for name, rate in rates.items()}
        for kind in FORMATS:
            better = max(rates[f"{peer} {picture}"] for peer in PEERS[kind])
            result.aims.append(
                Aim(f"{kind} {picture}: ours / better peer", rates[f"ours: {kind} {picture}"] / better, 1.5)
            )
        result.notes.append(sizes(data, picture))


def rendered(folder: Path, frames: int, copies: int) -> Dataset:
    """Return rendered hands, converted once, each many times under other ids."""
    if not (folder / "shards/index.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        write_native("rhd", folder / "native", frames, seed=0)
        with repeated("rhd", copies):
            cores, options = len(os.sched_getaffinity(0)), CONVERTERS["rhd"].OPTIONS()
            convert("rhd", folder / "native", folder / "shards", options=options, workers=cores)
    return open_dataset(folder / "shards")


def ours(data: Dataset, kind: str, picture: str) -> Callable[[Path], Any]:
    return lambda out: export(data, out, kind, picture=picture)


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


def single_files(data: Dataset, picture: str, *, rows: bool) -> Callable[[Path], Any]:
    """Write a file per picture, and the labels as one JSON, or as a text file of each."""
    settings = ENCODINGS[picture]

    def write(out: Path) -> None:
        out.mkdir(parents=True)
        told = []
        for number, hand in enumerate(data):
            cv2.imwrite(str(out / f"{number:06d}.{picture}"), cv2.cvtColor(hand.image, cv2.COLOR_RGB2BGR), settings)
            if rows:
                points = np.hstack([hand.keypoints_2d / hand.size, np.full((21, 1), 2)])
                (out / f"{number:06d}.txt").write_text("0 " + " ".join(f"{value:.9f}" for value in points.ravel()))
            else:
                told.append({"image_id": number, **plain_labels(hand)})
        if told:
            (out / "labels.json").write_text(json.dumps(told))

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


if __name__ == "__main__":
    main()

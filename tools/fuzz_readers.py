"""Fuzz every reader with coverage: libFuzzer changes bytes towards lines of handdata that no input has reached yet.

    python -m venv fuzz && fuzz/bin/pip install atheris .       # atheris is no dependency; Linux, Python up to 3.13
    fuzz/bin/python tools/fuzz_readers.py --runs 10000          # a line of JSON for each reader
    fuzz/bin/python tools/fuzz_readers.py --only yaml --keep faults

Only a HanddataError of one line is right; each reader gets a process that may grow by 1 GiB and 5 CPU seconds per
input. What is found is kept in --keep, an input per kind, to become a case of the tests. The mutations of
tests/reliability/test_mutations.py know nothing of coverage, but damage whole native trees.
"""

# ruff: noqa: PLC0415 - imports are instrumented where they happen
import argparse
import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_handed import handed
from fuzz_packed import packed
from fuzz_stores import Reader, anew, stores

from handdata.skeleton import KEYPOINTS

GIB = 2**30
MEMORY = "/dev/shm"  # holds the files
SLOWEST_S = 5.0
LONGEST = 500  # characters of a line
POINTS = [[float(i), 2.0 * i] for i in range(21)]
COCO = {
    "images": [{"id": 1, "file_name": "p_0.png", "width": 64, "height": 48}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 30, 30], "keypoints": [20, 20, 2] * 21}],
    "categories": [{"id": 1, "name": "hand", "keypoints": list(KEYPOINTS)}],
}
CSV = "image,side,wrist_u,wrist_v,thumb_tip_u,thumb_tip_v\np_0.png,left,10,10,20,20\n"


def text(value: Any) -> Callable[[], bytes]:
    """Return what makes a text file; JSON of what is no text."""
    return (value if isinstance(value, str) else json.dumps(value)).encode


def readers() -> dict[str, Reader]:  # noqa: PLR0915 - a table
    """Return every reader by name."""
    import cv2
    from scipy.io import savemat

    from handdata.annotate.box_formats import export_text, import_text
    from handdata.annotate.keypoints.labels import read_uploaded
    from handdata.annotate.pictures import list_pictures
    from handdata.annotate.requests import parse_edit
    from handdata.boxes import BoxRow, format_boxes, read_boxes
    from handdata.converters.read import mat5, pickle_numpy
    from handdata.converters.read.json_lists import read_list
    from handdata.converters.read.json_stream import stream
    from handdata.converters.read.layout import read_numbers
    from handdata.converters.read.npz import read_arrays
    from handdata.evaluation.predictions import read_predictions
    from handdata.evaluation.results import VERSION as RESULTS
    from handdata.evaluation.results import read_results
    from handdata.exchange.corrections import read_corrections
    from handdata.exchange.reading import read_annotations
    from handdata.files.simple_yaml import read_keys
    from handdata.files.text import Wanted, read_csv, read_object, read_text, read_toml
    from handdata.model.halves import read_halves, write_halves
    from handdata.model.place import read_lens
    from handdata.pictures.decode import image_size, read_image, read_raw
    from handdata.track.video import Video
    from handdata.train.config import load_config

    pictures = Path(tempfile.mkdtemp(prefix="fuzz-pictures-"))
    for number in range(2):
        cv2.imwrite(str(pictures / f"p_{number}.png"), np.full((48, 64, 3), 90 * number, np.uint8))
    listed, wanted = list_pictures(pictures), Wanted(what="what is fuzzed")
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 2)

    def picture(ending: str, image: Any = noise) -> Callable[[], bytes]:
        return cv2.imencode(ending, image)[1].tobytes

    def saved(save: Callable[[BytesIO], object]) -> Callable[[], bytes]:
        def make() -> bytes:
            stream = BytesIO()
            save(stream)
            return stream.getvalue()

        return make

    def weights() -> bytes:
        import torch

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "w.safetensors"
            write_halves(path, {"a": torch.ones(2, 2)}, {"samples": 1})
            return path.read_bytes()

    def film() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "f.mp4")
            writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
            for shift in range(3):
                writer.write(np.roll(noise, shift, 1))
            writer.release()
            return Path(path).read_bytes()

    def imported(kind: str) -> Callable[[Path], object]:
        return lambda path: import_text(kind, read_text(path, wanted), "import", listed)

    def read_npz(path: Path) -> object:
        return read_arrays(path, ("a", "b"))

    def read_edit(path: Path) -> object:
        return parse_edit(path.read_bytes())

    def read_page(path: Path) -> object:
        return read_uploaded("a.json", read_text(path, wanted), listed)

    def read_labels(path: Path) -> object:
        return read_annotations(anew(path))

    def read_camera(path: Path) -> object:
        return read_lens(path).intrinsics(640, 480)

    sample = {"sample_id": "a/b", "keypoints_2d": POINTS, "keypoints_3d": [[*p, 400.0] for p in POINTS]}
    predicted = {"schema": "handdata-predictions/1", "samples": [sample], "options": {}}
    wrist = {"state": "visible", "uv": [1.0, 2.0]}
    samples = {"a/b": {"size": [64, 48], "side": "left", "points": {"wrist": wrist, "thumb_tip": {"state": "absent"}}}}
    mended = {"format": "handdata-corrections/1", "dataset": "custom", "samples": samples}
    labels = {
        7: {"xyz": np.arange(12, dtype=np.float32).reshape(4, 3), "K": np.eye(3)},
        11: [True, None, b"b", (1, {})],
    }
    mat = {"handPara": np.arange(126.0).reshape(3, 21, 2)}
    boxes = [BoxRow("p_0.png", (5.0, 5.0, 9.0, 9.0), "person", reviewed=True)]
    cvat_boxes, table = export_text("cvat", boxes, listed), format_boxes(boxes)
    row = " ".join(["0 0.5 0.5 0.4 0.4", *["0.5 0.5 2"] * 21])
    for place, data in (("images/a.png", picture(".png")()), ("labels/a.txt", row.encode())):
        (pictures / "yolo" / place).parent.mkdir(parents=True)
        (pictures / "yolo" / place).write_bytes(data)
    yolo = f"path: {pictures / 'yolo'}\ntrain: images\nkpt_shape: [21, 3]\nnames: {{0: hand}}\n"
    coco_boxes = {**COCO, "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 30, 30]}]}
    cvat = (
        '<annotations><image id="0" name="p_0.png" width="64" height="48"><points label="wrist" points="5,6"/>'
        '<box label="hand_box" xtl="1" ytl="2" xbr="40" ybr="30" rotation="0" group_id="1">'
        '<attribute name="bbox_source">person</attribute></box>'
        '<skeleton label="hand" group_id="1"><points label="thumb_tip" occluded="0" outside="0" '
        'points="7,8"/></skeleton></image></annotations>'
    )
    landmarks = [{"x": 0.1 * (number % 7), "y": 0.2, "z": 0.0} for number in range(21)]
    found = {"image": "p_0.png", "hand_landmarks": [landmarks], "handedness": [[{"category_name": "Left"}]]}
    found |= {"width": 64, "height": 48, "bbox_xyxy": [[1, 2, 40, 30]], "bbox_source": ["person"]}
    return {
        "json": Reader("a.json", text(COCO), lambda path: read_object(path, wanted)),
        "json stream": Reader("a.json", text(COCO), lambda path: list(stream(path))),
        "json lists": Reader("a.json", text([POINTS]), read_list),
        "toml": Reader("a.toml", text('a = 1\n[b]\nc = [1.5, "x"]\n'), lambda path: read_toml(path, wanted)),
        "csv": Reader("a.csv", text(CSV), lambda path: list(read_csv(path, wanted))),
        "numbers": Reader("a.txt", text("1 2 3 4\n"), lambda path: read_numbers(path, 4)),
        "yaml": Reader(
            "a.yml",
            text("a: [1, 2.5, {b: 'c'}]\nm:\n  - 1\n  -\n    x: !!python/tuple\n    - 3\n    y: [2, {z: 1e3}]\n"),
            lambda path: read_keys(path, ("a", "m"), wanted),
        ),
        "pickle": Reader("a.pickle", lambda: pickle.dumps(labels, 2), pickle_numpy.load),
        "pickle 4": Reader("a.pickle", lambda: pickle.dumps(labels, 4), pickle_numpy.load),
        "mat": Reader("a.mat", saved(lambda file: savemat(file, mat)), mat5.load),
        "mat deflated": Reader("a.mat", saved(lambda file: savemat(file, mat, do_compression=True)), mat5.load),
        "npz": Reader(
            "a.npz", saved(lambda file: np.savez(file, a=np.eye(3), b=np.arange(4))), read_npz
        ),
        "png": Reader("a.png", picture(".png"), lambda path: (image_size(path), read_image(path))),
        "jpg": Reader("a.jpg", picture(".jpg"), lambda path: (image_size(path), read_image(path))),
        "webp": Reader("a.webp", picture(".webp"), lambda path: (image_size(path), read_image(path))),
        "bmp": Reader("a.bmp", picture(".bmp"), lambda path: (image_size(path), read_image(path))),
        "depth": Reader("a.png", picture(".png", np.arange(3072, dtype=np.uint16).reshape(48, 64)), read_raw),
        "boxes": Reader("a.csv", text(table), read_boxes),
        "boxes of CVAT": Reader("a", text(cvat_boxes), imported("cvat")),
        "boxes of COCO": Reader("a", text(coco_boxes), imported("coco")),
        "boxes of MOT": Reader("a", text("1,1,5,5,20,20,1,1,1\n"), imported("mot")),
        "edits": Reader("a", text('{"op": "keyframe", "frame": 1, "box": [5, 5, 20, 20]}'), read_edit),
        "labels of a page": Reader("a.json", text(COCO), read_page),
        "labels, COCO": Reader("a.json", text(COCO), read_labels),
        "labels, CSV": Reader("a.csv", text(CSV), read_labels),
        "labels, CVAT": Reader("a.xml", text(cvat), read_labels),
        "labels, MediaPipe": Reader("a.json", text([found]), read_labels),
        "labels, YOLO": Reader("a.yaml", text(yolo), read_labels),
        "corrections": Reader("a.json", text(mended), read_corrections),
        "predictions": Reader("a.json", text(predicted), read_predictions),
        "predictions, CSV": Reader("a.csv", text("sample_id,keypoint,u,v\na/b,wrist,1,2\n"), read_predictions),
        "results": Reader("results.json", text({"schema": RESULTS, "sets": [], "readout": "argmax"}), read_results),
        "camera": Reader("a.json", text({"K": [[600, 0, 320], [0, 600, 240], [0, 0, 1]]}), read_camera),
        "recipe": Reader("a.toml", text('extends = "best"\n[loop]\nepochs = 3\n'), lambda path: load_config(str(path))),
        "weights": Reader("a.safetensors", weights, lambda path: read_halves(path, "weights")),
        "video": Reader("a.mp4", film, lambda path: list(Video(str(path)))),
        **stores(),
        **handed(),
        **packed(),
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ one reader


def fuzz(name: str, runs: int, seed: int, keep: Path) -> None:
    """Fuzz one reader in this process; prints its line."""
    import atheris

    with atheris.instrument_imports(include=["handdata"]):
        from handdata.errors import HanddataError

        reader = readers()[name]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    path = folder / reader.file
    path.write_bytes(reader.seed())
    faults: dict[str, str] = {}
    told = {"reader": name, "runs": 0, "refused": 0, "slowest s": 0.0, "MiB gained": 0.0, "faults": faults}
    if fault := fault_of(reader, path, told, HanddataError):
        faults["the whole file"] = fault
    (folder / "seeds").mkdir()
    (folder / "seeds/whole").write_bytes(reader.seed())
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + GIB, size + GIB))

    def one(data: bytes) -> None:
        path.write_bytes(data)
        told["runs"] += 1
        fault = fault_of(reader, path, told, HanddataError)
        if fault and fault.partition(": ")[0] not in faults:
            faults[fault.partition(": ")[0]] = fault
            (keep / f"{name.replace(' ', '_')}-{len(faults)}-{reader.file}").write_bytes(data)
        if told["runs"] == runs:
            told["MiB gained"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) / 1024
            print(json.dumps(told), flush=True)
            os._exit(0)

    longest = max(4096, 2 * path.stat().st_size)
    limits = [f"-max_len={longest}", f"-timeout={round(6 * SLOWEST_S)}", "-rss_limit_mb=0"]
    words = [sys.argv[0], f"-seed={seed}", *limits]
    atheris.Setup([*words, "-verbosity=0", f"-artifact_prefix={keep}/", str(folder / "seeds")], one)
    atheris.Fuzz()


def fault_of(reader: Reader, path: Path, told: dict[str, Any], refused: type[Exception]) -> str:
    """Return what is wrong with how a file was read, "" if nothing."""
    began = time.process_time()
    try:
        reader.read(path)
    except refused as error:
        told["refused"] += 1
        if len(str(error)) > LONGEST or not str(error).isprintable():
            return f"a line of {len(str(error))} characters: {str(error)[:200]!r}"
    except Exception as error:  # this is what is looked for
        trace, last = error.__traceback__, ""
        while trace:
            file = trace.tb_frame.f_code.co_filename
            last = f"{file.rpartition('/')[2]}:{trace.tb_lineno}" if "/handdata/" in file else last
            trace = trace.tb_next
        return f"{type(error).__name__} at {last}: {str(error)[:200]}"
    finally:
        spent = time.process_time() - began
        told["slowest s"] = round(max(told["slowest s"], spent), 3)
    return f"slow: {spent:.1f} s" if spent > SLOWEST_S else ""


# ------------------------------------------------------------------------------------------------ all of them


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000, help="inputs per reader")
    parser.add_argument("--seed", type=int, default=1, help="of the changes; 0: by chance")
    parser.add_argument("--only", action="append", help="name of a reader")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="folder for what was found")
    parser.add_argument("--seconds", type=float, default=900, help="of a reader, at most")
    parser.add_argument("--reader", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    if options.reader:
        fuzz(options.reader, options.runs, options.seed, options.keep.absolute())
        return 0
    is_faulty = False
    for name in options.only or readers():
        counts = ["--runs", str(options.runs), "--seed", str(options.seed)]
        words = ["--reader", name, *counts, "--keep", str(options.keep)]
        with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else None) as folder:
            last = line_of(words, options.seconds, {**os.environ, "TMPDIR": folder})
        print(last, flush=True)
        is_faulty |= '"faults": {}' not in last
    return int(is_faulty)


def line_of(words: Sequence[str], seconds: float, environment: dict[str, str]) -> str:
    """Fuzz one reader in a process of its own; return its line."""
    command = [sys.executable, __file__, *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds, env=environment)
    except subprocess.TimeoutExpired:
        return json.dumps({"reader": words[1], "ended": f"after {seconds:.0f} s"})
    line = (done.stdout.splitlines() or [""])[-1]
    return line if line.startswith("{") else json.dumps({"reader": words[1], "ended": done.stderr[-600:]})


if __name__ == "__main__":
    sys.exit(main())

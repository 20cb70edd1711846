"""Peers that need an environment of their own: each runs in a process of that environment and takes its turns there.

What conflicts with handdata's own packages (MDS pins numpy < 2.2, FFCV brings a compiled module, an older OpenCV) goes
into another virtual environment, once:

    python -m venv /tmp/peers
    apt-get install libopencv-dev libturbojpeg0-dev pkg-config      # to build FFCV
    /tmp/peers/bin/pip install torch torchvision "numpy<2.2" mosaicml-streaming numba webdataset simplejpeg
    /tmp/peers/bin/pip install opencv-python-headless==4.11.0.86 psutil terminaltables
    /tmp/peers/bin/pip install --no-deps --no-build-isolation ffcv fastargs assertpy pytorch_pfn_extras
    python benchmarks/read.py --peers-python /tmp/peers/bin/python

The parent writes a number of batches to the child, the child takes them and answers with the number of samples. The
child is a child of this process, so its CPU seconds, and its workers', are counted like those of any other case.
"""

import argparse
import contextlib
import importlib
import importlib.machinery
import itertools
import json
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NAMES = {
    "mds_raw": "MDS raw",
    "mds_jpeg": "MDS JPEG",
    "ffcv_raw": "FFCV raw",
    "pil": "WebDataset + PIL",
    "blurs": "heatmaps: 21 blurs of 61 x 61",
    "mediapipe": "MediaPipe",
}


class Elsewhere:
    """A case for `machine.interleave` that runs in another environment.

    Args:
        python: of that environment.
        kind: a key of NAMES.
        path: what the peer reads; it writes its own format beside it the first time.
        steps: batches a turn.
        batch: samples of a batch.
        workers: processes or threads of the peer.
    """

    def __init__(self, python: Path, kind: str, path: Path, *, steps: int, batch: int, workers: int) -> None:
        self.name, self._steps = NAMES[kind], steps
        command = [str(python), str(Path(__file__).resolve()), kind, str(path), str(batch), str(workers)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.software = self._answer()["software"]

    def before(self) -> None:
        """Take what the peer made ahead while others had their turn."""
        self._take(5)

    def __call__(self) -> int:
        return self._take(self._steps)

    def _take(self, steps: int) -> int:
        assert self._child.stdin
        self._child.stdin.write(f"{steps}\n")
        self._child.stdin.flush()
        return int(self._answer()["samples"])

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout
        line = self._child.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name}: its process ended; what it said is above")
        return dict(json.loads(line))


def add_peers_python(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the other environment."""
    parser.add_argument("--peers-python", type=Path, help="python of an environment with further peers (elsewhere.py)")


# ------------------------------------------------------------------------------------------------ in the other process


def main(kind: str, path: str, batch: str, workers: str) -> None:
    import cv2

    cv2.setNumThreads(1)
    with contextlib.suppress(ModuleNotFoundError):  # MediaPipe's environment has none
        import torch

        torch.set_num_threads(1)
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # what a library prints is no answer
        openers = {
            "mds_raw": mds,
            "mds_jpeg": mds_jpeg,
            "ffcv_raw": ffcv,
            "pil": pil,
            "blurs": blurs,
            "mediapipe": mediapipe,
        }
        open_peer = openers[kind]
        batches, software = open_peer(Path(path), int(batch), int(workers))
        next(batches)
        print(json.dumps({"software": software}), file=answers, flush=True)
        for line in sys.stdin:
            samples = sum(len(next(batches)) for _ in range(int(line)))
            print(json.dumps({"samples": samples}), file=answers, flush=True)


def mds(path: Path, batch: int, workers: int) -> tuple[Iterator[Any], str]:
    """MosaicML's format, raw bytes."""
    import numpy as np

    side = np.load(path / "images.npy", mmap_mode="r").shape[1]

    def picture(data: bytes) -> Any:
        return np.frombuffer(data, np.uint8).reshape(side, side, 3).copy()

    return _mds(path, batch, workers, "mds-raw", lambda image: image.tobytes(), picture)


def mds_jpeg(path: Path, batch: int, workers: int) -> tuple[Iterator[Any], str]:
    """MosaicML's format, JPEG of quality 95, 4:4:4."""
    import simplejpeg

    def encode(image: Any) -> bytes:
        return bytes(simplejpeg.encode_jpeg(image.copy(), 95, colorsubsampling="444"))

    return _mds(path, batch, workers, "mds-jpeg", encode, simplejpeg.decode_jpeg)


def _mds(
    path: Path, batch: int, workers: int, name: str, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]
) -> tuple[Iterator[Any], str]:
    import numpy as np
    import torch

    _stand_in_for_torchvision()
    streaming = importlib.import_module("streaming")
    folder = path.parent / name
    if not (folder / "index.json").is_file():
        with streaming.MDSWriter(out=str(folder), columns={"image": "bytes"}) as writer:
            for image in np.load(path / "images.npy", mmap_mode="r"):
                writer.write({"image": encode(image)})

    class Pictures(streaming.StreamingDataset):
        def __getitem__(self, index: int) -> Any:
            return torch.from_numpy(decode(super().__getitem__(index)["image"]))

    streaming.base.util.clean_stale_shared_memory()
    dataset = Pictures(local=str(folder), shuffle=True, batch_size=batch)
    loader = torch.utils.data.DataLoader(dataset, batch, num_workers=workers, persistent_workers=True, drop_last=True)
    return _endless(loader), f"streaming {importlib.import_module('streaming._version').__version__}"


def _stand_in_for_torchvision() -> None:
    """Let `import streaming` pass beside a torchvision built for another torch; the format itself does not use it."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name in ("", ".datasets", ".transforms", ".transforms.functional"):
            module = types.ModuleType(f"torchvision{name}")
            module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
            sys.modules[module.__name__] = module
        sys.modules["torchvision.datasets"].VisionDataset = type("VisionDataset", (), {})  # type: ignore[attr-defined]
        sys.modules["torchvision.transforms.functional"].to_tensor = None  # type: ignore[attr-defined]
        sys.modules["torchvision.transforms"].functional = sys.modules["torchvision.transforms.functional"]  # type: ignore[attr-defined]


def ffcv(path: Path, batch: int, workers: int) -> tuple[Iterator[Any], str]:
    """FFCV's file of raw pixels, random order, from the page cache."""
    import numpy as np

    loader_of, fields = importlib.import_module("ffcv.loader"), importlib.import_module("ffcv.fields")
    images = np.load(path / "images.npy", mmap_mode="r")
    file = path.parent / "ffcv-raw.beton"
    if not file.is_file():
        partial = file.with_suffix(".partial")
        columns = {"image": fields.NDArrayField(shape=images.shape[1:], dtype=np.dtype("uint8"))}
        writer = importlib.import_module("ffcv.writer").DatasetWriter(str(partial), columns, num_workers=1)
        writer.from_indexed_dataset([(image,) for image in images])
        partial.rename(file)
    decoder = importlib.import_module("ffcv.fields.decoders").NDArrayDecoder()
    to_tensor = importlib.import_module("ffcv.transforms").ToTensor()
    loader = loader_of.Loader(
        str(file), batch_size=batch, num_workers=workers, order=loader_of.OrderOption.RANDOM, os_cache=True,
        drop_last=True, pipelines={"image": [decoder, to_tensor]},
    )  # fmt: skip
    return (images for (images,) in _endless(loader)), "ffcv 1.0.2"


def pil(path: Path, batch: int, workers: int) -> tuple[Iterator[Any], str]:
    """The PIL pipeline of samples.py over WebDataset."""
    import cv2
    import samples

    return (
        images for images, _ in samples.webdataset(path, batch, workers, samples.pil_sample)
    ), f"OpenCV {cv2.__version__}"


def mediapipe(path: Path, _batch: int, _workers: int) -> tuple[Iterator[Any], str]:
    """MediaPipe's hands in pictures that have nothing to do with each other, on one core."""
    import os

    import cv2

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    package = importlib.import_module("mediapipe")
    hands = package.solutions.hands.Hands(static_image_mode=True, max_num_hands=2, model_complexity=1)

    def look() -> Iterator[Any]:
        paths = sorted(path.glob("*.jpg"))
        for number in itertools.count():
            image = cv2.imread(str(paths[number % len(paths)]))
            hands.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            yield [number]

    return look(), f"mediapipe {package.__version__}"


def blurs(_path: Path, batch: int, _workers: int) -> tuple[Iterator[Any], str]:
    """The thesis' heatmaps alone."""
    import cv2
    import numpy as np
    import samples

    rng = np.random.default_rng(0)

    def endless() -> Iterator[Any]:
        while True:
            yield [samples.blurred_heatmaps(points) for points in rng.random((batch, 21, 2))]

    return endless(), f"OpenCV {cv2.__version__}"


def _endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


if __name__ == "__main__":
    main(*sys.argv[1:])

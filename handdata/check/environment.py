"""Can this machine do the work: Python, libraries and what stops them from loading, GPU, disk, cores."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from handdata import __version__
from handdata.paths import DataRoot

MIN_PYTHON = (3, 11)
MIN_FREE_BYTES = 2 * 1024**3
PROBE_SECONDS = 120
OPENCV_BUILDS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
EXTRAS = {
    "annotate": ("starlette", "uvicorn"),
    "dask": ("dask", "distributed"),
    "docs": ("mkdocs", "material", "mkdocstrings"),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "parquet": ("pyarrow",),
    "tensorboard": ("tensorboard",),
    "bench": ("lmdb", "webdataset", "datasets", "simplejpeg"),
}
_PROBES = {
    "numpy": "import numpy; print(numpy.__version__)",
    "HDF5": "import h5py; print(f'{h5py.version.hdf5_version}, h5py {h5py.__version__}')",
    "OpenCV": "import cv2; cv2.TrackerKCF.create(); print(cv2.__version__)",
    "torch": (
        "import torch; c = torch.cuda; names = [c.get_device_name(i) for i in range(c.device_count())];"
        "gpus = f'CUDA {torch.version.cuda}: ' + ', '.join(names) if names else 'no CUDA GPU, trains on the CPU';"
        "print(f'{torch.__version__}, {gpus}')"
    ),
    "torchvision": "import torchvision; print(torchvision.__version__)",
    "weights": (
        "import sys; from handdata.errors import HanddataError; from handdata.model.halves import shipped_weights\n"
        "try: print(shipped_weights())\n"
        "except HanddataError as error: sys.exit(str(error))"
    ),
}
_NOT_VITAL = {"torchvision": "only --weights with a name of its own needs it"}
_REMEDIES = (
    (
        "libGL.so",
        "OpenCV needs libGL: apt-get install libgl1, or pip install opencv-contrib-python-headless in its place.",
    ),
    ("libgthread", "OpenCV needs GLib: apt-get install libglib2.0-0."),
    (
        "TrackerKCF",
        "This OpenCV has no KCF tracker: pip install opencv-contrib-python, without opencv-python beside it.",
    ),
    ("torchvision::nms", "torchvision was built for another torch: install both of the same release."),
    ("No module named", "Run pip install . in the checkout again."),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor: `state` is "ok", "note" or "found"."""

    name: str
    state: str
    text: str
    fix: str = ""


def examine(data_root: DataRoot) -> list[Check]:
    """Look at the machine; a library that cannot load is told with the reason it gives itself."""
    with ThreadPoolExecutor(len(_PROBES)) as pool:
        libraries = list(pool.map(lambda item: probe(*item), _PROBES.items()))
    libraries = [_lessen(check) if check.name in _NOT_VITAL else check for check in libraries]
    return [_python(), *libraries, opencv_builds(), *_extras(), _disk(data_root), _cores(), *_places(data_root)]


def _lessen(check: Check) -> Check:
    """Make a note of what is wrong with a library that little needs."""
    if check.state == "ok":
        return check
    return Check(check.name, "note", f"{check.text}; {_NOT_VITAL[check.name]}", check.fix)


def probe(name: str, script: str) -> Check:
    """Load a library in a process of its own and return what it prints, or the last line of its error."""
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Check(
            name, "found", f"does not load within {PROBE_SECONDS} s", "Check the load of the disk and the cores."
        )
    if done.returncode == 0:
        return Check(name, "ok", done.stdout.strip())
    reason = (done.stderr.strip().splitlines() or [f"ended with signal {-done.returncode}"])[-1]
    fix = next((remedy for sign, remedy in _REMEDIES if sign in reason), "Install it again.")
    return Check(name, "found", reason, fix)


def opencv_builds(installed: frozenset[str] | None = None) -> Check:
    """Tell which builds of OpenCV are installed: two write over each other's files."""
    if installed is None:
        names = {(d.metadata["Name"] or "").lower() for d in metadata.distributions()}
        installed = frozenset(names & set(OPENCV_BUILDS))
    listed = ", ".join(sorted(installed)) or "none"
    if len(installed) > 1:
        fix = f"pip uninstall -y {' '.join(sorted(installed))} && pip install opencv-contrib-python"
        return Check("OpenCV builds", "found", f"{listed} overwrite each other", fix)
    return Check("OpenCV builds", "ok", listed)


def _python() -> Check:
    version = sys.version.split()[0]
    if sys.version_info[:2] < MIN_PYTHON:
        return Check("Python", "found", version, "handdata needs Python 3.11 or later.")
    return Check("Python", "ok", f"{version}, handdata {__version__}")


def _extras() -> list[Check]:
    checks = []
    for extra, modules in EXTRAS.items():
        absent = [module for module in modules if util.find_spec(module) is None]
        text = f"without {', '.join(absent)}" if absent else "installed"
        fix = f"pip install 'handdata[{extra}]' if you want it" if absent else ""
        checks.append(Check(f"extra {extra}", "note" if absent else "ok", text, fix))
    return checks


def _disk(data_root: DataRoot) -> Check:
    folder = existing(data_root.root)
    usage = shutil.disk_usage(folder)
    text = f"{usage.free / 1024**3:.1f} GiB free of {usage.total / 1024**3:.1f} at {folder.resolve()}"
    if usage.free < MIN_FREE_BYTES:
        return Check("disk", "found", text, "Free some space or move the data with --data-root.")
    return Check("disk", "ok", text)


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def _cores() -> Check:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check("cores", "ok", f"{usable} usable of {os.cpu_count()}, {memory:.0f} GiB memory")


def _places(data_root: DataRoot) -> list[Check]:
    native = data_root.root / "data" / "native"
    found = sorted(path.name for path in native.iterdir() if path.is_dir()) if native.is_dir() else []
    converted = [path.name for path in data_root.all_shards()]
    hint = "" if found else "Unpack an archive there, or render some with handdata synth all."
    return [
        Check("native data", "ok" if found else "note", f"{native}: {', '.join(found) or 'none'}", hint),
        Check("converted", "ok" if converted else "note", ", ".join(converted) or "none"),
    ]

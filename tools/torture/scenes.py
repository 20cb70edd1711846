"""What tools/torture breaks: a small input for each command, and the command.

Paths in `words` are below the folder of the trial, where `begin` puts what the command changes.
"""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from handdata.annotate.depth.derive import survey
from handdata.annotate.depth.pictures import pictures_of, to_shown
from handdata.annotate.depth.recording import open_recording
from handdata.annotate.depth.session import DepthSession
from handdata.geometry import project
from handdata.shards.dataset import open_dataset
from handdata.skeleton import TIPS

FRAMES = 8
MANY = 2400  # hands, of which an export has begun half when its second process is there
RECORD = "handdata-export.json"  # of what an export has begun
VERIFY = ("verify", "out")
TAKEN = "expected a folder without shards, got a dataset"
TINY = ("model.size=32", "model.width=0.125", "data.batch=4", "loop.batches=2", "loop.epochs=3", "loop.val_batches=1",
        "data.loader_threads=0", "start.weights=", "augment.kind=published")  # fmt: skip
TRAIN = ("train", "--recipe", "best-smoke", "--name", "r", "--shards", "../inputs/shards", "--device", "cpu",
         "--no-evaluate", *(word for setting in TINY for word in ("--set", setting)))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A command on small inputs.

    Attributes:
        name: of it.
        words: its arguments.
        inputs: names of what it reads, of MAKERS.
        changes: of these, what is copied into the trial because the command writes into it: name there -> input.
        again: arguments where the same command says that it is to be gone on with.
        grows: files that are rightly neither absent nor whole in between: parts of their paths.
        processes: how many work at once.
        refuses: what the second run rightly says where the first was whole; the files are compared all the same.
        reads: commands that read what it writes.
        reads_alike: they refuse, or say the same of it after a power cut as after an unharmed run.
        is_synced: all that it writes is on the disk when it ends; pictures that are only looked at need not be.
        ends_early: Ctrl-C ends it well, with what there is until then.
        varies: files that rightly differ from those of an unharmed run: parts of their paths.
    """

    name: str
    words: tuple[str, ...]
    inputs: tuple[str, ...]
    changes: tuple[tuple[str, str], ...] = ()
    again: tuple[str, ...] | None = None
    grows: tuple[str, ...] = ()
    processes: int = 1
    refuses: str = ""
    reads: tuple[tuple[str, ...], ...] = ()
    reads_alike: bool = True
    is_synced: bool = True
    ends_early: bool = False
    varies: tuple[str, ...] = ()

    def begin(self, inputs: Path, work: Path) -> None:
        """Make the folder of a trial."""
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        self.add(inputs, work)

    def add(self, inputs: Path, work: Path) -> None:
        """Put what the command changes into the folder of a trial, where it is not there."""
        for name, source in self.changes:
            if (work / name).exists():
                continue
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            if (inputs / source).is_dir():
                shutil.copytree(inputs / source, work / name)
            else:
                shutil.copy2(inputs / source, work / name)


def _export(kind: str, *, workers: str = "1", inputs: str = "shards", grows: tuple[str, ...] = ()) -> Scene:
    words = ("export", f"../inputs/{inputs}", "--format", kind, "--out", "out", "--workers", workers)
    name = f"export {kind}" if workers == "1" else f"export {kind}, {workers} workers"
    return Scene(name=name, words=words, inputs=(inputs,), grows=(RECORD, *grows), processes=int(workers))


def _recut(name: str, *words: str, inputs: tuple[str, ...] = ("shards",)) -> Scene:
    return Scene(name=name, words=(name, *words, "--out", "out"), inputs=inputs, grows=(".lock",), refuses=TAKEN,
                 reads=(VERIFY,))  # fmt: skip


def _workers(name: str, *words: str, inputs: tuple[str, ...] = (), grows: str = ".lock",
             reads: tuple[tuple[str, ...], ...] = (VERIFY,)) -> tuple[Scene, Scene]:  # fmt: skip
    """Return the command with one worker and with two."""
    one = Scene(name=name, words=(*words, "--out", "out", "--workers", "1"), inputs=inputs, grows=(grows,), reads=reads)
    return one, replace(one, name=f"{name}, 2 workers", words=(*words, "--out", "out", "--workers", "2"), processes=2)


SCENES = (
    *_workers("convert", "convert", "rhd", "--root", "../inputs/native/rhd", inputs=("native",)),
    *_workers("synth", "synth", "rhd", "--frames", "3", "--size", "small", grows="handdata-synth", reads=()),
    *_workers("import", "import", "../inputs/coco", inputs=("coco",)),
    Scene(name="import parquet", words=("import", "../inputs/parquet", "--out", "out", "--workers", "1"),
          inputs=("parquet",), grows=(".lock",), reads=(VERIFY,)),
    Scene(name="convert with corrections", inputs=("native", "corrections"), grows=(".lock",), reads=(VERIFY,),
          words=("convert", "rhd", "--root", "../inputs/native/rhd", "--out", "out", "--workers", "1", "--corrections",
                 "../inputs/corrections/c.json")),
    *(_export(kind) for kind in ("coco", "webdataset", "csv", "parquet", "mediapipe", "cvat", "hamer")),
    _export("yolo", grows=("data.yaml",)),  # it names the splits that are there by now
    _export("croissant", grows=("croissant.json",)),  # likewise
    _export("coco", workers="2", inputs="many"),
    _recut("subset", "../inputs/shards", "--sample", "6"),
    replace(_recut("subset", "../inputs/shards", "--where", "scale_mm<1000", "--errors", "../inputs/scored/runs/r",
                   "--worst", "4", inputs=("shards", "scored")), name="subset of the worst"),
    _recut("merge", "../inputs/train", "../inputs/test", "--name", "both", inputs=("train", "test")),
    _recut("split", "../inputs/shards", "--by", "random:0.2/0.2"),
    Scene(name="train", words=TRAIN, inputs=("shards", "pictures"), again=(*TRAIN, "--resume"), grows=("runs/",),
          varies=("environment.json",),  # it names its command, with --resume
          reads=(("predict", "runs/r", "../inputs/pictures/p_0.png", "--no-overlay", "--detector", "none", "--device", "cpu"),  # noqa: E501
                 ("runs",)), reads_alike=False),
    Scene(name="evaluate", words=("evaluate", "runs/r", "--shards", "../inputs/shards", "--device", "cpu"),
          inputs=("shards", "run"), changes=(("runs/r", "run/runs/r"),),
          reads=(("evaluate", "--predictions", "runs/r/predictions.h5", "--shards", "../inputs/shards",
                  "--out", "../read.json"),)),
    Scene(name="evaluate compact", words=("evaluate", "compact", "--shards", "../inputs/shards", "--device", "cpu"),
          inputs=("shards",)),
    Scene(name="predict --onnx", words=("predict", "compact", "--onnx", "out/c.onnx"), inputs=()),
    Scene(name="predict by onnx", inputs=("pictures", "onnx"), is_synced=False,
          words=("predict", "../inputs/onnx/c.onnx", "../inputs/pictures", "--out", "out", "--detector", "none")),
    Scene(name="predict", words=("predict", "../inputs/run/runs/r", "../inputs/pictures", "--out", "out", "--device", "cpu"),  # noqa: E501
          inputs=("shards", "run", "pictures"), is_synced=False),
    Scene(name="predict a video", words=("predict", "../inputs/film/film.mp4", "--out", "out", "--device", "cpu"),
          inputs=("film",), is_synced=False, ends_early=True, grows=(".overlay.",)),
    Scene(name="label", words=("label", "../inputs/pictures", "--out", "out/labels.json", "--device", "cpu"),
          inputs=("pictures",)),
    Scene(name="label a video", inputs=("film",),
          words=("label", "../inputs/film/film.mp4", "--out", "out/labels.json", "--every", "2", "--device", "cpu")),
    Scene(name="report", words=("report", "r", "--out", "out"), inputs=("shards", "run"),
          changes=(("runs/r", "run/runs/r"),)),
    Scene(name="stats", words=("stats", "../inputs/shards", "--html", "out/stats.html"), inputs=("shards",)),
    Scene(name="browse", words=("browse", "../inputs/shards", "--out", "out/sheet.png"), inputs=("shards",)),
    Scene(name="browse --static", inputs=("shards",), words=("browse", "../inputs/shards", "--static", "out/l.html")),
    Scene(name="annotate-depth", inputs=("depth",), changes=(("out/d.journal", "depth/d.journal"),), grows=("out/d.",),
          words=("annotate-depth", "dexter/Rotate", "--root", "../inputs/depth/dexter", "--out", "out/d.json",
                 "--references", "1", "--headless")),
    Scene(name="annotate-bbox", inputs=("pictures",), grows=(".journal", ".lock", "boxes.csv"),
          words=("annotate-bbox", "--images", "../inputs/pictures", "--out", "out/boxes.csv", "--init", "20,20,40,40",
                 "--headless")),
)  # fmt: skip


def _native(inputs: Path, run: Callable[..., None]) -> None:
    run("synth", "rhd", "--frames", str(FRAMES), "--size", "small", "--out", inputs / "native", "--workers", "1")


def _shards(inputs: Path, run: Callable[..., None]) -> None:
    run("convert", "rhd", "--root", inputs / "native/rhd", "--out", inputs / "shards", "--canvas", "64")


def _train(inputs: Path, run: Callable[..., None]) -> None:
    run("subset", inputs / "shards", "--split", "train", "--out", inputs / "train")


def _test(inputs: Path, run: Callable[..., None]) -> None:
    run("subset", inputs / "shards", "--split", "test", "--out", inputs / "test")


def _coco(inputs: Path, run: Callable[..., None]) -> None:
    run("export", inputs / "shards", "--out", inputs / "coco", "--i-may-share")


def _run(inputs: Path, run: Callable[..., None]) -> None:
    words = [word.replace("../inputs", str(inputs)) for word in TRAIN]
    run("--data-root", inputs / "run", *words)


def _pictures(inputs: Path, run: Callable[..., None]) -> None:  # noqa: ARG001 - a maker as the others
    (inputs / "pictures").mkdir()
    ground = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    image = cv2.resize(ground, (128, 96), interpolation=cv2.INTER_CUBIC)
    for number in range(4):
        cv2.imwrite(str(inputs / f"pictures/p_{number}.png"), np.roll(image, 2 * number, 1))


def _film(inputs: Path, run: Callable[..., None]) -> None:  # noqa: ARG001
    (inputs / "film").mkdir()
    found = sorted((inputs / "native/rhd").rglob("color/*.png"))
    pictures = [cv2.resize(cv2.imread(str(path)), (128, 128)) for path in found]
    film = cv2.VideoWriter(str(inputs / "film/film.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (128, 128))
    for number in range(8):
        film.write(pictures[number // 2 % len(pictures)])
    film.release()


def _small(inputs: Path, run: Callable[..., None]) -> None:
    run("convert", "rhd", "--root", inputs / "native/rhd", "--out", inputs / "small", "--canvas", "32", "--limit", "4")


def _many(inputs: Path, run: Callable[..., None]) -> None:
    rows = [f"p_{n % 4}.png,left,{20 + n % 7},{20 + n // 4 % 5},{40 + n % 3},30" for n in range(MANY)]
    labels = inputs / "many.csv"
    labels.write_text("\n".join(["image,side,wrist_u,wrist_v,index_tip_u,index_tip_v", *rows]) + "\n")
    run("import", labels, "--root", inputs / "pictures", "--out", inputs / "many", "--canvas", "32", "--workers", "1")


def _scored(inputs: Path, run: Callable[..., None]) -> None:
    shutil.copytree(inputs / "run", inputs / "scored")
    run("evaluate", inputs / "scored/runs/r", "--shards", inputs / "shards", "--device", "cpu")


def _parquet(inputs: Path, run: Callable[..., None]) -> None:
    run("export", inputs / "shards", "--format", "parquet", "--out", inputs / "parquet", "--i-may-share")


def _onnx(inputs: Path, run: Callable[..., None]) -> None:
    run("predict", "compact", "--onnx", inputs / "onnx/c.onnx")


def _corrections(inputs: Path, run: Callable[..., None]) -> None:  # noqa: ARG001
    hand = open_dataset(inputs / "shards")[0].source
    points = {"wrist": {"state": "visible", "uv": (hand.keypoints_2d[0] + 2).tolist()}}
    said = {hand.id: {"size": list(hand.size), "side": hand.side, "points": points}}
    (inputs / "corrections").mkdir()
    content = {"format": "handdata-corrections/1", "dataset": "rhd", "samples": said}
    (inputs / "corrections/c.json").write_text(json.dumps(content))


def _depth(inputs: Path, run: Callable[..., None]) -> None:
    run("synth", "dexter", "--frames", "12", "--size", "small", "--out", inputs / "depth", "--workers", "1")
    recording = open_recording("dexter", "Rotate", inputs / "depth/dexter")
    found = survey(recording, 1)
    frame, pictures = found.references[0], pictures_of(recording, found.centres)
    places = to_shown(project(recording.tips[frame], recording.K))
    with closing(DepthSession(pictures, inputs / "depth/d.json", found)) as session:
        hand = session.begin(frame, (200.0, 100.0, 400.0, 300.0))
        tips = {k: (float(u), float(v)) for k, (u, v) in zip(TIPS, places, strict=True) if np.isfinite(u)}
        session.place(frame, hand, tips)
        session.accept(frame, frame)


MAKERS: dict[str, tuple[tuple[str, ...], Callable[[Path, Callable[..., None]], None]]] = {
    "native": ((), _native),
    "shards": (("native",), _shards),
    "train": (("native", "shards"), _train),
    "test": (("native", "shards"), _test),
    "coco": (("native", "shards"), _coco),
    "run": (("native", "shards"), _run),
    "pictures": ((), _pictures),
    "small": (("native",), _small),
    "many": (("pictures",), _many),
    "scored": (("native", "shards", "run"), _scored),
    "film": (("native",), _film),
    "parquet": (("native", "shards"), _parquet),
    "onnx": ((), _onnx),
    "corrections": (("native", "shards"), _corrections),
    "depth": ((), _depth),
}


def make_inputs(scene: Scene, inputs: Path, run: Callable[..., None]) -> None:
    """Make what a scene reads, where it is not there yet.

    Args:
        scene: that is to run.
        inputs: folder of the inputs of all scenes.
        run: runs a command to its end.
    """
    inputs.mkdir(parents=True, exist_ok=True)
    for name in scene.inputs:
        for need in (*MAKERS[name][0], name):
            if not (inputs / need).exists():
                MAKERS[need][1](inputs, run)
